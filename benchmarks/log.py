"""What the log's head, a checkpoint, an entry and a pack's proofs cost as the log grows.

    python benchmarks/log.py [--entries 10000 100000 1000000]

Rows are made for it: entries of snapshots of 500 clusters in turn, written straight into a SQLite store, up to one before a run is full, which is
the dearest place for a head. A pack asks for the proofs of one cluster's last 2,190 snapshots, an hour apart a quarter of a year, or of all when
there are fewer. Every figure is cpu of this process and includes the database's work, which SQLite does in it. The head is held against the one over
all entries, and the proofs against the head.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, insert, select

from benchmarks.measure import table, timed
from evidence.log.checkpoint import signed_checkpoint, verifier_of
from evidence.log.entries import EntryKind, tree_head
from evidence.log.proof import log_files
from evidence.log.tree import RUN
from evidence.store import Store
from evidence.store.database import connect, parse_url, writing
from evidence.store.log import check_log
from evidence.store.subtrees import keep_all
from evidence.store.tables import ClusterRow, LogEntryRow, SubtreeRow

CLUSTERS, QUARTER = 500, 2190
NAME = "cluster-000"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEADER = (
    "entries",
    "hashes kept",
    "head from all entries, ms",
    "head, ms",
    "head and signed checkpoint, ms",
    "an entry, ms",
    "an entry that fills a run, ms",
    "proofs",
    "proofs, ms",
    "log of a check, s",
)


def fill(engine: Engine, count: int) -> None:
    with writing(engine, "the benchmark's store", "log", 5) as connection:
        names = [{"id": number + 1, "name": f"cluster-{number:03}"} for number in range(CLUSTERS)]
        connection.execute(insert(ClusterRow), names)
        for start in range(0, count, 50_000):
            some = [
                {
                    "position": position,
                    "kind": EntryKind.SNAPSHOT.value,
                    "cluster_id": position % CLUSTERS + 1,
                    "row_id": position + 1,
                    "digest": hashlib.sha256(str(position).encode()).hexdigest(),
                }
                for position in range(start, min(count, start + 50_000))
            ]
            connection.execute(insert(LogEntryRow), some)
        keep_all(connection)


def signed(store: Store) -> str:
    """A checkpoint of the head, kept in the store."""
    note = signed_checkpoint(store.log_head(to_sign=True), KEY)
    store.add_checkpoint(note)
    return note


def proofs(store: Store, note: str) -> int:
    """Make a pack's proofs, which checks them as well; gives how many."""
    places = store.log_places(EntryKind.SNAPSHOT, NAME)
    digests = list(places)[-QUARTER:]
    with store.log_tree(to_sign=True) as tree:
        log_files(tree, places, note, verifier_of(KEY.public_key()), NAME, digests, None)
    return len(digests)


def checked(engine: Engine) -> None:
    """The log's part of `evidence db check`, which here finds that the rows of all entries are missing, and nothing else."""
    with engine.connect() as connection:
        assert all("is in the log and not in the store" in found for found in check_log(connection, (), ()))


def rows(counts: list[int]) -> Iterator[list[str]]:
    for asked in counts:
        count = asked // RUN * RUN + RUN - 1
        with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/evidence.db") as store:
            engine = connect(parse_url(f"{folder}/evidence.db"), 5)
            fill(engine, count)
            over_all, slow = timed(lambda store=store: tree_head(store.log_entries()))  # type: ignore[misc]
            store.add_checkpoint(signed_checkpoint(over_all, KEY))
            head, quick = timed(store.log_head, 9)
            assert head == over_all
            _, filling = timed(lambda store=store: store.add_pack(NAME, "ab" * 32))  # type: ignore[misc]
            _, adding = timed(lambda store=store: store.add_pack(NAME, "cd" * 32), 9)  # type: ignore[misc]
            note, signing = timed(lambda store=store: signed(store))  # type: ignore[misc]
            made, proving = timed(lambda store=store, note=note: proofs(store, note))  # type: ignore[misc]
            _, checking = timed(lambda engine=engine: checked(engine))  # type: ignore[misc]
            with engine.connect() as connection:
                kept = len(connection.execute(select(SubtreeRow.number)).all())
            engine.dispose()
        figures = slow, quick, signing, adding, filling
        told = [f"{1000 * one:.1f}" for one in figures]
        yield [f"{count:,}", f"{kept:,}", *told, f"{made:,}", f"{1000 * proving:.0f}", f"{checking:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    print(table(HEADER, rows(parser.parse_args().entries)))


if __name__ == "__main__":
    main()
