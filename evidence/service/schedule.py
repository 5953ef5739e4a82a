"""Collect, assess, report and archive on a schedule, in one process.

1. One run at a time, in the main thread. Runs that become due meanwhile are left out; the log counts them.
2. A run that fails is recorded in the store as a failed run, said in the log, and tried again when the next is due. Nothing but a signal
   ends the process: a collector that dies of one bad hour leaves a gap for all hours after it. A snapshot that the store does not take waits
   in the spool, and the next run takes it in first.
3. SIGTERM and SIGINT abandon a running run at once and whole: the store rolls its transaction back, a half-written pack is removed, the run
   is recorded as failed, and the process exits 0.
4. Every run collects, and keeps what is said of the snapshot for questions over time. Reports are made in the first run, then once
   `report_every` has gone by, and again at once after one failed. When a run is the first of a calendar period, the period before is reported
   as a whole too.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType

from evidence import pipeline
from evidence.errors import EvidenceError
from evidence.pipeline.log import STDOUT
from evidence.service.period import RollingPeriod, Span
from evidence.service.trigger import Trigger, next_due
from evidence.store.spool import Spool

_NAP_SECONDS = 60.0  # a sleeping machine or a set clock is noticed after at most this
_MOMENT_SECONDS = 0.05


class Stopped(BaseException):
    """A signal asked the process to stop. Like KeyboardInterrupt no error, so that nothing on the way up takes it for one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What each run does."""

    db: str
    spool: Spool
    source: pipeline.FileSource | pipeline.LiveSource
    cluster: str
    intent_path: Path | None
    keep_going: bool
    frameworks: Sequence[str]
    period: RollingPeriod
    report_every: timedelta
    expect_every: timedelta
    archive: Path
    signing: pipeline.Signing
    baseline: str | None = None
    controls_folders: Sequence[Path] = ()


@dataclass(slots=True)
class Progress:
    """What a run has to know of the ones before it. `owed`: finished periods whose report is still to be made."""

    reported_at: datetime | None = None
    owed: list[Span] = field(default_factory=list)


Clock = Callable[[], datetime]
Say = Callable[[str], None]


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGINT raise Stopped, once; what comes after the first cannot disturb the tidying up.

    Python drops what is raised while it runs a finaliser; a Stopped that was lost there is raised again a moment later, by an alarm.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, lambda *_: again(number))
        again(number)

    def again(number: int) -> None:
        raise Stopped(f"stopped by {signal.Signals(number).name}")

    def dropped(what: "sys.UnraisableHookArgs") -> None:
        if isinstance(what.exc_value, Stopped):
            signal.setitimer(signal.ITIMER_REAL, _MOMENT_SECONDS)
        else:
            report(what)

    report, sys.unraisablehook = sys.unraisablehook, dropped
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)


def run_schedule(
    run: Callable[[], object],
    trigger: Trigger,
    *,
    at_once: bool,
    clock: Clock,
    say: Say,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Call `run` whenever it is due, first of all `at_once` if asked, until Stopped is raised or the trigger knows no further time.

    What `run` raises goes up.
    """
    due = clock() if at_once else next_due(trigger, clock())
    while due is not None:
        if clock() < due:
            say(f"next run at {due:%Y-%m-%d %H:%M:%S} UTC")
        while (now := clock()) < due:
            sleep(min((due - now).total_seconds(), _NAP_SECONDS))
        run()
        after = max(clock(), due + timedelta(microseconds=1))
        missed = _times_between(trigger, due, after)
        if missed:
            say(f"{missed} due during that run left out")
        due = next_due(trigger, after)


def _times_between(trigger: Trigger, start: datetime, end: datetime) -> int:
    """How often the trigger was due after `start` and before `end`."""
    count, due = 0, next_due(trigger, start + timedelta(microseconds=1))
    while due is not None and due < end:
        count += 1
        due = next_due(trigger, due + timedelta(microseconds=1))
    return count


def run_once(plan: Plan, progress: Progress, *, clock: Clock, say: Say) -> bool:
    """One run; True when all of it went well. Raises only Stopped and its like."""
    started_at = clock()
    try:
        stored = pipeline.collect_snapshot(
            plan.db,
            plan.source,
            cluster=plan.cluster,
            taken_at=None,
            received_at=started_at,
            intent_path=plan.intent_path,
            keep_going=plan.keep_going,
            command="schedule",
            clock=clock,
            record_failure=True,
            spool=plan.spool,
            note=say,
        )
    except Exception as error:  # noqa: BLE001  (rule 2; the store has the record)
        say(f"failed: {_sentence(error)}")
        return False
    try:
        say(str(stored) + "".join(f"; partial: {line}" for line in stored.shortfalls))
        _assess(plan, started_at, clock, say)
        keep_checkpoint(plan.db, plan.signing.keeping, say)
        _report(plan, progress, started_at, clock, say)
    except BaseException as error:
        progress.reported_at = None
        say(f"report failed: {_sentence(error)}")
        with suppress(EvidenceError):  # neither the store nor the spool takes it: the log has it
            pipeline.record_failed_run(
                plan.db,
                plan.spool,
                cluster=plan.cluster,
                command="schedule",
                started_at=started_at,
                finished_at=clock(),
                message=f"the snapshot is stored, the report failed: {_sentence(error)}",
            )
        if not isinstance(error, Exception):
            raise
        return False
    return True


def _assess(plan: Plan, taken_at: datetime, clock: Clock, say: Say) -> None:
    """Keep what is said of this month's snapshots, for questions over time. Without it these evaluate them again, so a failure fails nothing."""
    try:
        pipeline.assess_new(plan.db, plan.cluster, taken_at, clock)
    except Exception as error:  # noqa: BLE001  (rule 2)
        say(f"not assessed: {_sentence(error)}")


def _report(plan: Plan, progress: Progress, taken_at: datetime, clock: Clock, say: Say) -> None:
    """Make the packs that are due now that a snapshot of `taken_at` is stored (rule 4)."""
    _note_finished_period(plan, progress, taken_at)
    if not progress.owed and progress.reported_at and taken_at - progress.reported_at < plan.report_every:
        return
    for span in list(progress.owed):
        _make_packs(plan, span, clock, say)
        progress.owed.remove(span)
    start, _ = plan.period.running(taken_at)
    _make_packs(plan, (start, taken_at + timedelta(seconds=1)), clock, say)  # up to this snapshot and including it
    progress.reported_at = taken_at


def _note_finished_period(plan: Plan, progress: Progress, taken_at: datetime) -> None:
    """Owe a report of the period before when this snapshot is the first of its own."""
    finished = plan.period.finished(taken_at)
    if finished is None or finished in progress.owed:
        return
    start, end = finished
    before, since = pipeline.snapshot_counts(plan.db, plan.cluster, ((start, end), (end, taken_at)))
    if before and not since:
        progress.owed.append(finished)


def _make_packs(plan: Plan, span: Span, clock: Clock, say: Say) -> None:
    packs = pipeline.make_reports(
        plan.db,
        cluster=plan.cluster,
        frameworks=plan.frameworks,
        period=span,
        archive=plan.archive,
        signing=plan.signing,
        generated_at=clock(),
        expect_every=plan.expect_every,
        baseline=plan.baseline,
        controls_folders=plan.controls_folders,
    )
    for pack in packs:
        counts = ", ".join(f"{number} {verdict}" for verdict, number in pack.verdicts.items() if number)
        say(f"{pack.folder}: {counts}" + "".join(f"; {problem}" for problem in pack.problems))
        if pack.checkpoint:
            say(pack.checkpoint)


def keep_checkpoint(db: str, keeping: pipeline.Keeping, say: Say) -> None:
    """Sign the log's head and keep it as asked; says what could not be had. Raises EvidenceError when it cannot be signed or stored."""
    kept = pipeline.checkpoint(db, keeping)
    if kept is None:
        return
    if STDOUT in keeping.copies:
        say(kept.line)
    for problem in kept.problems:
        say(f"checkpoint: {problem}")


def _sentence(error: BaseException) -> str:
    """An error of ours as it is, any other with its type, so that a person knows where to look."""
    if isinstance(error, EvidenceError | Stopped):
        return str(error)
    return f"{type(error).__name__}: {error}"
