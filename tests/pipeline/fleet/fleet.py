"""A small fleet: two clusters with a quarter of history in one store, and a reassessment of it."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence import pipeline
from evidence.pipeline import Reassessed
from evidence.sample import intent_path, sample_dumps

SINCE = datetime(2027, 1, 1, tzinfo=UTC)
DUMPS = [str(dump.path) for dump in sample_dumps()]
BARE, DENIED, PLAIN, DRIFTED, MENDED = range(5)


def day(month: int, number: int, hour: int = 6) -> datetime:
    return datetime(2027, month, number, hour, tzinfo=UTC)


EAST = [(day(1, 2), DENIED), (day(1, 20), PLAIN), (day(1, 20, 7), PLAIN), (day(2, 20), DRIFTED), (day(3, 1), PLAIN)]
WEST = [(day(1, 2), PLAIN), (day(2, 3), PLAIN), (day(2, 4), DRIFTED), (day(2, 5), PLAIN)]
MONTHS = 5  # three of east, two of west


def collect(db: str, cluster: str, taken: Iterable[tuple[datetime, int]]) -> None:
    for at, dump in taken:
        pipeline.collect_snapshot(
            db,
            pipeline.FileSource([DUMPS[dump]]),
            cluster=cluster,
            taken_at=at,
            received_at=at,
            intent_path=intent_path(),
            keep_going=False,
        )


def fleet(db: str) -> str:
    collect(db, "east", EAST)
    collect(db, "west", WEST)
    return db


def reassess(db: str, folder: Path, **others: Any) -> Reassessed:
    from evidence.cli.options import Interval

    given: dict[str, Any] = {
        "clusters": (),
        "frameworks": ("pci",),
        "since": SINCE,
        "until": None,
        "folder": folder,
        "against": None,
        "expect_every": Interval().convert("31d", None, None),
    }
    return pipeline.reassess(db, **{**given, **others})


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def damage(db: str) -> None:
    """Change by hand the policy that only the drifted snapshots have, one of each cluster."""
    with sqlite3.connect(db) as connection:
        connection.execute(
            "UPDATE objects SET body = x'00' WHERE digest IN (SELECT digest FROM intervals WHERE name = 'debug-allow')"
        )
