"""Why a connection that the policies seem to deny may pass all the same.

1. An ipBlock covers a pod or not by its address; where that is not known, a rule with an ipBlock may admit the pod. A pod on the host network
   may be met by other addresses of its node, those of bridges and tunnels, and by any where the Node object was not read.
2. A namespace of which no object was read has labels that are not known; a namespaceSelector may match it, in a peer or in the subject
   of a cluster-wide policy. Its name is known.
3. Domain names are not resolved here; a rule that accepts them may admit any outside address. The same goes for everything else of which
   it is not known what it means (`Unplaced`).

A reason is given only where more may pass than passes already, the other side included. Rules that deny and policies that isolate make
nothing uncertain, for they could only take away what is counted as allowed, unless what they except, or the labels of a namespace that they
seem to mean (by NotIn or DoesNotExist), is not known: then they may take less than they seem to.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import proxy

import numpy as np

from evidence.cluster.model import Direction, IpBlock, Namespace
from evidence.cluster.selectors import LabelSelector
from evidence.reach.addresses import intervals_of
from evidence.reach.classes import PeerId, PodClass
from evidence.reach.endpoints import looks_beyond_names, own_labels
from evidence.reach.nodes import beside
from evidence.reach.ports import PortSet
from evidence.reach.rules import (
    Action,
    Addresses,
    Domains,
    Endpoints,
    Matcher,
    Nodes,
    Pods,
    PortMatch,
    RuleForm,
    Unplaced,
    Within,
)
from evidence.reach.tiers import PlacedPolicy, PlacedRule
from evidence.reach.wording import peer_text

if TYPE_CHECKING:
    from evidence.reach.engine import Reachability

NAME_LABEL = "kubernetes.io/metadata.name"


class Doubts:
    """Doubts about one cluster's connections."""

    def __init__(self, reach: "Reachability") -> None:
        # It holds this, so that with a strong reference the two would be garbage that only a search finds.
        self._reach: Reachability = proxy(reach)
        pods = reach.peers.pods
        self._unaddressed = frozenset(int(found.id) for found in reach.classes if not found.addressed)
        self._beside, self._on_unread = _of_nodes(reach)
        self._nodes_unread = not reach.cluster.nodes or "Node" in reach.cluster.unread_kinds
        self._undeclared = frozenset(
            int(found.id) for found in reach.classes if not reach.cluster.namespaces[found.namespace].declared
        )
        self._subjects: dict[Direction, Mapping[int, Sequence[PlacedPolicy]]] = {
            direction: self._may_select(side.policies) for direction, side in reach.sides.items()
        }
        self._rules: dict[Direction, Mapping[int, Sequence[PlacedRule]]] = {}
        for direction, side in reach.sides.items():
            by_subject: dict[int, list[PlacedRule]] = defaultdict(list)
            for policy in side.policies:
                for rule in policy.rules:
                    if self._undecided(rule.rule):
                        # Its own limits on the policy's pods may be what is not known.
                        subjects = rule.subjects if rule.rule.subjects is None else policy.subjects
                        for number in dict.fromkeys(
                            reach.peers.class_of[end] for end in subjects[subjects < pods].tolist()
                        ):
                            by_subject[number].append(rule)
            self._rules[direction] = by_subject

    def _may_select(self, policies: Sequence[PlacedPolicy]) -> Mapping[int, Sequence[PlacedPolicy]]:
        """For each class whose namespace's labels are not known, the policies that may be about it and do more than deny."""
        found: dict[int, list[PlacedPolicy]] = defaultdict(list)
        for policy in policies if self._undeclared else ():
            subject = policy.form.subject
            if isinstance(subject, Endpoints):  # which may isolate, and no longer do so once the labels are known
                for number in sorted(self._undeclared) if looks_beyond_names(subject.selector) else ():
                    if subject.namespace in (None, self._reach.classes[number].namespace):
                        found[number].append(policy)
                continue
            actions = {rule.action for rules in policy.form.rules.values() for rule in rules}
            giving = bool(actions - {Action.DENY})
            taking = bool(actions - {Action.ACCEPT} or policy.form.isolates)
            for number in sorted(self._undeclared) if subject.namespaces is not None else ():
                if (giving and self._may_mean(subject, number)) or (taking and self._may_not_mean(subject, number)):
                    found[number].append(policy)
        return found

    def _undecided(self, rule: RuleForm) -> bool:
        """True when a rule that lets pass, or on, may match more than it seems to, or one that denies, or passes on, less."""
        matchers = (*rule.peers, *(rule.subjects or ()))
        if rule.action is not Action.DENY and any(self._doubtful(matcher) for matcher in matchers):
            return True
        return rule.action is not Action.ACCEPT and any(self._may_shrink(matcher) for matcher in matchers)

    def _may_shrink(self, matcher: Matcher) -> bool:
        match matcher:
            case Endpoints() | Pods():
                return self._doubtful(matcher)
            case Within():
                return any(self._doubtful(part) for part in matcher.none) or any(
                    self._may_shrink(part) for union in matcher.every for part in union
                )
            case _:
                return False

    def _doubtful(self, peer: Matcher) -> bool:
        match peer:
            case Endpoints():
                return bool(self._undeclared) and looks_beyond_names(peer.selector)
            case IpBlock() | Addresses():
                return bool(self._unaddressed or self._on_unread) or any(self._covers(peer, n) for n in self._beside)
            case Nodes():
                return bool(self._unaddressed) or self._nodes_unread
            case Pods(namespaces=LabelSelector() as selector):
                return bool(self._undeclared) and any(need.key != NAME_LABEL for need in selector.requirements)
            case Domains() | Unplaced():
                return True
            case Within():
                return any(self._doubtful(part) for union in peer.every for part in union)
            case _:
                return False

    def concerned(self, direction: Direction) -> frozenset[PeerId]:
        """Classes whose own side of this direction something unknown may widen; a connection without one at its end is certain."""
        return frozenset(PeerId(number) for number in (*self._rules[direction], *self._subjects[direction]))

    def between(self, source: PeerId, destination: PeerId, asked: PortSet) -> tuple[str, ...]:
        """Reasons for which more of the asked ports than computed may pass from source to destination."""
        reach = self._reach
        out = list(self._reasons(Direction.EGRESS, source, destination))
        into = list(self._reasons(Direction.INGRESS, destination, source))
        if not out and not into:
            return ()
        sent, admitted = reach.egress_ports(source, destination), reach.ingress_ports(source, destination)
        passing = reach.ports(source, destination)
        may_send, may_admit = sent, admitted
        for ports, _ in out:
            may_send = may_send | ports
        for ports, _ in into:
            may_admit = may_admit | ports
        reasons = {text for ports, text in out if (ports & may_admit & asked) - passing}
        reasons |= {text for ports, text in into if (ports & may_send & asked) - passing}
        return tuple(sorted(reasons))

    def _reasons(self, direction: Direction, subject: PeerId, other: PeerId) -> Iterator[tuple[PortSet, str]]:
        for policy in self._subjects[direction].get(subject, ()):
            space = self._reach.classes[subject].namespace
            yield (
                PortSet.all(),
                f"the labels of namespace {space} are not known, so whether {policy.form.policy.key} is about its pods is not",
            )
        for placed in self._rules[direction].get(subject, ()):
            for reason in self._of_rule(placed.rule, subject, other):
                destination = other if direction is Direction.EGRESS else subject
                ports = self._ports(placed, destination)
                yield ports, f"{placed.form.policy.key} {placed.rule.where}: {reason}"

    def _of_rule(self, rule: RuleForm, subject: PeerId, other: PeerId) -> Iterator[str]:
        ends = [(peer, other) for peer in rule.peers] + [(matcher, subject) for matcher in rule.subjects or ()]
        for matcher, end in ends:
            reason = self._reason(matcher, end) if rule.action is not Action.DENY else ""
            if not reason and rule.action is not Action.ACCEPT:
                reason = self._shrinking(matcher, end)
            if reason:
                yield reason

    def _shrinking(self, matcher: Matcher, end: PeerId) -> str:
        """Why the matcher may not mean an end although it seems to."""
        if isinstance(matcher, Endpoints):
            return self._reason(matcher, end)
        if isinstance(matcher, Pods) and end in self._undeclared and self._may_not_mean(matcher, end):
            space = self._reach.classes[end].namespace
            return f"the labels of namespace {space} are not known, so namespaceSelector {matcher.namespaces} may not match it"
        if not isinstance(matcher, Within):
            return ""
        meant = self._reach.peers.meant((matcher,))
        if meant is not None and not np.isin(list(self._reach.ends(end)), meant).any():
            return ""
        return next(
            (
                reason
                for reason in (
                    *(self._reason(part, end) for part in matcher.none),
                    *(self._shrinking(part, end) for union in matcher.every for part in union),
                )
                if reason
            ),
            "",
        )

    def _reason(self, peer: Matcher, other: PeerId) -> str:
        """Why the peer may mean the other end although it does not seem to; "" when that is certain."""
        outside = other >= len(self._reach.classes)
        match peer:
            case IpBlock() | Addresses() | Nodes():
                return self._reason_by_address(peer, other)
            case Endpoints() if other in self._undeclared and looks_beyond_names(peer.selector):
                found = self._reach.classes[other]
                if found.host_network or peer.namespace not in (None, found.namespace):
                    return ""
                return f"the labels of namespace {found.namespace} are not known, so whether {peer.selector} means it is not"
            case Pods() if other in self._undeclared and self._may_mean(peer, other):
                space = self._reach.classes[other].namespace
                return f"the labels of namespace {space} are not known, so namespaceSelector {peer.namespaces} may match it"
            case Domains() if outside:
                return f"the addresses of {', '.join(peer.names)} are not known"
            case Unplaced():
                on_host = not outside and self._reach.classes[other].host_network
                meant = peer.outside if outside else peer.nodes if on_host else peer.pods
                return peer.why if meant else ""
            case Within():
                return self._reason_within(peer, other)
        return ""

    def _reason_by_address(self, peer: IpBlock | Addresses | Nodes, other: PeerId) -> str:
        """Why an address that is not known may be the other end's."""
        match peer:
            case IpBlock():
                what = f"ipBlock {peer.cidr}"
            case Addresses():
                what = f"the networks {peer_text(peer)}"
            case Nodes():
                what = "the node selector"
                if other >= len(self._reach.classes) and self._nodes_unread:
                    return f"not every node was read, so {what} may mean it"
        if other in self._unaddressed:
            return f"the address of {self._named(other)} is not known, so {what} may cover it"
        if isinstance(peer, Nodes):
            return ""
        if other in self._on_unread and not self._means((peer,), other):
            return f"the node of {self._named(other)} was not read, so {what} may cover another address of it"
        if other in self._beside and self._covers(peer, other):
            return f"the node of {self._named(other)} may be met by another address, which {what} covers"
        return ""

    def _reason_within(self, peer: Within, other: PeerId) -> str:
        """A part that may mean the other end, where every other part does or may, and nothing takes it out again."""
        if peer.none and self._means(peer.none, other):
            return ""
        reasons = [
            next((text for part in union if (text := self._reason(part, other))), "")
            for union in peer.every
            if not self._means(union, other)
        ]
        return reasons[0] if reasons and all(reasons) else ""

    def _covers(self, block: IpBlock | Addresses, number: int) -> bool:
        """True when a block covers an address of a class's nodes beside theirs, and does not mean all of the class anyway."""
        covered = intervals_of(block) if isinstance(block, IpBlock) else block.intervals
        held = any(
            family == version and first <= address < after
            for family, first, after in covered
            for version, address in self._beside[number]
        )
        return held and not self._means((block,), PeerId(number))

    def _means(self, matchers: Iterable[Matcher], other: PeerId) -> bool:
        """True when the matchers mean every way into the other end."""
        meant = self._reach.peers.meant(matchers)
        return meant is None or all((meant == end).any() for end in self._reach.ends(other))

    def _may_mean(self, peer: Pods, number: int) -> bool:
        """True when the pods of a class in a namespace without an object may be meant, though they do not seem to be."""
        found = self._reach.classes[number]
        space = self._reach.cluster.namespaces[found.namespace]
        return (
            not found.host_network
            and peer.namespaces is not None
            and _may_match(peer.namespaces, space)
            and _pods_match(peer, found)
        )

    def _may_not_mean(self, peer: Pods, number: int) -> bool:
        """True when the pods of a class in a namespace without an object seem to be meant, and may not be."""
        found = self._reach.classes[number]
        selector = peer.namespaces
        return (
            not found.host_network
            and selector is not None
            and selector.matches(self._reach.cluster.namespaces[found.namespace].labels)
            and any(need.key != NAME_LABEL for need in selector.requirements)
            and _pods_match(peer, found)
        )

    def _named(self, peer_id: int) -> str:
        pods = self._reach.classes[peer_id].pods
        return f"pod {pods[0].key}" + (f" and {len(pods) - 1} more" if len(pods) > 1 else "")

    def _ports(self, placed: PlacedRule, destination: PeerId) -> PortSet:
        if placed.rule.ports is None:
            return PortSet.all()
        named = self._reach.classes[destination].named_ports if destination < len(self._reach.classes) else ()
        found = PortSet.none()
        for port in placed.rule.ports:
            found = found | ports_of(port, named)
        return found


def _of_nodes(reach: "Reachability") -> tuple[Mapping[int, Sequence[tuple[int, int]]], frozenset[int]]:
    """By class of pods on the host network the addresses of their nodes (family and number) beside those that the pods are known by; and the
    classes with a pod whose Node object was not read."""
    nodes = {node.name: node for node in reach.cluster.nodes}
    others: dict[int, Sequence[tuple[int, int]]] = {}
    unread = set()
    for found in reach.classes:
        if found.host_network:
            on = [nodes.get(pod.node) for pod in found.pods]
            every = (address for node in on if node is not None for address in beside(node))
            addresses = dict.fromkeys((address.version, int(address)) for address in every)
            if addresses:
                others[int(found.id)] = tuple(addresses)
            if found.addressed and None in on:
                unread.add(int(found.id))
    return others, frozenset(unread)


def ports_of(port: PortMatch, named: Sequence[tuple[str, object, int]]) -> PortSet:
    """What one entry of a rule's ports means on a destination with these named ports."""
    if isinstance(port.port, str):
        found = PortSet.none()
        for name, protocol, number in named:
            if name == port.port and port.protocol in (None, protocol):
                found = found | PortSet.of(protocol, number)  # type: ignore[arg-type]
        return found
    if port.protocol is None:
        return PortSet.all()
    if port.port is None:
        return PortSet.of(port.protocol, 1, 65535)
    return PortSet.of(port.protocol, port.port, port.end_port)


def _may_match(selector: LabelSelector, space: Namespace) -> bool:
    """True when a selector that does not match the known labels could match others beside the name."""
    if selector.matches(space.labels):
        return False
    return all(need.matches(space.labels) for need in selector.requirements if need.key == NAME_LABEL)


def _pods_match(peer: Pods, found: PodClass) -> bool:
    """A class may mix labels that only a selector of unknown reach looks at, so every pod is asked."""
    return peer.pods is None or any(peer.pods.matches(own_labels(pod)) for pod in found.pods)
