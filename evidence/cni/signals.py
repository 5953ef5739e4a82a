"""What in a cluster points at a plugin: its agents, and the other signs that `capabilities.yaml` lists.

A name counts only in the namespaces where the plugin is installed, an image only by its whole repository name: an application's
own image called my-calico-tools is no sign of Calico.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from evidence.cluster.model import Cluster
from evidence.cluster.objects import ObjectKey
from evidence.cni.capabilities import AgentSpec, PluginSpec, SignalSpec
from evidence.cni.model import Signal, Weight
from evidence.cni.versions import split_image


@dataclass(frozen=True, slots=True)
class Agent:
    """A DaemonSet that carries a plugin's code; `images` are those of its running pods, else of its template."""

    key: ObjectKey
    images: frozenset[str]


def daemon_sets(cluster: Cluster) -> tuple[Agent, ...]:
    """Every DaemonSet, known from its object or only from its pods (when only pods were read)."""
    templates = {w.key: frozenset(w.images) for w in cluster.workloads if w.key.kind == "DaemonSet"}
    running: dict[ObjectKey, set[str]] = {}
    for pod in cluster.pods:
        if pod.workload.kind == "DaemonSet" and not pod.finished and not pod.template:
            running.setdefault(pod.workload, set()).update(pod.images)
    images = templates | {key: frozenset(found) for key, found in running.items() if found}
    return tuple(Agent(key, images.get(key, frozenset())) for key in sorted(templates.keys() | running.keys()))


def agents(spec: AgentSpec, all_daemon_sets: Iterable[Agent]) -> tuple[tuple[Agent, Signal], ...]:
    """The plugin's agents, each with its strongest sign: those known by name, or else by image.

    Other DaemonSets of the same plugin may use the agent's image (Kube-OVN's do), so that a name, where one is found, decides.
    """
    named, by_image = [], []
    for agent in all_daemon_sets:
        if agent.key.name in spec.excluded:
            continue
        where = f"DaemonSet {agent.key.namespace}/{agent.key.name}"
        home = agent.key.namespace in spec.namespaces
        image = next((i for i in sorted(agent.images) if spec.images and spec.images.search(split_image(i)[0])), None)
        if _has_image(agent, spec.without_image) or (spec.with_image and not _has_image(agent, spec.with_image)):
            continue
        if home and agent.key.name in spec.names:
            named.append((agent, Signal(Weight.STRONG, where)))
        elif image:
            by_image.append((agent, Signal(Weight.STRONG if home else Weight.MEDIUM, f"image {image} of {where}")))
    return tuple(named or by_image)


def _has_image(agent: Agent, pattern: re.Pattern[str] | None) -> bool:
    return pattern is not None and any(pattern.search(split_image(image)[0]) for image in agent.images)


def signals(spec: PluginSpec, cluster: Cluster) -> tuple[Signal, ...]:
    """The signs besides agents, one for each entry that matches, with what it saw."""
    return tuple(
        Signal(signal.weight, seen)
        for signal in spec.signals
        if (seen := next(_seen(signal, cluster), None)) is not None
    )


def _seen(signal: SignalSpec, cluster: Cluster) -> Iterator[str]:
    """What in the cluster matches one entry, in the cluster's own order."""
    hit = signal.match.search
    match signal.look:
        case "workload":
            keys = [
                w.key for w in cluster.workloads if w.key.kind == signal.kind and w.key.namespace in signal.namespaces
            ]
            yield from (f"{key.kind} {key.namespace}/{key.name}" for key in keys if hit(key.name))
        case "crd":
            yield from (f"CustomResourceDefinition {name}" for name in sorted(cluster.crds) if hit(name))
        case "node-annotation":
            yield from (
                f"annotation {key} on Node {n.name}" for n in cluster.nodes for key in n.annotations if hit(key)
            )
        case "kubelet-version":
            yield from (
                f"kubelet {n.kubelet_version} of Node {n.name}" for n in cluster.nodes if hit(n.kubelet_version)
            )
        case "provider-id":
            yield from (f"providerID {n.provider_id} of Node {n.name}" for n in cluster.nodes if hit(n.provider_id))
        case other:
            raise ValueError(f"cni/capabilities.yaml looks at {other!r}, which nobody knows")


def is_named(found: Iterable[Signal]) -> bool:
    """One strong sign or two medium ones name a plugin."""
    weights = [signal.weight for signal in found]
    return Weight.STRONG in weights or weights.count(Weight.MEDIUM) >= 2


def images_by_repository(found: Iterable[Agent]) -> Mapping[str, frozenset[str]]:
    """Tags by repository over all images of the agents."""
    tags: dict[str, set[str]] = {}
    for agent in found:
        for image in agent.images:
            repository, tag = split_image(image)
            tags.setdefault(repository, set()).add(tag)
    return {repository: frozenset(found_tags) for repository, found_tags in sorted(tags.items())}
