"""An export holds the whole store and nothing of its database; what is not as it was exported is not taken in, and its place is named."""

import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import pytest

from evidence.canonical import canonical_json
from evidence.errors import InputError, StoreError
from evidence.log.checkpoint import signed_checkpoint
from evidence.log.entries import TreeHead, tree_head
from evidence.store import NewHold, NewRecord, RecordKind, Store, Term
from evidence.store.portable import MANIFEST
from evidence.store.portable.rows import MEMBERS
from evidence.store.tables import TABLES
from tests.log.build import KEY, OTHER_KEY, VERIFIER
from tests.store.build import NOON, RUN, hours, item, snapshot
from tests.store.rows import counts, everything, run
from tests.store.test_crash import failing_at

Members = dict[str, bytes]


def sign(head: TreeHead) -> str:
    return signed_checkpoint(head, KEY)


def fill(store: Store) -> None:
    """Two clusters, everything that a store can hold, text that sorts oddly, and a prune that took some of it."""
    store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: [] # caf\xc3\xa9 \xff"))
    store.add_snapshot(snapshot(item("web"), item("db", image="db:2"), at=hours(1), intent=b"zones: []"))
    store.add_failed_run("prod", started_at=hours(2), finished_at=hours(2), message="no answer", run=RUN)
    names = ("a", "B", "ä", "z-1", "z.1", "Z", "\U0001f40b", "\ufffd")
    store.add_snapshot(snapshot(*(item(name, number=1e300) for name in names), at=hours(3), cluster="Zürich"))
    store.add_snapshot(snapshot(item("web"), at=hours(3)))
    store.add_record(NewRecord("prod", RecordKind.PROBE_RUN, NOON, hours(1), hours(1), {"attempts": []}, RUN))
    store.add_record(NewRecord("Zürich", RecordKind.FLOW_LOG, NOON, hours(4), hours(4), {"flows": ["ü"]}, RUN))
    store.add_pack("prod", "ab" * 32)
    store.retention.add_hold(NewHold("case 12", "prod", NOON, hours(1)), hours(4), RUN)
    store.retention.release_hold(1, "closed", hours(5), RUN)
    store.retention.prune(hours(1.5), timedelta(), [Term("own", 0, "our own")], hours(6), RUN)
    store.add_checkpoint(sign(tree_head(store.log_entries())))


def exported(store: Store, *, signed: bool = True) -> bytes:
    file = io.BytesIO()
    store.export_to(file, sign if signed else lambda _: None)
    return file.getvalue()


def read(data: bytes) -> Members:
    with ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(members: Members, compression: int = ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def stated(members: Members) -> Members:
    """With a manifest that fits them, as a forger would write it."""
    manifest = json.loads(members[MANIFEST])
    for name, described in manifest["members"].items():
        described["sha256"] = hashlib.sha256(members[name]).hexdigest()
        described["lines"] = members[name].count(b"\n")
    return members | {MANIFEST: json.dumps(manifest).encode()}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with Store.open(str(tmp_path_factory.mktemp("source") / "evidence.db")) as store:
        fill(store)
        return exported(store)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "target.db")) as store:
        yield store


def refused(target: Store, data: bytes) -> str:
    """Why it is not taken in; nothing of it may have been."""
    with pytest.raises(InputError) as found:
        target.import_from(io.BytesIO(data), [VERIFIER])
    assert not any(counts(target.url).values())
    return str(found.value)


# -- the same store ---------------------------------------------------------------------------------------------------


def test_every_table_is_in_an_export_but_for_what_follows_from_the_entries_of_the_log() -> None:
    assert {member.table.name for member in MEMBERS} == TABLES - {"log_subtrees"}


def test_an_export_is_the_same_from_whichever_database_it_comes(store: Store, export: bytes) -> None:
    """Into each database and out of it again: the bytes are those of the first export."""
    taken = store.import_from(io.BytesIO(export), [VERIFIER])
    assert taken.signed
    assert (taken.checked.snapshots, taken.checked.records) == (4, 2)
    assert exported(store) == export
    assert store.check([VERIFIER]).problems == ()


def test_two_exports_of_one_store_are_the_same_and_stay_so_beside_each_other(store: Store) -> None:
    fill(store)
    assert exported(store) == exported(store)


def test_a_store_that_was_taken_in_goes_on_as_the_old_one_would(store: Store, export: bytes) -> None:
    store.import_from(io.BytesIO(export))
    assert store.add_snapshot(snapshot(item("web", image="new"), at=hours(9))).id == 5
    assert store.add_snapshot(snapshot(item("x"), at=hours(9), cluster="third")).id == 6
    record = NewRecord("prod", RecordKind.PROBE_RUN, NOON, hours(9), hours(9), {"attempts": [1]}, RUN)
    assert store.add_record(record).id == 3
    assert store.retention.add_hold(NewHold("case 13"), hours(9), RUN).act.id == 4
    store.add_failed_run("prod", started_at=hours(9), finished_at=hours(9), message="x", run=RUN)
    assert store.check([VERIFIER]).problems == ()
    assert [obj.body["number"] for obj in store.read(3).collection.objects] == [1e300] * 8


def test_the_very_same_snapshot_is_known_again_after_it_was_taken_in(store: Store, export: bytes) -> None:
    store.import_from(io.BytesIO(export))
    assert store.add_snapshot(snapshot(item("web"), at=hours(3))).id == 4
    assert exported(store) == export


def test_lines_can_be_checked_with_ordinary_tools(export: bytes) -> None:
    members = read(export)
    for name in ("objects.jsonl", "documents.jsonl", "sources.jsonl"):
        for line in members[name].splitlines():
            row = json.loads(line)
            assert row["body"] is None or hashlib.sha256(row["body"].encode()).hexdigest() == row["digest"]
    manifest = json.loads(members[MANIFEST])
    assert manifest["members"]["objects.jsonl"]["sha256"] == hashlib.sha256(members["objects.jsonl"]).hexdigest()
    assert members["objects.jsonl"].count(b'"body":null') == 2


def test_an_empty_store_can_be_moved_too(store: Store, target: Store) -> None:
    target.import_from(io.BytesIO(exported(store)), [VERIFIER])
    assert target.check().problems == ()


def test_an_export_goes_into_an_empty_store_only(store: Store, export: bytes, db: str) -> None:
    store.add_snapshot(snapshot(item("web")))
    before = everything(db)
    with pytest.raises(StoreError, match="is not empty"):
        store.import_from(io.BytesIO(export))
    assert everything(db) == before


def test_a_store_with_a_damaged_body_is_not_exported(store: Store, db: str) -> None:
    store.add_snapshot(snapshot(item("web")))
    run(db, "UPDATE objects SET body = :body", {"body": b"\x00{}"})
    with pytest.raises(StoreError, match=r"objects [0-9a-f]{64}: its body is not what was stored"):
        exported(store)


# -- damaged, cut, reordered, forged ----------------------------------------------------------------------------------


def lines(edit: Callable[[list[bytes]], list[bytes]], name: str = "intervals.jsonl") -> Callable[[Members], Members]:
    """A change to the lines of one member."""
    return lambda members: members | {name: b"".join(edit(members[name].splitlines(keepends=True)))}


def first(change: Callable[[bytes], bytes], name: str = "intervals.jsonl") -> Callable[[Members], Members]:
    """A change to the first line of one member."""
    return lines(lambda given: [change(given[0]), *given[1:]], name)


def without(name: str) -> Callable[[Members], Members]:
    return lambda members: {one: members[one] for one in members if one != name}


def manifest(old: bytes, new: bytes) -> Callable[[Members], Members]:
    return lambda members: members | {MANIFEST: members[MANIFEST].replace(old, new)}


CHANGES: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a time before all times": (
        first(
            lambda line: re.sub(rb'("taken_at":)"[^"]*"', rb'\1"0001-01-01T00:00:00.000000+14:00"', line),
            "snapshots.jsonl",
        ),
        "snapshots.jsonl:1: taken_at is not a time in UTC",
    ),
    "a line removed": (lines(lambda given: given[1:]), "intervals.jsonl: has "),
    "a line doubled": (lines(lambda given: [given[0], *given]), "intervals.jsonl:2: it does not come after"),
    "lines exchanged": (lines(lambda given: [given[1], given[0], *given[2:]]), "intervals.jsonl:2: it does not come"),
    "the last line cut": (lines(lambda given: [*given[:-1], given[-1][:-9]]), "the line is cut or too long"),
    "a blank": (first(lambda line: line.replace(b":", b": ", 1)), "intervals.jsonl:1: is not written as"),
    "a key twice": (first(lambda line: line.replace(b"{", b'{"name":"x",', 1)), "intervals.jsonl:1: is not written as"),
    "no JSON": (first(lambda _: b"x\n"), "intervals.jsonl:1: is not JSON"),
    "another key": (first(lambda _: b'{"a":1}\n'), "intervals.jsonl:1: must be an object of cluster, digest,"),
    "a body changed": (
        lines(lambda given: [line.replace(b"flows", b"flaws") for line in given], "documents.jsonl"),
        "its body does not match its digest",
    ),
    "a member left out": (without("dropped.jsonl"), "has other members than an export: dropped.jsonl"),
    "a member more": (lambda members: members | {"../x": b""}, "has other members than an export: ../x"),
    "no manifest": (without(MANIFEST), "is no export of a store"),
    "another format": (manifest(b"evidence-store/1", b"x"), "is not of the format evidence-store/1"),
    "another schema": (manifest(b'"schema": "0', b'"schema": "9'), "it was exported from schema '9"),
    "a manifest of something else": (manifest(b'"log"', b'"lag"'), "does not describe its members"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_it_was_exported_is_refused_with_its_place(target: Store, export: bytes, change: str) -> None:
    edit, said = CHANGES[change]
    assert said in refused(target, written(edit(read(export))))


def test_a_file_that_is_cut_or_damaged_anywhere_is_refused(target: Store, export: bytes) -> None:
    for part in (0, 1, 2, 5, 9):
        refused(target, export[: len(export) * part // 10])
    for place in range(40, len(export), len(export) // 25):
        damaged = export[:place] + bytes([export[place] ^ 0x10]) + export[place + 1 :]
        if read_or_none(damaged) != read(
            export
        ):  # a zip says some things twice, and of a member's attributes nothing hangs
            refused(target, damaged)


def read_or_none(data: bytes) -> Members | None:
    try:
        return read(data)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return None


def test_an_encrypted_file_is_said_to_be_one(target: Store, export: bytes) -> None:
    place = export.index(b"PK\x01\x02") + 8  # the flags of the first member
    assert "is encrypted" in refused(target, export[:place] + b"\x01" + export[place + 1 :])


def test_a_zip_that_is_packed_in_another_way_is_the_same_export(target: Store, export: bytes) -> None:
    target.import_from(io.BytesIO(written(read(export), ZIP_STORED)), [VERIFIER])
    assert exported(target) == export


def other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str() if value[4:5] == "-" and value[:4].isdigit():
            return value.replace(":00.", ":01.")
        case str() if value:
            return f"{'1' if value[0] == '0' else '0'}{value[1:]}" if len(value) == 64 else f"{value}A"
        case str():
            return "prod"
        case _:
            return 99


def forgeries(members: Members) -> Iterator[tuple[str, Members]]:
    """Each value of the first and of the last line of each member, changed in turn, under a manifest that fits."""
    for name in (member.name for member in MEMBERS):
        given = members[name].splitlines()
        for number in sorted({0, len(given) - 1}):
            row = json.loads(given[number])
            for key, value in row.items():
                changed = canonical_json(row | {key: other(value)})
                content = b"".join(line + b"\n" for line in [*given[:number], changed, *given[number + 1 :]])
                yield f"{name}:{number + 1} {key}", stated(members | {name: content})


def test_no_value_can_be_forged(target: Store, export: bytes) -> None:
    for what, members in forgeries(read(export)):
        assert refused(target, written(members)), what


def test_a_log_that_was_cut_with_all_that_it_named_is_refused_by_its_checkpoint(
    target: Store, tmp_path: Path, export: bytes
) -> None:
    """A store as it was before its newest entries, exported without the key, under the newest checkpoint or an older one."""
    with Store.open(str(tmp_path / "older.db")) as older:
        older.add_snapshot(snapshot(item("web")))
        older.add_checkpoint(sign(tree_head(older.log_entries())))
        note = sign(tree_head(older.log_entries()))
        older.add_snapshot(snapshot(item("web"), at=hours(1)))
        unsigned = read(exported(older, signed=False))
    head = TreeHead(**json.loads(unsigned[MANIFEST])["log"])
    newest = json.loads(read(export)[MANIFEST])["checkpoint"]
    for checkpoint, said in (
        (None, "nobody signed the log's head"),
        (note, "it is over another head than the log's"),
        (newest, "it is over another head than the log's"),
        (signed_checkpoint(head, OTHER_KEY), "its checkpoint cannot be believed: the checkpoint is of the log"),
    ):
        content = json.loads(unsigned[MANIFEST]) | {"checkpoint": checkpoint}
        assert said in refused(target, written(unsigned | {MANIFEST: json.dumps(content).encode()}))


def test_without_a_key_a_whole_export_is_taken_in_and_said_to_be_unchecked(target: Store, export: bytes) -> None:
    assert not target.import_from(io.BytesIO(export)).signed


def test_a_checkpoint_that_was_kept_elsewhere_counts(target: Store, export: bytes, tmp_path: Path) -> None:
    newer = sign(TreeHead(99, "ab" * 32))
    with pytest.raises(InputError, match="does not check: the log: it had 99 entries at a checkpoint kept elsewhere"):
        target.import_from(io.BytesIO(export), [VERIFIER], [newer])
    assert not any(counts(target.url).values())


def test_a_line_without_end_is_not_read_into_memory(
    target: Store, export: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evidence.store.portable.intake.LONGEST_LINE", 1000)
    members = read(export)
    long = members | {"objects.jsonl": b'{"body":"' + b" " * 100_000 + b'","digest":""}\n'}
    assert "objects.jsonl:1: the line is cut or too long" in refused(target, written(long))


def test_an_error_at_any_statement_leaves_the_store_empty(target: Store, export: bytes) -> None:
    for statement in range(200):
        with failing_at(target, statement) as done:
            try:
                target.import_from(io.BytesIO(export), [VERIFIER])
                break
            except RuntimeError:
                pass
        assert not any(counts(target.url).values())
    assert len(done) > 30
    assert exported(target) == export
