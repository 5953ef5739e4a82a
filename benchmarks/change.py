"""What a loaded engine answers at once: the flows that one change of the cluster changes, and explanations.

    python benchmarks/change.py [--pods 10000] [--calico 0] [--from PATH] [--count 50] [--seed 1]

First single policies: drawn at random and, each from the same engine, removed, and given something of every kind that a policy can say.
Then states of the cluster: pods and labels of namespaces that changed, and everything read again. `--calico` adds as many policies of
Calico's, which are drawn too. Times are cpu milliseconds of single calls.
"""

import argparse
import gc
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters
from benchmarks.measure import table, timed
from evidence.cluster.calico import Action, Calico, CalicoPolicy, CalicoRule, Entity
from evidence.cluster.model import Cluster, Direction, IpBlock, NetworkPolicy, Pod, PodPeer, PolicyPort, Protocol, Rule
from evidence.cluster.objects import ObjectKey
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.collect.files import read_cluster
from evidence.reach.engine import Reachability, analyse
from evidence.reach.incremental import changed, updated
from evidence.reach.query import Answering, Query

CHANGE_HEADER = ("one policy changed", "times", "median ms", "longest ms", "pairs changed, median", "most")
STATE_HEADER = ("a state of the cluster", "the engine, ms", "its changes, ms", "changes")
EXPLANATION_HEADER = ("first explanation ms", "further", "median ms", "longest ms")

Change = Callable[[NetworkPolicy], NetworkPolicy | None]
CalicoChange = Callable[[CalicoPolicy], CalicoPolicy | None]
EVERYWHERE = LabelSelector()


def labelled(key: str, value: str) -> LabelSelector:
    return LabelSelector((Requirement(key, Operator.IN, (value,)),))


def with_rule(rule: Rule) -> Change:
    """The policy with one more rule, in a direction that it has."""

    def change(policy: NetworkPolicy) -> NetworkPolicy:
        if Direction.INGRESS in policy.policy_types:
            return replace(policy, ingress=(*policy.ingress, rule))
        return replace(policy, egress=(*policy.egress, rule))

    return change


def with_its_own_pods(policy: NetworkPolicy) -> NetworkPolicy:
    return with_rule(Rule((PodPeer(None, policy.pod_selector),), ()))(policy) or policy


def egress_alone(policy: NetworkPolicy) -> NetworkPolicy:
    return replace(policy, policy_types=frozenset({Direction.EGRESS}))


def about_all_pods(policy: NetworkPolicy) -> NetworkPolicy:
    return replace(policy, pod_selector=EVERYWHERE)


def changes(cluster: Cluster) -> dict[str, Change]:
    """Changes of a NetworkPolicy, by name."""
    addresses = [pod.addresses[0] for pod in cluster.pods if pod.addresses]
    amid_pods = ip_network(f"{addresses[len(addresses) // 2]}/20", strict=False)
    ports = sorted({port.name for pod in cluster.pods for port in pod.ports if port.name})
    return {
        "removed": lambda _: None,
        "its own pods allowed": with_its_own_pods,
        "a new port": with_rule(Rule((), (PolicyPort(Protocol.TCP, 31999),))),
        "every port by name": with_rule(Rule((), tuple(PolicyPort(Protocol.TCP, name) for name in ports))),
        "a new network": with_rule(Rule((IpBlock(ip_network("192.0.2.0/25")),), ())),
        "a new network amid the pods": with_rule(Rule((IpBlock(amid_pods),), ())),
        "a label that no selector named, everywhere": with_rule(
            Rule((PodPeer(EVERYWHERE, labelled("release", "blue")),), ())
        ),
        "namespaces by a new label": with_rule(Rule((PodPeer(labelled("stage", "test"), None),), ())),
        "egress only": egress_alone,
        "about all pods of its namespace": about_all_pods,
    }


def calico_changes() -> dict[str, CalicoChange]:
    """Changes of a policy of Calico's, by name."""
    denied = Entity(nets=(ip_network("192.0.2.0/25"),))
    chosen = replace(CalicoRule(Action.DENY), source=denied)
    return {
        "Calico's: removed": lambda _: None,
        "Calico's: denies a new network first": lambda policy: replace(policy, ingress=(chosen, *policy.ingress)),
        "Calico's: asked first": lambda policy: replace(policy, order=0.5),
    }


def one_policy_changed(reach: Reachability, chance: random.Random, count: int) -> Iterator[list[object]]:
    cluster = reach.cluster

    def row(name: str, calls: Sequence[Callable[[], object]]) -> list[object]:
        milliseconds, pairs = [], []
        for call in calls:
            found, seconds = timed(call)
            milliseconds.append(1000 * seconds)
            pairs.append(len(found.flows))  # type: ignore[attr-defined]
        middle, most = statistics.median(milliseconds), max(milliseconds)
        return [name, len(calls), f"{middle:.1f}", f"{most:.1f}", f"{statistics.median(pairs):g}", max(pairs)]

    policies = chance.sample(cluster.policies, min(count, len(cluster.policies)))
    for name, change in changes(cluster).items():
        yield row(name, [partial(changed, reach, policy, change(policy)) for policy in policies])
    fresh = [replace(policy, name=f"{policy.name}-more") for policy in policies]
    yield row("added", [partial(changed, reach, None, policy) for policy in fresh])
    of_calico = chance.sample(cluster.calico_policies, min(count, len(cluster.calico_policies)))
    for name, of_one in calico_changes().items() if of_calico else ():
        yield row(name, [partial(changed, reach, policy, of_one(policy)) for policy in of_calico])


def states(cluster: Cluster, again: Cluster) -> dict[str, Cluster]:
    """Later states of the cluster, by name; `again` is the same, read a second time."""
    pod = next(pod for pod in cluster.pods[len(cluster.pods) // 2 :] if pod.addresses)
    space = cluster.namespaces[pod.namespace]
    successor = replace(pod, name=f"{pod.name}-next", addresses=(ip_address("10.255.0.1"),))
    stranger = replace(
        successor, labels={"app": "stranger"}, workload=ObjectKey("", "Pod", pod.namespace, successor.name)
    )

    def with_pods(pods: Sequence[Pod]) -> Cluster:
        return replace(cluster, pods=tuple(sorted(pods, key=lambda one: (one.namespace, one.name))))

    others = [one for one in cluster.pods if one is not pod]
    calico = cluster.calico or Calico()
    return {
        "nothing changed": cluster,
        "nothing changed, everything read again": again,
        "a policy removed, everything read again": replace(again, policies=again.policies[1:]),
        "a pod replaced by its like": with_pods([*others, successor]),
        "a pod that is like no other": with_pods([*cluster.pods, stranger]),
        "a pod gone": with_pods(others),
        "a hundred pods replaced": with_pods(
            [*cluster.pods[:-100], *(replace(one, name=f"{one.name}-next") for one in cluster.pods[-100:])]
        ),
        "a namespace's labels changed": replace(
            cluster,
            namespaces={**cluster.namespaces, space.name: replace(space, labels={**space.labels, "stage": "test"})},
        ),
        "a tenth of the policies removed": replace(cluster, policies=cluster.policies[len(cluster.policies) // 10 :]),
        "a node gone": replace(cluster, nodes=cluster.nodes[1:]),
        **(
            {"a network set gone": replace(cluster, calico=replace(calico, sets=calico.sets[1:]))}
            if calico.sets
            else {}
        ),
    }


def state_changed(reach: Reachability, again: Cluster) -> Iterator[list[object]]:
    for name, state in states(reach.cluster, again).items():
        found, engine = timed(partial(updated, reach, state))
        listed, comparing = timed(lambda found=found: found.changes)  # type: ignore[misc]
        yield [name, f"{1000 * engine:.0f}", f"{1000 * comparing:.0f}", len(listed)]


def explanations(reach: Reachability, count: int, chance: random.Random) -> list[object]:
    answering = Answering(reach)
    pods = [pod.key for pod in reach.cluster.pods]
    ends = (chance.sample(pods, 2) for _ in range(count))
    asked = [Query(source, destination, Protocol.TCP, 8080) for source, destination in ends]
    first = 1000 * timed(partial(answering.answer, asked[0]))[1]
    others = [1000 * timed(partial(answering.answer, query))[1] for query in asked[1:]]
    return [f"{first:.1f}", len(others), f"{statistics.median(others):.2f}", f"{max(others):.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--calico", type=int, default=0)
    parser.add_argument("--from", dest="path", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.path or clusters.write(Path(temporary, "cluster"), arguments.pods, calico=arguments.calico)
        cluster, again = (read_cluster([str(folder)], stdin=None, keep_going=False) for _ in range(2))
    gc.disable()
    reach = analyse(cluster)
    pairs = len(reach.flow_table.sources)
    whole = timed(lambda: analyse(cluster).flow_table)[1]
    print(
        f"{len(cluster.pods):,} pods, {len(reach.forms):,} policies, {pairs:,} pairs of peers; a whole analysis takes {1000 * whole:.0f} ms\n"
    )
    print(table(CHANGE_HEADER, one_policy_changed(reach, chance, arguments.count)))
    print()
    print(table(STATE_HEADER, state_changed(reach, again)))
    print()
    print(table(EXPLANATION_HEADER, [explanations(reach, arguments.count, chance)]))


if __name__ == "__main__":
    main()
