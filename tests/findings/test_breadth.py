"""Family breadth: rules that admit everybody, or far more than anyone meant."""

import pytest

from evidence.cluster.model import NetworkPolicy
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, look, near_miss

WEB = pod("web-1", "shop", {"app": "web"})
EVERY_NAMESPACE = peer(namespaces={})


def ingress(*rules: object) -> NetworkPolicy:
    return policy("in", "shop", ingress=list(rules))  # type: ignore[arg-type]


def egress(*rules: object) -> NetworkPolicy:
    return policy("out", "shop", egress=list(rules))  # type: ignore[arg-type]


@hit("NET-004")
@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ([], "from any peer on every port"),
        ([block("0.0.0.0/0")], "from all of 0.0.0.0/0"),
        ([block("::/0")], "from all of ::/0"),
        ([block("0.0.0.0/1"), block("128.0.0.0/1")], "from all of 0.0.0.0/0"),
        ([block("0.0.0.0/0", "10.0.0.0/8"), block("10.0.0.0/8")], "from all of 0.0.0.0/0"),
        ([EVERY_NAMESPACE], "from every pod of every namespace"),
        ([peer({}, namespaces={})], "from every pod of every namespace"),
    ],
)
def test_a_rule_that_admits_every_source_is_found_however_it_is_written(peers: list[object], words: str) -> None:
    found = finding("NET-004", cluster([WEB], [ingress(rule(peers))]))  # type: ignore[arg-type]
    assert words in found.message
    assert "for 1 pod" in found.message
    assert (found.severity, str(found.subject)) == (Severity.HIGH, "NetworkPolicy shop/in")
    assert found.evidence[0].detail == "spec.ingress[0]"


@near_miss("NET-004")
@pytest.mark.parametrize(
    "peers",
    [
        [block("0.0.0.0/0", "10.0.0.0/8")],
        [block("0.0.0.0/1")],
        [peer({"app": "web"}, namespaces={})],
        [peer({})],
    ],
)
def test_a_rule_with_any_restriction_does_not_admit_everybody(peers: list[object]) -> None:
    assert clean("NET-004", cluster([WEB], [ingress(rule(peers))]))  # type: ignore[arg-type]


def test_allow_all_on_named_ports_is_less_severe() -> None:
    found = finding("NET-004", cluster([WEB], [ingress(rule([block("0.0.0.0/0")], [port(443)]))]))
    assert found.severity is Severity.MEDIUM
    assert "on TCP 443" in found.message


def test_rules_of_a_direction_that_policy_types_leaves_out_admit_nobody() -> None:
    idle = policy("out", "shop", egress=[])
    idle = NetworkPolicy("shop", "out", idle.pod_selector, idle.policy_types, ingress=(rule(),))
    assert findings("NET-004", cluster([WEB], [idle])) == []


@hit("NET-005")
def test_egress_to_the_whole_internet_without_exceptions_is_found() -> None:
    found = finding("NET-005", cluster([WEB], [egress(rule([block("0.0.0.0/0")]))]))
    assert "allows connecting to all of 0.0.0.0/0 on every port" in found.message


@near_miss("NET-005")
def test_egress_to_the_internet_without_the_private_ranges_is_no_allow_all() -> None:
    assert clean("NET-005", cluster([WEB], [egress(rule([block("0.0.0.0/0", "10.0.0.0/8")]))]))


def test_the_fingerprint_stays_when_a_rule_moves_within_its_policy() -> None:
    wide, narrow = rule([block("0.0.0.0/0")]), rule([block("192.0.2.0/24")])
    first = finding("NET-005", cluster([WEB], [egress(wide, narrow)]))
    moved = finding("NET-005", cluster([WEB], [egress(narrow, wide)]))
    assert first.fingerprint == moved.fingerprint
    assert (first.evidence[0].detail, moved.evidence[0].detail) == ("spec.egress[0]", "spec.egress[1]")


def test_a_rule_written_twice_is_one_finding_with_both_places() -> None:
    found = finding("NET-005", cluster([WEB], [egress(rule(), rule())]))
    assert [ref.detail for ref in found.evidence] == ["spec.egress[0]", "spec.egress[1]"]


@hit("NET-010")
@pytest.mark.parametrize("peers", [[], [EVERY_NAMESPACE], [block("0.0.0.0/0")]])
def test_port_53_to_any_destination_is_too_wide(peers: list[object]) -> None:
    found = finding("NET-010", cluster([WEB], [egress(rule(peers, [port(53, "UDP"), port(53)]))]))  # type: ignore[arg-type]
    assert "opens UDP 53, TCP 53 to" in found.message


@near_miss("NET-010")
def test_port_53_to_the_resolvers_pods_in_every_namespace_is_narrow_enough() -> None:
    dns = rule([peer({"k8s-app": "kube-dns"}, namespaces={})], [port(53, "UDP")])
    assert clean("NET-010", cluster([WEB], [egress(dns)]))


def test_a_range_that_holds_port_53_names_it() -> None:
    assert findings("NET-010", cluster([WEB], [egress(rule([], [port(1, "UDP", 1024)]))]))


@hit("EXP-003")
@pytest.mark.parametrize(
    ("peers", "ports", "words"),
    [
        ([block("0.0.0.0/0", "10.0.0.0/8")], [], "169.254.169.254 through 0.0.0.0/0"),
        ([block("169.254.0.0/16")], [port(80)], "169.254.169.254 through 169.254.0.0/16"),
        ([block("fd00::/8")], [port(None)], "fd00:ec2::254 through fd00::/8"),
        ([], [port(1, end_port=100)], "any peer"),
    ],
)
def test_a_rule_that_holds_the_metadata_address_is_found(peers: list[object], ports: list[object], words: str) -> None:
    found = finding("EXP-003", cluster([WEB], [egress(rule(peers, ports))]))  # type: ignore[arg-type]
    assert words in found.message


@near_miss("EXP-003")
@pytest.mark.parametrize(
    ("peers", "ports"),
    [
        ([block("0.0.0.0/0", "169.254.0.0/16")], [port(80)]),
        ([block("0.0.0.0/0")], [port(443)]),
        ([EVERY_NAMESPACE], []),
    ],
)
def test_a_rule_without_the_link_local_range_or_on_other_ports_leaves_it_shut(
    peers: list[object], ports: list[object]
) -> None:
    assert clean("EXP-003", cluster([WEB], [egress(rule(peers, ports))]))  # type: ignore[arg-type]


def test_pods_that_nothing_isolates_keep_the_metadata_rule_from_looking_clean() -> None:
    run, found = look("EXP-003", cluster([WEB]))
    assert found == []
    assert run.status is RunStatus.PARTIAL
    assert "1 pod not isolated for egress" in run.reason
