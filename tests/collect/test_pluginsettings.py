"""Settings of network plugins: a few of a few objects, and of their values only words that mean something."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Cluster
from evidence.cluster.objects import CollectedObject, Collection, KindStatus, ObjectKey
from evidence.cluster.parse import build_cluster
from evidence.cluster.plugins import ANOTHER, CONFIG_MAPS, SETTINGS_KINDS, plugin_settings
from evidence.collect.cluster import Connection, collect_cluster
from evidence.collect.files import collect_files, read_cluster
from evidence.collect.keep import kept
from evidence.collect.kinds import BY_GROUP_KIND
from evidence.collect.pluginsettings import AGENTS, CONFIG_MAP
from tests.collect.api import Api
from tests.manifests import body, pod_body, workload_body

PLANTED = "hunter2"
CONFIG = "/api/v1/namespaces/kube-system/configmaps/cilium-config"


def dump(*objects: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode())


def collected(*objects: dict[str, Any]) -> Collection:
    return collect_files(["-"], stdin=dump(*objects), keep_going=False)


def looked_at(*objects: dict[str, Any]) -> Cluster:
    return read_cluster(["-"], stdin=dump(*objects), keep_going=False)


def config_map(name: str, namespace: str = "kube-system", **data: str) -> dict[str, Any]:
    return body("v1", "ConfigMap", name, namespace, data=data)


def agent_body(name: str, namespace: str, container: dict[str, Any] | None = None) -> dict[str, Any]:
    found = workload_body("DaemonSet", name, metadata={"namespace": namespace})
    found["spec"]["template"]["spec"]["containers"] = [{"name": "agent", **(container or {})}]
    return found


def cilium_config(**more: str) -> dict[str, Any]:
    return config_map("cilium-config", **{"enable-policy": "default", "policy-audit-mode": "true", **more})


def test_of_a_named_config_map_only_known_words_of_known_settings_are_kept() -> None:
    found = collected(cilium_config(**{"etcd-config": PLANTED, "labels": PLANTED, "enable-sctp": PLANTED}))
    (kept_map,) = found.objects
    assert kept_map.body["data"] == {
        "enable-policy": "default",
        "enable-sctp": ANOTHER,
        "labels": ANOTHER,
        "policy-audit-mode": "true",
    }
    assert PLANTED not in str(found)


@pytest.mark.parametrize(("name", "namespace"), [("cilium-config", "shop"), ("my-config", "kube-system")])
def test_every_other_config_map_is_passed_over(name: str, namespace: str) -> None:
    found = collected(config_map(name, namespace, **{"enable-policy": "never"}), pod_body())
    assert [obj.key.kind for obj in found.objects] == ["Pod"]
    assert [kind.kind for kind in found.kinds if kind.status is KindStatus.NOT_KEPT] == ["ConfigMap"]


def test_a_named_config_map_and_another_are_one_line_of_the_population() -> None:
    found = collected(cilium_config(), config_map("other"))
    assert [(kind.status, kind.count) for kind in found.kinds if kind.kind == "ConfigMap"] == [(KindStatus.LISTED, 1)]


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ('{"Toggles": {"EnableNPMLite": true}, "Secret": "hunter2"}', "true"),
        ('{"Toggles": {"EnableNPMLite": false}}', "false"),
        ('{"Toggles": {}}', "false"),
        ('{"Toggles": {"EnableNPMLite": "hunter2"}}', ANOTHER),
        ('{"Toggles": "hunter2"}', ANOTHER),
        ("hunter2", ANOTHER),
    ],
)
def test_of_azures_file_one_switch_is_kept(file: str, value: str) -> None:
    (found,) = collected(config_map("azure-npm-config", **{"azure-npm.json": file})).objects
    assert found.body["data"] == {"EnableNPMLite": value}


def test_of_an_agents_environment_only_settings_are_kept() -> None:
    container = {
        "env": [
            {"name": "NETWORK_POLICY_ENFORCING_MODE", "value": "strict"},
            {"name": "POD_SECURITY_GROUP_ENFORCING_MODE", "value": PLANTED},
            {"name": "FELIX_BPFENABLED", "valueFrom": {"secretKeyRef": {"name": PLANTED, "key": "x"}}},
            {"name": "AWS_SECRET_ACCESS_KEY", "value": PLANTED},
        ],
        "envFrom": [{"secretRef": {"name": PLANTED}}],
    }
    found = collected(agent_body("aws-node", "kube-system", container))
    (workload,) = build_cluster(found).workloads
    assert workload.environment == {
        "FELIX_BPFENABLED": ANOTHER,
        "NETWORK_POLICY_ENFORCING_MODE": "strict",
        "POD_SECURITY_GROUP_ENFORCING_MODE": ANOTHER,
        "envFrom": ANOTHER,
    }
    assert PLANTED not in str([obj.body for obj in found.objects])


def test_an_applications_environment_is_not_kept() -> None:
    container = {"env": [{"name": "NETWORK_POLICY_ENFORCING_MODE", "value": "strict"}]}
    found = collected(agent_body("app", "shop", container))
    assert "NETWORK_POLICY" not in str([obj.body for obj in found.objects])


words = st.text(max_size=8) | st.sampled_from(["true", "False", " never ", "BPF"]) | st.booleans() | st.none()
values = st.recursive(words, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=3)
names = st.sampled_from(
    [
        "enable-policy",
        "labels",
        "bpfEnabled",
        "variant",
        "linuxDataplane",
        "type",
        "azure-npm.json",
        "EnableNPMLite",
        "other",
    ]
)


@given(st.sampled_from(sorted(SETTINGS_KINDS)), st.sampled_from(sorted(CONFIG_MAPS)), st.dictionaries(names, values))
def test_what_is_kept_says_what_the_whole_says_and_nothing_else(
    kind: tuple[str, str], name: str, settings: dict[str, Any]
) -> None:
    key = ObjectKey(*kind, "kube-system", name)
    spec = {**settings, "defaults": settings, "calicoNetwork": settings, "cni": settings}
    whole = {"apiVersion": "x/v1", "kind": kind[1], "metadata": {"name": name}, "data": settings, "spec": spec}
    small = kept(BY_GROUP_KIND.get(kind, CONFIG_MAP), whole, namespace="kube-system", api_version="x/v1")
    read = plugin_settings(CollectedObject(key, whole, "here"))
    assert plugin_settings(CollectedObject(key, small, "here")) == read
    assert {value for value in read.values.values() if value not in (ANOTHER, "")} <= {
        word
        for table in CONFIG_MAPS.values()
        for found in table.values()
        for word in found
    } | {"accept", "drop", "return", "bpf", "iptables", "nftables", "vpp", "calico", "gke", "amazonvpc", "azurevnet",
         "tigerasecureenterprise", "calicoenterprise"}  # fmt: skip


# -- whether something overrides the settings -------------------------------------------------------------------------

DEFINITION = body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "ciliumnodeconfigs.cilium.io")
OVERRIDE = body("cilium.io/v2", "CiliumNodeConfig", "a", "kube-system", spec={"defaults": {"enable-policy": "never"}})


@pytest.mark.parametrize("way", ["kept", "looked at"])
@pytest.mark.parametrize(
    ("objects", "unread"),
    [([DEFINITION], True), ([DEFINITION, OVERRIDE], False), ([cilium_config()], False)],
    ids=["defined and not in the source", "in the source", "not defined"],
)
def test_overrides_that_may_be_there_and_were_not_in_the_source_are_unread(
    way: str, objects: list[dict[str, Any]], unread: bool
) -> None:
    cluster = build_cluster(collected(*objects)) if way == "kept" else looked_at(*objects)
    assert ("CiliumNodeConfig" in cluster.unread_kinds) is unread


# -- from a server ----------------------------------------------------------------------------------------------------


def serve_agent(api: Api, name: str = "cilium", namespace: str = "kube-system") -> None:
    api.served["/apis/apps/v1"] = ["daemonsets"]
    api.lists["/apis/apps/v1/daemonsets"] = [agent_body(name, namespace)]


def test_the_config_map_of_an_agent_that_was_found_is_read_by_its_name(api: Api, connection: Connection) -> None:
    serve_agent(api)
    api.trouble[CONFIG] = [(200, {}, cilium_config(**{"etcd-config": PLANTED}))]
    found = collect_cluster(connection, keep_going=False)
    (settings,) = build_cluster(found).plugin_settings
    assert settings.values == {"enable-policy": "default", "policy-audit-mode": "true"}
    assert [(kind.status, kind.count) for kind in found.kinds if kind.kind == "ConfigMap"] == [(KindStatus.LISTED, 1)]
    assert "/api/v1/configmaps" not in api.seen
    assert PLANTED not in str(found)


@pytest.mark.parametrize(("name", "namespace"), [("web", "kube-system"), ("cilium", "shop")])
def test_no_config_map_is_asked_for_where_no_agent_is(
    name: str, namespace: str, api: Api, connection: Connection
) -> None:
    serve_agent(api, name, namespace)
    found = collect_cluster(connection, keep_going=False)
    assert not [path for path in api.seen if "configmap" in path]
    assert not [kind for kind in found.kinds if kind.kind == "ConfigMap"]


@pytest.mark.parametrize(
    ("answer", "status", "partial"),
    [
        ((403, {}, {"message": "no"}), KindStatus.FORBIDDEN, True),
        ((404, {}, {"message": "not there"}), KindStatus.LISTED, False),
        ((422, {}, {"message": "odd"}), KindStatus.FAILED, True),
    ],
)
def test_a_config_map_that_cannot_be_read_is_said_so(
    answer: Any, status: KindStatus, partial: bool, api: Api, connection: Connection
) -> None:
    serve_agent(api)
    api.trouble[CONFIG] = [answer]
    found = collect_cluster(connection, keep_going=False)
    (result,) = (kind for kind in found.kinds if kind.kind == "ConfigMap")
    assert (result.status, found.partial) == (status, partial)
    assert status is KindStatus.LISTED or "kube-system/cilium-config" in result.message


def test_every_agent_leads_to_a_config_map_that_the_role_allows() -> None:
    assert set(AGENTS.values()) == set(CONFIG_MAPS)


# -- what agents were handed ------------------------------------------------------------------------------------------

ENDPOINT = body(
    "networking.k8s.aws/v1alpha1",
    "PolicyEndpoint",
    "guard-x7k2p",
    "shop",
    spec={"policyRef": {"name": "guard", "namespace": "shop"}, "podSelectorEndpoints": [{"podIP": PLANTED}]},
)
ENDPOINTS = body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "policyendpoints.networking.k8s.aws")


@pytest.mark.parametrize("way", ["kept", "looked at"])
def test_of_a_policy_endpoint_only_the_policy_that_it_carries_is_kept(way: str) -> None:
    found = collected(ENDPOINTS, ENDPOINT)
    cluster = build_cluster(found) if way == "kept" else looked_at(ENDPOINTS, ENDPOINT)
    assert cluster.handed_over == {("shop", "guard")}
    assert "PolicyEndpoint" not in cluster.unread_kinds
    assert PLANTED not in str([obj.body for obj in found.objects])


def test_policy_endpoints_that_are_defined_and_not_in_the_source_are_unread() -> None:
    assert "PolicyEndpoint" in looked_at(ENDPOINTS).unread_kinds


def test_of_an_init_containers_command_line_only_that_it_names_sources_is_kept() -> None:
    agent = agent_body("cilium", "kube-system")
    words = ["cilium", "build-config", f"--source=config-map:{PLANTED}", f"--token={PLANTED}"]
    agent["spec"]["template"]["spec"]["initContainers"] = [{"name": "config", "command": words}]
    found = collected(agent)
    (workload,) = build_cluster(found).workloads
    assert workload.environment == {"--source": ANOTHER} == looked_at(agent).workloads[0].environment
    assert PLANTED not in str([obj.body for obj in found.objects])
