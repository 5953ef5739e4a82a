"""What was computed of objects that stay, for the next state of the same cluster: policies mostly do.

1. Objects are told by identity: whoever reads a cluster hands on the very objects that did not change (`evidence.cluster.known`).
2. What is remembered hangs on these objects alone, and is a value that nobody changes.
3. Only what was asked about the last two states is remembered.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# The objects, which so stay what their identities say, and what was computed of them.
_Remembered = tuple[tuple[object, ...], Any]


class Lasting:
    """One memory, for the states of one cluster in a row."""

    def __init__(self) -> None:
        self._now: dict[tuple[object, ...], _Remembered] = {}
        self._before: Mapping[tuple[object, ...], _Remembered] = {}

    def begin(self) -> None:
        """What is asked from now on is of the next state."""
        self._before, self._now = self._now, {}

    def of(self, compute: Callable[..., T], *objects: object) -> T:
        """What a function says of some objects, computed unless that is known."""
        key = (compute, *map(id, objects))
        known = self._now.get(key)
        if known is None:
            known = self._before.get(key) or (objects, compute(*objects))
            self._now[key] = known
        found: T = known[1]
        return found

    def same(self, objects: Iterable[T]) -> tuple[T, ...]:
        """Some objects as the very tuple that they were before, if they are the same ones."""
        return self.of(_together, *objects)


def _together(*objects: T) -> tuple[T, ...]:
    return objects
