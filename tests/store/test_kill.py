"""A collection that is killed at any step leaves the store as before or with the whole snapshot, and loses none that was taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def swept(*arguments: str) -> list[str]:
    """The steps at which a collection was killed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.killing", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    *steps, count = done.stdout.splitlines()
    assert len(steps) == int(count) or "new" in arguments
    return steps


def test_killed_at_every_statement_commit_and_file(db: str, tmp_path: Path) -> None:
    steps = swept(db, str(tmp_path))
    assert {
        "before INSERT INTO snapshots",
        "before UPDATE intervals SET",
        "before INSERT INTO log_entries",
        "before COMMIT",
        "after COMMIT",
        "before rename in the spool",
        "after rename in the spool",
        "before unlink in the spool",
    } <= set(steps)


def test_killed_while_the_store_is_made(tmp_path: Path) -> None:
    assert "before CREATE TABLE" in " ".join(swept("new", str(tmp_path)))
