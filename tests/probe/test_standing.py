"""What probe runs say of a state: contradictions stand until probed again, agreements only while nothing changed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from evidence.cluster.model import Cluster
from evidence.cluster.objects import ObjectKey
from evidence.intent.model import Classification, Intent
from evidence.probe.model import Judgement, Planned, ProbeRun
from evidence.probe.standing import LOOK_BACK, Standing, of_time
from tests.builders import policy
from tests.probe.shop import BATCH, DAY, DB, INTENT, SHOP, WEB, analysed, many, probed

CDE = frozenset({Classification.CDE})
SAME = "as they were"


def standing(
    runs: Sequence[ProbeRun], found: Cluster = SHOP, intent: Intent | None = INTENT, policies: str = SAME
) -> Standing:
    reach, zones = analysed(found, intent)
    return Standing(runs, reach, zones, intent, policies, {run.id: "cd" * 32 for run in runs})


def into_the_vault(probe: Planned) -> bool:
    """Everything as computed, but that the batch job reaches the database."""
    return probe.allowed or str(probe) == "batch/batch-1 → vault/db-1 TCP 5432"


def test_a_contradiction_is_held_with_the_pods_of_both_ends() -> None:
    (held,) = standing([probed(passes=into_the_vault)]).contradictions
    assert [pod.key for pod in held.pods] == ["batch/batch-1", "vault/db-1"]
    assert held.result.judgement is Judgement.CONTRADICTS


def test_a_newer_run_that_agrees_takes_a_contradiction_away() -> None:
    old = probed(passes=into_the_vault)
    new = probed(at=DAY + timedelta(hours=1), run_id="ffffffff")
    assert standing([new, old]).contradictions == ()


def test_a_newer_run_that_could_not_tell_does_not() -> None:
    old = probed(passes=into_the_vault)
    blind = probed(at=DAY + timedelta(hours=1), run_id="ffffffff")
    blind = replace(blind, results=tuple(replace(r, judgement=Judgement.NOT_DETERMINED) for r in blind.results))
    assert len(standing([old, blind]).contradictions) == 1


def test_a_contradiction_stands_although_another_policy_changed() -> None:
    assert len(standing([probed(passes=into_the_vault)], policies="others").contradictions) == 1


def test_a_contradiction_of_what_policy_no_longer_says_is_over() -> None:
    opened = replace(SHOP, policies=())
    assert standing([probed(passes=into_the_vault)], opened).contradictions == ()


def test_a_pod_that_was_replaced_is_stood_for_by_another_of_its_workload() -> None:
    run = probed(passes=into_the_vault)
    renamed = replace(DB, name="db-2", workload=DB.workload)
    (held,) = standing([run], replace(SHOP, pods=(BATCH, WEB, renamed))).contradictions
    assert held.pods[1].key == "vault/db-2"


def test_a_workload_that_is_gone_is_spoken_of_no_more() -> None:
    assert standing([probed(passes=into_the_vault)], replace(SHOP, pods=(WEB, DB))).contradictions == ()


def test_the_whole_border_of_a_zone_is_seen_to_be_shut_after_a_run_that_agrees() -> None:
    border = standing([probed()]).border(CDE)
    assert border.whole
    assert [run.id for run in border.runs] == ["0a1b2c3d"]


def test_an_agreement_says_nothing_of_policies_that_changed_since() -> None:
    border = standing([probed()], policies="others").border(CDE)
    assert (border.seen, border.runs) == (0, ())
    assert border.total > 0


def test_a_border_with_one_contradiction_is_not_whole() -> None:
    border = standing([probed(passes=into_the_vault)]).border(CDE)
    assert border.seen == border.total - 1
    assert not border.whole


def test_a_new_class_of_pods_is_a_part_of_the_border_that_nobody_saw() -> None:
    newcomer = replace(BATCH, name="new-1", namespace="other", workload=ObjectKey("", "Pod", "other", "new-1"))
    found = replace(
        SHOP, pods=(BATCH, newcomer, WEB, DB), namespaces={**SHOP.namespaces, "other": SHOP.namespaces["batch"]}
    )
    border = standing([probed()], found).border(CDE)
    assert 0 < border.seen < border.total


def test_a_zone_that_nothing_is_closed_to_has_no_border_to_see() -> None:
    border = standing([probed(replace(SHOP, policies=()))], replace(SHOP, policies=())).border(CDE)
    assert (border.total, border.whole) == (0, False)


def test_more_pods_of_a_class_are_spoken_for_by_the_one_that_was_probed() -> None:
    found = replace(SHOP, pods=(BATCH, *many([WEB], 3), DB))
    assert not standing([probed()], found).contradictions
    again = standing([probed(found, seed=5)], found)
    assert again.border(CDE).whole


def test_runs_count_from_their_snapshot_on_and_not_for_ever() -> None:
    run = probed()
    assert list(of_time([run], DAY)) == [run]
    assert list(of_time([run], DAY - timedelta(seconds=1))) == []
    assert list(of_time([run], DAY + LOOK_BACK)) == [run]
    assert list(of_time([run], DAY + LOOK_BACK + timedelta(seconds=1))) == []


def test_a_policy_that_is_added_beside_changes_no_contradiction() -> None:
    closed = replace(SHOP, policies=(*SHOP.policies, policy("closed", "vault", ingress=[])))
    assert len(standing([probed(passes=into_the_vault)], closed, policies="others").contradictions) == 1
