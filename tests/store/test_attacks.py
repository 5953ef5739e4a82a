"""What somebody who may write to the database, and has a program of their own but not the log's key, can do behind a checkpoint that was kept.

Everything here is done with its entry of the log, as the store itself would: nothing shows by a digest that does not match.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evidence.errors import InputError
from evidence.log.checkpoint import signed_checkpoint, verifier_of
from evidence.log.entries import EntryKind, tree_head
from evidence.store import NewHold, NewRecord, RecordKind, Store
from evidence.store.database import connect, parse_url, writing
from evidence.store.prune import BODIES
from evidence.store.retention import dropped_digest, enter
from evidence.store.spool import FORMAT, deposit
from evidence.store.tables import DroppedRow
from tests.cli.run import evidence
from tests.log.build import KEY
from tests.store.build import NOON, RUN, beside, hours, item, snapshot
from tests.store.rows import run
from tests.store.test_log import by_hand

LATER = hours(24 * 400)
Things = list[tuple[str, str]]


@pytest.fixture
def kept(store: Store) -> str:
    """A checkpoint of a store of three snapshots and a probe run, a day apart, and of a hold on the first two of them."""
    for number in range(3):
        store.add_snapshot(snapshot(item("db", image=f"db:{number}"), at=hours(24 * number), intent=b"zones: []"))
    store.add_record(NewRecord("prod", RecordKind.PROBE_RUN, hours(1), hours(2), hours(49), {"open": 1}, RUN))
    store.retention.add_hold(NewHold("case 12", "prod", hours(12), hours(30)), hours(50), RUN)
    return signed_checkpoint(tree_head(store.log_entries()), KEY)


def problems(store: Store, kept: str) -> tuple[str, ...]:
    return store.check([verifier_of(KEY.public_key())], [kept]).problems


def of_snapshot(db: str, number: int) -> Things:
    """A snapshot, and the object that it alone has."""
    query = (
        "SELECT root_digest, (SELECT digest FROM intervals WHERE first_id = snapshots.id) FROM snapshots WHERE id = :id"
    )
    [(root, body)] = run(db, query, {"id": number})
    return [("object", bytes(body).hex()), ("snapshot", bytes(root).hex())]


def of_record(db: str) -> Things:
    [(found, document)] = run(db, "SELECT record_digest, document_digest FROM records")
    return [("document", bytes(document).hex()), ("record", bytes(found).hex())]


def forged_prune(db: str, things: Things, made_at: datetime = LATER, **said: Any) -> int:
    """A prune that nobody made: its act, its entry of the log and its list; the bodies are gone. `said`: what its statement says."""
    dropped, counts = dropped_digest(things)
    statement: Mapping[str, Any] = {
        "before": "2026-08-01T00:00:00.000000+00:00",
        "policy": [{"framework": "pci", "months": 12, "source": "10.5.1"}],
        "holds": [],
        "counts": dict(counts),
        "dropped": dropped,
        **said,
    }
    engine = connect(parse_url(db), 5)
    with writing(engine, db, "retention", 5) as connection:
        act = enter(connection, EntryKind.PRUNE, made_at, statement, RUN)
        for kind, digest in things:
            connection.execute(
                DroppedRow.__table__.insert().values(kind=kind, digest=digest, prune_id=act.id)  # type: ignore[attr-defined]
            )
            for table in (table for one, table in BODIES.items() if one.value == kind):
                connection.execute(
                    table.__table__.update().where(table.digest == digest).values(body=None)  # type: ignore[attr-defined]
                )
    engine.dispose()
    return act.id


def test_a_forged_prune_that_says_it_came_before_the_hold_it_did_not_heed_shows(
    store: Store, db: str, kept: str
) -> None:
    """No hash covers the number of an act; the order of the log does."""
    number = forged_prune(db, of_snapshot(db, 1))
    by_hand(
        db,
        "UPDATE retention_acts SET id = -1 WHERE id = :old",
        "UPDATE dropped SET prune_id = -1",
        "UPDATE log_entries SET row_id = -1 WHERE kind = 'prune'",
        old=number,
    )
    assert problems(store, kept) == (
        "the log: prunes, legal holds and releases are numbered in another order than they came in",
    )


def holds_of(store: Store) -> list[str]:
    return [hold.act.digest for hold in store.retention.holds()]


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "snapshot 1 of prod was under hold 1"), (2, "snapshot 2 of prod was under hold 1")],
    ids=["the state in which the period began", "one of the period"],
)
def test_a_forged_prune_of_what_a_hold_covers_shows(store: Store, db: str, kept: str, number: int, said: str) -> None:
    forged_prune(db, of_snapshot(db, number), holds=holds_of(store))
    assert problems(store, kept) == (f"prune 2: {said}",)


def test_a_forged_prune_of_a_record_under_a_hold_shows(store: Store, db: str, kept: str) -> None:
    store.retention.add_hold(NewHold("case 13"), hours(51), RUN)
    forged_prune(db, of_record(db), holds=holds_of(store))
    assert "prune 3: record 1 of prod was under hold 2" in problems(store, kept)


def test_a_forged_prune_of_a_record_alone_shows_while_snapshots_look_back_at_it(
    store: Store, db: str, kept: str
) -> None:
    """It may be what refutes a control; the snapshots that would miss it are all there. The first two are held, so they do not count."""
    store.retention.release_hold(1, "closed", hours(52), RUN)
    forged_prune(db, of_record(db))
    assert problems(store, kept) == ("prune 3: record 1 of prod is younger than what it was to drop",)


def test_a_forged_prune_of_the_newest_snapshot_shows(store: Store, db: str, kept: str) -> None:
    forged_prune(db, of_snapshot(db, 3), holds=holds_of(store))
    assert problems(store, kept) == ("prune 2: snapshot 3 of prod was the newest, which is never dropped",)


@pytest.mark.parametrize("months", [13, 12])
def test_a_forged_prune_of_what_its_own_policy_keeps_shows(store: Store, db: str, kept: str, months: int) -> None:
    store.retention.release_hold(1, "closed", hours(52), RUN)
    policy = [{"framework": "pci", "months": months, "source": "10.5.1"}]
    before = "2099-01-01T00:00:00.000000+00:00" if months == 12 else "2026-07-29T00:00:00.000000+00:00"
    forged_prune(db, of_snapshot(db, 1), policy=policy, before=before)
    [problem] = problems(store, kept)
    assert problem.startswith("prune 3: it dropped what its own policy keeps (from 2026-0")


@pytest.mark.parametrize(
    "said",
    [
        {"before": "2026-07-02T00:00:00"},
        {"before": 7},
        {"policy": []},
        {"policy": [{"framework": "pci", "months": "12", "source": ""}]},
        {"policy": [{"framework": "pci", "months": 10**12, "source": ""}]},
        {"counts": None},
        {"holds": None},
    ],
    ids=str,
)
def test_a_forged_prune_that_says_nothing_readable_is_named(
    store: Store, db: str, kept: str, said: dict[str, Any]
) -> None:
    forged_prune(db, of_snapshot(db, 1), **said)
    assert any("prune" in one or "retention" in one for one in problems(store, kept))


def test_a_forged_prune_of_what_was_due_is_told_as_any_prune(store: Store, db: str, kept: str) -> None:
    """What no hold and no policy keeps may be dropped by whoever may prune; that it was is on record."""
    store.retention.release_hold(1, "closed", hours(52), RUN)
    forged_prune(db, of_snapshot(db, 1))
    assert problems(store, kept) == ()
    assert [(one.prune.act.id, one.missing) for one in store.check().prunes] == [(3, 1)]


def test_a_hold_that_was_released_for_a_prune_and_set_again_is_told_beside_the_prune(
    store: Store, db: str, kept: str
) -> None:
    """All of it may be as it should; so it is no problem, and not for a list of holds alone."""
    store.retention.release_hold(1, "closed", hours(52), RUN)
    forged_prune(db, sorted(of_snapshot(db, 1) + of_snapshot(db, 2)))
    store.retention.add_hold(NewHold("case 12", "prod", hours(12), hours(30)), hours(54), RUN)
    assert problems(store, kept) == ()
    [made] = store.check().prunes
    assert [(hold.act.id, number) for hold, number in made.released] == [(1, 2)]
    assert (
        "  hold 1 (case 12), released 2026-07-03 16:00 UTC by alice (closed), had covered 2 of the snapshots and records that it dropped\n"
    ) in evidence("db", "check", "--db", db).out


def test_a_released_hold_is_told_beside_the_prune_of_a_record_that_it_had_covered(
    store: Store, db: str, kept: str
) -> None:
    store.retention.add_hold(NewHold("case 13"), hours(51), RUN)
    store.retention.release_hold(2, "closed", hours(52), RUN)
    forged_prune(db, of_record(db), holds=holds_of(store)[:1])
    assert [(hold.act.id, number) for hold, number in store.check().prunes[0].released] == [(2, 1)]


def test_a_released_hold_that_had_covered_nothing_of_what_went_is_not_told(store: Store, db: str, kept: str) -> None:
    store.retention.release_hold(1, "closed", hours(52), RUN)
    store.add_snapshot(snapshot(item("db"), at=hours(51), cluster="test"))
    store.retention.add_hold(NewHold("case 13", "test"), hours(52), RUN)
    store.retention.release_hold(3, "closed", hours(52), RUN)
    store.retention.add_hold(NewHold("case 14", "prod", hours(100)), hours(52), RUN)
    forged_prune(db, of_snapshot(db, 1), holds=[holds_of(store)[-1]])
    store.retention.release_hold(5, "closed", LATER, RUN)
    assert problems(store, kept) == ()
    assert [hold.act.id for hold, _ in store.check().prunes[0].released] == [1]


def test_a_snapshot_that_is_put_in_later_with_an_earlier_time_of_receipt_is_told(
    store: Store, db: str, kept: str
) -> None:
    store.add_snapshot(snapshot(item("db", image="nicer"), at=hours(20)))
    store.add_snapshot(snapshot(item("db", image="nicer"), at=hours(21)))
    found = store.check()
    assert found.problems == ()
    assert found.remarks == (
        (
            "the log: behind hold 1, which came in 2026-07-03 14:00:00 UTC, 2 entries say that they came in earlier "
            "(first snapshot 4 of prod, 2026-07-02 08:00:00 UTC): put in later than it says, or by another clock"
        ),
    )
    shown = evidence("db", "check", "--db", db)
    assert found.remarks[0] in shown.out


def test_what_came_in_in_its_order_or_within_what_clocks_differ_is_no_remark(store: Store, kept: str) -> None:
    store.add_snapshot(replace(snapshot(item("x"), at=NOON), taken_at_claimed=True, received_at=hours(51)))
    store.add_snapshot(snapshot(item("x"), at=hours(51) - timedelta(minutes=9), cluster="test"))
    store.add_failed_run("prod", started_at=NOON, finished_at=NOON, message="no answer", run=RUN)
    assert store.check().remarks == ()


@pytest.mark.parametrize("moved", [hours(-24), hours(24)])
def test_a_file_of_the_spool_that_says_another_time_than_that_of_its_run_is_refused(
    tmp_path: Path, moved: datetime
) -> None:
    db = str(tmp_path / "evidence.db")
    waiting = replace(snapshot(item("web"), at=moved), received_at=NOON, started_at=NOON, finished_at=hours(1))
    deposit(beside(db), waiting).leave()
    shown = evidence("db", "take-in", "--db", db)
    assert shown.code == 3
    assert "was not under way" in shown.out
    with Store.open(db) as store:
        assert store.clusters() == ()


def test_a_snapshot_with_another_time_than_that_of_its_run_is_found_in_a_store(
    store: Store, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = replace(snapshot(item("web"), at=hours(-24)), received_at=hours(60))
    with pytest.raises(InputError, match="was not under way"):
        store.add_snapshot(forged)
    monkeypatch.setattr("evidence.store.write.not_in_its_run", lambda *_: False)
    store.add_snapshot(forged)
    assert problems(store, kept) == (
        "snapshot 4 of prod: its time is not one of its run, and is not said to be claimed",
    )


@pytest.mark.parametrize(
    "written",
    [
        lambda header: header | {"details": 7},
        lambda header: header | {"taken_at": 7},
        lambda header: [header],
        lambda header: header | {"intent": "ß"},
        lambda header: header | {"finished_at": "9999-12-31T23:59:59.999999+00:00"},
    ],
)
def test_a_file_of_the_spool_that_was_written_anew_keeps_back_nothing_behind_it(
    tmp_path: Path, written: Callable[[dict[str, Any]], object]
) -> None:
    db = str(tmp_path / "evidence.db")
    kept = deposit(beside(db), snapshot(item("web")))
    kept.leave()
    header, *rest = zlib.decompress(kept.path.read_bytes().partition(b"\n")[2]).split(b"\n")
    _spool_file(kept.path, b"\n".join([json.dumps(written(json.loads(header))).encode(), *rest]))
    deposit(beside(db), snapshot(item("web"), at=hours(1))).leave()
    assert evidence("db", "take-in", "--db", db).code == 3
    with Store.open(db) as store:
        assert [info.taken_at for info in store.newest("prod", 9)] == [hours(1)]


def test_a_file_of_the_spool_that_is_nested_without_end_is_set_aside(tmp_path: Path) -> None:
    db = str(tmp_path / "evidence.db")
    kept = deposit(beside(db), snapshot(item("web")))
    kept.leave()
    header = zlib.decompress(kept.path.read_bytes().partition(b"\n")[2]).split(b"\n")[0]
    _spool_file(kept.path, header + b"\n" + b"[" * 100_000 + b"1" * 17 + b"]" * 100_000)
    shown = evidence("db", "take-in", "--db", db)
    assert (shown.code, "damaged" in shown.out) == (3, True)


def _spool_file(path: Path, plain: bytes) -> None:
    """As somebody makes it who knows the format."""
    content = zlib.compress(plain)
    path.write_bytes(f"{FORMAT} {hashlib.sha256(content).hexdigest()}\n".encode() + content)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [_pipe, Path.mkdir, lambda path: path.symlink_to("/nowhere")])
def test_what_is_no_file_in_the_spool_keeps_nobody_waiting(tmp_path: Path, make: Callable[[Path], None]) -> None:
    db = str(tmp_path / "evidence.db")
    deposit(beside(db), snapshot(item("web"))).leave()
    make(beside(db).folder / "20200101T000000.000000Z-0000.snapshot")
    assert evidence("db", "take-in", "--db", db).code == 0
    with Store.open(db) as store:
        assert store.clusters() == ("prod",)
