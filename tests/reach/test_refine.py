"""What two clusters have in common: pods that are alike in both, and outside addresses likewise."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from evidence.cluster.model import Cluster, Pod
from evidence.cluster.objects import ObjectKey
from evidence.reach.engine import Reachability, analyse
from evidence.reach.refine import Compared, Member, Slice, parts, ranges_text, slices
from tests.builders import block, cluster, peer, pod, policy, rule

SITE = ObjectKey("apps", "Deployment", "shop", "site")
TOLD_APART = policy("db", "pay", ingress=[rule([peer({"side": "a"}), peer({"side": "b"})])])


def site(**sides: str) -> list[Pod]:
    """Pods of one workload, with the value of a label that a policy looks at."""
    return [replace(pod(name, "shop", {"side": side}), workload=SITE) for name, side in sides.items()]


def told(before: list[Pod], after: list[Pod]) -> list[tuple[str, str, str]]:
    """For each part of the workload: its pods, where it is, and what it can show."""
    looks = policy("looks", "shop", ingress=[rule([peer({"side": "a"}), peer({"side": "b"}), peer({"side": "c"})])])
    found = parts(analyse(cluster(before, [looks])), analyse(cluster(after, [looks])))
    return [
        (" ".join(member.pods), part.presence.value, part.likeness.compared.value)
        for part in found
        for member in part.members
    ]


def test_pods_of_a_workload_that_are_told_apart_are_parts_by_name() -> None:
    assert told(site(x="a", y="b"), site(x="b", y="a")) == [("x", "both", "wholly"), ("y", "both", "wholly")]
    assert told([], site(x="a", y="b", z="a")) == [("x z", "new", "wholly"), ("y", "new", "wholly")]
    assert told(site(x="a", y="b"), []) == [("x", "gone", "wholly"), ("y", "gone", "wholly")]


def test_replaced_pods_go_with_those_that_they_are_like() -> None:
    assert told(site(x="a", y="b", old="a"), site(x="a", y="b", new="b")) == [
        ("x", "both", "wholly"),
        ("new y", "both", "wholly"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "rest"),
    [
        (site(x="a", y="b"), site(x="a", y="b", new="c"), ("new", "both", Compared.ONLY_ADDED)),
        (site(x="a", y="b", old="c"), site(x="a", y="b"), ("old", "both", Compared.ONLY_REMOVED)),
        (site(x="a", old="b"), site(x="a", new="c"), ("new", "both", Compared.WHOLLY)),
    ],
)
def test_pods_like_no_other_are_compared_with_the_whole(
    before: list[Pod], after: list[Pod], rest: tuple[str, str, Compared]
) -> None:
    assert told(before, after)[-1] == (*rest[:2], rest[2].value)


def test_a_part_of_a_workload_says_how_many_pods_and_which() -> None:
    def name(*pods: str) -> str:
        return Member(SITE, pods, 3).name

    assert name("x") == "shop/Deployment/site (1 of 3 pods: x)"
    assert name("x", "y") == "shop/Deployment/site (2 of 3 pods: x and others)"
    assert name("x", "y", "z") == "shop/Deployment/site"


# -- the outside ------------------------------------------------------------------------------------------------------


def families(before: Cluster, after: Cluster) -> set[int]:
    return {found.family for found in slices(analyse(before), analyse(after))}


def test_a_family_that_one_side_does_not_show_is_compared_where_both_know_addresses() -> None:
    old, both = cluster([pod("a", ip="10.0.0.1")]), cluster([pod("a", ip=["10.0.0.1", "fd00::1"])])
    assert families(old, both) == families(both, old) == {4, 6}
    unknown = cluster([pod("a")])
    assert {found.first.version for found in analyse(unknown).external} == {4, 6}
    assert families(old, unknown) == {4}
    assert families(unknown, old) == {4}


def test_the_outside_is_cut_at_the_bounds_of_both() -> None:
    def named(network: str) -> Reachability:
        return analyse(cluster([pod("a", ip="10.0.0.1")], [policy("p", ingress=[rule([block(network)])])]))

    bounds = {str(one.ends[0]) for one in slices(named("198.51.100.0/24"), named("198.51.100.128/25"))}
    assert {"198.51.100.0", "198.51.100.128", "198.51.101.0"} <= bounds


def of(*networks: str) -> Iterable[Slice]:
    for found in map(ip_network, networks):
        yield Slice(found.version, int(found[0]), int(found[-1]), 0, 0)


@pytest.mark.parametrize(
    ("found", "texts"),
    [
        (of("10.0.0.128/25", "10.0.0.0/25"), ("10.0.0.0/24",)),
        (of("10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"), ("10.0.0.0-10.0.0.191",)),
        (of("10.0.0.0/32", "10.0.0.2/32"), ("10.0.0.0/32", "10.0.0.2/32")),
        (of("10.0.0.1/32", "10.0.0.2/32"), ("10.0.0.1-10.0.0.2",)),
        (of("255.255.255.255/32", "::1:0:0/128"), ("255.255.255.255/32", "::1:0:0/128")),
        (of("::/1", "8000::/1", "0.0.0.0/0"), ("0.0.0.0/0", "::/0")),
    ],
)
def test_ranges_are_told_as_the_fewest(found: Iterable[Slice], texts: tuple[str, ...]) -> None:
    assert ranges_text(found) == texts
