"""Fills a small file system and collects into it, by the real command: `python -m tests.store.full DISK ELSEWHERE`.

Run in a mount namespace of its own (unshare), where DISK becomes a file system of some 300 KiB. An assertion ends it.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from evidence.store import Store
from tests.store.killing import POD

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))


def mount(disk: Path, *options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(disk)], check=True)


def collect(disk: Path, spool: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "evidence",
        "collect",
        "--cluster",
        "prod",
        "--from",
        "pod.json",
        "--db",
        str(disk / "evidence.db"),
    ]
    return subprocess.run([*command, "--spool", str(spool)], capture_output=True, text=True, check=False)


def stored(disk: Path) -> int:
    """How many snapshots the store holds, all else being as it should be."""
    with Store.open(str(disk / "evidence.db"), read_only=True) as store:
        assert store.check().problems == ()
        return len(store.snapshots("prod", *EVER))


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "other").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def main(disk: Path, elsewhere: Path) -> None:
    os.chdir(elsewhere)
    Path("pod.json").write_text(POD.format("1"))
    mount(disk, "-o", "size=300k")
    first = collect(disk, elsewhere / "spool")
    assert first.returncode == 0, first.stderr
    fill(disk)
    for number in (1, 2):
        refused = collect(disk, elsewhere / "spool")
        assert refused.returncode == 3
        assert refused.stderr.count("\n") == 1
        assert "evidence.db cannot grow: the disk is full" in refused.stderr, refused.stderr
        assert "and is taken in by the next run" in refused.stderr
        assert len(list((elsewhere / "spool").iterdir())) == number
    lost = collect(disk, disk / "spool")
    assert lost.returncode == 3
    assert "cannot grow: the disk is full" in lost.stderr
    assert f"is kept nowhere, for it could not be spooled either ({disk}/spool: No space left on device)" in lost.stderr
    assert not (disk / "spool").exists() or not list((disk / "spool").iterdir())
    (disk / "other").unlink()
    assert stored(disk) == 1
    last = collect(disk, elsewhere / "spool")
    assert last.returncode == 0, last.stderr
    assert last.stderr.count("taken in from the spool") == 2
    assert stored(disk) == 4
    assert not (elsewhere / "spool").exists()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
