"""Sets of destination ports, exact over SCTP, TCP and UDP.

1. A port is a number from 1 to 65535 of one protocol: a policy cannot name port 0 (NetworkPolicyPort.port).
2. A set is kept in its one normal form (sorted by protocol and number, no two ranges that touch), so that equal sets compare and hash
   equal and print alike.
"""

from collections.abc import Iterable
from typing import NamedTuple

from evidence.cluster.model import Protocol
from evidence.values import value

FIRST_PORT = 1
LAST_PORT = 65535


class PortRange(NamedTuple):
    """Ports `first` to `last` (both included) of one protocol."""

    protocol: Protocol
    first: int
    last: int

    def __str__(self) -> str:
        if (self.first, self.last) == (FIRST_PORT, LAST_PORT):
            return f"every {self.protocol.value} port"
        return f"{self.protocol.value} {self.first}" + (f"-{self.last}" if self.last != self.first else "")


@value()
class PortSet:
    """A set of ports. `ranges` is its normal form; make sets with `none`, `all`, `of` and the operators | & -."""

    ranges: tuple[PortRange, ...]

    @staticmethod
    def none() -> "PortSet":
        return _NONE

    @staticmethod
    def all() -> "PortSet":
        return _ALL

    @staticmethod
    def of(protocol: Protocol, first: int, last: int | None = None) -> "PortSet":
        """Ports `first` to `last` (by default `first` alone), as far as they are ports at all."""
        low, high = max(first, FIRST_PORT), min(first if last is None else last, LAST_PORT)
        return PortSet((PortRange(protocol, low, high),)) if low <= high else _NONE

    @staticmethod
    def joined(ranges: Iterable[PortRange]) -> "PortSet":
        """The union of any ranges, in any order."""
        merged: list[PortRange] = []
        for found in sorted(ranges):
            if merged and merged[-1].protocol is found.protocol and found.first <= merged[-1].last + 1:
                if found.last > merged[-1].last:
                    merged[-1] = PortRange(found.protocol, merged[-1].first, found.last)
            else:
                merged.append(found)
        return PortSet(tuple(merged))

    def contains(self, protocol: Protocol, port: int) -> bool:
        return any(r.protocol is protocol and r.first <= port <= r.last for r in self.ranges)

    @property
    def is_all(self) -> bool:
        return self.ranges == _ALL.ranges

    def __or__(self, other: "PortSet") -> "PortSet":
        if not other.ranges or self is _ALL:
            return self
        if not self.ranges or other is _ALL:
            return other
        return PortSet.joined((*self.ranges, *other.ranges))

    def __and__(self, other: "PortSet") -> "PortSet":
        if self is _ALL or not other.ranges:
            return other
        if other is _ALL or not self.ranges:
            return self
        common = [
            PortRange(a.protocol, max(a.first, b.first), min(a.last, b.last))
            for a in self.ranges
            for b in other.ranges
            if a.protocol is b.protocol and a.first <= b.last and b.first <= a.last
        ]
        return PortSet(tuple(sorted(common)))

    def __sub__(self, other: "PortSet") -> "PortSet":
        if not self.ranges or not other.ranges:
            return self
        left = list(self.ranges)
        for b in other.ranges:
            left = [piece for a in left for piece in _without(a, b)]
        return PortSet(tuple(left))

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __str__(self) -> str:
        return "all ports" if self.is_all else ", ".join(map(str, self.ranges)) or "no ports"


def _without(a: PortRange, b: PortRange) -> Iterable[PortRange]:
    if a.protocol is not b.protocol or b.last < a.first or a.last < b.first:
        return (a,)
    below, above = PortRange(a.protocol, a.first, b.first - 1), PortRange(a.protocol, b.last + 1, a.last)
    return tuple(piece for piece in (below, above) if piece.first <= piece.last)


_NONE = PortSet(())
_ALL = PortSet(tuple(PortRange(protocol, FIRST_PORT, LAST_PORT) for protocol in sorted(Protocol)))
