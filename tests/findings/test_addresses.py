"""Arithmetic on ipBlocks, against plain sets of addresses."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import IpBlock
from evidence.findings.addresses import covered, within
from tests.builders import block

SMALL = st.tuples(st.integers(0, 31), st.integers(27, 32)).map(
    lambda drawn: IPv4Network((int(IPv4Address("10.0.0.0")) + drawn[0], drawn[1]), strict=False)
)
BLOCKS = st.builds(IpBlock, SMALL, st.lists(SMALL, max_size=3).map(tuple))


def addresses(*blocks: IpBlock) -> set[object]:
    return {address for found in blocks for address in found.cidr if not any(address in cut for cut in found.excepts)}


@given(st.lists(BLOCKS, max_size=3))
def test_blocks_together_hold_what_each_holds_without_its_own_exceptions(blocks: list[IpBlock]) -> None:
    assert {address for network in covered(blocks) for address in network} == addresses(*blocks)


@given(BLOCKS, BLOCKS)
def test_a_block_within_another_holds_nothing_else(narrow: IpBlock, wide: IpBlock) -> None:
    if within(narrow, wide):
        assert addresses(narrow) <= addresses(wide)


def test_families_never_mix() -> None:
    assert not within(block("10.0.0.0/8"), block("::/0"))
    assert [str(n) for n in covered([block("0.0.0.0/0", "::/0"), block("::/0")])] == ["0.0.0.0/0", "::/0"]
