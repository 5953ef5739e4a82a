"""The collector against a small HTTP server that misbehaves as API servers do: busy, slow, broken, and with lists that expire."""

import threading
from pathlib import Path
from typing import Any

import pytest

from evidence import __version__
from evidence.cluster.objects import Collection, KindResult, KindStatus
from evidence.collect.cluster import LISTS_AT_ONCE, Connection, collect_cluster, connect
from evidence.errors import CollectError, InputError
from tests.collect.api import Answer, Api, Trouble, kubeconfig
from tests.manifests import body, pod_body

PODS = "/api/v1/pods"
BUSY: Answer = (503, {}, {"kind": "Status", "message": "etcd is away"})


def pods(count: int) -> list[dict[str, Any]]:
    return [{"metadata": {"name": f"pod-{number:03d}", "namespace": "shop"}} for number in range(count)]


def result(collection: Collection, kind: str) -> KindResult:
    return next(one for one in collection.kinds if one.kind == kind and one.group in ("", "networking.k8s.io"))


def test_every_page_is_read_and_every_kind_has_a_result(api: Api, connection: Connection) -> None:
    api.lists[PODS] = pods(25)
    collection = collect_cluster(connection, keep_going=False, page_size=10)
    assert [obj.key.name for obj in collection.objects] == [f"pod-{number:03d}" for number in range(25)]
    assert collection.objects[0].source == "/api/v1/namespaces/shop/pods/pod-000"
    assert collection.objects[0].body["apiVersion"] == "v1"
    assert (result(collection, "Pod").count, result(collection, "Pod").resource_version) == (25, "77")
    assert result(collection, "Node").status is KindStatus.NOT_SERVED
    assert (connection.cluster_name, connection.identity) == (
        "test-cluster",
        "system:serviceaccount:evidence:collector",
    )
    assert {headers["User-Agent"] for headers in api.headers} == {f"evidence/{__version__}"}


@pytest.mark.parametrize(
    "trouble",
    [
        [BUSY, BUSY],
        [(429, {"Retry-After": "1"}, {"message": "slow down"})],
        [(500, {}, b"not json")],
        [(200, {}, b'{"items": [')],
        [(200, {"Content-Length": "500"}, b'{"items": [')],
        ["hang up", "hang up"],
    ],
    ids=["busy", "too many requests", "internal error", "no JSON", "cut off", "hangs up"],
)
def test_trouble_that_passes_is_not_noticed(trouble: list[Trouble], api: Api, connection: Connection) -> None:
    api.lists[PODS] = pods(3)
    api.trouble[PODS] = trouble
    collection = collect_cluster(connection, keep_going=False)
    assert len(collection.objects) == 3
    assert not collection.partial


def test_an_expired_page_token_starts_the_list_again(api: Api, connection: Connection) -> None:
    api.lists[PODS] = pods(25)
    good = [api.answer(PODS, {"limit": ["10"], "continue": [str(start)]}) for start in (0, 10)]
    api.trouble[PODS] = [*good, (410, {}, {"message": "the token is too old"})]
    collection = collect_cluster(connection, keep_going=False, page_size=10)
    assert len(collection.objects) == 25
    assert api.seen[PODS] == 6


def test_a_list_that_always_expires_fails_alone(api: Api, connection: Connection) -> None:
    api.lists["/api/v1/namespaces"] = [body("v1", "Namespace", "kube-system", metadata={"uid": "u-1"})]
    api.trouble[PODS] = [(410, {}, {})] * 5
    collection = collect_cluster(connection, keep_going=False)
    assert result(collection, "Pod").status is KindStatus.FAILED
    assert "expired 3 times" in result(collection, "Pod").message
    assert collection.source.cluster_uid == "u-1"


@pytest.mark.slow
def test_a_kind_whose_list_keeps_failing_is_failed_and_the_rest_is_there(api: Api, connection: Connection) -> None:
    api.lists["/api/v1/namespaces"] = [body("v1", "Namespace", "shop")]
    api.trouble[PODS] = [BUSY] * 20
    collection = collect_cluster(connection, keep_going=False)
    assert [str(obj.key) for obj in collection.objects] == ["Namespace shop"]
    assert result(collection, "Pod").status is KindStatus.FAILED
    assert result(collection, "Pod").message == "the list of pods failed (503): etcd is away"
    assert collection.partial


def test_forbidden_says_which_verb_is_missing(api: Api, connection: Connection) -> None:
    api.trouble["/apis/networking.k8s.io/v1/networkpolicies"] = [(403, {}, {"message": "no"})]
    found = result(collect_cluster(connection, keep_going=False), "NetworkPolicy")
    assert found.status is KindStatus.FORBIDDEN
    assert (
        found.message
        == "system:serviceaccount:evidence:collector lacks the verb list on networkpolicies.networking.k8s.io"
    )


def test_credentials_that_end_midway_end_the_collection(api: Api, connection: Connection) -> None:
    api.trouble[PODS] = [(401, {}, {"message": "Unauthorized"})]
    with pytest.raises(CollectError, match="no longer takes the credentials"):
        collect_cluster(connection, keep_going=False)


@pytest.mark.slow
def test_discovery_of_a_group_that_fails_fails_its_kinds_only(api: Api, connection: Connection) -> None:
    api.lists[PODS] = pods(1)
    api.trouble["/apis/networking.k8s.io/v1"] = [BUSY] * 20
    collection = collect_cluster(connection, keep_going=False)
    assert result(collection, "NetworkPolicy").status is KindStatus.FAILED
    assert "discovery of /apis/networking.k8s.io/v1 failed (503)" in result(collection, "NetworkPolicy").message
    assert len(collection.objects) == 1


def test_kinds_of_one_group_in_different_versions_are_all_found(api: Api, connection: Connection) -> None:
    """As Linkerd's: the group's preferred version has one of them only."""
    for version, plural in (("v1alpha1", "authorizationpolicies"), ("v1beta1", "serverauthorizations")):
        api.served[f"/apis/policy.linkerd.io/{version}"] = [plural]
        api.lists[f"/apis/policy.linkerd.io/{version}/{plural}"] = [{"metadata": {"name": "one", "namespace": "shop"}}]
    collection = collect_cluster(connection, keep_going=False)
    assert {(obj.key.kind, obj.body["apiVersion"]) for obj in collection.objects} == {
        ("AuthorizationPolicy", "policy.linkerd.io/v1alpha1"),
        ("ServerAuthorization", "policy.linkerd.io/v1beta1"),
    }


def test_a_version_that_is_understood_is_asked_for_before_the_servers_preferred_one(
    api: Api, connection: Connection
) -> None:
    for version in ("v1", "v1alpha1"):
        api.served[f"/apis/policy.networking.k8s.io/{version}"] = ["adminnetworkpolicies"]
    collect_cluster(connection, keep_going=False)
    assert api.seen["/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies"] == 1
    assert api.seen["/apis/policy.networking.k8s.io/v1/adminnetworkpolicies"] == 0


def test_an_aggregated_view_of_the_same_objects_is_not_read_twice(api: Api, connection: Connection) -> None:
    for root in ("/apis/crd.projectcalico.org/v1", "/apis/projectcalico.org/v3"):
        api.served[root] = ["globalnetworkpolicies"]
        api.lists[f"{root}/globalnetworkpolicies"] = [{"metadata": {"name": "one"}}]
    collection = collect_cluster(connection, keep_going=False)
    assert [obj.key.group for obj in collection.objects] == ["crd.projectcalico.org"]


def test_a_malformed_object_is_refused_or_left_out(api: Api, connection: Connection) -> None:
    api.lists[PODS] = [*pods(1), pod_body("bad", "shop", status={"podIP": "x"}), {"metadata": {}}]
    with pytest.raises(
        InputError, match=r"/api/v1/namespaces/shop/pods/bad: Pod shop/bad: status\.podIP 'x' is not an IP address"
    ):
        collect_cluster(connection, keep_going=False)
    collection = collect_cluster(connection, keep_going=True)
    assert [obj.key.name for obj in collection.objects] == ["pod-000"]
    assert {problem.kind for problem in collection.problems} == {"Pod"}
    assert len(collection.problems) == 2


def test_four_lists_are_read_at_the_same_time_and_no_more(api: Api, connection: Connection) -> None:
    """The server answers a list only when four have been asked for: with fewer at once none would come back."""
    plurals = ["namespaces", "nodes", "pods", "services", "replicationcontrollers"]
    api.served = {"/api/v1": plurals, "/apis/apps/v1": ["deployments", "daemonsets", "replicasets"]}
    gate, lock = threading.Barrier(LISTS_AT_ONCE), threading.Lock()
    running, most = 0, 0

    def slow(path: str) -> None:
        nonlocal running, most
        if (path.count("/") == 3 and path.startswith("/api/v1/")) or path.startswith("/apis/apps/v1/"):
            with lock:
                running += 1
                most = max(most, running)
            gate.wait(timeout=20)
            with lock:
                running -= 1

    api.before_answer = slow
    collection = collect_cluster(connection, keep_going=False)
    assert sum(kind.status is KindStatus.LISTED for kind in collection.kinds) == 8
    assert most == LISTS_AT_ONCE


def test_only_kept_fields_leave_the_collector(api: Api, connection: Connection) -> None:
    secret = pod_body("a", spec={"containers": [{"name": "c", "env": [{"name": "A", "value": "hunter2"}]}]})
    api.lists[PODS] = [secret]
    (obj,) = collect_cluster(connection, keep_going=False).objects
    assert obj.body["spec"] == {"containers": [{"name": "c"}]}


def test_impersonation_is_asked_for(api: Api, url: str, tmp_path: Path) -> None:
    connect(context="here", kubeconfig=kubeconfig(tmp_path, url), in_cluster=False, impersonate="auditor")
    assert {headers["Impersonate-User"] for headers in api.headers} == {"auditor"}


def test_refused_credentials_are_one_sentence(api: Api, url: str, tmp_path: Path) -> None:
    api.trouble["/version"] = [(401, {}, {"message": "Unauthorized"})]
    with pytest.raises(CollectError, match=r"the server refuses the credentials \(401\): Unauthorized"):
        connect(context=None, kubeconfig=kubeconfig(tmp_path, url), in_cluster=False, impersonate=None)


@pytest.mark.slow
def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CollectError, match=r"^http://127\.0\.0\.1:1: cannot be reached: "):
        connect(context=None, kubeconfig=kubeconfig(tmp_path, "http://127.0.0.1:1"), in_cluster=False, impersonate=None)


@pytest.mark.parametrize("content", ["", "[", "a: b", "- a", '{"apiVersion": "v1"}', "contexts: 5\nclusters: 6"])
def test_a_broken_kubeconfig_is_one_sentence(content: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(CollectError) as caught:
        connect(context=None, kubeconfig=str(file), in_cluster=False, impersonate=None)
    assert str(caught.value).startswith(f"{file}: gives no connection: ")
    assert "\n" not in str(caught.value)


def test_outside_a_pod_there_is_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CollectError, match="leave out --in-cluster"):
        connect(context=None, kubeconfig=None, in_cluster=True, impersonate=None)
