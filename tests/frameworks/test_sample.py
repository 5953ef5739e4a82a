"""The story that the sample tells, by the real chain from dumps to control results."""

from functools import cache

import pytest

from evidence import pipeline
from evidence.frameworks.facts import Facts, ground_of
from evidence.frameworks.judge import judge, worst
from evidence.frameworks.load import load_frameworks
from evidence.frameworks.model import ControlResult, Framework, Strength, Verdict
from evidence.intent.parse import parse_intent
from evidence.sample import intent_path, sample_dumps

S, R, U = Verdict.SUPPORTED, Verdict.REFUTED, Verdict.NOT_DETERMINED


@cache
def assessed() -> tuple[pipeline.Assessed, ...]:
    """The five dumps, each as of its own time, with the sample's intent file."""
    return tuple(
        pipeline.assess(
            pipeline.load_state([str(dump.path)], db=None, cluster=None, at=None, intent_path=intent_path()),
            dump.taken_at,
        )
        for dump in sample_dumps()
    )


def framework(short: str) -> Framework:
    return next(one for one in load_frameworks().values() if one.short == short)


def facts(one: pipeline.Assessed, **given: str) -> Facts:
    return Facts(one.state.intent, ground_of(one.state.intent, one.cni, one.zones), **given)  # type: ignore[arg-type]


def judged(short: str, **given: str) -> tuple[tuple[ControlResult, ...], ...]:
    return tuple(judge(framework(short), one.assessment, facts(one, **given)) for one in assessed())


def history(short: str, control: str) -> list[Verdict]:
    return [next(r.verdict for r in results if r.control_id == control) for results in judged(short)]


@pytest.mark.parametrize(
    ("control", "verdicts"),
    [
        ("1.3.1", [R, S, S, R, S]),  # open, denied, segmented, the vault opened to batch, mended
        ("1.3.2", [R, S, S, U, S]),  # the opened vault is no way out, but a flow that nobody approved
        ("12.5.2", [R, U, U, R, U]),  # batch reaches card data, so it is in scope after all
        ("1.2.5", [R, R, R, R, R]),  # much is allowed that nobody approved
        ("1.2.7", [S, S, S, S, S]),  # reviewed in June
        ("11.4.5", [U, U, U, U, R]),  # the last test was a year and six days before the last snapshot
    ],
)
def test_the_quarter_of_the_sample(control: str, verdicts: list[Verdict]) -> None:
    assert history("pci", control) == verdicts


def test_the_drift_refutes_the_quarter_and_is_named() -> None:
    times = [dump.taken_at for dump in sample_dumps()]
    over = {one.control_id: one for one in worst(list(zip(times, judged("pci"), strict=True)))}
    reasons = "\n".join(over["1.3.1"].reasons)
    assert over["1.3.1"].verdict is R
    assert "2026-08-20 06:00 UTC" in reasons
    assert "ZonePair batch -> card-data" in reasons


def test_isolation_that_is_supported_is_enforced_and_says_that_no_probe_ran() -> None:
    result = next(r for r in judged("pci")[-1] if r.control_id == "1.3.1")
    assert result.strength is Strength.ENFORCED
    assert "no probe ran" in result.reasons[-1]


def bearing(control: str) -> list[set[str]]:
    """What bears on a HIPAA standard in each snapshot, as "rule subject"."""
    return [
        {f"{f.rule_id} {f.subject}" for f in one.assessment.findings if f.fingerprint in result.related}
        for one, results in zip(assessed(), judged("hipaa"), strict=True)
        for result in results
        if result.control_id == control
    ]


def test_hipaa_gets_evidence_and_findings_about_the_health_records_and_no_verdict() -> None:
    assert {result.verdict for results in judged("hipaa") for result in results} == {U, Verdict.NOT_ASSESSED}
    access = ["SEG-001 ZonePair batch -> health-records" in found for found in bearing("164.312(a)(1)")]
    assert access == [True, True, True, True, False]  # until the health plan got its policies


def test_the_health_plans_policy_is_wider_than_what_its_owner_approved() -> None:
    newest = bearing("164.308(a)(4)(ii)(B)")[-1]
    assert newest >= {"PRT-002 ZonePair health-records -> internet", "PRT-002 ZonePair health-records -> acquirer"}
    assert "PRT-002 ZonePair health-records -> clearinghouse" not in newest
    assert "PRT-004 ApprovedFlow F-13" in bearing("164.308(a)(4)(ii)(C)")[-1]


def test_fedramp_is_judged_at_the_declared_baseline_over_the_whole_cluster() -> None:
    newest = {result.control_id: result for result in judged("fedramp")[-1]}
    assert newest["SC-7(10)"].verdict is Verdict.NOT_APPLICABLE
    assert newest["SC-7(10)"].reasons == ("not part of the Moderate baseline",)
    assert newest["SC-7(5)"].verdict is R
    assert "no zone is declared as fedramp-boundary: the whole cluster was looked at" in newest["SC-7(5)"].reasons
    low = {result.control_id: result for result in judged("fedramp", baseline="Low")[-1]}
    assert low["SC-7(5)"].verdict is low["AC-4"].verdict is Verdict.NOT_APPLICABLE


def test_without_the_intent_file_scope_was_not_declared_and_nothing_is_supported() -> None:
    dump = sample_dumps()[-1]
    one = pipeline.assess(pipeline.load_state([str(dump.path)], db=None, cluster=None, at=None), dump.taken_at)
    results = judge(framework("pci"), one.assessment, facts(one))
    assert {result.verdict for result in results} == {U, Verdict.NOT_ASSESSED}
    assert all("not declared" in "\n".join(result.reasons) for result in results if result.verdict is U)


def test_every_pod_of_the_sample_lies_in_a_zone_and_the_declaration_is_in_no_doubt() -> None:
    for one in assessed():
        assert one.zones.unassigned == ()
        assert one.zones.problems == ()


def test_the_sample_waives_findings_that_exist() -> None:
    intent = parse_intent(intent_path().read_bytes(), str(intent_path()))
    seen = {(found.rule_id, str(found.subject)) for one in assessed() for found in one.assessment.findings}
    assert {(waiver.rule_id, waiver.subject) for waiver in intent.waivers} <= seen
