"""What kinds of addresses lie outside: the internet, or ranges that it does not carry.

1. PRIVATE: RFC 1918, shared address space (RFC 6598), link-local (RFC 3927, RFC 4291), unique local (RFC 4193) with the site-local range
   before it (RFC 3879), benchmarking (RFC 2544) and 240.0.0.0/4 (RFC 1112), which private networks use although it is reserved.
2. NOBODY: addresses that are never a connection's source: unspecified, loopback, multicast, IPv4-mapped.
3. Everything else is INTERNET, documentation ranges included: a mistake then makes things look more exposed, never less.

Sources: the IANA special-purpose address registries for IPv4 and IPv6.
"""

from bisect import bisect_right
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from ipaddress import ip_network

from evidence.cluster.model import IPAddress, IPNetwork


class AddressKind(StrEnum):
    """Where addresses outside the cluster belong."""

    INTERNET = "internet"
    PRIVATE = "private ranges"
    NOBODY = "no host"

    __hash__ = str.__hash__  # an Enum's own is Python's, and takes five times as long


_SPECIAL = {
    AddressKind.PRIVATE: (
        "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "240.0.0.0/4",
        "fc00::/7", "fe80::/9",
    ),
    AddressKind.NOBODY: ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "::/127", "::ffff:0.0.0.0/96", "ff00::/8"),
}  # fmt: skip
ANYWHERE = frozenset((AddressKind.INTERNET, AddressKind.PRIVATE))

Bounds = tuple[int, int, int]  # family, first address, last address


def bounds_of(network: IPNetwork) -> Bounds:
    return network.version, int(network.network_address), int(network.broadcast_address)


@cache
def _pieces(family: int) -> tuple[list[int], list[AddressKind]]:
    """The family's addresses cut where the kind changes: first addresses of the pieces, and their kinds."""
    special = sorted(
        (first, last, kind)
        for kind, names in _SPECIAL.items()
        for version, first, last in (bounds_of(ip_network(name)) for name in names)
        if version == family
    )
    starts, kinds = [0], [AddressKind.INTERNET]
    for first, last, kind in special:
        if starts[-1] == first:
            starts.pop()
            kinds.pop()
        starts += [first, last + 1]
        kinds += [kind, AddressKind.INTERNET]
    return starts, kinds


def kinds_between(first: IPAddress, last: IPAddress) -> frozenset[AddressKind]:
    """The kinds of the addresses from first to last, those of nobody left out."""
    return _kinds((first.version, int(first), int(last)))


def kinds_within(first: IPAddress, last: IPAddress, networks: Iterable[IPNetwork]) -> frozenset[AddressKind]:
    """The kinds of those addresses from first to last that lie in one of the networks."""
    found: set[AddressKind] = set()
    for family, low, high in map(bounds_of, networks):
        if family == first.version and low <= int(last) and int(first) <= high:
            found |= _kinds((family, max(low, int(first)), min(high, int(last))))
    return frozenset(found)


def kinds_of(networks: Iterable[IPNetwork]) -> frozenset[AddressKind]:
    """The kinds of the addresses in some networks."""
    return frozenset().union(*map(_kinds, map(bounds_of, networks)))


def _kinds(bounds: Bounds) -> frozenset[AddressKind]:
    family, first, last = bounds
    starts, kinds = _pieces(family)
    return frozenset(kinds[bisect_right(starts, first) - 1 : bisect_right(starts, last)]) - {AddressKind.NOBODY}
