"""Family crossing: connections between zones that should not be, or that nobody approved."""

from dataclasses import replace

from evidence.cluster.model import Cluster, Protocol
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import ApprovedFlow, Classification, FlowPort, Intent
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.findings.looking import clean, context, finding, findings, hit, look, near_miss, zone

CARD = pod("card-1", "payments", {"app": "card"}, node="node-a", ip="10.1.0.1")
BATCH = pod("batch-1", "batch", {"app": "batch"}, node="node-a", ip="10.1.0.2")
WEB = pod("web-1", "shop", {"app": "web"}, node="node-b", ip="10.1.0.3")
CDE = zone("cde", Classification.CDE, "payments")
OUT = zone("batch", Classification.OUT_OF_SCOPE, "batch")
CONNECTED = zone("web", Classification.CONNECTED_TO, "shop")
INTENT = Intent(zones=(CDE, OUT, CONNECTED))
DENY = policy("deny", "payments", ingress=[], egress=[])


def flow(source: str, destination: str, *ports: int) -> ApprovedFlow:
    listed = tuple(FlowPort(Protocol.TCP, number, number) for number in ports)
    return ApprovedFlow(f"{source}-{destination}", source, destination, listed, "orders", "shop team")


def card_open_to(*peers: object, ports: tuple[int, ...] = (443,)) -> Cluster:
    opening = policy("open", "payments", ingress=[rule(peers, [port(number) for number in ports])])  # type: ignore[arg-type]
    return cluster([CARD, BATCH, WEB], [DENY, opening])


@hit("SEG-001")
def test_a_rule_that_lets_an_out_of_scope_pod_into_the_cde_breaks_the_segmentation() -> None:
    found = finding("SEG-001", card_open_to(peer(namespaces={"kubernetes.io/metadata.name": "batch"})), INTENT)
    assert str(found.subject) == "ZonePair batch -> cde"
    assert found.message == "batch (out-of-scope) → cde (cde): batch/batch-1 → payments/card-1 TCP 443"
    assert found.severity is Severity.CRITICAL
    assert "NetworkPolicy payments/open" in {str(ref.key) for ref in found.evidence}


@hit("SEG-001")
def test_pods_of_no_zone_are_out_of_scope_pods() -> None:
    found = finding("SEG-001", card_open_to(peer(namespaces={})), Intent(zones=(CDE, CONNECTED)))
    assert str(found.subject) == "ZonePair (no zone) -> cde"


@near_miss("SEG-001")
def test_connected_pods_on_the_same_port_break_nothing() -> None:
    assert clean("SEG-001", card_open_to(peer(namespaces={"kubernetes.io/metadata.name": "shop"})), INTENT)


@near_miss("SEG-001")
def test_a_rule_that_the_sources_own_egress_refuses_lets_nobody_in() -> None:
    opened = card_open_to(peer(namespaces={}))
    shut = replace(opened, policies=(policy("deny", "batch", egress=[]), *opened.policies))
    assert clean("SEG-001", shut, INTENT)


@hit("SEG-002")
def test_a_cde_pod_that_may_connect_to_an_out_of_scope_pod_is_found() -> None:
    way_out = policy("out", "payments", egress=[rule([peer(namespaces={})], [port(5432)])])
    found = finding("SEG-002", cluster([CARD, BATCH, WEB], [DENY, way_out]), INTENT)
    assert found.message == "cde (cde) → batch (out-of-scope): payments/card-1 → batch/batch-1 TCP 5432"
    assert found.severity is Severity.HIGH


@near_miss("SEG-002")
def test_a_cde_pod_that_may_connect_to_connected_pods_only_reaches_nothing_out_of_scope() -> None:
    way_out = policy("out", "payments", egress=[rule([peer({"app": "web"}, namespaces={})], [port(5432)])])
    assert clean("SEG-002", cluster([CARD, BATCH, WEB], [DENY, way_out]), INTENT)


def test_a_source_without_a_known_address_under_an_ip_block_keeps_the_answer_from_looking_clean() -> None:
    nowhere = replace(BATCH, addresses=())
    opening = policy("open", "payments", ingress=[rule([block("10.1.0.0/24", "10.1.0.3/32")], [port(443)])])
    state = cluster([CARD, nowhere, WEB], [DENY, opening])
    run, found = look("SEG-001", state, INTENT)
    assert found == []
    assert run.status is RunStatus.PARTIAL
    assert "the address of pod batch/batch-1 is not known" in run.reason
    run, _ = look("PRT-002", state, INTENT)
    assert "the address of pod batch/batch-1 is not known" in run.reason
    assert look("SEG-002", state, INTENT)[0].status is RunStatus.RAN


def test_policies_that_are_not_evaluated_keep_the_answer_from_looking_clean() -> None:
    from tests.findings.test_bypass import CALICO

    run, _ = look("SEG-001", replace(card_open_to(), other_policies=(CALICO,)), INTENT)
    assert run.status is RunStatus.PARTIAL
    assert "1 policy of kinds that are not evaluated (GlobalNetworkPolicy)" in run.reason


@hit("PRT-002")
def test_ports_beyond_the_approved_ones_are_named() -> None:
    approved = replace(INTENT, flows=(flow("web", "cde", 443), flow("web", "batch"), flow("batch", "web")))
    found = finding("PRT-002", card_open_to(peer({"app": "web"}, namespaces={}), ports=(443, 8443)), approved)
    assert str(found.subject) == "ZonePair web -> cde"
    assert found.message == "allowed beyond what is approved (TCP 443): shop/web-1 → payments/card-1 TCP 8443"


@near_miss("PRT-002")
def test_a_flow_that_is_approved_whole_is_covered() -> None:
    approved = replace(
        INTENT, flows=(flow("web", "cde", 443), flow("web", "batch"), flow("batch", "web"), flow("cde", "batch"))
    )
    assert clean("PRT-002", card_open_to(peer({"app": "web"}, namespaces={})), approved)


def test_an_approval_is_for_one_direction() -> None:
    backwards = replace(INTENT, flows=(flow("cde", "web", 443),))
    found = findings("PRT-002", card_open_to(peer({"app": "web"}, namespaces={})), backwards)
    assert "ZonePair web -> cde" in {str(f.subject) for f in found}


def test_an_unapproved_flow_between_zones_out_of_scope_is_of_little_weight() -> None:
    other = zone("other", Classification.OUT_OF_SCOPE, "shop")
    severities = {f.severity for f in findings("PRT-002", cluster([BATCH, WEB]), Intent(zones=(OUT, other)))}
    assert severities == {Severity.INFO}


@hit("SEG-005")
def test_a_regulated_and_an_out_of_scope_pod_on_one_node_are_found() -> None:
    found = finding("SEG-005", cluster([CARD, BATCH, WEB]), INTENT)
    assert found.message == "pods of both zones run on 1 node: node-a"
    assert found.details == ("node-a: batch/batch-1, payments/card-1",)


@near_miss("SEG-005")
def test_a_connected_pod_may_share_the_node() -> None:
    assert clean("SEG-005", cluster([CARD, replace(BATCH, node="node-c"), replace(WEB, node="node-a")]), INTENT)


def test_connections_within_a_zone_cross_nothing() -> None:
    twin = pod("card-2", "payments", {"app": "card"})
    assert context(cluster([CARD, twin]), Intent(zones=(CDE,))).crossings.pairs.get(("cde", "cde")) is None


def test_a_pod_in_two_zones_is_entered_under_both() -> None:
    both = Intent(zones=(CDE, OUT, zone("also", Classification.OUT_OF_SCOPE, "shop"), CONNECTED))
    found = findings("SEG-001", card_open_to(peer({"app": "web"}, namespaces={})), both)
    assert [str(f.subject) for f in found] == ["ZonePair also -> cde"]
