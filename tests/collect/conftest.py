from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evidence.collect import connection as connection_module
from evidence.collect.connection import Connection, connect
from tests.collect.api import Api, kubeconfig, serving


@pytest.fixture(autouse=True)
def _three_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for good is known sooner."""
    monkeypatch.setattr(connection_module, "ATTEMPTS", 3)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with serving(api) as url:
        yield url


@pytest.fixture
def connection(url: str, tmp_path: Path) -> Connection:
    found = connect(context=None, kubeconfig=kubeconfig(tmp_path, url), in_cluster=False, impersonate=None)
    return replace(found, retry_budget_seconds=3.0)
