"""What a loaded engine answers at once: the flows that one changed policy changes, and explanations.

    python benchmarks/change.py [--pods 10000] [--from PATH] [--count 50] [--seed 1]

Policies are drawn at random and, each from the same engine, removed, given a port that nobody named before, given a peer by a label that is
already told apart, and given a network that nobody named before (which makes new peers, so that everything is computed again). Times are cpu
milliseconds of single calls.
"""

import argparse
import gc
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters
from benchmarks.measure import table, timed
from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, PodPeer, PolicyPort, Protocol, Rule
from evidence.collect.files import read_cluster
from evidence.reach.engine import Reachability, analyse
from evidence.reach.incremental import changed
from evidence.reach.query import Answering, Query

CHANGE_HEADER = ("one policy changed", "times", "median ms", "longest ms", "pairs changed, median", "most")
EXPLANATION_HEADER = ("first explanation ms", "further", "median ms", "longest ms")

Change = Callable[[NetworkPolicy], NetworkPolicy | None]


def with_rule(rule: Rule) -> Change:
    """The policy with one more rule, in a direction that it has."""

    def change(policy: NetworkPolicy) -> NetworkPolicy:
        if Direction.INGRESS in policy.policy_types:
            return replace(policy, ingress=(*policy.ingress, rule))
        return replace(policy, egress=(*policy.egress, rule))

    return change


def with_its_own_pods(policy: NetworkPolicy) -> NetworkPolicy:
    return with_rule(Rule((PodPeer(None, policy.pod_selector),), ()))(policy) or policy


CHANGES: dict[str, Change] = {
    "removed": lambda _: None,
    "its own pods allowed": with_its_own_pods,
    "a new port": with_rule(Rule((), (PolicyPort(Protocol.TCP, 31999),))),
    "a new network": with_rule(Rule((IpBlock(ip_network("192.0.2.0/25")),), ())),
}


def one_policy_changed(reach: Reachability, policies: list[NetworkPolicy]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, change in CHANGES.items():
        milliseconds, pairs = [], []
        for policy in policies:
            after = change(policy)
            found, seconds = timed(partial(changed, reach, policy, after))
            milliseconds.append(1000 * seconds)
            pairs.append(len(found.flows))
        rows.append(
            [
                name,
                len(policies),
                f"{statistics.median(milliseconds):.1f}",
                f"{max(milliseconds):.1f}",
                f"{statistics.median(pairs):g}",
                max(pairs),
            ]
        )
    return rows


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
    parser.add_argument("--from", dest="path", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.path or clusters.write(Path(temporary, "cluster"), arguments.pods)
        cluster = read_cluster([str(folder)], stdin=None, keep_going=False)
    gc.disable()
    reach = analyse(cluster)
    print(
        f"{len(cluster.pods):,} pods, {len(cluster.policies):,} policies, {len(reach.flow_table.sources):,} pairs of peers\n"
    )
    policies = chance.sample(cluster.policies, min(arguments.count, len(cluster.policies)))
    print(table(CHANGE_HEADER, one_policy_changed(reach, policies)))
    print()
    print(table(EXPLANATION_HEADER, [explanations(reach, arguments.count, chance)]))


if __name__ == "__main__":
    main()
