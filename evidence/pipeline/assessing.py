"""Every snapshot assessed once, when it is new, and what is said of it kept: so a question over time finds its answers, however large the cluster.

A month at a time is evaluated and kept, so that a run that is stopped has lost little and the next one goes on. Snapshots that retention dropped are
left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from evidence.findings.finding import count
from evidence.pipeline.asking import answers, asked_of
from evidence.pipeline.kept import kept_answers, month_of, new_records
from evidence.pipeline.looks import outlines_of
from evidence.pipeline.software import software_digest
from evidence.pipeline.sources import run_info
from evidence.pipeline.states import only_cluster

Note = Callable[[int, int, str], None]  # months done, all months, what was done in the last one

_START, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AssessedHistory:
    """Of one cluster: snapshots that were looked at, states that had to be evaluated, and answers that were kept now."""

    cluster: str
    snapshots: int
    evaluated: int
    kept: int


def assess_history(
    db: str,
    *,
    cluster: str | None,
    since: datetime | None,
    processes: int,
    now: datetime,
    note: Note = lambda _done, _all, _note: None,
) -> AssessedHistory:
    """Assess what was not assessed yet by this software, of the snapshots taken from `since` on. Raises UsageError when there are none."""
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
            found = answers(store, db, month, {each.key: each.answer for each in there}, processes, records=False)
            new = tuple(new_records(tuple(asked_of(month)), there, found.answers, now, run))
            store.add_assessments(new)
            evaluated, kept = evaluated + found.evaluated, kept + len(new)
            note(done, len(months), f"{start:%Y-%m}: {count(found.evaluated, 'state')} evaluated")
    return AssessedHistory(name, len(outlines), evaluated, kept)
