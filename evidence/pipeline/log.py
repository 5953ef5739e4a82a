"""The store's log: its signed checkpoints, and what a pack carries of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.canonical import digest
from evidence.errors import ReportError, SealError

if TYPE_CHECKING:
    from evidence.log.proof import Previous

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the log's head is signed and kept: the folder of the log's key, where copies go (folders, addresses of object stores, or `-` for
    whoever reads this program's output), and the address of a timestamp authority ("" for none)."""

    folder: Path
    copies: tuple[str, ...] = ()
    authority: str = ""

    @property
    def asked(self) -> bool:
        """Whether somebody relies on checkpoints, so that a key may be made for them."""
        return bool(self.copies or self.authority)


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint as kept. `problems`: one sentence for each copy or timestamp that could not be had; the store has the checkpoint."""

    note: str
    problems: tuple[str, ...]

    @property
    def line(self) -> str:
        """The checkpoint as one line, for a log that is shipped line by line; `evidence db check --checkpoint` reads it back."""
        return f"checkpoint {json.dumps(self.note, ensure_ascii=False)}"


def checkpoint(db: str, keeping: Keeping, *, make_key: bool = False) -> Kept | None:
    """Sign the log's head, keep the note in the store and as asked outside it. None when the folder holds no log key, unless one may be made."""
    from evidence.log.checkpoint import signed_checkpoint
    from evidence.seal.logkey import load_log_key, load_or_create_log_key
    from evidence.store import Store

    make_key = make_key or keeping.asked
    key = load_or_create_log_key(keeping.folder) if make_key else load_log_key(keeping.folder)
    if key is None:
        return None
    with Store.open(db) as store:
        head = store.log_head(to_sign=True)
        note = signed_checkpoint(head, key)
        store.add_checkpoint(note)
    return Kept(note, _copied(note, head.size, keeping))


def _copied(note: str, size: int, keeping: Keeping) -> tuple[str, ...]:
    """Add the copies; gives what went wrong."""
    from evidence.archive.outside import add_copy

    places = [place for place in keeping.copies if place != STDOUT]
    stamp, problems = timestamp(keeping.authority, note.encode()) if places else (None, [])
    for place in places:
        try:
            add_copy(note, size, stamp, place)
        except ReportError as error:
            problems.append(str(error))
    return tuple(problems)


def timestamp(authority: str, content: bytes) -> tuple[bytes | None, list[str]]:
    """An authority's answer about some bytes, and what went wrong when there is none. Nothing of either without an authority."""
    from evidence.seal.timestamp import ask

    if not authority:
        return None, []
    try:
        return ask(authority, content), []
    except SealError as error:
        return None, [f"no timestamp: {error}"]


def log_of_pack(
    db: str, cluster: str, root_digests: Sequence[str], archive: Path, framework: str, keeping: Keeping
) -> tuple[dict[str, bytes], list[str]]:
    """The files under log/ of a pack about these snapshots: a checkpoint, its timestamp, and proofs to it, also from the pack before in the
    archive; and what went wrong with the timestamp.

    Raises SealError when the log lacks a snapshot or does not continue the one of the pack before.
    """
    from evidence.log.checkpoint import signed_checkpoint, verifier_of
    from evidence.log.entries import EntryKind, TreeHead
    from evidence.log.proof import CHECKPOINT_STAMP_FILE, log_files
    from evidence.seal.logkey import load_or_create_log_key
    from evidence.store import Store

    key = load_or_create_log_key(keeping.folder)
    before = _pack_before(archive, cluster, framework)
    with Store.open(db) as store:
        places = store.log_places(EntryKind.SNAPSHOT, cluster)
        with store.log_tree(to_sign=True) as tree:
            note = signed_checkpoint(TreeHead(tree.size, tree.root().hex()), key)
            files = log_files(tree, places, note, verifier_of(key.public_key()), cluster, root_digests, before)
        store.add_checkpoint(note)
    stamp, problems = timestamp(keeping.authority, note.encode())
    return files | ({CHECKPOINT_STAMP_FILE: stamp} if stamp else {}), problems


def enter_pack(db: str, cluster: str, files: Mapping[str, bytes], keeping: Keeping) -> Kept | None:
    """Enter a sealed pack into the log, under a checkpoint of its own, which it gives; None when the folder holds no log key."""
    from evidence.seal.manifest import SUMS
    from evidence.store import Store

    with Store.open(db) as store:
        store.add_pack(cluster, digest(files[SUMS]))
    return checkpoint(db, keeping)


def _pack_before(archive: Path, cluster: str, framework: str) -> "Previous | None":
    """The log of the newest pack of the archive that is about the same cluster and framework and carries one."""
    from evidence.archive.entries import read_archive
    from evidence.log.proof import CHECKPOINT_FILE, PROOFS_FILE, previous_of

    for entry in read_archive(archive).entries:
        folder = archive / entry.folder
        if (entry.cluster, entry.framework) != (cluster, framework) or not (folder / PROOFS_FILE).exists():
            continue
        try:
            files = {name: (folder / name).read_bytes() for name in (CHECKPOINT_FILE, PROOFS_FILE)}
        except OSError as error:
            raise ReportError(
                f"{folder}: the log of the pack before cannot be read: {error.strerror}; put the pack right, or choose "
                "another --archive"
            ) from error
        return previous_of(entry.folder, files)
    return None
