"""Family plumbing, priorities: cluster-wide policies between which no order is defined."""

from dataclasses import replace

from evidence.cluster.model import Cluster, Direction
from evidence.cluster.policies import Action, ClusterPolicy
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import cluster, pod
from tests.findings.looking import clean, finding, findings, hit, look, near_miss
from tests.reach.build import cluster_policy, does, pods_of

PODS = cluster([pod("web", "shop", {"app": "web"}), pod("db", "shop", {"app": "db"}), pod("job", "batch")])
OPEN = cluster_policy("open", does(Action.ACCEPT))
SHUT = cluster_policy("shut", does(Action.DENY))


def given(*policies: ClusterPolicy) -> Cluster:
    return replace(PODS, cluster_policies=policies)


@hit("NET-021")
def test_policies_of_one_priority_that_decide_differently_are_a_finding_on_the_first() -> None:
    shut_in_shop = replace(SHUT, subject=pods_of({"kubernetes.io/metadata.name": "shop"}))
    found = finding("NET-021", given(OPEN, shut_in_shop))
    assert str(found.subject) == "ClusterNetworkPolicy open"
    assert found.severity is Severity.MEDIUM
    assert found.message == (
        "ClusterNetworkPolicy open and ClusterNetworkPolicy shut both have priority 10 in the Admin tier and decide differently about ingress of the "
        "same pods (shop/db, shop/web): which of them is asked first is undefined"
    )
    assert [reference.key.name for reference in found.evidence] == ["open", "shut"]


@hit("NET-021")
def test_both_directions_of_a_pair_are_one_finding_and_each_pair_is_its_own() -> None:
    both_ways = replace(SHUT, egress=SHUT.ingress)
    open_both_ways = replace(OPEN, egress=OPEN.ingress)
    found = findings("NET-021", given(open_both_ways, both_ways, replace(SHUT, key=SHUT.key._replace(name="third"))))
    assert len(found) == len({f.fingerprint for f in found}) == 2
    assert "about egress and ingress of" in found[0].message


@near_miss("NET-021")
def test_policies_with_different_priorities_have_an_order() -> None:
    assert clean("NET-021", given(OPEN, replace(SHUT, priority=11)))


@near_miss("NET-021")
def test_policies_that_agree_or_select_other_pods_need_no_order() -> None:
    other_pods = replace(SHUT, subject=pods_of({"kubernetes.io/metadata.name": "batch"}))
    open_in_shop = replace(OPEN, subject=pods_of({"kubernetes.io/metadata.name": "shop"}))
    assert clean("NET-021", given(SHUT, replace(SHUT, key=SHUT.key._replace(name="third"))))
    assert clean("NET-021", given(open_in_shop, other_pods))
    assert clean("NET-021", given(OPEN, cluster_policy("shut", does(Action.DENY), direction=Direction.EGRESS)))


def test_without_having_read_cluster_wide_policies_nothing_is_said() -> None:
    run, found = look("NET-021", replace(PODS, unread_kinds=("ClusterNetworkPolicy",)))
    assert (run.status, found) == (RunStatus.NOT_RUN, [])
