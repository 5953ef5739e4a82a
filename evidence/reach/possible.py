"""Whether "there is no path" may be said: what is not known, and what was not evaluated, could open one.

1. A connection that is not allowed may pass all the same when an address or a namespace's labels are not known (`Reachability.uncertain`). No path
   is claimed absent when such connections would complete one.
2. Policies that are not evaluated, or kinds of them that could not be read, could allow more; then nothing is claimed absent.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evidence.cluster.calico_names import SET_KINDS, STAGED_KINDS, TIER_KIND
from evidence.cluster.model import Direction
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.groups import Group
from evidence.reach.paths import Graph, Reached

MAX_PAIRS = 200_000  # beyond these a doubt is assumed rather than looked for
SHOWN = 5


def not_looked_at(reach: Reachability) -> tuple[str, ...]:
    """One sentence for policies that are not evaluated, and one for policy kinds that could not be read whole."""
    found = []
    kinds = Counter(policy.key.kind for policy in reach.unevaluated)
    if kinds:
        listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        found.append(f"policies that are not evaluated could change who may connect ({listed})")
    unread = sorted(
        kind
        for kind in reach.cluster.unread_kinds
        if (kind.endswith("Policy") and kind not in STAGED_KINDS) or kind in (*SET_KINDS, TIER_KIND)
    )
    if unread:
        found.append(f"kinds that could not be read whole could change who may connect ({', '.join(unread)})")
    return tuple(found)


def path_doubts(
    reach: Reachability,
    source: Group,
    destination: Group,
    *,
    through_nodes: bool = False,
    max_pairs: int = MAX_PAIRS,
) -> tuple[str, ...]:
    """Reasons for which there may be a path although `paths.find` has none; () when that is certain as far as the policies are known."""
    graph = Graph(reach, (source, destination), through_nodes=through_nodes)
    ends = frozenset(graph.members(1))
    starts = graph.members(0)
    if not starts or not ends:
        return ()
    asking = _Asking(graph, ends, max_pairs)
    stages: list[Reached] = []
    doubted: dict[int, _Doubted] = {}
    while True:
        reached = graph.search([*starts, *doubted])
        stages.append(reached)
        found = next((unit for unit in sorted(ends) if reached.hops[unit] >= 0), None)
        if found is not None:
            return _shortened(_reasons(stages, doubted, found))
        more = {unit: _Doubted(len(stages) - 1, before, why) for unit, before, why in asking.beyond(reached)}
        if asking.exhausted:
            return (f"more than {max_pairs} connections hang on addresses or labels that are not known",)
        if not more:
            return ()
        doubted.update(more)


@dataclass(frozen=True, slots=True)
class _Doubted:
    """A unit that may be reached from the unit `before`, which the search of this stage reached."""

    stage: int
    before: int
    reasons: tuple[str, ...]


class _Asking:
    """Asks about pairs of peers, each once, until there were too many."""

    def __init__(self, graph: Graph, ends: frozenset[int], max_pairs: int) -> None:
        self._max_pairs = max_pairs
        self._graph = graph
        self._reach = graph.reach
        self._ends = ends
        self._asked: set[tuple[PeerId, PeerId]] = set()
        self._out = self._reach.doubtful(Direction.EGRESS)
        self._in = self._reach.doubtful(Direction.INGRESS)

    @property
    def exhausted(self) -> bool:
        return len(self._asked) > self._max_pairs

    def beyond(self, reached: Reached) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """Units that were not reached and may be, with the unit before and the reasons."""
        stops = self._graph.stops
        here = self._first_of_each(unit for unit in range(len(stops)) if reached.hops[unit] >= 0)
        there = [
            stop for stop in stops if reached.hops[stop.unit] < 0 and (stop.outside is None or stop.unit in self._ends)
        ]
        for stop in there:
            incoming = stop.peer in self._in
            for peer, unit in here.items():
                if (incoming or peer in self._out) and (peer, stop.peer) not in self._asked:
                    self._asked.add((peer, stop.peer))
                    if self.exhausted:
                        return
                    reasons = self._reach.uncertain(peer, stop.peer)
                    if reasons:
                        yield from ((other.unit, unit, reasons) for other in there if other.peer == stop.peer)
                        break

    def _first_of_each(self, units: Iterable[int]) -> dict[PeerId, int]:
        found: dict[PeerId, int] = {}
        for unit in units:
            found.setdefault(self._graph.stops[unit].peer, unit)
        return found


def _reasons(stages: list[Reached], doubted: dict[int, _Doubted], unit: int) -> set[str]:
    """The reasons on one way to a unit."""
    found: set[str] = set()
    reached = stages[-1]
    while True:
        while reached.hops[unit] > 0:
            unit = int(reached.before[unit])
        if unit not in doubted:
            return found
        found.update(doubted[unit].reasons)
        reached, unit = stages[doubted[unit].stage], doubted[unit].before


def _shortened(reasons: set[str]) -> tuple[str, ...]:
    listed = sorted(reasons)
    return tuple(listed) if len(listed) <= SHOWN else (*listed[:SHOWN], "others for the like reasons")
