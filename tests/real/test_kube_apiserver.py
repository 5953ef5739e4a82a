"""The collector against a real kube-apiserver: pages, permissions, identities, and kinds that only custom resources bring."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import urllib3
import yaml
from click.testing import CliRunner
from kubernetes.config import incluster_config

from evidence.access.holders import Standing, who_may
from evidence.cluster.access import Power
from evidence.cluster.model import Direction
from evidence.cluster.objects import Collection, KindStatus, ObjectKey
from evidence.cluster.parse import build_cluster
from evidence.cluster.policies import Action, Tier
from evidence.collect.cluster import Connection, collect_cluster, connect
from evidence.collect.clusterrole import cluster_role, watcher_role
from evidence.collect.connection import Refused
from evidence.errors import CollectError
from tests.real.controlplane import ROOT

pytestmark = pytest.mark.real

POLICIES, PODS = 60, 1210
SECRET = "hunter2-planted"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
VENDOR_KINDS = yaml.safe_load((ROOT / "tests" / "data" / "vendor_kinds.yaml").read_text())
SPECS: dict[str, dict[str, Any]] = {
    "CiliumNetworkPolicy": {"spec": {"endpointSelector": {}, "ingress": [{}]}},
    "CiliumClusterwideNetworkPolicy": {"spec": {"endpointSelector": {}, "ingress": [{}]}},
    "CiliumCIDRGroup": {"spec": {"externalCIDRs": ["192.0.2.0/24"]}},
    "GlobalNetworkPolicy": {"spec": {"types": ["Ingress"], "ingress": [{"action": "Allow"}]}},
    "NetworkPolicy": {"spec": {"types": ["Ingress"], "ingress": [{"action": "Allow"}]}},
    "NetworkSet": {"spec": {"nets": ["192.0.2.0/24"]}},
    "GlobalNetworkSet": {"spec": {"nets": ["192.0.2.0/24"]}},
    "Tier": {"spec": {"order": 100}},
}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture(scope="module")
def namespace(admin: Connection) -> Iterator[str]:
    """A namespace of our own with policies and with more pods than fit on two pages."""
    name = f"evidence-{uuid4().hex[:8]}"
    core = f"/api/v1/namespaces/{name}"
    create(admin, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    create(
        admin,
        f"{core}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}},
    )
    policies = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"policy-{number:03d}", "annotations": {"note": "s3cret"}},
            "spec": {"podSelector": {"matchLabels": {"number": str(number)}}, "egress": [{}]},
        }
        for number in range(POLICIES)
    ]
    pods = [pod(f"pod-{number:04d}", number=str(number % 7)) for number in range(PODS)]
    with ThreadPoolExecutor(8) as pool:
        path = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies"
        list(pool.map(lambda body: create(admin, path, body), policies))
        list(pool.map(lambda body: create(admin, f"{core}/pods", body), pods))
    yield name
    delete(admin, core)


def pod(name: str, **labels: str) -> dict[str, Any]:
    """A pod that no node runs, with things in it that nobody may keep."""
    container = {"name": "c", "image": "none.example/none", "env": [{"name": "PASSWORD", "value": SECRET}]}
    spec = {"automountServiceAccountToken": False, "nodeName": "nowhere", "containers": [container]}
    metadata = {"name": name, "labels": labels, "annotations": {LAST_APPLIED: SECRET, "note": SECRET}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def create(connection: Connection, path: str, body: dict[str, Any]) -> Any:
    try:
        return connection.post(path, body)
    except Refused as error:
        if error.status != 409:
            raise
        return body


def delete(connection: Connection, path: str) -> None:
    request = connection.client.param_serialize("DELETE", path, auth_settings=["BearerToken"])
    connection.client.call_api(*request)


def status_of(collection: Collection, kind: str, group: str = "networking.k8s.io") -> KindStatus:
    return next(result.status for result in collection.kinds if (result.group, result.kind) == (group, kind))


def in_namespace(collection: Collection, namespace: str, kind: str = "NetworkPolicy") -> list[str]:
    return [obj.key.name for obj in collection.objects if (obj.key.namespace, obj.key.kind) == (namespace, kind)]


@pytest.mark.parametrize("page_size", [50, 500])
def test_a_list_of_many_pages_is_read_whole_and_once(admin: Connection, namespace: str, page_size: int) -> None:
    collection = collect_cluster(admin, keep_going=False, page_size=page_size)
    assert in_namespace(collection, namespace) == [f"policy-{number:03d}" for number in range(POLICIES)]
    assert in_namespace(collection, namespace, "Pod") == [f"pod-{number:04d}" for number in range(PODS)]
    assert not collection.partial
    listed = next(r for r in collection.kinds if r.kind == "Pod")
    assert listed.count >= PODS
    assert int(listed.resource_version) > 0


def test_a_page_token_that_the_servers_database_has_dropped_starts_the_list_again(
    admin: Connection, kubeconfig: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/v1/namespaces/{namespace}/replicationcontrollers"
    names = [f"controller-{number:02d}" for number in range(12)]
    for name in names:
        create(admin, path, replication_controller(name))
    answers, read = Counter[str](), Connection.read

    def compacting(self: Connection, where: str, make: Any, query: Any = None, accept: str = "application/json") -> Any:
        if where.endswith("/replicationcontrollers") and "continue" in query and not answers["compacted"]:
            answers["compacted"] += 1
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"later-{uuid4().hex[:6]}"}}
            create(admin, f"/api/v1/namespaces/{namespace}/configmaps", body)  # a revision after that of the first page
            compact_database(kubeconfig)
        try:
            return read(self, where, make, query, accept)
        except Refused as error:
            answers[f"{error.status} {where.rsplit('/', 1)[1]}"] += 1
            raise

    monkeypatch.setattr(Connection, "read", compacting)
    collection = collect_cluster(admin, keep_going=False, page_size=5)
    assert answers["410 replicationcontrollers"] == 1, answers
    assert in_namespace(collection, namespace, "ReplicationController") == names
    assert not collection.partial


def replication_controller(name: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod("template")["spec"]}
    spec = {"replicas": 0, "selector": {"app": name}, "template": template}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name}, "spec": spec}


def compact_database(kubeconfig: Path) -> None:
    """Drop all but the newest revision from the etcd beside the API server, through its JSON gateway."""
    run = kubeconfig.parent
    if not (run / "pki" / "etcd-client.crt").exists():
        pytest.skip("this cluster's etcd is not at hand")
    port = urlsplit(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]).port or 0
    pool = urllib3.PoolManager(
        ca_certs=str(run / "pki" / "ca.crt"),
        cert_file=str(run / "pki" / "etcd-client.crt"),
        key_file=str(run / "pki" / "etcd-client.key"),
    )
    etcd = f"https://127.0.0.1:{port + 1}/v3/kv"
    revision = pool.request("POST", f"{etcd}/range", json={"key": "YQ=="}).json()["header"]["revision"]
    done = pool.request("POST", f"{etcd}/compaction", json={"revision": revision, "physical": True})
    assert done.status == 200, done.data


def test_the_collection_says_who_read_which_server(admin: Connection, namespace: str) -> None:
    source = collect_cluster(admin, keep_going=False).source
    assert source.method == "api"
    assert source.location.startswith("https://")
    assert source.identity
    assert source.server_version.startswith("v1.")
    assert len(source.cluster_uid) == 36
    assert admin.cluster_name


def test_policies_are_defaulted_kept_without_annotations_and_say_who_made_them(
    admin: Connection, namespace: str
) -> None:
    collection = collect_cluster(admin, keep_going=False)
    policy = next(p for p in build_cluster(collection).policies if (p.namespace, p.name) == (namespace, "policy-000"))
    assert policy.policy_types == {Direction.INGRESS, Direction.EGRESS}
    assert policy.source.endswith(f"/namespaces/{namespace}/networkpolicies/policy-000")
    assert policy.origin is not None
    manager = policy.origin.body["metadata"]["managedFields"][0]
    assert set(manager) == {"manager", "operation", "time"}
    assert "s3cret" not in json.dumps(policy.origin.body)


def test_an_unchanged_cluster_gives_the_same_digests(admin: Connection, namespace: str) -> None:
    first, second = (collect_cluster(admin, keep_going=False) for _ in range(2))
    assert [obj.digest for obj in first.objects] == [obj.digest for obj in second.objects]


def test_a_kind_that_may_not_be_listed_is_named_with_the_missing_verb(
    admin: Connection, kubeconfig: Path, namespace: str
) -> None:
    user = f"reader-{uuid4().hex[:6]}"
    allow(
        admin,
        user,
        [{"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["list"]}],
        {"kind": "User", "name": user},
    )
    connection = connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=user)
    assert connection.identity == user
    collection = collect_cluster(connection, keep_going=False)
    assert collection.partial
    assert status_of(collection, "Namespace", "") is KindStatus.LISTED
    refused = next(r for r in collection.kinds if r.kind == "NetworkPolicy" and r.group == "networking.k8s.io")
    assert refused.status is KindStatus.FORBIDDEN
    assert refused.message == f"{user} lacks the verb list on networkpolicies.networking.k8s.io"
    assert "NetworkPolicy" in build_cluster(collection).unread_kinds


def allow(admin: Connection, name: str, rules: list[dict[str, Any]], subject: dict[str, str]) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    create(
        admin,
        f"{rbac}/clusterroles",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": rules,
        },
    )
    create(
        admin,
        f"{rbac}/clusterrolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    )


@pytest.fixture(scope="module")
def account_token(admin: Connection, namespace: str) -> str:
    """A token of an account with the rights that deploy/ gives to the collector."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    create(admin, accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "collector"}})
    subject = {"kind": "ServiceAccount", "name": "collector", "namespace": namespace}
    for name, role in (("collector", cluster_role()), ("watcher", watcher_role())):
        allow(admin, f"{name}-{namespace}", yaml.safe_load(role)["rules"], subject)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token: str = admin.post(f"{accounts}/collector/token", request)["status"]["token"]
    return token


def test_a_service_account_with_the_shipped_role_reads_everything_and_no_secret(
    account_token: str, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    own = yaml.safe_load(kubeconfig.read_text())
    for user in own["users"]:
        user["user"] = {"token": account_token}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(own))
    connection = connect(context=None, kubeconfig=str(path), in_cluster=False, impersonate=None)
    assert connection.identity == f"system:serviceaccount:{namespace}:collector"
    collection = collect_cluster(connection, keep_going=False)
    assert not collection.partial
    assert len(in_namespace(collection, namespace)) == POLICIES
    with pytest.raises(Refused) as refused:
        connection.get("/api/v1/secrets")
    assert refused.value.status == 403


@pytest.fixture
def in_pod(account_token: str, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kubelet gives a pod: its account's token, the cluster's authority, and where the API server is."""
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    (tmp_path / "token").write_text(account_token)
    if "certificate-authority-data" in cluster:
        (tmp_path / "ca.crt").write_bytes(b64decode(cluster["certificate-authority-data"]))
    else:
        (tmp_path / "ca.crt").write_bytes(Path(cluster["certificate-authority"]).read_bytes())
    server = urlsplit(cluster["server"])
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", server.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))


@pytest.mark.usefixtures("in_pod")
def test_inside_a_pod_its_account_collects(namespace: str) -> None:
    connection = connect(context=None, kubeconfig=None, in_cluster=True, impersonate=None)
    assert connection.identity == f"system:serviceaccount:{namespace}:collector"
    collection = collect_cluster(connection, keep_going=False)
    assert not collection.partial
    assert len(in_namespace(collection, namespace, "Pod")) == PODS


@pytest.fixture(scope="module")
def roles(admin: Connection, namespace: str) -> None:
    """Roles and bindings of which every second one lets its subject change policies."""
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    group = "rbac.authorization.k8s.io"
    for number in range(12):
        verbs = ["get", "patch"] if number % 2 else ["get"]
        rules = [{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies", "ingresses"], "verbs": verbs}]
        body = {"apiVersion": f"{group}/v1", "metadata": {"name": f"r-{number:02d}"}}
        create(admin, f"{root}/roles", {**body, "kind": "Role", "rules": rules})
        ref = {"apiGroup": group, "kind": "Role", "name": f"r-{number:02d}"}
        subjects = [{"kind": "ServiceAccount", "name": f"bot-{number:02d}", "namespace": namespace}]
        create(admin, f"{root}/rolebindings", {**body, "kind": "RoleBinding", "roleRef": ref, "subjects": subjects})


@pytest.mark.usefixtures("roles")
def test_roles_are_read_in_pages_and_kept_as_far_as_they_change_policies(admin: Connection, namespace: str) -> None:
    collection = collect_cluster(admin, keep_going=False, page_size=5)
    kept = [obj for obj in collection.objects if obj.key.namespace == namespace and obj.key.kind == "Role"]
    assert [obj.key.name for obj in kept] == [f"r-{number:02d}" for number in range(1, 12, 2)]
    assert kept[0].body["rules"] == [
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["patch"]}
    ]
    left_out = next(result for result in collection.kinds if result.kind == "Role").message
    assert int(left_out.split()[0]) >= 6

    found = who_may(build_cluster(collection), None)
    assert found.unread == ()
    here = [str(holder.subject) for holder in found.holders if holder.namespaces(Power.POLICIES) == (namespace,)]
    assert here == [f"ServiceAccount {namespace}/bot-{number:02d}" for number in range(1, 12, 2)]


def test_a_new_clusters_own_subjects_are_told_apart(admin: Connection, namespace: str) -> None:
    """What the API server itself bootstraps: administrators, controllers, and the roles that take over others."""
    found = who_may(build_cluster(collect_cluster(admin, keep_going=False)), None)
    everywhere = {
        str(holder.subject): holder.standing for holder in found.holders if not holder.namespaces(Power.POLICIES)
    }
    assert everywhere["Group system:masters"] is Standing.CONTROL_PLANE
    assert everywhere["ServiceAccount kube-system/generic-garbage-collector"] is Standing.CONTROL_PLANE
    assert not any(holder.standing is Standing.EVERYBODY for holder in found.holders)


def crd(group: str, kind: str, plural: str, version: str, scope: str = "Cluster") -> dict[str, Any]:
    """A definition that takes any spec: what is tested is reading, not the real schema."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def vendors(admin: Connection, namespace: str) -> Iterator[set[ObjectKey]]:
    """Every other maker's policy kind, served, and one object of each."""
    made, keys = [], set()
    for api_version, kind, plural, scope in VENDOR_KINDS:
        group, version = api_version.split("/")
        create(admin, DEFINITIONS, crd(group, kind, plural, version, scope))
        made.append(f"{DEFINITIONS}/{plural}.{group}")
    wait_until_served(admin, [f"/apis/{api_version}/{plural}" for api_version, _, plural, _ in VENDOR_KINDS])
    for api_version, kind, plural, scope in VENDOR_KINDS:
        group, space = api_version.split("/")[0], namespace if scope == "Namespaced" else ""
        path = f"/apis/{api_version}/namespaces/{space}/{plural}" if space else f"/apis/{api_version}/{plural}"
        name = f"one-{kind.lower()}"
        create(
            admin, path, {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **SPECS.get(kind, {})}
        )
        keys.add(ObjectKey(group, kind, space, name))
    yield keys
    for path in made:
        delete(admin, path)


def test_every_makers_policies_are_collected_and_evaluated_or_named(
    admin: Connection, namespace: str, vendors: set[ObjectKey]
) -> None:
    collection = collect_cluster(admin, keep_going=False)
    assert vendors <= {obj.key for obj in collection.objects}
    assert not collection.partial
    cluster = build_cluster(collection)
    evaluated = {policy.key for policy in cluster.cilium_policies} | {policy.key for policy in cluster.calico_policies}
    named = {policy.key for policy in cluster.other_policies} | {policy.key for policy in cluster.staged_policies}
    beside = {
        "CiliumCIDRGroup",
        "GlobalNetworkSet",
        "HostEndpoint",
        "NetworkSet",
        "Tier",
    }  # no policies: policies hang on them
    assert {key for key in vendors if key.kind not in beside} == {key for key in evaluated | named if key in vendors}
    assert {key.kind for key in evaluated & vendors} == {
        "CiliumClusterwideNetworkPolicy", "CiliumNetworkPolicy", "GlobalNetworkPolicy", "NetworkPolicy",
    }  # fmt: skip


def test_admin_policies_are_not_served_until_their_definitions_are_and_read_from_then_on(
    admin: Connection, namespace: str
) -> None:
    group = "policy.networking.k8s.io"
    before = collect_cluster(admin, keep_going=False)
    if status_of(before, "AdminNetworkPolicy", group) is not KindStatus.NOT_SERVED:
        pytest.skip("this cluster serves admin policies already")
    kinds = {
        "AdminNetworkPolicy": ("adminnetworkpolicies", "v1alpha1"),
        "BaselineAdminNetworkPolicy": ("baselineadminnetworkpolicies", "v1alpha1"),
        "ClusterNetworkPolicy": ("clusternetworkpolicies", "v1alpha2"),
    }
    rule = {"name": "r", "from": [{"namespaces": {}}]}
    try:
        for kind, (plural, version) in kinds.items():
            create(admin, DEFINITIONS, crd(group, kind, plural, version))
        wait_until_served(admin, [f"/apis/{group}/{version}/{plural}" for plural, version in kinds.values()])
        admin.post(
            f"/apis/{group}/v1alpha1/adminnetworkpolicies",
            {
                "apiVersion": f"{group}/v1alpha1",
                "kind": "AdminNetworkPolicy",
                "metadata": {"name": "first"},
                "spec": {"priority": 7, "subject": {"namespaces": {}}, "ingress": [{**rule, "action": "Allow"}]},
            },
        )
        admin.post(
            f"/apis/{group}/v1alpha2/clusternetworkpolicies",
            {
                "apiVersion": f"{group}/v1alpha2",
                "kind": "ClusterNetworkPolicy",
                "metadata": {"name": "second"},
                "spec": {
                    "tier": "Baseline",
                    "priority": 1,
                    "subject": {"namespaces": {}},
                    "ingress": [{**rule, "action": "Deny"}],
                },
            },
        )
        collection = collect_cluster(admin, keep_going=False)
        cluster = build_cluster(collection)
        assert [(p.key.name, p.tier, p.priority, p.ingress[0].action) for p in cluster.cluster_policies] == [
            ("first", Tier.ADMIN, 7, Action.ACCEPT),
            ("second", Tier.BASELINE, 1, Action.DENY),
        ]
        assert "adminnetworkpolicies.policy.networking.k8s.io" in cluster.crds
        assert status_of(collection, "BaselineAdminNetworkPolicy", group) is KindStatus.LISTED
    finally:
        for plural, _ in kinds.values():
            delete(admin, f"{DEFINITIONS}/{plural}.{group}")


def wait_until_served(admin: Connection, paths: list[str]) -> None:
    import time

    for path in paths:
        for _ in range(100):
            try:
                admin.get(path)
                break
            except Refused:
                time.sleep(0.1)
        else:
            pytest.fail(f"{path} is not served")


def test_a_user_without_any_right_gives_a_partial_snapshot_not_a_failure(kubeconfig: Path, namespace: str) -> None:
    connection = connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate="nobody-at-all")
    collection = collect_cluster(connection, keep_going=False)
    assert collection.objects == ()
    assert collection.partial


def test_an_unknown_context_and_a_closed_port_are_one_sentence_each(kubeconfig: Path, tmp_path: Path) -> None:
    with pytest.raises(CollectError, match="no-such-context"):
        connect(context="no-such-context", kubeconfig=str(kubeconfig), in_cluster=False, impersonate=None)
    with pytest.raises(CollectError, match="--kubeconfig"):
        connect(context=None, kubeconfig=str(tmp_path / "absent"), in_cluster=False, impersonate=None)


@pytest.mark.slow
def test_the_command_stores_a_snapshot_of_the_live_cluster(kubeconfig: Path, namespace: str, tmp_path: Path) -> None:
    from evidence.cli.collect import command

    arguments = ["--kubeconfig", str(kubeconfig), "--cluster", "lab", "--db", str(tmp_path / "evidence.db")]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert result.return_value == 0, result.output
    assert "snapshot 1 of lab" in result.output
