"""Selectors, networks and policies of any shape: read or refused in one sentence, never a crash, and then meant as the words of the API say."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evidence.cluster.cidr import parse_network
from evidence.cluster.fields import FieldError
from evidence.cluster.model import IPAddress, IpBlock, IPNetwork
from evidence.cluster.parse_policies import label_selector
from evidence.errors import InputError
from evidence.reach import matrix
from evidence.reach.addresses import AddressSpace, intervals_of, joined, networks_of
from evidence.reach.engine import analyse
from tests.builders import cluster, peer, pod, policy, rule
from tests.manifests import parsed_cluster, pod_body, policy_body

RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

T = TypeVar("T")


def outcome(reading: Callable[[], T]) -> T | str:
    """What is read, or the sentence that refuses it."""
    try:
        return reading()
    except (ValueError, FieldError, InputError) as error:
        return str(error)


networks = st.one_of(
    st.ip_addresses(v=4).flatmap(lambda a: st.integers(0, 32).map(lambda n: IPv4Network((a, n), strict=False))),
    st.ip_addresses(v=6).flatmap(lambda a: st.integers(0, 128).map(lambda n: IPv6Network((a, n), strict=False))),
)


@st.composite
def nearly_networks(draw: st.DrawFn) -> str:
    """A network with a character put in, taken out or changed."""
    text = str(draw(networks))
    place = draw(st.integers(0, len(text)))
    return (
        text[:place]
        + draw(st.sampled_from(["", "0", ".", ":", "/", "%", " ", "-", "٣"]))
        + text[place + draw(st.integers(0, 1)) :]
    )


@RELAXED
@given(st.one_of(st.text(max_size=20), nearly_networks(), networks.map(str)))
@example("10.0.0.0/٣")
@example("::ffff:10.0.0.0/104")
@example("010.0.0.0/8")
def test_any_text_is_a_network_or_refused_with_what_is_wrong(text: str) -> None:
    found = outcome(lambda: parse_network(text))
    assert found == (found if isinstance(found, str) else parse_network(str(found)))
    assert found


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 70000)
    | st.sampled_from(["", "a", "In", "NotIn", "Exists", "app", "10.0.0.0/8"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["matchLabels", "matchExpressions", "key", "operator", "values", "app"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@RELAXED
@given(st.dictionaries(st.sampled_from(["matchLabels", "matchExpressions", "matchField"]), values, max_size=2))
def test_any_value_is_a_selector_or_refused_with_its_place(raw: dict[str, Any]) -> None:
    found = outcome(lambda: label_selector(raw))
    assert found if isinstance(found, str) else isinstance(found.matches({"app": "a"}), bool)


parts = st.sampled_from(
    [
        "podSelector",
        "namespaceSelector",
        "ipBlock",
        "cidr",
        "except",
        "from",
        "to",
        "ports",
        "port",
        "endPort",
        "protocol",
    ]
)
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(parts, inner, max_size=3), max_leaves=8
)


@RELAXED
@given(
    st.dictionaries(
        st.sampled_from(["podSelector", "policyTypes", "ingress", "egress", "unknown"]), anything, max_size=4
    )
)
def test_any_policy_is_analysed_or_refused(spec: dict[str, Any]) -> None:
    found = outcome(lambda: parsed_cluster([pod_body("a"), pod_body("b"), policy_body(spec)]))
    assert "spec" in found if isinstance(found, str) else "".join(matrix.csv(analyse(found)))


@st.composite
def blocks(draw: st.DrawFn) -> IpBlock:
    """A block with exceptions, most of them inside it."""
    whole = draw(networks)
    excepts: list[IPNetwork] = []
    for _ in range(draw(st.integers(0, 3))):
        inside = whole[draw(st.integers(0, whole.num_addresses - 1))]
        prefix = draw(st.integers(whole.prefixlen, whole.max_prefixlen))
        gap = ip_network((inside, prefix), strict=False)
        excepts.append(gap if draw(st.integers(0, 4)) else draw(networks))
    return IpBlock(whole, tuple(excepts))


def near(found: Sequence[IpBlock]) -> st.SearchStrategy[IPAddress]:
    """Addresses at the bounds of some networks, and others."""
    bounds: list[IPAddress] = []
    for block in found:
        for network in (block.cidr, *block.excepts):
            ends = int(network[0]), int(network[-1])
            make = type(network[0])
            bounds += [make(n) for n in (ends[0] - 1, *ends, ends[1] + 1) if 0 <= n < 1 << network.max_prefixlen]
    others = st.ip_addresses(v=4) | st.ip_addresses(v=6)
    return st.sampled_from(bounds) | others if bounds else others


def meant(block: IpBlock, address: IPAddress) -> bool:
    return address in block.cidr and not any(address in gap for gap in block.excepts)


@RELAXED
@given(st.lists(blocks(), max_size=4), st.lists(networks, max_size=2), st.data())
def test_an_address_lies_in_a_block_and_in_none_of_its_exceptions(
    found: list[IpBlock], zones: list[IPNetwork], data: st.DataObject
) -> None:
    space = AddressSpace([intervals_of(block) for block in found], zones)
    for family, last in ((4, (1 << 32) - 1), (6, (1 << 128) - 1)):
        ranges = [each for each in space.ranges if each.family == family]
        assert (ranges[0].first, ranges[-1].last) == (0, last)
        assert all(one.last + 1 == other.first for one, other in pairwise(ranges))
    for _ in range(8):
        address = data.draw(near(found))
        held = {number for number, block in enumerate(found) if meant(block, address)}
        assert space.signatures[space.signature(address)] == held
        where = space.ranges[space.position(address)]
        assert where.family == address.version
        assert where.first <= int(address) <= where.last


words = st.text(st.characters(codec="ascii", categories=("Ll", "Nd")), max_size=3)


@RELAXED
@given(
    st.lists(st.dictionaries(st.sampled_from(["app", "tier"]), words, max_size=2), min_size=1, max_size=5), st.data()
)
def test_selectors_with_any_values_pick_the_pods_that_have_them(
    found: list[Mapping[str, str]], data: st.DataObject
) -> None:
    asked = data.draw(st.dictionaries(st.sampled_from(["app", "tier"]), words, max_size=2))
    pods = [pod(f"p{n}", labels=each) for n, each in enumerate(found)]
    db = pod("db", "data")
    reach = analyse(cluster([*pods, db], [policy("p", "data", ingress=[rule([peer(asked, namespaces={})])])]))
    for each in pods:
        wanted = all(each.labels.get(key) == value for key, value in asked.items())
        assert reach.ports(reach.peer_of(each.key), reach.peer_of(db.key)).is_all is wanted


def test_addresses_are_compared_as_numbers() -> None:
    space = AddressSpace([intervals_of(IpBlock(ip_network("9.0.0.0/8")))])
    assert space.signature(ip_address("10.0.0.1")) != space.signature(ip_address("9.255.255.255"))


near_networks = st.one_of(
    st.integers(0, 31).flatmap(lambda a: st.integers(27, 32).map(lambda n: IPv4Network((0x0A000000 + a, n), strict=False))),
    st.integers(0, 7).flatmap(lambda a: st.integers(125, 128).map(lambda n: IPv6Network((a, n), strict=False))),
)  # fmt: skip


@RELAXED
@given(st.lists(near_networks, max_size=6))
@example([IPv4Network("10.0.0.0/31"), IPv4Network("10.0.0.2/31"), IPv6Network("::/127"), IPv6Network("::/128")])
def test_networks_are_joined_to_the_fewest_that_hold_the_same_addresses(given: list[IPNetwork]) -> None:
    found = joined(given)
    assert list(networks_of(found)) == [
        *collapse_addresses(network for network in given if isinstance(network, IPv4Network)),
        *collapse_addresses(network for network in given if isinstance(network, IPv6Network)),
    ]
    assert all(one[0] != other[0] or one[2] < other[1] for one, other in pairwise(found))
