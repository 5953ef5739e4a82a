"""Seconds of each stage of the main job, for the demo's sample and for a folder of manifests or dumps.

    python benchmarks/stages.py [PATH…] [--repeat 3]

Each stage is timed in this process, best of `--repeat`; peak memory is the process's own at the end. Numbers are for comparing runs on one
machine, so nothing here judges them.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evidence import pipeline
from evidence.cluster.parse import build_cluster
from evidence.cni.detect import detect
from evidence.collect.files import collect_files
from evidence.intent.zones import assign
from evidence.reach.engine import analyse
from evidence.sample import sample_dumps

T = TypeVar("T")


def timed(name: str, repeat: int, work: Callable[[], T]) -> T:
    """Print the best wall and cpu seconds of `repeat` runs of `work`; gives the last result."""
    best: list[tuple[float, float]] = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        best.append((time.perf_counter() - wall, time.process_time() - cpu))
    print(f"  {name:28s} wall {min(w for w, _ in best):8.3f} s   cpu {min(c for _, c in best):8.3f} s")
    return result


def stages(paths: list[str], repeat: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    collection = timed(
        "collect (read, check, keep)", repeat, lambda: collect_files(paths, stdin=None, keep_going=False)
    )
    cluster = timed("model", repeat, lambda: build_cluster(collection))
    print(f"  {len(cluster.pods)} pods, {len(cluster.policies)} policies, {len(collection.objects)} objects")
    reach = timed("reach", repeat, lambda: analyse(cluster))
    print(f"  {len(reach.classes)} classes, {len(reach.external)} external ranges")
    timed("all flows", repeat, lambda: sum(1 for _ in reach.flows()))
    timed("cni", repeat, lambda: detect(cluster))
    timed("zones", repeat, lambda: assign(None, cluster))
    state = pipeline.State(collection, cluster, None)
    timed("assess (reach to findings)", repeat, lambda: pipeline.assess(state, at))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("store, first snapshot", "store, unchanged snapshot"):
            timed(
                name,
                1,
                lambda: pipeline.collect_snapshot(
                    f"{folder}/evidence.db",
                    pipeline.FileSource(paths),
                    cluster="bench",
                    taken_at=None,
                    received_at=datetime.now(UTC),
                    intent_path=None,
                    keep_going=False,
                ),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="default: the newest sample dump")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    paths = arguments.paths or [str(sample_dumps()[-1].path)]
    print(", ".join(paths))
    stages(paths, arguments.repeat)
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
