"""What the objects of one collection said, for the next collection of the same cluster: an object that is still there is not parsed again.

1. Objects are told by identity: whoever reads a collection hands on the very objects that did not change.
2. What an object says hangs on nothing else; but a pod's workload hangs on the controllers of ReplicaSets and Jobs, so those that were asked
   for are asked again.
3. Only the last collection is remembered.
"""

from collections.abc import Callable, Mapping
from typing import Any

from evidence.cluster.model import Pod
from evidence.cluster.objects import CollectedObject, ObjectKey

Said = tuple[tuple[str, Any], ...]  # parts of a cluster (fields of `Parsed`) with what one object adds to them
Owners = Callable[[ObjectKey], ObjectKey | None]


class Known:
    """One memory, for the collections of one cluster in a row."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[CollectedObject, Said]] = {}
        self._pods: dict[int, tuple[Pod, Mapping[ObjectKey, ObjectKey | None]]] = {}
        self._said_before = self._said
        self._pods_before = self._pods

    def begin(self) -> None:
        """What is said from now on is of the next collection."""
        self._said_before, self._said = self._said, {}
        self._pods_before, self._pods = self._pods, {}

    def said(self, obj: CollectedObject, parse: Callable[[CollectedObject], Said]) -> Said:
        """What an object says, parsed unless it is known."""
        known = self._said_before.get(id(obj))
        if known is None or known[0] is not obj:
            known = obj, parse(obj)
        self._said[id(obj)] = known
        return known[1]

    def pod(self, obj: CollectedObject, owners: Owners, parse: Callable[[CollectedObject, Owners], Pod]) -> Pod:
        """The pod of an object, parsed unless it is known and its controllers are what they were."""
        known = self._pods_before.get(id(obj))
        if known is None or known[0].origin is not obj or any(owners(key) != to for key, to in known[1].items()):
            asked: dict[ObjectKey, ObjectKey | None] = {}

            def asking(key: ObjectKey) -> ObjectKey | None:
                asked[key] = owners(key)
                return asked[key]

            known = parse(obj, asking), asked
        self._pods[id(obj)] = known
        return known[0]
