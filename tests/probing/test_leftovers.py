"""Which pods of earlier runs may be removed."""

import platform
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evidence.probing.leftovers import is_left, remove_leftovers, this_process
from evidence.probing.pods import EXPIRES, MADE_BY

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
LATER, EARLIER = (NOW + timedelta(minutes=5)).isoformat(), (NOW - timedelta(minutes=5)).isoformat()


def marked(made_by: str, expires: str = LATER) -> dict[str, Any]:
    return {"name": "p", "namespace": "n", "annotations": {MADE_BY: made_by, EXPIRES: expires}}


def test_a_pod_of_a_process_that_runs_stays() -> None:
    assert not is_left(marked(this_process()), NOW)


def test_a_pod_of_a_process_that_is_dead_goes() -> None:
    assert is_left(marked(f"{platform.node()}/4194304999/1"), NOW)


def test_a_pod_of_another_process_that_got_the_same_number_goes() -> None:
    host, pid, start = this_process().split("/")
    assert is_left(marked(f"{host}/{pid}/{int(start) + 1}"), NOW)


@pytest.mark.parametrize("made_by", ["elsewhere/1/1", "", "x"])
def test_a_pod_from_elsewhere_stays_until_its_time_is_over(made_by: str) -> None:
    assert not is_left(marked(made_by), NOW)
    assert is_left(marked(made_by, EARLIER), NOW)


@pytest.mark.parametrize("expires", ["", "soon", "2026-09-01T12:05:00"])
def test_a_pod_without_a_time_goes(expires: str) -> None:
    assert is_left(marked("elsewhere/1/1", expires), NOW)


class Kept:
    """The pods of a cluster, in memory."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = [{"metadata": metadata} for metadata in pods]

    def marked(self, run: str | None = None) -> list[dict[str, Any]]:
        return self.pods

    def delete(self, namespace: str, name: str) -> None:
        self.pods = [pod for pod in self.pods if pod["metadata"]["name"] != name]


def test_leftovers_go_and_others_stay_unless_everything_is_to_go() -> None:
    pods = Kept({**marked("elsewhere/1/1"), "name": "live"}, {**marked("elsewhere/1/1", EARLIER), "name": "over"})
    assert remove_leftovers(pods, NOW) == ("n/over",)  # type: ignore[arg-type]
    assert [pod["metadata"]["name"] for pod in pods.pods] == ["live"]
    assert remove_leftovers(pods, NOW, everything=True) == ("n/live",)  # type: ignore[arg-type]
