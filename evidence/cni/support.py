"""What the detected enforcers make of policies: fields of a NetworkPolicy that they ignore, or of which it is not known whether they heed
them, and kinds of policies that are nobody's here."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from evidence.cluster.calico import CalicoPolicy
from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import (
    Cluster,
    Direction,
    IpBlock,
    NetworkPolicy,
    OtherPolicy,
    PodPeer,
    PolicyPort,
    Protocol,
)
from evidence.cluster.plugins import DEFINED_BY, POLICY_ENDPOINT
from evidence.cluster.policies import GROUP as ADMIN_GROUP
from evidence.cluster.policies import ClusterPolicy, ClusterPolicyPort, NetworksPeer
from evidence.cluster.selectors import LabelSelector
from evidence.cni.capabilities import PluginSpec, plugin_specs
from evidence.cni.model import CniReport, DetectedPlugin, Support

_SYSTEM_LABEL = re.compile(
    r"(?:io\.)?kubernetes\.io/|statefulset\.kubernetes\.io/pod-name$|apps\.kubernetes\.io/pod-index$|batch\.kubernetes\.io/|[^/]*beta\.kubernetes\.io/"
    r"|k8s\.io/|pod-template-(?:generation|hash)$|controller-(?:revision-hash|uid)$|annotation|etcd_node$"
)


_BY_ENDPOINTS = "aws-vpc-cni"
_IN_WORDS = {  # of features whose names are this program's own
    "ipBlockExcept": "exceptions of an ipBlock",
    "ipBlockPods": "an ipBlock over addresses of pods",
    "ipv6": "IPv6",
    "namedPorts": "named ports",
    "sctp": "SCTP",
    "systemLabels": "labels that controllers put on pods",
}


@cache
def _specs() -> Mapping[str, PluginSpec]:
    return {spec.id: spec for spec in plugin_specs()}


@cache
def _makers() -> Mapping[tuple[str, str], str]:
    """Who makes a policy kind: the names of the plugins that run it."""
    kinds = sorted({kind for spec in plugin_specs() for kind in spec.own_kinds})
    return {kind: " or ".join(spec.name for spec in plugin_specs() if kind in spec.own_kinds) for kind in kinds}


def runs(plugin: DetectedPlugin, group: str, kind: str) -> bool:
    """Whether the plugin runs policies of this kind of some plugin's maker."""
    spec = _specs().get(plugin.id)
    return spec is not None and (group, kind) in spec.own_kinds and kind not in plugin.ignored_kinds


def _may_run(plugin: DetectedPlugin, group: str, kind: str) -> bool:
    """Whether it runs them when that is switched on, which cannot be seen."""
    spec = _specs().get(plugin.id)
    return spec is not None and (group, kind) in spec.optional_kinds


def heeded(report: CniReport, cluster: Cluster) -> Cluster:
    """The cluster in which policies count only if a plugin here heeds their kind; others are named as not evaluated.

    Where no enforcer was recognised, nothing is known against any of them.
    """
    named = [
        OtherPolicy(policy.key, policy.api_version, policy.origin)
        for policy, _ in _not_run(report, cluster)
        if not isinstance(policy, OtherPolicy)
    ]
    if not named:
        return cluster
    keys = {policy.key for policy in named}
    calico = cluster.calico
    if calico is not None and keys & {policy.key for policy in calico.policies}:
        calico = None  # its kinds have one maker, which runs all of them or none
    return replace(
        cluster,
        cluster_policies=tuple(policy for policy in cluster.cluster_policies if policy.key not in keys),
        cilium_policies=tuple(policy for policy in cluster.cilium_policies if policy.key not in keys),
        calico=calico,
        other_policies=tuple(sorted((*cluster.other_policies, *named), key=lambda policy: policy.key)),
    )


VendorPolicy = CiliumPolicy | CalicoPolicy | OtherPolicy | ClusterPolicy


def dead_policies(report: CniReport, cluster: Cluster) -> tuple[tuple[VendorPolicy, str], ...]:
    """Policies of kinds that nothing here runs, with whose kind it is ("" for Kubernetes' own), by their keys. They can be stored, and do nothing.

    Kinds whose maker is unknown (a mesh's, another product's) are nobody's business here. None when no enforcer was recognised.
    """
    return tuple(
        (policy, maker)
        for policy, maker in _not_run(report, cluster)
        if not any(_may_run(plugin, policy.key.group, policy.key.kind) for plugin in report.enforcers)
    )


def _not_run(report: CniReport, cluster: Cluster) -> tuple[tuple[VendorPolicy, str], ...]:
    """As `dead_policies`, with those that an enforcer may run."""
    if not report.enforcers:
        return ()
    policies: tuple[VendorPolicy, ...] = (
        *cluster.calico_policies,
        *cluster.cilium_policies,
        *cluster.cluster_policies,
        *cluster.other_policies,
    )
    found: list[tuple[VendorPolicy, str]] = []
    for policy in policies:
        group, kind = policy.key.group, policy.key.kind
        if group == ADMIN_GROUP:
            if all(plugin.features.get(kind, Support.UNKNOWN) is Support.NONE for plugin in report.enforcers):
                found.append((policy, ""))
            continue
        maker = _makers().get((group, kind))
        if maker and not any(runs(plugin, group, kind) for plugin in report.enforcers):
            found.append((policy, maker))
    return tuple(sorted(found, key=lambda pair: pair[0].key))


def not_handed_over(report: CniReport, cluster: Cluster) -> tuple[NetworkPolicy, ...]:
    """Policies of which the Amazon VPC CNI's controller handed nothing to the agents, as far as PolicyEndpoints were read whole.

    The one check by effect that needs no packet: agents know only of what a PolicyEndpoint carries.
    """
    _, kind = POLICY_ENDPOINT
    whole = DEFINED_BY[POLICY_ENDPOINT] in cluster.crds and kind not in cluster.unread_kinds
    if not whole or not any(plugin.id == _BY_ENDPOINTS for plugin in report.enforcers):
        return ()
    return tuple(policy for policy in cluster.policies if (policy.namespace, policy.name) not in cluster.handed_over)


@dataclass(frozen=True, slots=True)
class UnsupportedField:
    """`path` is the field within the policy, such as "spec.egress[0].ports[1].endPort"; `support` is never FULL."""

    path: str
    feature: str
    plugin: str
    support: Support

    def __str__(self) -> str:
        match self.support:
            case Support.NONE:
                what = "does not heed"
            case Support.PARTIAL:
                what = "only partly heeds"
            case Support.OPTIONAL:
                what = "heeds, only when so configured,"
            case _:
                what = "is not known to heed"
        return f"{self.plugin} {what} {_IN_WORDS.get(self.feature, self.feature)} ({self.path})"


def unsupported_features(report: CniReport, policy: NetworkPolicy | ClusterPolicy) -> tuple[UnsupportedField, ...]:
    """In the order of the policy's fields, for each running enforcer; empty when none is recognised (that is a finding of its own)."""
    used = tuple(
        _features_used(report, policy) if isinstance(policy, NetworkPolicy) else _admin_features(report, policy)
    )
    return tuple(
        UnsupportedField(path, feature, plugin.title, plugin.features[feature])
        for plugin in report.enforcers
        for path, feature in used
        if _falls_short(plugin, feature)
    )


def _falls_short(plugin: DetectedPlugin, feature: str) -> bool:
    return plugin.features[feature] is not Support.FULL


def _features_used(report: CniReport, policy: NetworkPolicy) -> Iterator[tuple[str, str]]:
    yield from _selector_features("spec.podSelector", policy.pod_selector)
    for direction, peers_field in ((Direction.INGRESS, "from"), (Direction.EGRESS, "to")):
        field = direction.value.lower()
        if direction in policy.policy_types:
            yield f"spec.{field}", field
        for number, rule in enumerate(policy.rules(direction)):
            where = f"spec.{field}[{number}]"
            for index, peer in enumerate(rule.peers):
                at = f"{where}.{peers_field}[{index}]"
                if isinstance(peer, IpBlock):
                    yield from _block_features(report, f"{at}.ipBlock", peer)
                else:
                    yield from _selector_features(f"{at}.podSelector", peer.pod_selector)
            for index, port in enumerate(rule.ports):
                yield from _port_features(f"{where}.ports[{index}]", port)


def _admin_features(report: CniReport, policy: ClusterPolicy) -> Iterator[tuple[str, str]]:
    """Of a cluster-wide policy, whose fields have other names in each version: the paths end at the rule's peer or port."""
    if isinstance(policy.subject, PodPeer):
        yield from _selector_features("spec.subject", policy.subject.pod_selector)
    for direction in Direction:
        for number, rule in enumerate(policy.rules(direction)):
            where = f"spec.{direction.value.lower()}[{number}]"
            for peer in rule.peers:
                if isinstance(peer, PodPeer):
                    yield from _selector_features(where, peer.pod_selector)
                elif isinstance(peer, NetworksPeer):
                    for network in peer.networks:
                        yield from _block_features(report, where, IpBlock(network))
            for port in rule.ports:
                if isinstance(port, ClusterPolicyPort):
                    yield from _port_features(where, port)


def _selector_features(where: str, selector: LabelSelector | None) -> Iterator[tuple[str, str]]:
    """Labels that controllers and nodes put on pods are left out of what some plugins know a pod by."""
    if selector is not None and any(_SYSTEM_LABEL.match(key) for key in selector.keys):
        yield where, "systemLabels"


def _block_features(report: CniReport, where: str, block: IpBlock) -> Iterator[tuple[str, str]]:
    yield f"{where}.cidr", "ipBlock"
    if block.cidr.version == 6:
        yield f"{where}.cidr", "ipv6"
    # a block over the whole family means "the outside"; whether it also covers pods is nobody's intent
    if block.cidr.prefixlen and any(
        network.version == block.cidr.version and block.cidr.overlaps(network) for network in report.pod_networks
    ):
        yield f"{where}.cidr", "ipBlockPods"
    if block.excepts:
        yield f"{where}.except", "ipBlockExcept"


def _port_features(where: str, port: PolicyPort | ClusterPolicyPort) -> Iterator[tuple[str, str]]:
    if port.protocol is Protocol.SCTP:
        yield f"{where}.protocol", "sctp"
    if isinstance(port.port, str):
        yield f"{where}.port", "namedPorts"
    if port.end_port is not None:
        yield f"{where}.endPort", "endPort"
