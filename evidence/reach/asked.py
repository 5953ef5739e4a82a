"""Every policy that selects a pod, and what it says of one connection: also those that do not match it, and why.

The part that a policy plays is read off the decision itself (`explain.decide`), and whether a rule matches off its place in the tables;
why it does not is what `peer` and `port` say: a rule matches when both hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from evidence.cluster.model import Direction, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.reach.classes import PeerId
from evidence.reach.doubts import ports_of
from evidence.reach.engine import Reachability
from evidence.reach.explain import Decision, contains, decide, matches
from evidence.reach.rules import Action
from evidence.reach.tiers import PlacedPolicy, PlacedRule
from evidence.reach.wording import peers_text, ports_text


class Part(StrEnum):
    """What a policy does in one decision."""

    DECIDES = "decides"
    OVERRULED = "matches, but another of equal priority has its way"
    PASSES = "passes it on to the next tier"
    ISOLATES = "isolates the pod, and no rule of it matches"
    NOTHING = "no rule of it matches"
    NOT_ASKED = "not asked: decided before"


@dataclass(frozen=True, slots=True)
class RuleAsked:
    """One rule before one connection. `peer` and `port`: whether it names the other end and the port; `why` it does not match, "" when it does."""

    where: str
    action: Action
    peer: bool
    port: bool
    why: str

    @property
    def matches(self) -> bool:
        return self.peer and self.port


@dataclass(frozen=True, slots=True)
class PolicyAsked:
    """One policy that selects the pod. `pods`: how many it selects."""

    policy: ObjectKey
    tier: str
    priority: float
    isolates: bool
    pods: int
    part: Part
    rules: tuple[RuleAsked, ...]


def asked(
    reach: Reachability, direction: Direction, subject: int, other: int, protocol: Protocol, port: int
) -> tuple[PolicyAsked, ...]:
    """The policies that select `subject` in this direction, in the order in which they are asked; none for an end outside."""
    if subject >= reach.peers.pods:
        return ()
    policies = reach.selecting(PeerId(reach.peers.class_of[subject]), direction)
    decision = decide(reach, direction, subject, other, reach.port_ids.atom(protocol, port))
    return tuple(
        PolicyAsked(
            policy=placed.form.policy.key,
            tier=placed.form.tier.name,
            priority=placed.form.priority,
            isolates=direction in placed.form.isolates,
            pods=pods_selected(reach, placed),
            part=_part(placed, rules, decision, direction),
            rules=rules,
        )
        for placed in policies
        for rules in [_rules(reach, placed, subject, other, protocol, port)]
    )


def pods_selected(reach: Reachability, placed: PlacedPolicy) -> int:
    """How many pods a policy selects."""
    classes = {reach.peers.class_of[end] for end in placed.subjects.tolist()}
    return sum(len(reach.classes[number].pods) for number in classes)


def _part(placed: PlacedPolicy, rules: Sequence[RuleAsked], decision: Decision, direction: Direction) -> Part:
    form = placed.form
    deciding = (decision.rules[0] if decision.rules else None) or next(iter(decision.isolating), None)
    if (
        deciding is not None
        and form.place > deciding.form.place
        and not (decision.isolating and _one_tier(placed, deciding))
    ):
        return Part.NOT_ASKED
    first = next((rule for rule in rules if rule.matches), None)
    if decision.rules and form.place == decision.rules[0].form.place and first:
        decisive = decision.rules[0].rule.action
        return Part.DECIDES if first.action is decisive else Part.OVERRULED
    if first and first.action is Action.PASS:
        return Part.PASSES
    if first:
        return Part.NOT_ASKED
    return Part.ISOLATES if direction in form.isolates else Part.NOTHING


def _one_tier(one: PlacedPolicy, other: PlacedPolicy | PlacedRule) -> bool:
    return one.form.tier == other.form.tier


def _rules(
    reach: Reachability, placed: PlacedPolicy, subject: int, other: int, protocol: Protocol, port: int
) -> tuple[RuleAsked, ...]:
    return tuple(_rule(reach, rule, subject, other, protocol, port) for rule in placed.rules)


def _rule(
    reach: Reachability, placed: PlacedRule, subject: int, other: int, protocol: Protocol, port: int
) -> RuleAsked:
    rule = placed.rule
    if matches(reach, placed, subject, other, reach.port_ids.atom(protocol, port)):
        return RuleAsked(rule.where, rule.action, True, True, "")
    meant = reach.peers.meant(rule.peers)
    peer = meant is None or contains(meant, other)
    here = names_port(reach, placed, subject, other, protocol, port)
    misses = []
    if not peer:
        misses.append(f"its peers ({peers_text(rule.peers)}) do not include the other end")
    if not here:
        misses.append(f"its ports ({ports_text(rule)}) do not include {protocol.value} {port}")
    if not misses:
        misses.append("it is about other pods of the policy")
    return RuleAsked(rule.where, rule.action, peer, here, ", and ".join(misses))


def names_port(
    reach: Reachability, placed: PlacedRule, subject: int, other: int, protocol: Protocol, port: int
) -> bool:
    """True when the rule's ports hold this one on the destination: the subject for ingress, the other end for egress."""
    destination = subject if placed.direction is Direction.INGRESS else other
    peers = reach.peers
    named = peers.named_ports[peers.named_of[destination]] if destination < peers.pods else ()
    if placed.rule.ports is not None and not any(
        ports_of(p, named).contains(protocol, port) for p in placed.rule.ports
    ):
        return False
    return not any(ports_of(p, named).contains(protocol, port) for p in placed.rule.but_ports)
