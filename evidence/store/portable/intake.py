"""Taking an export into an empty store: whole and verified, or not at all.

1. The file: its members are those of the format, each line is canonical, in its order and of its types, each body matches its digest, and each
   member the digest that the manifest states.
2. The log: its root over all entries is the manifest's, and the manifest's checkpoint, signed by a key that is believed, is over just that.
   What the entries name is what the tables hold.
3. The store: everything that `evidence db check` recomputes (evidence/store/check.py), in the same transaction.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DataError, IntegrityError

from evidence.errors import InputError, SealError, StoreError
from evidence.log.checkpoint import LogVerifier, read_checkpoint
from evidence.log.entries import TreeHead, tree_head
from evidence.store.check import CheckResult, check_store
from evidence.store.portable import FORMAT, MANIFEST
from evidence.store.portable.rows import MEMBERS, Member, values
from evidence.store.schema import VERSION
from evidence.store.subtrees import entries, keep_all
from evidence.store.tables import Base

LONGEST_LINE = 256 * 1024 * 1024  # bytes
LONGEST_MANIFEST = 1024 * 1024
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 500, 8 * 1024 * 1024
_ENCRYPTED = 1  # bit of a zip member's flags
_SHOWN = 5  # problems that a message lists


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What was taken in. `signed`: a key that was given signed the log's head."""

    checked: CheckResult
    head: TreeHead
    signed: bool


@dataclass(frozen=True, slots=True)
class _Manifest:
    members: Mapping[str, Mapping[str, Any]]
    head: TreeHead
    checkpoint: str | None


def import_store(
    connection: Connection, file: IO[bytes], verifiers: Sequence[LogVerifier], kept: Sequence[str]
) -> TakenIn:
    """Take it in; the caller commits, and names the file in what is raised. `verifiers`: keys that are believed, none to leave signatures alone;
    `kept`: checkpoints that were kept elsewhere. The connection must hold the store alone.

    Raises InputError, which names the place, for anything that is not as it was exported, and StoreError for a store that holds something.
    """
    _refuse_unless_empty(connection)
    try:
        with ZipFile(file) as archive:
            manifest = _manifest(archive)
            signed = _believed(manifest, verifiers)
            clusters: dict[str, int] = {}
            for member in MEMBERS:
                _take_in(connection, archive, member, manifest.members[member.name], clusters)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise InputError(f"is damaged or no export: {error}") from error
    if tree_head(entries(connection)) != manifest.head:
        raise InputError(f"{MANIFEST}: the log's head is not that of log_entries.jsonl")
    keep_all(connection)
    checked = check_store(connection, tuple(verifiers), tuple(kept))
    if checked.problems:
        more = len(checked.problems) - _SHOWN
        listed = "; ".join(checked.problems[:_SHOWN])
        raise InputError(f"does not check: {listed}{f'; and {more} more' if more > 0 else ''}")
    return TakenIn(checked, manifest.head, signed)


def _refuse_unless_empty(connection: Connection) -> None:
    for table in Base.metadata.sorted_tables:
        if connection.scalar(select(func.count()).select_from(table)):
            raise StoreError(
                "it is not empty, and an export goes into an empty store only: give the path or URL of a new database"
            )


# -- the manifest -----------------------------------------------------------------------------------------------------


def _manifest(archive: ZipFile) -> _Manifest:
    names = [info.filename for info in archive.infolist()]
    wanted = [*(member.name for member in MEMBERS), MANIFEST]
    if any(info.flag_bits & _ENCRYPTED for info in archive.infolist()):
        raise InputError("is encrypted: decrypt it first")
    if MANIFEST not in names:
        raise InputError(f"is no export of a store: it has no {MANIFEST}")
    with archive.open(MANIFEST) as source:
        content = source.read(LONGEST_MANIFEST + 1)
    try:
        found = json.loads(content) if len(content) <= LONGEST_MANIFEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{MANIFEST}: is not of the format {FORMAT}")
    if found.get("schema") != VERSION:
        raise InputError(
            f"{MANIFEST}: it was exported from schema {found.get('schema')!r}, and this version of evidence has {VERSION}: take it in with the "
            "version that exported it, and upgrade then"
        )
    if sorted(names) != sorted(wanted):
        odd = sorted({*names} ^ {*wanted}) or sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"has other members than an export: {', '.join(odd)}")
    members, head, note = found.get("members"), found.get("log"), found.get("checkpoint")
    if not (
        isinstance(members, dict)
        and all(_described(members.get(member.name)) for member in MEMBERS)
        and isinstance(head, dict)
        and type(head.get("size")) is int
        and isinstance(head.get("root"), str)
        and isinstance(note, str | None)
    ):
        raise InputError(f"{MANIFEST}: does not describe its members and the log")
    return _Manifest(members, TreeHead(head["size"], head["root"]), note)


def _described(member: Any) -> bool:
    return isinstance(member, dict) and type(member.get("lines")) is int and isinstance(member.get("sha256"), str)


def _believed(manifest: _Manifest, verifiers: Sequence[LogVerifier]) -> bool:
    """Whether a believed key signed the head; False when none was given. Raises InputError when one was, and it did not."""
    if not verifiers:
        return False
    if manifest.checkpoint is None:
        raise InputError(
            f"{MANIFEST}: nobody signed the log's head: export it with the log's key (--keys), or take it in where no log key is given"
        )
    said = ""
    for verifier in verifiers:
        try:
            if read_checkpoint(manifest.checkpoint, verifier) == manifest.head:
                return True
            said = "it is over another head than the log's"
        except SealError as error:
            said = said or str(error)
    raise InputError(
        f"{MANIFEST}: its checkpoint cannot be believed: {said}; the log's own key is given with --log-key or --keys"
    )


# -- the tables -------------------------------------------------------------------------------------------------------


def _take_in(
    connection: Connection, archive: ZipFile, member: Member, described: Mapping[str, Any], clusters: dict[str, int]
) -> None:
    rows: list[dict[str, Any]] = []
    size, last, number = 0, 0, 0
    for number, row in _rows(archive, member, described, clusters):
        if member.table.name == "clusters":
            clusters[row["name"]] = row["id"] = number
        last = max(last, row["id"]) if "id" in row else 0
        rows.append(row)
        size += len(row.get("body") or b"")
        if len(rows) == _ROWS_AT_ONCE or size > _BYTES_AT_ONCE:
            _insert(connection, member, rows, number)
            rows, size = [], 0
    if rows:
        _insert(connection, member, rows, number)
    if (
        last and connection.dialect.name == "postgresql"
    ):  # what comes next counts on from here; SQLite does so by itself
        sequence = text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :last)")
        connection.execute(sequence, {"table": member.table.name, "last": last})


def _insert(connection: Connection, member: Member, rows: list[dict[str, Any]], last: int) -> None:
    """`last`: the number of the last one's line. Raises InputError where the database refuses one: it knows references and sizes."""
    try:
        connection.execute(insert(member.table), rows)
    except (IntegrityError, DataError) as error:
        first = last - len(rows) + 1
        said = " ".join(str(error.orig).split())
        raise InputError(
            f"{member.name}:{first}-{last}: one of these lines names what the export does not hold, or cannot be stored ({said})"
        ) from error


def _rows(
    archive: ZipFile, member: Member, described: Mapping[str, Any], clusters: Mapping[str, int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with the number of its line. Raises InputError with that number, and at the end when the member is not what the manifest states."""
    sha256, number, before = hashlib.sha256(), 0, None
    with archive.open(member.name) as source:
        while written := source.readline(LONGEST_LINE):
            number += 1
            where = f"{member.name}:{number}"
            sha256.update(written)
            if not written.endswith(b"\n"):
                raise InputError(f"{where}: the line is cut or too long")
            try:
                row, key = values(member, written[:-1], clusters)
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
            if before is not None and not before < key:
                raise InputError(
                    f"{where}: it does not come after the line before: lines were put in another order or doubled"
                )
            before = key
            yield number, row
    if number != described["lines"]:
        raise InputError(f"{member.name}: has {number} lines, and the manifest says {described['lines']}")
    if sha256.hexdigest() != described["sha256"]:
        raise InputError(f"{member.name}: its SHA-256 is not the one that the manifest states")
