"""The pack of the hand-built report, rendered once."""

from collections.abc import Mapping

import pytest

from evidence.report.pack import pack_files
from tests.report.builders import view


@pytest.fixture(scope="session")
def pack() -> Mapping[str, bytes]:
    return pack_files(view())
