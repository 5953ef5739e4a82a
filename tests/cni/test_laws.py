"""Laws over random clusters: what is unknown never counts as enforcing."""

from collections.abc import Iterator
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, Node, Pod, Workload
from evidence.cluster.objects import ObjectKey
from evidence.cluster.plugins import PluginSettings, config_map_values
from evidence.cni.capabilities import plugin_specs
from evidence.cni.detect import Enforcement, Support, detect
from evidence.cni.versions import parse_version, split_image
from tests.builders import namespace

NODES = ("node-a", "node-b", "node-c")
# namespace and name of a DaemonSet -> the plugin it belongs to, its image, a version and the arguments with which it enforces
AGENTS = {
    ("kube-system", "calico-node"): ("calico", "docker.io/calico/node", ":v3.29.3", ()),
    ("kube-system", "cilium"): ("cilium", "quay.io/cilium/cilium", ":v1.16.5", ("--config-dir=/config",)),
    ("kube-system", "kube-router"): ("kube-router", "cloudnativelabs/kube-router", ":v2.4.1", ("--run-firewall=true",)),
    ("kube-system", "antrea-agent"): ("antrea", "antrea/antrea-agent-ubuntu", ":v2.2.0", ()),
    ("kube-system", "kindnet"): ("kindnet", "docker.io/kindest/kindnetd", ":v20241212-9f82dd49", ()),
    ("kube-system", "aws-node"): ("aws-vpc-cni", "x/aws-network-policy-agent", ":v1.1.6", ("--enable-network-policy=true",)),
    ("kube-flannel", "kube-flannel-ds"): ("flannel", "ghcr.io/flannel-io/flannel", ":v0.26.1", ()),
    ("shop", "mirror"): ("calico", "registry.example/calico/node", ":v3.29.3", ()),
}  # fmt: skip
SETTINGS = {
    "cilium-config": {"enable-policy": "default", "policy-audit-mode": "false", "labels": ""},
    "amazon-vpc-cni": {"enable-network-policy-controller": "true"},
}
HARMLESS_TOO = {"enable-policy": ("always",)}
TAGS = (":master", ":v99.0.0", ":v0.1.0", ":v3.29.3", "", "@sha256:0f", ":v3.30.0-0.dev-7")
ARGUMENTS = ((), ("--run-firewall=false",), ("--enable-network-policy=false",), ("--enable-policy=never",))
CRDS = ("felixconfigurations.crd.projectcalico.org", "ciliumnodes.cilium.io", "eniconfigs.crd.k8s.amazonaws.com")


def seldom(draw: st.DrawFn) -> bool:
    """One fault among many that are possible, so that clusters without any and with one come up too."""
    return draw(st.integers(0, 14)) == 7


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Mostly one agent in good order; seldom each thing that may be wrong, missing, unknown or not read."""
    few, many = (0 if seldom(draw) else 1), (3 if seldom(draw) else 1)
    keys = draw(st.lists(st.sampled_from(sorted(AGENTS)), min_size=few, max_size=many, unique=True))
    pods: list[Pod] = []
    workloads: list[Workload] = []
    for key in keys:
        _, image, tag, arguments = AGENTS[key]
        owner = ObjectKey("apps", "DaemonSet", *key)
        if seldom(draw):
            arguments = draw(st.sampled_from(ARGUMENTS))
        if not seldom(draw):
            workloads.append(Workload(owner, None, {}, images=(image + tag,), arguments=arguments))
        pods += [
            Pod(
                namespace=key[0],
                name=f"{key[1]}-{node}",
                labels={},
                workload=owner,
                node=node,
                host_network=True,
                phase="Pending" if seldom(draw) else "Running",
                ready=not seldom(draw),
                images=(image + (draw(st.sampled_from(TAGS)) if seldom(draw) else tag),),
            )
            for node in NODES
            if not seldom(draw)
        ]
    for node in (*NODES, *(("node-d",) if seldom(draw) else ())):
        address = ip_address("fd00::9" if seldom(draw) else "10.244.0.9")
        pods.append(Pod("shop", f"web-{node}", {}, ObjectKey("", "Pod", "shop", f"web-{node}"), (address,), node))
    kubelet = "v1.31.4+k3s1" if draw(st.integers(0, 7)) == 3 else "v1.31.4"
    nodes = tuple(
        Node(
            name=name,
            labels={},
            addresses=(),
            ready=draw(st.sampled_from((False, None))) if seldom(draw) else True,
            operating_system="windows" if seldom(draw) else "linux",
            kubelet_version="" if seldom(draw) else kubelet,
            annotations=draw(
                st.sampled_from(({}, {"k3s.io/node-args": '["server"]'}, {"k3s.io/node-args": "[broken"}))
            ),
        )
        for name in NODES
        if not seldom(draw)
    )
    return Cluster(
        namespaces={name: namespace(name) for name in ("kube-system", "kube-flannel", "shop")},
        pods=tuple(pods),
        workloads=tuple(workloads),
        nodes=nodes,
        crds=frozenset(draw(st.sampled_from(CRDS)) for _ in range(2)) if seldom(draw) else frozenset(CRDS[1:2]),
        plugin_settings=tuple(_settings(draw)),
        unread_kinds=(draw(st.sampled_from(("Pod", "Node", "DaemonSet"))),) if seldom(draw) else (),
    )


def _settings(draw: st.DrawFn) -> Iterator[PluginSettings]:
    """The ConfigMaps, each seldom absent or with a value that is not the good one."""
    for name, good in SETTINGS.items():
        if seldom(draw):
            continue
        values = {
            key: draw(st.sampled_from(["true", "false", "never", "always", "", "odd"])) if seldom(draw) else value
            for key, value in good.items()
        }
        yield PluginSettings(ObjectKey("", "ConfigMap", "kube-system", name), config_map_values(name, values))


@settings(max_examples=1500, deadline=None)
@given(clusters())
def test_enforced_means_one_known_enforcer_with_a_ready_agent_on_every_node_with_pods(cluster: Cluster) -> None:
    report = detect(cluster)
    if report.enforcement is not Enforcement.ENFORCED:
        return
    (enforcer,) = report.enforcers
    spec = next(spec for spec in plugin_specs() if spec.id == enforcer.id)
    for text in enforcer.version.split(", "):
        version = parse_version(text)
        assert version is not None
        assert spec.knows(version)
        assert spec.support("ingress", version) is spec.support("egress", version) is Support.FULL
    if spec.settings.config_map:
        (config,) = (found for found in cluster.plugin_settings if found.key.name == spec.settings.config_map)
        for name, value in config.values.items():
            assert value in {SETTINGS[config.key.name][name], *HARMLESS_TOO.get(name, ())}
    busy = {pod.node for pod in cluster.pods if not pod.host_network and not pod.finished}
    if spec.agent.embedded:
        ready = {node.name for node in cluster.nodes if node.ready}
    else:
        ready = {
            pod.node
            for pod in cluster.pods
            if pod.workload.kind == "DaemonSet"
            and AGENTS[pod.workload.namespace, pod.workload.name][0] == spec.id
            and pod.phase == "Running"
            and pod.ready
        }
    assert busy <= ready
    assert not {"Pod", "Node"} & set(cluster.unread_kinds)


@settings(max_examples=500, deadline=None)
@given(clusters())
def test_not_enforced_means_that_nothing_there_may_enforce(cluster: Cluster) -> None:
    report = detect(cluster)
    if report.enforcement is Enforcement.NOT_ENFORCED:
        assert report.plugins
        assert {plugin.enforces for plugin in report.plugins} == {False}


@settings(max_examples=300, deadline=None)
@given(clusters(), st.randoms(use_true_random=False))
def test_the_order_of_objects_changes_nothing(cluster: Cluster, random: "object") -> None:
    pods, nodes = list(cluster.pods), list(cluster.nodes)
    random.shuffle(pods)  # type: ignore[attr-defined]
    shuffled = Cluster(
        cluster.namespaces,
        tuple(pods),
        (),
        cluster.workloads[::-1],
        tuple(nodes),
        crds=cluster.crds,
        plugin_settings=cluster.plugin_settings[::-1],
        unread_kinds=cluster.unread_kinds,
    )
    assert detect(shuffled) == detect(cluster)


@given(st.text(max_size=40))
def test_no_version_text_and_no_image_reference_breaks_the_reader(text: str) -> None:
    version = parse_version(text)
    assert version is None or all(part >= 0 for part in version)
    repository, tag = split_image(text)
    assert text.partition("@")[0] in (repository, f"{repository}:{tag}")
