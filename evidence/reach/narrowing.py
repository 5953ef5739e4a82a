"""A rule of a NetworkPolicy without one connection: without the peers that match, else without the port, else gone."""

from collections.abc import Iterable, Sequence

from evidence.cluster.model import Direction, IpBlock, IPNetwork, NetworkPolicy, PodPeer, PolicyPort, Protocol, Rule
from evidence.reach.changes import Edit
from evidence.reach.doubts import ports_of
from evidence.reach.explain import contains
from evidence.reach.inserting import number_of
from evidence.reach.ports import FIRST_PORT, LAST_PORT
from evidence.reach.question import Asked, Pair
from evidence.reach.rules import PortMatch
from evidence.reach.tiers import PlacedRule


def narrowed(asked: Asked, placed: PlacedRule, pairs: Sequence[Pair]) -> tuple[Edit, str]:
    policy, number = placed.form.policy, number_of(placed)
    assert isinstance(policy, NetworkPolicy)  # noqa: S101  (the only kind that adds)
    rule = policy.rules(asked.direction)[number]
    peers = _other_peers(asked, placed, rule, pairs)
    ports = _other_ports(asked, rule, pairs)
    name = f"{policy.key} {placed.rule.where}"
    if peers:
        kept: Rule | None = Rule(peers, rule.ports)
        sentence = f"narrow {name}: leave out {asked.other.name}"
    elif ports:
        kept, sentence = Rule(rule.peers, ports), f"narrow {name}: leave out {asked.protocol.value} {asked.port}"
    else:
        kept, sentence = None, f"remove {name}"
    return Edit(policy, asked.direction, number, kept), sentence


def _other_peers(asked: Asked, placed: PlacedRule, rule: Rule, pairs: Iterable[Pair]) -> tuple[IpBlock | PodPeer, ...]:
    """The rule's peers without those that match; none where nothing is left, or the rule is about anyone."""
    ends = [other for _, other in pairs]
    kept: list[IpBlock | PodPeer] = []
    for peer, matcher in zip(rule.peers, placed.rule.peers, strict=False):
        meant = asked.reach.peers.meant((matcher,))
        if meant is not None and not any(contains(meant, end) for end in ends):
            kept.append(peer)
        elif isinstance(peer, IpBlock):
            gaps = [network for network in asked.networks if _inside(network, peer.cidr)]
            if gaps:
                kept.append(IpBlock(peer.cidr, (*peer.excepts, *gaps)))
    return tuple(kept)


def _inside(network: IPNetwork, block: IPNetwork) -> bool:
    """True when an exception for the network may stand in a block: it must be smaller."""
    return network.version == block.version and network.prefixlen > block.prefixlen and network.network_address in block


def _other_ports(asked: Asked, rule: Rule, pairs: Iterable[Pair]) -> tuple[PolicyPort, ...]:
    """The rule's ports without this one; none where nothing is left, or where all ports of named peers are open (then the peers go)."""
    if not rule.ports and rule.peers:
        return ()
    listed = rule.ports or tuple(PolicyPort(protocol, None) for protocol in sorted(Protocol))
    peers = asked.reach.peers
    destinations = [subject if asked.direction is Direction.INGRESS else other for subject, other in pairs]
    named = {peers.named_ports[peers.named_of[end]] if end < peers.pods else () for end in destinations}
    kept: list[PolicyPort] = []
    for port in listed:
        form = PortMatch(port.protocol, port.port, port.end_port)
        if not any(ports_of(form, ports).contains(asked.protocol, asked.port) for ports in named):
            kept.append(port)
        elif not isinstance(port.port, str):
            kept += _cut(port, asked.port)
    return tuple(kept)


def _cut(port: PolicyPort, number: int) -> list[PolicyPort]:
    first = port.port if isinstance(port.port, int) else FIRST_PORT
    last = LAST_PORT if port.port is None else port.end_port or first
    pieces = ((first, number - 1), (number + 1, last))
    return [PolicyPort(port.protocol, low, high if high > low else None) for low, high in pieces if low <= high]
