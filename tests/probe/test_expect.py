"""What is computed for the pods that really took part, before and after the run."""

from collections.abc import Mapping
from dataclasses import replace

from evidence.cluster.model import Cluster, OtherPolicy
from evidence.cluster.objects import ObjectKey
from evidence.probe.expect import expect, with_stand_ins
from evidence.probe.judge import Expected
from evidence.probe.model import Planned
from evidence.probe.ran import EPHEMERAL, STAND_IN, Ran, SourceRan, StandInRan
from evidence.reach.engine import analyse
from tests.builders import block, cluster, policy, port, rule
from tests.probe.shop import BATCH, DB, ONLY_WEB, SHOP, WEB, planned

DENIED = planned(1)
TO_TWIN = planned(2, source="shop/web-1", allowed=True, stand_in=True)
RAN = Ran(
    {
        "batch/batch-1": SourceRan(STAND_IN, "evidence-probe-1-0s", "10.0.7.1"),
        "shop/web-1": SourceRan(EPHEMERAL, "evidence-probe-1", "10.0.0.1"),
    },
    {"vault/db-1": StandInRan("evidence-probe-1-0d", "10.0.7.2", started=True, alive=True)},
    {"vault/db-1": "10.0.0.2"},
)


def expected(before: Cluster, after: Cluster | None = None, ran: Ran = RAN) -> Mapping[int, Expected]:
    probes: list[Planned] = [DENIED, TO_TWIN]
    first, last = (analyse(with_stand_ins(found, ran)) for found in (before, after or before))
    return expect(probes, first, last, ran)


def test_stand_ins_are_pods_like_those_that_they_stand_for() -> None:
    names = [pod.key for pod in with_stand_ins(SHOP, RAN).pods]
    assert names == [
        "batch/batch-1",
        "batch/evidence-probe-1-0s",
        "shop/web-1",
        "vault/db-1",
        "vault/evidence-probe-1-0d",
    ]
    assert {number: found.allowed for number, found in expected(SHOP).items()} == {1: False, 2: True}


def test_an_ip_block_that_treats_a_stand_in_s_address_otherwise_counts() -> None:
    by_address = policy("by-address", "vault", ingress=[rule([block("10.0.7.0/24")], [port(5432)])])
    found = expected(cluster([WEB, DB, BATCH], [ONLY_WEB, by_address]))[1]
    assert found.allowed
    assert "by-address" in found.ingress


def test_a_policy_that_changed_while_the_probes_ran_leaves_it_open() -> None:
    found = expected(SHOP, replace(SHOP, policies=()))
    assert found[1].unsure == "what policies say of it changed while the probes ran"
    assert found[2].unsure == ""


def test_a_pod_that_went_while_the_probes_ran_leaves_it_open() -> None:
    found = expected(SHOP, replace(SHOP, pods=(BATCH, WEB)))
    assert {entry.unsure for entry in found.values()} == {"a pod of it went while the probes ran"}


def test_policies_that_are_not_evaluated_or_listed_are_a_doubt() -> None:
    other = OtherPolicy(ObjectKey("security.istio.io", "AuthorizationPolicy", "vault", "a"), "v1")
    found = expected(replace(SHOP, other_policies=(other,), unread_kinds=("NetworkPolicy",)))[1]
    assert found.doubt == (
        "policies that are not evaluated (AuthorizationPolicy) or policies that could not be listed (NetworkPolicy)"
    )
    assert expected(SHOP)[1].doubt == ""


def test_a_source_that_never_had_an_address_is_spoken_of_as_its_pod() -> None:
    failed = replace(RAN, sources={**RAN.sources, "batch/batch-1": SourceRan(STAND_IN, "x", "", "exceeded quota")})
    assert expected(SHOP, ran=failed)[1].allowed is False
