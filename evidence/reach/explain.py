"""Why a connection passes or not: on each side, the policies that were asked and the rule that decided.

Answers come from the same placed rules as the tables of flows, so that a verdict and its reason cannot disagree. Beside the rules:

1. A pod always reaches itself.
2. A pod's own node always reaches it (kubelet probes), from the node's addresses and from the node's host-network pods.
3. A finished pod is no endpoint: nothing passes from or to it.
4. Addresses must be of one family. With several pairs of addresses the connection passes when one of them lets it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from evidence.cluster.model import Direction, IPAddress, Pod, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.reach.classes import PeerId, family_bit
from evidence.reach.engine import Reachability
from evidence.reach.peers import Ends
from evidence.reach.ports import PortSet
from evidence.reach.rules import Action
from evidence.reach.tiers import PlacedPolicy, PlacedRule

NOT_ISOLATED = "not isolated"


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
    same_priority: tuple[ObjectKey, ...] = ()  # policies of the deciding one's priority that would decide otherwise


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with both sides. `uncertain` says why a denied connection may pass all the same."""

    allowed: bool
    egress: SideReason
    ingress: SideReason
    uncertain: tuple[str, ...] = ()
    note: str = ""


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
    families = reach.peers.families
    asked = family_bit(family) if family else 0xFF
    pairs = [
        (start, end)
        for start in source.ends
        for end in destination.ends
        if int(families[start]) & int(families[end]) & asked
    ]
    if not pairs:
        apart = SideReason(False, "the two have no addresses of one family")
        return Explanation(False, apart, apart)
    answers = []
    for start, end in pairs:
        egress = side(reach, Direction.EGRESS, start, end, protocol, port)
        ingress = side(reach, Direction.INGRESS, end, start, protocol, port)
        if not ingress.allowed and _own_node(reach, source, destination):
            ingress = SideReason(True, "a pod's own node always reaches it", selecting=ingress.selecting)
        answers.append(Explanation(egress.allowed and ingress.allowed, egress, ingress))
    best = next((answer for answer in answers if answer.allowed), answers[0])
    if best.allowed or source.peer is None or destination.peer is None:
        return best
    doubts = reach.uncertain(source.peer, destination.peer, PortSet.of(protocol, port))
    return Explanation(False, best.egress, best.ingress, doubts) if doubts else best


def _own_node(reach: Reachability, source: Point, destination: Point) -> bool:
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
    atom = reach.port_ids.atom(protocol, port)
    asked = _Asked(reach, direction, subject, other, atom, selecting)
    for _, members in groupby(policies, key=lambda policy: policy.form.tier):
        listed = list(members)
        for _, equals in groupby(listed, key=lambda policy: policy.form.priority):
            found = asked.decide(list(equals))
            if found is not None and found.action is Action.PASS:
                break
            if found is not None:
                return found.reason
        else:
            if any(direction in policy.form.isolates for policy in listed):
                return asked.isolated(listed)
    if not policies:
        return SideReason(True, NOT_ISOLATED)
    return SideReason(True, f"{NOT_ISOLATED}, and no rule of a cluster-wide policy decides", selecting=selecting)


@dataclass(frozen=True, slots=True)
class _Decision:
    action: Action
    reason: SideReason


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question to one side."""

    reach: Reachability
    direction: Direction
    subject: int
    other: int
    atom: int
    selecting: tuple[ObjectKey, ...]

    def decide(self, policies: Sequence[PlacedPolicy]) -> _Decision | None:
        """What policies of one priority decide together: accepted if any accepts, else passed if any passes."""
        lanes = groupby(policies, key=lambda policy: policy.form.lane)
        found = [rule for _, lane in lanes if (rule := self._first(lane)) is not None]
        if not found:
            return None
        decisive = next(
            rule for action in (Action.ACCEPT, Action.PASS, Action.DENY) for rule in found if rule.rule.action is action
        )
        action = decisive.rule.action
        others = tuple(rule.form.policy.key for rule in found if rule.rule.action is not action)
        verb = {Action.ACCEPT: "allowed", Action.DENY: "denied", Action.PASS: "passed on"}[action]
        text = f"{verb} by {decisive.form.policy.key} {decisive.rule.where}"
        if decisive.rule.limits:
            text += f" (at most: {' and '.join(decisive.rule.limits)} may let less pass)"
        if others:
            text += f" (of equal priority and otherwise: {', '.join(map(str, others))})"
        return _Decision(
            action,
            SideReason(
                action is Action.ACCEPT,
                text,
                decisive.form.policy.key,
                decisive.rule.where,
                action.value,
                self.selecting,
                others,
            ),
        )

    def isolated(self, policies: Sequence[PlacedPolicy]) -> SideReason:
        isolating = list(
            dict.fromkeys(policy.form.policy.key for policy in policies if self.direction in policy.form.isolates)
        )
        names = ", ".join(map(str, isolating))
        text = f"isolated by {names}, {'which does not allow it' if len(isolating) == 1 else 'none of which allows it'}"
        return SideReason(False, text, isolating[0], "", "isolated", self.selecting)

    def _first(self, lane: Iterable[PlacedPolicy]) -> PlacedRule | None:
        return next((rule for policy in lane for rule in policy.rules if self._matches(rule)), None)

    def _matches(self, rule: PlacedRule) -> bool:
        return any(
            self.reach.port_ids.holds(part.ports, self.atom)
            and contains(part.subjects, self.subject)
            and (part.peers is None or contains(part.peers, self.other))
            for part in rule.parts
        )


def contains(ends: Ends, end: int) -> bool:
    """True when a sorted array of ends holds one."""
    place = int(np.searchsorted(ends, end))
    return place < len(ends) and int(ends[place]) == end
