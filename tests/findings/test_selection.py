"""Family plumbing, selectors: policies and peers that select nothing, or something other than they say."""

from dataclasses import replace

import pytest

from evidence.cluster.model import Direction, NetworkPolicy
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import block, cluster, named_port, namespace, peer, pod, policy, port, rule
from tests.findings.looking import clean, context, finding, findings, hit, look, near_miss, suggested, with_policies

WEB = pod("web-1", "shop", {"app": "web"}, ports=[named_port("http", 8080)])
NAMED = namespace("data").labels
DB = pod("db-1", "data", {"app": "db"}, ports=[named_port("pg", 5432)])


@hit("NET-006")
def test_a_policy_whose_pods_are_gone_protects_nothing() -> None:
    found = finding("NET-006", cluster([WEB], [policy("old", "shop", {"app": "gone"}, ingress=[])]))
    assert found.message == "podSelector app=gone selects no pod of namespace shop"
    assert found.severity is Severity.LOW


@near_miss("NET-006")
def test_a_workload_that_sleeps_keeps_its_policy_through_its_template() -> None:
    asleep = replace(pod("nightly", "shop", {"app": "gone"}), template=True)
    assert clean("NET-006", cluster([WEB, asleep], [policy("old", "shop", {"app": "gone"}, ingress=[])]))


def test_a_policy_for_pods_on_the_host_network_says_that_no_selector_reaches_them() -> None:
    agent = pod("agent-1", "shop", {"app": "agent"}, host_network=True, ip="10.0.0.9")
    found = finding("NET-006", cluster([WEB, agent], [policy("agent", "shop", {"app": "agent"}, ingress=[])]))
    assert "shop/agent-1 would match but use the host network" in found.message


@pytest.mark.parametrize("rule_id", ["NET-006", "NET-007"])
def test_policies_alone_without_any_pod_select_nothing_and_nothing_is_said_of_that(rule_id: str) -> None:
    alone = policy("in", "shop", {"app": "web"}, ingress=[rule([peer({"app": "api"})])])
    run, found = look(rule_id, cluster([], [alone]))
    assert found == []
    assert "the source holds no pod and no workload" in run.reason


@hit("NET-007")
def test_a_peer_that_matches_no_pod_opens_nothing() -> None:
    found = finding("NET-007", cluster([WEB], [policy("in", "shop", ingress=[rule([peer({"app": "gone"})])])]))
    assert found.message == "spec.ingress[0] has a peer that matches nothing: no pod with app=gone in namespace shop"
    assert found.severity is Severity.LOW


@hit("NET-007")
def test_every_namespace_on_named_ports_is_far_too_much() -> None:
    wide = policy("in", "shop", ingress=[rule([peer(namespaces={})], [port(9090)])])
    found = finding("NET-007", cluster([WEB, DB], [wide]))
    assert found.message == "spec.ingress[0] opens TCP 9090 from every pod of all 2 namespaces, for 1 pod"
    assert found.severity is Severity.MEDIUM


@hit("NET-007")
def test_a_block_that_excepts_all_of_itself_matches_nothing() -> None:
    empty = policy("in", "shop", ingress=[rule([block("10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9")])])
    assert "ipBlock 10.0.0.0/8 excepts all of itself" in finding("NET-007", cluster([WEB], [empty])).message


@near_miss("NET-007")
def test_peers_that_match_some_pods_are_in_proportion() -> None:
    peers = (peer({"app": "web"}), peer({"app": "db"}, namespaces={}), block("192.0.2.0/24"))
    assert clean("NET-007", cluster([WEB, DB], [policy("in", "shop", ingress=[rule(peers, [port(80)])])]))


@hit("NET-018")
def test_a_name_label_that_nobody_set_is_found_and_the_suggestion_selects_what_is_meant() -> None:
    by_label = policy("in", "shop", ingress=[rule([peer({"app": "db"}, namespaces={"name": "data"})], [port(80)])])
    deny = policy("deny", "shop", ingress=[])
    before = cluster([WEB, DB], [deny, by_label])
    found = finding("NET-018", before)
    assert "selects namespaces by name=data, and no namespace has name=data, so the rule admits nobody" in found.message
    assert "namespace data exists but has no such label" in found.message
    assert found.severity is Severity.MEDIUM
    reach = context(with_policies(before, suggested(found))).reach
    assert reach.ingress_ports(reach.peer_of("data/db-1"), reach.peer_of("shop/web-1"))


@hit("NET-018")
def test_a_label_that_resembles_no_namespace_is_found_at_low_severity_without_a_guess() -> None:
    unknown = policy("in", "shop", ingress=[rule([peer(namespaces={"purpose": "logging"})])])
    found = finding("NET-018", cluster([WEB, DB], [unknown]))
    assert (found.severity, found.suggestion) == (Severity.LOW, "")


@near_miss("NET-018")
def test_the_same_rule_on_a_cluster_where_somebody_set_the_label_is_no_finding() -> None:
    by_label = policy("in", "shop", ingress=[rule([peer({"app": "db"}, namespaces={"name": "data"})], [port(80)])])
    assert clean(
        "NET-018", cluster([WEB, DB], [by_label], [replace(namespace("data"), labels={**NAMED, "name": "data"})])
    )


def test_rules_with_one_selector_are_one_finding_for_each_direction() -> None:
    by_label = peer(namespaces={"name": "data"})
    both = policy(
        "both", "shop", ingress=[rule([by_label], [port(80)]), rule([by_label], [port(81)])], egress=[rule([by_label])]
    )
    found = findings("NET-018", cluster([WEB, DB], [both]))
    assert {f.message.split(" selects")[0] for f in found} == {"spec.egress[0]", "spec.ingress[0], spec.ingress[1]"}


def test_labels_of_a_namespace_that_was_not_in_the_source_are_a_doubt() -> None:
    unseen = replace(namespace("data"), declared=False)
    fine = policy("in", "shop", ingress=[rule([peer({"app": "db"}, namespaces={})], [port(80)])])
    run, _ = look("NET-018", cluster([WEB, DB], [fine], [unseen]))
    assert run.status is RunStatus.PARTIAL
    assert "the labels of 1 namespace are not in the source (data)" in run.reason


def test_a_label_that_a_namespace_known_by_name_only_may_have_is_no_more_than_unlikely() -> None:
    unseen = replace(namespace("data"), declared=False)
    by_label = policy("in", "shop", ingress=[rule([peer({"app": "db"}, namespaces={"name": "data"})], [port(80)])])
    found = finding("NET-018", cluster([WEB, DB], [by_label], [unseen]))
    assert "no namespace is known to have name=data (the labels of data are not in the source)" in found.message
    assert found.severity is Severity.LOW
    assert findings("NET-007", cluster([WEB, DB], [by_label], [unseen])) == []


@hit("NET-016")
def test_a_named_port_that_no_destination_declares_opens_nothing() -> None:
    named = policy("in", "shop", ingress=[rule([], [port("https")])])
    found = finding("NET-016", cluster([WEB], [named]))
    assert found.message == (
        "spec.ingress[0] names TCP port 'https', which none of its 1 destination pod declares; they declare http (TCP 8080)"
    )


@hit("NET-016")
def test_a_name_is_looked_up_for_its_protocol() -> None:
    assert findings("NET-016", cluster([WEB], [policy("in", "shop", ingress=[rule([], [port("http", "UDP")])])]))


@near_miss("NET-016")
def test_a_named_port_of_an_egress_rule_is_the_destinations() -> None:
    named = policy("out", "shop", egress=[rule([peer({"app": "db"}, namespaces={})], [port("pg")])])
    assert clean("NET-016", cluster([WEB, DB], [named]))


@hit("NET-020")
def test_egress_rules_without_the_policy_type_mean_nothing() -> None:
    right = policy("p", "shop", ingress=[])
    wrong = NetworkPolicy("shop", "p", right.pod_selector, frozenset({Direction.INGRESS}), egress=(rule(), rule()))
    found = finding("NET-020", cluster([WEB], [wrong]))
    assert found.message == "spec.egress has 2 rules, but policyTypes names only Ingress: the rules mean nothing"


@near_miss("NET-020")
def test_a_policy_type_without_rules_is_a_default_deny_and_no_mistake() -> None:
    assert clean("NET-020", cluster([WEB], [policy("p", "shop", ingress=[rule()], egress=[])]))
