"""Why a connection passes or not: on each side, the policies that were asked and the rule that decided.

Answers come from the same placed rules as the tables of flows, so that a verdict and its reason cannot disagree. Beside the rules:

1. A pod always reaches itself.
2. A pod's own node always reaches it (kubelet probes), from the node's addresses and from the node's host-network pods.
3. A finished pod is no endpoint: nothing passes from or to it.
4. Addresses must be of one family. With several pairs of addresses the connection passes when one of them lets it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from evidence.cluster.model import Direction, IPAddress, Pod, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.reach.classes import PeerId, family_bit
from evidence.reach.engine import Reachability
from evidence.reach.peers import Ends
from evidence.reach.ports import PortSet
from evidence.reach.rules import Action, Tier
from evidence.reach.tiers import PlacedPolicy, PlacedRule

NOT_ISOLATED = "not isolated"
OWN_NODE = "a pod's own node always reaches it"
_WAY = {Action.ACCEPT: 0, Action.PASS: 1, Action.DENY: 2}  # which action has its way among rules of one priority


@dataclass(frozen=True, slots=True)
class Point:
    """One end of a question: a pod, or an address (`pod` None). `ends` are its ways in; empty for a finished pod."""

    name: str
    pod: Pod | None
    address: IPAddress | None
    ends: tuple[int, ...]
    peer: PeerId | None  # None: a finished pod, or addresses that are no peer of their own


@dataclass(frozen=True, slots=True)
class SideReason:
    """What one side says. `policy` and `rule` are those that decide; None and "" where none does."""

    allowed: bool
    reason: str
    policy: ObjectKey | None = None
    rule: str = ""
    action: str = ""
    selecting: tuple[ObjectKey, ...] = ()  # every policy that selects the pod in this direction


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with both sides. `uncertain` says why a denied connection may pass all the same; `pair` are the ends that were decisive."""

    allowed: bool
    egress: SideReason
    ingress: SideReason
    uncertain: tuple[str, ...] = ()
    note: str = ""
    pair: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one side's policies decide. `rules` are the matching rules of the priority that decides, one a lane, those that have their way
    first; `isolating` the policies that isolate the pod where no rule of their tier matches. Neither: nothing restricts the side. `passed`
    are rules that passed it on to a later tier."""

    allowed: bool
    passed: tuple[PlacedRule, ...]
    rules: tuple[PlacedRule, ...] = ()
    isolating: tuple[PlacedPolicy, ...] = ()


def explain(
    reach: Reachability, source: Point, destination: Point, protocol: Protocol, port: int, family: int | None = None
) -> Explanation:
    """Whether the source may connect to this port of the destination, and why. `family` 4 or 6 limits the addresses."""
    for point in (source, destination):
        if not point.ends:
            gone = SideReason(False, f"{point.name} is finished: it is no endpoint")
            return Explanation(False, gone, gone)
    if source.pod is not None and source.pod is destination.pod:
        itself = SideReason(True, "a pod always reaches itself")
        return Explanation(True, itself, itself)
    pairs = pairs_of(reach, source, destination, family)
    if not pairs:
        apart = SideReason(False, "the two have no addresses of one family")
        return Explanation(False, apart, apart)
    answers = []
    for start, end in pairs:
        egress = side(reach, Direction.EGRESS, start, end, protocol, port)
        ingress = side(reach, Direction.INGRESS, end, start, protocol, port)
        if not ingress.allowed and own_node(reach, source, destination):
            ingress = SideReason(True, OWN_NODE, selecting=ingress.selecting)
        answers.append(Explanation(egress.allowed and ingress.allowed, egress, ingress, pair=(start, end)))
    best = next((answer for answer in answers if answer.allowed), answers[0])
    if best.allowed:
        return best
    doubts = _doubts(reach, source, destination, PortSet.of(protocol, port))
    return replace(best, uncertain=doubts) if doubts else best


def _doubts(reach: Reachability, source: Point, destination: Point, ports: PortSet) -> tuple[str, ...]:
    """Why a denied connection may pass all the same. An address that only pods have is no peer of its own: whatever may widen what the
    other end's policies let pass may mean it."""
    if source.peer is not None and destination.peer is not None:
        return reach.uncertain(source.peer, destination.peer, ports)
    direction = Direction.EGRESS if destination.peer is None else Direction.INGRESS
    subject, address = (source, destination) if direction is Direction.EGRESS else (destination, source)
    if subject.peer not in reach.doubtful(direction):
        return ()
    return (f"something that policies about {subject.name} name is not known, and may be {address.name}",)


def pairs_of(reach: Reachability, source: Point, destination: Point, family: int | None) -> list[tuple[int, int]]:
    """The pairs of ends, of one family each, by which the source may reach the destination."""
    families = reach.peers.families
    asked = family_bit(family) if family else 0xFF
    return [
        (start, end)
        for start in source.ends
        for end in destination.ends
        if int(families[start]) & int(families[end]) & asked
    ]


def own_node(reach: Reachability, source: Point, destination: Point) -> bool:
    """True when the source is the destination pod's own node, or a host-network pod of it."""
    pod = destination.pod
    if pod is None or pod.host_network:
        return False
    if source.pod is not None:
        return source.pod.host_network and bool(pod.node) and source.pod.node == pod.node
    return source.address in pod.node_addresses or source.address in reach.node_addresses.get(pod.node, ())


def side(
    reach: Reachability, direction: Direction, subject: int, other: int, protocol: Protocol, port: int
) -> SideReason:
    """What the policies of one direction say about a connection of `subject` with `other` (ends, see `peers`)."""
    if subject >= reach.peers.pods:
        return SideReason(True, "outside the cluster")
    policies = reach.selecting(PeerId(reach.peers.class_of[subject]), direction)
    selecting = tuple(dict.fromkeys(policy.form.policy.key for policy in policies))
    found = decide(reach, direction, subject, other, reach.port_ids.atom(protocol, port))
    if found.rules:
        return _by_rule(found, selecting)
    if found.isolating:
        return _isolated(found, selecting)
    if not policies:
        return SideReason(True, NOT_ISOLATED)
    return SideReason(True, f"{NOT_ISOLATED}, and no rule of a cluster-wide policy decides", selecting=selecting)


def decide(
    reach: Reachability,
    direction: Direction,
    subject: int,
    other: int,
    atom: int,
    *,
    but_added: bool = False,
    without: Tier | None = None,
) -> Decision:
    """Ask the policies that select the subject (an end of a pod), in their order, about the ports of one atom.

    `but_added`: as if no rule of a NetworkPolicy matched. `without`: as if a tier were not there.
    """
    selecting = reach.selecting(PeerId(reach.peers.class_of[subject]), direction)
    policies = [policy for policy in selecting if policy.form.tier != without]
    passed: tuple[PlacedRule, ...] = ()
    for _, tier in groupby(policies, key=lambda policy: policy.form.tier):
        listed = list(tier)
        for _, equals in groupby(listed, key=lambda policy: policy.form.priority):
            asked = (policy for policy in equals if not (but_added and policy.form.adds))
            found = _side_by_side(reach, asked, subject, other, atom)
            if found and found[0].rule.action is Action.PASS:
                passed += found
                break
            if found:
                return Decision(found[0].rule.action is Action.ACCEPT, passed, rules=found)
        else:
            isolating = tuple(policy for policy in listed if direction in policy.form.isolates)
            if isolating:
                return Decision(False, passed, isolating=isolating)
    return Decision(True, passed)


def _side_by_side(
    reach: Reachability, policies: Iterable[PlacedPolicy], subject: int, other: int, atom: int
) -> tuple[PlacedRule, ...]:
    """The first matching rule of each lane of one priority: accepting ones, which have their way, before passing and denying ones."""
    lanes = groupby(policies, key=lambda policy: policy.form.lane)
    found = (first_match(reach, lane, subject, other, atom) for _, lane in lanes)
    return tuple(sorted(filter(None, found), key=lambda rule: _WAY[rule.rule.action]))


def first_match(
    reach: Reachability, lane: Iterable[PlacedPolicy], subject: int, other: int, atom: int
) -> PlacedRule | None:
    """The first rule of a lane's policies, in their order, that matches the connection."""
    rules = (rule for policy in lane for rule in policy.rules)
    return next((rule for rule in rules if matches(reach, rule, subject, other, atom)), None)


def matches(reach: Reachability, rule: PlacedRule, subject: int, other: int, atom: int) -> bool:
    """True when a rule means this subject, this other end and these ports."""
    return any(
        reach.port_ids.holds(part.ports, atom)
        and contains(part.subjects, subject)
        and (part.peers is None or contains(part.peers, other))
        for part in rule.parts
    )


def _by_rule(found: Decision, selecting: tuple[ObjectKey, ...]) -> SideReason:
    decisive = found.rules[0]
    action, key = decisive.rule.action, decisive.form.policy.key
    others = tuple(rule.form.policy.key for rule in found.rules if rule.rule.action is not action)
    text = f"{'allowed' if found.allowed else 'denied'} by {key} {decisive.rule.where}"
    if decisive.rule.limits:
        text += f" (at most: {' and '.join(decisive.rule.limits)} may let less pass)"
    if others:
        text += f" (of equal priority and otherwise: {', '.join(map(str, others))})"
    return SideReason(found.allowed, text, key, decisive.rule.where, action.value, selecting)


def _isolated(found: Decision, selecting: tuple[ObjectKey, ...]) -> SideReason:
    isolating = list(dict.fromkeys(policy.form.policy.key for policy in found.isolating))
    names = ", ".join(map(str, isolating))
    text = f"isolated by {names}, {'which does not allow it' if len(isolating) == 1 else 'none of which allows it'}"
    return SideReason(False, text, isolating[0], "", "isolated", selecting)


def contains(ends: Ends, end: int) -> bool:
    """True when a sorted array of ends holds one."""
    place = int(np.searchsorted(ends, end))
    return place < len(ends) and int(ends[place]) == end
