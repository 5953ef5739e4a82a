"""The few cells to probe: a greedy set cover.

What is to be covered, and what it weighs:
    50  each ordered pair of zones, with a connection that is computed to pass and with one that is not (namespaces where no zone is declared)
    10  each cell into or out of a zone with regulated data
     4  each ordered pair of classes, either way of the computed answer
     3  each group of ports at each destination, either way
     2  each node with a denied connection from it, and to it: every agent is asked for a proof of work
The cell that covers the most weight not yet covered is taken, until nothing is left or the budget is used up; the seed breaks ties. Greedy
choice covers at least 1 - 1/e of what the best choice of that size could (Nemhauser, Wolsey and Fisher 1978).
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence

from evidence.probe.cells import Candidate, Cell, order
from evidence.reach.classes import PeerId

Element = tuple[object, ...]


def elements(cell: Cell, candidates: Mapping[PeerId, Candidate]) -> Iterator[tuple[Element, int]]:
    """What probing a cell covers, with its weight."""
    source, destination = candidates[cell.source], candidates[cell.destination]
    group = cell.group.protocol, cell.group.ports.ranges
    if cell.crossing:
        yield ("zones", source.place, destination.place, cell.allowed), 50
        if source.regulated or destination.regulated:
            yield ("cell", cell.source, cell.destination, group), 10
    yield ("pair", cell.source, cell.destination, cell.allowed), 4
    yield ("port", cell.destination, group, cell.allowed), 3
    if not cell.allowed:
        yield ("from", source.pod.node), 2
        yield ("to", destination.pod.node), 2


def cover(cells: Sequence[Cell], candidates: Mapping[PeerId, Candidate], seed: int, most: int) -> tuple[Cell, ...]:
    """At most `most` cells, the most telling first."""
    parts = [tuple(elements(cell, candidates)) for cell in cells]
    covered: set[Element] = set()
    waiting = [
        (-sum(weight for _, weight in part), order(seed, "cell", *_name(cell, candidates)), number)
        for number, (cell, part) in enumerate(zip(cells, parts, strict=True))
    ]
    heapq.heapify(waiting)
    chosen: list[Cell] = []
    while waiting and len(chosen) < most:
        believed, tie, number = heapq.heappop(waiting)
        gain = sum(weight for element, weight in parts[number] if element not in covered)
        if not gain:
            continue
        if gain < -believed:  # less than it was when it was weighed: what is covered only grows
            heapq.heappush(waiting, (-gain, tie, number))
            continue
        covered.update(element for element, _ in parts[number])
        chosen.append(cells[number])
    return tuple(chosen)


def _name(cell: Cell, candidates: Mapping[PeerId, Candidate]) -> tuple[object, ...]:
    source, destination = candidates[cell.source].pod.key, candidates[cell.destination].pod.key
    return source, destination, cell.group.protocol.value, cell.group.port
