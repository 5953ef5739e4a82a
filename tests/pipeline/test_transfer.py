"""A store as one file and back, and from SQLite into Postgres: packs that were made before hold, and later ones continue them."""

from pathlib import Path

import pytest

from evidence.errors import SealError
from evidence.log.proof import check_log
from evidence.store import Store
from tests.cli.run import evidence
from tests.pipeline.test_log import make, root
from tests.store.build import hours, item, snapshot
from tests.store.rows import everything


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def to(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database is: a path, or a URL."""
    return str(tmp_path / "new.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def db(tmp_path: Path) -> str:
    found = str(tmp_path / "evidence.db")
    with Store.open(found) as store:
        store.add_snapshot(snapshot(item("web"), cluster="shop", intent=b"zones: []"))
        store.add_snapshot(snapshot(item("web"), item("db"), at=hours(1), cluster="shop"))
    return found


def test_a_moved_store_checks_with_the_same_key_and_its_next_pack_continues_the_archive(
    db: str, to: str, tmp_path: Path
) -> None:
    before = make(db, tmp_path, "pci_1")
    moved = evidence("db", "move", "--db", db, "--to", to)
    assert moved.code == 0
    assert "moved: 2 snapshots, 2 object versions, 0 records, all as stored; a log of 3, head " in moved.out
    checked = evidence("db", "check", "--db", to, "--keys", tmp_path / "keys")
    assert (checked.code, checked.err) == (0, "")
    roots = [root(to, 1), root(to, 2)]
    assert check_log(before["log/checkpoint"], before["log/proofs.json"], "shop", roots).snapshots == 2
    with Store.open(to) as store:
        store.add_snapshot(snapshot(item("web"), at=hours(2), cluster="shop"))
    after = make(to, tmp_path, "pci_2")
    assert check_log(after["log/checkpoint"], after["log/proofs.json"], "shop", roots).previous == "pci_1"


def test_exports_before_and_after_a_move_are_the_same_bytes(db: str, to: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    evidence("db", "checkpoint", "--db", db, "--keys", keys)
    files = [tmp_path / name for name in ("before.zip", "after.zip")]
    told = evidence("db", "export", "--db", db, "--to", files[0], "--keys", keys)
    assert "2 snapshots, 2 object versions, 0 records, a log of 2, head " in told.out
    assert told.out.endswith(" (signed)\n")
    assert "taken in: 2 snapshots" in evidence("db", "import", files[0], "--db", to, "--keys", keys).out
    evidence("db", "export", "--db", to, "--to", files[1], "--keys", keys)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_came_in_while_a_store_was_moved_is_said(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(store: Store, *given: object) -> object:
        with Store.open(db) as collector:
            collector.add_snapshot(snapshot(item("late"), at=hours(3), cluster="shop"))
        return taken_in(store, *given)  # type: ignore[arg-type]

    taken_in = Store.import_from
    monkeypatch.setattr(Store, "import_from", slow)
    moved = evidence("db", "move", "--db", db, "--to", tmp_path / "new.db")
    assert moved.code == 3
    assert "1 entry came into the old store's log meanwhile" in moved.err


def test_a_wrong_file_leaves_the_store_empty_and_the_place_is_named(db: str, tmp_path: Path) -> None:
    export = tmp_path / "export.zip"
    evidence("db", "export", "--db", db, "--to", export, "--keys", tmp_path)
    export.write_bytes(export.read_bytes()[:-100])
    ran = evidence("db", "import", export, "--db", tmp_path / "new.db")
    assert ran.code == 3
    assert f"{export}: is damaged or no export" in ran.err
    assert "nothing of it was taken in" in ran.err
    assert not any(everything(str(tmp_path / "new.db")).values())
    ran = evidence("db", "import", tmp_path / "nowhere.zip", "--db", tmp_path / "new.db")
    assert (ran.code, "cannot be read: No such file" in ran.err) == (3, True)


def test_without_a_key_an_import_says_what_it_did_not_check(db: str, tmp_path: Path) -> None:
    export = tmp_path / "export.zip"
    assert (
        "(not signed: no log key is here)"
        in evidence("db", "export", "--db", db, "--to", export, "--keys", tmp_path).out
    )
    ran = evidence("db", "import", export, "--db", tmp_path / "new.db")
    assert (ran.code, "who signed the log's head was not checked" in ran.err) == (0, True)
    keys = tmp_path / "keys"
    evidence("db", "checkpoint", "--db", db, "--keys", keys)
    ran = evidence("db", "import", export, "--db", tmp_path / "other.db", "--keys", keys)
    assert (ran.code, "nobody signed the log's head: export it with" in ran.err) == (3, True)


def test_an_export_is_never_written_over_and_leaves_nothing_half_written(db: str, tmp_path: Path) -> None:
    export = tmp_path / "export.zip"
    evidence("db", "export", "--db", db, "--to", export)
    before = export.read_bytes()
    ran = evidence("db", "export", "--db", db, "--to", export)
    assert (ran.code, "there is a file of this name" in ran.err) == (2, True)
    assert export.read_bytes() == before
    ran = evidence("db", "export", "--db", db, "--to", tmp_path / "no folder" / "export.zip")
    assert (ran.code, "the export cannot be written: No such file" in ran.err) == (3, True)
    assert not list(tmp_path.glob(".*partial*"))


def test_a_restored_older_state_is_refused_by_the_archive_and_by_a_kept_checkpoint(db: str, tmp_path: Path) -> None:
    """What docs/operate.md says of a restore: the archive knows a longer log than the store has."""
    older = tmp_path / "older.zip"
    evidence("db", "export", "--db", db, "--to", older)
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("web"), at=hours(2), cluster="shop"))
    make(db, tmp_path, "pci_1")
    restored, keys = str(tmp_path / "restored.db"), tmp_path / "keys"
    evidence("db", "import", older, "--db", restored)
    assert evidence("db", "check", "--db", restored, "--keys", keys).code == 0  # by itself it is whole
    kept = tmp_path / "archive" / "pci_1" / "log" / "checkpoint"
    ran = evidence("db", "check", "--db", restored, "--keys", keys, "--checkpoint", kept)
    assert (ran.code, "it had 3 entries at a checkpoint kept elsewhere and has 2" in ran.out) == (1, True)
    with pytest.raises(SealError, match="no continuation of the one that the pack pci_1 was made from"):
        make(restored, tmp_path, "pci_2")
