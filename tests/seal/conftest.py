"""One signer and one sealed pack for the whole folder: making them takes half a second each."""

from collections.abc import Mapping

import pytest

from evidence.seal.keys import Signer
from tests.seal.builders import own_signer, sealed


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return own_signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Somebody else, who calls themselves the same."""
    return own_signer(tmp_path_factory.mktemp("strangers-keys"))


@pytest.fixture(scope="session")
def pack(signer: Signer) -> Mapping[str, bytes]:
    return sealed(signer)
