"""A watch of a real kube-apiserver with the rights that deploy/ gives: what was open for a second is on record, and nothing secret is."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from evidence.cluster.objects import ObjectKey
from evidence.collect.clusterrole import cluster_role, watcher_role
from evidence.collect.connection import Connection, Refused
from evidence.pipeline.log import Keeping
from evidence.pipeline.sources import LiveSource
from evidence.service.schedule import Stopped
from evidence.service.watch import Plan, run_watch
from evidence.store import Store, StoredSnapshot
from tests.real.test_kube_apiserver import (
    DEFINITIONS,
    LAST_APPLIED,
    SECRET,
    allow,
    crd,
    create,
    delete,
    pod,
    wait_until_served,
)
from tests.store.build import beside

pytestmark = pytest.mark.real

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def namespace(admin: Connection) -> Iterator[str]:
    """A namespace in which nobody may reach anybody, with secrets where people put them."""
    name = f"watched-{uuid4().hex[:8]}"
    core = f"/api/v1/namespaces/{name}"
    metadata = {"name": name, "annotations": {LAST_APPLIED: SECRET}}
    create(admin, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for kind, plural, more in (
        ("ServiceAccount", "serviceaccounts", {"metadata": {"name": "default", "annotations": {"note": SECRET}}}),
        ("ConfigMap", "configmaps", {"metadata": {"name": "settings"}, "data": {"password": SECRET}}),
        ("Secret", "secrets", {"metadata": {"name": "keys"}, "stringData": {"password": SECRET}}),
    ):
        create(admin, f"{core}/{plural}", {"apiVersion": "v1", "kind": kind, **more})
    for app in ("web", "db"):
        create(admin, f"{core}/pods", pod(app, app=app))
    create(admin, policies(name), policy("deny", {}))
    yield name
    delete(admin, core)


def policies(namespace: str) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


def policy(name: str, pods: dict[str, str], *ingress: dict[str, Any]) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": pods}, "policyTypes": ["Ingress"], "ingress": list(ingress)}
    metadata = {"name": name, "annotations": {LAST_APPLIED: SECRET}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


class Watched:
    """`run_watch` with the collector's and the watcher's rights, driven by what it says."""

    def __init__(self, db: str, kubeconfig: Path, user: str) -> None:
        self.db, self._source = db, LiveSource(kubeconfig=str(kubeconfig), impersonate=user)
        self._keeping = Keeping(Path(db).with_name("keys"))
        self.said: list[str] = []

    def run(self, *steps: Callable[[], object], every: float = 60) -> None:
        """Watch; each step is done after the next snapshot, and after the last step's snapshot the watch is stopped."""
        todo = list(steps)

        def say(line: str) -> None:
            self.said.append(line)
            if line.startswith("snapshot"):
                if not todo:
                    raise Stopped("stopped by SIGTERM")
                todo.pop(0)()

        plan = Plan(self.db, beside(self.db), self._source, "lab", None, timedelta(seconds=every), self._keeping)
        with pytest.raises(Stopped):
            run_watch(plan, clock=lambda: datetime.now(UTC), say=say)

    def snapshots(self) -> list[StoredSnapshot]:
        with Store.open(self.db, read_only=True) as store:
            assert store.check().problems == ()
            return [store.read(info.id) for info in store.snapshots("lab", *EVER)]

    def runs(self) -> str:
        with Store.open(self.db, read_only=True) as store:
            return str(store.runs("lab", *EVER))


@pytest.fixture
def watched(admin: Connection, kubeconfig: Path, namespace: str, tmp_path: Path) -> Watched:
    user = f"watcher-{namespace}"
    for name, role in (("collector", cluster_role()), ("watcher", watcher_role())):
        allow(admin, f"{name}-{namespace}", yaml.safe_load(role)["rules"], {"kind": "User", "name": user})
    return Watched(str(tmp_path / "store.db"), kubeconfig, user)


def names(snapshot: StoredSnapshot, namespace: str, kind: str = "NetworkPolicy") -> list[str]:
    keys = [obj.key for obj in snapshot.collection.objects]
    return [key.name for key in keys if (key.kind, key.namespace) == (kind, namespace)]


def nothing() -> None:
    """Waits for the next snapshot."""


@pytest.mark.slow
def test_a_policy_that_opens_something_for_a_second_is_on_record_and_no_secret_is(
    admin: Connection, namespace: str, watched: Watched
) -> None:
    def open_for_a_second() -> None:
        create(admin, policies(namespace), policy("open", {"app": "db"}, {}))
        time.sleep(1)
        delete(admin, f"{policies(namespace)}/open")

    def three_pods() -> None:
        with ThreadPoolExecutor(3) as pool:
            bodies = [pod(f"more-{number}", app="more") for number in range(3)]
            list(pool.map(lambda body: create(admin, f"/api/v1/namespaces/{namespace}/pods", body), bodies))

    watched.run(open_for_a_second, nothing, three_pods)
    snapshots = watched.snapshots()
    assert [names(each, namespace) for each in snapshots[:3]] == [["deny"], ["deny", "open"], ["deny"]]
    assert set(names(snapshots[-1], namespace, "Pod")) >= {"db", "web"}
    assert not any(each.info.partial for each in snapshots)
    assert {line.rsplit("; ", 1)[1] for line in watched.said[1:]} == {"what is reachable changed"}
    for found in (str(snapshots), watched.runs(), str(watched.said)):
        assert SECRET not in found
    assert SECRET.encode() not in Path(watched.db).read_bytes()


@pytest.mark.slow
def test_a_policy_kind_that_is_defined_during_the_watch_is_followed(
    admin: Connection, namespace: str, watched: Watched
) -> None:
    group, plural = "security.istio.io", "authorizationpolicies"
    path = f"/apis/{group}/v1/namespaces/{namespace}/{plural}"
    body = {"apiVersion": f"{group}/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "one"}, "spec": {}}

    def define() -> None:
        for _ in range(100):  # one of the same name may still be on its way out
            try:
                admin.post(DEFINITIONS, crd(group, "AuthorizationPolicy", plural, "v1", "Namespaced"))
                break
            except Refused:
                time.sleep(0.2)
        wait_until_served(admin, [f"/apis/{group}/v1/{plural}"])
        create(admin, path, body)

    try:
        watched.run(define)
    finally:
        delete(admin, f"{DEFINITIONS}/{plural}.{group}")
    first, last = watched.snapshots()
    key = ObjectKey(group, "AuthorizationPolicy", namespace, "one")
    assert key not in {obj.key for obj in first.collection.objects}
    assert key in {obj.key for obj in last.collection.objects}
