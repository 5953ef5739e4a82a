"""The audit log that a real kube-apiserver writes: who changed a policy is in the table of changes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from evidence.collect.cluster import connect
from evidence.collect.connection import Refused
from evidence.observe.changes import audited
from evidence.pipeline.imports import import_audit
from evidence.pipeline.observations import seen_in
from evidence.pipeline.snapshots import collect_snapshot
from evidence.pipeline.sources import LiveSource
from evidence.store import Store
from tests.pipeline.periods import assess_period
from tests.real.controlplane import control_plane
from tests.real.test_kube_apiserver import create, delete

pytestmark = pytest.mark.real

PATH = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "audited", "namespace": "default", "annotations": {"note": "s3cret"}},
    "spec": {"podSelector": {}, "ingress": []},
}


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    with control_plane() as path:
        if not (path.parent / "log" / "audit.json").exists():
            pytest.skip("this cluster's audit log is not at hand")
        yield path


def test_who_changed_a_policy_is_in_the_changes_and_what_was_written_is_not(kubeconfig: Path, tmp_path: Path) -> None:
    db, log = str(tmp_path / "evidence.db"), kubeconfig.parent / "log" / "audit.json"
    admin = connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=None)

    def snapshot() -> datetime:
        now = datetime.now(UTC)
        live = LiveSource(None, str(kubeconfig))
        collect_snapshot(db, live, cluster="lab", taken_at=None, received_at=now, intent_path=None, keep_going=False)
        return now

    create(admin, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    first = snapshot()
    create(admin, PATH, POLICY)
    with pytest.raises(Refused):
        connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate="mallory").post(PATH, POLICY)
    last = snapshot()
    delete(admin, f"{PATH}/audited")

    now = datetime.now(UTC)
    done = import_audit(db, [str(log)], cluster=None, stdin=BytesIO(), taken_in_at=now, keep_going=False)
    mine = [
        change
        for change in done.log.changes
        if change.object.name == "audited" or change.user == "mallory" or change.as_user
    ]
    said = [(change.verb, change.done) for change in mine]
    assert said == [("create", True), ("create", False), ("delete", True)]
    assert (mine[1].as_user, mine[1].code) == ("mallory", 403)
    assert mine[0].user and mine[0].source_ips == ("127.0.0.1",) and "evidence" in mine[0].user_agent  # noqa: PT018

    with Store.open(db, read_only=True) as store:
        assessed = assess_period(store, "lab", (first, now))
        document = json.dumps(store.read_record(done.info.id).document)
    assert "s3cret" not in document and "podSelector" not in document  # noqa: PT018
    seen = seen_in([(one.state.taken_at or now, one.observed) for one in assessed], (first, now))
    (entry,) = audited(mine[0].object, first, last, seen.audits)
    assert entry.startswith(f"{mine[0].user}: create at ")
    assert " from 127.0.0.1 (" in entry
