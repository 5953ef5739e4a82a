"""All that was observed around one snapshot: what rules on findings and the report read.

A snapshot looks back: at connections of the LOOK_BACK days before it (is a rule used, is an approved flow), and, for what contradicts or backs the
computation, at those of the RECENT days before it or until the next snapshot. Of a period's snapshots only the newest looks back so far.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from evidence.observe.audit import TakenAudit
from evidence.observe.document import TakenLog, covered
from evidence.observe.model import ObservedFlow, Outcome
from evidence.observe.tie import PASSED, RuleAt, TiedFlow, Ties, Verdict
from evidence.reach.engine import Reachability

LOOK_BACK = timedelta(days=90)
RECENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Observations:
    """`flows` are the flows of `logs` from then on, tied to the snapshot. Of the recent ones `contradictions` passed although this and every
    other snapshot of their time denies them, and `denials` were denied as computed."""

    logs: tuple[TakenLog, ...] = ()
    flows: tuple[TiedFlow, ...] = ()
    contradictions: tuple[TiedFlow, ...] = ()
    denials: tuple[TiedFlow, ...] = ()
    audits: tuple[TakenAudit, ...] = ()

    @property
    def stretches(self) -> tuple[tuple[datetime, datetime], ...]:
        """Stretches of time that logs with allowed connections in them cover."""
        return covered([log for log in self.logs if log.log.connections(*PASSED)])

    @property
    def days(self) -> float:
        """How long these stretches are together."""
        return sum((end - start for start, end in self.stretches), timedelta()) / timedelta(days=1)

    @property
    def used(self) -> frozenset[RuleAt]:
        """Rules that some connection matched, or could have matched."""
        return frozenset(rule for tied in self.flows for rule in tied.rules)


Elsewhere = Callable[[ObservedFlow], Iterable[Reachability] | None]


def observe(
    ties: Ties,
    logs: Sequence[TakenLog],
    audits: Sequence[TakenAudit],
    *,
    since: datetime,
    recent_from: datetime,
    until: datetime | None,
    elsewhere: Elsewhere,
) -> Observations:
    """Tie what was seen at or after `since` to one snapshot's computation.

    Recent are connections that were last seen at or after `recent_from` and first before `until` (the next snapshot's time, None for the
    newest). `elsewhere` gives the computations of the other snapshots around a flow's time, None for too many to compute; it is asked only where
    this one contradicts the flow.
    """
    others: dict[int, Ties] = {}

    def weighed(tied: TiedFlow) -> TiedFlow:
        if tied.verdict is not Verdict.CONTRADICTS:
            return tied
        around = elsewhere(tied.flow)
        if around is None:
            return replace(
                tied, verdict=Verdict.NOT_DETERMINED, reason="it was seen over too many snapshots to ask each"
            )
        for other in around:
            there = others.setdefault(id(other), Ties(other)).tie(tied.flow)
            if there.verdict is not Verdict.CONTRADICTS:
                why = "another snapshot of that time allows it, or cannot tell"
                return replace(tied, verdict=Verdict.NOT_DETERMINED, reason=why)
        return tied

    def of_this_time(flow: ObservedFlow) -> bool:
        return flow.last >= recent_from and (until is None or flow.first < until)

    flows = tuple(weighed(ties.tie(flow)) for log in logs for flow in log.log.flows if flow.last >= since)
    recent = [tied for tied in flows if of_this_time(tied.flow)]
    denied = [tied for tied in recent if tied.flow.outcome is Outcome.DENIED and tied.verdict is Verdict.AGREES]
    contradicting = [tied for tied in recent if tied.verdict is Verdict.CONTRADICTS]
    return Observations(tuple(logs), flows, tuple(contradicting), tuple(denied), tuple(audits))
