"""One control plane for all tests of a session, for files that do not need one of their own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evidence.collect.connection import Connection, connect
from evidence.collect.pace import Pace
from tests.real.controlplane import control_plane


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    with control_plane() as path:
        yield path


@pytest.fixture(scope="session")
def admin(kubeconfig: Path) -> Connection:
    """An administrator in a hurry: the collector's own pace is for clusters that others need."""
    found = connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=None)
    return replace(found, pace=Pace(10_000, 10_000))
