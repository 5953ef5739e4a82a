"""Questions in bulk: may this pod, workload or address connect to that one, on this port?

    [{"from": "ns/pod" | "1.2.3.4", "to": "ns/pod" | "1.2.3.4", "protocol": "TCP"|"UDP"|"SCTP", "port": 5432, "family": 4|6 (optional)}]

1. "ns/name" is a pod; where no pod has the name, a workload, which stands for its pods. It may connect when one of its pods may.
2. An address counts as outside the cluster, even if a pod has it: what policies say of a pod is asked by the pod's name.
3. A pod whose address is not known is matched by no ipBlock; a denial that hangs on it is answered with the reason under `uncertain`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from evidence.cluster.model import IPAddress, Pod, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.errors import InputError
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.explain import Explanation, Point, SideReason, explain
from evidence.reach.ports import FIRST_PORT, LAST_PORT

if TYPE_CHECKING:
    from evidence.reach.account import Account

_FIELDS = {"from", "to", "protocol", "port", "family"}


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `where` names it in errors."""

    source: str
    destination: str
    protocol: Protocol
    port: int
    family: int | None = None
    where: str = "query"


def parse_queries(raw: Any) -> tuple[Query, ...]:
    """Questions from decoded JSON. Raises InputError that names the first one that is wrong."""
    if not isinstance(raw, list):
        raise InputError("queries: must be a JSON list of objects")
    return tuple(_query(item, f"query {number}") for number, item in enumerate(raw, 1))


def _query(raw: Any, where: str) -> Query:
    if not isinstance(raw, dict):
        raise InputError(f"{where}: must be an object with from, to, protocol and port")
    unknown = sorted(str(name) for name in raw.keys() - _FIELDS)
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    source, destination = _end(raw.get("from"), f"{where}: from"), _end(raw.get("to"), f"{where}: to")
    protocol, family = raw.get("protocol", "TCP"), raw.get("family")
    if not isinstance(protocol, str) or protocol not in set(Protocol):
        raise InputError(f"{where}: protocol must be TCP, UDP or SCTP, not {protocol!r}")
    if family is not None and (not isinstance(family, int) or family not in (4, 6)):
        raise InputError(f"{where}: family must be 4 or 6, not {family!r}")
    return Query(source, destination, Protocol(protocol), checked_port(raw.get("port"), where), family, where)


def _end(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f'{where} must be "namespace/name" or an address, not {value!r}')
    return value


def checked_port(port: Any, where: str) -> int:
    if not isinstance(port, int) or isinstance(port, bool) or not FIRST_PORT <= port <= LAST_PORT:
        raise InputError(f"{where}: port must be a number from {FIRST_PORT} to {LAST_PORT}, not {port!r}")
    return port


class Answering:
    """Answers questions about one cluster; names are looked up once."""

    def __init__(self, reach: Reachability) -> None:
        self._reach = reach
        self._pods: dict[str, Pod] = {pod.key: pod for pod in reach.cluster.pods}
        self._workloads: Mapping[str, Sequence[Pod]] | None = None
        self._points: dict[str, tuple[Point, ...]] = {}

    def answer(self, query: Query) -> Explanation:
        """Raises InputError when a pod is not in the cluster or an address is none."""
        return self.decisive(query)[2]

    def decisive(self, query: Query) -> tuple[Point, Point, Explanation]:
        """The answer, with the two ends that gave it. Raises InputError like `answer`."""
        sources = self._named(query.source, f"{query.where}: from")
        destinations = self._named(query.destination, f"{query.where}: to")
        yes: tuple[Point, Point, Explanation] | None = None
        no: tuple[Point, Point, Explanation] | None = None
        for source, destination in _pairs(sources, destinations):
            found = explain(self._reach, source, destination, query.protocol, query.port, query.family)
            if found.allowed:
                yes = yes or (source, destination, found)
            else:
                no = no or (source, destination, found)
            if yes and no:
                note = f"not all pods of {query.source} and {query.destination} alike: some of these connections are denied"
                return (*yes[:2], replace(yes[2], note=note))
        answer = yes or no
        if answer is None:
            raise InputError(f"{query.where}: {query.source} and {query.destination} have no two pods to ask about")
        return answer

    def explained(self, query: Query) -> "Account":
        """The whole account of the answer. Raises InputError like `answer`."""
        from evidence.reach.account import account

        source, destination, found = self.decisive(query)
        told = account(self._reach, source, destination, query.protocol, query.port, query.family)
        return replace(told, explanation=replace(told.explanation, note=found.note))

    def _named(self, name: str, where: str) -> tuple[Point, ...]:
        if name not in self._points:
            self._points[name] = self._look_up(name, where)
        return self._points[name]

    def _look_up(self, name: str, where: str) -> tuple[Point, ...]:
        if "/" not in name:
            try:
                return (address_point(self._reach, ip_address(name)),)
            except ValueError:
                raise InputError(
                    f'{where}: {name!r} is neither "namespace/name" of a pod or workload nor an address'
                ) from None
        if name in self._pods:
            return (pod_point(self._reach, self._pods[name]),)
        if self._workloads is None:
            self._workloads = _by_workload(self._reach.cluster.pods)
        pods = self._workloads.get(name)
        if not pods:
            raise InputError(f"{where}: there is no pod or workload {name} in the cluster")
        return tuple(_distinct(pod_point(self._reach, pod) for pod in pods))


def pod_point(reach: Reachability, pod: Pod) -> Point:
    """A pod as an end of a question."""
    if pod.finished:
        return Point(pod.key, pod, None, (), None)
    peer = reach.peer_of(pod.key)
    return Point(pod.key, pod, None, tuple(reach.ends(peer)), peer)


def address_point(reach: Reachability, address: IPAddress) -> Point:
    """An outside address as an end of a question."""
    end = reach.peers.pods + reach.space.position(address)
    number = reach.peer_id_of_end(end)
    return Point(str(address), None, address, (end,), number)


def _by_workload(pods: Iterable[Pod]) -> Mapping[str, Sequence[Pod]]:
    found: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        found[f"{pod.workload.namespace}/{pod.workload.name}"].append(pod)
    return found


def _distinct(points: Iterable[Point]) -> Iterator[Point]:
    """Two points of each class and node (two, so that there is a pair within the class): the others get the same answers."""
    seen: dict[tuple[PeerId | None, str], int] = defaultdict(int)
    for point in points:
        key = (point.peer, point.pod.node if point.pod else "")
        seen[key] += 1
        if seen[key] <= 2:
            yield point


def _pairs(sources: Sequence[Point], destinations: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Every pair; a pod with itself only where nothing else was asked."""
    pairs = [(a, b) for a in sources for b in destinations]
    others = [(a, b) for a, b in pairs if a.pod is None or a.pod is not b.pod]
    yield from others or pairs


def as_json(found: Explanation) -> dict[str, Any]:
    """An answer as the batch contract has it."""
    answer: dict[str, Any] = {
        "verdict": "allow" if found.allowed else "deny",
        "egress": _side(found.egress),
        "ingress": _side(found.ingress),
    }
    if found.uncertain:
        answer["uncertain"] = list(found.uncertain)
    if found.note:
        answer["note"] = found.note
    return answer


def _side(found: SideReason) -> dict[str, Any]:
    return {
        "verdict": "allow" if found.allowed else "deny",
        "policy": None if found.policy is None else key_body(found.policy),
        "rule": found.rule or None,
        "action": found.action or None,
        "reason": found.reason,
    }


def key_body(key: ObjectKey) -> dict[str, str]:
    """An object's identity for JSON."""
    return {"group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name}
