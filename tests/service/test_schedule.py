"""The schedule with a clock of its own and the real pipeline; and as a real process that is told to stop."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evidence import pipeline
from evidence.errors import StoreError
from evidence.sample import intent_path, sample_dumps
from evidence.service.period import parse_period
from evidence.service.schedule import Plan, Progress, Stopped, run_once, run_schedule, stopped_by_signals
from evidence.service.trigger import every
from evidence.store import Store
from tests.store.build import beside

START = datetime(2026, 9, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DUMP = str(sample_dumps()[-1].path)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def runs_until(
    clock: Clock, end: datetime, takes: Callable[[int], timedelta], *, at_once: bool = True
) -> tuple[list[datetime], list[str]]:
    """When an hourly schedule runs if its runs take so long; and its log."""
    times: list[datetime] = []
    said: list[str] = []

    def run() -> None:
        if clock() >= end:
            raise Stopped
        times.append(clock())
        clock.at += takes(len(times))

    with pytest.raises(Stopped):
        run_schedule(run, every(HOUR, START), at_once=at_once, clock=clock, say=said.append, sleep=clock.sleep)
    return times, said


def test_runs_come_at_once_and_then_each_hour() -> None:
    times, said = runs_until(Clock(), START + 3 * HOUR, lambda _: timedelta(minutes=1))
    assert times == [START, START + HOUR, START + 2 * HOUR]
    assert said[0] == "next run at 2026-09-30 13:00:00 UTC"


def test_runs_that_become_due_during_a_long_one_are_left_out_and_counted() -> None:
    times, said = runs_until(Clock(), START + 6 * HOUR, lambda number: timedelta(hours=3.5 if number == 1 else 0.1))
    assert times == [START, START + 4 * HOUR, START + 5 * HOUR]
    assert "3 due during that run left out" in said


def test_a_schedule_that_is_not_to_run_at_once_waits_for_its_time() -> None:
    times, _ = runs_until(Clock(START + timedelta(minutes=1)), START + 2 * HOUR, lambda _: timedelta(0), at_once=False)
    assert times == [START + HOUR]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        db=str(tmp_path / "evidence.db"),
        spool=beside(str(tmp_path / "evidence.db")),
        source=pipeline.FileSource([DUMP]),
        cluster="shop",
        intent_path=intent_path(),
        keep_going=False,
        frameworks=("pci",),
        period=parse_period("quarter"),
        report_every=timedelta(days=1),
        expect_every=HOUR,
        archive=tmp_path / "archive",
        signing=pipeline.Signing(None, None, pipeline.Keeping(tmp_path / "keys")),
    )


def packs(plan: Plan) -> list[str]:
    return sorted(path.parent.name for path in plan.archive.glob("*/manifest.json"))


@pytest.mark.slow
def test_the_first_run_reports_and_the_next_report_waits_its_time(plan: Plan) -> None:
    clock, said, progress = Clock(), list[str](), Progress()
    for _ in range(2):
        assert run_once(plan, progress, clock=clock, say=said.append), said
        clock.at += HOUR
    assert packs(plan) == ["pci_shop_2026-07-01_2026-09-30"]
    assert (plan.archive / "index.html").is_file()
    with Store.open(plan.db) as store:
        runs = store.runs("shop", START, clock())
    assert [(run.outcome, run.run.command) for run in runs] == [("stored", "schedule")] * 2
    told = pipeline.period_timeline(plan.db, cluster="shop", period=None, expect_every=HOUR, now=clock())
    assert (told.snapshots, told.evaluated) == (2, 0)


@pytest.mark.slow
def test_the_first_run_of_a_quarter_reports_the_one_before_as_a_whole(plan: Plan) -> None:
    clock, said, progress = Clock(), list[str](), Progress(reported_at=START)
    run_once(plan, progress, clock=clock, say=said.append)  # nothing is due yet
    assert packs(plan) == []
    clock.at = datetime(2026, 10, 1, 0, 7, tzinfo=UTC)
    assert run_once(plan, progress, clock=clock, say=said.append), said
    assert packs(plan) == ["pci_shop_2026-07-01_2026-09-30", "pci_shop_2026-10-01_2026-10-01"]
    assert progress.owed == []


def test_a_run_that_fails_is_recorded_and_the_next_one_goes_well(plan: Plan, tmp_path: Path) -> None:
    clock, said, progress = Clock(), list[str](), Progress(reported_at=START)
    missing = replace(plan, source=pipeline.FileSource([str(tmp_path / "nowhere.yaml")]))
    assert not run_once(missing, progress, clock=clock, say=said.append)
    clock.at += HOUR
    assert run_once(plan, progress, clock=clock, say=said.append)
    with Store.open(plan.db) as store:
        runs = store.runs("shop", START, START + 2 * HOUR)
    assert [run.outcome for run in runs] == ["failed", "stored"]
    assert "nowhere.yaml" in runs[0].message
    assert "nowhere.yaml" in said[0]


def test_a_report_that_fails_is_recorded_beside_its_snapshot_and_tried_again(plan: Plan) -> None:
    clock, said, progress = Clock(), list[str](), Progress()
    plan.archive.write_text("a file where the folder should be", encoding="utf-8")
    assert not run_once(plan, progress, clock=clock, say=said.append)
    with Store.open(plan.db) as store:
        runs = store.runs("shop", START, START + HOUR)
    assert sorted(run.outcome for run in runs) == ["failed", "stored"]
    assert any("the snapshot is stored, the report failed" in run.message for run in runs)
    assert progress.reported_at is None


def test_a_store_that_is_away_does_not_end_the_process(plan: Plan, tmp_path: Path) -> None:
    said: list[str] = []
    away = replace(plan, db=str(tmp_path / "nowhere" / "evidence.db"))
    assert not run_once(away, Progress(), clock=Clock(), say=said.append)
    assert "cannot be opened" in said[0]


def test_an_error_that_nobody_foresaw_does_not_end_the_process(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("evidence.pipeline.snapshots.read_source", broken)
    said: list[str] = []
    assert not run_once(plan, Progress(), clock=Clock(), say=said.append)
    assert said == ["failed: KeyError: 'surprise'"]
    with Store.open(plan.db) as store:
        assert [run.message for run in store.runs("shop", START, START + HOUR)] == ["'surprise'"]


def test_a_signal_during_the_collection_leaves_a_failed_run_and_no_snapshot(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr("evidence.pipeline.snapshots.read_source", interrupted)
    with pytest.raises(Stopped, match="SIGTERM"), stopped_by_signals():
        run_once(plan, Progress(), clock=Clock(), say=lambda _: None)
    with Store.open(plan.db) as store:
        assert [(run.outcome, run.message) for run in store.runs("shop", START, START + HOUR)] == [
            ("failed", "stopped by SIGTERM")
        ]


def test_a_snapshot_that_the_store_does_not_take_is_taken_in_by_the_next_run(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = Clock(), list[str]()
    monkeypatch.setattr("evidence.service.schedule._report", lambda *_: None)

    def away(*_: object, **__: object) -> None:
        raise StoreError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "open", away)
        assert not run_once(plan, Progress(), clock=clock, say=said.append)
    assert said[-1].startswith(
        "failed: the store is away; the snapshot of shop taken 2026-09-30 12:00:00 UTC waits in "
    )
    clock.at += HOUR
    assert run_once(plan, Progress(), clock=clock, say=said.append)
    with Store.open(plan.db) as store:
        found = store.snapshots("shop", START, START + 2 * HOUR)
        assert [(info.taken_at, info.spooled) for info in found] == [(START, True), (START + HOUR, False)]
        assert store.failed_runs("shop", START, START + 2 * HOUR) == ()


class Process:
    """`evidence schedule` as a real process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evidence", "schedule", "--cluster", "shop", "--from", DUMP, "--intent", str(intent_path()),
             "--framework", "pci", "--db", str(folder / "evidence.db"), "--archive", str(folder / "archive"),
             "--keys", str(folder / "keys"), *arguments],
            cwd=Path(__file__).resolve().parent.parent.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.lines: list[str] = []

    def wait_for(self, pattern: str) -> None:
        """Read the log up to a line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError(f"{pattern} never came:\n{''.join(self.lines)}")

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        self.lines += rest.splitlines(keepends=True)
        return self.process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_waits_stops_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process = Process(tmp_path, "--cron", "0 0 1 1 *")
    process.wait_for("next run at")
    assert process.stop(number) == 0, process.lines
    assert f"stopped by {number.name}" in process.lines[-1]


def test_a_signal_that_comes_while_a_finaliser_runs_stops_all_the_same() -> None:
    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        Finalised()  # what its finaliser raises is dropped
        time.sleep(30)

    with pytest.raises(Stopped, match="SIGTERM"), stopped_by_signals():
        work()


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_in_the_middle_of_a_report_leaves_whole_things_only(tmp_path: Path) -> None:
    process = Process(tmp_path, "--every", "1h")
    process.wait_for("snapshot 1 of shop")  # the report has begun
    assert process.stop(signal.SIGTERM) == 0, process.lines
    assert "stopped by SIGTERM" in process.lines[-1]
    assert [path.name for path in (tmp_path / "archive").glob("*")] == []
    with Store.open(str(tmp_path / "evidence.db")) as store:
        assert store.check().problems == ()
        info = store.latest("shop")
        runs = store.runs("shop", info.taken_at, info.taken_at + HOUR)
    assert sorted(run.outcome for run in runs) == ["failed", "stored"]
    assert any("stopped by SIGTERM" in run.message for run in runs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cluster", "shop"), "either --every or --cron"),
        (("--cluster", "shop", "--every", "1h", "--cron", "* * * * *"), "either --every or --cron"),
        (("--cluster", "shop", "--cron", "* * * *"), "five fields"),
        (("--cluster", "shop", "--cron", "* * * * *", "--timezone", "Mars/Base"), "Mars/Base"),
        (("--cluster", "shop", "--every", "1h", "--period", "week"), "month, quarter, year"),
        (("--cluster", "shop", "--every", "1h", "--from", "-"), "only once"),
        (("--cluster", "shop", "--every", "1h", "--from", "x", "--in-cluster"), "--from reads files"),
        (("--cluster", "shop", "--every", "1h", "--framework", "nis2"), "there is no framework 'nis2'"),
        (("--every", "1h"), "--cluster"),
    ],
)
def test_what_could_never_run_is_refused_at_the_start(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from evidence.cli.main import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["schedule", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
