"""Arithmetic on ipBlocks: what a block still holds after its exceptions, and what several hold together."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from evidence.cluster.model import IpBlock, IPNetwork


def covered(blocks: Iterable[IpBlock]) -> list[IPNetwork]:
    """The addresses of some blocks together, as the fewest networks: what one block excepts, another may give back."""
    left = [network for block in blocks for network in without_excepts(block)]
    v4 = [network for network in left if isinstance(network, IPv4Network)]
    v6 = [network for network in left if isinstance(network, IPv6Network)]
    return [*collapse_addresses(v4), *collapse_addresses(v6)]


def without_excepts(block: IpBlock) -> list[IPNetwork]:
    """What is left of a block."""
    parts: list[IPNetwork] = [block.cidr]
    for cut in block.excepts:
        parts = [rest for part in parts for rest in _cut(part, cut)]
    return parts


def within(narrow: IpBlock, wide: IpBlock) -> bool:
    """True when every address that the narrow block holds is held by the wide one."""
    held = without_excepts(wide)
    return all(any(_subnet(part, whole) for whole in held) for part in collapse_same(without_excepts(narrow)))


def collapse_same(networks: list[IPNetwork]) -> list[IPNetwork]:
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
