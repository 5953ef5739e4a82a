"""A store's log and its packs: each pack continues the one before, and a store that was changed makes no further one."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from evidence.canonical import digest
from evidence.cli.main import cli
from evidence.errors import InputError, SealError, UsageError
from evidence.log.checkpoint import parse_verifier, read_checkpoint
from evidence.pipeline.log import Keeping, enter_pack, log_of_pack
from evidence.seal.manifest import SUMS
from evidence.seal.timestamp import read
from evidence.store import Store
from tests.seal.authority import make_authority, serving
from tests.seal.builders import SUMMARY, own_signer, report_files, sealed, write
from tests.store.build import hours, item, lengthen, snapshot
from tests.store.rows import run

FRAMEWORK = str(SUMMARY["framework"])


@pytest.fixture
def db(tmp_path: Path) -> str:
    found = str(tmp_path / "evidence.db")
    with Store.open(found) as store:
        store.add_snapshot(snapshot(item("web"), cluster="shop"))
        store.add_snapshot(snapshot(item("web"), at=hours(1), cluster="shop"))
    return found


def root(db: str, number: int) -> str:
    with Store.open(db, read_only=True) as store:
        return store.read(number).info.root_digest


def make(db: str, folder: Path, name: str) -> dict[str, bytes]:
    """A pack of both snapshots in the archive, as a report makes one."""
    archive, keys = folder / "archive", folder / "keys"
    archive.mkdir(exist_ok=True)
    proofs, problems = log_of_pack(db, "shop", [root(db, 1), root(db, 2)], archive, FRAMEWORK, Keeping(keys))
    assert not problems
    files = sealed(own_signer(keys), report_files() | proofs)
    enter_pack(db, "shop", files, Keeping(keys))
    write(archive / name, files)
    return proofs


def test_each_pack_continues_the_one_before(db: str, tmp_path: Path) -> None:
    assert b'"previous":null' in make(db, tmp_path, "pci_1")["log/proofs.json"]
    assert b'"pack":"pci_1"' in make(db, tmp_path, "pci_2")["log/proofs.json"]
    with Store.open(db, read_only=True) as store:
        kinds = [entry.kind for entry in store.log_entries()]
        assert kinds == ["snapshot", "snapshot", "pack", "pack"]
        assert store.check().checkpoints == 3  # the second pack was made at the head that the first left


def test_a_store_whose_history_was_cut_makes_no_further_pack(db: str, tmp_path: Path) -> None:
    make(db, tmp_path, "pci_1")
    run(db, "DELETE FROM log_entries WHERE position = 0")
    run(db, "UPDATE log_entries SET position = position - 1")
    with pytest.raises(SealError, match="no entry for the snapshot"):
        make(db, tmp_path, "pci_2")


def test_a_store_that_was_put_back_makes_no_further_pack(db: str, tmp_path: Path) -> None:
    """As it was before a snapshot that an earlier pack was made from: the archive knows better."""
    with Store.open(db) as store:
        store.add_snapshot(snapshot(item("db"), at=hours(2), cluster="shop"))
    make(db, tmp_path, "pci_1")
    run(db, "DELETE FROM log_entries WHERE position >= 2")
    with pytest.raises(SealError, match="no continuation of the one that the pack pci_1 was made from"):
        make(db, tmp_path, "pci_2")


def test_a_log_whose_kept_hashes_do_not_fit_its_entries_makes_no_pack(db: str, tmp_path: Path) -> None:
    """A run that became full since the newest checkpoint, which can therefore say nothing of it."""
    with Store.open(db) as store:
        lengthen(store, 200, "shop")
        command("db", "checkpoint", "--db", db, "--keys", tmp_path / "keys")
        lengthen(store, 300, "shop")
    run(db, "UPDATE log_subtrees SET hash = zeroblob(32)")
    with pytest.raises(SealError, match=r"does not hold together.*`evidence db check` says where it was changed"):
        make(db, tmp_path, "pci_1")
    run(db, "DELETE FROM log_subtrees")
    assert make(db, tmp_path, "pci_1")


def test_a_damaged_log_of_the_pack_before_is_named(db: str, tmp_path: Path) -> None:
    make(db, tmp_path, "pci_1")
    proofs = tmp_path / "archive" / "pci_1" / "log" / "proofs.json"
    proofs.write_bytes(b"x" * proofs.stat().st_size)
    with pytest.raises(SealError, match="is not JSON"):
        make(db, tmp_path, "pci_2")


# -- the commands -----------------------------------------------------------------------------------------------------


def command(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return int(done.return_value or 0), done.stdout, done.stderr


def test_a_checkpoint_is_printed_kept_and_copied_and_finds_what_was_removed(db: str, tmp_path: Path) -> None:
    keys, copies = tmp_path / "keys", tmp_path / "copies"
    code, note, told = command("db", "checkpoint", "--db", db, "--keys", keys, "--to", copies)
    key = told.removeprefix("verifier key: ").strip()
    assert (code, read_checkpoint(note, parse_verifier(key)).size) == (0, 2)
    [copy] = copies.iterdir()
    assert copy.read_text() == note
    assert command("db", "check", "--db", db, "--log-key", key, "--checkpoint", copy)[0] == 0
    for table in ("intervals", "snapshots", "log_entries", "checkpoints", "objects", "sources"):
        run(db, f"DELETE FROM {table}")
    code, said, _ = command("db", "check", "--db", db, "--log-key", key, "--checkpoint", copy)
    assert code == 1
    assert "it had 2 entries at a checkpoint kept elsewhere and has 0" in said


def test_check_says_once_whose_key_it_lacks_and_takes_it_from_a_folder(db: str, tmp_path: Path) -> None:
    keys, other = tmp_path / "keys", tmp_path / "other"
    command("db", "checkpoint", "--db", db, "--keys", keys)
    with Store.open(db) as store:
        store.add_pack("shop", "0" * 64)
    command("db", "checkpoint", "--db", db, "--keys", keys)
    code, _, told = command("db", "checkpoint", "--db", str(tmp_path / "another.db"), "--keys", other)
    assert code == 0
    code, said, _ = command("db", "check", "--db", db, "--log-key", told.removeprefix("verifier key: ").strip())
    assert (code, said.count("the log: ")) == (1, 1)
    assert "the log: 2 checkpoints cannot be believed" in said
    assert "give its key with --log-key or its folder with --keys" in said
    assert command("db", "check", "--db", db, "--keys", keys)[0] == 0
    with pytest.raises(UsageError, match="there is no log key here"):
        command("db", "check", "--db", db, "--keys", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="--log-key foo: the log's verifier key is not"):
        command("db", "check", "--db", db, "--log-key", "foo")


def test_signatures_that_were_not_checked_are_said_to_be_so(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing here"))
    keys = tmp_path / "keys"
    note = tmp_path / "kept"
    note.write_text(command("db", "checkpoint", "--db", db, "--keys", keys)[1], encoding="utf-8")
    code, said, told = command("db", "check", "--db", db)
    assert (code, "signatures were not checked" in told) == (0, True)
    assert said.endswith("under 1 checkpoint: all as stored; signatures of checkpoints not checked\n")
    code, said, told = command("db", "check", "--db", db, "--keys", keys)
    assert (code, said.endswith("under 1 checkpoint: all as stored\n"), told) == (0, True, "")
    run(db, "DELETE FROM checkpoints")
    code, said, told = command("db", "check", "--db", db, "--checkpoint", note)
    assert (code, "signatures were not checked" in told) == (0, True)
    assert said.endswith("under 0 checkpoints: all as stored; signatures of checkpoints not checked\n")


def test_a_copy_of_another_history_is_never_written_over(db: str, tmp_path: Path) -> None:
    arguments = ("--db", db, "--keys", tmp_path / "keys", "--to", tmp_path / "copies")
    assert command("db", "checkpoint", *arguments)[0] == 0
    assert command("db", "checkpoint", *arguments)[0] == 0
    run(db, "UPDATE log_entries SET digest = zeroblob(32) WHERE position = 0")
    code, _, told = command("db", "checkpoint", *arguments)
    assert (code, "another checkpoint of the same size is kept here" in told) == (3, True)


def test_what_is_collected_is_signed_copied_and_printed_for_a_shipped_log(db: str, tmp_path: Path) -> None:
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n", encoding="utf-8")
    keys, copies, shipped = tmp_path / "keys", tmp_path / "copies", tmp_path / "shipped.log"
    to = ("--keys", keys, "--checkpoint-to", copies, "--checkpoint-to", "-")
    code, said, _ = command("collect", "--from", manifest, "--cluster", "shop", "--db", db, "--allow-partial", *to)
    assert code == 0
    assert [copy.name for copy in copies.iterdir()] == ["checkpoint-000000000003.txt"]
    shipped.write_text("".join(f"2026-11-26T00:00:00Z stdout F {line}\n" for line in said.splitlines()))
    assert command("db", "check", "--db", db, "--keys", keys, "--checkpoint", shipped)[0] == 0
    run(db, "DELETE FROM log_entries WHERE position = 2")
    code, said, _ = command("db", "check", "--db", db, "--keys", keys, "--checkpoint", shipped)
    assert (code, "it had 3 entries at a checkpoint kept elsewhere and has 2" in said) == (1, True)
    shipped.write_text('checkpoint "evidence-log')
    with pytest.raises(InputError, match=r"shipped\.log:1: the checkpoint on this line is cut"):
        command("db", "check", "--db", db, "--checkpoint", shipped)


@pytest.mark.slow
def test_what_a_report_enters_is_printed_for_a_shipped_log_too(db: str, tmp_path: Path) -> None:
    shipped, keys = tmp_path / "shipped.log", tmp_path / "keys"
    with Store.open(db, read_only=True) as store:
        day = f"{store.read(1).info.taken_at:%Y-%m-%d}"
    to = ("--archive", tmp_path / "archive", "--db", db, "--keys", keys, "--checkpoint-to", "-")
    code, said, _ = command("report", "--framework", "hipaa", "--period", f"{day}..{day}", *to)
    assert code == 0
    shipped.write_text(said, encoding="utf-8")
    run(db, "DELETE FROM log_entries WHERE position = 2")
    code, said, _ = command("db", "check", "--db", db, "--keys", keys, "--checkpoint", shipped)
    assert (code, "it had 3 entries at a checkpoint kept elsewhere and has 2" in said) == (1, True)


def test_a_copy_gets_a_timestamp_beside_it_and_keeps_its_first(db: str, tmp_path: Path) -> None:
    authority, copies = make_authority(tmp_path / "tsa"), tmp_path / "copies"
    with serving(authority) as address:
        arguments = ("--db", db, "--keys", tmp_path / "keys", "--to", copies, "--timestamp", address)
        assert command("db", "checkpoint", *arguments)[0] == 0
        first = (copies / "checkpoint-000000000002.tsr").read_bytes()
        read(first, (copies / "checkpoint-000000000002.txt").read_bytes())
        assert command("db", "checkpoint", *arguments)[0] == 0
    assert (copies / "checkpoint-000000000002.tsr").read_bytes() == first
    code, note, told = command("db", "checkpoint", *arguments)
    assert (code, note != "", "no timestamp: " in told) == (3, True, True)


def test_a_timestamp_without_a_copy_to_keep_it_beside_is_refused(db: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --to PLACE"):
        command("db", "checkpoint", "--db", db, "--keys", tmp_path / "keys", "--timestamp", "http://127.0.0.1:1/")


def test_sums_are_what_the_log_knows_a_pack_by(db: str, tmp_path: Path) -> None:
    make(db, tmp_path, "pci_1")
    with Store.open(db, read_only=True) as store:
        assert store.log_entries()[-1].digest == digest((tmp_path / "archive" / "pci_1" / SUMS).read_bytes())
