"""The smallest change to policies that turns what one side says of a connection.

1. To allow what isolation denies: one rule, for this peer and port alone, in the isolating NetworkPolicy that selects the fewest pods.
   A policy of Calico's gets it as its last rule, limited to this pod where the policy selects others, too.
2. To allow what a rule of a cluster-wide policy, or of Calico's, denies: an Accept rule before it.
3. To deny what NetworkPolicies allow: every rule that admits it is narrowed or goes, because they add up. A rule first loses the peers that
   match (an ipBlock gets an exception), where peers are left over; else the port, where ports are left over; else it goes. What a rule of
   Calico's would allow once they are out of the way is denied, too.
4. To deny what a cluster-wide policy, or one of Calico's, allows: a Deny rule before the one that matches, in each policy of that priority.
   The same before a rule of Calico's that passes what nothing restricts afterwards.
5. To allow what only policies of other kinds deny by isolation: a new NetworkPolicy with the rule.
6. To deny what nothing restricts: a new NetworkPolicy that isolates the pod. There is no smaller one; NetworkPolicies cannot deny.
7. Cilium's policies can: `evidence.reach.ciliumturning`.

Several addresses of a pod may be decided by different rules: the change covers all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from evidence.cluster.calico import CalicoPolicy
from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import Direction, NetworkPolicy, PolicyPort, Rule
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import Action
from evidence.reach.asked import pods_selected
from evidence.reach.changes import AnyEdit, Change, Edit
from evidence.reach.cilium import DENY as CILIUM_DENY
from evidence.reach.ciliumedits import CiliumEdit, kept_closed
from evidence.reach.ciliumturning import admitting, denying, lifted, shutting
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.explain import Decision, decide, matches
from evidence.reach.inserting import appended, inserted, number_of, peers_of, unworkable
from evidence.reach.manifests import own_labels
from evidence.reach.narrowing import narrowed
from evidence.reach.question import Asked, Pair, Turned
from evidence.reach.rules import NETWORK_POLICY
from evidence.reach.tiers import PlacedPolicy, PlacedRule

__all__ = ["Asked", "Turned", "turning"]


class _NoChangeError(Exception):
    """Why there is none."""


@dataclass(slots=True)
class _Drafts:
    """A change in the making."""

    edits: dict[tuple[object, ...], AnyEdit] = field(default_factory=dict)
    sentences: dict[str, None] = field(default_factory=dict)
    new: dict[ObjectKey, NetworkPolicy] = field(default_factory=dict)
    beside: dict[str, None] = field(default_factory=dict)

    def edit(self, edit: AnyEdit, sentence: str, beside: str = "") -> None:
        place = edit.place if isinstance(edit, CiliumEdit) else (edit.number,)
        self.edits[edit.policy.key, *place] = edit
        self.sentences[sentence] = None
        self.beside[beside] = None

    def add(self, policy: NetworkPolicy, sentence: str) -> None:
        self.new[policy.key] = policy
        self.sentences[sentence] = None

    def change(self) -> Change:
        edits = list(self.edits.values())
        of_cilium = [edit for edit in edits if isinstance(edit, CiliumEdit)]
        return Change(
            tuple(self.sentences),
            (*(edit for edit in edits if isinstance(edit, Edit)), *kept_closed(of_cilium)),
            tuple(self.new.values()),
            " ".join(filter(None, self.beside)),
        )


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
    try:
        drafts = _closed(asked, concerned, atom) if allowed else _opened(asked, concerned, atom)
    except _NoChangeError as error:
        return Turned(None, str(error))
    return Turned(drafts.change())


# -- to allow -----------------------------------------------------------------------------------------------------------


def _opened(asked: Asked, decisions: Sequence[tuple[Pair, Decision]], atom: int) -> _Drafts:
    drafts = _Drafts()
    shut: dict[int, tuple[PlacedRule, list[Pair]]] = {}
    for pair, found in decisions:
        decision = found
        if found.rules and found.rules[0].form.tier == CILIUM_DENY:
            for rule in shutting(asked, pair, atom):
                shut.setdefault(id(rule), (rule, []))[1].append(pair)
            decision = decide(asked.reach, asked.direction, *pair, atom, without=CILIUM_DENY)
        if decision.allowed:
            continue
        if decision.isolating:
            _admit(asked, decision.isolating, drafts)
        else:
            first = decision.rules[0]
            edit = inserted(asked, first, Action.ACCEPT)
            if edit is None:
                raise _NoChangeError(unworkable(asked, first))
            where = f"{first.form.policy.key} before {first.rule.where}"
            drafts.edit(edit, f"add to {where} a rule that accepts it {asked.what}")
    for rule, pairs in shut.values():
        drafts.edit(*lifted(asked, rule, pairs))
    return drafts


def _admit(asked: Asked, isolating: Sequence[PlacedPolicy], drafts: _Drafts) -> None:
    """Let one of the isolating policies admit it, or a new one."""
    pod = asked.subject.pod
    placed = _narrowest(asked.reach, isolating)
    if placed is None and (own := admitting(asked, isolating)):
        drafts.edit(own[0], f"add to {own[0].policy.key} {own[0].section} an entry {asked.what}", own[1])
        return
    peers = peers_of(asked, pod.namespace if pod else "")
    if not peers:
        raise _NoChangeError(f"the addresses of {asked.other.name} are not known, and no selector means it")
    rule = Rule(peers, (PolicyPort(asked.protocol, asked.port),))
    policy = placed.form.policy if placed else None
    if placed is not None and isinstance(policy, NetworkPolicy):
        edit = Edit(policy, asked.direction, len(policy.rules(asked.direction)), rule, insert=True)
        drafts.edit(edit, f"add to {policy.key} an {asked.field} rule {asked.what}")
        drafts.beside[_beside_added(asked, placed)] = None
    elif placed is not None and (last := appended(asked, placed)):
        drafts.edit(last, f"add to {last.policy.key} a last {asked.field} rule that accepts it {asked.what}")
    elif isolating[0].form.tier != NETWORK_POLICY:
        raise _NoChangeError(unworkable(asked, isolating[0]))
    else:
        added = _new(asked, "allow", (rule,))
        drafts.add(added, f"add {added.key}, which allows it {asked.what}")


def _narrowest(reach: Reachability, policies: Iterable[PlacedPolicy]) -> PlacedPolicy | None:
    """The one that selects the fewest pods, NetworkPolicies first; None where no change to any of them is known here."""

    def place(placed: PlacedPolicy) -> tuple[bool, int, ObjectKey]:
        policy = placed.form.policy
        return not isinstance(policy, NetworkPolicy), pods_selected(reach, placed), policy.key

    known = [placed for placed in policies if isinstance(placed.form.policy, NetworkPolicy | CalicoPolicy)]
    return min((placed for placed in known if placed.form.policy not in reach.unevaluated), key=place, default=None)


def _beside_added(asked: Asked, placed: PlacedPolicy) -> str:
    count = pods_selected(asked.reach, placed)
    said = [f"It opens the same for all {count} pods that the policy selects."] if count > 1 else []
    pod = asked.other.pod
    if pod is not None and not pod.host_network and not own_labels([pod]).requirements:
        said.append(f"{asked.other.name} has no labels of its own, so that every pod of its namespace is named.")
    return " ".join(said)


# -- to deny ------------------------------------------------------------------------------------------------------------


def _closed(asked: Asked, decisions: Sequence[tuple[Pair, Decision]], atom: int) -> _Drafts:
    drafts = _Drafts()
    if _fits_cilium(asked, decisions, atom) and (own := denying(asked, [pair for pair, _ in decisions])):
        edit, beside = own
        drafts.edit(edit, f"add to {edit.policy.key} {edit.section} an entry that denies it {asked.what}", beside)
        return drafts
    admitted: dict[tuple[ObjectKey, int], list[Pair]] = {}
    placed_at: dict[tuple[ObjectKey, int], PlacedRule] = {}
    for pair, decision in decisions:
        added = any(rule.form.adds for rule in decision.rules)
        for rule in _admitting(asked, pair, atom) if added else ():
            if not isinstance(rule.form.policy, NetworkPolicy):
                raise _NoChangeError(unworkable(asked, rule))
            place = (rule.form.policy.key, number_of(rule))
            admitted.setdefault(place, []).append(pair)
            placed_at[place] = rule
        left = decide(asked.reach, asked.direction, *pair, atom, but_added=True) if added else decision
        if left.rules:
            _deny(asked, [rule for rule in left.rules if rule.rule.action.value != Action.DENY.value], drafts)
        elif left.allowed:
            _restrict(asked, left, drafts)
    for place, pairs in admitted.items():
        drafts.edit(*narrowed(asked, placed_at[place], pairs))
    return drafts


def _fits_cilium(asked: Asked, decisions: Sequence[tuple[Pair, Decision]], atom: int) -> bool:
    """True when a deny entry of Cilium's would come first, and what lets it pass is a policy of Cilium's, or nothing restricts it."""
    if not asked.reach.cluster.cilium_policies:
        return False
    return all(not decision.rules or decision.rules[0].form.tier > CILIUM_DENY for _, decision in decisions) and any(
        not decision.rules or any(isinstance(rule.form.policy, CiliumPolicy) for rule in _admitting(asked, pair, atom))
        for pair, decision in decisions
    )


def _deny(asked: Asked, rules: Iterable[PlacedRule], drafts: _Drafts) -> None:
    """Put a rule that denies before each of some."""
    for rule in rules:
        edit = inserted(asked, rule, Action.DENY)
        if edit is None:
            raise _NoChangeError(unworkable(asked, rule))
        drafts.edit(edit, f"add to {rule.form.policy.key} before {rule.rule.where} a rule that denies it {asked.what}")


def _restrict(asked: Asked, decision: Decision, drafts: _Drafts) -> None:
    """Deny what nothing restricts: before the rules of Calico's that passed it on last, or by isolating the pod."""
    last = [rule for rule in decision.passed if rule.form.place == decision.passed[-1].form.place]
    passing = [rule for rule in last if rule.rule.action.value == Action.PASS.value]
    if passing and all(isinstance(rule.form.policy, CalicoPolicy) for rule in passing):
        _deny(asked, passing, drafts)
        return
    before = next((rule for rule in decision.passed if rule.form.tier == NETWORK_POLICY), None)
    if before is not None:
        raise _NoChangeError(f"{before.form.policy.key} passes it on before NetworkPolicies are asked")
    policy = _new(asked, "isolate")
    drafts.add(policy, f"add {policy.key}, which isolates {asked.subject.name} for {asked.field}")
    verb = "accept" if asked.direction is Direction.INGRESS else "open"
    drafts.beside[
        f"Everything else that the pods of {policy.namespace} with these labels {verb} is denied, too, until rules allow it."
    ] = None


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
