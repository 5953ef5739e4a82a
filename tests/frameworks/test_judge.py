"""How findings become results: one test a rule of the judge."""

import dataclasses
from datetime import date
from ipaddress import ip_network
from typing import Any

import pytest

from evidence.cni.model import CniReport, Enforcement
from evidence.errors import UsageError
from evidence.findings.registry import Assessment, RunStatus
from evidence.frameworks.judge import Agreement, Facts, judge
from evidence.frameworks.model import Condition, Control, Strength, Verdict
from evidence.intent.model import Classification, System, Waiver, Zone, ZoneMember
from tests.builders import pod
from tests.frameworks.builders import (
    CDE,
    DIRECT,
    ENFORCED,
    INDIRECT,
    OUT,
    SUPPORTING,
    ZONES,
    assessment,
    control,
    facts,
    feed,
    finding,
    framework,
    result,
)

IN_CDE = frozenset({CDE})
ONE = control(feed("NET-001", zones=IN_CDE), zones=IN_CDE)
WHOLE_CLUSTER = control(feed("NET-001"))


def text(reasons: tuple[str, ...]) -> str:
    return "\n".join(reasons)


# -- refuted


def test_an_open_finding_of_a_direct_mapping_refutes() -> None:
    found = finding("NET-001", CDE)
    judged = result(ONE, assessment(found))
    assert judged.verdict is Verdict.REFUTED
    assert judged.findings == (found.fingerprint,)
    assert judged.strength is None
    assert judged.reasons == ("NET-001 (Pod has no default deny inbound), 1 finding: Workload ns/x: why it matters",)


def test_a_finding_in_another_zone_does_not_refute() -> None:
    judged = result(ONE, assessment(finding("NET-001", OUT)))
    assert (judged.verdict, judged.findings, judged.related) == (Verdict.SUPPORTED, (), ())


def test_a_finding_on_the_whole_cluster_lies_in_every_zone() -> None:
    assert result(ONE, assessment(finding("NET-001", kind="Cluster"))).verdict is Verdict.REFUTED


def test_a_finding_on_pods_of_no_zone_neither_refutes_nor_lets_support() -> None:
    found = finding("NET-001")
    judged = result(ONE, assessment(found))
    assert judged.verdict is Verdict.NOT_DETERMINED
    assert "what lies in no declared zone: Workload ns/x" in text(judged.reasons)
    assert judged.related == (found.fingerprint,)


def test_a_finding_refutes_although_its_rule_ran_in_part() -> None:
    seen = assessment(finding("NET-001", CDE), runs={"NET-001": RunStatus.PARTIAL})
    assert result(ONE, seen).verdict is Verdict.REFUTED


def test_policies_that_were_not_evaluated_qualify_a_contradiction() -> None:
    judged = result(ONE, assessment(finding("NET-001", CDE)), facts(unevaluated=("CiliumNetworkPolicy a/b",)))
    assert judged.verdict is Verdict.REFUTED
    assert "computed without 1 policy of kinds that are not evaluated" in text(judged.reasons)


def test_a_waiver_changes_the_display_and_never_the_result() -> None:
    waiver = Waiver("W", "NET-001", "Workload ns/x", "CISO", "r", "c", date(2027, 1, 1))
    judged = result(ONE, assessment(finding("NET-001", CDE)), facts(waivers=[waiver]))
    assert judged.verdict is Verdict.REFUTED
    assert "a waiver is on file for 1 of these findings" in text(judged.reasons)


# -- supported


def test_supported_takes_every_check_whole_and_clean_and_says_how_it_is_backed() -> None:
    judged = result(ONE, assessment())
    assert (judged.verdict, judged.strength) == (Verdict.SUPPORTED, Strength.ENFORCED)
    assert judged.reasons == ("1 check looked at everything and found nothing against it: NET-001 (3 looked at)",)


def test_a_missing_probe_does_not_stop_support_but_is_said() -> None:
    one = control(feed("NET-001"), feed("ENF-003", observation=True, has_check=False))
    judged = result(one, assessment())
    assert (judged.verdict, judged.strength) == (Verdict.SUPPORTED, Strength.ENFORCED)
    assert "no probe ran" in text(judged.reasons)


SEES = feed("SEG-001", observation=True)  # stands for a check that looks at packets


def test_a_check_on_packets_that_had_none_to_look_at_does_not_stop_support() -> None:
    one = control(feed("NET-001"), SEES)
    judged = result(one, assessment(runs={"SEG-001": RunStatus.NOT_RUN}))
    assert (judged.verdict, judged.strength) == (Verdict.SUPPORTED, Strength.ENFORCED)
    assert "NET-001 (3 looked at)" in judged.reasons[0]
    assert "no probe ran and no flow log was taken in" in judged.reasons[-1]


def test_a_check_on_packets_that_found_something_refutes() -> None:
    assert result(control(feed("NET-001"), SEES), assessment(finding("SEG-001", CDE))).verdict is Verdict.REFUTED


def test_denials_seen_at_the_zones_of_a_control_make_it_observed() -> None:
    seen = facts(agreements=(Agreement("2 flow logs", 7, IN_CDE),))
    judged = result(ONE, assessment(), seen)
    assert (judged.verdict, judged.strength) == (Verdict.SUPPORTED, Strength.OBSERVED)
    assert judged.reasons[-1] == "7 denied connections in 2 flow logs at these zones agreed with the computation"
    needing = control(feed("NET-001", zones=IN_CDE), zones=IN_CDE, needs=Strength.OBSERVED)
    assert result(needing, assessment(), seen).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("one", "agreement", "cni"),
    [
        (ONE, Agreement("2 flow logs", 7, frozenset({OUT})), ENFORCED),
        (ONE, Agreement("2 flow logs", 0, IN_CDE), ENFORCED),
        (WHOLE_CLUSTER, Agreement("2 flow logs", 7, IN_CDE), ENFORCED),
    ],
    ids=["of another zone", "nothing was denied", "the whole cluster"],
)
def test_denials_elsewhere_or_none_leave_it_at_enforced(one: Control, agreement: Agreement, cni: CniReport) -> None:
    assert result(one, assessment(), facts(cni=cni, agreements=(agreement,))).strength is Strength.ENFORCED


def test_denials_do_not_make_up_for_a_plugin_that_is_not_known_to_enforce() -> None:
    one = control(feed("NET-001", zones=IN_CDE), zones=IN_CDE, needs=Strength.COMPUTED)
    about = facts(cni=NOT_SHOWN, agreements=(Agreement("2 flow logs", 7, IN_CDE),))
    assert result(one, assessment(), about).strength is Strength.COMPUTED


def test_a_kind_that_no_deciding_check_looks_at_may_be_missing_from_the_source() -> None:
    assert result(ONE, assessment(), facts(unseen=("Ingress",))).verdict is Verdict.SUPPORTED


def test_a_record_rests_on_what_is_declared() -> None:
    one = control(feed("REV-001"), needs=Strength.DECLARED)
    judged = result(one, assessment(rules=["REV-001"]), facts(partial=("Pod: forbidden",), cni=NOT_SHOWN))
    assert (judged.verdict, judged.strength) == (Verdict.SUPPORTED, Strength.DECLARED)
    assert "what the intent file puts on record" in text(judged.reasons)


NOT_SHOWN = CniReport((), Enforcement.NOT_SHOWN, ("no plugin was recognised",))
HALF = CniReport((), Enforcement.PARTIAL, ("calico-node is not ready on node-b",))
CARD, SHOP = ZONES


@pytest.mark.parametrize(
    ("one", "seen", "about", "said"),
    [
        (ONE, assessment(runs={"NET-001": RunStatus.NOT_RUN}), facts(), "did not run: reason of NET-001"),
        (ONE, assessment(runs={"NET-001": RunStatus.PARTIAL}), facts(), "could not look at everything: reason of NET-001"),
        (ONE, Assessment((), ()), facts(), "it is not part of the assessment"),
        (ONE, assessment(), facts(partial=("Node: forbidden",)), "the snapshot is partial: Node: forbidden"),
        (ONE, assessment(), facts(unevaluated=("A x",)), "1 policy of a kind that is not evaluated"),
        (ONE, assessment(), facts(unseen=("Pod",)), "the source says nothing of Pod"),
        (ONE, assessment(), facts(unseen=("a.example.com",)), "the source says nothing of a.example.com"),
        (ONE, assessment(), facts(unseen=("CustomResourceDefinition",)), "the source says nothing of CustomResource"),
        (ONE, assessment(), facts(cni=NOT_SHOWN), "enforcement was not shown (enforcement not shown): no plugin"),
        (ONE, assessment(), facts(cni=HALF), "enforced on some nodes"),
        (
            control(feed("NET-001"), needs=Strength.OBSERVED),
            assessment(),
            facts(),
            "no probe and no flow log is part of the evidence",
        ),
        (
            control(feed("NET-001"), feed("CHG-001", has_check=False)),
            assessment(),
            facts(),
            "CHG-001 (Drift from last approved snapshot) would have to be checked too",
        ),
        (
            control(feed("NET-001"), feed("BYP-001", SUPPORTING, withholds=True)),
            assessment(finding("BYP-001"), rules=["NET-001", "BYP-001"]),
            facts(),
            "BYP-001 (hostNetwork pod), 1 finding",
        ),
        (
            control(feed("NET-001"), feed("BYP-001", SUPPORTING, withholds=True)),
            assessment(runs={"BYP-001": RunStatus.NOT_RUN}),
            facts(),
            "BYP-001 (hostNetwork pod) did not run",
        ),
        (control(feed("NET-001"), needs=None, why_never="one part of it"), assessment(), facts(), "one part of it"),
        (WHOLE_CLUSTER, assessment(), facts(zones=None, pods=()), "the snapshot holds no pod that runs"),
        (
            ONE,
            assessment(),
            facts(pods=[dataclasses.replace(pod("vault", "payments"), template=True)]),
            "no pod that runs lies in a zone that is declared as cde",
        ),
        (ONE, assessment(), facts(pods=[pod("web", "shop")]), "no pod that runs lies in a zone that is declared as cde"),
        (
            ONE,
            assessment(),
            facts([CARD, Zone("also", OUT, members=(ZoneMember(namespaces=("payments",)),))]),
            "the declared zones are in doubt: zones card and also: both hold pod payments/vault",
        ),
    ],
)  # fmt: skip
def test_anything_less_is_not_determined_and_says_why(one: Control, seen: Assessment, about: Facts, said: str) -> None:
    judged = result(one, seen, about)
    assert judged.verdict is Verdict.NOT_DETERMINED
    assert judged.strength is None
    assert said in text(judged.reasons)


INTERNET = Zone("internet", Classification.INTERNET, cidrs=(ip_network("0.0.0.0/0"),))


def test_where_approved_flows_count_every_address_outside_must_lie_in_a_zone() -> None:
    one = control(feed("NET-001"), feed("PRT-002", SUPPORTING, withholds=True))
    seen = assessment(rules=["NET-001", "PRT-002"])
    judged = result(one, seen)
    assert judged.verdict is Verdict.NOT_DETERMINED
    assert "declare a zone with 0.0.0.0/0 as internet" in text(judged.reasons)
    assert result(one, seen, facts([*ZONES, INTERNET])).verdict is Verdict.SUPPORTED


def test_computed_is_enough_where_no_more_is_asked_for() -> None:
    judged = result(control(feed("NET-001"), needs=Strength.COMPUTED), assessment(), facts(cni=NOT_SHOWN))
    assert (judged.verdict, judged.strength) == (Verdict.SUPPORTED, Strength.COMPUTED)


# -- what decides


def test_supporting_findings_never_decide() -> None:
    found = finding("NET-001", CDE)
    judged = result(control(feed("NET-001", SUPPORTING)), assessment(found))
    assert (judged.verdict, judged.related) == (Verdict.NOT_DETERMINED, (found.fingerprint,))
    assert "findings of NET-001 bear on it and cannot decide it" in text(judged.reasons)


def test_a_supporting_finding_that_does_not_withhold_stands_beside_support() -> None:
    found = finding("SEG-001", CDE)
    judged = result(control(feed("NET-001"), feed("SEG-001", SUPPORTING)), assessment(found))
    assert (judged.verdict, judged.related) == (Verdict.SUPPORTED, (found.fingerprint,))


def test_a_control_that_no_check_feeds_is_not_assessed_here() -> None:
    judged = result(control(feed("CHG-001", has_check=False), tool_cannot_show="approvals"), assessment())
    assert judged.verdict is Verdict.NOT_ASSESSED
    assert "it would take CHG-001 (Drift from last approved snapshot); not shown: approvals" in text(judged.reasons)


def test_context_alone_assesses_nothing() -> None:
    found = finding("NET-001", CDE)
    judged = result(control(feed("NET-001", INDIRECT)), assessment(found))
    assert (judged.verdict, judged.related) == (Verdict.NOT_ASSESSED, (found.fingerprint,))


def test_an_evidence_only_framework_lists_findings_and_gives_no_verdict() -> None:
    one = control(feed("NET-001", SUPPORTING))
    judged = result(one, assessment(finding("NET-001")), evidence_only="the entity decides")
    assert (judged.verdict, judged.reasons) == (Verdict.NOT_DETERMINED, ("the entity decides",))


def test_an_evidence_only_framework_may_still_have_a_control_that_is_decided() -> None:
    assert result(WHOLE_CLUSTER, assessment(finding("NET-001")), evidence_only="why").verdict is Verdict.REFUTED


def test_a_user_s_own_mapping_is_named_in_the_result() -> None:
    one = dataclasses.replace(ONE, changed_by="mine.yaml")
    for seen in (assessment(), assessment(finding("NET-001", CDE)), assessment(finding("NET-001"))):
        assert result(one, seen).reasons[-1] == "its mapping is not as shipped: mine.yaml changes it"


# -- scope


def test_without_declared_zones_a_control_about_a_zone_is_not_determined_whatever_was_found() -> None:
    for zones in (None, ()):
        judged = result(ONE, assessment(finding("NET-001")), facts(zones=zones))
        assert judged.verdict is Verdict.NOT_DETERMINED
        assert judged.findings == ()
        assert "scope was not declared: no intent file says which pods are cde" in text(judged.reasons)


def test_a_zone_that_nobody_has_makes_the_control_not_applicable_only_when_every_pod_was_placed() -> None:
    all_placed = facts([Zone("all", OUT, members=(ZoneMember(namespaces=("payments", "shop")),))])
    assert result(ONE, assessment(), all_placed).verdict is Verdict.NOT_APPLICABLE
    judged = result(ONE, assessment(), facts([SHOP]))
    assert judged.verdict is Verdict.NOT_DETERMINED
    assert "no zone is declared as cde, but 1 pod lies in no zone" in text(judged.reasons)


def test_a_framework_for_regulated_data_applies_where_a_zone_has_such_data() -> None:
    one = control(feed("NET-001"))
    placed = facts([Zone("all", OUT, members=(ZoneMember(namespaces=("payments", "shop")),))])
    assert result(one, assessment(), placed, regulated=CDE).verdict is Verdict.NOT_APPLICABLE
    assert result(one, assessment(), facts(), regulated=CDE).verdict is Verdict.SUPPORTED


def test_findings_outside_a_declared_boundary_do_not_decide() -> None:
    boundary = Classification.FEDRAMP_BOUNDARY
    zones = (Zone("gov", boundary, members=(ZoneMember(namespaces=("payments",)),)), SHOP)
    seen = assessment(finding("NET-001", OUT))
    assert result(WHOLE_CLUSTER, seen, facts(zones), boundary=boundary).verdict is Verdict.SUPPORTED
    without = result(WHOLE_CLUSTER, seen, facts(), boundary=boundary)
    assert without.verdict is Verdict.REFUTED
    assert "no zone is declared as fedramp-boundary: the whole cluster was looked at" in text(without.reasons)


@pytest.mark.parametrize(
    ("condition", "about", "verdict"),
    [
        (Condition.SERVICE_PROVIDER, facts(system=System(service_provider=True)), Verdict.SUPPORTED),
        (Condition.SERVICE_PROVIDER, facts(system=System(service_provider=False)), Verdict.NOT_APPLICABLE),
        (Condition.SERVICE_PROVIDER, facts(), Verdict.NOT_DETERMINED),
        (Condition.SERVICE_PROVIDER, facts(zones=None), Verdict.NOT_DETERMINED),
        (Condition.MULTI_TENANT, facts(system=System(multi_tenant=False)), Verdict.NOT_APPLICABLE),
        (Condition.DESIGNATED_ENTITY, facts(system=System(designated_entity=True)), Verdict.SUPPORTED),
        (Condition.SEGMENTATION, facts(), Verdict.SUPPORTED),
        (Condition.SEGMENTATION, facts([CARD]), Verdict.NOT_APPLICABLE),
        (Condition.SEGMENTATION, facts([SHOP]), Verdict.NOT_APPLICABLE),
        (Condition.SEGMENTATION, facts(zones=None), Verdict.NOT_DETERMINED),
    ],
)
def test_a_condition_that_is_not_met_is_not_applicable_and_one_not_declared_not_determined(
    condition: Condition, about: Facts, verdict: Verdict
) -> None:
    assert result(control(feed("NET-001"), only_if=(condition,)), assessment(), about).verdict is verdict


# -- baselines

BASELINES: dict[str, Any] = {"baselines": ("Low", "High")}
HIGH_ONLY = control(feed("NET-001"), baselines=("High",))


@pytest.mark.parametrize(
    ("about", "verdict"),
    [
        (facts(), Verdict.SUPPORTED),
        (facts(baseline="high"), Verdict.SUPPORTED),
        (facts(baseline="Low"), Verdict.NOT_APPLICABLE),
        (facts(system=System(baseline="Low")), Verdict.NOT_APPLICABLE),
        (facts(system=System(baseline="Low"), baseline="High"), Verdict.SUPPORTED),
    ],
)
def test_a_control_outside_the_baseline_is_not_applicable(about: Facts, verdict: Verdict) -> None:
    assert result(HIGH_ONLY, assessment(), about, **BASELINES).verdict is verdict


def test_an_unknown_baseline_is_a_usage_error_and_a_framework_without_baselines_ignores_it() -> None:
    with pytest.raises(UsageError, match="choose one of Low, High"):
        result(HIGH_ONLY, assessment(), facts(baseline="Middle"), **BASELINES)
    assert judge(framework(WHOLE_CLUSTER), assessment(), facts(baseline="Middle"))[0].verdict is Verdict.SUPPORTED


def test_results_come_in_the_framework_s_order_with_what_else_is_needed() -> None:
    controls = [dataclasses.replace(ONE, id=name, also_needed=("a diagram",)) for name in ("2", "1", "3")]
    judged = judge(framework(*controls), assessment(), facts())
    assert [one.control_id for one in judged] == ["2", "1", "3"]
    assert {one.also_needed for one in judged} == {("a diagram",)}


def test_direct_is_what_decides() -> None:
    assert [one.rule_id for one in control(feed("NET-001", DIRECT), feed("SEG-001", SUPPORTING)).direct] == ["NET-001"]
