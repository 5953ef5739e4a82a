"""Sets of ports: one normal form, exact operations, words."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Protocol
from evidence.reach.portids import ALL_PORTS, NO_PORTS, PortIds
from evidence.reach.ports import LAST_PORT, PortRange, PortSet

TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP
NUMBERS = st.integers(1, 12) | st.integers(65530, 65535)
RANGES = st.builds(
    lambda p, a, b: PortRange(p, min(a, b), max(a, b)), st.sampled_from(list(Protocol)), NUMBERS, NUMBERS
)
SETS = st.lists(RANGES, max_size=4).map(PortSet.joined) | st.just(PortSet.all())
PROBES = [(protocol, port) for protocol in Protocol for port in (*range(1, 14), *range(65529, 65536))]


def members(ports: PortSet) -> set[tuple[Protocol, int]]:
    return {probe for probe in PROBES if ports.contains(*probe)}


@given(SETS, SETS)
def test_operators_are_those_of_sets(a: PortSet, b: PortSet) -> None:
    assert members(a | b) == members(a) | members(b)
    assert members(a & b) == members(a) & members(b)
    assert members(a - b) == members(a) - members(b)
    assert bool(a) == bool(a.ranges)


@given(SETS, SETS)
def test_equal_sets_have_one_form(a: PortSet, b: PortSet) -> None:
    union = a | b
    assert union == b | a
    assert union == (a - b) | (b - a) | (a & b)
    assert hash(union) == hash(b | a)
    assert str(union) == str(b | a)
    assert (a - b) | b == union


@given(st.lists(RANGES, max_size=5))
def test_ranges_are_sorted_and_never_touch(ranges: list[PortRange]) -> None:
    found = PortSet.joined(ranges).ranges
    for one, next_one in pairwise(found):
        assert one.protocol < next_one.protocol or one.last + 1 < next_one.first


def test_everything_is_all_however_it_is_made() -> None:
    made = PortSet.of(TCP, 1, LAST_PORT) | PortSet.of(SCTP, 1, LAST_PORT) | PortSet.of(UDP, 0, 99999)
    assert made == PortSet.all()
    assert made.is_all
    assert not (made - PortSet.of(UDP, 53)).is_all
    assert not PortSet.none().is_all


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        (PortSet.none(), "no ports"),
        (PortSet.all(), "all ports"),
        (PortSet.of(TCP, 443), "TCP 443"),
        (PortSet.of(TCP, 8080, 8090) | PortSet.of(TCP, 443), "TCP 443, TCP 8080-8090"),
        (PortSet.of(UDP, 53) | PortSet.of(TCP, 53), "TCP 53, UDP 53"),
        (PortSet.of(TCP, 1, LAST_PORT), "every TCP port"),
    ],
)
def test_words(ports: PortSet, words: str) -> None:
    assert str(ports) == words


def test_port_0_and_numbers_beyond_the_last_are_no_ports() -> None:
    assert PortSet.of(TCP, 0) == PortSet.none()
    assert PortSet.of(TCP, 65536) == PortSet.none()
    assert PortSet.of(TCP, 70, 60) == PortSet.none()


CUTS = {TCP: {80, 81, 443, 444}, UDP: {53, 54}}


def test_numbered_sets_stand_for_the_sets_that_they_were_made_of() -> None:
    ids = PortIds(CUTS)
    web = ids.number(ids.bits(TCP, 80, 80) | ids.bits(TCP, 443, 443))
    dns = ids.number(ids.bits(UDP, 53, 53))
    assert str(ids.port_set(web)) == "TCP 80, TCP 443"
    assert ids.port_set(ids.union(web, dns)) == ids.port_set(web) | ids.port_set(dns)
    assert ids.meet(web, dns) == NO_PORTS
    assert ids.meet(web, ALL_PORTS) == web
    assert ids.port_set(ids.minus(ALL_PORTS, web)) == PortSet.all() - ids.port_set(web)
    assert ids.holds(web, ids.atom(TCP, 443))
    assert not ids.holds(web, ids.atom(TCP, 442))


def test_ports_outside_the_numbers_of_ports_have_no_bits() -> None:
    ids = PortIds({TCP: {0, 70000}})
    assert ids.bits(TCP, 0, 0) == 0
    assert ids.bits(TCP, 65536, 70000) == 0
    assert ids.number(ids.bits(TCP, 0, 70000) | ids.bits(UDP) | ids.bits(SCTP)) == ALL_PORTS


CUT = st.integers(0, 12) | st.integers(65530, 65536)
CUTS_OF_ALL = st.dictionaries(st.sampled_from(list(Protocol)), st.sets(CUT, max_size=4), max_size=3)


@given(CUTS_OF_ALL, CUTS_OF_ALL)
def test_finer_atoms_leave_every_set_its_number_and_hold_the_new_bounds(
    cuts: dict[Protocol, set[int]], more: dict[Protocol, set[int]]
) -> None:
    ids = PortIds(cuts)
    numbers = [ids.number(1 << atom | 1) for atom in range(ids.all_bits.bit_length())]
    numbers += [ids.union(number, numbers[0]) for number in numbers]
    finer = ids.refined(more)
    for number in (NO_PORTS, ALL_PORTS, *numbers):
        assert finer.port_set(number) == ids.port_set(number)
        assert finer.union(number, numbers[0]) == ids.union(number, numbers[0])
    for protocol, bounds in more.items():
        for bound in bounds:
            below, above = finer.bits(protocol, 1, bound - 1), finer.bits(protocol, bound)
            assert finer.port_set(finer.number(below)) == PortSet.of(protocol, 1, bound - 1)
            assert finer.port_set(finer.number(above)) == PortSet.of(protocol, bound, LAST_PORT)


@pytest.mark.parametrize("sets", [3, 60], ids=["few sets", "many sets"])
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (5, 7), (40, 30)])
def test_operations_on_tables_are_those_of_their_cells(sets: int, shape: tuple[int, int]) -> None:
    ids = PortIds({TCP: set(range(1, 70))})
    numbers = np.array([NO_PORTS, ALL_PORTS, *(ids.number(0b101 << place) for place in range(sets))], dtype=np.int32)
    rng = np.random.default_rng(7)
    a, b = rng.choice(numbers, shape), rng.choice(numbers, shape)
    for operation in (ids.union, ids.meet, ids.minus):
        cells = ids.pairwise(operation, a, b)
        assert cells.shape == shape
        assert cells.tolist() == [
            [operation(*cell) for cell in zip(*rows, strict=True)] for rows in zip(a.tolist(), b.tolist(), strict=True)
        ]
        for number in (NO_PORTS, int(numbers[-1])):
            with_one = ids.each(operation, a, number)
            assert with_one.shape == shape
            assert with_one.tolist() == [[operation(cell, number) for cell in row] for row in a.tolist()]
