"""Checkpoints outside the store: a folder, or an object store, to which each is added once.

A copy is named for the size of its log, so that a store which was taken back or forked meets the copy of its former self: of one size there
can be one head only. Nothing is ever written over. In object stores the condition is the server's (If-None-Match), so that a credential
which may add objects and not replace them is enough.
"""

import os
from pathlib import Path

from evidence.errors import ReportError

SCHEMES = ("s3", "gs", "az")


def add_copy(note: str, size: int, stamp: bytes | None, destination: str) -> None:
    """Add a checkpoint, and its timestamp beside it, to a folder or an address such as `s3://bucket/folder`.

    `size`: of the log that it signs; `stamp`: an RFC 3161 answer about the note. A timestamp that is there already stays: it is older. Raises
    ReportError when the copy cannot be written, or another checkpoint of that size is there.
    """
    add = _add_object if destination.partition("://")[0] in SCHEMES else _add_file
    name = f"checkpoint-{size:012}"
    there = add(destination, f"{name}.txt", note.encode())
    if there not in (None, note.encode()):
        raise ReportError(
            f"{destination}: another checkpoint of the same size is kept here as {name}.txt: the store was changed since, or it is of "
            "another store"
        )
    if stamp:
        add(destination, f"{name}.tsr", stamp)


def _add_file(folder: str, name: str, content: bytes) -> bytes | None:
    """What the folder has under that name already; None when the content was written. It appears whole or not at all."""
    path = Path(folder) / name
    partial = path.with_name(f".{name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return path.read_bytes()
        partial.write_bytes(content)
        try:
            path.hardlink_to(partial)  # unlike a rename it never replaces
        except FileExistsError:
            return path.read_bytes()
        finally:
            partial.unlink()
    except OSError as error:
        raise ReportError(f"{folder}: the copy cannot be written: {error.strerror}; choose another folder") from error
    return None


def _add_object(address: str, name: str, content: bytes) -> bytes | None:
    try:
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise ReportError(
            f"{address}: copies in an object store need the extra: pip install 'evidence[objectstore]'"
        ) from error
    try:
        store = from_url(address, retry_config={"max_retries": 2})
        try:
            obstore.put(store, name, content, mode="create")
        except AlreadyExistsError:
            return bytes(obstore.get(store, name).bytes())
    except (BaseError, ValueError) as error:
        raise ReportError(f"{address}: the copy cannot be written: {_first_line(error)}") from error
    return None


def _first_line(error: Exception) -> str:
    """obstore appends its inner state to some messages, which may be long; the first line says what happened."""
    return (str(error).splitlines() or [type(error).__name__])[0]
