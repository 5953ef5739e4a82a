"""Family plumbing, one-sided connections."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, Direction, NetworkPolicy, Protocol
from evidence.findings.finding import Severity
from tests.builders import cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import baseline_deny, clean, context, finding, findings, hit, mended, near_miss, of

APP = pod("app-1", "shop", {"app": "app"}, ip="10.1.0.1")
DB = pod("db-1", "shop", {"app": "db"}, ip="10.1.0.2", ports=[named_port("pg", 5432)])
CACHE = pod("cache-1", "shop", {"app": "cache"}, ip="10.1.0.3", ports=[named_port("redis", 6379)])
DENY = policy("deny", "shop", ingress=[], egress=[])
DB_IN = policy("db-in", "shop", {"app": "db"}, ingress=[rule([peer({"app": "app"})], [port(5432)])])
APP_OUT = policy("app-out", "shop", {"app": "app"}, egress=[rule([peer({"app": "db"})], [port(5432)])])


def passes(state: Cluster, source: str, destination: str, number: int) -> bool:
    """The engine's own verdict."""
    reach = context(state).reach
    ends = reach.peer_of(source), reach.peer_of(destination)
    return all(
        ports.contains(Protocol.TCP, number) for ports in (reach.egress_ports(*ends), reach.ingress_ports(*ends))
    )


@hit("NET-013")
def test_an_offer_that_the_clients_default_deny_never_takes_up_is_found_and_mended() -> None:
    before = cluster([APP, DB], [DENY, DB_IN])
    found = finding("NET-013", before)
    assert str(found.subject) == "Workload shop/app-1"
    assert found.message == (
        "Pod shop/app-1 → Pod shop/db-1 TCP 5432 is allowed by NetworkPolicy shop/db-in spec.ingress[0], but the egress of "
        "Pod shop/app-1 refuses it (isolated by NetworkPolicy shop/deny, and no policy opens it again)"
    )
    assert {(str(ref.key), ref.detail) for ref in found.evidence} == {
        ("NetworkPolicy shop/db-in", "spec.ingress[0]"), ("NetworkPolicy shop/deny", "isolates egress")
    }  # fmt: skip
    assert not passes(before, "shop/app-1", "shop/db-1", 5432)
    assert passes(mended(before, found), "shop/app-1", "shop/db-1", 5432)
    assert findings("NET-013", mended(before, found)) == []


@hit("NET-013")
def test_an_egress_rule_whose_destination_refuses_is_found_at_the_destination() -> None:
    before = cluster([APP, DB], [DENY, APP_OUT])
    found = finding("NET-013", before)
    assert str(found.subject) == "Workload shop/db-1"
    assert "the ingress of Pod shop/db-1 refuses it" in found.message
    assert findings("NET-013", mended(before, found)) == []


@near_miss("NET-013")
def test_a_connection_that_both_ends_open_is_no_finding() -> None:
    assert clean("NET-013", cluster([APP, DB], [DENY, DB_IN, APP_OUT]))


@near_miss("NET-013")
def test_an_end_that_nothing_isolates_refuses_nothing() -> None:
    assert clean("NET-013", cluster([APP, DB], [DB_IN]))


def test_peers_of_one_kind_that_cannot_reach_each_other_are_found_though_each_pod_reaches_itself() -> None:
    brokers = of("StatefulSet", "kafka", *(pod(f"kafka-{n}", "shop", {"app": "kafka"}) for n in range(3)))
    mesh = policy("kafka", "shop", {"app": "kafka"}, ingress=[rule([peer({"app": "kafka"})], [port(9094)])])
    found = finding("NET-013", cluster(brokers, [DENY, mesh]))
    assert "StatefulSet shop/kafka → StatefulSet shop/kafka TCP 9094" in found.message


def test_a_rule_without_ports_counts_only_when_nothing_passes() -> None:
    offer = policy("db-in", "shop", {"app": "db"}, ingress=[rule([peer({"app": "app"})])])
    assert findings("NET-013", cluster([APP, DB], [DENY, offer]))
    assert findings("NET-013", cluster([APP, DB], [DENY, offer, APP_OUT])) == []


def test_a_named_port_is_promised_where_the_pod_has_it() -> None:
    offer = policy("db-in", "shop", {"app": "db"}, ingress=[rule([peer({"app": "app"})], [port("pg"), port("nope")])])
    assert "TCP 5432 is allowed" in finding("NET-013", cluster([APP, DB], [DENY, offer])).message


def test_a_broad_egress_rule_is_one_finding_that_lists_who_refuses_a_port_that_they_declare() -> None:
    broad = policy("proxy", "edge", egress=[rule([peer(namespaces={})], [port(5432), port(6379)])])
    state = cluster([DB, CACHE, pod("proxy-1", "edge")], [DENY, broad])
    found = finding("NET-013", state)
    assert str(found.subject) == "NetworkPolicy edge/proxy"
    assert found.details == ("shop/cache-1 TCP 6379", "shop/db-1 TCP 5432")
    assert found.severity is Severity.LOW


def test_a_broad_ingress_rule_is_found_when_none_of_its_sources_can_use_it() -> None:
    broad = policy("db-in", "shop", {"app": "db"}, ingress=[rule([peer({})], [port(5432)])])
    assert "the egress of every one of them refuses it" in finding("NET-013", cluster([APP, DB], [DENY, broad])).message
    assert findings("NET-013", cluster([APP, DB], [DENY, broad, APP_OUT])) == []


def test_what_a_cluster_wide_policy_refuses_is_laid_at_its_door_and_no_policy_is_suggested() -> None:
    state = replace(cluster([APP, DB], [DB_IN]), cluster_policies=(baseline_deny(Direction.EGRESS),))
    found = finding("NET-013", state)
    assert "(BaselineAdminNetworkPolicy default and no NetworkPolicy decide there)" in found.message
    assert "BaselineAdminNetworkPolicy default" in {str(ref.key) for ref in found.evidence}
    assert found.suggestion == ""


def test_an_uncertain_refusal_says_so() -> None:
    from tests.builders import block

    nowhere = replace(APP, addresses=())
    by_address = policy("db-in", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.0/8")], [port(5432)])])
    found = finding("NET-013", cluster([nowhere, DB], [DENY, APP_OUT, by_address]))
    assert "not certain" in found.message


LABELS = st.sampled_from(["a", "b", "c"])


@st.composite
def policies(draw: st.DrawFn) -> list[NetworkPolicy]:
    made = [DENY] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 3))):
        rules = [
            rule([peer({"app": draw(LABELS)})], [port(draw(st.sampled_from([80, 443, 5432])))])
            for _ in range(draw(st.integers(0, 2)))
        ]
        kind = draw(st.sampled_from(["ingress", "egress"]))
        made.append(policy(f"p{number}", "shop", {"app": draw(LABELS)}, **{kind: rules}))
    return made


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(policies())
def test_applying_a_suggestion_always_removes_its_finding_and_only_what_is_refused_is_found(
    made: list[NetworkPolicy],
) -> None:
    pods = [pod(f"{name}-{n}", "shop", {"app": name}) for name in "abc" for n in range(2)]
    before = cluster(pods, made)
    for found in findings("NET-013", before):
        after = mended(before, found)
        assert found.fingerprint not in {left.fingerprint for left in findings("NET-013", after)}
