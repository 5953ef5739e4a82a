"""The answers of a period's snapshots: those that were kept, and the others evaluated.

1. A snapshot is asked where it is unlike the one before, as the first of a day (UTC), for which the dates in an intent file count, and as the
   last of the period. In between the answer is that of the one before.
2. What was kept (evidence/pipeline/kept.py) answers where it is of the same state, the same day and the same software, and no record tells of the
   snapshot's time: records come later than snapshots.
3. Everything else is evaluated from the objects (evidence/pipeline/looks.py), where it is much in several processes, each a stretch of time. The
   answers are the same, however many they are.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING

from evidence.errors import StoreError
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.answers import Answer, alike, answer_of, without_evidence
from evidence.pipeline.looks import Looks, state_digest, state_key
from evidence.pipeline.observations import Records

if TYPE_CHECKING:
    from evidence.pipeline.states import Assessed
    from evidence.store import SnapshotOutline, Store

Key = tuple[str, date]  # digest of what a state is built from, and the day
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


def key_of(outline: "SnapshotOutline") -> Key:
    """Snapshots of one cluster with the same key have the same answer, unless records tell of their time."""
    return state_digest(outline), outline.info.taken_at.date()


def silent(store: "Store", outlines: "Sequence[SnapshotOutline]") -> frozenset[int]:
    """Numbers of those snapshots of a period of which no record tells."""
    newest = outlines[-1].info
    records = Records(store, newest.cluster)
    if not records.any:
        return frozenset(outline.info.id for outline in outlines)
    found: list[int] = []
    following = store.next_after(newest.cluster, newest.taken_at)
    until = following.taken_at if following else None  # when the first snapshot after `later` was taken
    later = newest.taken_at
    for outline in reversed(outlines):
        info = outline.info
        if info.taken_at < later:
            later, until = info.taken_at, later
        if records.silent(info, _look_back(info.id, newest.id), until):
            found.append(info.id)
    return frozenset(found)


def answers(
    store: "Store",
    db: str,
    outlines: "Sequence[SnapshotOutline]",
    kept: Mapping[Key, Answer],
    processes: int,
    *,
    records: bool = True,
    advance: Advance = lambda _done, _all: None,
) -> Answered:
    """The answers of all snapshots of a period that are asked. `kept`: of states as if there were no records; `db`: the store's address.

    `records`: whether they are asked; else everything is answered as if there were none.
    """
    asked = tuple(asked_of(outlines))
    untold = silent(store, outlines) if records else frozenset(outline.info.id for outline in asked)
    found = {
        outline.info.id: kept[key]
        for outline in asked
        if outline.info.id in untold and (key := key_of(outline)) in kept
    }
    left = [outline for outline in asked if outline.info.id not in found]
    kept_number = len(found)
    for part in _evaluated(store, db, left, _How(outlines[-1].info.id, records), processes):
        found.update(part)
        advance(len(found) - kept_number, len(left))
    return Answered(found, len(set(map(state_key, left))), kept_number)


@dataclass(frozen=True, slots=True)
class _How:
    """How to evaluate: the number of the period's newest snapshot, which looks back far in records, and whether these are asked."""

    newest: int
    records: bool


def _evaluated(
    store: "Store", db: str, left: "Sequence[SnapshotOutline]", how: _How, processes: int
) -> Iterator[Mapping[int, Answer]]:
    """Answers by the number of their snapshot, in the order of time, a stretch at a time."""
    workers = min(processes, len(left) // WORTH_A_PROCESS)
    if workers < 2:
        yield from _here(store, how, left)
        return
    size = -(-len(left) // (workers * _STRETCHES))
    stretches = [left[start : start + size] for start in range(0, len(left), size)]
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
        try:
            yield from pool.map(partial(_stretch, db, how), stretches)
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


def _stretch(db: str, how: _How, outlines: "Sequence[SnapshotOutline]") -> Mapping[int, Answer]:
    """What another process evaluates."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        return {number: answer for found in _here(store, how, outlines) for number, answer in found.items()}


def _here(store: "Store", how: _How, outlines: "Sequence[SnapshotOutline]") -> Iterator[Mapping[int, Answer]]:
    """One snapshot at a time."""
    if not outlines:
        return
    looks = Looks(store, outlines[0].info.cluster, places=False, records=how.records)
    last: tuple[Assessed, Answer] | None = None
    for outline in outlines:
        assessed = looks.at(outline, _look_back(outline.info.id, how.newest))
        same = last is not None and alike(last[0], assessed)
        answer = last[1] if last and same else without_evidence(answer_of(assessed), last[1] if last else None)
        last = assessed, answer
        yield {outline.info.id: answer}


def _look_back(number: int, newest: int) -> timedelta:
    """As in a report, only the newest looks back far."""
    return LOOK_BACK if number == newest else RECENT
