"""What the API server refuses is said with what to do."""

from collections.abc import Callable
from typing import Any

import pytest

from evidence.collect.connection import Refused
from evidence.errors import CollectError
from evidence.probing.api import Pods


class Refusing:
    """A connection to a server that refuses everything."""

    def __init__(self, status: int) -> None:
        self.status = status

    def get(self, path: str, query: object = None) -> Any:
        raise Refused(self.status, "pods is forbidden")

    def post(self, path: str, body: object) -> Any:
        raise Refused(self.status, "forbidden")


def pods(status: int) -> Pods:
    return Pods(Refusing(status))  # type: ignore[arg-type]


@pytest.mark.parametrize("ask", [lambda p: p.marked(), lambda p: p.read("n", "p")], ids=["list", "read"])
def test_a_right_that_is_missing_is_named_with_where_it_is_given(ask: Callable[[Pods], object]) -> None:
    with pytest.raises(
        CollectError, match=r"pods is forbidden; the prober's rights are in deploy/probe/clusterrole\.yaml"
    ):
        ask(pods(403))


def test_a_pod_that_is_not_there_is_none() -> None:
    assert pods(404).read("n", "p") is None


def test_nobody_who_may_not_ask_may_add_an_ephemeral_container() -> None:
    assert pods(403).may_add_ephemeral("n") is False
