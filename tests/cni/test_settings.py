"""Settings that switch enforcement on or off, weaken it, or say how a plugin is set up."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.plugins import ANOTHER, CONFIG_MAPS
from evidence.cni.detect import CniReport, Enforcement, Support, detect
from tests.cni.clusters import (
    Body,
    agent,
    application,
    calico,
    cilium,
    cilium_config,
    config_map,
    crd,
    deployment,
    kindnet,
    node,
    nodes,
    read,
    vpc_cni,
)

ENFORCED, NOT_ENFORCED, NOT_SHOWN = Enforcement.ENFORCED, Enforcement.NOT_ENFORCED, Enforcement.NOT_SHOWN
OVERRIDES = crd("ciliumnodeconfigs.cilium.io")
FELIX = "crd.projectcalico.org/v1"


def report(*objects: Body | Iterable[Body], on: Iterable[Body] | None = None) -> CniReport:
    return detect(read(nodes() if on is None else on, application(), *objects))


def override(**defaults: str) -> Body:
    """A CiliumNodeConfig for some nodes."""
    spec = {"nodeSelector": {}, "defaults": {name.replace("_", "-"): value for name, value in defaults.items()}}
    metadata = {"name": "some-nodes", "namespace": "kube-system"}
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNodeConfig", "metadata": metadata, "spec": spec}


def felix(name: str = "default", **spec: Any) -> Body:
    return {"apiVersion": FELIX, "kind": "FelixConfiguration", "metadata": {"name": name}, "spec": spec}


# -- Cilium -----------------------------------------------------------------------------------------------------------


def test_cilium_enforces_where_all_that_could_switch_it_off_was_read() -> None:
    found = report(cilium("v1.17.2", config=cilium_config()))
    assert found.enforcement is ENFORCED, found.reasons
    assert any("no setting that switches enforcement off" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        ({"enable_policy": "always"}, ENFORCED),
        ({"enable_policy": "never"}, NOT_ENFORCED),
        ({"policy_audit_mode": "true"}, NOT_ENFORCED),
        ({"policy_audit_mode": "True"}, NOT_ENFORCED),
        ({"enable_k8s_networkpolicy": "false"}, NOT_ENFORCED),
        ({"enable_policy": "whatever"}, NOT_SHOWN),
        ({"policy_audit_mode": "1"}, NOT_SHOWN),
        ({"labels": "k8s:app k8s:tier"}, NOT_SHOWN),
        ({"labels": ""}, ENFORCED),
        ({"label_prefix_file": "/etc/labels.json"}, NOT_SHOWN),
    ],
)
def test_ciliums_config_map_decides(data: dict[str, str], verdict: Enforcement) -> None:
    found = report(cilium("v1.17.2", config=cilium_config(**data)))
    assert found.enforcement is verdict, found.reasons


@pytest.mark.parametrize(
    "objects",
    [
        cilium("v1.17.2"),
        cilium("v1.17.2", config=config_map("cilium-config", "cilium", enable_policy="default")),
        [*cilium("v1.17.2", config=cilium_config()), OVERRIDES],
        cilium("v1.17.2", config=cilium_config(), object_read=False),
        [found for found in cilium("v1.17.2", config=cilium_config()) if found["kind"] != "CustomResourceDefinition"],
        cilium("v1.40.0", config=cilium_config()),
        cilium("v1.17.2", config=cilium_config(), environment={"CILIUM_POLICY_AUDIT_MODE": "true"}),
        cilium("v1.17.2", config=cilium_config(), environment={"CILIUM_ENABLE_POLICY": "x"}),
        cilium("v1.17.2", "--enable-policy=never", config=cilium_config()),
        [*cilium("v1.17.2", config=cilium_config()), OVERRIDES, override(policy_audit_mode="true")],
        [*cilium("v1.17.2", config=config_map("cilium-config")), OVERRIDES, override(policy_audit_mode="true")],
        [*cilium("v1.17.2", config=cilium_config()), OVERRIDES, override(labels="k8s:app")],
    ],
    ids=[
        "no ConfigMap", "ConfigMap of another namespace", "overrides that were not read", "arguments that were not read",
        "definitions that were not read", "a version that is not known", "audit by environment", "an unknown word by environment",
        "never by flag", "audit on some nodes", "audit on some nodes, default elsewhere", "labels on some nodes",
    ],
)  # fmt: skip
def test_what_was_not_read_or_disagrees_is_not_shown(objects: list[Body]) -> None:
    assert report(objects).enforcement is NOT_SHOWN


def test_overrides_that_change_nothing_of_enforcement_do_no_harm() -> None:
    found = report(
        cilium("v1.17.2", config=cilium_config()), OVERRIDES, override(enable_policy="default", debug="true")
    )
    assert found.enforcement is ENFORCED, found.reasons


def test_environment_from_an_object_that_is_not_collected_is_not_shown() -> None:
    objects = cilium("v1.17.2", config=cilium_config())
    objects[0]["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "extra"}}]
    found = report(objects)
    assert found.enforcement is NOT_SHOWN
    assert any("environment values from an object" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["cilium", "build-config"], ENFORCED),
        (["cilium", "build-config", "--source=config-map:kube-system/more"], NOT_SHOWN),
        (["cilium", "build-config", "--source", "node:here"], NOT_SHOWN),
    ],
)
def test_settings_from_further_places_are_not_shown(words: list[str], verdict: Enforcement) -> None:
    objects = cilium("v1.17.2", config=cilium_config())
    objects[0]["spec"]["template"]["spec"]["initContainers"] = [{"name": "config", "command": words}]
    assert report(objects).enforcement is verdict


@pytest.mark.parametrize(
    ("data", "level"),
    [({"enable_sctp": "true"}, Support.FULL), ({"enable_sctp": "false"}, Support.OPTIONAL), ({}, Support.OPTIONAL)],
)
def test_sctp_under_cilium_is_full_only_where_it_is_switched_on(data: dict[str, str], level: Support) -> None:
    (plugin,) = report(cilium("v1.17.2", config=cilium_config(**data))).plugins
    assert plugin.features["sctp"] is level


def test_sctp_that_some_nodes_switch_off_is_not_full() -> None:
    objects = [*cilium("v1.17.2", config=cilium_config(enable_sctp="true")), OVERRIDES, override(enable_sctp="false")]
    (plugin,) = report(objects).plugins
    assert plugin.features["sctp"] is Support.OPTIONAL


def test_a_cilium_that_ignores_its_own_policies_is_known_to() -> None:
    (plugin,) = report(cilium("v1.17.2", config=cilium_config(enable_cilium_network_policy="false"))).plugins
    assert plugin.ignored_kinds == {"CiliumNetworkPolicy"}


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (cilium("v1.17.2", config=cilium_config(cni_chaining_mode="aws-cni")), "chained to another plugin"),
        (cilium("v1.17.2", config=cilium_config(policy_cidr_match_mode="nodes")), "also matches nodes"),
        (cilium("v1.17.2", config=cilium_config(enable_policy="always")), "are closed too"),
    ],
)
def test_how_cilium_is_set_up_is_said(objects: list[Body], words: str) -> None:
    (plugin,) = report(objects).plugins
    assert any(words in trait for trait in plugin.traits)


switches = st.dictionaries(
    st.sampled_from(["enable-policy", "policy-audit-mode", "enable-k8s-networkpolicy", "labels"]),
    st.sampled_from(["default", "always", "never", "true", "false", "", "odd"]),
)
HARMLESS = {
    "enable-policy": {"default", "always"},
    "policy-audit-mode": {"false"},
    "enable-k8s-networkpolicy": {"true"},
    "labels": {""},
}


@given(switches, switches, st.none() | switches)
def test_cilium_is_never_called_enforcing_while_any_place_says_otherwise(
    in_map: dict[str, str], in_environment: dict[str, str], overriding: dict[str, str] | None
) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": in_map}  # fmt: skip
    variables = {f"CILIUM_{name.upper().replace('-', '_')}": value for name, value in in_environment.items()}
    objects = cilium("v1.17.2", config=config, environment=variables)
    objects += [OVERRIDES, override(**overriding)] if overriding is not None else []
    if report(objects).enforcement is ENFORCED:
        for place in (in_map, in_environment, overriding or {}):
            assert all(value in HARMLESS[name] for name, value in place.items())


# -- Amazon VPC CNI ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("controller", "verdict"), [("true", ENFORCED), ("false", NOT_ENFORCED), ("odd", NOT_SHOWN), (None, NOT_SHOWN)]
)
def test_the_agents_of_the_vpc_cni_need_the_controller(controller: str | None, verdict: Enforcement) -> None:
    assert report(vpc_cni(policy_agent="true", controller=controller)).enforcement is verdict


@pytest.mark.parametrize(
    ("environment", "softened"),
    [
        ({}, True),
        ({"NETWORK_POLICY_ENFORCING_MODE": "standard"}, True),
        ({"NETWORK_POLICY_ENFORCING_MODE": "odd"}, True),
        ({"NETWORK_POLICY_ENFORCING_MODE": "strict"}, False),
    ],
)
def test_a_new_pod_is_open_at_first_unless_strict_mode_is_seen(environment: dict[str, str], softened: bool) -> None:
    found = report(vpc_cni(policy_agent="true", environment=environment))
    (plugin,) = found.plugins
    assert found.enforcement is ENFORCED
    assert bool(plugin.softened) is softened
    assert any("a new pod is open" in reason for reason in found.reasons) is softened


# -- others -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "verdict"),
    [
        ('{"Toggles": {"EnableV2NPM": true}}', ENFORCED),
        ('{"Toggles": {"EnableNPMLite": true}}', NOT_SHOWN),
        ("{", NOT_SHOWN),
        (None, NOT_SHOWN),
    ],
)
def test_azures_lite_mode_is_no_enforcement(file: str | None, verdict: Enforcement) -> None:
    data = {} if file is None else {"azure-npm.json": file}
    settings = config_map("azure-npm-config")
    settings["data"] = data
    npm = agent("kube-system", "azure-npm", "mcr.microsoft.com/containernetworking/azure-npm:v1.5.45")
    assert report(npm, *([settings] if data else [])).enforcement is verdict


@pytest.mark.parametrize(
    ("objects", "level"),
    [
        ([*calico(), felix()], Support.FULL),
        ([*calico(), felix(bpfEnabled=False)], Support.FULL),
        ([*calico(), felix(bpfEnabled=True)], Support.NONE),
        ([*calico(), felix(), felix("node.node-a", bpfEnabled=True)], Support.NONE),
        ([*calico(environment={"FELIX_BPFENABLED": "true"}), felix()], Support.NONE),
        ([*calico(environment={"FELIX_BPFENABLED": "odd"}), felix()], Support.NONE),
        (calico(), Support.UNKNOWN),
        ([*calico("v3.99.0"), felix(bpfEnabled=True)], Support.UNKNOWN),
    ],
    ids=["default", "off", "on", "on one node", "by environment", "a word that is not known", "not read", "version not known"],
)  # fmt: skip
def test_calicos_ebpf_data_plane_heeds_no_sctp(objects: list[Body], level: Support) -> None:
    (plugin,) = report(objects).plugins
    assert plugin.features["sctp"] is level


def installation(dataplane: str, wires: str) -> Body:
    spec = {"calicoNetwork": {"linuxDataplane": dataplane}, "cni": {"type": wires}, "variant": "Calico"}
    return {
        "apiVersion": "operator.tigera.io/v1",
        "kind": "Installation",
        "metadata": {"name": "default"},
        "spec": {**spec, "imagePullSecrets": [{"name": "secret"}]},
    }


@pytest.mark.parametrize(
    ("dataplane", "wires", "level", "words"),
    [
        ("Iptables", "Calico", Support.FULL, ""),
        ("BPF", "Calico", Support.NONE, "eBPF data plane"),
        ("Nftables", "Calico", Support.FULL, "nftables data plane"),
        ("VPP", "Calico", Support.UNKNOWN, "VPP data plane"),
        ("Iptables", "AmazonVPC", Support.FULL, "another plugin connects the pods"),
    ],
)
def test_what_tigeras_operator_was_told_is_read(dataplane: str, wires: str, level: Support, words: str) -> None:
    (plugin,) = report(calico(), felix(), installation(dataplane, wires)).plugins
    assert plugin.features["sctp"] is level
    assert any(trait.startswith(words) for trait in plugin.traits) is bool(words)


def test_kube_ovns_lax_enforcement_is_said() -> None:
    image = "docker.io/kubeovn/kube-ovn:v1.12.4"
    flags = ("--np-enforcement=lax", "--enable-anp=true")
    found = report(
        agent("kube-system", "kube-ovn-cni", image), deployment("kube-system", "kube-ovn-controller", image, *flags)
    )
    (plugin,) = found.plugins
    assert found.enforcement is ENFORCED
    assert plugin.softened == ("np-enforcement=lax: only TCP, UDP and SCTP are dropped, ICMP and the rest pass",)
    assert plugin.features["AdminNetworkPolicy"] is Support.PARTIAL


def test_what_is_switched_off_is_not_weakened_too() -> None:
    (plugin,) = report(vpc_cni(policy_agent="false")).plugins
    assert plugin.softened == ()


def test_kindnet_lets_traffic_pass_while_its_agent_is_down() -> None:
    (plugin,) = report(kindnet("v20241212-9f82dd49")).plugins
    assert plugin.softened == ("traffic passes while its agent is down",)


# -- whose build, which wires ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("ibm-cloud.kubernetes.io/worker-id", "IBM Cloud Kubernetes Service"),
        ("cloud.google.com/gke-nodepool", "GKE's network policy add-on"),
    ],
)
def test_a_providers_calico_is_told_by_its_nodes(label: str, words: str) -> None:
    labelled = [node(name, labels={label: "x"}) for name in ("node-a", "node-b", "node-c")]
    (plugin,) = report(calico(), on=labelled).plugins
    assert any(trait.startswith(words) for trait in plugin.traits)


def test_azures_cilium_is_told_by_its_nodes_and_wired_by_azure() -> None:
    labelled = [node(name, labels={"kubernetes.azure.com/ebpf-dataplane": "cilium"}) for name in ("node-a", "node-b", "node-c")]  # fmt: skip
    wires = agent("kube-system", "azure-cns", "mcr.microsoft.com/containernetworking/azure-cns:v1.6.21")
    found = report(cilium("v1.17.2", config=cilium_config()), wires, on=labelled)
    assert found.enforcement is ENFORCED
    assert {plugin.name for plugin in found.plugins} == {"Cilium", "Azure CNI"}
    assert "Azure CNI powered by Cilium" in str(found.plugins)


def test_calico_enterprise_is_not_taken_for_calico() -> None:
    found = report(agent("calico-system", "calico-node", "registry.example/tigera/cnx-node:v3.20.1"))
    (plugin,) = found.plugins
    assert (plugin.name, found.enforcement) == ("Calico Enterprise", ENFORCED)
    assert plugin.features["ClusterNetworkPolicy"] is Support.UNKNOWN


@pytest.mark.parametrize(
    ("namespace", "name", "plugin"),
    [
        ("aci-containers-system", "aci-containers-host", "Cisco ACI CNI"),
        ("kube-system", "romana-agent", "Romana"),
        ("kube-system", "contiv-netplugin", "Contiv"),
    ],
)
def test_plugins_of_which_no_version_is_known_are_named_and_show_nothing(
    namespace: str, name: str, plugin: str
) -> None:
    found = report(agent(namespace, name, f"registry.example/{name}:1.0.0"))
    assert [one.name for one in found.plugins] == [plugin]
    assert found.enforcement is NOT_SHOWN


# -- Multus, which calls another ---------------------------------------------------------------------------------------

MULTUS = list(agent("kube-system", "kube-multus-ds", "ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.4"))


def test_multus_alone_says_nothing_of_enforcement() -> None:
    found = report(MULTUS)
    assert found.enforcement is NOT_SHOWN
    assert found.reasons[0] == "Multus calls another network plugin, and none was recognised"


def test_multus_beside_an_enforcer_takes_nothing_away() -> None:
    found = report(MULTUS, calico())
    assert found.enforcement is ENFORCED
    assert [plugin.name for plugin in found.enforcers] == ["Calico"]


def test_settings_of_the_test_are_settings_that_are_read() -> None:
    """Else a misspelt one would be left out, and the tests above would test nothing."""
    known = {name for table in CONFIG_MAPS.values() for name in table}
    assert set(HARMLESS) <= known
    assert ANOTHER not in {word for table in CONFIG_MAPS.values() for words in table.values() for word in words}
