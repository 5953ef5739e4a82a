"""What must hold for every control, every mapping and every assessment, on the shipped frameworks."""

import dataclasses
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cni.model import CniReport, Enforcement
from evidence.findings.finding import Finding, Severity, Subject
from evidence.findings.registry import RULES, Assessment, RuleRun, RunStatus
from evidence.frameworks.facts import Facts, ground_of
from evidence.frameworks.judge import judge, judge_after
from evidence.frameworks.load import load_frameworks
from evidence.frameworks.model import ControlResult, Framework, Strength, Verdict
from evidence.frameworks.period import worst
from evidence.intent.model import Classification, Intent, System, Waiver, Zone, ZoneMember
from evidence.intent.zones import assign
from tests.builders import cluster, pod
from tests.frameworks.test_period import START

WORST_LAST = (Verdict.SUPPORTED, Verdict.NOT_DETERMINED, Verdict.REFUTED)
SHORTS = st.sampled_from(["pci", "hipaa", "fedramp"])


@cache
def frameworks() -> dict[str, Framework]:
    return {framework.short: framework for framework in load_frameworks().values()}


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    classifications = draw(st.frozensets(st.sampled_from(Classification), max_size=2))
    kind = draw(st.sampled_from(["Workload", "Namespace", "Cluster", "ZonePair", "Node"]))
    name = draw(st.sampled_from("abc"))
    rule = draw(st.sampled_from(sorted(RULES)))
    return Finding(rule, Severity.LOW, Subject(kind, "", name), "found", classifications=classifications)


def runs() -> st.SearchStrategy[tuple[RuleRun, ...]]:
    """Mostly whole runs, so that something can be supported at all."""
    status = st.sampled_from([RunStatus.RAN] * 6 + [RunStatus.PARTIAL, RunStatus.NOT_RUN])
    return st.fixed_dictionaries(dict.fromkeys(sorted(RULES), status)).map(
        lambda ran: tuple(RuleRun(rule, how, 2, "" if how is RunStatus.RAN else "why") for rule, how in ran.items())
    )


WHOLE = tuple(RuleRun(rule, RunStatus.RAN, 2) for rule in sorted(RULES))
ASSESSMENTS = st.builds(
    Assessment,
    st.lists(findings(), max_size=3, unique_by=lambda found: found.fingerprint).map(tuple),
    st.just(WHOLE) | runs(),
)


@st.composite
def all_facts(draw: st.DrawFn) -> Facts:
    pods = [pod("a", "one"), pod("b", "two"), pod("c", "three")]
    chosen = draw(st.lists(st.sampled_from(Classification), max_size=3))
    zones = [
        Zone(f"z{i}", classification, members=(ZoneMember(namespaces=(name,)),))
        for i, (classification, name) in enumerate(zip(chosen, ["one", "two", "three"], strict=False))
    ]
    flag = st.none() | st.booleans()
    system = System(service_provider=draw(flag), multi_tenant=draw(flag), designated_entity=draw(flag))
    intent = draw(st.none() | st.just(Intent(system=system, zones=tuple(zones))))
    enforcement = draw(st.sampled_from([Enforcement.ENFORCED] * 3 + list(Enforcement)))
    return Facts(
        intent=intent,
        ground=ground_of(intent, CniReport((), enforcement, ("why",)), assign(intent, cluster(pods))),
        partial=draw(st.sampled_from([(), (), ("Pod: forbidden",)])),
        unevaluated=draw(st.sampled_from([(), (), ("Policy x",)])),
    )


def by_id(results: tuple[ControlResult, ...]) -> dict[str, ControlResult]:
    return {result.control_id: result for result in results}


@given(SHORTS, ASSESSMENTS, all_facts(), findings())
def test_adding_a_finding_never_improves_a_result(short: str, seen: Assessment, about: Facts, another: Finding) -> None:
    before = by_id(judge(frameworks()[short], seen, about))
    more = Assessment((*seen.findings, another), seen.runs)
    for name, after in by_id(judge(frameworks()[short], more, about)).items():
        if before[name].verdict in WORST_LAST:
            assert WORST_LAST.index(after.verdict) >= WORST_LAST.index(before[name].verdict)
        else:
            assert after.verdict is before[name].verdict


GAPS = ({"partial": ("something",)}, {"unevaluated": ("something",)}, {"unseen": ("something.example.com",)})


@given(SHORTS, ASSESSMENTS, all_facts(), st.sampled_from(GAPS))
def test_what_was_not_read_or_not_evaluated_never_leaves_a_claim_about_pods_supported(
    short: str, seen: Assessment, about: Facts, gap: dict[str, tuple[str, ...]]
) -> None:
    unread = dataclasses.replace(about, **gap)  # type: ignore[arg-type]
    for result in judge(frameworks()[short], seen, unread):
        assert result.verdict is not Verdict.SUPPORTED or result.strength is Strength.DECLARED


@given(SHORTS, all_facts(), st.sampled_from(sorted(RULES)), st.sampled_from([RunStatus.PARTIAL, RunStatus.NOT_RUN]))
def test_a_check_that_did_not_look_at_everything_supports_nothing_that_it_decides(
    short: str, about: Facts, rule: str, status: RunStatus
) -> None:
    ran = tuple(RuleRun(run.rule_id, status, 0, "why") if run.rule_id == rule else run for run in WHOLE)
    results = by_id(judge(frameworks()[short], Assessment((), ran), about))
    for control in frameworks()[short].controls:
        if any(feed.rule_id == rule for feed in control.feeds if feed in control.direct or feed.withholds):
            assert results[control.id].verdict is not Verdict.SUPPORTED


@given(SHORTS, ASSESSMENTS, all_facts(), st.sampled_from(list(Enforcement)))
def test_without_shown_enforcement_nothing_is_called_enforced(
    short: str, seen: Assessment, about: Facts, enforcement: Enforcement
) -> None:
    weaker = dataclasses.replace(about, ground=dataclasses.replace(about.ground, enforcement=enforcement))
    for result in judge(frameworks()[short], seen, weaker):
        if enforcement is not Enforcement.ENFORCED:
            assert result.strength in (None, Strength.DECLARED, Strength.COMPUTED)
        assert result.strength is not Strength.OBSERVED


@given(SHORTS, ASSESSMENTS, all_facts())
def test_without_an_intent_file_nothing_is_supported_in_a_framework_for_regulated_data(
    short: str, seen: Assessment, about: Facts
) -> None:
    nowhere = assign(None, cluster([pod("a", "one")]))
    enforced = CniReport((), about.ground.enforcement, ("why",))
    none = dataclasses.replace(about, intent=None, ground=ground_of(None, enforced, nowhere))
    for result in judge(frameworks()[short], seen, none):
        if frameworks()[short].regulated is not None:
            assert result.verdict in (Verdict.NOT_DETERMINED, Verdict.NOT_ASSESSED)
            assert result.findings == ()


@given(SHORTS, ASSESSMENTS, all_facts())
def test_every_result_has_a_reason_and_only_supported_has_a_strength(
    short: str, seen: Assessment, about: Facts
) -> None:
    framework = frameworks()[short]
    results = judge(framework, seen, about)
    assert [result.control_id for result in results] == [control.id for control in framework.controls]
    known = {found.fingerprint for found in seen.findings}
    for result in results:
        assert all(result.reasons)
        assert result.reasons
        assert (result.strength is not None) == (result.verdict is Verdict.SUPPORTED)
        assert bool(result.findings) == (result.verdict is Verdict.REFUTED)
        assert {*result.findings, *result.related} <= known
        assert not {*result.findings} & {*result.related}


@given(ASSESSMENTS, all_facts())
def test_a_waiver_never_changes_a_verdict(seen: Assessment, about: Facts) -> None:
    if about.intent is None:
        return
    waivers = tuple(
        Waiver(f"W{i}", found.rule_id, str(found.subject), "a", "r", "c", START.date())
        for i, found in enumerate(seen.findings)
    )
    waived = dataclasses.replace(about, intent=dataclasses.replace(about.intent, waivers=waivers))
    framework = frameworks()["pci"]
    assert [one.verdict for one in judge(framework, seen, waived)] == [
        one.verdict for one in judge(framework, seen, about)
    ]


@settings(max_examples=30)
@given(SHORTS, st.lists(ASSESSMENTS, min_size=1, max_size=4), all_facts())
def test_a_period_is_never_better_than_any_of_its_snapshots(short: str, seen: list[Assessment], about: Facts) -> None:
    each = [judge(frameworks()[short], one, about) for one in seen]
    over = by_id(worst([(START, results) for results in each]))
    for results in each:
        for result in results:
            assert over[result.control_id].verdict.rank >= result.verdict.rank
            assert {*result.findings} <= {*over[result.control_id].findings}


@given(SHORTS, ASSESSMENTS, ASSESSMENTS, all_facts(), all_facts() | st.none())
def test_what_is_shared_with_an_earlier_judgement_changes_nothing(
    short: str, then: Assessment, now: Assessment, before: Facts, changed: Facts | None
) -> None:
    facts = changed or before  # mostly the same, for then something is shared
    earlier = judge_after(None, frameworks()[short], then, before)
    assert judge_after(earlier, frameworks()[short], now, facts).results == judge(frameworks()[short], now, facts)
    assert judge_after(earlier, frameworks()[short], then, before).results is earlier.results
