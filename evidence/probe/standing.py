"""What the probe runs of a cluster say of one of its states.

1. Runs count whose snapshot was taken at or before the state's, and at most LOOK_BACK before it: enforcement is no property that keeps for ever.
2. Of several results about the same two classes and group of ports the newest counts that was determined.
3. A contradiction stands as long as the state still says what was contradicted, whatever else changed: it goes when a newer probe agrees.
4. An agreement backs the state only when all policies and namespaces are what they were: that a new policy is enforced was not seen.
5. The pods of a probe may have been replaced since: a pod of the same workload stands for them. Where there is none, the probe is about nothing
   that is here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from ipaddress import ip_address

from evidence.cluster.model import Pod
from evidence.intent.model import Classification, Intent
from evidence.intent.zones import ZoneMap
from evidence.probe.cells import Cell, survey
from evidence.probe.model import Judgement, ProbeEnd, ProbeRun, Result
from evidence.probe.plan import explained, point
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.query import address_point

LOOK_BACK = timedelta(days=92)

End = PeerId | str  # a class of pods, or an address outside
Key = tuple[PeerId, End, str, str]  # source, destination, protocol, group of ports


@dataclass(frozen=True, slots=True)
class Held:
    """A result that is about the state. `pods` are those that stand for its ends today (one for a destination outside)."""

    run: ProbeRun
    result: Result
    pods: tuple[Pod, ...]
    key: Key


@dataclass(frozen=True, slots=True)
class Border:
    """Closed cells across the border of some zones: `seen` of `total` were probed and stopped; `runs` are those that did."""

    seen: int
    total: int
    runs: tuple[ProbeRun, ...]

    @property
    def whole(self) -> bool:
        return self.total > 0 and self.seen == self.total


class Standing:
    """What runs say of a state. Without a run there is none of this."""

    def __init__(
        self,
        runs: Sequence[ProbeRun],
        reach: Reachability,
        zones: ZoneMap,
        intent: Intent | None,
        policies: str,
        digests: Mapping[str, str],
    ) -> None:
        """`runs` count all (see `of_time`); `policies`: digest of the state's policies and namespaces; `digests` are those of the records by run."""
        self.runs = tuple(sorted(runs, key=lambda run: (run.finished_at, run.id)))
        self._digests = digests
        self._reach = reach
        self._zones = zones
        self._intent = intent
        self._policies = policies

    @cached_property
    def held(self) -> tuple[Held, ...]:
        """The newest determined result about each cell, as far as the state still says what was computed then."""
        newest: dict[Key, Held] = {}
        for run in self.runs:
            for result in run.results:
                held = None if result.judgement is Judgement.NOT_DETERMINED else self._placed(run, result)
                if held is not None:
                    newest[held.key] = held
        return tuple(held for held in newest.values() if self._still(held))

    def digest_of(self, run: ProbeRun) -> str:
        """Digest of the record that holds a run."""
        return self._digests.get(run.id, "")

    @property
    def contradictions(self) -> tuple[Held, ...]:
        return tuple(held for held in self.held if held.result.judgement is Judgement.CONTRADICTS)

    @cached_property
    def agreements(self) -> tuple[Held, ...]:
        return tuple(
            held
            for held in self.held
            if held.result.judgement is Judgement.AGREES and held.run.policies == self._policies
        )

    def border(self, classifications: frozenset[Classification]) -> Border:
        """How far the border of the zones of these classifications was seen to be shut; of none: every border between zones."""
        agreed = {held.key: held.run for held in self.agreements if not held.result.probe.allowed}
        keys = [key for cell in self._cells if self._crosses(cell, classifications) for key in [_key(cell)]]
        runs = {run.id: run for key in keys if (run := agreed.get(key))}
        return Border(sum(key in agreed for key in keys), len(keys), tuple(runs[name] for name in sorted(runs)))

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        """Closed cells between different zones, or a zone and no zone."""
        return tuple(
            cell
            for cell in survey(self._reach, self._zones, 0, frozenset()).cells
            if not cell.allowed and cell.crossing
        )

    def _crosses(self, cell: Cell, classifications: frozenset[Classification]) -> bool:
        kinds = {zone.name: zone.classification for zone in (self._intent.zones if self._intent else ())}
        ends = [self._names(cell.source), self._names(cell.destination)]
        return any(
            (not classifications and names) or any(kinds[name] in classifications for name in names) for names in ends
        )

    def _names(self, peer: PeerId) -> tuple[str, ...]:
        return tuple(
            {zone.name: None for pod in self._reach.classes[peer].pods for zone in self._zones.of_pod(pod.key)}
        )

    # -- a result in the state of today -----------------------------------------------------------------------------------

    def _placed(self, run: ProbeRun, result: Result) -> Held | None:
        probe = result.probe
        source = self._pod(probe.source)
        if source is None:
            return None
        if "/" not in probe.destination.name:
            key: Key = self._reach.peer_of(source.key), probe.destination.name, probe.protocol.value, probe.ports
            return Held(run, result, (source,), key)
        destination = self._pod(probe.destination)
        if destination is None:
            return None
        ends = self._reach.peer_of(source.key), self._reach.peer_of(destination.key)
        return Held(run, result, (source, destination), (*ends, probe.protocol.value, probe.ports))

    def _still(self, held: Held) -> bool:
        """True when policies say today what they said then."""
        probe = held.result.probe
        ends = [point(self._reach, pod) for pod in held.pods]
        if len(ends) == 1:
            ends.append(address_point(self._reach, ip_address(probe.destination.name)))
        return explained(self._reach, ends[0], ends[1], probe.protocol, probe.port).allowed is probe.allowed

    def _pod(self, end: ProbeEnd) -> Pod | None:
        """The pod of an end, or another of its workload."""
        return self._pods.get(end.name) or self._workloads.get(end.workload)

    @cached_property
    def _pods(self) -> Mapping[str, Pod]:
        return {pod.key: pod for found in self._reach.classes for pod in found.pods}

    @cached_property
    def _workloads(self) -> Mapping[str, Pod]:
        found: dict[str, Pod] = {}
        for pod in self._pods.values():
            key = pod.workload
            found.setdefault(f"{key.namespace}/{key.kind}/{key.name}", pod)
        return found


def _key(cell: Cell) -> Key:
    return cell.source, cell.destination, cell.group.protocol.value, str(cell.group.ports)


def of_time(runs: Iterable[ProbeRun], taken_at: datetime) -> Iterator[ProbeRun]:
    """The runs that may speak of a state taken at a time."""
    return (run for run in runs if taken_at - LOOK_BACK <= run.snapshot_taken_at <= taken_at)
