"""What deploy/ deploys, held against a real API server: it takes every manifest, refuses none of the pods, and grants what it says and no more."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import yaml

from evidence.cluster.objects import KindStatus
from evidence.collect.cluster import Connection, collect_cluster, connect
from evidence.collect.connection import Refused
from tests.real.controlplane import ROOT, control_plane

pytestmark = pytest.mark.real

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "evidence"
ACCOUNT = "evidence-collector"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Pod": "/api/v1/namespaces/{}/pods",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    with control_plane() as path:
        yield path


@pytest.fixture(scope="module")
def admin(kubeconfig: Path) -> Connection:
    return connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=None)


@pytest.fixture(scope="module")
def namespace(admin: Connection) -> Iterator[str]:
    """A namespace of our own with the labels of the shipped one, and the collector's account and rights in it."""
    name = f"evidence-{uuid4().hex[:8]}"
    shipped = manifests(DEPLOY)["Namespace"]
    admin.post(PATHS["Namespace"], {**shipped, "metadata": {**shipped["metadata"], "name": name}})
    made = [f"{PATHS['Namespace']}/{name}"]
    try:
        for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding"):
            body = moved(manifests(DEPLOY)[kind], name)
            if kind.startswith("Cluster"):
                body["metadata"]["name"] = name
            if kind == "ClusterRoleBinding":
                body["roleRef"]["name"] = name
            path = PATHS[kind].format(name)
            admin.post(path, body)
            made.append(f"{path}/{body['metadata']['name']}")
        yield name
    finally:
        for path in reversed(made):
            delete(admin, path)


def delete(connection: Connection, path: str) -> None:
    request = connection.client.param_serialize("DELETE", path, auth_settings=["BearerToken"])
    connection.client.call_api(*request)


def manifests(folder: Path) -> dict[str, dict[str, Any]]:
    """The objects of a folder by kind, as kustomize would make them."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "kustomization.yaml" and "kind" in body:
            found[body["kind"]] = body
    return found


def moved(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The object in another namespace, with the subjects of its binding."""
    found: dict[str, Any] = json.loads(json.dumps(body))
    if "namespace" in found["metadata"]:
        found["metadata"]["namespace"] = namespace
    for subject in found.get("subjects", ()):
        subject["namespace"] = namespace
    return found


def pod_of(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The pod that a CronJob or Deployment would make."""
    spec = body["spec"].get("jobTemplate", body)["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try", "namespace": namespace, "labels": spec["metadata"]["labels"]},
        "spec": {**spec["spec"], "serviceAccountName": ACCOUNT},
    }


def try_out(admin: Connection, body: dict[str, Any], namespace: str) -> Any:
    """The server's own validation and admission, with unknown fields refused; nothing is stored."""
    query = urlencode({"dryRun": "All", "fieldValidation": "Strict"})
    return admin.post(f"{PATHS[body['kind']].format(namespace)}?{query}", body)


def as_account(kubeconfig: Path, namespace: str) -> Connection:
    user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    return connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=user)


# -- manifests --------------------------------------------------------------------------------------------------------

SHIPPED = {
    **{f"base {kind}": body for kind, body in manifests(DEPLOY).items()},
    **{f"watch {kind}": body for kind, body in manifests(DEPLOY / "components" / "watch").items()},
    **{f"postgres {kind}": body for kind, body in manifests(DEPLOY / "components" / "postgres").items()},
}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_server_takes_every_manifest(name: str, admin: Connection, namespace: str) -> None:
    body = moved(SHIPPED[name], namespace)
    body["metadata"]["name"] += "-try"  # the account and the role are there
    assert try_out(admin, body, namespace)["kind"] == body["kind"]


@pytest.mark.parametrize("name", ["base CronJob", "watch Deployment"])
def test_a_restricted_namespace_takes_the_pods_and_no_looser_ones(name: str, admin: Connection, namespace: str) -> None:
    pod = pod_of(SHIPPED[name], namespace)
    assert try_out(admin, pod, namespace)["spec"]["serviceAccountName"] == ACCOUNT
    for part, field in (("securityContext", "runAsNonRoot"), ("container", "allowPrivilegeEscalation")):
        looser = json.loads(json.dumps(pod))
        where = (
            looser["spec"]["securityContext"]
            if part == "securityContext"
            else looser["spec"]["containers"][0]["securityContext"]
        )
        del where[field]
        with pytest.raises(Refused, match="violates PodSecurity"):
            try_out(admin, looser, namespace)


def test_an_unknown_field_would_be_refused(admin: Connection, namespace: str) -> None:
    body = moved(SHIPPED["base CronJob"], namespace)
    body["spec"]["jobTemplate"]["spec"]["retries"] = 3
    with pytest.raises(Refused, match="unknown field"):
        try_out(admin, body, namespace)


@pytest.mark.skipif(shutil.which("helm") is None, reason="needs helm")
@pytest.mark.parametrize("mode", ["schedule", "watch"])
@pytest.mark.parametrize("store", ["volume", "postgres", "postgres, served"])
def test_the_server_takes_everything_that_the_chart_renders(
    mode: str, store: str, admin: Connection, namespace: str
) -> None:
    values = {
        "clusterName": "prod",
        "image.repository": "registry.example/evidence",
        "mode": mode,
        "store.type": store.partition(",")[0],
        "store.postgres.secretName": "db",
        "networkPolicy.database.peers[0].ipBlock.cidr": "192.0.2.5/32",
    }
    if store.endswith("served"):
        values |= {
            "serve.enabled": "true",
            "serve.database.secretName": "reader",
            "serve.archive.existingClaim": "packs",
            "serve.oidcSecret.secretName": "oidc",
            "serve.arguments[0]": "--auth=oidc",
            "serve.from[0].ipBlock.cidr": "192.0.2.6/32",
            "serve.provider.peers[0].ipBlock.cidr": "192.0.2.7/32",
        }
    sets = [word for path, value in values.items() for word in ("--set", f"{path}={value}")]
    words = ["helm", "template", "try", str(CHART), "--namespace", namespace, "--kube-version", "1.36.0", *sets]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    objects = [found for found in yaml.safe_load_all(ran.stdout) if found]
    for body in objects:
        assert try_out(admin, body, namespace)["kind"] == body["kind"]
    workloads = [body for body in objects if body["kind"] in ("CronJob", "Deployment")]
    assert len(workloads) == 1 + store.endswith("served")
    for workload in workloads:
        assert try_out(admin, pod_of(workload, namespace), namespace)["kind"] == "Pod"


# -- rights -----------------------------------------------------------------------------------------------------------


def may(connection: Connection, verb: str, resource: str, group: str = "", name: str = "", namespace: str = "") -> bool:
    attributes = {"verb": verb, "resource": resource, "group": group, "name": name, "namespace": namespace}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = connection.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


def granted(connection: Connection, namespace: str) -> set[tuple[str, str, str, str]]:
    """Group, resource, name ("" for any) and verb of everything that the identity may do there, as `kubectl auth can-i --list` asks."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    status = connection.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)["status"]
    assert not status.get("incomplete"), status
    return flat(status["resourceRules"])


def flat(rules: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", [])
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }


def test_the_collector_may_do_what_its_role_says_and_nothing_else(kubeconfig: Path, namespace: str) -> None:
    nobody = connect(
        context=None,
        kubeconfig=str(kubeconfig),
        in_cluster=False,
        impersonate=f"system:serviceaccount:{namespace}:another",
    )
    everybody = granted(nobody, namespace)  # reviews of oneself
    role = flat(SHIPPED["base ClusterRole"]["rules"])
    assert granted(as_account(kubeconfig, namespace), namespace) - everybody == role
    assert {verb for *_, verb in role} == {"get", "list"}


def test_of_config_maps_and_secrets_only_the_named_ones_can_be_read(kubeconfig: Path, namespace: str) -> None:
    collector = as_account(kubeconfig, namespace)
    assert may(collector, "get", "configmaps", name="cilium-config", namespace="kube-system")
    assert not may(collector, "get", "configmaps", name="kubeadm-config", namespace="kube-system")
    assert not may(collector, "list", "configmaps", namespace="kube-system")
    assert not may(collector, "get", "secrets", name="any", namespace=namespace)
    assert not may(collector, "watch", "pods")
    assert not may(collector, "create", "pods", namespace=namespace)
    assert not may(collector, "patch", "networkpolicies", group="networking.k8s.io", namespace=namespace)


def test_with_these_rights_nothing_is_forbidden(kubeconfig: Path, namespace: str) -> None:
    found = collect_cluster(as_account(kubeconfig, namespace), keep_going=False)
    assert [one for one in found.kinds if one.status in (KindStatus.FORBIDDEN, KindStatus.FAILED)] == []
    assert not found.partial


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kubectl_lists_the_same_rights(kubeconfig: Path, namespace: str) -> None:
    words = ["kubectl", "auth", "can-i", "--list", f"--namespace={namespace}"]
    words.append(f"--as=system:serviceaccount:{namespace}:{ACCOUNT}")
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    lines = [line.split("[")[0].split()[0] for line in ran.stdout.splitlines()[1:] if not line.startswith(" ")]
    role = flat(SHIPPED["base ClusterRole"]["rules"])
    listed = {f"{resource}.{group}" if group else resource for group, resource, *_ in role}
    assert listed <= set(lines)
    assert "secrets" not in lines


# -- settings of plugins, from the server ------------------------------------------------------------------------------


def test_the_collector_reads_ciliums_switches_and_nothing_else_of_its_config_map(
    kubeconfig: Path, admin: Connection, namespace: str
) -> None:
    agent = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "cilium", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "cilium"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "cilium"}},
                "spec": {"containers": [{"name": "cilium-agent", "image": "quay.io/cilium/cilium:v1.17.2"}]},
            },
        },
    }
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cilium-config", "namespace": "kube-system"},
        "data": {"enable-policy": "default", "policy-audit-mode": "true", "etcd-password": "hunter2"},
    }
    agents, maps = "/apis/apps/v1/namespaces/kube-system/daemonsets", "/api/v1/namespaces/kube-system/configmaps"
    try:
        admin.post(agents, agent)
    except Refused as error:
        if error.status == 409:
            pytest.skip("the cluster runs Cilium itself")
        raise
    try:
        admin.post(maps, settings)
        found = collect_cluster(as_account(kubeconfig, namespace), keep_going=False)
    finally:
        delete(admin, f"{agents}/cilium")
        delete(admin, f"{maps}/cilium-config")
    (kept,) = (obj for obj in found.objects if obj.key.kind == "ConfigMap")
    assert kept.body["data"] == {"enable-policy": "default", "policy-audit-mode": "true"}
    assert "hunter2" not in str([obj.body for obj in found.objects])
