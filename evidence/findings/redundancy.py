"""Family plumbing, redundancy: rules and policies that others already say.

Containment is decided on what is written, not on today's pods, so a rule that is called redundant stays so whatever is deployed:
a selector is narrower when every clause of the wider one follows from one of its own; a block when its addresses lie within; ports by number
or by the same name. What cannot be shown this way is not reported.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, PodPeer, PolicyPort
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.findings.addresses import within
from evidence.findings.finding import Severity, shortened
from evidence.findings.index import RuleAt, pods_of, policy_evidence, policy_subject
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.reach.ports import PortSet
from evidence.values import value


@value()
class Redundant:
    """A rule, and the rule that makes it redundant."""

    at: RuleAt
    by: RuleAt


@rule(
    "NET-017",
    title="Policy or rule that another makes redundant",
    severity=Severity.INFO,
    family="plumbing",
    why="The rule allows nothing that another one does not allow already. It does no harm, but it hides: removing or narrowing one of the two "
    "changes nothing, and a reviewer has to read both.",
    mend="Remove the rule (or the whole policy, where the finding says so), or narrow the one that covers it if that is the one that is too wide.",
    needs=("NetworkPolicy",),
)
def redundant(context: Context) -> Looked:
    """Rules covered by one other rule of the namespace, joined to one finding where they are all that a policy has."""
    rules: dict[tuple[str, Direction], list[RuleAt]] = defaultdict(list)
    for at in context.index.rules(Direction.INGRESS, Direction.EGRESS):
        rules[at.policy.namespace, at.direction].append(at)
    found: dict[tuple[str, str], list[Redundant]] = defaultdict(list)
    for group in rules.values():
        for one in context.lasting.of(_among, *group):
            found[one.at.policy.namespace, one.at.policy.name].append(one)
    hits = []
    for group_found in found.values():
        hits += _hits(context, group_found)
    return Looked(sum(len(group) for group in rules.values()), tuple(hits))


def _among(*group: RuleAt) -> tuple[Redundant, ...]:
    """Those of some rules, of one namespace and direction, that another one of them covers."""
    wider = Wider(group)
    found = []
    for at in group:
        by = next(
            (
                other
                for other in wider.than(at)
                if covers(other, at) and not (covers(at, other) and _order(at) < _order(other))
            ),
            None,
        )
        if by:
            found.append(Redundant(at, by))
    return tuple(found)


class Wider:
    """Rules by a clause of their policy's podSelector, so that each is held against those only whose pods may include its own."""

    def __init__(self, rules: Sequence[RuleAt]) -> None:
        self._by_clause: dict[tuple[str, str | None] | None, list[tuple[int, RuleAt]]] = defaultdict(list)
        for number, at in enumerate(rules):
            for clause in _clauses(at.policy.pod_selector):
                self._by_clause[clause].append((number, at))

    def than(self, at: RuleAt) -> Iterator[RuleAt]:
        """Candidates, in the order of the rules: all whose first clause may follow from one of this rule's."""
        asked: set[tuple[str, str | None] | None] = {None}
        for need in at.policy.pod_selector.requirements:
            asked.add((need.key, None))
            if need.operator is Operator.IN:
                asked.add((need.key, need.values[0]))
        found = {number: other for clause in asked for number, other in self._by_clause.get(clause, ())}
        for number in sorted(found):
            yield found[number]


def _clauses(selector: LabelSelector) -> list[tuple[str, str | None] | None]:
    """Under what a wide selector is looked up: each value of its first clause, or the clause's key; None when it has no clause."""
    if not selector.requirements:
        return [None]
    first = selector.requirements[0]
    return [(first.key, value) for value in first.values] if first.operator is Operator.IN else [(first.key, None)]


def _order(at: RuleAt) -> tuple[str, int]:
    return at.policy.name, at.number


def _hits(context: Context, found: Sequence[Redundant]) -> list[Hit]:
    policy = found[0].at.policy
    pods = pods_of(context.index.selected(policy))
    others = {r.by.policy.key: r.by.policy for r in found if r.by.policy.key != policy.key}
    if _isolates_nothing_more(policy, list(others.values())) and len(found) == sum(
        len(policy.rules(d)) for d in policy.policy_types
    ):
        names = shortened([str(other.key) for other in others.values()])
        return [
            Hit(
                subject=policy_subject(policy),
                message=f"the whole policy is redundant: {names} selects the same pods and allows everything that it allows",
                evidence=(policy_evidence(policy), *(r.by.evidence for r in found)),
                pods=pods,
                discriminator="policy",
                details=tuple(f"{r.at.where} by {r.by}" for r in found),
            )
        ]
    return [
        Hit(
            subject=policy_subject(policy),
            message=f"{r.at.where} allows nothing that {r.by} does not allow",
            evidence=(r.at.evidence, r.by.evidence),
            pods=pods,
            discriminator=r.at.content,
        )
        for r in found
    ]


def _isolates_nothing_more(policy: NetworkPolicy, others: Sequence[NetworkPolicy]) -> bool:
    """True when others isolate at least the policy's pods in each of its directions, so that dropping it opens nothing."""
    return bool(others) and all(
        any(direction in other.policy_types and follows(policy.pod_selector, other.pod_selector) for other in others)
        for direction in policy.policy_types
    )


def covers(wide: RuleAt, narrow: RuleAt) -> bool:
    """True when `wide` allows everything that `narrow` allows, for all pods of the narrow one's policy. Same namespace and direction."""
    if wide is narrow or (wide.policy.key == narrow.policy.key and wide.number == narrow.number):
        return False
    if not follows(narrow.policy.pod_selector, wide.policy.pod_selector):
        return False
    return _ports_within(narrow.rule.ports, wide.rule.ports) and _peers_within(narrow.rule.peers, wide.rule.peers)


def follows(narrow: LabelSelector, wide: LabelSelector) -> bool:
    """True when whatever the narrow selector matches the wide one matches, too."""
    return all(any(_implies(have, need) for have in narrow.requirements) for need in wide.requirements)


def _implies(have: Requirement, need: Requirement) -> bool:
    if have.key != need.key:
        return False
    match need.operator:
        case Operator.IN:
            return have.operator is Operator.IN and set(have.values) <= set(need.values)
        case Operator.EXISTS:
            return have.operator in (Operator.IN, Operator.EXISTS)
        case Operator.DOES_NOT_EXIST:
            return have.operator is Operator.DOES_NOT_EXIST
        case Operator.NOT_IN:
            if have.operator is Operator.IN:
                return not set(have.values) & set(need.values)
            return have.operator is Operator.DOES_NOT_EXIST or (
                have.operator is Operator.NOT_IN and set(need.values) <= set(have.values)
            )


def _peers_within(narrow: Sequence[PodPeer | IpBlock], wide: Sequence[PodPeer | IpBlock]) -> bool:
    if not wide:
        return True
    return bool(narrow) and all(any(_peer_within(one, other) for other in wide) for one in narrow)


def _peer_within(narrow: PodPeer | IpBlock, wide: PodPeer | IpBlock) -> bool:
    if isinstance(narrow, IpBlock) and isinstance(wide, IpBlock):
        return within(narrow, wide)
    if isinstance(narrow, PodPeer) and isinstance(wide, PodPeer):
        every = LabelSelector()
        if not follows(narrow.pod_selector or every, wide.pod_selector or every):
            return False
        if wide.namespace_selector is None:
            return narrow.namespace_selector is None
        return not wide.namespace_selector.requirements or (
            narrow.namespace_selector is not None and follows(narrow.namespace_selector, wide.namespace_selector)
        )
    return False


def _ports_within(narrow: Sequence[PolicyPort], wide: Sequence[PolicyPort]) -> bool:
    if not wide:
        return True
    if not narrow:
        return False
    numbers = _numbers(wide)
    names = {(port.protocol, port.port) for port in wide if isinstance(port.port, str)}
    every = {port.protocol for port in wide if port.port is None}
    for port in narrow:
        if isinstance(port.port, str):
            if (port.protocol, port.port) not in names and port.protocol not in every:
                return False
        elif _numbers([port]) - numbers:
            return False
    return True


def _numbers(ports: Sequence[PolicyPort]) -> PortSet:
    found = PortSet.none()
    for port in ports:
        if port.port is None:
            found = found | PortSet.of(port.protocol, 1, 65535)
        elif isinstance(port.port, int):
            found = found | PortSet.of(port.protocol, port.port, port.end_port or port.port)
    return found
