"""A disk that is full: the snapshot waits elsewhere, or it is said that nothing was kept; nothing is half stored."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

OWN_MOUNTS = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def may_mount(folder: Path) -> bool:
    try:
        tried = subprocess.run(
            [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.mark.slow
@pytest.mark.real
def test_on_a_full_disk_nothing_is_half_stored_and_what_waits_elsewhere_is_taken_in(tmp_path: Path) -> None:
    disk, elsewhere = tmp_path / "disk", tmp_path / "elsewhere"
    disk.mkdir()
    elsewhere.mkdir()
    if not may_mount(disk):
        pytest.skip("no file system may be mounted here, not even for one process")
    done = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-m", "tests.store.full", str(disk), str(elsewhere)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
