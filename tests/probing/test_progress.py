"""How far a pod has come."""

from typing import Any

import pytest

from evidence.probing.progress import answers, ended, failure

STARTED = {"podIP": "10.0.0.1", "phase": "Running", "containerStatuses": [{"started": True, "state": {"running": {}}}]}


def pod(**status: Any) -> dict[str, Any]:
    return {"status": status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pod(containerStatuses=[{"state": {"waiting": {"reason": reason, "message": message}}}])


def test_a_stand_in_answers_when_its_node_has_reached_it_by_its_address() -> None:
    assert answers(pod(**STARTED))
    assert not answers(pod(**{**STARTED, "podIP": ""}))
    assert not answers(pod(**{**STARTED, "containerStatuses": [{"started": False, "state": {"running": {}}}]}))
    assert not answers(pod())


@pytest.mark.parametrize(
    ("phase", "over"), [("Succeeded", True), ("Failed", True), ("Running", False), ("Pending", False)]
)
def test_a_source_is_over_when_its_pod_is(phase: str, over: bool) -> None:
    assert ended(pod(phase=phase)) is over


def test_an_image_that_is_nowhere_is_told_at_once() -> None:
    assert failure(waiting("ErrImagePull", "not\nfound"), answers) == "ErrImagePull: not found"
    assert failure(waiting("ContainerCreating"), answers) == ""


def test_a_pod_that_failed_says_why() -> None:
    assert failure(pod(phase="Failed", reason="DeadlineExceeded"), ended) == "it failed: DeadlineExceeded"


def test_a_stand_in_that_ended_answers_nobody_and_a_source_that_ended_is_well() -> None:
    assert failure(pod(phase="Succeeded"), answers) == "it ended"
    assert failure(pod(phase="Succeeded"), ended) == ""
