"""The fleet's store, collected once and copied for tests that change it."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.fleet.fleet import files, fleet, reassess


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The store, for reading only."""
    return fleet(str(tmp_path_factory.mktemp("fleet") / "evidence.db"))


@pytest.fixture
def db(kept: str, tmp_path: Path) -> str:
    """A copy that a test may change."""
    for path in Path(kept).parent.iterdir():
        shutil.copy(path, tmp_path / path.name)
    return str(tmp_path / "evidence.db")


@pytest.fixture(scope="session")
def whole(kept: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reassessment of the store that was not stopped."""
    folder = tmp_path_factory.mktemp("reassessed")
    reassess(kept, folder)
    assert files(folder)
    return folder
