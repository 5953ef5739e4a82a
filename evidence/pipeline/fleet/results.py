"""What the months of one cluster say together: its control results and findings over a period, as a report would have them.

A moment stands for the snapshots until the next one, at which nothing was otherwise. Over a period the worst counts (`frameworks.period`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evidence.frameworks.coverage import Coverage
from evidence.frameworks.judge import worst
from evidence.frameworks.model import ControlResult, Strength, Verdict

Finding = Mapping[str, str]  # fingerprint, rule, severity, subject


@dataclass(frozen=True, slots=True)
class Moment:
    """From one snapshot on: findings by fingerprint, control results by framework and control."""

    taken_at: datetime
    findings: Mapping[str, Finding]
    results: Mapping[str, Mapping[str, ControlResult]]


def moments_of(months: Iterable[Mapping[str, Any]]) -> tuple[Moment, ...]:
    """The moments of some months' files, which are in the order of time. The first moment of a month is whole."""
    return tuple(moment for month in months for moment in _moments(month["moments"]))


def _moments(written: Sequence[Mapping[str, Any]]) -> Iterable[Moment]:
    findings: dict[str, Finding] = {}
    results: dict[str, dict[str, ControlResult]] = {}
    for each in written:
        gone = set(each["closed"])
        findings = {name: finding for name, finding in findings.items() if name not in gone}
        findings |= {finding["fingerprint"]: finding for finding in each["opened"]}
        for framework, controls in each["results"].items():
            changed = {control: _result(control, result) for control, result in controls.items()}
            results = {**results, framework: {**results.get(framework, {}), **changed}}
        yield Moment(datetime.fromisoformat(each["taken_at"]), findings, results)


def _result(control: str, written: Mapping[str, Any]) -> ControlResult:
    strength = written.get("strength")
    return ControlResult(
        control_id=control,
        verdict=Verdict(written["verdict"]),
        strength=Strength(strength) if strength else None,
        reasons=(),
        findings=tuple(written.get("findings", ())),
    )


def within(moments: Sequence[Moment], first: datetime, end: datetime) -> tuple[Moment, ...]:
    """The moments that tell of the snapshots from the one taken at `first` to before `end`: also the one that still held then."""
    held = [moment for moment in moments if moment.taken_at <= first][-1:]
    return (*held, *(moment for moment in moments if first < moment.taken_at < end))


def period_results(moments: Sequence[Moment], framework: str, covered: Coverage) -> Mapping[str, ControlResult]:
    """The worst result of each control, and less where the snapshots do not cover the period; without reasons."""
    found = worst([(moment.taken_at, tuple(moment.results.get(framework, {}).values())) for moment in moments], covered)
    return {result.control_id: result for result in found}


def period_findings(moments: Sequence[Moment]) -> Mapping[str, Finding]:
    """Every finding that was open at some time, by fingerprint, as it was last seen."""
    return {name: finding for moment in moments for name, finding in moment.findings.items()}
