"""One changed policy: the flows that it changes are those by which two whole analyses differ."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, Direction, Pod, Rule
from evidence.errors import InputError
from evidence.reach import incremental
from evidence.reach.diff import Diff
from evidence.reach.engine import Reachability, analyse, policies_of
from evidence.reach.incremental import Changed, changed, updated
from evidence.reach.ports import PortSet
from tests.builders import block, cluster, named_port, namespace, peer, pod, policy, port, rule, selector
from tests.manifests import body, cluster_of
from tests.oracle.calico_strategies import calico_clusters
from tests.oracle.cilium_strategies import cilium_clusters
from tests.oracle.strategies import NETWORKS, clusters
from tests.reach.test_laws import RELAXED, End, by_pod, ends_of

Pairs = dict[tuple[End, End], PortSet]


def told(found: Changed) -> tuple[Pairs, Pairs]:
    """Added and removed ports between pods and single outside addresses."""
    ends = ends_of(found.reach)
    added, removed = (
        {(a, b): ports for flow, ports in listed if ports for a in ends[flow.source] for b in ends[flow.destination]}
        for listed in ([(f, f.added) for f in found.flows], [(f, f.removed) for f in found.flows])
    )
    return added, removed


def minus(one: Pairs, other: Pairs) -> Pairs:
    left = {pair: ports - other.get(pair, PortSet.none()) for pair, ports in one.items()}
    return {pair: ports for pair, ports in left.items() if ports}


pairs_of_clusters = st.one_of(*(st.tuples(kind, kind) for kind in (clusters(), calico_clusters(), cilium_clusters())))


@settings(RELAXED, max_examples=40)
@given(pairs_of_clusters, st.data())
def test_changes_of_policies_one_after_another_are_what_whole_analyses_differ_by(
    both: tuple[Cluster, Cluster], data: st.DataObject
) -> None:
    reach = analyse(both[0], NETWORKS[:1])
    for _ in range(data.draw(st.integers(1, 3))):
        now = list(policies_of(reach.cluster))
        before = data.draw(st.sampled_from([None, *now]))
        names = {policy.key for policy in now if policy is not before}
        offered = [policy for policy in policies_of(both[1]) if policy.key not in names]
        after = data.draw(st.sampled_from([None, *offered]))
        found = changed(reach, before, after)
        whole = analyse(found.reach.cluster, NETWORKS[:1])
        earlier, later = by_pod(reach), by_pod(whole)
        assert by_pod(found.reach) == later
        assert told(found) == (minus(later, earlier), minus(earlier, later))
        kept = {policy.key for policy in now if policy is not before} | ({after.key} if after else set())
        assert {policy.key for policy in policies_of(found.reach.cluster)} == kept
        reach = found.reach


@st.composite
def later_states(draw: st.DrawFn, cluster: Cluster, other: Cluster) -> Cluster:
    """The cluster with some of its objects, or some fields of them, as they are in another one, and some objects read again."""
    pods = {pod.key: pod for pod in cluster.pods}
    for one in other.pods:
        for key in draw(st.lists(st.sampled_from(sorted(pods)), max_size=1)) if pods else ():
            name = draw(st.sampled_from(("labels", "ports", "phase", "service_account", "host_network", "node")))
            pods[key] = replace(pods[key], **{name: getattr(one, name)})
        match draw(st.sampled_from(("stays", "stays", "comes", "goes", "again"))):
            case "comes":
                pods[one.key] = one
            case "goes":
                pods.pop(one.key, None)
            case "again" if one.key in pods:
                pods[one.key] = replace(pods[one.key], images=("new",))
    spaces = {
        name: replace(space, labels=other.namespaces[name].labels) if draw(st.integers(0, 3)) == 0 else space
        for name, space in cluster.namespaces.items()
    }
    fields = [
        name
        for name in ("policies", "cluster_policies", "calico", "cilium_policies", "cidr_groups", "services", "nodes")
        if draw(st.integers(0, 5)) == 0
    ]
    listed = tuple(sorted(pods.values(), key=lambda pod: (pod.namespace, pod.name)))
    found = replace(cluster, pods=listed, namespaces=spaces, **{name: getattr(other, name) for name in fields})
    return copy.deepcopy(found) if draw(st.booleans()) else found


@settings(RELAXED, max_examples=40)
@given(pairs_of_clusters, st.data())
def test_an_engine_carried_from_state_to_state_answers_as_one_made_anew(
    both: tuple[Cluster, Cluster], data: st.DataObject
) -> None:
    reach = analyse(both[0], NETWORKS[:1])
    for _ in range(data.draw(st.integers(1, 3))):
        state = data.draw(later_states(reach.cluster, both[1]))
        found = updated(reach, state)
        whole = analyse(state, NETWORKS[:1])
        assert found.after.cluster is state
        assert by_pod(found.after) == by_pod(whole)
        assert sides_by_pod(found.after) == sides_by_pod(whole)
        assert doubts_by_pod(found.after) == doubts_by_pod(whole)
        assert found.after.equal_priorities == whole.equal_priorities
        fresh = Diff(analyse(reach.cluster, NETWORKS[:1]), whole)
        assert rows_of(found) == rows_of(fresh)
        reach = found.after


def rows_of(found: Diff) -> list[tuple[object, ...]]:
    """The rows between workloads. Those to the outside name it by ranges, which a carried engine may cut where a former policy or pod did; that
    the flows to single addresses are the same is asserted of the engines themselves."""
    workloads = {member.name for part in found.parts for member in part.members}
    return [
        (row.source, row.destination, row.added, row.removed, row.presence)
        for row in found.rows()
        if {row.source, row.destination} <= workloads
    ]


def sides_by_pod(reach: Reachability) -> dict[tuple[str, Direction], tuple[object, ...]]:
    """For each pod and direction, who isolates it and which rules of which policies are about it."""
    return {
        (pod.key, direction): (
            reach.isolated(found.id, direction),
            [policy.key for policy in reach.isolating(found.id, direction)],
            [
                (
                    str(placed.form.policy.key),
                    [
                        (
                            rule.rule.where,
                            bool(rule.parts),
                            bool(set(reach.ends(found.id)) & set(rule.subjects.tolist())),
                        )
                        for rule in placed.rules
                    ],
                )
                for placed in reach.selecting(found.id, direction)
            ],
        )
        for found in reach.classes
        for pod in found.pods
        for direction in Direction
    }


def doubts_by_pod(reach: Reachability) -> dict[tuple[End, End], set[str]]:
    """The rules that make uncertain what passes between pods, without the words that name pods of a class."""
    return {
        (one.key, other.key): {text.partition(":")[0] for text in doubts}
        for source in reach.classes
        for destination in reach.classes
        if (doubts := reach.uncertain(source.id, destination.id))
        for one in source.pods
        for other in destination.pods
    }


PODS = [
    pod("web", "shop", {"app": "web"}, ip="10.0.0.1"),
    pod("db", "shop", {"app": "db"}, ip="10.0.0.2"),
    pod("cache", "shop", {"app": "db", "tier": "fast"}, ip="10.0.0.3", ports=[named_port("pg", 5432)]),
    pod("prometheus", "ops", {"app": "prometheus"}, ip="10.0.0.4"),
]
CLOSED = policy("db", "shop", {"app": "db"}, ingress=[])
ABOUT_WEB = policy("web", "shop", {"app": "web"}, egress=[rule()])
OPEN_TO_WEB = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(5432)])])
# What each of them lets in, and whether pods and addresses that were one peer under CLOSED are one still.
OTHERS = [
    (rule([peer({"app": "web"})], [port(443), port(8000, end_port=9000)]), True),
    (rule([peer(namespaces={"team": "x"})]), True),
    (rule([peer({"tier": "fast"})]), False),
    (rule([peer({"app": "web", "tier": "fast"})]), True),
    (rule([block("198.51.100.0/24")]), False),
    (rule([], [port("pg")]), False),
]


def flows(found: Changed) -> set[tuple[str, str, str, str]]:
    """Changes between pods, in words."""
    return {
        (one.key, other.key, f"+ {flow.added}", f"- {flow.removed}")
        for flow in found.flows
        for one in pods_of(found.reach, flow.source)
        for other in pods_of(found.reach, flow.destination)
        if one is not other
    }


def pods_of(reach: Reachability, peer_id: int) -> tuple[Pod, ...]:
    return reach.classes[peer_id].pods if peer_id < len(reach.classes) else ()


def test_a_rule_that_a_policy_gains_adds_its_flows_and_no_others() -> None:
    found = changed(analyse(cluster(PODS, [CLOSED, ABOUT_WEB])), CLOSED, OPEN_TO_WEB)
    assert flows(found) == {
        ("shop/web", "shop/db", "+ TCP 5432", "- no ports"),
        ("shop/web", "shop/cache", "+ TCP 5432", "- no ports"),
    }


def test_a_policy_that_goes_gives_back_what_it_closed() -> None:
    found = changed(analyse(cluster(PODS, [CLOSED])), CLOSED, None)
    assert ("ops/prometheus", "shop/db", "+ all ports", "- no ports") in flows(found)
    assert not found.reach.isolated(found.reach.peer_of("shop/db"), Direction.INGRESS)
    assert found.reach.cluster.policies == ()


def test_the_engine_before_the_change_still_answers_for_the_time_before() -> None:
    reach = analyse(cluster(PODS, [CLOSED]))
    rows = list(reach.flows())
    changed(reach, CLOSED, OPEN_TO_WEB)
    changed(reach, CLOSED, None)
    assert list(reach.flows()) == rows
    assert reach.forms[0].policy is CLOSED


@pytest.mark.parametrize(("let_in", "same_peers"), OTHERS)
def test_peers_stay_unless_the_policy_tells_some_of_them_apart(let_in: Rule, same_peers: bool) -> None:
    reach = analyse(cluster(PODS, [CLOSED, ABOUT_WEB]))
    after = replace(CLOSED, ingress=(let_in,))
    found = changed(reach, CLOSED, after)
    assert (found.reach.peers is reach.peers) == same_peers
    assert by_pod(found.reach) == by_pod(analyse(cluster(PODS, [after, ABOUT_WEB])))


def test_peers_that_former_policies_tell_apart_are_joined_again_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "_FORMER_KEPT", 2)
    reach = analyse(cluster(PODS, [CLOSED]))
    fast = replace(OPEN_TO_WEB, name="fast", pod_selector=selector({"tier": "fast"}))
    counts = []
    for before, after in [(None, fast), (fast, None), (CLOSED, OPEN_TO_WEB), (OPEN_TO_WEB, CLOSED)]:
        reach = changed(reach, before, after).reach
        counts.append(len(reach.classes))
    assert counts == [4, 4, 4, 3]


def test_a_policy_in_a_namespace_that_nobody_named_changes_nothing() -> None:
    found = changed(analyse(cluster(PODS, [CLOSED])), None, policy("p", "elsewhere", ingress=[]))
    assert not found.flows
    assert not found.reach.cluster.namespaces["elsewhere"].declared


def test_a_policy_that_is_not_there_cannot_be_removed_and_one_that_is_there_not_added() -> None:
    reach = analyse(cluster(PODS, [CLOSED]))
    with pytest.raises(
        InputError, match="NetworkPolicy shop/other cannot be changed or removed: it is not in the cluster"
    ):
        changed(reach, replace(CLOSED, name="other"), None)
    with pytest.raises(InputError, match="NetworkPolicy shop/db cannot be added: it is in the cluster already"):
        changed(reach, None, CLOSED)


def test_an_engine_that_was_never_asked_for_its_flows_knows_them_before_the_change() -> None:
    out = policy("out", "shop", {"app": "web"}, egress=[rule([], [port(5000, end_port=6000)])])
    into = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(5400, end_port=7000)])])
    more = replace(into, ingress=(*into.ingress, rule([peer({"app": "web"})], [port(80), port(5399)])))
    found = changed(analyse(cluster(PODS, [out, into])), into, more)
    assert flows(found) == {
        ("shop/web", "shop/db", "+ TCP 5399", "- no ports"),
        ("shop/web", "shop/cache", "+ TCP 5399", "- no ports"),
    }


SCRAPED = policy("scraped", "shop", ingress=[rule([peer(namespaces={"team": "b"})])])
FROM_DB = body(
    "cilium.io/v2", "CiliumNetworkPolicy", "from-db", "shop",
    spec={"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"fromEndpoints": [{"matchLabels": {"tier": "fast"}}]}]},
)  # fmt: skip
KNOWN = cluster(PODS, [CLOSED, SCRAPED, ABOUT_WEB], [namespace("shop", team="a"), namespace("ops", team="b")])
STATES = {
    "a policy that changed": replace(KNOWN, policies=(OPEN_TO_WEB, ABOUT_WEB)),
    "a network that nobody named": replace(
        KNOWN, policies=(*KNOWN.policies, policy("n", "ops", ingress=[rule([block("10.0.0.0/31")])]))
    ),
    "a policy of Cilium's": replace(KNOWN, cilium_policies=cluster_of(FROM_DB).cilium_policies),
    "a pod that is gone": replace(KNOWN, pods=KNOWN.pods[1:]),
    "a pod like another": replace(KNOWN, pods=(*KNOWN.pods, pod("web2", "shop", {"app": "web"}, ip="10.0.0.9"))),
    "a pod like no other": replace(KNOWN, pods=(*KNOWN.pods, pod("mail", "shop", {"app": "mail"}, ip="10.0.0.9"))),
    "a namespace with other labels": replace(KNOWN, namespaces={**KNOWN.namespaces, "ops": namespace("ops", team="c")}),
    "everything read again": copy.deepcopy(KNOWN),
}


@pytest.mark.parametrize("name", STATES)
def test_an_engine_is_carried_over_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*_: object) -> None:
        raise AssertionError("a whole analysis")

    monkeypatch.setattr(incremental, "analyse", unwanted)
    carried, anew = updated(analyse(KNOWN), STATES[name]).after, analyse(STATES[name])
    assert by_pod(carried) == by_pod(anew)
    if name.startswith("a pod"):
        assert [found.pods for found in carried.classes] == [found.pods for found in anew.classes]


def test_a_later_state_of_a_cluster_gives_its_engine_and_the_flows_that_differ() -> None:
    before, after = cluster(PODS, [CLOSED, ABOUT_WEB]), cluster([*PODS[1:], pod("web2", "shop")], [OPEN_TO_WEB])
    found = updated(analyse(before, NETWORKS[:1]), after)
    assert (found.before.cluster, found.after.cluster) == (before, after)
    assert found.after.extra_networks == tuple(NETWORKS[:1])
    whole = Diff(analyse(before, NETWORKS[:1]), analyse(after, NETWORKS[:1]))
    assert list(map(str, found.rows())) == list(map(str, whole.rows()))
