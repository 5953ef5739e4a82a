"""An engine on other peers, before any policy has been asked about those that are new."""

from dataclasses import replace
from ipaddress import ip_network

from evidence.cluster.model import Cluster, Direction, Pod
from evidence.cluster.policies import Action
from evidence.reach.carry import onto
from evidence.reach.engine import analyse
from evidence.reach.split import split
from tests.builders import block, cluster, peer, pod, policy, rule
from tests.reach.build import cluster_policy, does

OLD = [pod("a", labels={"app": "a"}, ip="10.0.0.1"), pod("z", labels={"app": "z"}, ip=["10.0.0.2", "fd00::2"])]
SHUT = policy("shut", ingress=[rule([peer({"app": "a"})])], egress=[])


def state(*more: Pod) -> Cluster:
    deny = cluster_policy("deny", does(Action.DENY))
    return replace(cluster([*OLD, *more], [SHUT]), cluster_policies=(deny,))


def test_what_is_new_no_policy_means_or_isolates_yet_and_the_rest_is_as_it_was() -> None:
    reach = analyse(state())
    later = state(pod("new", labels={"app": "new"}, ip="10.0.0.9"))
    other, fresh = onto(reach, later, split(reach, later, []))
    new = other.peer_of("default/new")
    assert fresh.tolist() == [new]
    for direction in Direction:
        assert not other.isolated(new, direction)
        assert not other.selecting(new, direction)
        for one in ("default/a", "default/z"):
            assert other.isolated(other.peer_of(one), direction)
    assert other.ports(new, new).is_all
    assert all(new not in (flow.source, flow.destination) for flow in other.flows())
    assert len(list(other.flows())) == len(list(reach.flows()))


def test_a_pod_that_nothing_tells_from_another_joins_its_class() -> None:
    reach = analyse(state())
    later = state(pod("b", labels={"app": "a"}, ip="10.0.0.8"))
    other, fresh = onto(reach, later, split(reach, later, []))
    assert not len(fresh)
    assert [pod.name for pod in other.classes[other.peer_of("default/a")].pods] == ["a", "b"]


def test_a_network_that_no_policy_named_before_cuts_the_outside_and_keeps_its_flows() -> None:
    reach = analyse(cluster(OLD))
    forms = analyse(cluster(OLD, [policy("n", ingress=[rule([block("203.0.113.0/24")])])])).forms
    other, fresh = onto(reach, reach.cluster, split(reach, reach.cluster, forms))
    assert not len(fresh)
    assert len(other.external) == len(reach.external) + 2
    whole = analyse(reach.cluster, [ip_network("203.0.113.0/24")])
    assert [(flow.source, flow.destination, flow.ports) for flow in other.flows()] == list(whole.flows())
