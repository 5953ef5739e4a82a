"""How rules are run: what they could not see, what becomes of hits, and that tests and docs keep up with them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Direction
from evidence.findings.docs import finds, index_page, rule_page
from evidence.findings.finding import UNMOVED_FAMILIES, Severity, Subject, count, severity_in, shortened
from evidence.findings.registry import RULES, Context, Hit, Looked, Rule, RunStatus, evaluate, rule, run_rule
from evidence.intent.model import SENSITIVE, Classification, Intent
from tests.builders import cluster, pod, policy
from tests.findings.looking import baseline_deny, context, look, shown
from tests.findings.test_bypass import CALICO

SHOP = cluster([pod("web-1", "shop", {"app": "web"})], [policy("deny", "shop", ingress=[], egress=[])])
HANGING = sorted(rule_id for rule_id, rule in RULES.items() if rule.hangs_on_policies)


def example(**given: object) -> Rule:
    def check(_: Context) -> Looked:
        """Says what it is given."""
        return Looked(3, (), ())

    fields = {"needs": frozenset({"Pod"}), "check": check, **given}
    return Rule("X-001", "Example", Severity.LOW, "coverage", "why", "mend", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["hit", "near miss"])
def test_every_rule_has_a_test_with_a_hit_and_one_with_a_near_miss(what: str) -> None:
    assert shown()[what] == set(RULES)


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_every_rule_says_what_it_finds_why_it_matters_and_how_to_mend_it(rule_id: str) -> None:
    page = rule_page(RULES[rule_id])
    assert finds(RULES[rule_id]).endswith(".")
    assert RULES[rule_id].why.endswith(".")
    assert RULES[rule_id].mend.endswith(".")
    for heading in ("## What it finds", "## Why it matters", "## How to mend it", "## When it runs"):
        assert heading in page
    assert f"[{rule_id}]({rule_id}.md)" in index_page(tuple(RULES.values()))


def test_a_rule_id_is_defined_once() -> None:
    define = rule("NET-001", title="Again", severity=Severity.LOW, family="x", why="", mend="", needs=())
    with pytest.raises(ValueError, match="NET-001 is defined twice"):
        define(lambda _: Looked(0, ()))


def test_a_kind_that_was_not_read_at_all_means_not_run() -> None:
    blind = replace(cluster([pod("web-1", "shop")]), unread_kinds=("NetworkPolicy",))
    run, found = look("NET-001", blind)
    assert (run.status, run.population, found) == (RunStatus.NOT_RUN, 0, [])
    assert run.reason == "could not be read: NetworkPolicy"


def test_a_kind_that_was_read_in_part_means_run_in_part() -> None:
    run, _ = look("NET-001", replace(SHOP, unread_kinds=("NetworkPolicy",)))
    assert (run.status, run.reason) == (RunStatus.PARTIAL, "read in part only: NetworkPolicy")


def test_an_unread_kind_that_a_rule_does_not_look_at_changes_nothing() -> None:
    run, _ = look("NET-001", replace(SHOP, unread_kinds=("Node",)))
    assert run.status is RunStatus.RAN


@pytest.mark.parametrize("rule_id", HANGING)
def test_rules_that_hang_on_policies_are_never_whole_beside_policies_that_nobody_evaluates(rule_id: str) -> None:
    given = context(replace(SHOP, other_policies=(CALICO,)), None)
    run, _ = run_rule(replace(RULES[rule_id], needs_intent=False), given)
    assert run.status is RunStatus.PARTIAL
    assert "GlobalNetworkPolicy" in run.reason


@pytest.mark.parametrize("rule_id", HANGING)
def test_rules_that_hang_on_policies_are_never_whole_when_a_policy_kind_could_not_be_listed(rule_id: str) -> None:
    given = context(replace(SHOP, unread_kinds=("AdminNetworkPolicy",)), None)
    run, _ = run_rule(replace(RULES[rule_id], needs_intent=False), given)
    assert run.status is RunStatus.PARTIAL
    assert "AdminNetworkPolicy could not be listed" in run.reason


@pytest.mark.parametrize("rule_id", sorted(rule_id for rule_id, rule in RULES.items() if rule.reads_rules))
def test_rules_on_policy_rules_are_never_whole_beside_policies_whose_rules_they_do_not_read(rule_id: str) -> None:
    state = replace(SHOP, cluster_policies=(baseline_deny(Direction.INGRESS),))
    run, _ = run_rule(replace(RULES[rule_id], needs_intent=False), context(state))
    assert run.status is RunStatus.PARTIAL
    assert "rules of 1 cluster-wide policy were not looked at (BaselineAdminNetworkPolicy default)" in run.reason


@pytest.mark.parametrize("intent", [None, Intent(zones=())], ids=["no intent file", "no zones in it"])
def test_without_zones_a_rule_that_needs_them_does_not_run(intent: Intent | None) -> None:
    run, _ = run_rule(example(needs_intent=True), context(SHOP, intent))
    assert (run.status, run.reason) == (RunStatus.NOT_RUN, "no zones declared")


def test_what_is_on_record_counts_also_without_zones() -> None:
    run, _ = run_rule(example(needs_record=True), context(SHOP, Intent(zones=())))
    assert run.status is RunStatus.RAN
    run, _ = run_rule(example(needs_record=True), context(SHOP))
    assert (run.status, run.reason) == (RunStatus.NOT_RUN, "no intent file")


def test_every_rule_leaves_a_run_also_when_it_found_nothing() -> None:
    assessment = evaluate(context(SHOP))
    assert [run.rule_id for run in assessment.runs] == sorted(RULES)
    assert all(run.reason for run in assessment.runs if run.status is not RunStatus.RAN)
    assert not any(run.reason for run in assessment.runs if run.status is RunStatus.RAN)


def test_an_empty_cluster_has_no_findings_and_no_traceback() -> None:
    assert evaluate(context(cluster())).findings == ()


def test_the_same_cluster_gives_the_same_findings_in_the_same_order() -> None:
    state = cluster([pod(f"{name}-1", name) for name in ("c", "a", "b")])
    turned = replace(state, pods=tuple(reversed(state.pods)), namespaces=dict(reversed(list(state.namespaces.items()))))
    assert evaluate(context(state)) == evaluate(context(turned))


def test_hits_that_nothing_tells_apart_are_one_finding_with_the_evidence_of_all() -> None:
    hits = tuple(Hit(Subject("Cluster", "", "cluster"), "twice", details=(name,)) for name in ("a", "b", "a"))
    _, found = run_rule(example(check=lambda _: Looked(1, hits)), context(SHOP))
    assert [finding.details for finding in found] == [("a", "b")]


@given(
    st.sampled_from(Severity),
    st.sampled_from(sorted({rule.family for rule in RULES.values()})),
    st.frozensets(st.sampled_from(Classification)),
)
def test_severity_moves_by_one_step_at_most_and_never_down_for_regulated_data(
    base: Severity, family: str, present: frozenset[Classification]
) -> None:
    moved = severity_in(base, family, present)
    assert abs(moved.rank - base.rank) <= 1
    if family in UNMOVED_FAMILIES or not present:
        assert moved is base
    if present & SENSITIVE:
        assert moved.rank >= base.rank


def test_long_lists_are_cut_with_a_number_and_words_agree_with_it() -> None:
    assert shortened(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert [count(1, "policy", "policies"), count(2, "policy", "policies"), count(0, "pod")] == [
        "1 policy", "2 policies", "0 pods"
    ]  # fmt: skip
