"""Each plugin in its realistic shape, and each way in which enforcement is not shown."""

from collections.abc import Iterable
from typing import Any

import pytest

from evidence.cni.detect import CniReport, DetectedPlugin, Enforcement, Support, detect
from tests.cni.clusters import (
    NODES,
    Body,
    agent,
    antrea,
    application,
    calico,
    cilium,
    crd,
    deployment,
    flannel,
    k3s_nodes,
    kindnet,
    kube_router,
    node,
    nodes,
    pod,
    read,
    vpc_cni,
    weave,
)

ENFORCED, PARTIAL = Enforcement.ENFORCED, Enforcement.PARTIAL
NOT_ENFORCED, NOT_SHOWN = Enforcement.NOT_ENFORCED, Enforcement.NOT_SHOWN


def report(*objects: Body | Iterable[Body], on: Iterable[Body] | None = None) -> CniReport:
    """Of a cluster with three nodes, an ordinary pod on each, and the given objects."""
    return detect(read(nodes() if on is None else on, application(), *objects))


def the_plugin(found: CniReport) -> DetectedPlugin:
    (plugin,) = found.plugins
    return plugin


# -- each plugin ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "name", "version", "verdict"),
    [
        (calico(), "Calico", "v3.29.3", ENFORCED),
        (list(agent("calico-system", "calico-node", "quay.io/calico/node:v3.30.1")), "Calico", "v3.30.1", ENFORCED),
        (cilium(), "Cilium", "v1.16.5", NOT_SHOWN),
        (cilium("v1.16.5", "--enable-policy=never"), "Cilium", "v1.16.5", NOT_ENFORCED),
        (cilium("v1.16.5", "--policy-audit-mode"), "Cilium", "v1.16.5", NOT_ENFORCED),
        (flannel(), "Flannel", "v0.26.1", NOT_ENFORCED),
        (weave(), "Weave Net", "2.8.1", ENFORCED),
        (weave(controller=False), "Weave Net", "2.8.1", NOT_ENFORCED),
        (kube_router(), "kube-router", "v2.4.1", ENFORCED),
        (kube_router(firewall="false"), "kube-router", "v2.4.1", NOT_ENFORCED),
        (antrea(), "Antrea", "v2.2.0", ENFORCED),
        (list(agent("ovn-kubernetes", "ovnkube-node", "ghcr.io/ovn-org/ovn-kubernetes/ovn-kube-ubuntu:v1.0.0")),
            "OVN-Kubernetes", "v1.0.0", ENFORCED),
        (list(agent("ovn-kubernetes", "ovnkube-node", "ghcr.io/ovn-org/ovn-kubernetes/ovn-kube-ubuntu:master")),
            "OVN-Kubernetes", "master", NOT_SHOWN),
        (list(agent("openshift-ovn-kubernetes", "ovnkube-node", "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0f")),
            "OVN-Kubernetes (OpenShift)", "v1.31.4", ENFORCED),
        (list(agent("openshift-sdn", "sdn", "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0f")),
            "OpenShift SDN", "v1.31.4", NOT_SHOWN),
        (vpc_cni(), "Amazon VPC CNI", "", NOT_ENFORCED),
        (vpc_cni(policy_agent="false"), "Amazon VPC CNI", "v1.1.6-eksbuild.2", NOT_ENFORCED),
        (vpc_cni(policy_agent="true"), "Amazon VPC CNI", "v1.1.6-eksbuild.2", ENFORCED),
        (list(agent("kube-system", "azure-npm", "mcr.microsoft.com/containernetworking/azure-npm:v1.5.45")),
            "Azure network policy manager", "v1.5.45", NOT_SHOWN),
        (list(agent("kube-system", "azure-cns", "mcr.microsoft.com/containernetworking/azure-cns:v1.6.21")),
            "Azure CNI", "v1.6.21", NOT_ENFORCED),
        (list(agent("kube-system", "anetd", "gke.gcr.io/cilium/cilium:v1.15.6-gke.13")), "GKE Dataplane V2", "", NOT_SHOWN),
        (kindnet("v20241212-9f82dd49"), "kindnet", "v20241212-9f82dd49", ENFORCED),
        (kindnet("v20251212-v0.29.0-alpha-105-g20ccfc88"), "kindnet", "v20251212-v0.29.0-alpha-105-g20ccfc88", ENFORCED),
        (kindnet("v20240202-8f1494ea"), "kindnet", "v20240202-8f1494ea", NOT_ENFORCED),
    ],
)  # fmt: skip
def test_plugin_version_and_verdict(objects: list[Body], name: str, version: str, verdict: Enforcement) -> None:
    found = report(objects)
    assert (the_plugin(found).name, the_plugin(found).version) == (name, version)
    assert found.enforcement is verdict, found.reasons


def test_kube_ovn_is_enforcing_by_its_controllers_flags() -> None:
    wiring = list(agent("kube-system", "kube-ovn-cni", "docker.io/kubeovn/kube-ovn:v1.12.4"))
    controller = "docker.io/kubeovn/kube-ovn:v1.12.4"
    on = report(wiring, deployment("kube-system", "kube-ovn-controller", controller, "--enable-lb=true"))
    off = report(wiring, deployment("kube-system", "kube-ovn-controller", controller, "--enable-np=false"))
    unread = report(wiring)
    assert (on.enforcement, off.enforcement, unread.enforcement) == (ENFORCED, NOT_ENFORCED, NOT_SHOWN)
    assert "kube-ovn-controller were not read" in unread.reasons[0]


# -- k3s: the controller inside the node's process --------------------------------------------------------------------


def test_k3s_enforces_with_the_controller_inside_its_process() -> None:
    found = report(on=k3s_nodes("--cluster-init"))
    k3s = next(plugin for plugin in found.plugins if plugin.id == "k3s")
    assert found.enforcement is ENFORCED
    assert (k3s.version, k3s.agent, k3s.agent_ready, k3s.agent_desired) == ("v1.31.4+k3s1", None, 3, 3)


@pytest.mark.parametrize(
    "flags", [("--disable-network-policy",), ("--disable-network-policy=true",), ("--disable-network-policy", "true")]
)
def test_k3s_with_its_controller_switched_off_enforces_nothing(flags: tuple[str, ...]) -> None:
    found = report(on=k3s_nodes(*flags))
    assert found.enforcement is NOT_ENFORCED
    assert any("disable-network-policy" in reason for reason in found.reasons)


def test_k3s_without_readable_server_arguments_is_not_shown() -> None:
    found = report(on=k3s_nodes(annotated=False))
    assert found.enforcement is NOT_SHOWN
    assert found.reasons[0].endswith("were not read, so disable-network-policy is not visible")


def test_k3s_wired_and_policed_by_calico_counts_calico() -> None:
    found = report(calico(), on=k3s_nodes("--flannel-backend=none", "--disable-network-policy"))
    assert found.enforcement is ENFORCED
    assert [plugin.name for plugin in found.enforcers] == ["Calico"]


# -- several at once --------------------------------------------------------------------------------------------------


def test_canal_is_calico_enforcing_and_flannel_wiring() -> None:
    canal = agent("kube-system", "canal", "docker.io/calico/node:v3.28.1", "ghcr.io/flannel-io/flannel:v0.24.4")
    found = report(canal)
    assert {plugin.name: plugin.enforces for plugin in found.plugins} == {"Calico": True, "Flannel": False}
    assert found.enforcement is ENFORCED
    assert "Flannel v0.24.4 is there too and enforces nothing" in found.reasons


def test_rke2_canal_names_its_hardened_images() -> None:
    canal = agent(
        "kube-system",
        "rke2-canal",
        "rancher/hardened-calico:v3.28.1-build20240806",
        "rancher/hardened-flannel:v0.25.5-build20240801",
    )
    assert report(canal).enforcement is ENFORCED


def test_flannel_with_the_policy_container_enforces_through_it() -> None:
    found = report(flannel("registry.k8s.io/networking/kube-network-policies:v0.7.0"))
    assert [plugin.name for plugin in found.enforcers] == ["kube-network-policies"]
    assert found.enforcement is ENFORCED


def test_vpc_cni_without_policies_beside_calico_counts_calico() -> None:
    found = report(vpc_cni(), calico())
    assert found.enforcement is ENFORCED
    assert [plugin.name for plugin in found.enforcers] == ["Calico"]


def test_two_enforcers_at_once_are_both_named_and_neither_is_counted() -> None:
    found = report(calico(), kube_router())
    assert found.enforcement is NOT_SHOWN
    assert "Calico v3.29.3 and kube-router v2.4.1 are both there" in found.reasons[0]


def test_a_second_plugin_in_an_unknown_mode_is_a_second_enforcer() -> None:
    assert report(calico(), cilium()).enforcement is NOT_SHOWN


# -- nothing, or only traces ------------------------------------------------------------------------------------------


def test_nothing_recognised_is_not_shown_and_never_not_enforced() -> None:
    found = report()
    assert (found.plugins, found.enforcement) == ((), NOT_SHOWN)
    assert found.reasons == ("no network plugin was recognised in the collected objects",)


def test_one_custom_resource_definition_names_nothing() -> None:
    assert report(crd("felixconfigurations.crd.projectcalico.org")).plugins == ()


def test_what_calico_left_behind_is_a_trace_and_enforces_nothing() -> None:
    annotated = [node(name, annotations={"projectcalico.org/IPv4Address": "10.0.0.1/24"}) for name in NODES]
    found = report(crd("felixconfigurations.crd.projectcalico.org"), on=annotated)
    assert (the_plugin(found).found, the_plugin(found).enforces) == (False, None)
    assert found.enforcement is NOT_SHOWN
    assert found.reasons[0] == "no agent is running"


def test_traces_of_another_plugin_do_not_hide_the_running_one() -> None:
    annotated = [node(name, annotations={"projectcalico.org/IPv4Address": "10.0.0.1/24"}) for name in NODES]
    found = report(crd("felixconfigurations.crd.projectcalico.org"), kindnet("v20241212-9f82dd49"), on=annotated)
    assert found.enforcement is ENFORCED
    assert any("traces of Calico without a running agent" in reason for reason in found.reasons)


def test_an_application_image_with_calico_in_its_name_is_no_sign() -> None:
    assert report(agent("shop", "calico-tools", "registry.example/team/my-calico-tools:v3.29.3")).plugins == ()


def test_a_wire_with_traces_of_an_enforcer_is_not_shown() -> None:
    annotated = [node(name, annotations={"projectcalico.org/IPv4Address": "10.0.0.1/24"}) for name in NODES]
    found = report(flannel(), crd("felixconfigurations.crd.projectcalico.org"), on=annotated)
    assert found.enforcement is NOT_SHOWN


# -- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v2.6.12", "v3.40.0", "master", "v3.30.0-0.dev-118-gd3e6", "v3.29.0-rc.1"])
def test_a_version_that_the_data_does_not_speak_of_enforces_nothing_that_is_known(version: str) -> None:
    found = report(calico(version))
    assert set(the_plugin(found).features.values()) == {Support.UNKNOWN}
    assert found.enforcement is NOT_SHOWN
    assert version in found.reasons[0]


@pytest.mark.parametrize("image", ["docker.io/calico/node", "docker.io/calico/node@sha256:0f3a"])
def test_an_image_without_a_tag_shows_no_version(image: str) -> None:
    found = report(agent("kube-system", "calico-node", image))
    assert (the_plugin(found).version, found.enforcement) == ("", NOT_SHOWN)


def test_while_an_upgrade_rolls_the_weakest_version_counts() -> None:
    old, new = "docker.io/kindest/kindnetd:v20240202-8f1494ea", "docker.io/kindest/kindnetd:v20241212-9f82dd49"
    rolling = [
        pod("kube-system", f"kindnet-{name}", name, images=(image,), host_network=True, owner=("DaemonSet", "kindnet"))
        for name, image in zip(NODES, (old, new, new), strict=True)
    ]
    found = report(rolling)
    assert the_plugin(found).version == "v20240202-8f1494ea, v20241212-9f82dd49"
    assert found.enforcement is NOT_ENFORCED


def test_one_agent_by_digest_among_tagged_ones_leaves_the_version_unknown() -> None:
    tagged, by_digest = "docker.io/calico/node:v3.29.3", "docker.io/calico/node@sha256:0f3a"
    mixed = [
        pod(
            "kube-system",
            f"calico-node-{name}",
            name,
            images=(image,),
            host_network=True,
            owner=("DaemonSet", "calico-node"),
        )
        for name, image in zip(NODES, (tagged, tagged, by_digest), strict=True)
    ]
    found = report(mixed)
    assert the_plugin(found).version == "one not visible, v3.29.3"
    assert found.enforcement is NOT_SHOWN


# -- nodes ------------------------------------------------------------------------------------------------------------


def test_an_agent_that_is_not_ready_makes_enforcement_partial_and_names_the_node() -> None:
    found = report(calico(unready=("node-b",)))
    assert (found.enforcement, found.unhealthy_nodes) == (PARTIAL, ("node-b",))
    assert "no ready agent on node-b" in found.reasons


def test_a_node_without_an_agent_makes_enforcement_partial() -> None:
    found = report(calico(on=("node-a", "node-c")))
    assert (found.enforcement, found.unhealthy_nodes) == (PARTIAL, ("node-b",))


def test_no_ready_agent_at_all_is_not_shown() -> None:
    assert report(calico(unready=NODES)).enforcement is NOT_SHOWN


def test_a_node_that_only_pods_name_needs_an_agent_too() -> None:
    found = detect(read(nodes("node-a", "node-b"), application(), calico(on=("node-a", "node-b"))))
    assert (found.enforcement, found.unhealthy_nodes) == (PARTIAL, ("node-c",))


def test_a_node_that_is_down_and_empty_needs_no_agent() -> None:
    down = [*nodes("node-a", "node-b"), node("node-c", ready=False)]
    found = detect(read(down, application(on=("node-a", "node-b")), calico(on=("node-a", "node-b"))))
    assert found.enforcement is ENFORCED


def test_pods_on_windows_are_beyond_the_agents() -> None:
    mixed = [*nodes("node-a", "node-b"), node("node-c", system="windows")]
    found = report(calico(on=("node-a", "node-b")), on=mixed)
    assert found.enforcement is PARTIAL
    assert any("node-c" in reason for reason in found.reasons)
    assert any(text.startswith("Node node-c: Windows") for text in found.uncovered)


def test_pods_on_fargate_are_beyond_the_agents() -> None:
    fargate = node("node-c", labels={"eks.amazonaws.com/compute-type": "fargate"})
    found = report(vpc_cni(policy_agent="true"), on=[*nodes("node-a", "node-b"), fargate])
    assert found.enforcement is PARTIAL


def test_without_node_objects_health_is_not_visible() -> None:
    found = report(calico(), on=())
    assert found.enforcement is NOT_SHOWN
    assert the_plugin(found).agent_desired is None


def test_manifests_of_a_plugin_without_its_pods_show_no_health() -> None:
    found = detect(read(nodes(), calico(pods=False)))
    assert found.enforcement is NOT_SHOWN


def test_flags_that_were_not_read_do_not_count_as_on() -> None:
    found = report(kube_router(object_read=False))
    assert found.enforcement is NOT_SHOWN
    assert "were not read" in found.reasons[0]


def test_pods_with_a_further_interface_are_named_by_their_workload() -> None:
    attached = pod("shop", "probe", "node-a", ip="10.244.0.99")
    attached["metadata"]["annotations"] = {"k8s.v1.cni.cncf.io/networks": "storage"}
    found = report(calico(), attached)
    assert (
        "Pod shop/probe: 1 pod with a further network interface (Multus), where policies hold on the first only"
        in found.uncovered
    )


def test_host_network_pods_and_second_interfaces_are_not_covered() -> None:
    own = pod("shop", "sniffer", "node-a", host_network=True)
    found = report(calico(), own, crd("network-attachment-definitions.k8s.cni.cncf.io"))
    assert "Pod shop/sniffer: 1 hostNetwork pod, which no NetworkPolicy selects" in found.uncovered
    assert any("Multus" in text for text in found.uncovered)


# -- address families -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "verdict"), [("v2.4.1", ENFORCED), ("v1.6.0", NOT_SHOWN)])
def test_pods_with_ipv6_need_a_version_that_polices_ipv6(version: str, verdict: Enforcement) -> None:
    pods: list[Any] = application(address="fd00::", start=20)
    found = detect(read(nodes(), pods, kube_router(version)))
    assert found.enforcement is verdict
