"""From lines to workload flows, in memory that grows with the kinds of flows and not with the log.

Flows of different days (in UTC) are kept apart, so that each stays near the snapshots of its time. At most MOST flows are told apart. What
would be one more is counted without its single addresses, pods without a known workload, port and policies: the connections are there, and
that they were thrown together is said (`merged`).
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from evidence.observe.model import Began, End, ObservedFlow, Outcome, Side
from evidence.observe.places import Places
from evidence.observe.sighting import LeftOut, Line, Lost, Sighting

MOST = 100_000
OTHER_ADDRESSES = "other addresses"
OTHER_PODS = "other pods"

_Key = tuple[End, End, str, int, Outcome, Side, Began, tuple[str, ...], date]


class Gathering:
    """Takes lines one after another; afterwards its attributes say what was in them."""

    def __init__(self, places: Places, most: int = MOST) -> None:
        self._places = places
        self._most = most
        self._flows: dict[_Key, list[Any]] = {}
        self._policies: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.sightings = 0
        self.merged = 0
        self.left_out: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None

    def take(self, line: Line) -> None:
        match line:
            case Sighting():
                self._see(line)
            case LeftOut(why):
                self.left_out[why] += 1
            case Lost(what, number):
                self.lost[what] += number

    def _see(self, seen: Sighting) -> None:
        self.sightings += 1
        begin, end = seen.time, max(seen.time, seen.until or seen.time)
        if self.first is None or begin < self.first:
            self.first = begin
        if self.last is None or end > self.last:
            self.last = end
        key: _Key = (
            self._places.end(seen.source, begin),
            self._places.end(seen.destination, begin),
            seen.protocol,
            seen.port,
            seen.outcome,
            seen.side,
            seen.began,
            self._policies.setdefault(seen.policies, seen.policies),
            begin.date(),
        )
        known = self._flows.get(key)
        if known is None and len(self._flows) >= self._most:
            self.merged += seen.times
            key = (
                _merged(key[0]),
                _merged(key[1]),
                seen.protocol,
                0,
                seen.outcome,
                seen.side,
                seen.began,
                (),
                key[-1],
            )
            known = self._flows.get(key)
        if known is None:
            self._flows[key] = [begin, end, seen.times]
            return
        if begin < known[0]:
            known[0] = begin
        if end > known[1]:
            known[1] = end
        known[2] += seen.times

    def flows(self, source_kind: str) -> Iterator[ObservedFlow]:
        """In the order of their ends, port and outcome: the same log gives the same list."""
        for key in sorted(self._flows):
            source, destination, protocol, port, outcome, side, began, policies, _ = key
            first, last, count = self._flows[key]
            yield ObservedFlow(
                source, destination, protocol, port, outcome, side, began, first, last, count, source_kind, policies
            )


def _merged(end: End) -> End:
    if end.address:
        return End(name=OTHER_ADDRESSES)
    return End(namespace=end.namespace, name=f"{OTHER_PODS} of {end.namespace}") if end.pod else end
