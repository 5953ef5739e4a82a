"""The store's log: its signed checkpoints, and what a pack carries of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.canonical import digest
from evidence.errors import ReportError

if TYPE_CHECKING:
    from evidence.log.proof import Previous


def checkpoint(db: str, key_folder: Path, *, make_key: bool = False) -> str | None:
    """Sign the log's head, keep the note in the store and give it. None when the folder holds no log key, unless one may be made."""
    from evidence.log.checkpoint import signed_checkpoint
    from evidence.log.entries import tree_head
    from evidence.seal.logkey import load_log_key, load_or_create_log_key
    from evidence.store import Store

    key = load_or_create_log_key(key_folder) if make_key else load_log_key(key_folder)
    if key is None:
        return None
    with Store.open(db) as store:
        note = signed_checkpoint(tree_head(store.log_entries()), key)
        store.add_checkpoint(note)
    return note


def log_of_pack(
    db: str, cluster: str, root_digests: Sequence[str], archive: Path, framework: str, key_folder: Path
) -> dict[str, bytes]:
    """The files under log/ of a pack about these snapshots: a checkpoint, and proofs to it, also from the pack before in the archive.

    Raises SealError when the log lacks a snapshot or does not continue the one of the pack before.
    """
    from evidence.log.checkpoint import signed_checkpoint, verifier_of
    from evidence.log.entries import tree_head
    from evidence.log.proof import log_files
    from evidence.seal.logkey import load_or_create_log_key
    from evidence.store import Store

    key = load_or_create_log_key(key_folder)
    with Store.open(db) as store:
        entries = store.log_entries()
        note = signed_checkpoint(tree_head(entries), key)
        store.add_checkpoint(note)
    before = _pack_before(archive, cluster, framework)
    return log_files(entries, note, verifier_of(key.public_key()), cluster, root_digests, before)


def enter_pack(db: str, cluster: str, files: Mapping[str, bytes], key_folder: Path) -> None:
    """Enter a sealed pack into the log, under a checkpoint of its own."""
    from evidence.seal.manifest import SUMS
    from evidence.store import Store

    with Store.open(db) as store:
        store.add_pack(cluster, digest(files[SUMS]))
    checkpoint(db, key_folder)


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
