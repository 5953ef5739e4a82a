"""What questions over a year cost: `evidence history` over a store with a snapshot an hour of a living cluster, before and after `evidence db
assess` has kept what is said of each snapshot. "store MiB": by how much the store grew.

    python benchmarks/history.py [--pods 50 …] [--days 365] [--share 0.01]

The cluster is that of `living.py`, and what is kept of it that of `year.py`; a few zones are declared, so that every rule has something to look
at. The store is filled by its own `add_snapshot`. Only the commands are measured, each as a process of its own. "Different" are the snapshots
that do not hold the objects of the one before: those are evaluated.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measure
from benchmarks.living import START, Living
from benchmarks.year import Collector
from evidence.store import NewSnapshot, RunInfo, Store

CLUSTER = "history"
CUSTODY = RunInfo("0.1.0", "collector-1", "nobody", "collect", "ab" * 32)
INTENT = b"""\
zones:
  - {name: cde, classification: cde, members: [{namespaces: [product-00000]}]}
  - {name: platform, classification: connected-to, members: [{namespaces: [kube-system, ingress, monitoring]}]}
  - {name: internet, classification: internet, cidrs: [0.0.0.0/0]}
"""
HISTORY = ("history", "--expect-every", "1h", "--format", "json")
COMMANDS = (  # and what the table calls them
    ("history", (*HISTORY, "--processes", "1")),
    ("history --framework pci", (*HISTORY, "--framework", "pci", "--processes", "1")),
    ("db assess", ("db", "assess", "--processes", "1")),
    ("history, kept", HISTORY),
    ("history --framework pci, kept", (*HISTORY, "--framework", "pci")),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """What a store holds: pods and objects of the first snapshot, and how many snapshots differ from the one before."""

    pods: int
    objects: int
    snapshots: int
    different: int


def fill(db: str, pods: int, hours: int, share: float) -> Filled:
    """A store of so many hourly snapshots, a day `share` of the objects with a new version."""
    living = Living(pods, share)
    collector = Collector(living)
    first = collector.collection().objects
    with Store.open(db) as store:
        for hour in range(hours):
            if hour:
                collector.hear(living.pass_hours(1))
            at = START + timedelta(hours=hour)
            store.add_snapshot(NewSnapshot(CLUSTER, at, False, at, collector.collection(), INTENT, CUSTODY))
        outlines = store.outlines(CLUSTER, START, START + timedelta(hours=hours))
    different = 1 + sum(one.content != other.content for one, other in pairwise(outlines))
    return Filled(sum(obj.key.kind == "Pod" for obj in first), len(first), hours, different)


def rows(pods: int, hours: int, share: float) -> Iterator[list[object]]:
    """Each command over all of a store."""
    with tempfile.TemporaryDirectory() as folder:
        db, start = f"{folder}/evidence.db", time.perf_counter()
        filled = fill(db, pods, hours, share)
        print(f"{filled.pods} pods: filled in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        for name, command in COMMANDS:
            size = Path(db).stat().st_size
            cost = measure.run([sys.executable, "-m", "evidence", *command, "--db", db])
            grown = (Path(db).stat().st_size - size) / 2**20
            counts = filled.pods, filled.objects, filled.snapshots, filled.different
            yield [
                *counts,
                name,
                f"{cost.cpu:.1f}",
                f"{cost.wall:.1f}",
                f"{cost.memory:.0f}",
                f"{grown:.1f}" if grown else "",
            ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, nargs="+", default=[50], help="beside those of the platform")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--share", type=float, default=0.01, help="of the objects that change in a day")
    options = parser.parse_args()
    header = ("pods", "objects", "snapshots", "different", "evidence", "cpu s", "wall s", "MiB", "store MiB")
    told = [row for pods in options.pods for row in rows(pods, options.days * 24, options.share)]
    print(measure.table(header, told))


if __name__ == "__main__":
    main()
