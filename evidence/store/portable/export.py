"""Writing a store as one file, row by row: memory does not grow with the store."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import Connection

from evidence.canonical import canonical_json
from evidence.log.entries import TreeHead, tree_head
from evidence.store.portable import FORMAT, MANIFEST
from evidence.store.portable.rows import MEMBERS, Member, line, query
from evidence.store.schema import VERSION
from evidence.store.subtrees import entries

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: no file of an export has a time of its own
_PLAIN_FILE = 0o644 << 16
_UNIX = 3
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the number of lines by table, the log's head, and whether it is signed."""

    lines: dict[str, int]
    head: TreeHead
    signed: bool


def export_store(connection: Connection, file: IO[bytes], sign: Callable[[TreeHead], str | None]) -> Exported:
    """Write everything that one consistent view holds. `sign` gives a checkpoint of the log's head, None without a key.

    Raises StoreError for a body that is not what was stored.
    """
    head = tree_head(entries(connection))
    note = sign(head)
    members, lines = {}, {}
    with ZipFile(file, "w") as archive:
        for member in MEMBERS:
            digest, count = _write(connection, archive, member)
            members[member.name] = {"lines": count, "sha256": digest}
            lines[member.table.name] = count
        manifest = {
            "format": FORMAT,
            "schema": VERSION,
            "members": members,
            "log": {"size": head.size, "root": head.root},
            "checkpoint": note,
        }
        text = json.dumps(json.loads(canonical_json(manifest)), indent=1, ensure_ascii=False)
        with archive.open(_info(MANIFEST), "w") as target:
            target.write(f"{text}\n".encode())
    return Exported(lines, head, note is not None)


def _write(connection: Connection, archive: ZipFile, member: Member) -> tuple[str, int]:
    """The SHA-256 of the member's content, and its number of lines."""
    sha256, count = hashlib.sha256(), 0
    rows = connection.execute(query(member, connection.dialect.name), execution_options={"yield_per": _ROWS_AT_ONCE})
    with archive.open(_info(member.name), "w", force_zip64=True) as target:
        for row in rows:
            written = line(member, row) + b"\n"
            target.write(written)
            sha256.update(written)
            count += 1
    return sha256.hexdigest(), count


def _info(name: str) -> ZipInfo:
    info = ZipInfo(name, _EPOCH)
    info.compress_type, info.create_system, info.external_attr = ZIP_DEFLATED, _UNIX, _PLAIN_FILE
    return info
