"""The smallest change to policies that turns what one side says of a connection.

1. To allow what isolation denies: one rule, for this peer and port alone, in the isolating NetworkPolicy that selects the fewest pods.
2. To allow what a rule of a cluster-wide policy denies: an Accept rule before it.
3. To deny what NetworkPolicies allow: every rule that admits it is narrowed or goes, because they add up. A rule first loses the peers that
   match (an ipBlock gets an exception), where peers are left over; else the port, where ports are left over; else it goes.
4. To deny what a cluster-wide policy allows: a Deny rule before the one that matches, in each policy of that priority.
5. To allow what only policies of other kinds deny by isolation: a new NetworkPolicy with the rule.
6. To deny what nothing restricts: a new NetworkPolicy that isolates the pod. There is no smaller one; NetworkPolicies cannot deny.

Several addresses of a pod may be decided by different rules: the change covers all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from evidence.cluster.model import (
    Direction,
    IPAddress,
    IpBlock,
    IPNetwork,
    NetworkPolicy,
    PodPeer,
    PolicyPort,
    Protocol,
    Rule,
)
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import Action, ClusterPolicy, ClusterPolicyPort, ClusterRule, NetworksPeer, Peer
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.asked import pods_selected
from evidence.reach.changes import Change, Edit
from evidence.reach.classes import PeerId, host_addresses
from evidence.reach.doubts import NAME_LABEL, ports_of
from evidence.reach.engine import Reachability
from evidence.reach.explain import Decision, Point, contains, decide, matches
from evidence.reach.manifests import own_labels
from evidence.reach.ports import FIRST_PORT, LAST_PORT
from evidence.reach.rules import NETWORK_POLICY, PortMatch
from evidence.reach.tiers import PlacedPolicy, PlacedRule

Pair = tuple[int, int]
_UNWORKABLE = "is of a kind for which no change is worked out here"


@dataclass(frozen=True, slots=True)
class Turned:
    """A change, or (None) why there is none."""

    change: Change | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One side of one connection: `subject` is the pod whose policies are asked, `pairs` are the ends (subject, other) that decide it."""

    reach: Reachability
    direction: Direction
    subject: Point
    other: Point
    pairs: tuple[Pair, ...]
    protocol: Protocol
    port: int

    @property
    def what(self) -> str:
        word = "to" if self.direction is Direction.EGRESS else "from"
        return f"{word} {self.other.name} on {self.protocol.value} {self.port}"

    @property
    def field(self) -> str:
        return self.direction.value.lower()


def turning(asked: Asked, *, allowed: bool) -> Turned:
    """What turns the side, which is `allowed` or not at present."""
    pod = asked.subject.pod
    if pod is None:
        return Turned(None, "policies do not restrict addresses outside the cluster")
    if pod.host_network:
        return Turned(None, "no policy selects a pod on the host network")
    atom = asked.reach.port_ids.atom(asked.protocol, asked.port)
    decisions = [(pair, decide(asked.reach, asked.direction, *pair, atom)) for pair in asked.pairs]
    concerned = [(pair, decision) for pair, decision in decisions if decision.allowed == allowed]
    return _closed(asked, concerned, atom) if allowed else _opened(asked, [decision for _, decision in concerned])


# -- to allow -----------------------------------------------------------------------------------------------------------


def _opened(asked: Asked, decisions: Iterable[Decision]) -> Turned:
    edits: dict[tuple[ObjectKey, int], Edit] = {}
    sentences: dict[str, None] = {}
    beside: dict[str, None] = {}
    new: dict[ObjectKey, NetworkPolicy] = {}
    for decision in decisions:
        if decision.isolating:
            home = asked.subject.pod.namespace if asked.subject.pod else ""
            peers = _peers(asked, home)
            if not peers:
                return Turned(None, f"the addresses of {asked.other.name} are not known, and no selector means it")
            placed = _narrowest(asked.reach, decision.isolating)
            if placed is None:
                if decision.isolating[0].form.tier != NETWORK_POLICY:
                    return Turned(None, f"{decision.isolating[0].form.policy.key} {_UNWORKABLE}")
                added = _new(asked, "allow", (Rule(peers, (PolicyPort(asked.protocol, asked.port),)),))
                new[added.key] = added
                sentences[f"add {added.key}, which allows it {asked.what}"] = None
                continue
            policy = placed.form.policy
            assert isinstance(policy, NetworkPolicy)  # noqa: S101  (the only kind that `_narrowest` looks at)
            number = len(policy.rules(asked.direction))
            rule = Rule(peers, (PolicyPort(asked.protocol, asked.port),))
            edits[policy.key, number] = Edit(policy, asked.direction, number, rule, insert=True)
            sentences[f"add to {policy.key} an {asked.field} rule {asked.what}"] = None
            beside[_beside_added(asked, placed)] = None
        else:
            denying = decision.rules[0]
            turned = _inserted(asked, denying, Action.ACCEPT)
            if turned is None:
                return Turned(None, _unworkable(asked, denying))
            edits[denying.form.policy.key, turned.number] = turned
            sentences[
                f"add to {denying.form.policy.key} before {denying.rule.where} a rule that accepts it {asked.what}"
            ] = None
    return Turned(Change(tuple(sentences), tuple(edits.values()), tuple(new.values()), " ".join(filter(None, beside))))


def _narrowest(reach: Reachability, policies: Iterable[PlacedPolicy]) -> PlacedPolicy | None:
    """Of the NetworkPolicies the one that selects the fewest pods."""
    known = [placed for placed in policies if isinstance(placed.form.policy, NetworkPolicy)]
    return min(known, key=lambda placed: (pods_selected(reach, placed), placed.form.policy.key), default=None)


def _beside_added(asked: Asked, placed: PlacedPolicy) -> str:
    count = pods_selected(asked.reach, placed)
    said = [f"It opens the same for all {count} pods that the policy selects."] if count > 1 else []
    pod = asked.other.pod
    if pod is not None and not pod.host_network and not own_labels([pod]).requirements:
        said.append(f"{asked.other.name} has no labels of its own, so that every pod of its namespace is named.")
    return " ".join(said)


def _peers(asked: Asked, home: str) -> tuple[IpBlock | PodPeer, ...]:
    """The other end as peers of a NetworkPolicy in namespace `home`; none when nothing names it."""
    pod = asked.other.pod
    if pod is None or pod.host_network:
        return tuple(IpBlock(network) for network in _networks(asked))
    return (PodPeer(None if pod.namespace == home else _named(pod.namespace), own_labels([pod])),)


def _named(namespace: str) -> LabelSelector:
    return LabelSelector((Requirement(NAME_LABEL, Operator.IN, (namespace,)),))


def _networks(asked: Asked) -> list[IPNetwork]:
    return [ip_network(address) for address in _addresses(asked)]


def _addresses(asked: Asked) -> Sequence[IPAddress]:
    """Addresses of the other end."""
    if asked.other.pod is None:
        return [asked.other.address] if asked.other.address is not None else []
    pod = asked.other.pod
    return host_addresses(pod, asked.reach.node_addresses) if pod.host_network else pod.addresses


def _inserted(asked: Asked, before: PlacedRule, action: Action) -> Edit | None:
    """A rule for this connection before another of a cluster-wide policy; None where its API cannot name the peer, or is not known whole."""
    policy = before.form.policy
    if not isinstance(policy, ClusterPolicy) or any(policy.unknown()):
        return None
    peers = _cluster_peers(asked)
    if not peers:
        return None
    rule = ClusterRule("", action, peers, (ClusterPolicyPort(asked.protocol, asked.port),))
    return Edit(policy, asked.direction, _number(before), rule, insert=True)


def _cluster_peers(asked: Asked) -> tuple[Peer, ...]:
    """The other end as peers of a cluster-wide policy; addresses can be named for egress only."""
    pod = asked.other.pod
    if pod is not None and not pod.host_network:
        labels = own_labels([pod])
        return (PodPeer(_named(pod.namespace), labels if labels.requirements else None),)
    networks = _networks(asked) if asked.direction is Direction.EGRESS else []
    return (NetworksPeer(tuple(networks)),) if networks else ()


def _unworkable(asked: Asked, rule: PlacedRule) -> str:
    policy = rule.form.policy
    if isinstance(policy, ClusterPolicy) and not any(policy.unknown()):
        return f"rules of {policy.key} cannot name {asked.other.name}"
    return f"{policy.key} {'is not known whole' if isinstance(policy, ClusterPolicy) else _UNWORKABLE}"


def _number(rule: PlacedRule) -> int:
    return rule.form.rules[rule.direction].index(rule.rule)


# -- to deny ------------------------------------------------------------------------------------------------------------


def _closed(asked: Asked, decisions: Sequence[tuple[Pair, Decision]], atom: int) -> Turned:
    edits: dict[tuple[ObjectKey, int], Edit] = {}
    sentences: dict[str, None] = {}
    admitting: dict[tuple[ObjectKey, int], list[Pair]] = {}
    placed_at: dict[tuple[ObjectKey, int], PlacedRule] = {}
    isolate = False
    for pair, decision in decisions:
        if not decision.rules:
            before = next((rule for rule in decision.passed if rule.form.tier == NETWORK_POLICY), None)
            if before is not None:
                return Turned(None, f"{before.form.policy.key} passes it on before NetworkPolicies are asked")
            isolate = True
        elif decision.rules[0].form.adds:
            for rule in _admitting(asked, pair, atom):
                if not isinstance(rule.form.policy, NetworkPolicy):
                    return Turned(None, f"{rule.form.policy.key}, of which {rule.rule.where} admits it, {_UNWORKABLE}")
                place = (rule.form.policy.key, _number(rule))
                admitting.setdefault(place, []).append(pair)
                placed_at[place] = rule
        else:
            for rule in decision.rules:
                if rule.rule.action.value != Action.DENY.value:
                    turned = _inserted(asked, rule, Action.DENY)
                    if turned is None:
                        return Turned(None, _unworkable(asked, rule))
                    edits[rule.form.policy.key, turned.number] = turned
                    sentences[
                        f"add to {rule.form.policy.key} before {rule.rule.where} a rule that denies it {asked.what}"
                    ] = None
    for place, pairs in admitting.items():
        edit, sentence = _narrowed(asked, placed_at[place], pairs)
        edits[place] = edit
        sentences[sentence] = None
    new = (_new(asked, "isolate"),) if isolate else ()
    beside = ""
    for policy in new:
        sentences[f"add {policy.key}, which isolates {asked.subject.name} for {asked.field}"] = None
        verb = "accept" if asked.direction is Direction.INGRESS else "open"
        who = f"the pods of {policy.namespace} with these labels"
        beside = f"Everything else that {who} {verb} is denied, too, until rules allow it."
    return Turned(Change(tuple(sentences), tuple(edits.values()), new, beside))


def _admitting(asked: Asked, pair: Pair, atom: int) -> Iterable[PlacedRule]:
    """Every rule of a NetworkPolicy that admits the connection."""
    peer = PeerId(asked.reach.peers.class_of[pair[0]])
    for placed in asked.reach.selecting(peer, asked.direction):
        if placed.form.adds:
            yield from (rule for rule in placed.rules if matches(asked.reach, rule, *pair, atom))


def _new(asked: Asked, verb: str, rules: tuple[Rule, ...] = ()) -> NetworkPolicy:
    """A new policy for the subject's pods in this direction, under a name that is free."""
    pod = asked.subject.pod
    assert pod is not None  # noqa: S101  (asked by `turning`)
    taken = {policy.name for policy in asked.reach.cluster.policies if policy.namespace == pod.namespace}
    name = f"{verb}-{pod.workload.name}"[:50].rstrip("-.") + f"-{asked.field}"
    name = next(n for n in (name, *(f"{name}-{count}" for count in range(2, len(taken) + 3))) if n not in taken)
    policy = NetworkPolicy(pod.namespace, name, own_labels([pod]), frozenset({asked.direction}))
    return replace(policy, ingress=rules) if asked.direction is Direction.INGRESS else replace(policy, egress=rules)


def _narrowed(asked: Asked, placed: PlacedRule, pairs: Sequence[Pair]) -> tuple[Edit, str]:
    policy, number = placed.form.policy, _number(placed)
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
            gaps = [network for network in _networks(asked) if _inside(network, peer.cidr)]
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
