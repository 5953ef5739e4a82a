"""A cluster followed over a small API server that ends, breaks and refuses watches as real ones do."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from evidence.cluster.objects import KindResult, KindStatus
from evidence.collect import watch
from evidence.collect.connection import Connection
from evidence.collect.follow import Applied, Follower
from evidence.collect.watch import Wire
from evidence.errors import CollectError
from tests.collect.api import Api
from tests.manifests import body, pod_body

PODS = "/api/v1/pods"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(autouse=True)
def _without_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_longer", lambda _: 0.05)
    monkeypatch.setattr(watch, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(watch, "_NAP", 0.01)


@pytest.fixture
def follower(api: Api, connection: Connection) -> Iterator[Follower]:
    api.lists[PODS] = [pod_body("a", "shop")]
    found = Follower(Wire(connection, lambda: datetime.now(UTC)))
    found.look_again()
    yield found
    found.wire.close()


def applied(follower: Follower) -> Applied:
    """What the next event changed that changes anything that is held, or tells of something unseen."""
    while True:
        event = follower.wire.next(20)
        assert event is not None, "no event came"
        found = follower.apply(event)
        if found != Applied():
            return found


def change(follower: Follower) -> list[tuple[str, str]]:
    return [
        (str(key), "came" if before is None else "went" if after is None else "changed")
        for key, before, after in applied(follower).objects
    ]


def pods(follower: Follower) -> list[str]:
    return [obj.key.name for obj in follower.collection().objects if obj.key.kind == "Pod"]


def about_pods(follower: Follower) -> KindResult:
    return next(kind for kind in follower.collection().kinds if kind.kind == "Pod")


def until(follower: Follower, status: KindStatus) -> KindResult:
    """Take events until pods are said to be so."""
    for _ in range(1000):
        if about_pods(follower).status is status:
            return about_pods(follower)
        event = follower.wire.next(0.02)
        if event is not None:
            follower.apply(event)
    pytest.fail(f"pods never were {status}")


def test_what_comes_changes_and_goes_is_held_as_a_visit_would_find_it(api: Api, follower: Follower) -> None:
    assert pods(follower) == ["a"]
    api.changes(PODS, "ADDED", pod_body("b", "shop"))
    assert change(follower) == [("Pod shop/b", "came")]
    api.changes(PODS, "MODIFIED", pod_body("b", "shop", metadata={"labels": {"app": "web"}}))
    assert change(follower) == [("Pod shop/b", "changed")]
    api.changes(PODS, "DELETED", pod_body("a", "shop"))
    assert change(follower) == [("Pod shop/a", "went")]
    assert pods(follower) == ["b"]
    assert (about_pods(follower).count, about_pods(follower).resource_version) == (1, "80")
    assert not follower.collection().partial


def test_only_kept_fields_are_held_and_what_differs_in_others_is_no_change(api: Api, follower: Follower) -> None:
    spec: dict[str, Any] = {"containers": [{"name": "c", "env": [{"name": "A", "value": "hunter2"}]}]}
    api.changes(PODS, "ADDED", pod_body("b", "shop", spec=spec))
    change(follower)
    assert "hunter2" not in str(follower.collection())
    spec["containers"][0]["env"][0]["value"] = "hunter3"
    api.changes(PODS, "MODIFIED", pod_body("b", "shop", spec=spec))
    api.changes(PODS, "ADDED", pod_body("c", "shop"))
    assert change(follower) == [("Pod shop/c", "came")]


def test_a_watch_that_ends_goes_on_where_it_was_and_bookmarks_move_that_on(api: Api, follower: Follower) -> None:
    api.changes(PODS, "ADDED", pod_body("b", "shop"))
    change(follower)
    api.watches[PODS].put("end")
    api.changes(PODS, "ADDED", pod_body("c", "shop"))
    assert change(follower) == [("Pod shop/c", "came")]
    api.watches[PODS].put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "123"}}})
    api.watches[PODS].put("end")
    api.changes(PODS, "DELETED", pod_body("c", "shop"))
    assert change(follower) == [("Pod shop/c", "went")]
    assert api.watched[PODS] == ["77", "78", "123"]


@pytest.mark.parametrize(
    "trouble",
    [
        "break",
        b'{"type": "ADDED", "obj',
        b"not json\n",
        (503, {}, {"message": "busy"}),
        (429, {"Retry-After": "1"}, {}),
    ],
    ids=["breaks", "cut off", "no JSON", "busy", "too many requests"],
)
def test_a_watch_that_breaks_is_taken_up_where_it_was(trouble: object, api: Api, follower: Follower) -> None:
    for event in ("end", trouble, "break"):
        api.watches[PODS].put(event)
    api.changes(PODS, "ADDED", pod_body("b", "shop"))
    assert change(follower) == [("Pod shop/b", "came")]
    assert set(api.watched[PODS]) == {"77"}
    until(follower, KindStatus.LISTED)


@pytest.mark.parametrize(
    "expired",
    [
        (410, {}, {"message": "too old"}),
        {"type": "ERROR", "object": {"metadata": {}, "code": 410, "message": "too old"}},
    ],
    ids=["refused", "in the stream"],
)
def test_when_the_server_no_longer_knows_the_version_the_list_is_read_again_and_the_gap_is_told(
    expired: object, api: Api, follower: Follower
) -> None:
    began = datetime.now(UTC)
    api.watches[PODS].put("end")
    api.lists[PODS] = [pod_body("a", "shop", metadata={"labels": {"app": "web"}}), pod_body("b", "shop")]
    api.watches[PODS].put(expired)
    api.watches[PODS].put("break")
    found = applied(follower)
    assert {str(key) for key, _, _ in found.objects} == {"Pod shop/a", "Pod shop/b"}
    assert found.unseen_since is not None
    assert (began - found.unseen_since).total_seconds() < 60
    api.changes(PODS, "DELETED", pod_body("a", "shop"))
    assert change(follower) == [("Pod shop/a", "went")]


def test_a_kind_whose_watch_stays_broken_is_said_to_be_old(api: Api, follower: Follower) -> None:
    for event in ("end", *[(503, {}, {"message": "etcd is away"})] * 200):
        api.watches[PODS].put(event)
    failed = until(follower, KindStatus.FAILED)
    assert failed.message.startswith("the watch of pods has been broken since 20")
    assert failed.message.endswith("UTC: 503: etcd is away")
    assert (failed.count, pods(follower)) == (1, ["a"])


def test_a_kind_that_may_be_listed_and_not_watched_names_the_verb(api: Api, follower: Follower) -> None:
    for event in ("end", *[(403, {}, {"message": "no"})] * 200):
        api.watches[PODS].put(event)
    forbidden = until(follower, KindStatus.FORBIDDEN)
    assert forbidden.message == "system:serviceaccount:evidence:collector lacks the verb watch on pods"


def test_credentials_that_are_taken_back_end_the_watch(api: Api, follower: Follower) -> None:
    api.watches[PODS].put("end")
    api.watches[PODS].put((401, {}, {"message": "Unauthorized"}))
    with pytest.raises(CollectError, match="no longer takes the credentials: Unauthorized"):
        until(follower, KindStatus.FAILED)


def test_an_object_that_cannot_be_read_is_left_out_until_it_can(api: Api, follower: Follower) -> None:
    api.changes(PODS, "MODIFIED", pod_body("a", "shop", status={"podIP": "x"}))
    assert change(follower) == [("Pod shop/a", "went")]
    (problem,) = follower.collection().problems
    assert "is not an IP address" in problem.message
    api.changes(PODS, "MODIFIED", pod_body("a", "shop", status={"podIP": "10.0.0.1"}))
    assert change(follower) == [("Pod shop/a", "came")]
    assert not follower.collection().partial


def test_a_kind_that_is_served_later_is_followed_from_then_on_and_one_no_longer_served_is_gone(
    api: Api, follower: Follower
) -> None:
    nodes = "/api/v1/nodes"
    api.served["/api/v1"] = ["namespaces", "pods", "nodes"]
    api.lists[nodes] = [body("v1", "Node", "n1")]
    assert [str(key) for key, _, _ in follower.look_again().objects] == ["Node n1"]
    api.trouble[nodes] = [(404, {}, {})] * 5
    api.watches[nodes].put("end")
    api.watches[nodes].put((404, {}, {}))
    assert change(follower) == [("Node n1", "went")]
    assert next(kind.status for kind in follower.collection().kinds if kind.kind == "Node") is KindStatus.NOT_SERVED


def test_a_kind_that_cannot_be_watched_is_listed_again_and_again(api: Api, connection: Connection) -> None:
    api.verbs = ["get", "list"]
    api.lists[PODS] = [pod_body("a", "shop")]
    follower = Follower(Wire(connection, lambda: datetime.now(UTC)))
    follower.look_again()
    api.lists[PODS] = [pod_body("b", "shop")]
    assert change(follower) == [("Pod shop/a", "went"), ("Pod shop/b", "came")]
    assert "offers no watch" in about_pods(follower).message
    follower.wire.close()


def test_a_reader_that_is_slow_holds_the_server_back_and_not_memory(
    api: Api, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVENTS_WAITING", 5)
    api.lists[PODS] = []
    follower = Follower(Wire(connection, lambda: datetime.now(UTC)))
    follower.look_again()
    for number in range(50):
        api.changes(PODS, "ADDED", pod_body(f"p{number:02d}", "shop"))
    time.sleep(0.3)  # far more than five would have come by now
    assert follower.wire._events.qsize() <= 5
    for number in range(50):
        assert change(follower) == [(f"Pod shop/p{number:02d}", "came")]
    follower.wire.close()
