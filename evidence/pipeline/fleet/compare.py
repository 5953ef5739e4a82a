"""Results of today laid beside what was said before: control results that differ, and findings that are new or gone, by rule.

1. A pack is compared over its own period, with its own interval of snapshots, by the snapshots that the store holds of it today; snapshots that
   came in since are counted.
2. An earlier reassessment is compared over the months that both have.
3. Of a control its verdict and strength are compared; of findings those that were open at any time of the period.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from evidence.findings.finding import count
from evidence.frameworks.model import ControlResult, Strength, Verdict
from evidence.pipeline.fleet.before import Result
from evidence.pipeline.fleet.results import Finding


@dataclass(frozen=True, slots=True)
class ControlChange:
    """A control of which something else is said now; None: nothing was, or is. `rules`: what refutes it now, findings by rule."""

    control: str
    before: Result | None
    now: Result | None
    rules: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Findings of one rule that are new, or gone."""

    rule: str
    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One cluster and framework beside what `source` (a pack's folder, or "" for the earlier reassessment) said of a period."""

    cluster: str
    framework: str
    source: str
    start: datetime
    end: datetime
    compared: int
    controls: tuple[ControlChange, ...]
    findings: tuple[RuleChange, ...]
    remarks: tuple[str, ...] = ()


def control_changes(
    before: Mapping[str, Result], now: Mapping[str, ControlResult], findings: Mapping[str, Finding]
) -> tuple[ControlChange, ...]:
    """In the order in which the controls are listed now, then those that are no more."""
    found = []
    for control in [*now, *(name for name in before if name not in now)]:
        result = now.get(control)
        was, here = before.get(control), (result.verdict, result.strength) if result else None
        if was != here:
            refuting = result.findings if result and result.verdict is Verdict.REFUTED else ()
            rules = Counter(findings[name]["rule"] for name in refuting if name in findings)
            found.append(ControlChange(control, was, here, dict(sorted(rules.items()))))
    return tuple(found)


def rule_changes(before: Mapping[str, Finding], now: Mapping[str, Finding]) -> tuple[RuleChange, ...]:
    """By rule."""
    new = [finding for name, finding in sorted(now.items()) if name not in before]
    gone = [finding for name, finding in sorted(before.items()) if name not in now]
    rules = sorted({finding["rule"] for finding in (*new, *gone)})
    return tuple(
        RuleChange(
            rule,
            tuple(finding for finding in new if finding["rule"] == rule),
            tuple(finding for finding in gone if finding["rule"] == rule),
        )
        for rule in rules
    )


def plain(results: Mapping[str, ControlResult]) -> Mapping[str, tuple[Verdict, Strength | None]]:
    """What is compared of control results."""
    return {name: (result.verdict, result.strength) for name, result in results.items()}


def came_since(roots: Sequence[str], known: frozenset[str]) -> tuple[str, ...]:
    """Sentences on snapshots that a pack does not have, and on those that only it has."""
    new, missing = len(set(roots) - known), len(known - set(roots))
    said = [f"{count(new, 'snapshot')} of its period came into the store since"] if new else []
    said += [f"{count(missing, 'snapshot')} of it are not in the store"] if missing else []
    return tuple(said)
