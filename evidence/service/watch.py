"""Follow a live cluster and store a snapshot as soon as what is reachable changes.

1. The first snapshot is taken at once, then one every so often, whether anything changed or not, and one at each change of what may connect.
2. Changes are gathered for a moment and taken in their order. A state in between is judged on its own where it would be lost otherwise: an
   object that changes again ends a state, and so does each policy and each namespace, while there are few of them. So what was open for a
   second only is on record.
3. What is not known is put on record too, as a run that failed: the time from the last run on record to the first snapshot, and the time in
   which changes of a kind could not be seen.
4. A snapshot is stored whole or not at all. While the store is away snapshots wait in the spool, and the store is asked again each minute. Where
   nothing can be spooled either the watch waits, and the server keeps the changes for a while.
5. A watch that ends once it has begun is begun again after a pause. SIGTERM and SIGINT end the process.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from evidence.cluster.objects import Collection, ObjectKey
from evidence.collect.follow import Follower
from evidence.collect.watch import Event, Relisted, Seen
from evidence.errors import CollectError, EvidenceError, SpooledError, StoreError
from evidence.pipeline import snapshots, sources, spooling, watching
from evidence.pipeline.log import Keeping
from evidence.service.schedule import Clock, Say, Stopped, keep_checkpoint
from evidence.store.spool import Spool

GATHER = timedelta(seconds=1)
MOST_GATHERED = 500  # events; then they are looked at, however many more come
SINGLY = 20  # so many policies and namespaces at once are judged each on its own
_NEW_KINDS = timedelta(seconds=3)  # from a new definition until its kind is served
_NAP_SECONDS = 5.0  # a set clock is noticed after at most this
_PAUSES = (2.0, 60.0)  # the first and the longest between two tries
_ASK_AGAIN = timedelta(minutes=1)  # a store that did not take a snapshot
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched, and where it is put on record. `every`: how often a snapshot is stored though nothing changed; `keeping`: how the log
    over the snapshots is signed."""

    db: str
    spool: Spool
    source: sources.LiveSource
    cluster: str | None
    intent_path: Path | None
    every: timedelta
    keeping: Keeping


def run_watch(plan: Plan, *, clock: Clock, say: Say, sleep: Callable[[float], None] = time.sleep) -> None:
    """Watch until Stopped is raised. Raises EvidenceError when the first snapshot cannot be stored; later trouble is waited for."""
    name, until, begun, pause = plan.cluster or "", clock(), False, _PAUSES[0]
    while True:
        watch: Watch | None = None
        try:
            follower, own_name = watching.follow(plan.source, clock)
            try:
                name = name or own_name
                if not name:
                    raise CollectError("the cluster has no name here; give one with --cluster NAME")
                watch = Watch(plan, name, follower, clock, say, sleep)
                watch.begin(until if begun else None)
                begun, pause = True, _PAUSES[0]
                watch.go_on()
            finally:
                follower.wire.close()
                until = watch.until if watch else until
        except EvidenceError as error:
            if name and (watch or not begun):  # the first of a row of failures: the next watch records how long it took
                _record(plan, name, until, clock(), str(error))
            if not begun:
                raise
            say(f"the watch ended: {error}; next try in {pause:.0f} s")
        except Stopped as stop:
            if name:
                _record(plan, name, until, clock(), str(stop))
            raise
        sleep(pause)
        pause = min(2 * pause, _PAUSES[1])


def _record(plan: Plan, name: str, since: datetime, until: datetime, message: str) -> None:
    with suppress(EvidenceError):  # neither the store nor the spool takes it: the log has it
        snapshots.record_failed_run(
            plan.db,
            plan.spool,
            cluster=name,
            command=watching.COMMAND,
            started_at=since,
            finished_at=until,
            message=message,
        )


@dataclass(slots=True)
class Watch:
    """One connection's watch. `until`: what was seen up to then is on record as far as it has to be."""

    plan: Plan
    name: str
    follower: Follower
    clock: Clock
    say: Say
    sleep: Callable[[float], None]
    until: datetime = field(init=False)
    _judge: watching.Judge = field(init=False)
    _stored_at: datetime = field(init=False)
    _due: datetime = field(init=False)
    _new_kinds_at: datetime | None = None
    _ask_again_at: datetime | None = None  # the store, while something waits for it

    def __post_init__(self) -> None:
        self.until = self._due = self.clock()
        self._stored_at = self.until - _TICK

    def begin(self, seen_until: datetime | None) -> None:
        """Record what is not known of the time before, and store the first snapshot. Raises EvidenceError.

        `seen_until`: until when an earlier watch of this process had looked; without one only the store knows.
        """
        collection = self.follower.collection()
        last = seen_until
        try:
            spooling.take_in(self.plan.db, self.plan.spool, self.clock, self.say)
            last = watching.last_on_record(self.plan.db, self.name, self.until)
        except StoreError:
            if seen_until is None:
                self._store(collection, self.until, "taken as the watch could not begin", patient=False)
                raise
        if last is not None and last < self.until:
            message = (
                f"not known to have been watched {_span(last, self.until)}: what came and went then is not on record"
            )
            snapshots.record_failed_run(
                self.plan.db,
                self.plan.spool,
                cluster=self.name,
                command=watching.COMMAND,
                started_at=last,
                finished_at=self.until,
                message=message,
            )
        self._judge = watching.Judge(collection)
        self._store(collection, self.until, "the watch begins", patient=seen_until is not None)

    def go_on(self) -> None:
        """Take events until Stopped is raised. Raises EvidenceError for what ends the watch."""
        gathered: list[Event] = []
        look_at = self._due
        while True:
            now = self.clock()
            if gathered and (now >= min(look_at, self._due) or len(gathered) >= MOST_GATHERED):
                self.take(gathered)
                gathered = []
            if now >= self._due or (self._new_kinds_at and now >= self._new_kinds_at):
                self._new_kinds_at = None
                if self._judge.bears(self.follower.look_again().objects):
                    self._look(self.clock())
            if self._ask_again_at and now >= self._ask_again_at:
                self._ask_again()
            if now >= self._due:
                self.until = self.clock()
                self._store(self.follower.collection(), self.until, "regular")
            wait_until = min(look_at, self._due) if gathered else self._due
            seconds = (min(wait_until, self._new_kinds_at or wait_until) - now).total_seconds()
            event = self.follower.wire.next(min(seconds, _NAP_SECONDS))
            if event is not None:
                gathered.append(event)
                look_at = self.clock() + GATHER if len(gathered) == 1 else look_at
            elif not gathered:
                self.until = now

    def take(self, events: Sequence[Event]) -> None:
        """Take what is held forward by some events, and store the states on the way that allow something else."""
        for state in states(events):
            bears = False
            for event in state:
                applied = self.follower.apply(event)
                if applied.unseen_since and isinstance(event, Relisted):
                    kind = event.served.kind.name
                    message = (
                        f"changes of {kind} could not be seen {_span(applied.unseen_since, event.at)}: "
                        "the server no longer knew where the watch had been"
                    )
                    _record(self.plan, self.name, applied.unseen_since, event.at, message)
                    self.say(message)
                if isinstance(event, Seen) and event.key.kind == "CustomResourceDefinition":
                    self._new_kinds_at = self.clock() + _NEW_KINDS
                bears = bears or self._judge.bears(applied.objects)
            if bears:
                self._look(state[-1].at)
            self.until = state[-1].at

    def _look(self, at: datetime) -> None:
        """Store what is held if it allows other connections than what was looked at before."""
        collection = self.follower.collection()
        try:
            changed = self._judge.changed(collection)
        except Exception as error:  # noqa: BLE001  (a state that cannot be judged is kept, and the next one judged against it)
            self.say(f"a change could not be judged, and is stored: {type(error).__name__}: {error}")
            self._judge, changed = watching.Judge(collection), True
        if changed:
            self._store(collection, at, "what is reachable changed")

    def _store(self, collection: Collection, taken_at: datetime, why: str, *, patient: bool = True) -> None:
        """Store a state, or leave it in the spool; wait where neither goes. Raises InputError for what no store takes.

        Not `patient`: raises StoreError, also when it waits in the spool.
        """
        taken_at = max(taken_at, self._stored_at + _TICK)
        pause = _PAUSES[0]
        while True:
            try:
                stored = watching.store_state(
                    self.plan.db,
                    self.name,
                    collection,
                    taken_at,
                    self.plan.intent_path,
                    self.clock,
                    self.plan.spool,
                    self.say,
                )
                said = f"{stored}; {why}" + "".join(f"; partial: {line}" for line in stored.shortfalls)
                self._ask_again_at = None
                break
            except StoreError as error:
                if not patient:
                    raise
                if isinstance(error, SpooledError):
                    said = f"not stored yet: {error}"
                    self._ask_again_at = self.clock() + _ASK_AGAIN
                    break
                self.say(f"not stored yet: {error}; next try in {pause:.0f} s")
                self.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])
        self._stored_at = taken_at
        self._due = self.clock() + self.plan.every
        self.say(said)
        if self._ask_again_at is None:
            self._keep_checkpoint()

    def _ask_again(self) -> None:
        try:
            spooling.take_in(self.plan.db, self.plan.spool, self.clock, self.say)
            self._ask_again_at = None
        except StoreError:
            self._ask_again_at = self.clock() + _ASK_AGAIN
        else:
            self._keep_checkpoint()

    def _keep_checkpoint(self) -> None:
        try:
            keep_checkpoint(self.plan.db, self.plan.keeping, self.say)
        except EvidenceError as error:  # the snapshot is stored; the next checkpoint covers it too
            self.say(f"no checkpoint: {error}")


def _span(start: datetime, end: datetime) -> str:
    return f"from {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"


def states(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events in groups, each of which leads to a state that is judged (rule 2)."""
    singly = sum(_decides(event) for event in events) <= SINGLY
    group: dict[ObjectKey, Event] = {}
    for event in events:
        if not isinstance(event, Seen) or event.key in group or (singly and _decides(event)):
            if group:
                yield list(group.values())
            group = {}
        if isinstance(event, Seen) and not (singly and _decides(event)):
            group[event.key] = event
        else:
            yield [event]
    if group:
        yield list(group.values())


def _decides(event: Event) -> bool:
    """Whether an object may by itself open or close connections of pods that stay as they are: a policy, or a namespace by its labels."""
    return isinstance(event, Seen) and (event.served.kind.is_policy or event.key.kind == "Namespace")
