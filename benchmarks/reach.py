"""Cost of `evidence reach matrix --format csv`, process start to end, and of its stages, on folders of manifests or dumps.

    python benchmarks/reach.py PATH… [--repeat 3] [--variant plain|unique-label|own-class]

The command runs in a process of its own: wall seconds, cpu seconds (user and system, from wait4) and peak memory are the whole of it, the best
of `--repeat`. The stages run in this process. Variants change what was read before it is analysed: `unique-label` gives every pod a label of
its own that no selector looks at (it must cost nothing), `own-class` adds one policy for each pod that selects it alone (every pod is a class).
Numbers are for comparing runs on one machine, so nothing here judges them.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evidence.cluster.model import Cluster, Direction, NetworkPolicy, Protocol
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.collect.files import read_cluster
from evidence.reach import matrix
from evidence.reach.engine import analyse
from evidence.reach.query import Answering, Query

T = TypeVar("T")
OWN = "example.com/own"


def run_command(path: str, repeat: int) -> None:
    """The whole command in its own process."""
    best: list[tuple[float, float, float]] = []
    rows = 0
    for _ in range(repeat):
        with tempfile.TemporaryFile() as out:
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "evidence", "reach", "matrix", "--from", path, "--format", "csv"],
                stdout=out,
                stderr=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            if status:
                raise SystemExit(f"{path}: the command failed")
            out.seek(0)
            rows = sum(1 for _ in out) - 1
            best.append((usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024))
    cpu, wall, memory = (min(column) for column in zip(*best, strict=True))
    print(f"  command, {rows} rows           cpu {cpu:8.3f} s   wall {wall:8.3f} s   peak {memory:6.0f} MiB")


def timed(name: str, repeat: int, work: Callable[[], T]) -> T:
    """Print the best cpu and wall seconds of `repeat` runs; gives the last result."""
    best: list[tuple[float, float]] = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        best.append((time.process_time() - cpu, time.perf_counter() - wall))
    print(f"  {name:28s} cpu {min(c for c, _ in best):8.3f} s   wall {min(w for _, w in best):8.3f} s")
    return result


def varied(cluster: Cluster, variant: str) -> Cluster:
    if variant == "plain":
        return cluster
    pods = tuple(replace(pod, labels={**pod.labels, OWN: pod.name}) for pod in cluster.pods)
    if variant == "unique-label":
        return replace(cluster, pods=pods)
    alone = tuple(
        NetworkPolicy(
            namespace=pod.namespace,
            name=f"own-{pod.name}",
            pod_selector=LabelSelector((Requirement(OWN, Operator.IN, (pod.name,)),)),
            policy_types=frozenset({Direction.INGRESS}),
        )
        for pod in pods
    )
    return replace(cluster, pods=pods, policies=(*cluster.policies, *alone))


def stages(path: str, variant: str, repeat: int) -> None:
    cluster = timed("read", repeat, lambda: read_cluster([path], stdin=None, keep_going=False))
    cluster = varied(cluster, variant)
    print(f"  {len(cluster.pods)} pods, {len(cluster.policies)} policies ({variant})")
    reach = timed("analyse", repeat, lambda: analyse(cluster))
    print(f"  {len(reach.classes)} classes, {len(reach.external)} outside ranges")
    timed("all flows", 1, lambda: reach.flow_table)
    timed("rows as CSV", repeat, lambda: sum(len(chunk) for chunk in matrix.csv(reach)))
    answering = Answering(reach)
    ends = [found.pods[0].key for found in reach.classes]
    asked = [Query(a, b, Protocol.TCP, 8080) for a, b in zip(ends, reversed(ends), strict=True)]
    timed("first explanation", 1, lambda: answering.answer(asked[0]))
    timed(f"{len(asked)} explanations", 1, lambda: [answering.answer(query) for query in asked])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--variant", choices=["plain", "unique-label", "own-class"], default="plain")
    arguments = parser.parse_args()
    gc.disable()  # as the command does
    for path in arguments.paths:
        print(path)
        if arguments.variant == "plain":
            run_command(path, arguments.repeat)
        stages(path, arguments.variant, arguments.repeat)


if __name__ == "__main__":
    main()
