"""Observed flows beside computed ones: which rules allowed them, and where the two disagree.

1. What passed at the destination has passed both sides; what passed at the source, its egress only. Where the log does not say where it looked,
   only the source's side is known to have been passed.
2. A contradiction is claimed only of connections between pods that the snapshot holds, or between such a pod and an address that can only be outside
   (a global one): a private address may have been a Service's, a node's, or a pod's between two snapshots.
3. It takes that every pod of the one workload is denied to every pod of the other, for certain, and that the connection began then. One that had
   begun earlier may be older than the policies; one whose beginner is not known may have been an answer, where the reverse may connect.
4. A rule is used by every connection that it matches, whether or not others match it, too. Where one end is not known, every rule that could have
   matched counts as used: only what is surely unused may be called so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address
from itertools import product

from evidence.cluster.model import Direction, Pod, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.observe.model import Began, End, ObservedFlow, Outcome, Side
from evidence.reach.engine import Reachability
from evidence.reach.explain import Explanation, Point, explain, matches
from evidence.reach.query import address_point, pod_point
from evidence.reach.rules import Action
from evidence.reach.tiers import PlacedRule

_MAYBE_ANSWER = "it may have been an answer: the log does not say who began"
PASSED = (Outcome.ALLOWED, Outcome.AUDITED)
_OF_A_PEER = 2  # pods that stand for their class: two, so that there is a pair within it


class Verdict(StrEnum):
    """How an observed flow stands to the computation."""

    AGREES = "as computed"
    CONTRADICTS = "passed, computed as denied"
    STOPPED = "denied, computed as allowed"
    NOT_DETERMINED = "not determined"


@dataclass(frozen=True, slots=True, order=True)
class RuleAt:
    """A rule by its policy and place ("spec.ingress[0]")."""

    policy: ObjectKey
    where: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.policy} {self.where}"


@dataclass(frozen=True, slots=True)
class TiedFlow:
    """A flow with the verdict, why, and the rules that match it. `source_pods` and `destination_pods` are the pods that it may concern."""

    flow: ObservedFlow
    verdict: Verdict
    reason: str
    rules: tuple[RuleAt, ...] = ()
    source_pods: tuple[Pod, ...] = ()
    destination_pods: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an end: points that stand for it, its pods, and why more cannot be said ("" when nothing is in doubt)."""

    points: tuple[Point, ...]
    pods: tuple[Pod, ...] = ()
    doubt: str = ""


class Ties:
    """Ties flows to one cluster's computation; answers are remembered."""

    def __init__(self, reach: Reachability) -> None:
        self._reach = reach
        self._pods = {(pod.namespace, pod.name): pod for pod in reach.cluster.pods}
        self._of_workload: dict[tuple[str, str], list[Pod]] = defaultdict(list)
        for pod in reach.cluster.pods:
            self._of_workload[pod.workload.namespace, f"{pod.workload.kind}/{pod.workload.name}"].append(pod)
        self._nodes = {address for node in reach.cluster.nodes for address in node.addresses}
        self._nodes |= {address for pod in reach.cluster.pods for address in pod.node_addresses}
        self._pod_addresses = {address for pod in reach.cluster.pods if not pod.finished for address in pod.addresses}
        self._known: dict[End, _Known] = {}
        self._asked: dict[tuple[object, ...], Explanation] = {}
        self._rules: dict[tuple[object, ...], tuple[RuleAt, ...]] = {}
        self._tied: dict[tuple[object, ...], TiedFlow] = {}

    def tie(self, flow: ObservedFlow) -> TiedFlow:
        """One flow with its verdict."""
        kind = (flow.source, flow.destination, flow.protocol, flow.port, flow.outcome, flow.side, flow.began)
        known = self._tied.get(kind)
        if known is None:
            known = self._tied[kind] = self._weigh(flow)
        return known if known.flow is flow else replace(known, flow=flow)

    def _weigh(self, flow: ObservedFlow) -> TiedFlow:
        source, destination = self._end(flow.source), self._end(flow.destination)
        if flow.protocol not in set(Protocol):
            return TiedFlow(flow, Verdict.NOT_DETERMINED, f"policies do not tell {flow.protocol} apart")
        if not flow.port:
            return self._in_doubt(flow, source, destination, "the log does not name the port")
        if flow.outcome is Outcome.LOST:
            return self._in_doubt(flow, source, destination, "it was dropped for another reason than policy")
        doubt = source.doubt or destination.doubt
        if not source.points or not destination.points:
            return self._in_doubt(flow, source, destination, doubt)
        found = self._explained(flow, source, destination)
        verdict, reason = self._passed(flow, found, doubt) if flow.outcome in PASSED else _stopped(flow, found, doubt)
        if verdict is Verdict.CONTRADICTS and (why := self._not_begun(flow, source, destination)):
            verdict, reason = Verdict.NOT_DETERMINED, why
        rules = self._matching(flow, source, destination) if flow.outcome in PASSED else ()
        return TiedFlow(flow, verdict, reason, rules, source.pods, destination.pods)

    # -- ends

    def _end(self, end: End) -> _Known:
        if end not in self._known:
            self._known[end] = self._find(end)
        return self._known[end]

    def _find(self, end: End) -> _Known:
        if end.address:
            return self._address(end.address)
        if end.workload:
            pods = self._of_workload.get((end.namespace, end.workload), [])
        elif end.pod.endswith("*"):
            pods = [
                pod
                for (namespace, name), pod in self._pods.items()
                if namespace == end.namespace and name.startswith(end.pod[:-1])
            ]
        else:
            pods = [pod] if (pod := self._pods.get((end.namespace, end.pod))) else []
        living = tuple(pod for pod in pods if not pod.finished)
        if not living:
            return _Known((), doubt=f"{end} is not in the snapshot" if end.namespace else f"{end} is no single place")
        doubt = f"{end} is on its node's network" if any(pod.host_network for pod in living) else ""
        return _Known(tuple(self._representatives(living)), living, doubt)

    def _address(self, text: str) -> _Known:
        address = ip_address(text)
        point = (address_point(self._reach, address),)
        if point[0].peer is None:
            return _Known(point, doubt=f"{text} is no address outside the cluster that policies tell apart")
        if address in self._nodes:
            return _Known(point, doubt=f"{text} is a node's: who sent it cannot be told")
        if address in self._pod_addresses or not address.is_global:
            return _Known(point, doubt=f"{text} may be a pod's, a Service's or a node's")
        return _Known(point)

    def _representatives(self, pods: Iterable[Pod]) -> Iterator[Point]:
        seen: dict[object, int] = defaultdict(int)
        for pod in pods:
            point = pod_point(self._reach, pod)
            seen[point.peer] += 1
            if seen[point.peer] <= _OF_A_PEER:
                yield point

    # -- what was computed

    def _explained(self, flow: ObservedFlow, source: _Known, destination: _Known) -> tuple[Explanation, ...]:
        """One answer for each pair of classes that the ends may be of; which pod of a class it is matters only where a node may be the source."""
        protocol = Protocol(flow.protocol)
        answers = {}
        for a, b in product(source.points, destination.points):
            if a.pod is not None and a.pod is b.pod:
                continue
            kind = (a.peer, b.peer, protocol, flow.port, *((flow.source, b.name) if source.doubt else ()))
            if kind not in self._asked:
                self._asked[kind] = explain(self._reach, a, b, protocol, flow.port)
            answers[kind] = self._asked[kind]
        if not answers:  # a pod with itself
            return (explain(self._reach, source.points[0], destination.points[0], protocol, flow.port),)
        return tuple(answers.values())

    def _passed(self, flow: ObservedFlow, found: Sequence[Explanation], doubt: str) -> tuple[Verdict, str]:
        if flow.side is Side.DESTINATION:
            computed = [answer for answer in found if answer.allowed]
        else:
            computed = [answer for answer in found if answer.egress.allowed]
        if computed:
            best = computed[0]
            if flow.side is Side.UNKNOWN and not any(answer.allowed for answer in computed):
                return Verdict.NOT_DETERMINED, "the source's side allows it; whether it was let in is not said"
            return Verdict.AGREES, best.ingress.reason if flow.side is Side.DESTINATION else best.egress.reason
        if doubt:
            return Verdict.NOT_DETERMINED, doubt
        uncertain = next((why for answer in found for why in answer.uncertain), "") or self._not_evaluated
        if uncertain:
            return Verdict.NOT_DETERMINED, uncertain
        first = found[0]
        sides = [("egress", first.egress), ("ingress", first.ingress)]
        denied = "; ".join(f"{name}: {side.reason}" for name, side in sides if not side.allowed)
        return Verdict.CONTRADICTS, denied

    @cached_property
    def _not_evaluated(self) -> str:
        policies = self._reach.unevaluated
        return f"{policies[0].key} was not evaluated and could allow it" if policies else ""

    def _not_begun(self, flow: ObservedFlow, source: _Known, destination: _Known) -> str:
        """Why the source may not have begun the connection at that time; "" when it did."""
        if flow.began is Began.EARLIER:
            return "it had begun earlier, maybe before the policies were as they are"
        if flow.began is Began.UNKNOWN and self._answered(flow, source, destination):
            return _MAYBE_ANSWER
        return ""

    def _answered(self, flow: ObservedFlow, source: _Known, destination: _Known) -> bool:
        """True when the destination may connect to the source on any port of the protocol."""
        for a, b in product(destination.points, source.points):
            if a.peer is None or b.peer is None:
                return True
            if any(found.protocol == flow.protocol for found in self._reach.ports(a.peer, b.peer).ranges):
                return True
        return False

    # -- rules

    def _in_doubt(self, flow: ObservedFlow, source: _Known, destination: _Known, why: str) -> TiedFlow:
        rules = self._matching(flow, source, destination) if flow.outcome in PASSED else ()
        return TiedFlow(flow, Verdict.NOT_DETERMINED, why, rules, source.pods, destination.pods)

    def _matching(self, flow: ObservedFlow, source: _Known, destination: _Known) -> tuple[RuleAt, ...]:
        key = (flow.source, flow.destination, flow.protocol, flow.port)
        if key not in self._rules:
            protocol = Protocol(flow.protocol)
            atom = self._reach.port_ids.atom(protocol, flow.port) if flow.port else None
            found = {
                *self._side_rules(Direction.EGRESS, source, destination, atom),
                *self._side_rules(Direction.INGRESS, destination, source, atom),
            }
            self._rules[key] = tuple(sorted(found))
        return self._rules[key]

    def _side_rules(self, direction: Direction, subject: _Known, other: _Known, atom: int | None) -> Iterator[RuleAt]:
        others = [end for point in other.points for end in point.ends]
        if other.doubt:
            others = []  # any
        for point in subject.points:
            if point.pod is None or point.peer is None:
                continue
            for placed in self._reach.selecting(point.peer, direction):
                for rule in placed.rules:
                    if rule.rule.action is Action.ACCEPT and self._may_match(rule, point.ends, others, atom):
                        yield rule_at(rule)

    def _may_match(self, rule: PlacedRule, subjects: Sequence[int], others: Sequence[int], atom: int | None) -> bool:
        if atom is None:
            return True
        if not others:
            return any(self._reach.port_ids.holds(part.ports, atom) for part in rule.parts)
        return any(matches(self._reach, rule, subject, other, atom) for subject in subjects for other in others)


def rule_at(rule: PlacedRule) -> RuleAt:
    return RuleAt(rule.form.policy.key, rule.rule.where, rule.direction)


def _stopped(flow: ObservedFlow, found: Sequence[Explanation], doubt: str) -> tuple[Verdict, str]:
    for answer in found:
        for side, reason in ((Side.SOURCE, answer.egress), (Side.DESTINATION, answer.ingress)):
            if not reason.allowed and flow.side in (side, Side.UNKNOWN):
                return Verdict.AGREES, reason.reason
    if doubt or flow.began is not Began.HERE:
        return Verdict.NOT_DETERMINED, doubt or _MAYBE_ANSWER
    return Verdict.STOPPED, f"egress: {found[0].egress.reason}; ingress: {found[0].ingress.reason}"
