"""The sample cluster is what it says: made by a script, complete, labelled, and in the five states that the demo tells of."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from evidence.cluster.model import Cluster
from evidence.cluster.parse import build_cluster
from evidence.cni.detect import Enforcement, detect
from evidence.collect.files import collect_files
from evidence.resources import package_file
from evidence.sample import CLUSTER_NAME, TAKEN_AT, SampleDump, intent_path, sample_dumps
from tests.data import make_sample

BEFORE, DENIED, AS_WRITTEN, DRIFT, MENDED = sample_dumps()
ALL = (BEFORE, DENIED, AS_WRITTEN, DRIFT, MENDED)
POLICY_FILES = (
    "guide-policies.yaml", "payments-policies.yaml", "drift-policies.yaml", "mended-policies.yaml", "health-policies.yaml",
)  # fmt: skip


def items(dump: SampleDump, kind: str) -> list[dict[str, Any]]:
    return [item for item in json.loads(dump.path.read_bytes())["items"] if item["kind"] == kind]


def policies(dump: SampleDump) -> dict[tuple[str, str], dict[str, Any]]:
    return {(i["metadata"]["namespace"], i["metadata"]["name"]): i["spec"] for i in items(dump, "NetworkPolicy")}


def written(file: str) -> dict[tuple[str, str], dict[str, Any]]:
    documents = yaml.safe_load_all(package_file("sample", file).read_bytes())
    return {(d["metadata"]["namespace"], d["metadata"]["name"]): d["spec"] for d in documents}


@pytest.fixture(scope="module", params=ALL, ids=lambda dump: f"{dump.taken_at:%Y-%m-%d}")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return build_cluster(collect_files([str(request.param.path)], stdin=None, keep_going=False))


@pytest.mark.parametrize("taken", TAKEN_AT, ids=lambda taken: f"{taken:%Y-%m-%d}")
def test_the_script_makes_the_dump_byte_for_byte(taken: datetime) -> None:
    dump = next(dump for dump in ALL if dump.taken_at == taken)
    assert make_sample.dump(taken) == dump.path.read_bytes()


def test_dumps_are_oldest_first_and_within_the_quarter() -> None:
    assert [dump.taken_at for dump in ALL] == sorted(TAKEN_AT)
    assert all(taken.year == 2026 and 7 <= taken.month <= 9 for taken in TAKEN_AT)


def test_every_file_of_the_sample_is_used() -> None:
    folder = package_file("sample")
    used = {dump.path.name for dump in ALL} | {intent_path().name, "__init__.py"}
    used |= set(POLICY_FILES)
    assert {path.name for path in folder.iterdir() if path.name != "__pycache__"} == used


# -- the five states --------------------------------------------------------------------------------------------------


def test_first_there_is_no_policy() -> None:
    assert policies(BEFORE) == {}


def test_then_everything_is_denied_in_production_and_payments() -> None:
    found = policies(DENIED)
    assert set(found) == {("production", "default-deny-all"), ("payments", "default-deny-all")}
    assert all(spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for spec in found.values())


def test_then_the_guides_policies_stand_exactly_as_written() -> None:
    assert policies(AS_WRITTEN) == written("guide-policies.yaml") | written("payments-policies.yaml")


def test_the_guides_policies_are_the_guides(shared_folder: Path) -> None:
    ours = list(yaml.safe_load_all(package_file("sample", "guide-policies.yaml").read_bytes()))
    theirs = list(yaml.safe_load_all((shared_folder / "seed" / "policies.yaml").read_bytes()))
    assert ours == theirs


def test_then_one_policy_more_opens_the_card_vault() -> None:
    (key,) = policies(DRIFT).keys() - policies(AS_WRITTEN).keys()
    assert key == ("payments", "debug-allow")
    assert policies(DRIFT) == policies(AS_WRITTEN) | written("drift-policies.yaml")


def test_last_the_drift_is_gone_the_policies_are_mended_and_the_health_plan_has_its_own() -> None:
    found = policies(MENDED)
    assert ("payments", "debug-allow") not in found
    assert written("mended-policies.yaml").keys().isdisjoint(written("health-policies.yaml"))
    assert found == policies(AS_WRITTEN) | written("mended-policies.yaml") | written("health-policies.yaml")


def test_a_policy_keeps_its_identity_and_says_who_changed_it() -> None:
    def meta(dump: SampleDump, name: str) -> dict[str, Any]:
        found = [i["metadata"] for i in items(dump, "NetworkPolicy") if i["metadata"]["name"] == name]
        assert isinstance(found[0], dict)
        return found[0]

    before, after = meta(AS_WRITTEN, "app-access"), meta(MENDED, "app-access")
    assert (before["uid"], before["creationTimestamp"]) == (after["uid"], after["creationTimestamp"])
    assert (before["generation"], after["generation"]) == (1, 2)
    assert meta(DRIFT, "debug-allow")["managedFields"][0]["manager"] != after["managedFields"][0]["manager"]


# -- the cluster ------------------------------------------------------------------------------------------------------


def test_the_shop_is_there(cluster: Cluster) -> None:
    assert set(cluster.namespaces) == {
        "default", "production", "ingress-nginx", "monitoring", "analytics", "shared-services", "kube-system", "payments", "batch", "health-plan",
    }  # fmt: skip
    production = {workload.key.name for workload in cluster.workloads if workload.key.namespace == "production"}
    assert production >= {"app", "postgres", "postgres-backup", "redis", "redis-sentinel", "kafka", "zookeeper"}
    assert {w.key.name for w in cluster.workloads if w.key.namespace == "kube-system"} >= {"coredns", "calico-node"}


def test_every_pod_has_an_address_of_its_own_unless_it_is_its_nodes(cluster: Cluster) -> None:
    own = [address for pod in cluster.pods if not pod.host_network for address in pod.addresses]
    assert len(own) == len(set(own)) == sum(not pod.host_network for pod in cluster.pods)
    assert all(pod.addresses and pod.node for pod in cluster.pods)


def test_the_network_plugin_enforces_on_every_node(cluster: Cluster) -> None:
    report = detect(cluster)
    assert report.enforcement is Enforcement.ENFORCED
    assert [plugin.title for plugin in report.plugins] == ["Calico v3.29.3"]


def test_no_namespace_has_the_label_that_the_guide_selects_by(cluster: Cluster) -> None:
    assert all("name" not in namespace.labels for namespace in cluster.namespaces.values())


def test_it_is_labelled_as_sample() -> None:
    assert CLUSTER_NAME.startswith("sample")
    for dump in ALL:
        notes = [i["metadata"].get("annotations", {}) for i in items(dump, "Namespace")]
        assert {"evidence.example/sample": "not a real cluster"} in notes
        assert all(node["spec"]["providerID"].startswith("sample://") for node in items(dump, "Node"))
    for file in POLICY_FILES:
        assert package_file("sample", file).read_text(encoding="utf-8").startswith("# Sample data.")
