"""Arithmetic on ipBlocks: what a block still holds after its exceptions, and what several hold together.

Answers are remembered: the same few blocks are asked about by many rules, and again in the next snapshot.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from evidence.cluster.model import IpBlock, IPNetwork

REMEMBERED = 1 << 12


def covered(blocks: Iterable[IpBlock]) -> tuple[IPNetwork, ...]:
    """The addresses of some blocks together, as the fewest networks: what one block excepts, another may give back."""
    return _covered(tuple(blocks))


@lru_cache(maxsize=REMEMBERED)
def _covered(blocks: tuple[IpBlock, ...]) -> tuple[IPNetwork, ...]:
    left = [network for block in blocks for network in without_excepts(block)]
    v4 = [network for network in left if isinstance(network, IPv4Network)]
    v6 = [network for network in left if isinstance(network, IPv6Network)]
    return (*collapse_addresses(v4), *collapse_addresses(v6))


@lru_cache(maxsize=REMEMBERED)
def without_excepts(block: IpBlock) -> tuple[IPNetwork, ...]:
    """What is left of a block."""
    parts: list[IPNetwork] = [block.cidr]
    for cut in block.excepts:
        parts = [rest for part in parts for rest in _cut(part, cut)]
    return tuple(parts)


@lru_cache(maxsize=REMEMBERED)
def within(narrow: IpBlock, wide: IpBlock) -> bool:
    """True when every address that the narrow block holds is held by the wide one."""
    held = without_excepts(wide)
    return all(any(_subnet(part, whole) for whole in held) for part in collapse_same(without_excepts(narrow)))


def collapse_same(networks: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Networks of one family as the fewest."""
    return covered(IpBlock(network) for network in networks)


def _subnet(part: IPNetwork, whole: IPNetwork) -> bool:
    if isinstance(part, IPv4Network) and isinstance(whole, IPv4Network):
        return part.subnet_of(whole)
    return isinstance(part, IPv6Network) and isinstance(whole, IPv6Network) and part.subnet_of(whole)


def _cut(part: IPNetwork, cut: IPNetwork) -> list[IPNetwork]:
    if not part.overlaps(cut):  # never across families
        return [part]
    if _subnet(part, cut):
        return []
    if isinstance(part, IPv4Network) and isinstance(cut, IPv4Network):
        return list(part.address_exclude(cut))
    if isinstance(part, IPv6Network) and isinstance(cut, IPv6Network):
        return list(part.address_exclude(cut))
    return [part]
