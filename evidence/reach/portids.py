"""Port sets as small numbers, so that a table of them is one integer a cell.

All port numbers that any rule or named port mentions cut each protocol's ports into atoms; a set is a bit an atom, kept as one Python
integer, and every set that turns up gets a number. Unions and differences of numbered sets are computed once and remembered.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Protocol
from evidence.reach.ports import FIRST_PORT, LAST_PORT, PortRange, PortSet

Ids = npt.NDArray[np.int32]
Operation = Callable[[int, int], int]

NO_PORTS = 0
ALL_PORTS = 1
_SMALL = 256
_FEW_PAIRS = 4  # possible pairs of numbers for each cell, up to which a table of all is cheaper than sorting


class PortIds:
    """The numbered port sets of one analysis. Sets can be made of the atoms only: `cuts` must hold every bound that will be asked for."""

    def __init__(self, cuts: Mapping[Protocol, Iterable[int]]) -> None:
        """`cuts`: for each protocol the numbers at which an atom starts."""
        self._starts: dict[Protocol, list[int]] = {}
        self._base: dict[Protocol, int] = {}
        self._atoms: list[PortRange] = []
        for protocol in sorted(Protocol):
            starts = sorted({FIRST_PORT, *(n for n in cuts.get(protocol, ()) if FIRST_PORT < n <= LAST_PORT)})
            self._starts[protocol], self._base[protocol] = starts, len(self._atoms)
            ends = [n - 1 for n in starts[1:]] + [LAST_PORT]
            self._atoms += [PortRange(protocol, first, last) for first, last in zip(starts, ends, strict=True)]
        everything = (1 << len(self._atoms)) - 1
        self.all_bits = everything
        self._bits: list[int] = [0, everything]
        self._numbers: dict[int, int] = {0: NO_PORTS, everything: ALL_PORTS}
        self._sets: dict[int, PortSet] = {NO_PORTS: PortSet.none(), ALL_PORTS: PortSet.all()}
        self._known: tuple[dict[tuple[int, int], int], ...] = ({}, {}, {})

    def refined(self, cuts: Mapping[Protocol, Iterable[int]]) -> "PortIds":
        """The same sets under the same numbers, with atoms that end at these bounds too."""
        more = {
            protocol: {*starts, *(n for n in cuts.get(protocol, ()) if FIRST_PORT < n <= LAST_PORT)}
            for protocol, starts in self._starts.items()
        }
        if all(len(starts) == len(self._starts[protocol]) for protocol, starts in more.items()):
            return self
        other = PortIds(more)
        became = [other.bits(atom.protocol, atom.first, atom.last) for atom in self._atoms]
        other._bits = [sum(atom for place, atom in enumerate(became) if bits >> place & 1) for bits in self._bits]
        other._numbers = {bits: number for number, bits in enumerate(other._bits)}
        other._sets = dict(self._sets)
        other._known = tuple(dict(known) for known in self._known)
        return other

    def bits(self, protocol: Protocol, first: int = FIRST_PORT, last: int = LAST_PORT) -> int:
        """The atoms of a range of ports, as bits; ports outside 1 to 65535 are none."""
        first, last = max(first, FIRST_PORT), min(last, LAST_PORT)
        if first > last:
            return 0
        low, high = self.atom(protocol, first), self.atom(protocol, last)
        return ((1 << (high + 1)) - 1) ^ ((1 << low) - 1)

    def atom(self, protocol: Protocol, port: int) -> int:
        """Number of the atom that holds a port."""
        return self._base[protocol] + bisect_right(self._starts[protocol], port) - 1

    def number(self, bits: int) -> int:
        """The number of a set, a new one when it has not been seen."""
        found = self._numbers.setdefault(bits, len(self._bits))
        if found == len(self._bits):
            self._bits.append(bits)
        return found

    def holds(self, number: int, atom: int) -> bool:
        return bool(self._bits[number] >> atom & 1)

    def port_set(self, number: int) -> PortSet:
        """The set that a number stands for."""
        if number not in self._sets:
            bits = self._bits[number]
            self._sets[number] = PortSet.joined(r for i, r in enumerate(self._atoms) if bits >> i & 1)
        return self._sets[number]

    def union(self, a: int, b: int) -> int:
        known = self._known[0]
        if (a, b) not in known:
            known[a, b] = self.number(self._bits[a] | self._bits[b])
        return known[a, b]

    def meet(self, a: int, b: int) -> int:
        known = self._known[1]
        if (a, b) not in known:
            known[a, b] = self.number(self._bits[a] & self._bits[b])
        return known[a, b]

    def minus(self, a: int, b: int) -> int:
        known = self._known[2]
        if (a, b) not in known:
            known[a, b] = self.number(self._bits[a] & ~self._bits[b])
        return known[a, b]

    @staticmethod
    def each(operation: Operation, cells: Ids, number: int) -> Ids:
        """The operation of every cell with one number."""
        present = (
            set(cells.ravel().tolist()) if cells.size <= _SMALL else np.flatnonzero(np.bincount(cells.ravel())).tolist()
        )
        if len(present) == 1:
            return np.full(cells.shape, operation(present.pop(), number), dtype=np.int32)
        table = np.zeros(max(present, default=0) + 1, dtype=np.int32)
        for value in present:
            table[value] = operation(value, number)
        return table[cells]

    @staticmethod
    def pairwise(operation: Operation, a: Ids, b: Ids) -> Ids:
        """The operation of each cell of one table with the same cell of another (of the same shape)."""
        width = int(b.max(initial=0)) + 1
        if (int(a.max(initial=0)) + 1) * width <= _FEW_PAIRS * max(a.size, _SMALL):
            pairs = a.astype(np.int64) * width + b
            found = np.flatnonzero(np.bincount(pairs.ravel()))
            table = np.zeros(int(found[-1]) + 1 if len(found) else 0, dtype=np.int32)
            table[found] = [operation(*divmod(pair, width)) for pair in found.tolist()]
            looked_up: Ids = table[pairs]
            return looked_up
        keys = a.astype(np.int64) << 32 | b
        present, where = np.unique(keys, return_inverse=True)
        results = np.array([operation(key >> 32, key & 0xFFFFFFFF) for key in present.tolist()], dtype=np.int32)
        return results[where.reshape(a.shape)] if results.size else np.zeros(a.shape, dtype=np.int32)
