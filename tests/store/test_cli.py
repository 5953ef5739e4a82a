import json
from pathlib import Path

import pytest

from evidence.cli.main import main
from evidence.store import Store
from evidence.store.schema import VERSION
from evidence.store.spool import deposit, spool_of
from tests.store.build import hours, item, snapshot
from tests.store.rows import run


def evidence(*arguments: str) -> int:
    """Run the command line; gives its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


def fill(db: str) -> None:
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), intent=b"zones: []"))
        store.add_snapshot(snapshot(item("web"), at=hours(1)))
        store.add_failed_run("prod", started_at=hours(2), finished_at=hours(2), message="refused", run=snapshot().run)


def test_check_of_a_good_store(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(db)
    assert evidence("db", "check", "--db", db) == 0
    assert capsys.readouterr().out == "2 snapshots, 1 object, a log of 3 entries under 0 checkpoints: all as stored\n"


def test_check_names_what_is_wrong_and_exits_1(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(db)
    run(db, "UPDATE snapshots SET host = 'other' WHERE id = 1")
    assert evidence("db", "check", "--db", db) == 1
    out = capsys.readouterr().out
    assert "snapshot 1 of prod: its root digest does not match its header\n" in out
    assert out.endswith("1 wrong\n")


def test_check_of_no_store_makes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence("db", "check", "--db", str(tmp_path / "typo.db")) == 3
    assert "there is no store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_migrate_fills_an_empty_database_once(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence("db", "migrate", "--db", db) == 0
    assert evidence("db", "migrate", "--db", db) == 0
    assert capsys.readouterr().out == f"schema none -> {VERSION}\nschema {VERSION}: nothing to do\n"


def waits(db: str, folder: Path, *hour: float) -> list[Path]:
    found = []
    for each in hour:
        kept = deposit(spool_of(db, folder, folder), snapshot(item("web"), at=hours(each)))
        kept.leave()
        found.append(kept.path)
    return found


def test_take_in_takes_what_waits_and_says_so(db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spool = tmp_path / "spool"
    waits(db, spool, 1, 0)
    assert evidence("db", "take-in", "--db", db, "--spool", str(spool)) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("snapshot 1 of prod: taken in from the spool, taken 2026-07-01 12:00:00 UTC, root ")
    assert second.startswith("snapshot 2 of prod: taken in from the spool, taken 2026-07-01 13:00:00 UTC, root ")
    assert last == f"nothing waits any more in {spool}"


def test_take_in_names_what_is_damaged_and_exits_3(db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = waits(db, tmp_path / "spool", 0)
    path.write_bytes(path.read_bytes()[:-1])
    assert evidence("db", "take-in", str(path), "--db", db) == 3
    assert f"{path}: what waits in the spool is damaged" in capsys.readouterr().out
    assert path.exists()


def test_the_spool_is_a_setting_of_the_environment(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(db, tmp_path / "spool", 0)
    monkeypatch.setenv("EVIDENCE_SPOOL", str(tmp_path / "spool"))
    assert evidence("db", "take-in", "--db", db) == 0
    assert "snapshot 1 of prod: taken in from the spool" in capsys.readouterr().out


def test_info_for_people(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(db)
    assert evidence("db", "info", "--db", db) == 0
    out = capsys.readouterr().out
    assert f"schema {VERSION}" in out
    assert "1 object version, 1 interval, 1 version of the intent file" in out
    assert out.splitlines()[-1] == (
        "cluster  prod: 2 snapshots (0 partial), 1 failed run, 0 records; taken 2026-07-01T12:00Z to 2026-07-01T13:00Z"
    )


def test_info_for_programs(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(db)
    assert evidence("db", "info", "--format", "json", "--db", db) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clusters"][0]["first_taken_at"] == "2026-07-01T12:00:00+00:00"
    assert (found["objects"], found["intervals"], found["intents"]) == (1, 1, 1)
    assert found["size"] > 1000
