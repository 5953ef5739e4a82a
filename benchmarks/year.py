"""A year of hourly snapshots of one living cluster in one store: its size, and what adding a snapshot and reading one back cost as it grows.

    python benchmarks/year.py [--pods 10000] [--days 365] [--every 1] [--share 0.01] [--db URL] [--rows 12]

The cluster is that of `living.py`: before each snapshot the objects of which an API server would tell go through the collector's own check and
cut, and the whole state through `pipeline.spooling.enter`, by which `evidence collect` stores: it opens the store, adds the snapshot in one
transaction with its log entry, reads the log's head and closes the store again (only the copy in the spool is left out).

Of some hours, drawn at random, everything that went in is put down apart from the store: the root digest and one hash over the canonical JSON
of each object with its key and source. In the end these snapshots are read back and both are computed again from what comes back, by
code of this file. Last, `evidence db check` runs over the whole. Ctrl-C ends the year early and goes on with what there is.

Times are cpu seconds (user and system), but for those of reading, which are by the clock as well.
"""

import argparse
import hashlib
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.living import START, Key, Living, Object, Passed
from benchmarks.measure import run, table
from evidence.canonical import canonical_json
from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, SourceInfo
from evidence.collect.discovery import Served
from evidence.collect.kinds import KINDS
from evidence.collect.lists import take
from evidence.pipeline.spooling import Entered, enter
from evidence.store import NewSnapshot, RunInfo, Store, StoredSnapshot
from evidence.store.write import prepare

CLUSTER = "year"
INTENT = b"zones: []\n"
URL = "https://api.year.example:6443"
READS = 40  # snapshots that are compared at the end
SERVED = {
    kind.kind: Served(kind, f"{kind.group}/v1" if kind.group else "v1", f"{root}/{kind.plural}", watchable=True)
    for kind in KINDS
    for root in [f"/apis/{kind.group}/v1" if kind.group else "/api/v1"]
    if kind.group in ("", "apps", "discovery.k8s.io", "networking.k8s.io")
}


class Collector:
    """What is kept of the cluster, as a collector that watches has it: an object is checked and cut again when the server tells of it."""

    def __init__(self, living: Living) -> None:
        self._living = living
        self._kept: dict[Key, CollectedObject] = {}
        self._take(living.objects)

    def hear(self, passed: Passed) -> None:
        for key in passed.gone:
            self._kept.pop(key, None)
        self._take(passed.seen)

    def _take(self, keys: Iterable[Key]) -> None:
        by_kind: dict[str, list[Object]] = {}
        for key in sorted(keys):
            by_kind.setdefault(key[0], []).append(dict(self._living.objects[key]))
        for kind, raw in by_kind.items():
            found, flaws = take(raw, SERVED[kind])
            if flaws:
                raise SystemExit(f"living.py makes objects that are not taken: {flaws[0].error}")
            self._kept.update(((kind, obj.key.namespace, obj.key.name), obj) for obj in found)

    def collection(self) -> Collection:
        counts = Counter(kind for kind, _, _ in self._kept)
        version = str(self._living.resource_version)
        kinds = [
            KindResult(kind.group, kind.kind, KindStatus.LISTED, counts[kind.kind], version)
            if SERVED.get(kind.kind) and SERVED[kind.kind].kind is kind
            else KindResult(kind.group, kind.kind, KindStatus.NOT_SERVED)
            for kind in KINDS
        ]
        uid = self._kept["Namespace", "", "kube-system"].body["metadata"]["uid"]
        source = SourceInfo("api", URL, "system:serviceaccount:evidence:collector", "v1.34.0", uid)
        return Collection(source, tuple(sorted(self._kept.values(), key=attrgetter("key"))), tuple(kinds))


# -- what went in and what comes out ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a snapshot apart from the store."""

    number: int
    root: str
    everything: str


def everything(collection: Collection) -> str:
    """One hash over all that a collection holds, each object by its own canonical JSON."""
    whole = hashlib.sha256()
    for obj in collection.objects:
        whole.update(canonical_json([*obj.key, obj.source]) + canonical_json(obj.body) + b"\n")
    whole.update(repr((collection.source, collection.kinds, collection.problems)).encode())
    return whole.hexdigest()


def root_again(found: StoredSnapshot) -> str:
    """The root digest of what was read back, as if it came in for the first time: nothing that the store computed is used."""
    fresh = tuple(CollectedObject.of(obj.key, obj.body, obj.source) for obj in found.collection.objects)
    info, whole = found.info, replace(found.collection, objects=fresh)
    moments = (info.taken_at, info.taken_at_claimed, info.received_at)
    new = NewSnapshot(
        info.cluster, *moments, whole, found.intent, info.run, started_at=info.started_at, finished_at=info.finished_at
    )
    return prepare(new).info.root_digest


# -- the year ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Span:
    """Snapshots between two rows of the table: cpu seconds of adding those that changed something and those that did not."""

    changed: list[float] = field(default_factory=list)
    unchanged: list[float] = field(default_factory=list)
    versions: int = 0


def milliseconds(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.0f}" if seconds else "-"


def live(db: str, living: Living, count: int, every: int, rows: int) -> tuple[list[list[object]], list[Kept]]:
    """Store so many snapshots, one in so many hours; gives the rows of the table and what is known of the snapshots to compare."""
    chance = random.Random(2)
    sampled = {0, count // 2, count - 1, *chance.sample(range(count), min(READS, count))}
    marks = {round(count * number / rows) - 1 for number in range(1, rows + 1)} | {0}
    collector, kept, told, span = Collector(living), [], [], Span()
    try:
        for number in range(count):
            passed = living.pass_hours(every) if number else Passed()
            collector.hear(passed)
            collection = collector.collection()
            entered, cpu = add(db, collection, START + timedelta(hours=number * every))
            (span.changed if entered.new_objects or passed.gone else span.unchanged).append(cpu)
            span.versions += entered.new_objects
            if number in sampled:
                kept.append(Kept(entered.info.id, entered.info.root_digest, everything(collection)))
            if number in marks:
                told.append(row(db, number, every, span, kept[0].number))
                print(" | ".join(map(str, told[-1])), file=sys.stderr, flush=True)
                span = Span()
    except KeyboardInterrupt:
        print(f"stopped after {number:,} snapshots", file=sys.stderr)
    return told, kept


def add(db: str, collection: Collection, at: datetime) -> tuple[Entered, float]:
    run_info = RunInfo("0.1.0", "collector-1", collection.source.identity, "collect", "ab" * 32)
    ended = at + timedelta(seconds=20)
    new = NewSnapshot(CLUSTER, at, False, at, collection, INTENT, run_info, finished_at=ended)
    start = time.process_time()
    entered = enter(db, None, new, lambda: ended, print)
    return entered, time.process_time() - start


def row(db: str, number: int, every: int, span: Span, first: int) -> list[object]:
    with Store.open(db, read_only=True) as store:
        held = store.describe()
        newest = store.latest(CLUSTER).id
        reads = [read(store, number)[1] for number in (first, (first + newest) // 2, newest)]
    snapshots = len(span.changed) + len(span.unchanged)
    return [
        f"{number * every // 24 + 1}",
        f"{number + 1:,}",
        f"{held.size / 2**20:.1f}",
        f"{held.objects:,}",
        f"{held.intervals:,}",
        f"{span.versions / snapshots / every * 24:.0f}" if number else "-",
        f"{len(span.unchanged)}/{snapshots}",
        milliseconds(span.changed),
        milliseconds(span.unchanged),
        *(f"{1000 * seconds:.0f}" for seconds in reads),
    ]


HEADER = (
    *("day", "snapshots", "MiB", "object versions", "intervals", "new versions a day", "unchanged"),
    *(
        "add changed, cpu ms",
        "add unchanged, cpu ms",
        "read first, cpu ms",
        "read middle, cpu ms",
        "read newest, cpu ms",
    ),
)


def read(store: Store, number: int) -> tuple[StoredSnapshot, float, float]:
    """A snapshot, cpu and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = store.read(number)
    return found, time.process_time() - cpu, time.perf_counter() - wall


def compare(db: str, kept: list[Kept]) -> str:
    """Read back what was sampled; exits when anything is not what went in."""
    times = []
    for one in kept:
        with Store.open(db, read_only=True) as store:  # each with a connection of its own: nothing is remembered
            found, cpu, wall = read(store, one.number)
        if found.info.root_digest != one.root or root_again(found) != one.root:
            raise SystemExit(f"snapshot {one.number}: its root digest is not that of what went in")
        if everything(found.collection) != one.everything:
            raise SystemExit(f"snapshot {one.number}: what is read back is not what went in")
        times.append((cpu, wall))
    columns = [("cpu", [cpu for cpu, _ in times]), ("clock", [wall for _, wall in times])]
    told = ", ".join(f"{name} median {statistics.median(s):.2f} s, longest {max(s):.2f} s" for name, s in columns)
    return f"{len(kept)} snapshots read back, every byte and every root the same: {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--every", type=int, default=1, help="hours between snapshots")
    parser.add_argument("--share", type=float, default=0.01, help="of the objects that change in a day")
    parser.add_argument("--db", help="an empty store: a path or a URL; by default one that is removed in the end")
    parser.add_argument("--rows", type=int, default=12, help="of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = options.db or f"{folder}/year.db"
        start, count = time.process_time(), options.days * 24 // options.every
        told, kept = live(db, Living(options.pods, options.share), count, options.every, options.rows)
        print(table(HEADER, told))
        print(f"\n{compare(db, kept)}")
        cost = run([sys.executable, "-m", "evidence", "db", "check", "--db", db])
        print(f"evidence db check: cpu {cost.cpu:.1f} s, clock {cost.wall:.1f} s, {cost.memory:.0f} MiB")
        print(f"the whole benchmark: cpu {time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
