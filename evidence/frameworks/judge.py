"""From findings to control results: a pure function of a framework, one assessment and the facts about its population.

In this order (docs/controls.md gives the reasons):
1. A control outside the chosen baseline, or whose condition is known not to be met, is not applicable.
2. A control that no check feeds is not assessed here.
3. A condition or a scope that was not declared leaves it not determined.
4. A control of an evidence-only framework, or without a direct mapping, gets its evidence and no verdict: not determined.
5. An open finding of a direct mapping, in the zones that it is about, refutes. A waiver changes the display, never the result.
6. Supported takes all of these: every direct check exists, ran over its whole population and hit nothing; nothing withholds it; no
   finding lies on pods whose zone was not declared; nothing is unread or unevaluated; there are pods to speak of; the strength that
   the control needs was reached. Anything less is not determined, with each reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from evidence.cni.model import CniReport, Enforcement
from evidence.errors import UsageError
from evidence.findings.finding import SENSITIVE, Finding, count, shortened
from evidence.findings.registry import RULES, Assessment, RuleRun, RunStatus
from evidence.frameworks.load import planned_checks
from evidence.frameworks.model import (
    Condition,
    Control,
    ControlResult,
    Feed,
    FeedStrength,
    Framework,
    Strength,
    Verdict,
)
from evidence.intent.model import Classification, Intent
from evidence.intent.zones import ZoneMap

__all__ = ["ControlResult", "Facts", "Strength", "Verdict", "baseline_of", "judge", "worst"]

SHOWN_TIMES = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What a result depends on beside the findings. `partial` and `unevaluated` name what was not read and policies that were not
    evaluated, one a string; `baseline` is the one asked for, None for the intent's own."""

    intent: Intent | None
    cni: CniReport
    zones: ZoneMap
    partial: tuple[str, ...] = ()
    unevaluated: tuple[str, ...] = ()
    baseline: str | None = None


def judge(framework: Framework, assessment: Assessment, facts: Facts) -> tuple[ControlResult, ...]:
    """A result for every control, in the framework's order. Raises UsageError for a baseline that the framework does not have."""
    baseline = baseline_of(framework, facts)
    evidence = _Evidence(framework, assessment, facts)
    return tuple(_result(control, baseline, evidence) for control in framework.controls)


def baseline_of(framework: Framework, facts: Facts) -> str:
    """The framework's baseline that applies: the one asked for, else the intent's; "" for none, which means every control."""
    own = facts.intent.system.baseline if facts.intent else ""
    asked = facts.baseline or own
    if not framework.baselines or not asked:
        return ""
    for name in framework.baselines:
        if name.lower() == asked.lower():
            return name
    raise UsageError(
        f"{framework.title} has no baseline {asked!r}; choose one of {', '.join(framework.baselines)} with --baseline"
    )


class _Evidence:
    """The assessment by rule, and what of it concerns a control."""

    def __init__(self, framework: Framework, assessment: Assessment, facts: Facts) -> None:
        self.framework = framework
        self.facts = facts
        self.runs: Mapping[str, RuleRun] = {run.rule_id: run for run in assessment.runs}
        self.findings: dict[str, list[Finding]] = {}
        for finding in assessment.findings:
            self.findings.setdefault(finding.rule_id, []).append(finding)
        zones = facts.intent.zones if facts.intent else ()
        self.declared = frozenset(zone.classification for zone in zones)
        self.peopled = frozenset(zone.classification for zone in zones if facts.zones.pods(zone.name))

    def hits(self, feed: Feed) -> Sequence[Finding]:
        return self.findings.get(feed.rule_id, ())

    def scope(self, feed: Feed) -> frozenset[Classification]:
        """Classifications that a finding must touch to decide; empty: all of the cluster."""
        if feed.zones:
            return feed.zones
        boundary = self.framework.boundary
        return frozenset({boundary}) if boundary in self.declared and boundary is not None else frozenset()

    def inside(self, feed: Feed) -> list[Finding]:
        """Findings of a feed that lie in its scope. One on the whole cluster lies everywhere."""
        scope = self.scope(feed)
        return [
            finding
            for finding in self.hits(feed)
            if not scope
            or finding.classifications & scope
            or (not finding.classifications and finding.subject.kind == "Cluster")
        ]

    def unplaced(self, feed: Feed) -> list[Finding]:
        """Findings on what lies in no declared zone: whether they are in scope was not said."""
        if not self.scope(feed):
            return []
        return [f for f in self.hits(feed) if not f.classifications and f.subject.kind != "Cluster"]


# -- one control ------------------------------------------------------------------------------------------------------


def _result(control: Control, baseline: str, evidence: _Evidence) -> ControlResult:
    if baseline and baseline not in control.baselines:
        return _plain(control, Verdict.NOT_APPLICABLE, (f"not part of the {baseline} baseline",))
    unmet, unknown = _conditions(control, evidence)
    if unmet:
        return _plain(control, Verdict.NOT_APPLICABLE, tuple(unmet))
    if not any(feed.has_check for feed in control.feeds):
        return _plain(control, Verdict.NOT_ASSESSED, (_not_fed(control),))
    related = _related(control.feeds, evidence)
    if unknown:
        return _plain(control, Verdict.NOT_DETERMINED, tuple(unknown), related)
    direct = [feed for feed in control.feeds if feed.strength is FeedStrength.DIRECT]
    if evidence.framework.evidence_only and not direct:
        return _plain(control, Verdict.NOT_DETERMINED, (evidence.framework.evidence_only,), related)
    if not direct:
        return _plain(control, Verdict.NOT_DETERMINED, (_nothing_decides(control),), related)
    refuting = [(feed, found) for feed in direct if (found := evidence.inside(feed))]
    if refuting:
        decisive = tuple(dict.fromkeys(finding.fingerprint for _, found in refuting for finding in found))
        return ControlResult(
            control_id=control.id,
            verdict=Verdict.REFUTED,
            strength=None,
            reasons=(
                *(_contradiction(feed, found) for feed, found in refuting),
                *_qualified([finding for _, found in refuting for finding in found], evidence.facts),
                *_changed(control),
            ),
            findings=decisive,
            related=tuple(fingerprint for fingerprint in related if fingerprint not in decisive),
            also_needed=control.also_needed,
        )
    obstacles = list(dict.fromkeys(_obstacles(control, direct, evidence)))
    if obstacles or control.needs is None:
        return _plain(control, Verdict.NOT_DETERMINED, tuple(obstacles), related)
    return ControlResult(
        control_id=control.id,
        verdict=Verdict.SUPPORTED,
        strength=_reached(control.needs, evidence.facts),
        reasons=(*_support(direct, evidence), *_changed(control)),
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


def _changed(control: Control) -> tuple[str, ...]:
    return (f"its mapping is not as shipped: {control.changed_by} changes it",) if control.changed_by else ()


def _related(feeds: Iterable[Feed], evidence: _Evidence) -> tuple[str, ...]:
    """Fingerprints of all findings that bear on a control, those that weigh most first."""
    order = tuple(FeedStrength)
    ordered = sorted(feeds, key=lambda feed: order.index(feed.strength))
    return tuple(
        dict.fromkeys(
            finding.fingerprint for feed in ordered for finding in (*evidence.inside(feed), *evidence.unplaced(feed))
        )
    )


# -- does it apply ----------------------------------------------------------------------------------------------------


def _conditions(control: Control, evidence: _Evidence) -> tuple[list[str], list[str]]:
    """Why the control does not apply, and what must be declared before that can be said."""
    unmet: list[str] = []
    unknown: list[str] = []
    facts = evidence.facts
    for condition in control.only_if:
        met, sentence = _condition(condition, evidence)
        if met is False:
            unmet.append(sentence)
        elif met is None:
            unknown.append(sentence)
    regulated = evidence.framework.regulated
    for wanted in (frozenset({regulated}) if regulated else frozenset(), control.zones):
        if wanted and not wanted & evidence.declared:
            met, sentence = _undeclared(wanted, facts)
            (unknown if met is None else unmet).append(sentence)
    return list(dict.fromkeys(unmet)), list(dict.fromkeys(unknown))


def _undeclared(wanted: frozenset[Classification], facts: Facts) -> tuple[bool | None, str]:
    """None of the classifications was declared: False when everything else was, None when it may still be there."""
    names = _or(sorted(wanted))
    if facts.intent is None or not facts.intent.zones:
        return None, f"scope was not declared: no intent file says which pods are {names}"
    if facts.zones.unassigned:
        pods = count(len(facts.zones.unassigned), "pod lies", "pods lie")
        return None, f"no zone is declared as {names}, but {pods} in no zone"
    return False, f"no zone is declared as {names}"


def _condition(condition: Condition, evidence: _Evidence) -> tuple[bool | None, str]:
    """Whether it is met (None: not declared), and the sentence for when it is not."""
    intent = evidence.facts.intent
    match condition:
        case Condition.SEGMENTATION:
            if intent is None or not intent.zones:
                return None, "scope was not declared: whether segmentation sets anything apart is not known"
            used = bool(evidence.declared & SENSITIVE) and Classification.OUT_OF_SCOPE in evidence.declared
            return (
                used,
                "no zone is declared out-of-scope beside one with regulated data: segmentation is not relied on",
            )
        case Condition.SERVICE_PROVIDER:
            return _flag(intent, "service_provider", "a service provider")
        case Condition.MULTI_TENANT:
            return _flag(intent, "multi_tenant", "a multi-tenant service provider")
        case Condition.DESIGNATED_ENTITY:
            return _flag(intent, "designated_entity", "an entity that must meet Appendix A3")


def _flag(intent: Intent | None, name: str, what: str) -> tuple[bool | None, str]:
    said: bool | None = getattr(intent.system, name) if intent else None
    if said is None:
        return None, f"whether the organisation is {what} was not declared (system.{name} in the intent file)"
    return said, f"the intent file says that the organisation is not {what} (system.{name})"


def _not_fed(control: Control) -> str:
    sentence = "no check here feeds this control"
    return f"{sentence}; not shown: {control.tool_cannot_show}" if control.tool_cannot_show else sentence


def _nothing_decides(control: Control) -> str:
    sentence = "the evidence bears on it and cannot decide it"
    return f"{sentence}; not shown: {control.tool_cannot_show}" if control.tool_cannot_show else sentence


# -- refuted ----------------------------------------------------------------------------------------------------------


def _contradiction(feed: Feed, found: Sequence[Finding]) -> str:
    subjects = shortened([str(finding.subject) for finding in found])
    return f"{feed.rule_id} ({_title(feed.rule_id)}), {count(len(found), 'finding')}: {subjects}: {feed.reason}"


def _title(rule_id: str) -> str:
    return RULES[rule_id].title if rule_id in RULES else planned_checks().get(rule_id, "")


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
        yield f"a waiver is on file for {count(len(accepted), 'of these findings', 'of these findings')}: the risk may be accepted, the result stays"


# -- supported, or why not --------------------------------------------------------------------------------------------


def _obstacles(control: Control, direct: Sequence[Feed], evidence: _Evidence) -> Iterator[str]:
    """Every reason for which nothing may be called supported."""
    facts = evidence.facts
    if control.why_never:
        yield control.why_never
    for feed in direct:
        if not feed.has_check:
            if not feed.observation:
                yield f"{feed.rule_id} ({_title(feed.rule_id)}) would have to be checked too, and no check for it exists here"
            continue
        run = evidence.runs.get(feed.rule_id)
        if run is None or run.status is RunStatus.NOT_RUN:
            yield f"{feed.rule_id} ({_title(feed.rule_id)}) did not run: {run.reason if run else 'it is not part of the assessment'}"
        elif run.status is RunStatus.PARTIAL:
            yield f"{feed.rule_id} ({_title(feed.rule_id)}) could not look at everything: {run.reason}"
    for feed in control.feeds:
        if feed.withholds and (found := evidence.inside(feed)):
            yield _contradiction(feed, found)
        if (feed.withholds or feed in direct) and (loose := evidence.unplaced(feed)):
            subjects = shortened([str(finding.subject) for finding in loose])
            yield f"{feed.rule_id} ({_title(feed.rule_id)}) was found on what lies in no declared zone: {subjects}"
    if control.needs is not None and control.needs is not Strength.DECLARED:
        yield from _population(control, facts, evidence)
        yield from _weakness(control.needs, facts)


def _population(control: Control, facts: Facts, evidence: _Evidence) -> Iterator[str]:
    """What was not looked at, or was not there to look at."""
    if facts.partial:
        yield f"the snapshot is partial: {shortened(facts.partial)}"
    if facts.unevaluated:
        kinds = count(len(facts.unevaluated), "policy of a kind that is", "policies of kinds that are")
        yield f"{kinds} not evaluated could change who may connect: {shortened(facts.unevaluated)}"
    scope = control.zones
    if scope and not scope & evidence.peopled:
        yield f"no pod lies in a zone that is declared as {_or(sorted(scope))}: there is nothing to speak of"
    elif not scope and not facts.zones.population:
        yield "the snapshot holds no pod that runs: there is nothing to speak of"
    doubts = [str(problem) for problem in facts.zones.problems if not scope or _concerns(problem.zones, scope, facts)]
    if doubts:
        yield f"the declared zones are in doubt: {shortened(doubts)}"


def _concerns(names: Sequence[str], scope: frozenset[Classification], facts: Facts) -> bool:
    zones = facts.intent.zones if facts.intent else ()
    return any(zone.name in names and zone.classification in scope for zone in zones)


def _weakness(needs: Strength, facts: Facts) -> Iterator[str]:
    if needs.rank >= Strength.ENFORCED.rank and facts.cni.enforcement is not Enforcement.ENFORCED:
        why = shortened(facts.cni.reasons) or "no plugin was recognised"
        yield f"computed from the policies, but their enforcement was not shown ({facts.cni.enforcement.value}): {why}"
    if needs is Strength.OBSERVED:
        yield "no probe and no flow log is part of the evidence, and this control is to rest on one"


def _reached(needs: Strength, facts: Facts) -> Strength:
    """How a supported result is backed; no probe or flow log is part of the facts, so never more than enforced."""
    if needs is Strength.DECLARED:
        return Strength.DECLARED
    return Strength.ENFORCED if facts.cni.enforcement is Enforcement.ENFORCED else Strength.COMPUTED


def _support(direct: Sequence[Feed], evidence: _Evidence) -> Iterator[str]:
    ran = [feed.rule_id for feed in direct if feed.has_check]
    looked = ", ".join(f"{rule_id} ({evidence.runs[rule_id].population} looked at)" for rule_id in ran)
    yield f"{count(len(ran), 'check')} looked at everything and found nothing against it: {looked}"
    if any(feed.observation and not feed.has_check for feed in direct):
        yield "only the computed model and the plugin's known behaviour decided: no probe ran"


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


# -- a period ---------------------------------------------------------------------------------------------------------


def worst(snapshots: Sequence[tuple[datetime, Sequence[ControlResult]]]) -> tuple[ControlResult, ...]:
    """For each control the worst result over a period's snapshots (time taken and results, oldest first), in the first's order.

    Refuted is worse than not determined, that worse than supported. The reasons are those of the newest snapshot with the worst
    result, after a sentence that says which snapshots it was; the weakest strength counts; findings are those of all snapshots.
    """
    if not snapshots:
        return ()
    by_control: dict[str, list[tuple[datetime, ControlResult]]] = {}
    for taken_at, results in snapshots:
        for result in results:
            by_control.setdefault(result.control_id, []).append((taken_at, result))
    return tuple(_worst(history, len(snapshots)) for history in by_control.values())


def _worst(history: Sequence[tuple[datetime, ControlResult]], number: int) -> ControlResult:
    verdict = max((result.verdict for _, result in history), key=lambda verdict: verdict.rank)
    bad = [(taken_at, result) for taken_at, result in history if result.verdict is verdict]
    newest = bad[-1][1]
    decisive = tuple(dict.fromkeys(fingerprint for _, result in history for fingerprint in result.findings))
    related = dict.fromkeys(fingerprint for _, result in history for fingerprint in result.related)
    strengths = [result.strength for _, result in bad if result.strength is not None]
    said = () if verdict in (Verdict.NOT_ASSESSED, Verdict.NOT_APPLICABLE) else (_when(verdict, bad, number),)
    return ControlResult(
        control_id=newest.control_id,
        verdict=verdict,
        strength=min(strengths, key=lambda strength: strength.rank) if strengths else None,
        reasons=(*said, *newest.reasons),
        findings=decisive,
        related=tuple(fingerprint for fingerprint in related if fingerprint not in decisive),
        also_needed=newest.also_needed,
    )


def _when(verdict: Verdict, bad: Sequence[tuple[datetime, ControlResult]], number: int) -> str:
    times = [f"{taken_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" for taken_at, _ in bad]
    if len(bad) == number:
        which = f"in each of {number} snapshots" if number > 1 else "in the one snapshot"
        return f"{verdict.value} {which}; the reasons are those of {times[-1]}"
    listed = ", ".join(times[-SHOWN_TIMES:])
    more = "the newest of these: " if len(times) > SHOWN_TIMES else ""
    return f"{verdict.value} in {len(bad)} of {number} snapshots ({more}{listed}); the reasons are those of {times[-1]}"
