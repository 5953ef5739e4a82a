"""Family coverage: pods and namespaces that no policy isolates."""

from dataclasses import replace

import pytest

from evidence.findings.finding import Severity
from evidence.intent.model import Classification, Intent
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, mended, near_miss, of, zone

WEB = pod("web-1", "shop", {"app": "web"})
DB = pod("db-1", "shop", {"app": "db"})
DENY_ALL = policy("deny", "shop", ingress=[], egress=[])


@hit("NET-001")
def test_a_pod_that_only_an_egress_policy_selects_accepts_from_anywhere_and_the_finding_says_why() -> None:
    found = finding("NET-001", cluster([WEB], [policy("out", "shop", egress=[])]))
    assert str(found.subject) == "Workload shop/web-1"
    assert "the pod of Pod shop/web-1 may take connections from anywhere" in found.message
    assert "NetworkPolicy shop/out covers egress only" in found.message
    assert [str(ref.key) for ref in found.evidence] == ["Pod shop/web-1"]


@near_miss("NET-001")
def test_a_pod_whose_only_ingress_policy_allows_everything_is_isolated_all_the_same() -> None:
    assert clean("NET-001", cluster([WEB], [policy("in", "shop", {"app": "web"}, ingress=[rule()])]))


@hit("NET-002")
def test_a_pod_that_only_an_ingress_policy_selects_may_connect_to_anywhere() -> None:
    found = finding("NET-002", cluster([WEB], [policy("in", "shop", ingress=[])]))
    assert "may open connections to anywhere" in found.message
    assert "NetworkPolicy shop/in covers ingress only" in found.message


@near_miss("NET-002")
def test_a_pod_with_one_open_port_outwards_is_isolated_for_egress() -> None:
    dns = policy("dns", "shop", egress=[rule([peer({}, namespaces={})], [port(53, "UDP")])])
    assert clean("NET-002", cluster([WEB], [dns]))


@pytest.mark.parametrize("rule_id", ["NET-001", "NET-002"])
def test_finished_pods_and_pods_on_the_host_network_are_no_subjects_of_isolation(rule_id: str) -> None:
    done = pod("job-1", "shop", phase="Succeeded")
    agent = pod("agent-1", "shop", host_network=True, ip="10.0.0.9")
    assert findings(rule_id, cluster([done, agent])) == []


def test_some_pods_of_a_workload_are_named_one_by_one() -> None:
    first, second = of("Deployment", "web", WEB, pod("web-2", "shop", {"app": "web", "track": "canary"}))
    found = finding("NET-001", cluster([first, second], [policy("in", "shop", {"track": "canary"}, ingress=[])]))
    assert found.message.startswith("1 of 2 pods of Deployment shop/web")
    assert found.details == ("shop/web-1",)


def test_two_kinds_of_workload_with_one_name_have_two_fingerprints() -> None:
    pods = [*of("Deployment", "web", WEB), *of("StatefulSet", "web", DB)]
    assert len({found.fingerprint for found in findings("NET-001", cluster(pods))}) == 2


@pytest.mark.parametrize("rule_id", ["NET-001", "NET-002", "NET-003", "NET-008"])
def test_the_suggested_policy_removes_the_finding(rule_id: str) -> None:
    partly = [policy("in", "shop", {"app": "db"}, ingress=[])] if rule_id == "NET-008" else []
    before = cluster([WEB, DB], partly)
    for found in findings(rule_id, before):
        assert found.fingerprint not in {left.fingerprint for left in findings(rule_id, mended(before, found))}
    assert findings(rule_id, before)


@hit("NET-003")
def test_a_namespace_whose_policies_select_no_pod_counts_as_one_without_policy() -> None:
    found = finding("NET-003", cluster([WEB], [policy("stale", "shop", {"app": "gone"}, ingress=[])]))
    assert str(found.subject) == "Namespace shop"
    assert "its 1 policy selects no pod" in found.message
    assert {str(ref.key) for ref in found.evidence} == {"Namespace shop", "NetworkPolicy shop/stale"}


@near_miss("NET-003")
def test_a_namespace_in_which_one_pod_is_selected_has_a_policy() -> None:
    assert clean("NET-003", cluster([WEB, DB], [policy("db", "shop", {"app": "db"}, ingress=[])]))


def test_a_namespace_without_pods_of_its_own_is_not_looked_at() -> None:
    agent = pod("agent-1", "kube-system", host_network=True, ip="10.0.0.9")
    assert findings("NET-003", cluster([agent])) == []


@hit("NET-008")
def test_the_one_pod_that_no_policy_selects_is_a_hole_in_a_namespace_with_policies() -> None:
    found = finding("NET-008", cluster([WEB, DB], [policy("db", "shop", {"app": "db"}, ingress=[])]))
    assert str(found.subject) == "Workload shop/web-1"
    assert "no policy selects 1 pod of Pod shop/web-1" in found.message


@near_miss("NET-008")
def test_an_empty_selector_leaves_no_hole() -> None:
    assert clean("NET-008", cluster([WEB, DB], [policy("all", "shop", ingress=[rule([block("10.0.0.0/8")])])]))


def test_a_namespace_without_any_policy_is_net_003s_and_not_net_008s() -> None:
    assert findings("NET-008", cluster([WEB])) == []


@pytest.mark.parametrize(
    ("classification", "severity"),
    [
        (Classification.CDE, Severity.HIGH),
        (Classification.EPHI, Severity.HIGH),
        (Classification.FEDRAMP_BOUNDARY, Severity.HIGH),
        (Classification.CONNECTED_TO, Severity.MEDIUM),
        (Classification.OUT_OF_SCOPE, Severity.LOW),
    ],
)
def test_severity_follows_the_zone(classification: Classification, severity: Severity) -> None:
    intent = Intent(zones=(zone("here", classification, "shop"),))
    found = finding("NET-001", cluster([WEB]), intent)
    assert (found.severity, found.zones) == (severity, ("here",))


def test_a_pod_in_a_regulated_and_an_out_of_scope_zone_counts_as_regulated() -> None:
    intent = Intent(zones=(zone("a", Classification.OUT_OF_SCOPE, "shop"), zone("b", Classification.CDE, "shop")))
    assert finding("NET-001", cluster([WEB]), intent).severity is Severity.HIGH


def test_the_fingerprint_stays_when_pods_are_replaced_and_labels_of_others_change() -> None:
    first = finding("NET-001", cluster(of("Deployment", "web", WEB)))
    later = [*of("Deployment", "web", replace(WEB, name="web-7f9c")), replace(DB, labels={"app": "db", "v": "2"})]
    again = findings("NET-001", cluster(later, [policy("db", "shop", {"app": "db"}, ingress=[])]))
    assert [found.fingerprint for found in again] == [first.fingerprint]
