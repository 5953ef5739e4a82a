"""Seen beside computed: agreement, contradiction, and everything that may not be called one."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evidence.cluster.model import Cluster, NetworkPolicy, Node, OtherPolicy
from evidence.cluster.objects import ObjectKey
from evidence.observe.model import Began, End, ObservedFlow, Outcome, Side
from evidence.observe.tie import TiedFlow, Ties, Verdict
from evidence.reach.engine import analyse
from tests.builders import block, cluster, peer, pod, policy, port, rule

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
WEB, DB, BATCH = (
    pod(name, "shop", {"app": name}, ip=f"10.0.0.{n}") for n, name in enumerate(("web", "db", "batch"), 1)
)
DB_FROM_WEB = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(5432)])])
OUTSIDE = "8.8.8.8"


def shop(*policies: NetworkPolicy) -> Cluster:
    return cluster([WEB, DB, BATCH], policies or [DB_FROM_WEB])


def end(name: str | End) -> End:
    if isinstance(name, End):
        return name
    if name[0].isdigit() or ":" in name:
        return End(address=name)
    return End("shop", f"Pod/{name}")


def flow(source: str | End = "web", destination: str = "db", number: int = 5432, **changed: object) -> ObservedFlow:
    found = ObservedFlow(
        end(source),
        end(destination),
        "TCP",
        number,
        Outcome.ALLOWED,
        Side.DESTINATION,
        Began.HERE,
        NOON,
        NOON,
        1,
        "hubble",
    )
    return replace(found, **changed)  # type: ignore[arg-type]


def tied(seen: ObservedFlow, of: Cluster | None = None) -> TiedFlow:
    return Ties(analyse(of or shop())).tie(seen)


def rules(found: TiedFlow) -> list[str]:
    return [str(each) for each in found.rules]


def test_a_flow_that_is_allowed_as_computed_is_tied_to_the_rule_that_allows_it() -> None:
    found = tied(flow())
    assert (found.verdict, rules(found)) == (Verdict.AGREES, ["NetworkPolicy shop/db spec.ingress[0]"])
    assert [pod.name for pod in (*found.source_pods, *found.destination_pods)] == ["web", "db"]


def test_every_rule_that_matches_is_used() -> None:
    wide = policy("wide", "shop", {"app": "db"}, ingress=[rule([peer({})]), rule([peer({"app": "batch"})])])
    assert rules(tied(flow(), shop(DB_FROM_WEB, wide))) == [
        "NetworkPolicy shop/db spec.ingress[0]",
        "NetworkPolicy shop/wide spec.ingress[0]",
    ]


def test_what_came_in_and_is_computed_as_denied_is_a_contradiction() -> None:
    found = tied(flow("batch"))
    assert found.verdict is Verdict.CONTRADICTS
    assert found.reason == "ingress: isolated by NetworkPolicy shop/db, which does not allow it"


def test_passing_in_audit_mode_contradicts_too() -> None:
    assert tied(flow("batch", outcome=Outcome.AUDITED)).verdict is Verdict.CONTRADICTS


def test_what_left_the_source_may_still_be_denied_where_it_arrives() -> None:
    assert tied(flow("batch", side=Side.SOURCE)).verdict is Verdict.AGREES
    shut = policy("shut", "shop", {"app": "batch"}, egress=[])
    found = tied(flow("batch", side=Side.SOURCE), shop(DB_FROM_WEB, shut))
    assert (found.verdict, found.reason.startswith("egress: isolated by")) == (Verdict.CONTRADICTS, True)


def test_a_log_that_does_not_say_where_it_looked_tells_of_the_sources_side_alone() -> None:
    unknown = flow("batch", side=Side.UNKNOWN)
    assert tied(unknown).verdict is Verdict.NOT_DETERMINED
    assert tied(replace(unknown, source=end("web"))).verdict is Verdict.AGREES
    shut = policy("shut", "shop", {"app": "batch"}, egress=[])
    assert tied(unknown, shop(DB_FROM_WEB, shut)).verdict is Verdict.CONTRADICTS


def test_an_address_outside_is_judged_by_the_blocks_that_hold_it() -> None:
    narrow = policy("web", "shop", {"app": "web"}, ingress=[rule([block("9.9.9.0/24")], [port(443)])])
    assert tied(flow("9.9.9.9", "web", 443), shop(narrow)).verdict is Verdict.AGREES
    assert tied(flow(OUTSIDE, "web", 443), shop(narrow)).verdict is Verdict.CONTRADICTS


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (flow("10.96.0.10"), "may be a pod's, a Service's or a node's"),
        (flow("10.0.0.3"), "may be a pod's, a Service's or a node's"),
        (flow("fd00::99"), "no address outside the cluster"),
        (flow("192.0.2.7"), "may be a pod's, a Service's or a node's"),
        (flow("gone"), "Pod shop/gone is not in the snapshot"),
        (flow(source=End(name="reserved:host")), "reserved:host is no single place"),
        (flow(source=End("shop", pod="x-*")), "Pod shop/x-* is not in the snapshot"),
        (flow("batch", number=0), "the log does not name the port"),
        (flow("batch", protocol="ICMP"), "policies do not tell ICMP apart"),
        (flow("batch", outcome=Outcome.LOST), "dropped for another reason"),
    ],
)
def test_an_end_or_a_port_in_doubt_is_never_a_contradiction(seen: ObservedFlow, why: str) -> None:
    found = tied(seen)
    assert found.verdict is Verdict.NOT_DETERMINED
    assert why in found.reason


def test_a_nodes_address_stands_for_whoever_it_sent_on() -> None:
    node = Node("n1", {}, (block("8.8.8.8/32").cidr.network_address,), ready=True)
    found = tied(flow(OUTSIDE, "db"), replace(shop(), nodes=(node,)))
    assert (found.verdict, "is a node's" in found.reason) == (Verdict.NOT_DETERMINED, True)


def test_what_a_pods_own_node_may_do_is_not_taken_for_what_its_neighbours_may() -> None:
    home, away = (block(f"8.8.8.{n}/32").cidr.network_address for n in (8, 9))
    db = replace(DB, node="n1", node_addresses=(home,))
    ties = Ties(analyse(replace(cluster([WEB, db], [DB_FROM_WEB]), nodes=(Node("n1", {}, (home,), ready=True),))))
    assert ties.tie(flow(str(home), "db")).verdict is Verdict.AGREES
    assert ties.tie(flow(str(away), "db")).verdict is Verdict.CONTRADICTS


def test_a_pod_on_its_nodes_network_is_no_single_sender() -> None:
    host = pod("batch", "shop", {"app": "batch"}, ip="10.0.0.3", host_network=True)
    found = tied(flow("batch"), cluster([WEB, DB, host], [DB_FROM_WEB]))
    assert (found.verdict, "on its node's network" in found.reason) == (Verdict.NOT_DETERMINED, True)


def test_a_policy_that_was_not_evaluated_leaves_it_open() -> None:
    other = OtherPolicy(ObjectKey("security.example", "FirewallPolicy", "shop", "x"), "security.example/v1")
    found = tied(flow("batch"), replace(shop(), other_policies=(other,)))
    assert (found.verdict, "not evaluated" in found.reason or "x" in found.reason) == (Verdict.NOT_DETERMINED, True)


def test_what_may_have_been_an_answer_is_no_contradiction_unless_nothing_was_asked() -> None:
    assert tied(flow("batch", began=Began.UNKNOWN)).verdict is Verdict.NOT_DETERMINED
    shut = policy("shut", "shop", {"app": "db"}, ingress=[], egress=[])
    assert tied(flow("batch", began=Began.UNKNOWN), shop(shut)).verdict is Verdict.CONTRADICTS


def test_what_had_begun_earlier_uses_its_rule_and_is_no_contradiction() -> None:
    assert rules(tied(flow(began=Began.EARLIER))) == ["NetworkPolicy shop/db spec.ingress[0]"]
    found = tied(flow("batch", began=Began.EARLIER))
    assert (found.verdict, "had begun earlier" in found.reason) == (Verdict.NOT_DETERMINED, True)


def test_one_pod_of_a_workload_that_may_connect_is_enough() -> None:
    key = ObjectKey("apps", "Deployment", "shop", "two")
    pods = [replace(one, workload=key) for one in (WEB, BATCH)]
    seen = flow(source=End("shop", "Deployment/two"))
    assert tied(seen, cluster([*pods, DB], [DB_FROM_WEB])).verdict is Verdict.AGREES


@pytest.mark.parametrize("side", [Side.DESTINATION, Side.UNKNOWN])
def test_a_denial_that_was_computed_agrees(side: Side) -> None:
    found = tied(flow("batch", outcome=Outcome.DENIED, side=side))
    assert (found.verdict, found.rules) == (Verdict.AGREES, ())


def test_a_denial_on_the_side_that_allows_it_was_not_computed() -> None:
    assert tied(flow("batch", outcome=Outcome.DENIED, side=Side.SOURCE)).verdict is Verdict.STOPPED
    assert tied(flow(outcome=Outcome.DENIED)).verdict is Verdict.STOPPED
    assert tied(flow(outcome=Outcome.DENIED, began=Began.UNKNOWN)).verdict is Verdict.NOT_DETERMINED


def uses(seen: Iterable[ObservedFlow]) -> set[str]:
    ties = Ties(analyse(shop()))
    return {str(each) for one in seen for each in ties.tie(one).rules}


@pytest.mark.parametrize("source", [End(address="10.9.9.9"), End(name="reserved:host"), End("shop", pod="gone")])
def test_with_one_end_unknown_every_rule_that_could_have_matched_is_used(source: End) -> None:
    assert uses([flow(source=source)]) == {"NetworkPolicy shop/db spec.ingress[0]"}
    assert uses([flow(source=source, number=9)]) == set()


def test_denied_connections_use_no_rule() -> None:
    assert uses([flow(outcome=Outcome.DENIED), flow("batch", outcome=Outcome.DENIED)]) == set()
