"""On which nodes enforcement must run, on which its agent is ready, and what no agent covers."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from evidence.cluster.model import Cluster, Node, Pod
from evidence.cluster.objects import ObjectKey

_FARGATE = ("eks.amazonaws.com/compute-type", "fargate")
_VIRTUAL = ("type", "virtual-kubelet")
FURTHER_NETWORKS = "k8s.v1.cni.cncf.io/networks"
_SECOND_NETWORK = "network-attachment-definitions.k8s.cni.cncf.io"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Node names: `needed` must have a ready agent, `ready` have one. `shown` is False when nodes or pods were not read."""

    needed: tuple[str, ...]
    ready: tuple[str, ...]
    shown: bool

    @property
    def unready(self) -> tuple[str, ...]:
        return tuple(name for name in self.needed if name not in self.ready)


def nodes_with_pods(cluster: Cluster) -> frozenset[str]:
    """Nodes that carry at least one pod to which policies could apply."""
    return frozenset(pod.node for pod in cluster.pods if pod.node and _subject_to_policy(pod))


def nodes_needing_agent(cluster: Cluster) -> tuple[Node, ...]:
    """Every node that is ready or may be, and every other node that still carries pods to which policies apply."""
    busy = nodes_with_pods(cluster)
    return tuple(n for n in cluster.nodes if _beyond_agents(n) == "" and (n.ready is not False or n.name in busy))


def coverage(cluster: Cluster, agents: Iterable[ObjectKey]) -> Coverage:
    """Where the agents' pods are Running and Ready."""
    keys = frozenset(agents)
    ready = {p.node for p in cluster.pods if p.workload in keys and p.phase == "Running" and p.ready and not p.template}
    return _coverage(cluster, ready, shown=pods_were_read(cluster))


def embedded_coverage(cluster: Cluster) -> Coverage:
    """For code inside the node's own process: it is as ready as the node. Pods must be read all the same: another enforcer may be among them."""
    return _coverage(cluster, {node.name for node in cluster.nodes if node.ready}, shown=pods_were_read(cluster))


def _coverage(cluster: Cluster, ready: Collection[str], *, shown: bool) -> Coverage:
    """Nodes that need an agent, those included that pods name and no Node object stands for (a dump that left some out)."""
    nodes = nodes_needing_agent(cluster)
    unlisted = nodes_with_pods(cluster) - {node.name for node in cluster.nodes}
    needed = (*(node.name for node in nodes), *sorted(unlisted))
    return Coverage(
        needed=needed,
        ready=tuple(name for name in needed if name in ready),
        shown=shown and bool(nodes) and "Node" not in cluster.unread_kinds,
    )


def pods_were_read(cluster: Cluster) -> bool:
    """False for manifests, which stand for pods without showing any."""
    return "Pod" not in cluster.unread_kinds and any(not pod.template for pod in cluster.pods)


def beyond_agents(cluster: Cluster) -> tuple[str, ...]:
    """Nodes that carry pods and on which no agent of any plugin known here can be shown to run (Windows, Fargate, virtual)."""
    busy = nodes_with_pods(cluster)
    return tuple(node.name for node in cluster.nodes if _beyond_agents(node) and node.name in busy)


def uncovered(cluster: Cluster) -> tuple[str, ...]:
    """What no enforcer covers, whatever its state: one sentence each, nodes first."""
    lines = [f"Node {node.name}: {reason}" for node in cluster.nodes if (reason := _beyond_agents(node))]
    host_network = Counter(p.workload for p in cluster.pods if p.host_network and not p.finished)
    lines += [
        f"{key}: {count} hostNetwork {'pod' if count == 1 else 'pods'}, which no NetworkPolicy selects"
        for key, count in sorted(host_network.items())
    ]
    further = Counter(p.workload for p in cluster.pods if not p.finished and has_further_interfaces(p))
    lines += [
        f"{key}: {count} {'pod' if count == 1 else 'pods'} with a further network interface (Multus), where policies hold on the first only"
        for key, count in sorted(further.items())
    ]
    if _SECOND_NETWORK in cluster.crds and not further:
        lines.append(
            "pods may be given further network interfaces (Multus): policies hold on the first only; no pod has one now"
        )
    return tuple(lines)


def has_further_interfaces(pod: Pod) -> bool:
    """Whether the pod is attached to networks beside the cluster's own (https://github.com/k8snetworkplumbingwg/multi-net-spec)."""
    metadata = pod.origin.body.get("metadata") if pod.origin and not pod.template else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and bool(annotations.get(FURTHER_NETWORKS))


def _subject_to_policy(pod: Pod) -> bool:
    return not (pod.host_network or pod.finished or pod.template)


def _beyond_agents(node: Node) -> str:
    """Why no agent pod can be expected on a node; "" where one can."""
    if node.operating_system == "windows":
        return "Windows, where support of policies differs by plugin and is not assessed"
    if node.labels.get(_FARGATE[0]) == _FARGATE[1]:
        return "Fargate, where no node agent runs"
    if node.labels.get(_VIRTUAL[0]) == _VIRTUAL[1]:
        return "a virtual node, where no node agent runs"
    return ""
