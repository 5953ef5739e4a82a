"""Policies with order, asked once for all pods: few rules over many pods, on groups of subjects and of peers that the same rules name.

The answer for a subject hangs on the policies about it alone, so that a change of some policies leaves the others' subjects as they are.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Direction
from evidence.reach.peers import Ends, Peers, distinct
from evidence.reach.portids import Ids, PortIds
from evidence.reach.rules import NETWORK_POLICY, NETWORK_POLICY_ORDER, Tier
from evidence.reach.tiers import Groups, Ordered, PlacedPolicy, grouped
from evidence.values import value


@value()
class Frame:
    """Policies with order, on groups: what is `left` to NetworkPolicies, what passes where one isolates the subject without allowing it
    (`closed`), and the whole answer where none isolates it (`open`)."""

    subject_group: Groups
    peer_group: Groups
    left: Ids
    closed: Ids
    open: Ids

    def moved(self, pods: Ends, ends: Ends) -> "Frame":
        """The same for other pods and ends, of which each is a part of the one that is given for it."""
        return replace(self, subject_group=self.subject_group[pods], peer_group=self.peer_group[ends])


def evaluated(ordered: Sequence[PlacedPolicy], direction: Direction, peers: Peers, ports: PortIds) -> Frame:
    """Policies with order that concern some pods, asked once."""
    parts = [part for policy in ordered for rule in policy.rules for part in rule.parts]
    closing = [policy for policy in ordered if direction in policy.form.isolates]
    about = [part.subjects for part in parts] + [policy.subjects for policy in closing]
    subject_group, subject_rows = grouped(peers.pods, about)
    peer_group, columns = grouped(peers.count, [part.peers for part in parts if part.peers is not None])
    column = iter(columns)
    cells = {
        id(part): (rows, None if part.peers is None else next(column))
        for part, rows in zip(parts, subject_rows, strict=False)
    }
    closes: dict[Tier, list[Groups]] = defaultdict(list)
    for policy, rows in zip(closing, subject_rows[len(parts) :], strict=True):
        closes[policy.form.tier].append(rows)
    closed = {tier: distinct(np.concatenate(rows)) for tier, rows in closes.items()}
    before, late, after = _stages(ordered)
    state = Ordered(ports, (int(subject_group.max(initial=0)) + 1, int(peer_group.max(initial=0)) + 1), cells)
    _through(state, before, closed)
    state.ask(late.early)
    left = state.left.copy()
    if late.others or state.passed.any():  # otherwise nothing is left to later tiers where a NetworkPolicy isolates
        shut = state.copy()
        _finish_after(shut, late.others, np.arange(len(left)), after, closed)
        passes_closed = shut.finally_open()
    else:
        passes_closed = state.accepted.copy()
    _finish_after(state, late.others, closed.get(NETWORK_POLICY), after, closed)
    return Frame(subject_group, peer_group, left, passes_closed, state.finally_open())


def evaluated_again(
    frame: Frame,
    before: Sequence[PlacedPolicy],
    ordered: Sequence[PlacedPolicy],
    direction: Direction,
    peers: Peers,
    ports: PortIds,
) -> Frame:
    """The frame of `ordered`, from that of `before`: only subjects of policies that are not in both are asked again."""
    kept = set(map(id, before)) & set(map(id, ordered))
    other = [policy.subjects for policy in (*before, *ordered) if id(policy) not in kept]
    if not other:
        return frame
    asked = np.zeros(peers.pods, dtype=bool)
    asked[np.concatenate(other)] = True
    limited = [_limited(policy, asked) for policy in ordered if asked[policy.subjects].any()]
    return _joined(frame, evaluated(limited, direction, peers, ports), asked)


def _limited(policy: PlacedPolicy, asked: npt.NDArray[np.bool_]) -> PlacedPolicy:
    """The policy as far as it is about some pods."""
    rules = []
    for rule in policy.rules:
        parts = [
            replace(part, subjects=found) for part in rule.parts if len(found := part.subjects[asked[part.subjects]])
        ]
        rules.append(replace(rule, parts=tuple(parts)))
    return replace(policy, subjects=policy.subjects[asked[policy.subjects]], rules=tuple(rules))


def _joined(frame: Frame, again: Frame, asked: npt.NDArray[np.bool_]) -> Frame:
    """One frame with the answers of `again` for the pods that were asked, and those of `frame` for the others."""
    width = again.left.shape[1]
    columns, peer_group = np.unique(frame.peer_group * width + again.peer_group, return_inverse=True)
    old_columns, new_columns = np.divmod(columns, width)
    same_columns = np.array_equal(old_columns, np.arange(frame.left.shape[1]))
    old_rows, of_others = np.unique(frame.subject_group[~asked], return_inverse=True)
    new_rows, of_asked = np.unique(again.subject_group[asked], return_inverse=True)
    subject_group: Groups = np.empty(len(asked), dtype=np.intp)
    subject_group[~asked], subject_group[asked] = of_others, len(old_rows) + of_asked

    def rows(old: Ids, new: Ids) -> Ids:
        kept = old[old_rows] if same_columns else old[np.ix_(old_rows, old_columns)]
        return np.concatenate((kept, new[np.ix_(new_rows, new_columns)]))

    return Frame(
        subject_group,
        peer_group,
        rows(frame.left, again.left),
        rows(frame.closed, again.closed),
        rows(frame.open, again.open),
    )


class _Late(NamedTuple):
    """Policies with order in the tier of NetworkPolicies: those that are asked before these, and the others."""

    early: list[PlacedPolicy]
    others: list[PlacedPolicy]


def _stages(ordered: Sequence[PlacedPolicy]) -> tuple[list[PlacedPolicy], _Late, list[PlacedPolicy]]:
    """Policies sorted and parted by tier: before, in and after that of NetworkPolicies.

    One with the very priority of NetworkPolicies comes after them: these only accept, so that no other order lets more pass.
    """
    listed = sorted(ordered, key=lambda policy: policy.form.place)
    inside = [policy for policy in listed if policy.form.tier == NETWORK_POLICY]
    late = _Late(
        [policy for policy in inside if policy.form.priority < NETWORK_POLICY_ORDER],
        [policy for policy in inside if policy.form.priority >= NETWORK_POLICY_ORDER],
    )
    return (
        [policy for policy in listed if policy.form.tier < NETWORK_POLICY],
        late,
        [policy for policy in listed if policy.form.tier > NETWORK_POLICY],
    )


def _through(state: Ordered, policies: Sequence[PlacedPolicy], closed: Mapping[Tier, Groups]) -> None:
    for tier, members in groupby(policies, key=lambda policy: policy.form.tier):
        state.ask(members)
        state.leave(closed.get(tier))


def _finish_after(
    state: Ordered,
    others: Sequence[PlacedPolicy],
    shut: Groups | None,
    after: Sequence[PlacedPolicy],
    closed: Mapping[Tier, Groups],
) -> None:
    """From the place of NetworkPolicies to the last tier; their tier denies to `shut` what it does not decide."""
    state.ask(others)
    state.leave(shut)
    _through(state, after, closed)
