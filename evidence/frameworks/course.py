"""How each control stood from snapshot to snapshot of a period: at the start, at its worst, at the end, and how long.

A verdict counts from the first snapshot that gives it to the first one that gives another. What happened between two snapshots is in none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.frameworks.model import ControlResult, Verdict


@dataclass(frozen=True, slots=True)
class Stretch:
    """One verdict, from the first snapshot that gave it to the first one that gave another, or to the last of the period."""

    verdict: Verdict
    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Course:
    """The verdicts of one control by snapshot. `stretches`: at least one, oldest first, each of another verdict than its neighbours."""

    stretches: tuple[Stretch, ...]

    @property
    def start(self) -> Verdict:
        """Of the first snapshot."""
        return self.stretches[0].verdict

    @property
    def end(self) -> Verdict:
        """Of the last snapshot."""
        return self.stretches[-1].verdict

    @property
    def worst(self) -> tuple[Stretch, ...]:
        """All stretches of the worst verdict, oldest first."""
        rank = max(stretch.verdict.rank for stretch in self.stretches)
        return tuple(stretch for stretch in self.stretches if stretch.verdict.rank == rank)

    @property
    def worst_for(self) -> timedelta:
        """How long the worst verdict held in all; nothing where the last snapshot alone gave it."""
        return sum((stretch.length for stretch in self.worst), timedelta())


def courses(snapshots: Iterable[tuple[datetime, Sequence[ControlResult]]]) -> Mapping[str, Course]:
    """By control id, of a period's snapshots (time taken and results, oldest first)."""
    turns: dict[str, list[tuple[datetime, Verdict]]] = {}
    before: Sequence[ControlResult] | None = None
    last = None
    for taken_at, results in snapshots:
        last = taken_at
        if results is before:
            continue
        before = results
        for result in results:
            known = turns.setdefault(result.control_id, [])
            if not known or known[-1][1] is not result.verdict:
                known.append((taken_at, result.verdict))
    return {control: Course(tuple(_stretches(known, last))) for control, known in turns.items() if last}


def _stretches(turns: Sequence[tuple[datetime, Verdict]], last: datetime) -> Iterable[Stretch]:
    ends = [*(start for start, _ in turns[1:]), last]
    return (Stretch(verdict, start, end) for (start, verdict), end in zip(turns, ends, strict=True))
