"""What turns a connection by Cilium's policies: an entry that allows it, one that denies it, or deny entries without it.

1. To allow what default deny shuts out: an entry for this peer and port in the rule object that selects the fewest pods.
2. To allow what deny entries shut out: every one that matches is narrowed or goes, for they are over all that allows. An entry first loses the
   peers that match, where peers are left over; else the port, where ports are left over; else it goes.
3. To deny: one deny entry, in a rule object that has an entry in this direction already, so that no default deny comes with it.

An outside end is named by its address, a node by an entity, which means every node.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network

from evidence.cluster.cilium import CiliumPeer, CiliumPolicy, CiliumPort, CiliumRule, Endpoints, Entity
from evidence.cluster.cilium_selectors import part_of_identity
from evidence.cluster.model import Direction, IpBlock, Protocol
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.asked import pods_selected
from evidence.reach.cilium import DENY
from evidence.reach.ciliumedits import CiliumEdit
from evidence.reach.ciliumpeers import CiliumPeers
from evidence.reach.classes import PeerId
from evidence.reach.doubts import NAME_LABEL, ports_of
from evidence.reach.explain import contains, matches
from evidence.reach.manifests import own_labels
from evidence.reach.ports import FIRST_PORT, LAST_PORT
from evidence.reach.question import Asked, Pair
from evidence.reach.rules import PortMatch
from evidence.reach.tiers import PlacedPolicy, PlacedRule

Added = tuple[CiliumEdit, str]  # the edit, and what else it changes


def admitting(asked: Asked, isolating: Iterable[PlacedPolicy]) -> Added | None:
    """An entry that allows the connection, in the narrowest of Cilium's policies among those that isolate; None without one."""
    return _added(asked, isolating, denies=False)


def denying(asked: Asked, pairs: Iterable[Pair]) -> Added | None:
    """An entry that denies the connection; None where no policy of Cilium's has rules about the pod, or none can name the other end."""
    peers = {PeerId(asked.reach.peers.class_of[subject]) for subject, _ in pairs}
    return _added(
        asked, (each for peer in sorted(peers) for each in asked.reach.selecting(peer, asked.direction)), denies=True
    )


def _narrowest(asked: Asked, policies: Iterable[PlacedPolicy]) -> PlacedPolicy | None:
    known = [each for each in policies if isinstance(each.form.policy, CiliumPolicy) and each.form.adds]
    return min(
        (each for each in known if not _policy(each).doubts and _spec(each, asked.direction) is not None),
        key=lambda each: (pods_selected(asked.reach, each), each.form.policy.key, _spec(each, asked.direction) or 0),
        default=None,
    )


def _policy(placed: PlacedPolicy | PlacedRule) -> CiliumPolicy:
    policy = placed.form.policy
    assert isinstance(policy, CiliumPolicy)  # noqa: S101  (asked of these alone)
    return policy


def _spec(placed: PlacedPolicy, direction: Direction) -> int | None:
    """The place of the rule object that a policy's form stands for, by the places of its entries; None where it has none of this direction."""
    wheres = placed.form.kept_by.get(direction) or {rule.where for rule in placed.form.rules[direction]}
    for number, spec in enumerate(_policy(placed).specs):
        if any(rule.where in wheres for rule in (*spec.allows[direction], *spec.denies[direction])):
            return number
    return None


def _added(asked: Asked, policies: Iterable[PlacedPolicy], *, denies: bool) -> Added | None:
    placed = _narrowest(asked, policies)
    number = None if placed is None else _spec(placed, asked.direction)
    if placed is None or number is None:
        return None
    policy = _policy(placed)
    peers = _peers(asked, policy.key.namespace, denies=denies)
    if not peers:
        return None
    spec = policy.specs[number]
    place = len((spec.denies if denies else spec.allows)[asked.direction])
    rule = CiliumRule(peers, (CiliumPort(asked.protocol, asked.port),), "")
    edit = CiliumEdit(policy, asked.direction, place, rule, insert=True, spec=number, denies=denies)
    return edit, _beside(asked, placed, peers, "closes" if denies else "opens")


def _beside(asked: Asked, placed: PlacedPolicy, peers: tuple[CiliumPeer, ...], verb: str) -> str:
    count = pods_selected(asked.reach, placed)
    said = [f"It {verb} the same for all {count} pods that the policy selects."] if count > 1 else []
    if Entity.REMOTE_NODE in peers:
        said.append("It means every node.")
    if any(isinstance(peer, Endpoints) and not peer.pods.requirements for peer in peers):
        said.append(f"{asked.other.name} has no labels of its own, so that every pod of its namespace is named.")
    return " ".join(said)


def _peers(asked: Asked, home: str, *, denies: bool) -> tuple[CiliumPeer, ...]:
    """The other end as peers of a rule; none where nothing names it for certain."""
    pod = asked.other.pod
    if pod is not None and not pod.host_network:
        needs = tuple(need for need in own_labels([pod]).requirements if part_of_identity(need.key))
        named = LabelSelector((Requirement(NAME_LABEL, Operator.IN, (pod.namespace,)),))
        return (Endpoints(None if pod.namespace == home else named, LabelSelector(needs)),)
    address = asked.other.address
    on_node = any(address in node.addresses for node in asked.reach.cluster.nodes)
    if pod is None and address is not None and not on_node:
        return (IpBlock(ip_network(address)),)
    if asked.direction is Direction.INGRESS:
        return (Entity.REMOTE_NODE,)
    return () if denies else (Entity.HOST, Entity.REMOTE_NODE)


# -- deny entries without the connection --------------------------------------------------------------------------------


def shutting(asked: Asked, pair: Pair, atom: int) -> Iterator[PlacedRule]:
    """Every deny entry that matches."""
    for placed in asked.reach.selecting(PeerId(asked.reach.peers.class_of[pair[0]]), asked.direction):
        if placed.form.tier == DENY:
            yield from (rule for rule in placed.rules if matches(asked.reach, rule, *pair, atom))


def lifted(asked: Asked, placed: PlacedRule, pairs: Sequence[Pair]) -> tuple[CiliumEdit, str, str]:
    """A deny entry without the connection, the sentence that says so, and what else it changes."""
    policy, where = _policy(placed), placed.rule.where
    spec, number, rule = next(
        (spec, number, rule)
        for spec, each in enumerate(policy.specs)
        for number, rule in enumerate(each.denies[asked.direction])
        if rule.where == where
    )
    peers, ports = tuple(_other_peers(asked, rule, policy, pairs)), tuple(_other_ports(asked, rule, pairs))
    name, also = f"{policy.key} {where}", ""
    if peers:
        kept: CiliumRule | None = CiliumRule(peers, rule.ports, where)
        sentence = f"narrow {name}: leave out {asked.other.name}"
    elif ports:
        kept = CiliumRule(rule.peers, ports, where)
        sentence = f"narrow {name}: leave out {asked.protocol.value} {asked.port}"
        also = "" if rule.ports is not None else "It no longer denies what has no ports, such as ICMP."
    else:
        kept, sentence = None, f"remove {name}"
    return CiliumEdit(policy, asked.direction, number, kept, spec=spec, denies=True), sentence, also


def _other_peers(asked: Asked, rule: CiliumRule, policy: CiliumPolicy, pairs: Iterable[Pair]) -> Iterator[CiliumPeer]:
    meaning = CiliumPeers(policy.key.namespace, asked.reach.cluster)
    ends = [other for _, other in pairs]
    for peer in rule.peers or ():
        meant = asked.reach.peers.meant(tuple(meaning.denied(peer, asked.direction)))
        if meant is not None and not any(contains(meant, end) for end in ends):
            yield peer
        elif isinstance(peer, IpBlock):
            gaps = [each for each in asked.networks if each.version == peer.cidr.version and each != peer.cidr]
            if gaps and all(each.network_address in peer.cidr for each in gaps):
                yield IpBlock(peer.cidr, (*peer.excepts, *gaps))


def _other_ports(asked: Asked, rule: CiliumRule, pairs: Iterable[Pair]) -> Iterator[CiliumPort]:
    """The entry's ports without this one, those of any protocol told apart by protocol."""
    peers = asked.reach.peers
    destinations = [subject if asked.direction is Direction.INGRESS else other for subject, other in pairs]
    named = [peers.named_ports[peers.named_of[end]] if end < peers.pods else () for end in destinations]
    for port in rule.ports if rule.ports is not None else (CiliumPort(None),):
        if not isinstance(port, CiliumPort):
            continue
        for protocol in (port.protocol,) if port.protocol else tuple(Protocol):
            form = PortMatch(protocol, port.port, port.end_port)
            if not any(ports_of(form, ports).contains(asked.protocol, asked.port) for ports in named):
                yield CiliumPort(protocol, port.port, port.end_port)
            elif not isinstance(port.port, str):
                first = port.port or FIRST_PORT
                last = LAST_PORT if port.port is None else port.end_port or port.port
                for low, high in ((first, asked.port - 1), (asked.port + 1, last)):
                    if low <= high:
                        yield CiliumPort(protocol, low, high if high > low else None)
