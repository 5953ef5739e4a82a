"""From findings to control results: a pure function of a framework, one assessment and the facts about its population.

In this order (docs/controls.md gives the reasons):
1. A control outside the chosen baseline, or whose condition is known not to be met, is not applicable.
2. A control that no check feeds, or that gets nothing but context, is not assessed here.
3. A condition or a scope that was not declared leaves it not determined.
4. A control of an evidence-only framework, or without a direct mapping, gets its evidence and no verdict: not determined.
5. An open finding of a direct mapping, in the zones that it is about, refutes. A waiver changes the display, never the result.
6. Supported takes everything that support.py asks for; anything less is not determined, with each reason.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evidence.errors import UsageError
from evidence.findings.finding import Finding, count, shortened
from evidence.findings.registry import RULES, Assessment
from evidence.frameworks.applies import conditions
from evidence.frameworks.facts import Agreement, Evidence, Facts, rule_name
from evidence.frameworks.model import Control, ControlResult, Feed, FeedStrength, Framework, Strength, Verdict
from evidence.frameworks.period import worst
from evidence.frameworks.support import contradiction, incomplete, obstacles, reached, support
from evidence.intent.model import Intent

__all__ = ["Agreement", "ControlResult", "Facts", "Strength", "Verdict", "baseline_of", "judge", "worst"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Results by one framework, and what they rest on."""

    evidence: Evidence
    results: tuple[ControlResult, ...]


def judge(framework: Framework, assessment: Assessment, facts: Facts) -> tuple[ControlResult, ...]:
    """A result for every control, in the framework's order. Raises UsageError for a baseline that the framework does not have."""
    return judge_after(None, framework, assessment, facts).results


def judge_after(before: Judgement | None, framework: Framework, assessment: Assessment, facts: Facts) -> Judgement:
    """The same, beside an earlier judgement by the framework: where nothing changed that feeds a control its result is the one of then."""
    baseline = baseline_of(framework, facts.intent, facts.baseline)
    evidence = Evidence(framework, assessment, facts)
    changed = evidence.changed_since(before.evidence) if before and before.evidence.facts == facts else None
    if before is None or changed is None:
        return Judgement(evidence, tuple(_result(control, baseline, evidence) for control in framework.controls))
    results = tuple(
        _result(control, baseline, evidence) if any(feed.rule_id in changed for feed in control.feeds) else same
        for control, same in zip(framework.controls, before.results, strict=True)
    )
    return Judgement(evidence, before.results if results == before.results else results)


def baseline_of(framework: Framework, intent: Intent | None, asked: str | None) -> str:
    """The framework's baseline that applies: the one asked for, else the intent's; "" for none, which means every control.

    Raises UsageError for one that the framework does not have.
    """
    asked = asked or (intent.system.baseline if intent else "")
    if not framework.baselines or not asked:
        return ""
    for name in framework.baselines:
        if name.lower() == asked.lower():
            return name
    raise UsageError(
        f"{framework.title} has no baseline {asked!r}; choose one of {', '.join(framework.baselines)} with --baseline"
    )


# -- one control ------------------------------------------------------------------------------------------------------


def _result(control: Control, baseline: str, evidence: Evidence) -> ControlResult:
    if baseline and baseline not in control.baselines:
        return _plain(control, Verdict.NOT_APPLICABLE, (f"not part of the {baseline} baseline",))
    unmet, unknown = conditions(control, evidence)
    if unmet:
        return _plain(control, Verdict.NOT_APPLICABLE, tuple(unmet))
    related = _related(control.feeds, evidence)
    if not control.fed:
        return _plain(control, Verdict.NOT_ASSESSED, (_not_fed(control),), related)
    if unknown:
        return _plain(control, Verdict.NOT_DETERMINED, tuple(unknown), related)
    direct = control.direct
    if not direct:
        why = evidence.framework.evidence_only or _nothing_decides(control)
        weighty = [feed for feed in control.feeds if feed.strength is FeedStrength.SUPPORTING]
        return _plain(control, Verdict.NOT_DETERMINED, (why, *incomplete(weighty, evidence)), related)
    refuting = [(feed, found) for feed in direct if (found := evidence.inside(feed))]
    if refuting:
        decisive = tuple(dict.fromkeys(finding.fingerprint for _, found in refuting for finding in found))
        return ControlResult(
            control_id=control.id,
            verdict=Verdict.REFUTED,
            strength=None,
            reasons=(
                *(contradiction(feed, found) for feed, found in refuting),
                *_qualified([finding for _, found in refuting for finding in found], evidence.facts),
                *_scope_note(evidence),
                *_changed(control),
            ),
            findings=decisive,
            related=tuple(fingerprint for fingerprint in related if fingerprint not in decisive),
            also_needed=control.also_needed,
        )
    against = tuple(dict.fromkeys(obstacles(control, direct, evidence)))
    if against or control.needs is None:
        return _plain(control, Verdict.NOT_DETERMINED, (*against, *_scope_note(evidence)), related)
    return ControlResult(
        control_id=control.id,
        verdict=Verdict.SUPPORTED,
        strength=reached(control, evidence.facts),
        reasons=(*support(control, direct, evidence), *_scope_note(evidence), *_changed(control)),
        related=related,
        also_needed=control.also_needed,
    )


def _plain(
    control: Control, verdict: Verdict, reasons: tuple[str, ...], related: tuple[str, ...] = ()
) -> ControlResult:
    return ControlResult(
        control_id=control.id,
        verdict=verdict,
        strength=None,
        reasons=(*reasons, *_changed(control)),
        related=related,
        also_needed=control.also_needed,
    )


def _scope_note(evidence: Evidence) -> tuple[str, ...]:
    """Said where a framework has a boundary and nobody declared it."""
    boundary = evidence.framework.boundary
    if boundary is None or boundary in evidence.declared:
        return ()
    return (f"no zone is declared as {boundary}: the whole cluster was looked at",)


def _changed(control: Control) -> tuple[str, ...]:
    return (f"its mapping is not as shipped: {control.changed_by} changes it",) if control.changed_by else ()


def _related(feeds: Iterable[Feed], evidence: Evidence) -> tuple[str, ...]:
    """Fingerprints of all findings that bear on a control, those that weigh most first."""
    order = tuple(FeedStrength)
    ordered = sorted(feeds, key=lambda feed: order.index(feed.strength))
    return tuple(
        dict.fromkeys(
            finding.fingerprint for feed in ordered for finding in (*evidence.inside(feed), *evidence.unplaced(feed))
        )
    )


def _not_fed(control: Control) -> str:
    missing = [rule_name(feed.rule_id) for feed in control.feeds if not feed.has_check]
    wanted = f"; it would take {shortened(missing)}" if missing else ""
    unseen = f"; not shown: {control.tool_cannot_show}" if control.tool_cannot_show else ""
    return f"no check here feeds this control{wanted}{unseen}"


def _nothing_decides(control: Control) -> str:
    rules = [feed.rule_id for feed in control.feeds if feed.has_check and feed.strength is FeedStrength.SUPPORTING]
    sentence = f"findings of {shortened(rules)} bear on it and cannot decide it"
    return f"{sentence}; not shown: {control.tool_cannot_show}" if control.tool_cannot_show else sentence


# -- refuted ----------------------------------------------------------------------------------------------------------


def _qualified(found: Iterable[Finding], facts: Facts) -> Iterator[str]:
    """What a reader should know beside the contradiction: policies that were not evaluated, waivers."""
    decisive = list(found)
    if facts.unevaluated and any(RULES[finding.rule_id].hangs_on_policies for finding in decisive):
        kinds = count(len(facts.unevaluated), "policy", "policies")
        yield f"computed without {kinds} of kinds that are not evaluated, which could change it: {shortened(facts.unevaluated)}"
    waivers = facts.intent.waivers if facts.intent else ()
    declared = {(waiver.rule_id, waiver.subject) for waiver in waivers}
    accepted = {f.fingerprint for f in decisive if (f.rule_id, str(f.subject)) in declared}
    if accepted:
        yield f"a waiver is on file for {len(accepted)} of these findings: the risk may be accepted, the result stays"
