"""The answers of a period's snapshots: those that were kept, and the others evaluated.

1. A snapshot is asked where it is unlike the one before, as the first of a day (UTC), for which the dates in an intent file count, and as the
   last of the period. In between the answer is that of the one before.
2. What was kept (evidence/pipeline/kept.py) answers where it is of the same state, the same day and the same software, and records tell the same of
   the snapshot's time: they come later than snapshots.
3. Everything else is evaluated from the objects (evidence/pipeline/looks.py), where it is much in several processes, each a stretch of time. The
   answers are the same, however many they are.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING

from evidence.cluster.cycles import without_cycle_search
from evidence.errors import StoreError
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.answers import Answer, alike, answer_of, without_evidence
from evidence.pipeline.looks import Looks, state_digest, state_key
from evidence.pipeline.observations import Records

if TYPE_CHECKING:
    from evidence.pipeline.states import Assessed
    from evidence.store import SnapshotOutline, Store

# Digest of what a state is built from, the day, and what records tell (`Records.told`): a cluster's snapshots with the same key have the same answer.
Key = tuple[str, date, str]
Advance = Callable[[int, int], None]  # snapshots evaluated so far, and those to evaluate

WORTH_A_PROCESS = 100  # snapshots: starting one costs as much as evaluating some of them
_STRETCHES = 4  # for each process, so that none waits long for the last one


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers of the snapshots that were asked, by their number. `evaluated`: how many states had to be; `kept`: how many answers were."""

    answers: Mapping[int, Answer]
    evaluated: int
    kept: int


def asked_of(outlines: "Sequence[SnapshotOutline]") -> "Iterator[SnapshotOutline]":
    """Those of a period's snapshots that are asked; each other one is like the one before it."""
    before: object = None
    for outline in outlines:
        now = state_key(outline), outline.info.taken_at.date()
        if now != before or outline is outlines[-1]:
            yield outline
        before = now


def keys_of(store: "Store", outlines: "Sequence[SnapshotOutline]", newest: int | None) -> Mapping[int, Key]:
    """The keys of those of a period's snapshots that are asked, by their number. `newest`: the number of the one that looks back far."""
    last = outlines[-1].info
    records = Records(store, last.cluster)
    asked = tuple(asked_of(outlines))
    told: Mapping[int, str] = {}
    if records.any:
        following = store.next_after(last.cluster, last.taken_at)
        nexts = _next_times([outline.info.taken_at for outline in outlines], following.taken_at if following else None)
        told = {
            outline.info.id: records.told(
                outline.info, _look_back(outline.info.id, newest), nexts[outline.info.taken_at]
            )
            for outline in asked
        }
    return {
        outline.info.id: (state_digest(outline), outline.info.taken_at.date(), told.get(outline.info.id, ""))
        for outline in asked
    }


def _next_times(times: Sequence[datetime], last: datetime | None) -> Mapping[datetime, datetime | None]:
    """The next later time of each; `last` is that of the last."""
    distinct: list[datetime | None] = [*dict.fromkeys(times), last]
    return {one: other for one, other in pairwise(distinct) if one is not None}


def answers(
    store: "Store",
    db: str,
    outlines: "Sequence[SnapshotOutline]",
    keys: Mapping[int, Key],
    kept: Mapping[Key, Answer],
    newest: int | None,
    processes: int,
    advance: Advance = lambda _done, _all: None,
) -> Answered:
    """The answers of all snapshots of a period that are asked, `keys` and `newest` as for `keys_of`. `db`: the store's address."""
    asked = [outline for outline in outlines if outline.info.id in keys]
    found = {outline.info.id: kept[key] for outline in asked if (key := keys[outline.info.id]) in kept}
    left = [outline for outline in asked if outline.info.id not in found]
    kept_number = len(found)
    for part in _evaluated(store, db, left, newest, processes):
        found.update(part)
        advance(len(found) - kept_number, len(left))
    return Answered(found, len(set(map(state_key, left))), kept_number)


def _evaluated(
    store: "Store", db: str, left: "Sequence[SnapshotOutline]", newest: int | None, processes: int
) -> Iterator[Mapping[int, Answer]]:
    """Answers by the number of their snapshot, in the order of time, a stretch at a time."""
    workers = min(processes, len(left) // WORTH_A_PROCESS)
    if workers < 2:
        yield from _here(store, newest, left)
        return
    size = -(-len(left) // (workers * _STRETCHES))
    stretches = [left[start : start + size] for start in range(0, len(left), size)]
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
        try:
            yield from pool.map(partial(_stretch, db, newest), stretches)
        except BrokenProcessPool as error:
            raise StoreError(
                "a process that evaluated snapshots ended before it was done, perhaps for want of memory; try again with fewer --processes"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin_worker() -> None:
    """Ctrl-C reaches every process of a terminal; the first one ends the others. Where that one was killed, they would wait for it for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # noqa: S101  (only other processes call this)
    parent.join()
    os._exit(1)


def _stretch(db: str, newest: int | None, outlines: "Sequence[SnapshotOutline]") -> Mapping[int, Answer]:
    """What another process evaluates."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        return {number: answer for found in _here(store, newest, outlines) for number, answer in found.items()}


def _here(store: "Store", newest: int | None, outlines: "Sequence[SnapshotOutline]") -> Iterator[Mapping[int, Answer]]:
    """One snapshot at a time."""
    if not outlines:
        return
    looks = Looks(store, outlines[0].info.cluster, places=False)
    last: tuple[Assessed, Answer] | None = None
    for outline in outlines:
        with without_cycle_search():
            assessed = looks.at(outline, _look_back(outline.info.id, newest))
            same = last is not None and alike(last[0], assessed)
            answer = last[1] if last and same else without_evidence(answer_of(assessed), last[1] if last else None)
        last = assessed, answer
        yield {outline.info.id: answer}


def _look_back(number: int, newest: int | None) -> timedelta:
    """As in a report, only the newest looks back far."""
    return LOOK_BACK if number == newest else RECENT
