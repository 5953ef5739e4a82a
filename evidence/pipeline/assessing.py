"""Every snapshot assessed once, when it is new, and what is said of it kept: so a question over time finds its answers, however large the cluster.

A month at a time is evaluated and kept, so that a run that is stopped has lost little and the next one goes on. Snapshots that retention dropped are
left out.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from evidence.findings.finding import count
from evidence.pipeline.asking import Key, answers, keys_of
from evidence.pipeline.kept import kept_answers, month_of, new_records
from evidence.pipeline.looks import outlines_of
from evidence.pipeline.software import software_digest
from evidence.pipeline.sources import run_info
from evidence.pipeline.states import only_cluster

if TYPE_CHECKING:
    from evidence.store import SnapshotOutline

Clock = Callable[[], datetime]
Note = Callable[[int, int, str], None]  # months done, all months, what was done in the last one

CATCH_UP = 24  # answers that are made beside a new snapshot: after an upgrade no run takes much longer than others

_START, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AssessedHistory:
    """Of one cluster: snapshots that were looked at, states that had to be evaluated, and answers that were kept now. `behind`: some snapshots are
    still to be assessed."""

    cluster: str
    snapshots: int
    evaluated: int
    kept: int
    behind: bool = False


def assess_new(db: str, cluster: str, taken_at: datetime, clock: Clock) -> AssessedHistory:
    """Assess a snapshot that was just taken, and what is missing of its month before it, as far as that is little."""
    return assess_history(db, cluster=cluster, since=taken_at, processes=1, clock=clock, most=CATCH_UP)


def assess_history(
    db: str,
    *,
    cluster: str | None,
    since: datetime | None,
    processes: int,
    clock: Clock,
    most: int | None = None,
    note: Note = lambda _done, _all, _note: None,
) -> AssessedHistory:
    """Assess what was not assessed yet by this software, of the snapshots taken since the beginning of the month of `since`, None for all.

    `clock` tells when a month is kept; `most`: how many answers are made at most, the oldest first. Raises UsageError when there is no snapshot.
    """
    from evidence.store import Store

    software = software_digest()
    with Store.open(db) as store:
        name = only_cluster(store, cluster)
        outlines = outlines_of(store, name, (month_of(since) if since else _START, _END))
        run = replace(run_info("db assess", store.url), configuration_digest=software)
        months = [(start, tuple(group)) for start, group in groupby(outlines, lambda one: month_of(one.info.taken_at))]
        evaluated = kept = 0
        for done, (start, month) in enumerate(months, 1):
            end = month[-1].info.taken_at + timedelta(microseconds=1)
            there = tuple(kept_answers(store, name, (start, end), software))
            answered = {each.key: each.answer for each in there}
            keys = keys_of(store, month, None)
            some = month if most is None else _as_far_as(month, keys, answered.keys(), most - kept)
            if some:
                found = answers(store, db, some, keys, answered, None, processes)
                asked = [outline for outline in some if outline.info.id in keys]
                new = tuple(new_records(asked, keys, there, found.answers, clock(), run))
                store.add_assessments(new)
                evaluated, kept = evaluated + found.evaluated, kept + len(new)
            if len(some) < len(month):
                return AssessedHistory(name, len(outlines), evaluated, kept, behind=True)
            note(done, len(months), f"{start:%Y-%m}: {count(found.evaluated, 'state')} evaluated")
    return AssessedHistory(name, len(outlines), evaluated, kept)


def _as_far_as(
    outlines: "Sequence[SnapshotOutline]", keys: Mapping[int, Key], answered: AbstractSet[Key], most: int
) -> "Sequence[SnapshotOutline]":
    """The first snapshots, up to the one before which `most` have no answer yet."""
    left: set[Key] = set()
    for place, outline in enumerate(outlines):
        key = keys.get(outline.info.id)
        if key and key not in answered:
            left.add(key)
        if len(left) > most:
            return outlines[:place]
    return outlines
