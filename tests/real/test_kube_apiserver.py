"""The collector against a real kube-apiserver: pages, permissions, identities, and kinds that only custom resources bring."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from evidence.access.holders import Standing, who_may
from evidence.cluster.access import Power
from evidence.cluster.model import Direction
from evidence.cluster.objects import Collection, KindStatus
from evidence.cluster.parse import build_cluster
from evidence.cluster.policies import Action, Tier
from evidence.collect.cluster import Connection, collect_cluster, connect
from evidence.collect.connection import Refused
from evidence.errors import CollectError
from tests.real.controlplane import ROOT, control_plane

pytestmark = pytest.mark.real

POLICIES = 510


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    with control_plane() as path:
        yield path


@pytest.fixture(scope="module")
def admin(kubeconfig: Path) -> Connection:
    return connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=None)


@pytest.fixture(scope="module")
def namespace(admin: Connection) -> Iterator[str]:
    """A namespace of our own with more policies than fit on a page."""
    name = f"evidence-{uuid4().hex[:8]}"
    create(admin, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for number in range(POLICIES):
        create(
            admin,
            f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies",
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": f"policy-{number:03d}", "annotations": {"note": "s3cret"}},
                "spec": {"podSelector": {"matchLabels": {"number": str(number)}}, "egress": [{}]},
            },
        )
    yield name
    delete(admin, f"/api/v1/namespaces/{name}")


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


def in_namespace(collection: Collection, namespace: str) -> list[str]:
    return [
        obj.key.name for obj in collection.objects if obj.key.namespace == namespace and obj.key.kind == "NetworkPolicy"
    ]


@pytest.mark.parametrize("page_size", [50, 500])
def test_a_list_of_many_pages_is_read_whole_and_once(admin: Connection, namespace: str, page_size: int) -> None:
    collection = collect_cluster(admin, keep_going=False, page_size=page_size)
    assert in_namespace(collection, namespace) == [f"policy-{number:03d}" for number in range(POLICIES)]
    assert not collection.partial
    listed = next(r for r in collection.kinds if r.kind == "NetworkPolicy" and r.group == "networking.k8s.io")
    assert listed.count >= POLICIES
    assert int(listed.resource_version) > 0


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


def test_a_service_account_with_the_shipped_role_reads_everything_and_no_secret(
    admin: Connection, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    create(admin, accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "collector"}})
    role = yaml.safe_load((ROOT / "deploy" / "clusterrole.yaml").read_text())
    allow(
        admin,
        f"collector-{namespace}",
        role["rules"],
        {"kind": "ServiceAccount", "name": "collector", "namespace": namespace},
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = admin.post(f"{accounts}/collector/token", request)["status"]["token"]
    own = yaml.safe_load(kubeconfig.read_text())
    for user in own["users"]:
        user["user"] = {"token": token}
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


def crd(kind: str, plural: str, version: str) -> dict[str, Any]:
    """A definition that takes any spec: what is tested is reading, not the real schema."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.policy.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": "policy.networking.k8s.io",
            "scope": "Cluster",
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


def test_admin_policies_are_not_served_until_their_definitions_are_and_read_from_then_on(
    admin: Connection, namespace: str
) -> None:
    group = "policy.networking.k8s.io"
    before = collect_cluster(admin, keep_going=False)
    if status_of(before, "AdminNetworkPolicy", group) is not KindStatus.NOT_SERVED:
        pytest.skip("this cluster serves admin policies already")
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    kinds = {
        "AdminNetworkPolicy": ("adminnetworkpolicies", "v1alpha1"),
        "ClusterNetworkPolicy": ("clusternetworkpolicies", "v1alpha2"),
    }
    rule = {"name": "r", "from": [{"namespaces": {}}]}
    try:
        for kind, (plural, version) in kinds.items():
            create(admin, definitions, crd(kind, plural, version))
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
        assert status_of(collection, "BaselineAdminNetworkPolicy", group) is KindStatus.NOT_SERVED
    finally:
        for plural, _ in kinds.values():
            delete(admin, f"{definitions}/{plural}.{group}")


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
