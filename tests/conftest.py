"""Fixtures that every test folder may use."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from evidence.cli import process
from tests.real.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

# No test is judged by its speed. Build servers set CI: there the examples are the same in every run, and people's runs search further.
settings.register_profile(
    "evidence", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("evidence")

# Help and tables wrap to the terminal; here it is as wide everywhere, whoever runs the tests.
os.environ["COLUMNS"] = "100"

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def one_process_for_many_answers() -> Iterator[None]:
    """Commands that answer once leave garbage and their values to the end of the process, which is here the end of all tests."""
    yield
    gc.enable()
    process._KEPT.clear()


@pytest.fixture(autouse=True, scope="session")
def no_keys_of_whoever_runs_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Material that lies beside a development checkout (conformance cases, a control plane); absent for users."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of conformance cases is not beside this checkout")
    return folder
