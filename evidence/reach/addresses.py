"""The address space as policies cut it: for every IPv4 and IPv6 address, which address matchers of the policies hold it.

1. All bounds of all matchers (and of the zones' networks) cut each family into ranges; neighbours that nothing tells apart are one range,
   so that what nobody names does not split anything.
2. The set of matchers that hold an address is its signature, a small number; 0 is the empty set. Zones' networks cut ranges, too, but are
   no part of a signature: they say nothing about what may pass.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from evidence.cluster.model import IPAddress, IpBlock, IPNetwork
from evidence.values import value

FAMILIES = (4, 6)
_BITS = {4: 32, 6: 128}
NOTHING = 0  # the signature of an address that no matcher holds

Interval = tuple[int, int, int]  # family, first address, address after the last


@value()
class AddressRange:
    """Addresses `first` to `last` (both included), which the same matchers hold."""

    family: int
    first: int
    last: int
    signature: int

    @property
    def ends(self) -> tuple[IPAddress, IPAddress]:
        make = IPv4Address if self.family == 4 else IPv6Address
        return make(self.first), make(self.last)


def intervals_of(block: IpBlock) -> list[Interval]:
    """The addresses of an ipBlock, as intervals. Exceptions of the other family, or outside the block, take nothing away."""
    family = block.cidr.version
    kept = [_interval(block.cidr)]
    for gap in block.excepts:
        if gap.version == family:
            _, low, high = _interval(gap)
            kept = [
                piece
                for f, a, b in kept
                for piece in ((f, a, min(b, low)), (f, max(a, high), b))
                if piece[1] < piece[2]
            ]
    return kept


def interval_of_address(address: IPAddress) -> Interval:
    return address.version, int(address), int(address) + 1


def joined(networks: Iterable[IPNetwork]) -> tuple[Interval, ...]:
    """The addresses of some networks as the fewest intervals, sorted."""
    return united(map(_interval, networks))


def united(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same addresses in the fewest intervals, sorted."""
    found: list[Interval] = []
    for family, low, high in sorted(intervals):
        if found and found[-1][0] == family and found[-1][2] >= low:
            found[-1] = (family, found[-1][1], max(high, found[-1][2]))
        else:
            found.append((family, low, high))
    return tuple(found)


def networks_of(intervals: Iterable[Interval]) -> Iterator[IPNetwork]:
    """The fewest networks that hold the addresses of some intervals."""
    for family, low, high in intervals:
        make = IPv4Address if family == 4 else IPv6Address
        yield from summarize_address_range(make(low), make(high - 1))


def _interval(network: IPNetwork) -> Interval:
    return network.version, int(network.network_address), int(network.broadcast_address) + 1


class AddressSpace:
    """Ranges of both families, IPv4 first, in ascending order. `signatures[s]` are the numbers of the matchers in signature s."""

    def __init__(
        self,
        matchers: Sequence[Iterable[Interval]],
        networks: Iterable[IPNetwork] = (),
        earlier: "AddressSpace | None" = None,
    ) -> None:
        """`earlier` is cut by the first of the matchers; its signatures keep their numbers."""
        self._matchers: list[frozenset[int]] = list(earlier.signatures) if earlier else [frozenset()]
        numbers = {held: number for number, held in enumerate(self._matchers)}
        self.ranges: list[AddressRange] = []
        self._starts: dict[int, list[int]] = {}
        self._signatures: dict[int, list[int]] = {}
        self._offset: dict[int, int] = {}
        edges = _edges(matchers, networks)
        for family in FAMILIES:
            self._offset[family] = len(self.ranges)
            self._sweep(family, edges[family], numbers)
            here = self.ranges[self._offset[family] :]
            self._starts[family] = [found.first for found in here]
            self._signatures[family] = [found.signature for found in here]

    @property
    def signatures(self) -> Sequence[frozenset[int]]:
        return self._matchers

    def _sweep(
        self, family: int, edges: Mapping[int, list[tuple[int, bool]]], numbers: dict[frozenset[int], int]
    ) -> None:
        """Walk from the lowest address to the highest; `edges` give at each bound what starts (True) or ends. Zones have negative numbers."""
        counts: dict[int, int] = defaultdict(int)
        top = 1 << _BITS[family]
        first, held = 0, frozenset[int]()
        for bound in [*sorted(bound for bound in edges if bound < top), top]:
            changed = edges.get(bound, []) if bound < top else []
            after = held
            if changed:
                for number, starts in changed:
                    counts[number] += 1 if starts else -1
                touched = {number for number, _ in changed}
                after = (held - touched) | {number for number in touched if counts[number] > 0}
            if bound > first and (after != held or bound == top):
                policies = frozenset(number for number in held if number >= 0)
                signature = numbers.setdefault(policies, len(numbers))
                if signature == len(self._matchers):
                    self._matchers.append(policies)
                self.ranges.append(AddressRange(family, first, bound - 1, signature))
                first = bound
            held = after

    def position(self, address: IPAddress) -> int:
        """Index in `ranges` of the range that holds the address."""
        return self.place(address.version, int(address))

    def place(self, family: int, address: int) -> int:
        """The same for an address as a number."""
        return self._offset[family] + bisect_right(self._starts[family], address) - 1

    def signature(self, address: IPAddress) -> int:
        """The number of the set of matchers that hold the address."""
        family = address.version
        return self._signatures[family][bisect_right(self._starts[family], int(address)) - 1]


def _edges(
    matchers: Sequence[Iterable[Interval]], networks: Iterable[IPNetwork]
) -> dict[int, dict[int, list[tuple[int, bool]]]]:
    edges: dict[int, dict[int, list[tuple[int, bool]]]] = {family: defaultdict(list) for family in FAMILIES}
    named: list[tuple[int, Interval]] = [
        (number, interval) for number, matcher in enumerate(matchers) for interval in matcher
    ]
    named += [(-1 - number, _interval(network)) for number, network in enumerate(dict.fromkeys(networks))]
    for number, (family, low, high) in named:
        edges[family][low].append((number, True))
        edges[family][high].append((number, False))
    return edges


def inside(found: AddressRange, known: Sequence[int]) -> bool:
    """True when every address of the range is one of the `known` (sorted, of its family)."""
    size = found.last - found.first + 1
    return size <= len(known) and bisect_right(known, found.last) - bisect_left(known, found.first) == size
