"""Snapshots and failed runs on their way into a store, each a file of a folder: none is lost, whatever happens to the store or the process.

1. A snapshot is deposited before the store is asked to take it, and its file removed once the store has committed. What is left of a run that
   was killed, or whose store was away, full or of another version, is taken in later: the store takes the very same only once. A run that
   failed is deposited only when the store does not take the record of it.
2. A file appears whole: written under another name, synchronised, renamed, its folder synchronised. Only its owner can read it (mode 0600).
3. While a process is storing what it deposited it holds a lock on the file (flock(2), gone with the process), and others leave it alone.
4. A file is all that the store would say of the snapshot, and nothing else: a first line with the format and the SHA-256 of the rest, which is
   deflated JSON (RFC 1950). Nothing signs it: a snapshot is in the log, and proven, from when the store has it.
5. A file that is damaged, or that the store refuses, is set aside under another ending, and stays there until somebody removes it.
6. A folder that is beside its store, or named after it, is that store's. In one that was given, each file says for which store it waits.
"""

import base64
import fcntl
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from evidence.canonical import canonical_json
from evidence.cluster.objects import CollectedObject, Collection, ObjectKey
from evidence.errors import InputError, StoreError
from evidence.store.content import details_json, parse_body, parse_details
from evidence.store.database import file_of, parse_url
from evidence.store.rows import storable, storable_run, utc
from evidence.store.values import NewFailedRun, NewSnapshot, RunInfo

FORMAT = "evidence/spool/v1"
SNAPSHOT, FAILED_RUN, DAMAGED, REFUSED = ".snapshot", ".failed-run", ".damaged", ".refused"
_UNFINISHED = ".unfinished"
_FAST = 1  # zlib's level: the file lives for a moment, mostly


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder, and the store for which snapshots wait in it. `shared`: the folder may hold those of other stores."""

    folder: Path
    store: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Spooled:
    """What waits in `path` for `store`."""

    path: Path
    store: str
    new: NewSnapshot | NewFailedRun


@dataclass(frozen=True, slots=True)
class Deposit:
    """Something of this process's own in the spool, under its lock until one of these is called."""

    path: Path
    _file: BinaryIO

    def remove(self) -> None:
        """It is in the store, or nothing can ever take it."""
        _remove(self.path)
        self._file.close()

    def leave(self) -> None:
        """It waits."""
        self._file.close()


def spool_of(db: str, given: Path | None, state_folder: Path) -> Spool:
    """The spool of the store at a database URL or path: the folder that is given, or else one beside a SQLite file, or below `state_folder`.

    Raises StoreError for what is no database URL.
    """
    url = parse_url(db)
    file = file_of(url)
    if file is not None:
        return Spool(given or file.with_name(f"{file.name}-spool"), str(file.absolute()), given is not None)
    asked = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in url.query.items()}
    host = ",".join(filter(None, (url.host, asked.get("host"), asked.get("service")))) or "localhost"
    name = f"postgresql://{host}:{url.port or asked.get('port', 5432)}/{url.database or ''}"
    folder = state_folder / "spool" / re.sub(r"[^\w.-]+", "-", name).strip("-")
    return Spool(given or folder, name, given is not None)


# -- out of the process -----------------------------------------------------------------------------------------------


def deposit(spool: Spool, new: NewSnapshot | NewFailedRun) -> Deposit:
    """Put it into the spool and keep the lock on it. Raises OSError, and InputError for what no store takes either."""
    if isinstance(new, NewSnapshot):
        moment, ending, plain = new.taken_at, SNAPSHOT, _snapshot_written(spool.store, new)
    else:
        moment, ending, plain = new.finished_at, FAILED_RUN, _failed_run_written(spool.store, new)
    content = zlib.compress(plain, _FAST)
    try:
        return _deposit(spool, utc(moment), ending, content)
    except FileNotFoundError:  # another process tidied the folder at this moment
        return _deposit(spool, utc(moment), ending, content)


def _deposit(spool: Spool, moment: datetime, ending: str, content: bytes) -> Deposit:
    digest = hashlib.sha256(content).hexdigest()
    when = moment.replace(tzinfo=None).isoformat(timespec="microseconds").replace("-", "").replace(":", "")
    name = f"{when}Z-{digest[:16]}"
    unfinished, path = spool.folder / f".{name}{_UNFINISHED}", spool.folder / f"{name}{ending}"
    beside_store = (
        spool.folder.parent == Path(spool.store).parent
    )  # a folder for the store itself is not made for it either
    spool.folder.mkdir(mode=0o700, parents=not beside_store, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(unfinished, flags, 0o600), "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{FORMAT} {digest}\n".encode())
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        unfinished.rename(path)
        _synchronise(spool.folder)
    except BaseException:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            _remove(unfinished)
        raise
    return Deposit(path, file)


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed_run_written(store: str, new: NewFailedRun) -> bytes:
    header = {
        "store": store,
        "cluster": new.cluster,
        "started_at": _text(new.started_at),
        "finished_at": _text(new.finished_at),
        "message": storable(new.message),
        "run": _custody(new.run),
    }
    return canonical_json(header)


def _custody(run: RunInfo) -> list[str]:
    safe = storable_run(run)
    return [safe.software_version, safe.host, safe.identity, safe.command, safe.configuration_digest]


def _snapshot_written(store: str, new: NewSnapshot) -> bytes:
    received_at = utc(new.received_at)
    header = {
        "store": store,
        "cluster": new.cluster,
        "taken_at": _text(new.taken_at),
        "taken_at_claimed": new.taken_at_claimed,
        "received_at": _text(received_at),
        "started_at": _text(new.started_at or received_at),
        "finished_at": _text(new.finished_at or received_at),
        "run": _custody(new.run),
        "details": details_json(new.collection).decode(),
        "intent": None if new.intent is None else base64.b64encode(new.intent).decode(),
    }
    lines = [canonical_json(header)]
    lines += [canonical_json([*obj.key, obj.source, obj.body]) for obj in new.collection.objects]
    return b"\n".join(lines)


# -- back into it -----------------------------------------------------------------------------------------------------


def waiting(spool: Spool) -> tuple[Path, ...]:
    """The files that wait, in the order in which their snapshots were taken and their runs ended. Raises OSError."""
    return _ending(spool.folder, SNAPSHOT, FAILED_RUN)


def set_aside(spool: Spool) -> tuple[Path, ...]:
    """The files that somebody has to look at. Raises OSError."""
    return _ending(spool.folder, DAMAGED, REFUSED)


def _ending(folder: Path, *endings: str) -> tuple[Path, ...]:
    try:
        named = [path for path in folder.iterdir() if path.suffix in endings and path.name[0] != "."]
        return tuple(sorted(path for path in named if path.is_file()))  # a pipe would be waited for
    except FileNotFoundError:
        return ()


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Keep other processes away from a file that waits; False when one has it, or has taken it in."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield path.exists()


def read_spooled(path: Path) -> Spooled:
    """What is in a file. Raises StoreError when it is not what was deposited, OSError."""
    first, _, content = path.read_bytes().partition(b"\n")
    if first.split(b" ") != [FORMAT.encode(), hashlib.sha256(content).hexdigest().encode()]:
        known = first.startswith(FORMAT.encode())
        raise StoreError(
            "its content does not match its digest"
            if known
            else f"it does not begin with {FORMAT}: not of this version"
        )
    try:
        header, *objects = zlib.decompress(content).split(b"\n")
        found = orjson.loads(header)
        new = _failed_run(found) if "message" in found else _snapshot(found, objects)
        return Spooled(path, found["store"], new)
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise StoreError(f"it cannot be read ({error})") from error


def _failed_run(header: dict[str, Any]) -> NewFailedRun:
    started_at, finished_at = (datetime.fromisoformat(header[name]) for name in ("started_at", "finished_at"))
    return NewFailedRun(header["cluster"], started_at, finished_at, header["message"], RunInfo(*header["run"]))


def _snapshot(header: dict[str, Any], objects: Sequence[bytes]) -> NewSnapshot:
    source, kinds, problems = parse_details(header["details"].encode())
    found = []
    for each in objects:
        *key, where, body = parse_body(each)
        found.append(CollectedObject.of(ObjectKey(*key), body, where))
    return NewSnapshot(
        cluster=header["cluster"],
        taken_at=datetime.fromisoformat(header["taken_at"]),
        taken_at_claimed=header["taken_at_claimed"],
        received_at=datetime.fromisoformat(header["received_at"]),
        collection=Collection(source, tuple(found), kinds, problems),
        intent=None if header["intent"] is None else base64.b64decode(header["intent"]),
        run=RunInfo(*header["run"]),
        started_at=datetime.fromisoformat(header["started_at"]),
        finished_at=datetime.fromisoformat(header["finished_at"]),
    )


def keep_aside(path: Path, ending: str) -> Path:
    """Give a file that cannot be taken in another ending, so that it is kept and not tried again."""
    return path.rename(path.with_suffix(ending))


def take_out(path: Path) -> None:
    """Remove the file of what the store has."""
    _remove(path)


def clean(spool: Spool) -> None:
    """Remove what was not finished by processes that are gone, and the folder once it is empty."""
    with suppress(OSError):
        for path in spool.folder.iterdir():
            if path.suffix == _UNFINISHED:
                with held(path) as mine:
                    if mine:
                        path.unlink(missing_ok=True)
        spool.folder.rmdir()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # others wait in it
        path.parent.rmdir()


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
