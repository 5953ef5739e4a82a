"""A log's tree without reading all of the log: heads and proofs from hashes of whole subtrees that were kept, and from a few leaves.

    height 0   the leaves
    height 8   one hash for each 256 leaves in a row, from a multiple of 256 on
    height 16  one for each 65,536, and so on in steps of eight

Such a subtree is a node of the tree of every later size (RFC 9162 section 2.1), so its hash never changes once it is full, and can be kept.
A head then needs at most 255 hashes of each height, a proof the leaves beside its own as well. A hash that is not kept is computed from those
below it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count

from evidence.errors import SealError
from evidence.log.merkle import node_hash, tree_hash

STEP = 8  # between the heights at which hashes are kept
RUN = 1 << STEP  # hashes below a kept one

_RUNS_HELD, _HASHES_HELD = 512, 1 << 16

# Hashes of the leaves from a position to before another; and of the subtrees of a height from a number to before another, by number.
Leaves = Callable[[int, int], Sequence[bytes]]
Kept = Callable[[int, int, int], Mapping[int, bytes]]


class Tree:
    """The tree of `size` leaves, read as it is needed. Raises SealError where leaves are missing that something hangs on."""

    def __init__(self, size: int, leaves: Leaves, kept: Kept = lambda _height, _first, _last: {}) -> None:
        self.size = size
        self._leaves, self._kept = leaves, kept
        self._run = lru_cache(_RUNS_HELD)(self._read_run)
        self._hash = lru_cache(_HASHES_HELD)(self._hash_between)

    def root(self, size: int | None = None) -> bytes:
        """The root over all leaves, or over the first `size`."""
        return self._hash(0, self.size if size is None else size)

    def whole(self, height: int, number: int) -> bytes:
        """The hash of a whole subtree of a height at which hashes are kept, computed from those below it and not taken from what is kept."""
        return tree_hash(self._run(height - STEP, number))

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """PATH of section 2.1.3.1 for the leaf at `index`, nearest node first. Raises IndexError for one that is not there."""
        if not 0 <= index < self.size:
            raise IndexError(f"there is no leaf {index} among {self.size}")
        path, start, stop = [], 0, self.size
        while stop - start > 1:
            split = _split(start, stop)
            if index < split:
                path.append(self._hash(split, stop))
                stop = split
            else:
                path.append(self._hash(start, split))
                start = split
        return tuple(reversed(path))

    def consistency_proof(self, first: int) -> tuple[bytes, ...]:
        """PROOF of section 2.1.4.1: that the tree of the `first` leaves is the beginning of this one. Empty when `first` is 0 or all.

        Raises IndexError when there are not so many leaves.
        """
        if not 0 <= first <= self.size:
            raise IndexError(f"{first} leaves are no beginning of {self.size}")
        if first in (0, self.size):
            return ()
        return tuple(self._subproof(first, 0, self.size, whole=True))

    def _subproof(self, first: int, start: int, stop: int, *, whole: bool) -> list[bytes]:
        """SUBPROOF; `whole`: the older tree's root is known to whoever checks, so that it need not be given."""
        if first == stop:
            return [] if whole else [self._hash(start, stop)]
        split = _split(start, stop)
        if first <= split:
            return [*self._subproof(first, start, split, whole=whole), self._hash(split, stop)]
        return [*self._subproof(first, split, stop, whole=False), self._hash(start, split)]

    def _hash_between(self, start: int, stop: int) -> bytes:
        """MTH over the leaves from `start` to before `stop`, which must be all of some node's: `start` is then a multiple of a power of two that is
        no less than their number.

        From the leaves upwards: what is left over beside the whole subtrees of the next kept height is one hash at its right.
        """
        left_over: list[bytes] = []
        height = 0
        while stop - start >= RUN << height:
            first = stop >> height + STEP << STEP
            level = [*self._hashes(height, first, stop >> height), *left_over]
            left_over = [tree_hash(level)] if level else []
            height += STEP
        return tree_hash([*self._hashes(height, start >> height, stop >> height), *left_over])

    def _hashes(self, height: int, first: int, last: int) -> Sequence[bytes]:
        """All of one run."""
        if first == last:
            return ()
        run = first >> STEP
        return self._run(height, run)[first - (run << STEP) : last - (run << STEP)]

    def _read_run(self, height: int, run: int) -> Sequence[bytes]:
        """The hashes of this height below one of the next kept height, as many as there are."""
        first, last = run << STEP, min(run + 1 << STEP, self.size >> height)
        if height == 0:
            found = self._leaves(first, last)
            if len(found) != last - first:
                raise SealError(
                    f"the log lacks some of its entries {first} to {last - 1}: `evidence db check` says what else is wrong"
                )
            return found
        kept = self._kept(height, first, last)
        return [kept[number] if number in kept else self.whole(height, number) for number in range(first, last)]


def tree_of(hashes: Sequence[bytes]) -> Tree:
    """The tree over leaves that are all here, hashed already, in their order."""
    return Tree(len(hashes), lambda first, last: hashes[first:last])


def _split(start: int, stop: int) -> int:
    """Where the two subtrees meet: after the largest power of two below the number of leaves."""
    return start + (1 << (stop - start - 1).bit_length() - 1)


def ended(size: int) -> Iterator[tuple[int, int]]:
    """Height and number of each subtree of a kept height that became whole with the last of `size` leaves; the lowest first."""
    for height in count(STEP, STEP):
        if size == 0 or size % (1 << height):
            return
        yield height, (size >> height) - 1


class Growth:
    """A tree that grows leaf by leaf, of which nothing is held but the right edge: the root at every size on the way costs as many hashes as the
    tree is high."""

    def __init__(self) -> None:
        self.size = 0
        # Hashes of the largest whole subtrees from the left: one for each 1 in the size, written in binary.
        self._edge: list[bytes] = []

    def add(self, leaf: bytes) -> dict[tuple[int, int], bytes]:
        """One leaf, hashed already. Gives what became whole with it, of the heights at which hashes are kept: the hash by height and number."""
        found, node, height = {}, leaf, 0
        while self.size >> height & 1:
            node, height = node_hash(self._edge.pop(), node), height + 1
            if height % STEP == 0:
                found[height, self.size >> height] = node
        self._edge.append(node)
        self.size += 1
        return found

    def root(self) -> bytes:
        if not self._edge:
            return tree_hash(())
        *rest, root = self._edge
        for left in reversed(rest):
            root = node_hash(left, root)
        return root
