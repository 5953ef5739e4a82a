"""Family enforcement, staged policies."""

from dataclasses import replace

from evidence.cluster.calico import Calico, CalicoPolicy, StagedPolicy
from evidence.cluster.model import Cluster
from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import cluster, pod, policy
from tests.findings.looking import clean, finding, hit, look, near_miss

GROUP = "projectcalico.org"
PODS = cluster([pod("web", "shop", {"app": "web"})])


def staged(action: str = "Set", kind: str = "StagedNetworkPolicy") -> StagedPolicy:
    return StagedPolicy(ObjectKey(GROUP, kind, "shop", "shut"), action)


def given(*policies: StagedPolicy, in_force: str = "") -> Cluster:
    own = (CalicoPolicy(ObjectKey(GROUP, "NetworkPolicy", "shop", in_force), f"{GROUP}/v3"),) if in_force else ()
    return replace(PODS, staged_policies=policies, calico=Calico(own) if own else None)


@hit("ENF-005")
def test_a_staged_policy_is_said_to_enforce_nothing() -> None:
    found = finding("ENF-005", given(staged()))
    assert str(found.subject) == "StagedNetworkPolicy shop/shut"
    assert found.severity is Severity.MEDIUM
    assert found.message == (
        "Calico StagedNetworkPolicy shop/shut is staged (action Set, tier default) and enforces nothing: its rules are not in force"
    )


@hit("ENF-005")
def test_a_change_that_waits_is_less_grave_than_a_policy_that_is_not_in_force() -> None:
    found = finding("ENF-005", given(staged(), in_force="shut"))
    assert found.severity is Severity.LOW
    assert found.message.endswith("; Calico NetworkPolicy shop/shut, which is in force, may say otherwise")
    assert finding("ENF-005", given(staged(), in_force="other")).severity is Severity.MEDIUM


@hit("ENF-005")
def test_a_policy_of_the_same_name_and_another_maker_is_another_policy() -> None:
    found = replace(given(staged()), policies=(policy("shut", "shop"),))
    assert finding("ENF-005", found).severity is Severity.MEDIUM
    of_kubernetes = replace(found, staged_policies=(staged(kind="StagedKubernetesNetworkPolicy"),))
    assert finding("ENF-005", of_kubernetes).severity is Severity.LOW


@hit("ENF-005")
def test_each_action_says_what_waits() -> None:
    assert "stays in force" in finding("ENF-005", given(staged("Delete"), in_force="shut")).message
    assert "puts nothing in force" in finding("ENF-005", given(staged("Learn"))).message


@near_miss("ENF-005")
def test_a_policy_in_force_is_not_staged() -> None:
    assert clean("ENF-005", given(in_force="shut"))


def test_without_having_read_staged_policies_nothing_is_said() -> None:
    run, found = look("ENF-005", replace(PODS, unread_kinds=("StagedNetworkPolicy",)))
    assert (run.status, found) == (RunStatus.NOT_RUN, [])


def test_unread_staged_policies_could_change_nothing() -> None:
    run, _ = look("NET-017", replace(PODS, unread_kinds=("StagedNetworkPolicy",)))
    assert run.status is RunStatus.RAN
