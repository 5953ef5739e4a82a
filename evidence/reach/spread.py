"""Numbered things that fell into parts, and what becomes of sets and pairs of them."""

import numpy as np
import numpy.typing as npt

from evidence.reach.peers import NOBODY, Ends

Keys = npt.NDArray[np.int64]  # pairs: the first number in the upper half, the second in the lower


def keys_of(first: Ends, second: Ends) -> Keys:
    return first.astype(np.int64) << 32 | second


class Spread:
    """Parts, by what they were part of. `came_from` gives that for each part (-1: nothing), `count` how many there were before."""

    def __init__(self, came_from: Ends, count: int) -> None:
        self.came_from = came_from
        known = np.flatnonzero(came_from >= 0).astype(np.int32)
        self._parts: Ends = known[np.argsort(came_from[known], kind="stable")]
        self._starts = np.searchsorted(came_from[self._parts], np.arange(count + 1))
        self._counts = np.diff(self._starts)
        self._ordered = bool((np.diff(self._parts) > 0).all())
        self._single: Ends = np.full(count, -1, dtype=np.int32)  # the part of what has one
        single = self._counts == 1
        self._single[single] = self._parts[self._starts[:-1][single]]
        moved = np.flatnonzero(self._single != np.arange(count))
        self._first_moved = int(moved[0]) if len(moved) else count
        self._known: dict[int, tuple[Ends, Ends]] = {}

    @property
    def stays(self) -> bool:
        """Whether everything is what it was, under its number, and nothing came."""
        return self._first_moved == len(self._counts) and len(self._parts) == len(self.came_from)

    def __call__(self, ends: Ends) -> Ends:
        """What became of a sorted set, sorted; the same array where nothing did."""
        if not len(ends) or ends[-1] < self._first_moved:
            return ends
        known = self._known.get(id(ends))
        if known is None:
            known = self._known[id(ends)] = ends, self._spread(ends)
        return known[1]

    def _spread(self, ends: Ends) -> Ends:
        counts = self._counts[ends]
        total = int(counts.sum())
        if not total:
            return NOBODY
        places = np.repeat(self._starts[ends], counts)
        if total != len(ends) or not counts.all():
            places = places + np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        found: Ends = self._parts[places]
        return found if self._ordered else np.sort(found)

    def pairs(self, first: Ends, second: Ends) -> tuple[npt.NDArray[np.intp], Ends, Ends]:
        """Every pair of parts of pairs: the places of the pairs that they come from, and both parts. Pairs of single parts come first."""
        one, other = self._single[first], self._single[second]
        is_single = (one >= 0) & (other >= 0)
        if is_single.all():
            return np.arange(len(first)), one, other
        left = np.flatnonzero(~is_single)
        rows, some, others = self._pairs(first[left], second[left])
        return (
            np.concatenate((np.flatnonzero(is_single), left[rows])),
            np.concatenate((one[is_single], some)),
            np.concatenate((other[is_single], others)),
        )

    def _pairs(self, first: Ends, second: Ends) -> tuple[npt.NDArray[np.intp], Ends, Ends]:
        many = self._counts[second]
        times = self._counts[first] * many
        rows = np.repeat(np.arange(len(times)), times)
        nth = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
        one = self._parts[self._starts[first[rows]] + nth // many[rows]]
        other = self._parts[self._starts[second[rows]] + nth % many[rows]]
        return rows, one, other
