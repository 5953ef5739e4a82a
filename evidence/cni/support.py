"""What the detected enforcers make of policies: fields of a NetworkPolicy that they ignore, or of which it is not known whether they heed
them, and kinds of policies that are nobody's here."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from evidence.cluster.calico import CalicoPolicy
from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import Cluster, Direction, IpBlock, NetworkPolicy, OtherPolicy, PolicyPort, Protocol
from evidence.cni.model import CniReport, DetectedPlugin, Support

_CALICO = "calico"  # the plugin that heeds Calico's policies, beside whichever other connects the pods
_CILIUM = "cilium"  # the plugin that heeds CiliumNetworkPolicy; providers' builds of it do not


def heeded(report: CniReport, cluster: Cluster) -> Cluster:
    """The cluster in which policies count only if a plugin here heeds their kind; others are named as not evaluated.

    Where no enforcer was recognised, nothing is known against any of them.
    """
    plugins = {plugin.id for plugin in report.enforcers}
    foreign: list[CiliumPolicy | CalicoPolicy] = []
    if plugins and _CILIUM not in plugins:
        foreign += cluster.cilium_policies
    if plugins and _CALICO not in plugins:
        foreign += cluster.calico_policies
    if not foreign:
        return cluster
    named = [OtherPolicy(policy.key, policy.api_version, policy.origin) for policy in foreign]
    return replace(
        cluster,
        cilium_policies=cluster.cilium_policies if _CILIUM in plugins else (),
        calico=cluster.calico if _CALICO in plugins else None,
        other_policies=tuple(sorted((*cluster.other_policies, *named), key=lambda policy: policy.key)),
    )


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
        return f"{self.plugin} {what} {self.feature} ({self.path})"


def unsupported_features(report: CniReport, policy: NetworkPolicy) -> tuple[UnsupportedField, ...]:
    """In the order of the policy's fields, for each running enforcer; empty when none is recognised (that is a finding of its own)."""
    return tuple(
        UnsupportedField(path, feature, plugin.title, plugin.features[feature])
        for plugin in report.enforcers
        for path, feature in _features_used(report, policy)
        if _falls_short(plugin, feature)
    )


def _falls_short(plugin: DetectedPlugin, feature: str) -> bool:
    return plugin.features[feature] is not Support.FULL


def _features_used(report: CniReport, policy: NetworkPolicy) -> Iterator[tuple[str, str]]:
    for direction, peers_field in ((Direction.INGRESS, "from"), (Direction.EGRESS, "to")):
        field = direction.value.lower()
        if direction in policy.policy_types:
            yield f"spec.{field}", field
        for number, rule in enumerate(policy.rules(direction)):
            where = f"spec.{field}[{number}]"
            for index, peer in enumerate(rule.peers):
                if isinstance(peer, IpBlock):
                    yield from _block_features(report, f"{where}.{peers_field}[{index}].ipBlock", peer)
            for index, port in enumerate(rule.ports):
                yield from _port_features(f"{where}.ports[{index}]", port)


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


def _port_features(where: str, port: PolicyPort) -> Iterator[tuple[str, str]]:
    if port.protocol is Protocol.SCTP:
        yield f"{where}.protocol", "sctp"
    if isinstance(port.port, str):
        yield f"{where}.port", "namedPorts"
    if port.end_port is not None:
        yield f"{where}.endPort", "endPort"
