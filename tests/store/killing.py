"""Kills real processes with SIGKILL at every step of a collection, and looks at what each of them leaves: `python -m tests.store.killing DB`.

A process of its own, because it forks: children inherit what is imported, and die before each SQL statement, and before and after each commit and
each operation on the spool's files, in turn. Prints the steps at which one was killed, one a line; an assertion ends it.
"""

import os
import signal
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from evidence import pipeline
from evidence.pipeline import spooling
from evidence.pipeline.sources import FileSource
from evidence.store import Store
from evidence.store.spool import Spool, waiting
from tests.store.build import beside, hours

EVER = (hours(-1), hours(10_000))
POD = '{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "web", "namespace": "shop", "labels": {{"version": "{}"}}}}}}'


def _unsaid(_: str) -> None:
    """Standard output is for the steps."""


def collect(db: str, spool: Spool, manifest: Path, at: datetime) -> None:
    pipeline.collect_snapshot(
        db, FileSource([str(manifest)]), cluster="prod", taken_at=None, received_at=at, intent_path=None, keep_going=False,
        clock=lambda: at, spool=spool,
    )  # fmt: skip


def die_at(step: int) -> None:
    """Have this process kill itself at a step, counted from 0, whose name then goes to standard output."""
    done = 0

    def reach(name: str) -> None:
        nonlocal done
        if done == step:
            print(name, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1

    def around(owner: Any, name: str, label: str) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            reach(f"before {label}")
            result = real(*arguments, **options)
            reach(f"after {label}")
            return result

        setattr(owner, name, wrapped)

    def statement(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        reach(f"before {' '.join(sql.split()[:3])}")

    event.listen(Engine, "before_cursor_execute", statement)
    around(DefaultDialect, "do_commit", "COMMIT")
    around(os, "fsync", "fsync")
    for name in ("rename", "unlink", "rmdir"):
        around(Path, name, f"{name} in the spool")


def killed(db: str, spool: Spool, manifest: Path, at: datetime, step: int) -> bool:
    """Collect in a process that is killed at a step; False when it came to its end first."""
    child = os.fork()
    if child == 0:
        die_at(step)
        code = 1
        try:
            collect(db, spool, manifest, at)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "the collection failed by itself"
    return os.WIFSIGNALED(status)


def taken(db: str, *, checked: bool) -> list[datetime]:
    """When the snapshots of the store were taken, the newest being read whole; `checked`: and all else is as it should be."""
    with Store.open(db, read_only=True) as store:
        assert not checked or store.check().problems == ()
        infos = store.snapshots("prod", *EVER)
        for info in infos[-2:]:
            (pod,) = store.read(info.id).collection.objects
            assert pod.body["metadata"]["labels"] == {"version": info.taken_at.isoformat()}
    return [info.taken_at for info in infos]


def sweep(db: str, folder: Path) -> int:
    """Kill one collection at each step in turn, all into one store. Gives the number of steps."""
    spool, manifest = beside(str(folder / "store")), folder / "pod.json"
    at = hours(0)
    manifest.write_text(POD.format(at.isoformat()))
    collect(db, spool, manifest, at)
    expected, deposited, step = [at], False, 0
    while True:
        at = hours(step + 1)
        manifest.write_text(POD.format(at.isoformat()))
        died = killed(db, spool, manifest, at, step)
        stored, left = taken(db, checked=False), waiting(spool)
        assert stored in (expected, [*expected, at]), "the store is neither as before nor has the whole snapshot"
        present = stored != expected or bool(left)
        assert present or not deposited, "a snapshot that was deposited is lost"
        deposited = deposited or bool(left)
        expected += [at] if present else []
        assert spooling.take_in(db, spool, partial(hours, step + 1), _unsaid)
        assert not spool.folder.exists()
        if left:
            assert taken(db, checked=False) == expected
        if not died:
            assert present
            assert deposited
            assert taken(db, checked=True) == expected  # what a kill had left wrong would be wrong still
            return step
        step += 1


def sweep_first(folder: Path) -> int:
    """The same for the collection that makes the store, each into a file of its own, at every seventh step: a migration has many like each other."""
    manifest, at, step = folder / "pod.json", hours(0), 0
    manifest.write_text(POD.format(at.isoformat()))
    while True:
        db = str(folder / f"{step}.db")
        died = killed(db, beside(db), manifest, at, step)
        assert spooling.take_in(db, beside(db), partial(hours, 0), _unsaid)
        collect(db, beside(db), manifest, at)
        assert taken(db, checked=True) == [at]
        assert not beside(db).folder.exists()
        if not died:
            return step
        step += 7


if __name__ == "__main__":
    import alembic.command
    import alembic.config  # noqa: F401  (once, and not in each child)

    where = Path(sys.argv[2])
    print(sweep_first(where) if sys.argv[1] == "new" else sweep(sys.argv[1], where))
