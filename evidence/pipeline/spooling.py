"""Snapshots and failed runs by way of the spool into the store, so that none is lost (rules in evidence/store/spool.py)."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.errors import InputError, SpooledError, StoreAwayError, StoreError
from evidence.log.entries import TreeHead

if TYPE_CHECKING:
    from evidence.store import NewFailedRun, NewSnapshot, SnapshotInfo, Store
    from evidence.store.spool import Spool

PAUSES = (1.0, 4.0)  # seconds between tries of a store that is away; a failover that takes longer is the spool's
_TICK = timedelta(microseconds=1)

Clock = Callable[[], datetime]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entered:
    """A snapshot in the store: how many of its object versions were new, and the log since. `behind`: others could not be taken in before it."""

    info: "SnapshotInfo"
    new_objects: int
    log: TreeHead
    behind: bool = False


def take_in(db: str, spool: "Spool", clock: Clock, note: Note) -> bool:
    """Take what waits in the spool into the store, in the order in which it was taken, each in a transaction of its own.

    Everything that is taken in, set aside or left where it is, is noted. False when something could not be taken in. Raises StoreError when the
    store does not take anything now.
    """
    from evidence.store import Store
    from evidence.store.spool import clean, set_aside

    try:
        clean(spool)
        for path in set_aside(spool):
            note(
                f"{path} was set aside and is not in the store; once it is mended, `evidence db take-in {path}` takes it in"
            )
    except OSError as error:
        note(_unreadable(spool, error))
    with Store.open(db) as store:
        return _take_waiting(store, spool, clock, note)


def _take_waiting(store: "Store", spool: "Spool", clock: Clock, note: Note) -> bool:
    from evidence.store.spool import waiting

    try:
        paths = waiting(spool)
    except OSError as error:
        note(_unreadable(spool, error))
        return False
    done = [_take_in(store, spool, path, clock, note) for path in paths]
    return all(done)


def _unreadable(spool: "Spool", error: OSError) -> str:
    return f"the spool {spool.folder} cannot be read: {error.strerror}; mend its permissions or give another --spool"


def take_in_files(db: str, paths: tuple[Path, ...], clock: Clock, note: Note) -> bool:
    """Take named files of any spool into the store, also those that were set aside. False when something could not be taken in.

    Raises StoreError when the store does not take anything now.
    """
    from evidence.store import Store

    with Store.open(db) as store:
        done = [_take_in(store, None, path, clock, note) for path in paths]
    return all(done)


def _take_in(store: "Store", spool: "Spool | None", path: Path, clock: Clock, note: Note) -> bool:
    """One file; `spool` None: whichever store it waits for, and it stays as it is when it cannot be taken in."""
    from evidence.store.spool import DAMAGED, REFUSED, held, keep_aside, read_spooled, take_out

    with held(path) as mine:
        if not mine:  # a process that runs is storing it, or has
            return True
        try:
            spooled = read_spooled(path)
        except StoreError as error:
            kept = keep_aside(path, DAMAGED) if spool else path
            note(f"{kept}: what waits in the spool is damaged and was not taken in: {error}")
            return False
        except OSError as error:
            note(f"{path}: what waits in the spool cannot be read: {error.strerror}")
            return False
        if spool and spool.shared and spooled.store != spool.store:
            note(
                f"{path} waits for the store {spooled.store}, not for {spool.store}, and was left alone; if that is the same one, run "
                f"`evidence db take-in {path}`"
            )
            return False
        try:
            said = _add(store, spooled.new, clock())
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one does not keep back those behind it)
            kept = keep_aside(path, REFUSED) if spool else path
            what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            note(f"{kept}: what waits in the spool was not taken in: {what}")
            return False
        take_out(path)
    note(said)
    return True


def _add(store: "Store", new: "NewSnapshot | NewFailedRun", now: datetime) -> str:
    """Add it with the time at which it came in; that this is after its run had ended is what shows its way (`SnapshotInfo.spooled`)."""
    from evidence.store import NewFailedRun

    if isinstance(new, NewFailedRun):
        _add_failed_run(store, new)
        return f"failed run of {new.cluster} until {new.finished_at:%Y-%m-%d %H:%M:%S} UTC: taken in from the spool"
    ended = new.finished_at or new.received_at
    info = store.add_snapshot(replace(new, received_at=max(now, ended + _TICK)))
    return (
        f"snapshot {info.id} of {info.cluster}: taken in from the spool, "
        f"taken {info.taken_at:%Y-%m-%d %H:%M:%S} UTC, root {info.root_digest[:16]}"
    )


def _add_failed_run(store: "Store", new: "NewFailedRun") -> None:
    store.add_failed_run(
        new.cluster, started_at=new.started_at, finished_at=new.finished_at, message=new.message, run=new.run
    )


def enter_failed_run(db: str, spool: "Spool | None", new: "NewFailedRun") -> None:
    """Record a run that failed, or leave it in the spool. Raises StoreError when it is kept nowhere."""
    from evidence.store import Store
    from evidence.store.spool import deposit

    try:
        with Store.open(db) as store:
            _add_failed_run(store, new)
    except StoreError:
        if spool is None:
            raise
        with suppress(OSError):
            deposit(spool, new).leave()
            return
        raise


def enter(db: str, spool: "Spool | None", new: "NewSnapshot", clock: Clock, note: Note) -> Entered:
    """Store a snapshot that was just taken, after all that waits. Without a spool it is lost when the store does not take it.

    Raises SpooledError when it waits in the spool, any other StoreError when it is kept nowhere, InputError for what cannot be stored.
    """
    from evidence.store.spool import deposit

    if spool is None:
        return _stored(db, None, new, clock, note)
    try:
        kept = deposit(spool, new)
    except OSError as failure:
        try:
            return _patiently(lambda: _stored(db, spool, new, clock, note))
        except StoreError as error:
            raise StoreError(
                f"{error}; {_named(new)} is kept nowhere, for it could not be spooled either ({spool.folder}: {failure.strerror}): make room, "
                "or give another --spool"
            ) from error
    try:
        entered = _patiently(lambda: _stored(db, spool, new, clock, note))
    except InputError:
        kept.remove()
        raise
    except StoreError as error:
        kept.leave()
        raise SpooledError(f"{error}; {_named(new)} waits in {kept.path} and is taken in by the next run") from error
    except BaseException:  # a signal: what was taken stays
        kept.leave()
        raise
    kept.remove()
    return entered


def _named(new: "NewSnapshot") -> str:
    return f"the snapshot of {new.cluster} taken {new.taken_at:%Y-%m-%d %H:%M:%S} UTC"


def _stored(db: str, spool: "Spool | None", new: "NewSnapshot", clock: Clock, note: Note) -> Entered:
    from evidence.store import Store

    with Store.open(db) as store:
        behind = False
        if spool is not None:
            try:
                behind = not _take_waiting(store, spool, clock, note)
            except StoreAwayError:
                raise
            except StoreError as error:  # of one of them, maybe: this one is tried all the same
                note(f"what waits in {spool.folder} was not taken in: {error}")
                behind = True
        before = store.object_count()
        info = store.add_snapshot(new)
        return Entered(info, store.object_count() - before, store.log_head(), behind)


def _patiently(attempt: Callable[[], Entered]) -> Entered:
    """Again after each pause while the store is away: the very same snapshot is stored once, also when a commit's answer was lost."""
    for pause in PAUSES:
        with suppress(StoreAwayError):
            return attempt()
        time.sleep(pause)
    return attempt()
