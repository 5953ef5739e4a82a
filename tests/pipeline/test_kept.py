"""What was assessed once is kept, and a question over time takes it where it says what evaluating again would say; nowhere else."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.errors import StoreError, UsageError
from evidence.pipeline import asking, assessing, timeline
from evidence.pipeline.assessing import CATCH_UP, AssessedHistory, assess_history, assess_new
from evidence.pipeline.software import software_digest
from evidence.pipeline.timeline import Timeline, period_timeline
from evidence.store import NewRecord, NewSnapshot, RecordKind, Store, Term
from tests.pipeline.test_imports import hubble, take_in
from tests.pipeline.test_looks import INTENTS, RUN, START, collected, fill, histories

NOW = datetime(2026, 10, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
ALL = START, NOW


def told(db: str, *, afresh: bool = False, processes: int = 1, period: tuple[datetime, datetime] = ALL) -> Timeline:
    return period_timeline(
        db, cluster="prod", period=period, expect_every=timedelta(hours=1), now=period[1], frameworks=("all",),
        afresh=afresh, processes=processes,
    )  # fmt: skip


def keep(db: str) -> AssessedHistory:
    return assess_history(db, cluster="prod", since=None, processes=1, clock=lambda: NOW)


def said(found: Timeline) -> Timeline:
    """All but how it was found out."""
    return replace(found, evaluated=0, kept=0)


def add(store: Store, at: datetime, state: Mapping[str, int], *, late: bool = False) -> None:
    received = NOW if late else at
    store.add_snapshot(NewSnapshot("prod", at, late, received, collected(state), INTENTS[1], RUN))


@pytest.fixture
def db(tmp_path: Path) -> str:
    """Three months in which a policy comes and goes, with a snapshot every two days."""
    path = str(tmp_path / "evidence.db")
    with Store.open(path) as store:
        for number in range(40):
            add(store, START + timedelta(days=2 * number), {"policy 0": 1 + number // 9, "service": number % 3 // 2})
    return path


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_kept_assessments_say_what_evaluating_again_says(
    history: Sequence[tuple[Sequence[tuple[str, int]], int]],
) -> None:
    with TemporaryDirectory() as folder:
        path = f"{folder}/evidence.db"
        with Store.open(path) as store:
            fill(store, history)
        keep(path)
        found = told(path)
        assert found.evaluated == 0
        assert said(found) == said(told(path, afresh=True))


# What comes to a store, of few times around the turn of a month and of few states, so that they meet.
times = st.integers(0, 7).map(lambda number: START + timedelta(days=30, hours=6 * number))
events = st.tuples(
    st.sampled_from(("snapshot", "snapshot", "snapshot", "log", "assess", "prune")), times, st.integers(1, 3)
)


def happen(db: str, folder: Path, what: str, at: datetime, policy: int) -> None:
    with Store.open(db) as store:
        match what:
            case "snapshot":
                add(store, at, {"policy 0": policy})
            case "log":
                take_in(db, folder, *hubble((at - START) / timedelta(days=1), "app"), format_name="hubble")
            case "prune":  # at once, with nothing kept longer for what looks back
                store.retention.prune(at, timedelta(), (Term("pci", 1, "test"),), NOW, RUN)
            case _:
                assess_history(db, cluster="prod", since=START, processes=1, clock=lambda: NOW, most=policy)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, min_size=3, max_size=12))
def test_whatever_comes_late_or_goes_kept_assessments_say_what_evaluating_again_says(
    happened: Sequence[tuple[str, datetime, int]],
) -> None:
    with TemporaryDirectory() as folder:
        path = f"{folder}/evidence.db"
        happen(path, Path(folder), "snapshot", START + timedelta(days=31), 1)
        for event in happened:
            happen(path, Path(folder), *event)
        for _ in range(2):
            assert said(told(path)) == said(told(path, afresh=True))
            keep(path)
        assert keep(path) == replace(keep(path), evaluated=0, kept=0)


def test_what_was_kept_is_not_evaluated_again_and_what_is_new_is(db: str) -> None:
    first = keep(db)
    assert (first.snapshots, first.kept) == (40, 40)  # each is the first of its day
    assert replace(keep(db), snapshots=40) == AssessedHistory("prod", 40, 0, 0)
    with Store.open(db) as store:
        add(store, START + timedelta(days=80), {"policy 0": 1})
    found = told(db)
    assert (found.evaluated, found.kept) == (1, 40)
    assert keep(db).kept == 1
    assert told(db).evaluated == 0


def test_beside_a_new_snapshot_a_little_of_what_is_missing_is_assessed_each_time(tmp_path: Path) -> None:
    path = str(tmp_path / "evidence.db")
    with Store.open(path) as store:
        for number in range(60):
            add(store, START + timedelta(hours=number), {"policy 0": number % 5, "pod 1": number % 4})
    runs = [assess_new(path, "prod", START + timedelta(hours=59), lambda: NOW) for _ in range(4)]
    assert [run.behind for run in runs] == [True, True, False, False]
    assert all(run.kept <= CATCH_UP for run in runs)
    assert told(path).evaluated == 0


def test_what_is_kept_says_when_also_where_it_took_long_and_others_wrote_meanwhile(db: str) -> None:
    hours = count()

    def collect(month: int, months: int, note: str) -> None:
        with Store.open(db) as store:
            add(store, clock(), {"policy 0": month})

    def clock() -> datetime:
        return NOW + timedelta(hours=next(hours))

    assess_history(db, cluster="prod", since=None, processes=1, clock=clock, note=collect)
    with Store.open(db) as store:
        assert store.check().remarks == ()


def test_a_period_begins_amid_what_was_kept(db: str) -> None:
    keep(db)
    period = START + timedelta(days=41, hours=1), START + timedelta(days=71)
    assert said(told(db, period=period)) == said(told(db, period=period, afresh=True))
    assert told(db, period=period).evaluated == 0


def test_of_a_snapshot_that_was_pruned_nothing_is_said(db: str) -> None:
    keep(db)
    before = START + timedelta(days=35)
    with Store.open(db) as store:
        store.retention.prune(before, timedelta(days=92), (Term("pci", 1, "test"),), NOW, RUN)
        assert store.check().problems == ()
    found = told(db)
    assert found.gone is not None
    assert found.moments[0].info.taken_at >= before - timedelta(days=2)  # the state at that time stays
    assert said(found) == said(told(db, afresh=True))


def test_of_other_software_nothing_is_taken(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(db)
    for module in (timeline, assessing):
        monkeypatch.setattr(module, "software_digest", lambda: "ab" * 32)
    found = told(db)
    assert (found.kept, found.evaluated > 0) == (0, True)
    assert keep(db).kept == 40
    assert told(db).evaluated == 0


def test_a_snapshot_entered_between_two_others_is_evaluated_and_kept_alone(db: str) -> None:
    keep(db)
    with Store.open(db) as store:
        add(store, START + timedelta(days=11), {"policy 0": 4, "pod 0": 0}, late=True)
    found = told(db)
    assert found.evaluated > 0
    assert said(found) == said(told(db, afresh=True))
    assert keep(db).kept == 1
    found = told(db)
    assert found.evaluated == 0
    assert said(found) == said(told(db, afresh=True))
    assert keep(db).kept == 0


def test_a_state_entered_later_before_a_snapshot_like_it_is_kept_once(db: str) -> None:
    keep(db)
    with Store.open(db) as store:
        for hour, policy in ((6, 4), (3, 4), (4, 2), (5, 1), (2, 3)):
            add(store, START + timedelta(hours=hour), {"policy 0": policy}, late=True)
            assert keep(db).kept <= 1
            assert keep(db).kept == 0
            found = told(db)
            assert found.evaluated == 0
            assert said(found) == said(told(db, afresh=True))


@pytest.fixture
def busy(tmp_path: Path) -> str:
    """Sixty hours, each of which changes something."""
    path = str(tmp_path / "busy.db")
    with Store.open(path) as store:
        for number in range(60):
            add(store, START + timedelta(hours=number), {"policy 0": number % 5, "pod 1": number % 4})
    return path


@pytest.mark.slow
def test_several_processes_say_what_one_says(busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = told(busy)
    monkeypatch.setattr(asking, "WORTH_A_PROCESS", 30)
    monkeypatch.setattr(asking, "_here", None)  # in this process nothing is evaluated
    assert told(busy, processes=2) == alone


KILLED_AMID = """\
import os, signal, sys
from datetime import timedelta
from multiprocessing import active_children
from evidence.pipeline import asking
from evidence.pipeline.timeline import period_timeline
from tests.pipeline.test_kept import ALL

asking.WORTH_A_PROCESS = 30

def advance(done: int, every: int) -> None:
    if len(active_children()) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

period_timeline(
    sys.argv[1], cluster="prod", period=ALL, expect_every=timedelta(hours=1), now=ALL[1], processes=2, advance=advance
)
"""


@pytest.mark.slow
def test_processes_end_when_the_first_one_was_killed(busy: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AMID, busy], cwd=ROOT, capture_output=True, timeout=60, check=False
    )  # it reads until the last process that can write is gone
    assert killed.returncode == -signal.SIGKILL


def test_a_record_that_is_no_assessment_is_named(db: str) -> None:
    run = replace(RUN, configuration_digest=software_digest())
    with Store.open(db) as store:
        store.add_record(NewRecord("prod", RecordKind.ASSESSMENT, START, START, NOW, {"format": "other"}, run))
    with pytest.raises(StoreError, match="record 1 is no assessment that this version reads"):
        told(db)


def test_where_a_kept_assessment_is_damaged_the_error_says_how_to_do_without(db: str) -> None:
    keep(db)
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE documents SET body = NULL")
    with pytest.raises(StoreError, match=r"record 1 was removed.*; `evidence history --afresh` does without them$"):
        told(db)
    assert told(db, afresh=True).evaluated > 0


def test_a_time_after_the_last_snapshot_has_nothing_to_assess(db: str) -> None:
    with pytest.raises(UsageError, match=r"no snapshot of prod between .*; collect first, or ask for another time$"):
        assess_history(db, cluster="prod", since=NOW, processes=1, clock=lambda: NOW)
