"""Findings over time: the stretches in which each was open.

A cluster is looked at now and then. From one look to the next:
1. A finding opens with the first look that hits it, and closes with the first look in which its rule looked at everything and did not hit it.
2. A look that could not look at everything and does not hit closes nothing: until a later look decides, the finding counts as open, and its
   state at the end is "not determined".
3. The first look does not tell since when its findings are open; neither does a hit after a look that could not look at everything.
4. Closed once is not closed at the end: where the last look could not look at everything, it may have come back unseen, and is not determined.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from evidence.findings.finding import Finding
from evidence.findings.registry import Assessment, RunStatus


class SpellState(StrEnum):
    OPEN = "open"
    NOT_DETERMINED = "not determined"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Spell:
    """One stretch of a finding. `since_before`: nobody can say that it was not open before; `ended_at`: of the look that closed it, else None;
    `last_seen`: of the last look that hit it."""

    opened_at: datetime
    since_before: bool
    last_seen: datetime
    state: SpellState = SpellState.OPEN
    ended_at: datetime | None = None

    def length(self, until: datetime) -> timedelta:
        """How long it was open at least, the end of what is not closed being `until`."""
        return (self.ended_at or until) - self.opened_at


@dataclass(frozen=True, slots=True)
class History:
    """A finding as it was last seen, its state at the last look, and its stretches, oldest first."""

    finding: Finding
    state: SpellState
    spells: tuple[Spell, ...]

    def open_for(self, until: datetime) -> timedelta:
        """All stretches together."""
        return sum((spell.length(until) for spell in self.spells), timedelta())


@dataclass(frozen=True, slots=True)
class Turn:
    """What one look changed: findings that opened, that closed, and of which it leaves open whether they are there."""

    at: datetime
    opened: tuple[Finding, ...]
    closed: tuple[Finding, ...]
    lost: tuple[Finding, ...]


class Spells:
    """Findings of one cluster, look by look."""

    def __init__(self) -> None:
        self._newest: dict[str, Finding] = {}
        self._spells: dict[str, list[Spell]] = {}
        self._running: set[str] = set()  # fingerprints of findings that are not closed
        self._last: tuple[datetime, Assessment] | None = None
        self._found: Mapping[int, Finding] = {}  # by the last look, by their identity
        self._hit: set[str] = set()  # fingerprints of these
        self._statuses: Mapping[str, RunStatus] = {}  # of the last look

    def look(self, at: datetime, assessment: Assessment) -> Turn:
        """Take in the next look; the very same findings of checks that ran as before change nothing. What the first one hits has not opened then:
        it was there."""
        statuses = {run.rule_id: run.status for run in assessment.runs}
        if self._last and self._last[1].findings is assessment.findings and self._statuses == statuses:
            self._last = at, assessment
            return Turn(at, (), (), ())
        first = self._last is None
        found = dict(zip(map(id, assessment.findings), assessment.findings, strict=True))
        # Only what is not the very same value is looked at: of a large cluster's findings a few from look to look.
        came = {found[each].fingerprint: found[each] for each in found.keys() - self._found.keys()}
        went = {self._found[each].fingerprint for each in self._found.keys() - found.keys()}
        self._see_last(went - came.keys())
        self._hit -= went
        self._hit |= came.keys()
        for fingerprint in (came.keys() - went) & self._running:  # it was not determined for a time
            self._spells[fingerprint][-1] = replace(self._spells[fingerprint][-1], state=SpellState.OPEN)
        opened = {fingerprint: finding for fingerprint, finding in came.items() if fingerprint not in self._running}
        closed, lost = [], []
        for fingerprint in sorted(self._running - self._hit):
            finding, spell = self._newest[fingerprint], self._spells[fingerprint][-1]
            if statuses.get(finding.rule_id) is RunStatus.RAN:
                self._spells[fingerprint][-1] = replace(spell, state=SpellState.CLOSED, ended_at=at)
                self._running.discard(fingerprint)
                closed.append(finding)
            elif spell.state is SpellState.OPEN:
                self._spells[fingerprint][-1] = replace(spell, state=SpellState.NOT_DETERMINED)
                lost.append(finding)
        for fingerprint, finding in opened.items():
            known = not first and self._statuses.get(finding.rule_id) is RunStatus.RAN
            self._spells.setdefault(fingerprint, []).append(Spell(at, not known, at))
        self._newest |= came
        self._running |= opened.keys()
        self._last, self._found, self._statuses = (at, assessment), found, statuses
        return Turn(at, () if first else _worst_first(opened.values()), _worst_first(closed), _worst_first(lost))

    def _see_last(self, hit: Iterable[str]) -> None:
        """Enter that the last look hit some findings; not done look by look, because most hit what the one before did."""
        if self._last is None:
            return
        at, _ = self._last
        for fingerprint in hit:
            stretches = self._spells[fingerprint]
            stretches[-1] = replace(stretches[-1], last_seen=at)

    def histories(self) -> tuple[History, ...]:
        """Every finding: open ones first, then not determined ones, then closed ones; most severe first."""
        self._see_last(self._hit)
        states = list(SpellState)
        every = [
            History(finding, self._state(finding, self._spells[each][-1]), tuple(self._spells[each]))
            for each, finding in self._newest.items()
        ]
        order = {id(finding): place for place, finding in enumerate(_worst_first(self._newest.values()))}
        return tuple(sorted(every, key=lambda each: (states.index(each.state), order[id(each.finding)])))

    def _state(self, finding: Finding, last: Spell) -> SpellState:
        if last.state is SpellState.CLOSED and self._statuses.get(finding.rule_id) is not RunStatus.RAN:
            return SpellState.NOT_DETERMINED
        return last.state


def _worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: (-one.severity.rank, *one.place)))
