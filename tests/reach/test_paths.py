"""Chains of allowed connections: shortest paths, blast radius, and when "no path" may be said."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, Direction, IPAddress, Namespace, NetworkPolicy, Pod, PodPeer, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import Action, NetworksPeer
from evidence.errors import InputError
from evidence.reach.engine import Reachability, analyse
from evidence.reach.groups import Group, Names, group_of, network_named
from evidence.reach.hops import reasons
from evidence.reach.paths import Hop, blast, find
from evidence.reach.possible import not_looked_at, path_doubts
from tests.builders import block, cluster, namespace, peer, pod, policy, port, rule
from tests.oracle.naive import may_connect
from tests.oracle.strategies import OUTSIDE, clusters, completions
from tests.reach.build import cluster_policy, does
from tests.reach.build import pods_of as pods_with

EVERY_ATOM = [(protocol, number) for protocol in Protocol for number in (1, 53, 54, 79, 80, 81, 82, 8080, 8081, 9001)]
RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

BATCH = pod("batch", "jobs", {"app": "batch"})
WEB = pod("web", "shop", {"app": "web"})
DB = pod("db", "pay", {"app": "db"}, ip="10.0.0.3")
TO_WEB = policy("web", "shop", ingress=[rule([peer(namespaces={"kubernetes.io/metadata.name": "jobs"})], [port(8080)])])
TO_DB = policy("db", "pay", ingress=[rule([peer({"app": "web"}, namespaces={})], [port(5432)])])
CHAIN = cluster([BATCH, WEB, DB], [TO_WEB, TO_DB])


def group(reach: Reachability, *pods: Pod) -> Group:
    return group_of(reach, "asked", pods)


def outside(reach: Reachability, text: str) -> Group:
    return Names(reach, {}).group(text)


def told(path: Iterable[Hop]) -> list[str]:
    return [f"{hop.source.workloads[0]} {hop.destination.workloads[0]} {hop.ports}" for hop in path]


def test_the_shortest_path_names_the_ports_of_each_hop() -> None:
    reach = analyse(CHAIN)
    found = find(reach, group(reach, BATCH), group(reach, DB))
    assert found.hops == 2
    assert told(found.shortest[0]) == ["jobs/Pod/batch shop/Pod/web TCP 8080", "shop/Pod/web pay/Pod/db TCP 5432"]


def test_each_hop_names_the_rules_that_decide() -> None:
    reach = analyse(CHAIN)
    _, last = find(reach, group(reach, BATCH), group(reach, DB)).shortest[0]
    (reason,) = reasons(reach, last)
    assert str(reason.ports) == "TCP 5432"
    assert reason.explanation.egress.reason == "not isolated"
    assert reason.explanation.ingress.reason == "allowed by NetworkPolicy pay/db spec.ingress[0]"


def test_no_path_is_found_where_a_side_is_closed() -> None:
    shut = cluster([BATCH, WEB, DB], [TO_WEB, TO_DB, policy("none", "jobs", egress=[])])
    reach = analyse(shut)
    found = find(reach, group(reach, BATCH), group(reach, DB))
    assert (found.hops, found.shortest) == (None, ())
    assert [stop.workloads for stop in found.unreached] == [("pay/Pod/db",)]
    assert path_doubts(reach, group(reach, BATCH), group(reach, DB)) == ()


def test_a_path_longer_than_asked_for_is_not_found() -> None:
    reach = analyse(CHAIN)
    assert find(reach, group(reach, BATCH), group(reach, DB), max_hops=1).hops is None
    assert find(reach, group(reach, BATCH), group(reach, DB), max_hops=2).hops == 2


def test_what_lies_in_both_groups_needs_no_hop() -> None:
    reach = analyse(CHAIN)
    found = find(reach, group(reach, BATCH, WEB), group(reach, WEB, DB))
    assert found.hops == 0
    assert [stop.workloads for stop in found.shared] == [("shop/Pod/web",)]
    assert [len(path) for path in found.shortest] == [1]


def test_the_outside_is_never_in_the_middle_of_a_path() -> None:
    """Both may talk to the outside, and so never to each other through it."""
    deny_pods = policy("open-out", "jobs", egress=[rule([block("203.0.113.0/24")])])
    only_outside = policy("in", "pay", ingress=[rule([block("203.0.113.0/24")])])
    reach = analyse(cluster([BATCH, DB], [deny_pods, only_outside]), [ip_network("203.0.113.0/24")])
    assert find(reach, group(reach, BATCH), group(reach, DB)).hops is None
    assert find(reach, group(reach, BATCH), outside(reach, "203.0.113.0/24")).hops == 1
    assert find(reach, outside(reach, "203.0.113.0/24"), group(reach, DB)).hops == 1


def test_finished_pods_are_on_no_path() -> None:
    done = pod("web", "shop", {"app": "web"}, phase="Succeeded")
    reach = analyse(cluster([BATCH, done, DB], [TO_WEB, TO_DB]))
    assert find(reach, group(reach, BATCH), group(reach, DB)).hops is None


def test_pods_of_one_class_reach_one_another_only_where_the_class_reaches_itself() -> None:
    one, two = pod("one", "shop", {"app": "web"}), pod("two", "shop", {"app": "web"})
    open_among = analyse(cluster([one, two]))
    assert find(open_among, group(open_among, one), group(open_among, two)).hops == 1
    shut = analyse(cluster([one, two], [policy("deny", "shop", ingress=[])]))
    assert find(shut, group(shut, one), group(shut, two)).hops is None


def test_a_pods_own_node_is_a_way_only_when_asked_for() -> None:
    agent = pod("agent", "system", host_network=True, node="n1")
    vault = pod("vault", "pay", {"app": "db"}, node="n1")
    elsewhere = pod("vault-2", "pay", {"app": "db"}, node="n2")
    reach = analyse(cluster([BATCH, agent, vault, elsewhere], [policy("deny", "pay", ingress=[])]))
    assert find(reach, group(reach, BATCH), group(reach, vault, elsewhere)).hops is None
    found = find(reach, group(reach, BATCH), group(reach, vault, elsewhere), through_nodes=True)
    assert found.hops == 2
    assert [hop.own_node for hop in found.shortest[0]] == [False, True]
    assert [stop.pods for stop in found.unreached] == [(elsewhere,)]


def test_blast_radius_tells_hops_ports_and_what_came_before() -> None:
    reach = analyse(CHAIN)
    found = blast(reach, group(reach, BATCH))
    pods = [(c.hops, c.stop.workloads[0], str(c.ports), c.via.workloads[0]) for c in found if c.stop.pods]
    assert pods == [(1, "shop/Pod/web", "TCP 8080", "jobs/Pod/batch"), (2, "pay/Pod/db", "TCP 5432", "shop/Pod/web")]
    assert [c.hops for c in blast(reach, group(reach, BATCH), max_hops=1) if c.stop.pods] == [1]


def test_direct_ports_are_those_of_all_pods_of_the_workload() -> None:
    key = ObjectKey("apps", "Deployment", "shop", "web")
    one = Pod("shop", "w1", {"side": "a"}, key)
    two = Pod("shop", "w2", {"side": "b"}, key)
    rules = [rule([peer({"side": side})], [port(number)]) for side, number in (("a", 80), ("b", 443))]
    db = pod("db", "shop", {"app": "db"})
    reach = analyse(cluster([one, two, db], [policy("db", "shop", {"app": "db"}, ingress=rules)]))
    ports = {c.stop.workloads[0]: str(c.ports) for c in blast(reach, group(reach, one, two))}
    assert ports["shop/Pod/db"] == "TCP 80, TCP 443"


def test_a_path_that_an_unknown_address_could_open_is_not_called_absent() -> None:
    nowhere = pod("web", "shop", {"app": "web"})
    opening = policy("db", "pay", ingress=[rule([block("10.0.0.0/24")], [port(5432)])])
    reach = analyse(cluster([pod("batch", "jobs", ip="10.9.0.1"), nowhere, DB], [TO_WEB, opening]))
    source, target = group(reach, pod("batch", "jobs")), group(reach, DB)
    assert find(reach, source, target).hops is None
    (doubt,) = path_doubts(reach, source, target)
    assert "the address of pod shop/web is not known" in doubt


def opened_to(who: str, *networks: str) -> NetworkPolicy:
    return policy("for-" + who, who, ingress=[rule([block(network)]) for network in networks])


def test_what_the_source_itself_may_do_is_asked_and_many_reasons_are_cut_short() -> None:
    nowhere = pod("batch", "jobs")
    few, many = ([f"10.{number}.0.0/16" for number in range(1, count)] for count in (6, 8))
    for networks, listed in ((few, 5), (many, 6)):
        reach = analyse(cluster([nowhere, DB], [opened_to("pay", *networks)]))
        doubts = path_doubts(reach, group(reach, nowhere), group(reach, DB))
        assert len(doubts) == listed
        assert (doubts[-1] == "others for the like reasons") is (len(networks) > 5)


def test_every_doubt_on_the_way_is_a_reason() -> None:
    """batch may reach web, which reaches api, which may reach db."""

    def of(name: str) -> PodPeer:
        return peer(namespaces={"kubernetes.io/metadata.name": name})

    nowhere = [pod(name, name) for name in ("batch", "web", "api", "db")]
    to_web = policy("to-web", "batch", egress=[rule([of("web")])])
    to_api = policy("for-api", "api", ingress=[rule([of("web")])])
    asked = [to_web, opened_to("web", "10.1.0.0/16"), to_api, opened_to("db", "10.2.0.0/16")]
    asked.append(policy("not-db", "web", egress=[rule([of("api")])]))
    reach = analyse(cluster(nowhere, asked))
    source, target = group(reach, nowhere[0]), group(reach, nowhere[3])
    assert find(reach, source, target).hops is None
    web, db = sorted(path_doubts(reach, source, target), key=lambda text: "for-db" in text)
    assert "for-web" in web
    assert "for-db" in db


def test_only_doubts_on_the_way_are_reasons() -> None:
    """a may reach b, which may reach db; a can reach nothing else."""
    nowhere = [pod(name, name) for name in "ab"]
    only_b = policy("only-b", "a", egress=[rule([peer(namespaces={"kubernetes.io/metadata.name": "b"})])])
    reach = analyse(cluster([*nowhere, DB], [only_b, opened_to("b", "10.1.0.0/16"), opened_to("pay", "10.2.0.0/16")]))
    (doubt,) = path_doubts(reach, group(reach, *nowhere), group(reach, DB))
    assert "for-pay" in doubt


def test_what_the_sending_side_may_allow_is_asked() -> None:
    into_pods = policy("out", "jobs", egress=[rule([block("10.1.0.0/16")])])
    reach = analyse(cluster([BATCH, WEB], [into_pods]))
    (doubt,) = path_doubts(reach, group(reach, BATCH), group(reach, WEB))
    assert "the address of pod shop/web is not known" in doubt


def test_what_may_reach_the_outside_is_asked() -> None:
    shut = policy("shut", "jobs", egress=[])
    office = NetworksPeer((ip_network("203.0.113.0/24"),))
    opens = cluster_policy(
        "office", does(Action.ACCEPT, office), subject=pods_with({"team": "x"}), direction=Direction.EGRESS
    )
    unread = [Namespace("jobs", {"kubernetes.io/metadata.name": "jobs"}, declared=False)]
    reach = analyse(replace(cluster([BATCH], [shut], unread), cluster_policies=(opens,)))
    target = outside(reach, "203.0.113.0/24")
    assert find(reach, group(reach, BATCH), target).hops is None
    assert path_doubts(reach, group(reach, BATCH), target)


def test_a_way_through_a_pods_own_node_takes_no_doubt_from_the_others() -> None:
    agent = pod("agent", "system", host_network=True, node="n1")
    vault = pod("vault", "pay", {"app": "db"}, node="n1")
    reach = analyse(cluster([BATCH, agent, vault], [opened_to("pay", "10.1.0.0/16")]))
    source, target = group(reach, BATCH), group(reach, vault)
    assert path_doubts(reach, source, target)
    assert path_doubts(reach, source, target, through_nodes=True) == ()


def test_doubts_are_assumed_where_there_are_more_than_may_be_looked_for() -> None:
    nowhere = pod("batch", "jobs")
    reach = analyse(cluster([nowhere, DB], [opened_to("pay", "10.1.0.0/16")]))
    source, target = group(reach, nowhere), group(reach, DB)
    (found,) = path_doubts(reach, source, target, max_pairs=1)
    assert "the address of pod jobs/batch is not known" in found
    (assumed,) = path_doubts(reach, source, target, max_pairs=0)
    assert assumed == "more than 0 connections hang on addresses or labels that are not known"


def test_policies_that_are_not_evaluated_are_named() -> None:
    from tests.findings.test_bypass import CALICO

    blind = replace(CHAIN, other_policies=(CALICO,), unread_kinds=("AdminNetworkPolicy", "Secret"))
    first, second = not_looked_at(analyse(blind))
    assert first == "policies that are not evaluated could change who may connect (1 GlobalNetworkPolicy)"
    assert second == "kinds that could not be read whole could change who may connect (AdminNetworkPolicy)"
    assert not_looked_at(analyse(CHAIN)) == ()


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_stand_for_zones_namespaces_pods_workloads_and_networks() -> None:
    key = ObjectKey("apps", "Deployment", "shop", "site")
    site = Pod("shop", "site-1", {}, key)
    reach = analyse(cluster([BATCH, WEB, site, DB]), [ip_network("203.0.113.0/24")])
    names = Names(reach, {"pay": ([WEB], lambda found: str(found.first) == "203.0.113.0")})
    assert pods_of(names.group("shop/web")) == {"shop/web"}
    assert pods_of(names.group("shop/site")) == pods_of(names.group("shop/Deployment/site")) == {"shop/site-1"}
    assert pods_of(names.group("shop")) == {"shop/web", "shop/site-1"}
    assert pods_of(names.group("pay")) == {"shop/web"}, "a zone comes before a namespace"
    assert len(names.group("zone:pay").ranges) == 1
    assert pods_of(names.group("namespace:pay")) == {"pay/db"}
    assert names.group("namespace:pay").name == "namespace:pay"
    assert names.group("203.0.113.0/24").ranges == names.group("zone:pay").ranges
    for unknown in ("nothing", "zone:nothing", "namespace:nothing", "shop/nothing"):
        with pytest.raises(InputError, match="nothing"):
            names.group(unknown)


def test_a_pod_comes_before_a_workload_of_its_name() -> None:
    of_deployment = Pod("shop", "web-1", {}, ObjectKey("apps", "Deployment", "shop", "web"))
    names = Names(analyse(cluster([WEB, of_deployment])), {})
    assert pods_of(names.group("shop/web")) == {"shop/web"}
    assert pods_of(names.group("shop/Deployment/web")) == {"shop/web-1"}


def test_a_name_that_nothing_has_is_answered_with_the_zones_that_there_are() -> None:
    reach = analyse(cluster([WEB]))
    with pytest.raises(InputError, match=r"no zone or namespace cde .*; no zones are declared \(--intent\)"):
        Names(reach, {}).group("cde")
    with pytest.raises(InputError, match=r"no zone or namespace cde .*; the zones are ephi, pay"):
        Names(reach, {"pay": ((), bool), "ephi": ((), bool)}).group("cde")


def pods_of(found: Group) -> set[str]:
    return {key for keys in found.pods.values() for key in keys}


def test_a_network_of_pod_addresses_alone_is_refused() -> None:
    reach = analyse(cluster([DB]), [ip_network("10.0.0.3/32")])
    with pytest.raises(InputError, match="holds no address outside"):
        Names(reach, {}).group("10.0.0.3")


def test_only_networks_are_networks() -> None:
    assert network_named("10.0.0.7/24") == ip_network("10.0.0.0/24")
    assert network_named("::1") == ip_network("::1/128")
    assert network_named("shop/24") is None


# -- laws -------------------------------------------------------------------------------------------------------------


def connected(known: Cluster) -> Mapping[tuple[str, str], bool]:
    """Whether one pod may connect to another on any port, connection by connection."""
    pods = [one for one in known.pods if not one.finished]
    return {
        (one.key, other.key): any(may_connect(known, one, other, *atom, own_node=False) for atom in EVERY_ATOM)
        for one in pods
        for other in pods
        if one is not other
    }


def hops_from(starts: Iterable[str], edges: Mapping[tuple[str, str], bool]) -> dict[str, int]:
    """Naive breadth-first search over pods."""
    hops = dict.fromkeys(starts, 0)
    queue = list(hops)
    for here in queue:
        for (one, other), allowed in edges.items():
            if one == here and allowed and other not in hops:
                hops[other] = hops[here] + 1
                queue.append(other)
    return hops


@RELAXED
@given(clusters(), st.data())
def test_the_hops_are_those_of_a_search_over_pods(known: Cluster, data: st.DataObject) -> None:
    live = [one for one in known.pods if not one.finished]
    starts = data.draw(st.lists(st.sampled_from(live), unique_by=id, min_size=1)) if live else []
    if not starts:
        return
    reach = analyse(known)
    truth = hops_from((one.key for one in starts), connected(known))
    found = {one.key: contact.hops for contact in blast(reach, group(reach, *starts)) for one in contact.stop.pods}
    assert found == {key: hops for key, hops in truth.items() if hops}
    for target in live:
        paths = find(reach, group(reach, *starts), group(reach, target))
        assert paths.hops == truth.get(target.key)
        for path in paths.shortest:
            follows(known, starts, target, path)


def follows(known: Cluster, starts: list[Pod], target: Pod, path: tuple[Hop, ...]) -> None:
    """Every hop is allowed on its ports, each begins where the last one ended, and the ends are those asked for."""
    assert {one.key for one in path[0].source.pods} <= {one.key for one in starts}
    assert path[-1].destination.pods == (target,)
    for before, after in pairwise(path):
        assert before.destination is after.source
    for hop in path:
        assert hop.ports
        for one in hop.source.pods:
            for other in hop.destination.pods:
                for found in hop.ports.ranges:
                    assert may_connect(known, one, other, found.protocol, found.first, own_node=False)


@RELAXED
@given(clusters(), st.sampled_from(OUTSIDE))
def test_from_and_to_an_outside_address_the_hops_are_those_of_a_search(known: Cluster, address: IPAddress) -> None:
    live = [one for one in known.pods if not one.finished]
    reach = analyse(known, [ip_network(address)])
    try:
        there = outside(reach, str(address))
    except InputError:
        return
    edges = connected(known)
    direct = [
        one.key for one in live if any(may_connect(known, address, one, *atom, own_node=False) for atom in EVERY_ATOM)
    ]
    inward = {key: hops + 1 for key, hops in hops_from(direct, edges).items()}
    leaving = {one.key for one in live if any(may_connect(known, one, address, *atom) for atom in EVERY_ATOM)}
    for one in live:
        assert find(reach, there, group(reach, one)).hops == inward.get(one.key)
        reached = hops_from([one.key], edges)
        outward = min((hops + 1 for key, hops in reached.items() if key in leaving), default=None)
        assert find(reach, group(reach, one), there).hops == outward


@RELAXED
@given(clusters(), st.data())
def test_no_path_is_certain_whatever_the_unknown_turns_out_to_be(known: Cluster, data: st.DataObject) -> None:
    live = [one for one in known.pods if not one.finished]
    if len(live) < 2:
        return
    start, end = data.draw(st.permutations(live))[:2]
    reach = analyse(known)
    source, target = group(reach, start), group(reach, end)
    if find(reach, source, target).hops is None and not path_doubts(reach, source, target):
        completed = data.draw(completions(known))
        assert end.key not in hops_from([start.key], connected(completed))


def test_the_order_of_objects_changes_no_path() -> None:
    extra = [pod(f"relay-{n}", "shop", {"app": "web", "n": str(n)}) for n in range(4)]
    pods = [BATCH, WEB, DB, *extra]
    forward, backward = (cluster(order, [TO_WEB, TO_DB], [namespace("shop")]) for order in (pods, pods[::-1]))
    paths = []
    for known in (forward, backward):
        reach = analyse(known)
        paths.append([told(path) for path in find(reach, group(reach, BATCH), group(reach, DB)).shortest])
    assert paths[0] == paths[1]
