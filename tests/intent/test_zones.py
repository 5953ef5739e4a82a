"""Which pods and addresses lie in which zone, and what is doubtful."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Cluster
from evidence.intent.model import Classification, Intent, Zone, ZoneMember
from evidence.intent.zones import assign
from tests.builders import cluster, namespace, pod, selector


def zone(name: str, *members: ZoneMember, cidrs: Iterable[str] = ()) -> Zone:
    return Zone(name, Classification.CDE, members=members, cidrs=tuple(ip_network(text) for text in cidrs))


def names(zones: Iterable[Zone]) -> list[str]:
    return [zone.name for zone in zones]


SHOP = cluster(
    [
        pod("api", "payments", {"app": "api"}, ip="10.0.0.1"),
        pod("vault", "payments", {"app": "vault"}, ip="10.0.0.2"),
        pod("web", "shop", {"app": "web"}, ip="10.0.0.3"),
        pod("done", "payments", {"app": "api"}, phase="Succeeded"),
    ],
    namespaces=[namespace("payments", pci="yes"), namespace("shop")],
)


@pytest.mark.parametrize(
    ("member", "inside"),
    [
        (ZoneMember(namespaces=("payments",)), ["payments/api", "payments/vault"]),
        (ZoneMember(namespaces=("payments",), pod_selector=selector({"app": "vault"})), ["payments/vault"]),
        (ZoneMember(namespace_selector=selector({"pci": "yes"})), ["payments/api", "payments/vault"]),
        (ZoneMember(namespace_selector=selector()), ["payments/api", "payments/vault", "shop/web"]),
        (ZoneMember(pod_selector=selector({"app": "web"})), ["shop/web"]),
        (ZoneMember(namespaces=("nowhere",)), []),
    ],
)
def test_a_pod_lies_in_a_zone_when_a_member_selects_its_namespace_and_labels(
    member: ZoneMember, inside: list[str]
) -> None:
    zones = assign(Intent(zones=(zone("z", member),)), SHOP)
    assert [found.key for found in zones.pods("z")] == inside
    assert sorted([*inside, *zones.unassigned]) == ["payments/api", "payments/vault", "shop/web"]
    assert zones.population == 3


def test_without_an_intent_nothing_lies_anywhere() -> None:
    zones = assign(None, SHOP)
    assert zones.of_pod("payments/api") == ()
    assert zones.of_address(ip_address("192.0.2.1")) == ()
    assert len(zones.unassigned) == 3
    assert zones.problems == ()


def test_a_finished_pod_lies_in_no_zone_and_is_not_missing() -> None:
    zones = assign(Intent(zones=(zone("z", ZoneMember(namespaces=("payments",))),)), SHOP)
    assert zones.of_pod("payments/done") == ()
    assert "payments/done" not in zones.unassigned


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("203.0.113.5", ["bank"]),
        ("203.0.114.1", ["net"]),
        ("198.51.100.7", ["one", "two"]),
        ("2001:db8::1", ["v6"]),
        ("2001:db9::1", []),
    ],
)
def test_an_address_lies_in_the_zone_with_the_narrowest_network(address: str, inside: list[str]) -> None:
    zones = (
        zone("net", cidrs=["0.0.0.0/0"]),
        zone("bank", cidrs=["203.0.113.0/28"]),
        zone("one", cidrs=["198.51.100.0/24"]),
        zone("two", cidrs=["198.51.100.0/24"]),
        zone("v6", cidrs=["2001:db8::/32"]),
    )
    assert names(assign(Intent(zones=zones), Cluster({})).of_address(ip_address(address))) == inside


def test_networks_never_draw_pods_in_and_that_is_said() -> None:
    zones = assign(Intent(zones=(zone("z", cidrs=["10.0.0.0/24"]),)), SHOP)
    assert zones.of_pod("payments/api") == ()
    assert len(zones.problems) == 1
    assert str(zones.problems[0]).startswith("zone z: has networks that hold the address of pod payments/api")


def test_the_whole_internet_holds_pod_addresses_without_a_word() -> None:
    assert assign(Intent(zones=(zone("internet", cidrs=["0.0.0.0/0"]),)), SHOP).problems == ()


@pytest.mark.parametrize(
    ("cidrs", "ip", "left"),
    [
        ([], "10.0.0.1", ("0.0.0.0/0",)),
        (["0.0.0.0/0"], "10.0.0.1", ()),
        (["0.0.0.0/1", "128.0.0.0/1"], "10.0.0.1", ()),
        (["0.0.0.0/1"], "10.0.0.1", ("0.0.0.0/0",)),
        (["0.0.0.0/0"], "2001:db8::1", ("::/0",)),
        (["0.0.0.0/0", "::/0"], "2001:db8::1", ()),
    ],
)
def test_it_is_known_which_addresses_outside_lie_in_no_zone(cidrs: list[str], ip: str, left: tuple[str, ...]) -> None:
    zones = assign(Intent(zones=(zone("z", cidrs=cidrs),)), cluster([pod("a", ip=ip)]))
    assert zones.outside_undeclared == left


def test_zones_that_match_nothing_or_overlap_are_in_doubt() -> None:
    zones = (
        zone("a", ZoneMember(namespaces=("payments",))),
        zone("b", ZoneMember(pod_selector=selector({"app": "api"}))),
        zone("c", ZoneMember(namespaces=("nowhere",))),
        zone("d", cidrs=["192.0.2.0/24"]),
        zone("e", cidrs=["192.0.2.0/24"]),
    )
    assert [str(problem) for problem in assign(Intent(zones=zones), SHOP).problems] == [
        "zones a and b: both hold pod payments/api",
        "zone c: matches no pod",
        "zone c: names namespace nowhere, which the cluster does not have",
        "zones d and e: both hold network 192.0.2.0/24",
    ]


@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from(["n1", "n2", "n3"])),
            st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
        ),
        max_size=4,
    ),
    st.lists(
        st.tuples(st.sampled_from(["n1", "n2"]), st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))),
        max_size=6,
    ),
)
def test_every_pod_is_decided_by_its_own_namespace_and_labels(
    members: list[tuple[set[str], dict[str, str] | None]], pods: list[tuple[str, dict[str, str]]]
) -> None:
    """Pods with the same labels are decided once; that must not show."""
    built = cluster([pod(f"p{i}", where, labels) for i, (where, labels) in enumerate(pods)])
    zones = tuple(
        zone(f"z{i}", ZoneMember(tuple(sorted(where)), None, None if labels is None else selector(labels)))
        for i, (where, labels) in enumerate(members)
    )
    found = assign(Intent(zones=zones), built)
    for one in built.pods:
        expected = [
            f"z{i}"
            for i, (where, labels) in enumerate(members)
            if (not where or one.namespace in where) and all(one.labels.get(k) == v for k, v in (labels or {}).items())
        ]
        assert names(found.of_pod(one.key)) == expected
        assert (one.key in found.unassigned) == (not expected)
