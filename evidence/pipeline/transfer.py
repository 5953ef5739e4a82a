"""A store as one file and back, and from one database into another."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from evidence.errors import InputError, StoreError, UsageError

if TYPE_CHECKING:
    from evidence.log.checkpoint import LogVerifier
    from evidence.log.entries import TreeHead
    from evidence.store.portable.export import Exported
    from evidence.store.portable.intake import TakenIn


@dataclass(frozen=True, slots=True)
class Moved:
    """`late`: how many entries came into the old store's log while it was copied; they are not in the new one."""

    taken_in: "TakenIn"
    late: int


def export_store(db: str, to: Path, key_folder: Path) -> "Exported":
    """Write a store into a file, whole or not at all; one that is there is never written over. Signed when the folder holds the log's key."""
    from evidence.store import Store

    if to.exists():
        raise UsageError(f"--to {to}: there is a file of this name; choose another")
    partial = to.with_name(f".{to.name}.partial-{os.getpid()}")
    try:
        with Store.open(db, read_only=True) as store, partial.open("wb") as file:
            found = store.export_to(file, _signing(key_folder))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(to)
    except OSError as error:
        raise StoreError(f"--to {to}: the export cannot be written: {error.strerror}; choose another place") from error
    finally:
        partial.unlink(missing_ok=True)
    return found


def _signing(key_folder: Path) -> "Callable[[TreeHead], str | None]":
    from evidence.log.checkpoint import signed_checkpoint
    from evidence.seal.logkey import load_log_key

    key = load_log_key(key_folder)
    return lambda head: signed_checkpoint(head, key) if key else None


def import_store(db: str, path: Path, verifiers: "Sequence[LogVerifier]", kept: Sequence[str]) -> "TakenIn":
    """Take an export into an empty store, which is made if it is not there; whole and verified, or nothing of it."""
    try:
        with path.open("rb") as file:
            return _taken_in(db, file, str(path), verifiers, kept)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def move_store(db: str, to: str) -> Moved:
    """Copy a store into another, empty database by way of a temporary file, verified as an import is. The old one is left as it is."""
    from evidence.store import Store

    with TemporaryFile(prefix="evidence-move-") as file, Store.open(db, read_only=True) as store:
        exported = store.export_to(file, lambda _: None)
        file.seek(0)
        taken_in = _taken_in(to, file, f"the copy of {store.url}", (), ())
        return Moved(taken_in, store.log_size() - exported.head.size)


def _taken_in(
    db: str, file: IO[bytes], name: str, verifiers: "Sequence[LogVerifier]", kept: Sequence[str]
) -> "TakenIn":
    from evidence.store import Store

    with Store.open(db) as store:
        try:
            return store.import_from(file, verifiers, kept)
        except InputError as error:
            raise InputError(f"{name}: {error}; nothing of it was taken in") from error
