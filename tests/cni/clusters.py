"""Small clusters as `kubectl get … -o json` shows them, with just what points at a network plugin. They go through the real reader.

Names, images and arguments are those of the plugins' own installation manifests.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evidence.cluster.model import Cluster
from evidence.cluster.parse import build_cluster
from evidence.collect.files import collect_files

Body = dict[str, Any]
NODES = ("node-a", "node-b", "node-c")


def read(*objects: Body | Iterable[Body]) -> Cluster:
    """The cluster that the objects make, read as a dump is."""
    items: list[Body] = []
    for given in objects:
        items += [given] if isinstance(given, dict) else list(given)
    dump = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    return build_cluster(collect_files(["-"], stdin=io.BytesIO(dump), keep_going=False))


def node(
    name: str,
    *,
    ready: bool = True,
    kubelet: str = "v1.31.4",
    system: str = "linux",
    provider: str = "",
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/os": system, **(labels or {})}, "annotations": dict(annotations or {})},
        "spec": {"podCIDRs": ["10.244.0.0/24"], "providerID": provider},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "nodeInfo": {"kubeletVersion": kubelet, "operatingSystem": system},
        },
    }  # fmt: skip


def nodes(*names: str, **more: Any) -> list[Body]:
    return [node(name, **more) for name in names or NODES]


def application(on: Sequence[str] = NODES, *, address: str = "10.244.0.", start: int = 20) -> list[Body]:
    """One ordinary pod on each node: something to which policies apply."""
    return [pod("shop", f"web-{name}", name, ip=f"{address}{start + index}") for index, name in enumerate(on)]


def pod(
    namespace: str,
    name: str,
    on: str,
    *,
    ip: str = "",
    images: Sequence[str] = ("registry.example/web:1",),
    host_network: bool = False,
    ready: bool = True,
    owner: tuple[str, str] | None = None,
) -> Body:
    meta: Body = {"namespace": namespace, "name": name, "labels": {"app": name}}
    if owner:
        meta["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": "1", "controller": True}
        ]
    containers = [{"name": f"c{index}", "image": image} for index, image in enumerate(images)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": on, "hostNetwork": host_network, "containers": containers},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "podIPs": [{"ip": ip}] if ip else [],
        },
    }


def agent(
    namespace: str,
    name: str,
    *images: str,
    arguments: Sequence[str] = (),
    on: Sequence[str] = NODES,
    unready: Sequence[str] = (),
    pods: bool = True,
    object_read: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Body]:
    """A DaemonSet and its pods. `pods` or `object_read` False: only the other of the two is in the dump."""
    containers: list[Body] = [{"name": f"c{index}", "image": image} for index, image in enumerate(images)]
    if arguments:
        containers[-1]["args"] = list(arguments)
    if environment:
        containers[0]["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    labels = {"k8s-app": name}
    if object_read:
        yield {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"hostNetwork": True, "containers": containers}},
            },
            "status": {"desiredNumberScheduled": len(on), "numberReady": len(on) - len(unready)},
        }
    if pods:
        for node_name in on:
            ready = node_name not in unready
            yield pod(
                namespace, f"{name}-{node_name}", node_name, images=images, host_network=True, ready=ready, owner=("DaemonSet", name)
            )  # fmt: skip


def deployment(namespace: str, name: str, image: str, *arguments: str) -> Body:
    container: Body = {"name": "main", "image": image, **({"args": list(arguments)} if arguments else {})}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"hostNetwork": True, "containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


def crd(name: str) -> Body:
    plural, group = name.split(".", 1)
    spec = {"group": group, "names": {"kind": plural.capitalize(), "plural": plural}, "scope": "Cluster"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}, "spec": spec}  # fmt: skip


def calico(version: str = "v3.29.3", **more: Any) -> list[Body]:
    return [
        *agent("kube-system", "calico-node", f"docker.io/calico/node:{version}", **more),
        deployment("kube-system", "calico-kube-controllers", f"docker.io/calico/kube-controllers:{version}"),
        crd("felixconfigurations.crd.projectcalico.org"),
    ]


def config_map(name: str, namespace: str = "kube-system", **data: str) -> Body:
    """Keys are written with underscores for their dashes."""
    keys = {key if key[0].isupper() else key.replace("_", "-"): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": keys}


def cilium(version: str = "v1.16.5", *arguments: str, config: Body | None = None, **more: Any) -> list[Body]:
    """`config` is its ConfigMap, None where that was not read."""
    return [
        *agent("kube-system", "cilium", f"quay.io/cilium/cilium:{version}", arguments=("--config-dir=/tmp/cilium/config-map", *arguments), **more),
        deployment("kube-system", "cilium-operator", f"quay.io/cilium/operator-generic:{version}"),
        crd("ciliumnetworkpolicies.cilium.io"),
        *([config] if config else []),
    ]  # fmt: skip


def cilium_config(**data: str) -> Body:
    """As its chart writes it, with what enforcement hangs on, and more."""
    usual = {
        "enable_policy": "default",
        "policy_audit_mode": "false",
        "enable_k8s_networkpolicy": "true",
        "enable_ipv4": "true",
        "debug": "false",
        "cluster_name": "prod",
    }
    return config_map("cilium-config", **usual | data)


def flannel(*more_images: str) -> list[Body]:
    return list(agent("kube-flannel", "kube-flannel-ds", "ghcr.io/flannel-io/flannel:v0.26.1", *more_images))


def kube_router(version: str = "v2.4.1", *, firewall: str = "true", **more: Any) -> list[Body]:
    arguments = ("--run-router=true", f"--run-firewall={firewall}", "--run-service-proxy=false")
    image = f"docker.io/cloudnativelabs/kube-router:{version}"
    return list(agent("kube-system", "kube-router", image, arguments=arguments, **more))


def weave(*, controller: bool = True) -> list[Body]:
    images = ["weaveworks/weave-kube:2.8.1", *(["weaveworks/weave-npc:2.8.1"] if controller else [])]
    return list(agent("kube-system", "weave-net", *images))


def antrea(version: str = "v2.2.0") -> list[Body]:
    return [
        *agent("kube-system", "antrea-agent", f"antrea/antrea-agent-ubuntu:{version}", arguments=("--config", "/etc/antrea/antrea-agent.conf")),
        deployment("kube-system", "antrea-controller", f"antrea/antrea-controller-ubuntu:{version}"),
        crd("antreaagentinfos.crd.antrea.io"),
    ]  # fmt: skip


def vpc_cni(*, policy_agent: str | None = None, controller: str | None = "true", **more: Any) -> list[Body]:
    """`policy_agent` is the value of its flag, None for a DaemonSet without that container; `controller` that of the ConfigMap's switch, None
    for a ConfigMap that was not read."""
    registry = "602401143452.dkr.ecr.eu-west-1.amazonaws.com"
    images = [f"{registry}/amazon-k8s-cni:v1.19.2-eksbuild.5"]
    arguments: list[str] = []
    if policy_agent is not None:
        images.append(f"{registry}/amazon/aws-network-policy-agent:v1.1.6-eksbuild.2")
        arguments = [f"--enable-network-policy={policy_agent}", "--enable-ipv6=false", "--metrics-bind-addr=:8162"]
    return [
        *agent("kube-system", "aws-node", *images, arguments=arguments, **more),
        crd("eniconfigs.crd.k8s.amazonaws.com"),
        *([config_map("amazon-vpc-cni", enable_network_policy_controller=controller)] if controller else []),
    ]


def kindnet(version: str) -> list[Body]:
    return list(agent("kube-system", "kindnet", f"docker.io/kindest/kindnetd:{version}"))


def k3s_nodes(*server_arguments: str, version: str = "v1.31.4+k3s1", annotated: bool = True) -> list[Body]:
    """One server and two agents, as k3s annotates them."""
    server = json.dumps(["server", *server_arguments]) if annotated else ""
    worker = json.dumps(["agent"]) if annotated else ""
    annotations = {"flannel.alpha.coreos.com/backend-type": "vxlan"}
    return [
        node(name, kubelet=version, annotations=annotations | ({"k3s.io/node-args": words} if words else {}))
        for name, words in zip(NODES, (server, worker, worker), strict=True)
    ]
