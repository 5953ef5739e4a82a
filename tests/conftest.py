"""Fixtures that every test folder may use."""

from pathlib import Path

import pytest

from tests.real.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Material that lies beside a development checkout (conformance cases, a control plane); absent for users."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of conformance cases is not beside this checkout")
    return folder
