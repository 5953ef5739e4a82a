"""What is kept: planted secrets never are, and the model of what is kept is the model of the whole."""

import json
import re
from typing import Any

import pytest
import yaml

from evidence.cluster.access import GUARDED
from evidence.cluster.parse import build_cluster
from evidence.cluster.plugins import CONFIG_MAPS
from evidence.cluster.rbac import ROLE_KINDS
from evidence.collect.clusterrole import cluster_role, files
from evidence.collect.files import collect_files, read_cluster
from evidence.collect.keep import PLUGIN_FLAGS, kept, plugin_arguments
from evidence.collect.kinds import KINDS, kind_of
from evidence.collect.pluginsettings import CONFIG_MAP, PLUGIN_NAMESPACES
from tests.conftest import ROOT
from tests.manifests import body, pod_body, policy_body, workload_body

PLANTED = "hunter2"


def kept_body(raw: dict[str, Any]) -> dict[str, Any]:
    kind = kind_of(raw["apiVersion"].rpartition("/")[0], raw["kind"])
    assert kind is not None
    return kept(kind, raw, namespace=raw["metadata"].get("namespace", ""), api_version=raw["apiVersion"])


def planted_metadata() -> dict[str, Any]:
    """Every place of metadata that may carry a secret."""
    return {
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": PLANTED,
            "kube-router.io/peer.passwords": PLANTED,
            "projectcalico.org/IPv4Address": "10.0.0.1/24",
            "note": PLANTED,
            "k3s.io/node-env": PLANTED,
            "k3s.io/node-args": json.dumps(
                ["server", "--token", PLANTED, f"--datastore-endpoint={PLANTED}", "--disable-network-policy"]
            ),
        },
        "managedFields": [
            {
                "manager": "kubectl",
                "operation": "Update",
                "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:x": PLANTED}},
            },
            {"manager": "agent", "operation": "Update", "time": "2026-01-02T00:00:00Z", "subresource": "status"},
        ],
        "finalizers": [PLANTED],
        "selfLink": PLANTED,
    }


def planted_container() -> dict[str, Any]:
    return {
        "name": "main",
        "image": "app:1",
        "command": ["run", f"--password={PLANTED}"],
        "args": ["--enable-policy=never", "--api-key", PLANTED],
        "env": [
            {"name": "A", "value": PLANTED},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": PLANTED, "key": "k"}}},
        ],
        "envFrom": [{"secretRef": {"name": PLANTED}}],
        "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": PLANTED}]}},
        "lifecycle": {"preStop": {"exec": {"command": [PLANTED]}}},
        "ports": [{"containerPort": 80, "description": PLANTED}],
        "securityContext": {"privileged": True, "seLinuxOptions": {"user": PLANTED}},
        "volumeMounts": [{"name": PLANTED, "mountPath": "/x"}],
    }


def planted_pod_spec() -> dict[str, Any]:
    return {
        "containers": [planted_container()],
        "initContainers": [planted_container()],
        "ephemeralContainers": [planted_container()],
        "volumes": [{"name": "v", "csi": {"volumeAttributes": {"password": PLANTED}}}],
        "imagePullSecrets": [{"name": PLANTED}],
        "nodeName": "n1",
    }


def planted() -> list[dict[str, Any]]:
    """One object of every kind, with a secret in every place but the spec of policies."""
    objects = []
    for kind in KINDS:
        version = f"{kind.group}/{(kind.versions or ('v1',))[0]}" if kind.group else "v1"
        raw = body(
            version,
            kind.kind,
            namespace="kube-system",
            metadata=planted_metadata(),
            data=PLANTED,
            stringData={"x": PLANTED},
        )
        if not kind.namespaced:
            raw["metadata"].pop("namespace", None)
        if kind.is_policy:
            raw["spec"] = {"podSelector": {}}
            if kind.group == "policy.networking.k8s.io":
                raw["spec"] = {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}
        elif kind.kind in ROLE_KINDS:
            raw["rules"] = [
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [PLANTED], "verbs": ["get", "update"]},
                {
                    "apiGroups": ["", PLANTED],
                    "resources": ["pods", PLANTED],
                    "verbs": ["get", "patch", PLANTED],
                    "note": PLANTED,
                },
                {"nonResourceURLs": [f"/{PLANTED}"], "verbs": ["get"]},
            ]
        elif kind.kind == "Pod":
            raw["spec"] = planted_pod_spec()
        elif kind.kind == "CronJob":
            raw["spec"] = {
                "jobTemplate": {"spec": {"template": {"metadata": planted_metadata(), "spec": planted_pod_spec()}}}
            }
        else:
            raw["spec"] = {
                "template": {"metadata": planted_metadata(), "spec": planted_pod_spec()},
                "secret": PLANTED,
                "tls": [{"secretName": PLANTED}],
            }
        raw["status"] = {
            "message": PLANTED,
            "images": [{"names": [PLANTED]}],
            "containerStatuses": [{"state": PLANTED}],
        }
        objects.append(raw)
    return objects


@pytest.mark.parametrize("raw", planted(), ids=lambda raw: f"{raw['kind']}.{raw['apiVersion']}")
def test_no_planted_secret_is_kept(raw: dict[str, Any]) -> None:
    assert PLANTED not in json.dumps(kept_body(raw))


def test_secrets_and_config_maps_are_passed_over_and_counted(tmp_path: Any) -> None:
    file = tmp_path / "all.json"
    secrets = [
        body("v1", kind, name, data={"x": PLANTED}) for kind in ("Secret", "ConfigMap") for name in ("one", "two")
    ]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*secrets, pod_body()]}))
    collection = collect_files([str(file)], stdin=None, keep_going=False)
    assert [obj.key.kind for obj in collection.objects] == ["Pod"]
    assert [(kind.kind, kind.count, kind.message) for kind in collection.kinds if kind.status.value == "not kept"] == [
        ("ConfigMap", 2, "never collected: it may hold secrets"),
        ("Secret", 2, "never collected: it may hold secrets"),
    ]
    assert PLANTED not in str(collection)


def test_plugin_annotations_flags_and_managers_are_kept() -> None:
    node = kept_body(body("v1", "Node", metadata=planted_metadata()))
    assert node["metadata"]["annotations"] == {
        "projectcalico.org/IPv4Address": "10.0.0.1/24",
        "k3s.io/node-args": '["server", "--disable-network-policy"]',
    }
    policy = kept_body(
        {**policy_body({"podSelector": {}}), "metadata": {"name": "a", "namespace": "b", **planted_metadata()}}
    )
    assert policy["metadata"]["managedFields"] == [
        {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z"}
    ]
    for other in ("Namespace", "Role"):
        version = "v1" if other == "Namespace" else "rbac.authorization.k8s.io/v1"
        found = kept_body(body(version, other, metadata=planted_metadata()))
        assert found["metadata"]["managedFields"] == policy["metadata"]["managedFields"]
    assert "managedFields" not in kept_body(pod_body(metadata=planted_metadata()))["metadata"]


@pytest.mark.parametrize(("namespace", "arguments"), [("kube-system", ["--enable-policy=never"]), ("shop", None)])
def test_command_lines_are_kept_only_where_plugins_live_and_only_their_flags(
    namespace: str, arguments: list[str] | None
) -> None:
    raw = workload_body("DaemonSet", metadata={"namespace": namespace})
    raw["spec"]["template"]["spec"] = planted_pod_spec()
    container = kept_body(raw)["spec"]["template"]["spec"]["containers"][0]
    assert container.get("args") == arguments
    assert "command" not in container


def test_flags_in_both_spellings() -> None:
    words = ["agent", "--enable-np", "false", "--token", "x", "--run-firewall=true", "extra", "-enable-policy=never"]
    assert plugin_arguments(words) == ["--enable-np", "false", "--run-firewall=true", "-enable-policy=never"]


def test_everything_that_plugins_are_recognised_by_is_kept() -> None:
    capabilities = yaml.safe_load((ROOT / "evidence" / "cni" / "capabilities.yaml").read_text())
    text = json.dumps(capabilities)
    assert set(re.findall(r'"flag": "([^"]+)"', text)) <= PLUGIN_FLAGS
    assert {
        name for names in re.findall(r'"namespaces": \[([^\]]+)\]', text) for name in re.findall(r'"([^"]+)"', names)
    } <= PLUGIN_NAMESPACES
    samples = {
        "projectcalico.org/IPv4Address", "network.cilium.io/ipv4-pod-cidr", "io.cilium.network.ipv4-pod-cidr",
        "flannel.alpha.coreos.com/backend-type", "kube-router.io/pod-cidr", "k3s.io/node-args",
        "k8s.ovn.org/node-subnets", "opflex.cisco.com/pod-network-ranges",
    }  # fmt: skip
    patterns = [
        signal["match"]
        for entry in walk(capabilities)
        for signal in entry.get("signals", [])
        if signal["look"] == "node-annotation"
    ]
    assert patterns
    assert all(any(re.search(pattern, sample) for sample in samples) for pattern in patterns)
    kept_ones = kept_body(body("v1", "Node", metadata={"annotations": dict.fromkeys(samples, "[]")}))["metadata"][
        "annotations"
    ]
    assert set(kept_ones) == samples


def walk(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) else []
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found + [entry for child in children for entry in walk(child)]


def test_what_changes_by_itself_is_not_kept() -> None:
    def at(version: str) -> dict[str, Any]:
        condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": version, "lastTransitionTime": version}
        return body("v1", "Node", metadata={"resourceVersion": version}, status={"conditions": [condition]})

    assert kept_body(at("1")) == kept_body(at("2"))


def test_the_model_of_what_is_kept_is_the_model_of_the_whole(shared_folder: Any) -> None:
    files = [str(path) for path in sorted((ROOT / "evidence" / "sample").glob("cluster-*.json"))]
    files += [str(path) for path in sorted((shared_folder / "cases").glob("*/*/manifests.yaml"))]
    assert len(files) > 500
    for file in files:
        small = build_cluster(collect_files([file], stdin=None, keep_going=False))
        whole = read_cluster([file], stdin=None, keep_going=False)
        assert (small.pods, small.policies, small.cluster_policies) == (
            whole.pods,
            whole.policies,
            whole.cluster_policies,
        ), file
        assert (small.namespaces, small.nodes, small.services, small.ingresses) == (
            whole.namespaces, whole.nodes, whole.services, whole.ingresses,
        ), file  # fmt: skip


def test_policies_of_makers_nobody_has_heard_of_are_kept_too() -> None:
    unheard = kind_of("net.example.com", "SuperNetworkPolicy")
    assert unheard is not None
    assert unheard.is_policy
    assert kind_of("net.example.com", "Widget") is None
    assert kind_of("net.example.com", "StagedNetworkPolicy") is None  # takes no effect


@pytest.mark.parametrize(
    ("group", "kind", "expected"),
    [
        ("extensions", "NetworkPolicy", "networking.k8s.io"),
        ("extensions", "Deployment", "apps"),
        ("apps", "Deployment", "apps"),
    ],
)
def test_kinds_of_old_groups_are_those_of_today(group: str, kind: str, expected: str) -> None:
    found = kind_of(group, kind)
    assert found is not None
    assert found.group == expected


def test_the_kinds_of_other_makers_are_named_as_these_define_them() -> None:
    """tests/data/vendor_kinds.yaml is written from the makers' own definitions, and served by a real API server in tests/real."""
    listed = yaml.safe_load((ROOT / "tests" / "data" / "vendor_kinds.yaml").read_text())
    theirs = {(version.split("/")[0], kind): (plural, scope == "Namespaced") for version, kind, plural, scope in listed}
    ours = {(kind.group, kind.kind): (kind.plural, kind.namespaced) for kind in KINDS}
    assert {key: ours[key] for key in theirs} == theirs
    own = {
        "networking.k8s.io",
        "policy.networking.k8s.io",
        "projectcalico.org",
    }  # the last repeats crd.projectcalico.org
    assert {(kind.group, kind.kind) for kind in KINDS if kind.is_policy and kind.group not in own} <= set(theirs)


def test_the_shipped_role_is_made_from_the_list_of_kinds() -> None:
    for name, text in files().items():
        assert (ROOT / "deploy" / name).read_text() == text, "run: python -m evidence.collect.clusterrole deploy"


def test_the_role_reads_what_is_collected_and_nothing_else() -> None:
    role = yaml.safe_load(cluster_role())
    granted = {(rule["apiGroups"][0], resource) for rule in role["rules"] for resource in rule["resources"]}
    assert granted == {(kind.group, kind.plural) for kind in (*KINDS, CONFIG_MAP)}
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list"}
    assert not {resource for _, resource in granted} & {"secrets", "*"}
    (named,) = (rule for rule in role["rules"] if "configmaps" in rule["resources"])
    assert (named["resources"], set(named["resourceNames"]), named["verbs"]) == (
        ["configmaps"],
        set(CONFIG_MAPS),
        ["get"],
    )


def test_whoever_may_write_any_policy_kind_that_is_collected_is_known() -> None:
    guarded = {(resource.group, resource.resource, resource.namespaced) for resource in GUARDED}
    assert {(kind.group, kind.plural, kind.namespaced) for kind in KINDS if kind.is_policy} <= guarded
