"""Retention by framework, and what is said of a period of which something was pruned: never that there was nothing."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence import pipeline
from evidence.errors import StoreError, UsageError
from evidence.pipeline.looks import outlines_of
from evidence.pipeline.retention import gone_in, prune, retention_policy
from evidence.sample import intent_path, sample_dumps
from evidence.store import Store
from evidence.store.retention import months_before
from tests.cli.run import evidence
from tests.conftest import ROOT

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
DUMPS = [str(dump.path) for dump in sample_dumps()]
PERIOD = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


def day(number: float) -> datetime:
    return datetime(2025, 8, 31, 13, tzinfo=UTC) + timedelta(days=number)


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A snapshot every ten days from 31 August 2025 on; PCI keeps those from 30 September 2025 noon on."""
    found = str(tmp_path / "evidence.db")
    for number in range(8):
        pipeline.collect_snapshot(
            found,
            pipeline.FileSource([DUMPS[number % 2]]),
            cluster="shop",
            taken_at=None,
            received_at=day(10 * number),
            intent_path=intent_path(),
            keep_going=False,
        )
    return found


def pruned(db: str) -> str:
    assert prune(db, retention_policy(["pci"], [], NOW, None), NOW) is not None
    return db


# -- the policy -------------------------------------------------------------------------------------------------------


def test_the_longest_retention_of_the_frameworks_counts() -> None:
    assert retention_policy(["all"], [], NOW, None).before == datetime(2020, 9, 30, 12, tzinfo=UTC)
    assert retention_policy(["pci"], [], NOW, None).before == datetime(2025, 9, 30, 12, tzinfo=UTC)
    both = retention_policy(["pci", "fedramp"], [], NOW, None)
    assert (both.before, [term.framework for term in both.terms]) == (
        datetime(2024, 3, 30, 12, tzinfo=UTC),
        ["fedramp", "pci"],
    )


def test_a_user_may_set_another_retention_and_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        'overrides: fedramp-rev5\nretention: {months: 40, source: "records schedule"}\n'
    )
    found = retention_policy(["pci", "fedramp"], [tmp_path], NOW, None)
    assert found.before == datetime(2023, 5, 30, 12, tzinfo=UTC)
    assert found.terms[0].source == f"records schedule ({tmp_path / 'mine.yaml'})"


def test_an_earlier_time_may_be_given_and_no_later_one() -> None:
    earlier = datetime(2019, 1, 1, tzinfo=UTC)
    assert retention_policy(["all"], [], NOW, earlier).before == earlier
    with pytest.raises(UsageError, match="later than retention allows: hipaa keeps 72 months"):
        retention_policy(["all"], [], NOW, datetime(2021, 1, 1, tzinfo=UTC))


def test_a_framework_that_says_nothing_keeps_nothing_and_cannot_be_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        'framework: {id: house, short: house, title: House, version: "1"}\n'
        'controls: [{id: "H-1", title: a, summary: b, cadence: c}]\n'
    )
    assert retention_policy(["pci", "house"], [tmp_path], NOW, None).silent == ("house",)
    with pytest.raises(UsageError, match="house does not say how long evidence is kept"):
        retention_policy(["house"], [tmp_path], NOW, None)


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year > 25), st.integers(1, 240))
def test_months_before_go_back_by_the_calendar(moment: datetime, months: int) -> None:
    found = months_before(moment, months)
    assert (moment.year - found.year) * 12 + moment.month - found.month == months
    assert found.day == moment.day or (found.day < moment.day and (found + timedelta(days=1)).day == 1)
    assert found.time() == moment.time()


# -- questions about a period of which something is gone --------------------------------------------------------------


def test_a_history_says_what_is_not_available_and_covers_none_of_it(db: str) -> None:
    before = pipeline.period_timeline(db, cluster=None, period=PERIOD, expect_every=timedelta(days=10), now=NOW)
    pruned(db)
    found = pipeline.period_timeline(db, cluster=None, period=PERIOD, expect_every=timedelta(days=10), now=NOW)
    assert found.gone is not None
    assert (before.snapshots, found.snapshots, len(found.gone.numbers)) == (8, 5, 3)
    assert before.gone is None
    assert (found.moments[0].info.taken_at, found.moments[0].first) == (day(30), True)
    assert found.coverage.share < before.coverage.share
    assert str(found.gone) == (
        "3 snapshots, taken 2025-08-31 13:00 UTC to 2025-09-20 13:00 UTC, are no longer available: they were pruned on 2026-09-30 12:00 UTC, "
        "and their digests kept"
    )
    ran = evidence("history", "--db", db, "--period", "2025-01-01..2025-12-31", "--expect-every", "10d")
    assert "2025-08-31 13:00  ! 3 snapshots, taken 2025-08-31" in ran.out
    told = evidence("history", "--db", db, "--period", "2025-01-01..2025-12-31", "--format", "json")
    assert json.loads(told.out)["pruned"]["snapshots"] == 3


def test_a_period_of_which_everything_is_gone_is_not_one_in_which_nothing_was(db: str, tmp_path: Path) -> None:
    pruned(db)
    for command in (["history"], ["report", "--framework", "pci", "--archive", tmp_path / "a", "--keys", tmp_path]):
        ran = evidence(*command, "--db", db, "--period", "2025-08-01..2025-09-29")
        assert ran.code == 3
        assert "any more (not determined): 3 snapshots, taken 2025-08-31" in ran.err
        ran = evidence(*command, "--db", db, "--period", "2025-01-01..2025-01-31")
        assert ran.code == 2
        assert "there is no snapshot of shop" in ran.err


def test_a_snapshot_that_is_gone_says_so_wherever_it_is_asked_for(db: str) -> None:
    pruned(db)
    for command in (["diff", "1", "5"], ["assess", "--at", "2025-09-01"], ["reach", "matrix", "--at", "2025-09-01"]):
        ran = evidence(*command, "--db", db)
        assert ran.code == 3
        assert "it was pruned on 2026-09-30 12:00 UTC (prune 1): its content is not available any more" in ran.err
    assert evidence("diff", "5", "6", "--db", db).code == 0


@pytest.mark.slow
def test_a_report_says_what_is_gone_of_its_period(db: str, tmp_path: Path) -> None:
    period = ("--period", "2025-08-25..2025-11-15", "--expect-every", "11d", "--archive", tmp_path / "archive")
    pruned(db)
    assert evidence("report", "--framework", "hipaa", *period, "--keys", tmp_path / "keys", "--db", db).code == 0
    [pack] = (tmp_path / "archive").glob("hipaa*")
    document = json.loads((pack / "evidence.json").read_text())
    assert document["population"]["coverage"]["pruned"].startswith("3 snapshots, taken 2025-08-31")
    assert len(document["population"]["snapshots"]) == 5
    page = (pack / "index.html").read_text()
    assert "and their digests kept. No control is called supported for the period." in " ".join(page.split())
    assert evidence("db", "check", "--db", db, "--keys", tmp_path / "keys").code == 0


def test_a_period_leaves_out_what_is_gone(db: str) -> None:
    pruned(db)
    with Store.open(db, read_only=True) as store:
        assert [one.info.taken_at for one in outlines_of(store, "shop", PERIOD)] == [
            day(10 * number) for number in range(3, 8)
        ]
        gone = gone_in(store, "shop", PERIOD)
        assert gone is not None
        assert gone.numbers == {1, 2, 3}
        with pytest.raises(StoreError, match="not determined"):
            outlines_of(store, "shop", (PERIOD[0], day(29)))


# -- the commands -----------------------------------------------------------------------------------------------------


def test_a_plan_is_shown_and_nothing_dropped_without_a_yes(db: str) -> None:
    shown = evidence("db", "prune", "--db", db, "--framework", "pci", "--before", "2025-09-15", "--dry-run")
    assert shown.code == 0
    assert "shop: 2 snapshots (2025-08-31 13:00 to 2025-09-10 13:00), 0 records" in shown.out
    assert "pci      12 months" in shown.out
    asked = evidence("db", "prune", "--db", db, "--framework", "pci", "--before", "2025-09-15")
    assert asked.code == 2
    assert "give --yes" in asked.err
    with Store.open(db, read_only=True) as store:
        assert store.retention.prunes() == ()


def test_a_prune_from_a_job_is_signed_and_check_tells_of_it(db: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    evidence("db", "checkpoint", "--db", db, "--keys", keys)
    held = evidence("db", "hold", "add", "--reason", "case 7", "--from", "2025-09-01", "--to", "2025-09-15", "--db", db)
    assert "hold 1: all clusters, from 2025-09-01 00:00 to before 2025-09-16 00:00: case 7 (" in held.out
    arguments = ("--framework", "pci", "--before", "2025-09-25", "--db", db, "--keys", keys)
    done = evidence("db", "prune", *arguments, "--yes", "--format", "json")
    told = json.loads(done.out)
    assert (told["to_drop"]["snapshot"], told["clusters"][0]["kept_by_a_hold"], told["holds"]) == (1, 2, [1])
    assert told["prune"]["dropped"] == {kind: number for kind, number in told["to_drop"].items() if number}
    checked = evidence("db", "check", "--db", db, "--keys", keys)
    assert checked.code == 0
    assert "under 2 checkpoints: all as stored" in checked.out
    assert "(pci 12 months): 1 snapshot from before 2025-09-25 00:00; bodies that are gone: " in checked.out
    released = evidence("db", "hold", "release", "1", "--reason", "settled", "--db", db)
    assert "; released: settled (" in released.out
    listed = json.loads(evidence("db", "hold", "list", "--format", "json", "--db", db).out)
    assert [(one["number"], one["reason"], one["released"]["reason"]) for one in listed] == [(1, "case 7", "settled")]
    again = evidence("db", "prune", *arguments, "--yes")
    assert "dropped: 2 snapshots" in again.out
    assert "nothing to drop" in evidence("db", "prune", *arguments, "--yes").out


def at_a_terminal(answer: bytes, *arguments: str) -> tuple[int, str]:
    """The command with somebody at a terminal who types the answer; its exit code, and what it wrote."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = subprocess.run(
        [sys.executable, "-m", "evidence", *arguments],
        stdin=theirs,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    os.close(ours)
    os.close(theirs)
    return done.returncode, done.stdout + done.stderr


def test_at_a_terminal_it_asks_and_heeds_the_answer(db: str) -> None:
    arguments = ("db", "prune", "--db", db, "--framework", "pci", "--before", "2025-09-15")
    code, said = at_a_terminal(b"n\n", *arguments)
    assert (code, "Drop it? It cannot be undone" in said, "nothing was dropped" in said) == (1, True, True)
    with Store.open(db, read_only=True) as store:
        assert store.retention.prunes() == ()
    code, said = at_a_terminal(b"y\n", *arguments)
    assert (code, "dropped: 2 snapshots" in said) == (0, True)
    with Store.open(db, read_only=True) as store:
        assert len(store.retention.prunes()) == 1
