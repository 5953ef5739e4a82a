"""Zones with regulated data that out-of-scope pods come to in several hops."""

from dataclasses import replace

from evidence.cluster.model import Cluster
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import Classification, Intent
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, look, near_miss, zone
from tests.findings.test_bypass import CALICO
from tests.findings.test_crossing import flow

CARD = pod("card-1", "payments", {"app": "card"}, ip="10.1.0.1")
BATCH = pod("batch-1", "batch", {"app": "batch"}, ip="10.1.0.2")
WEB = pod("web-1", "shop", {"app": "web"}, ip="10.1.0.3")
INTENT = Intent(
    zones=(
        zone("cde", Classification.CDE, "payments"),
        zone("batch", Classification.OUT_OF_SCOPE, "batch"),
        zone("web", Classification.CONNECTED_TO, "shop"),
    )
)
TO_CARD = policy("card", "payments", ingress=[rule([peer({"app": "web"}, namespaces={})], [port(8443)])])
TO_WEB = policy("web", "shop", ingress=[rule([peer({"app": "batch"}, namespaces={})], [port(8080)])])
NOBODY = policy("web", "shop", ingress=[])
CHAIN = cluster([CARD, BATCH, WEB], [TO_CARD, TO_WEB])


@hit("SEG-006")
def test_a_chain_through_a_connected_zone_is_found_with_its_ports() -> None:
    found = finding("SEG-006", CHAIN, INTENT)
    assert str(found.subject) == "ZonePair batch -> cde"
    assert found.message == (
        "batch (out-of-scope) → cde (cde) in 2 hops: batch/batch-1 → shop/web-1 TCP 8080 → payments/card-1 TCP 8443"
    )
    assert found.severity is Severity.MEDIUM
    assert found.zones == ("batch", "cde")
    assert {"NetworkPolicy payments/card", "NetworkPolicy shop/web"} <= {str(ref.key) for ref in found.evidence}


@hit("SEG-006")
def test_pods_of_no_zone_are_out_of_scope() -> None:
    found = finding("SEG-006", CHAIN, Intent(zones=(INTENT.zones[0], INTENT.zones[2])))
    assert str(found.subject) == "ZonePair (no zone) -> cde"


@near_miss("SEG-006")
def test_a_chain_that_is_closed_in_the_middle_is_none() -> None:
    assert clean("SEG-006", cluster([CARD, BATCH, WEB], [TO_CARD, NOBODY]), INTENT)


@near_miss("SEG-006")
def test_a_direct_connection_is_another_rules_finding() -> None:
    opened = policy("open", "payments", ingress=[rule([peer({"app": "batch"}, namespaces={})], [port(22)])])
    both = cluster([CARD, BATCH, WEB], [TO_CARD, TO_WEB, opened])
    assert findings("SEG-006", both, INTENT) == []
    assert findings("SEG-001", both, INTENT) != []


@near_miss("SEG-006")
def test_the_outside_is_no_way_round() -> None:
    from_outside = policy("card", "payments", ingress=[rule([block("203.0.113.0/24")])])
    assert clean("SEG-006", cluster([CARD, BATCH, WEB], [from_outside, NOBODY]), INTENT)


def test_a_chain_of_approved_flows_is_told_and_weighs_little() -> None:
    approved = replace(INTENT, flows=(flow("batch", "web", 8080), flow("web", "cde", 8443)))
    found = finding("SEG-006", CHAIN, approved)
    assert found.message.endswith("; approved flows cover every hop between zones")
    assert found.severity is Severity.LOW
    half = replace(INTENT, flows=(flow("batch", "web", 8080), flow("web", "cde", 443)))
    assert finding("SEG-006", CHAIN, half).severity is Severity.MEDIUM


def test_every_workload_that_can_be_reached_has_its_path_in_the_details() -> None:
    vault = pod("vault-1", "payments", {"app": "vault"}, ip="10.1.0.4")
    onwards = policy("vault", "payments", {"app": "vault"}, ingress=[rule([peer({"app": "card"})], [port(5432)])])
    card_only = policy(
        "card", "payments", {"app": "card"}, ingress=[rule([peer({"app": "web"}, namespaces={})], [port(8443)])]
    )
    found = finding("SEG-006", cluster([CARD, BATCH, WEB, vault], [card_only, onwards, TO_WEB]), INTENT)
    assert [line.count("→") for line in found.details] == [2, 3]
    assert found.details[1].endswith("→ payments/card-1 TCP 8443 → payments/vault-1 TCP 5432")


def test_pods_of_one_class_on_both_sides_are_told_apart() -> None:
    """Zones may look at labels that no policy looks at."""
    alike = cluster([CARD, pod("other", "payments", {"app": "card", "scope": "out"}, ip="10.1.0.9"), WEB], [TO_CARD])
    split = Intent(
        zones=(
            zone("cde", Classification.CDE, "payments", pods={"app": "card"}),
            zone("odd", Classification.OUT_OF_SCOPE, "payments", pods={"scope": "out"}),
        )
    )
    found = findings("SEG-006", alike, split)
    assert {str(one.subject) for one in found} == {"ZonePair odd -> cde"}


def unknown_relay() -> Cluster:
    nowhere = replace(WEB, addresses=())
    by_address = policy("card", "payments", ingress=[rule([block("10.2.0.0/24")], [port(8443)])])
    return cluster([CARD, BATCH, nowhere], [by_address, TO_WEB])


def test_a_chain_that_an_unknown_address_could_complete_keeps_the_answer_from_looking_clean() -> None:
    run, found = look("SEG-006", unknown_relay(), INTENT)
    assert found == []
    assert run.status is RunStatus.PARTIAL
    assert "the address of pod shop/web-1 is not known" in run.reason


def test_policies_that_are_not_evaluated_keep_it_from_looking_clean() -> None:
    closed = cluster([CARD, BATCH, WEB], [TO_CARD, NOBODY])
    run, _ = look("SEG-006", replace(closed, other_policies=(CALICO,)), INTENT)
    assert run.status is RunStatus.PARTIAL
