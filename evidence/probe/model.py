"""What is probed, what was seen, and what that means, as frozen values.

A *cell* is what one connection can test: a pair of pod classes (see `evidence.reach.classes`) and a group of ports that no policy on
either side tells apart at that destination.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from evidence.cluster.model import IPAddress, Protocol


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A port of a host outside the cluster that the operator has approved for probing."""

    address: IPAddress
    protocol: Protocol
    port: int

    def __str__(self) -> str:
        return f"{self.address} {self.protocol.value} {self.port}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a plan may use. `pods` are stand-ins, sources and destinations together."""

    pods: int = 60
    connections: int = 2000


@dataclass(frozen=True, slots=True)
class ProbeEnd:
    """`name` is "namespace/pod", or an address; `workload` is "" outside the cluster."""

    name: str
    workload: str = ""
    zones: tuple[str, ...] = ()
    node: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """One connection to try. `ports` is the whole group that `port` stands for; `stand_in`: a pod of ours with the destination's labels
    answers, since nobody else would. `egress` and `ingress` are the computed reasons."""

    number: int
    source: ProbeEnd
    destination: ProbeEnd
    protocol: Protocol
    port: int
    ports: str
    allowed: bool
    stand_in: bool
    crossing: bool
    egress: str
    ingress: str

    def __str__(self) -> str:
        return f"{self.source.name} → {self.destination.name} {self.protocol.value} {self.port}"


@dataclass(frozen=True, slots=True)
class Share:
    """`covered` of `total`; of nothing, everything is covered."""

    covered: int
    total: int

    def __str__(self) -> str:
        percent = 100 if not self.total else self.covered * 100 // self.total
        return f"{self.covered} of {self.total} ({percent} %)"


@dataclass(frozen=True, slots=True)
class Left:
    """Why some of what could be asked is not probed: `count` of `what`, such as 3 "classes of pods"."""

    what: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the cluster a plan, or a run, speaks of.

    `pairs`: ordered pairs of pod classes; `cells`: those pairs by groups of ports; `crossings`: cells between different zones (namespaces
    where no zone is declared); `allowed` and `denied`: the chosen connections by what was computed. `left` is what is not covered.
    """

    pairs: Share
    cells: Share
    crossings: Share
    zone_pairs: Share
    nodes: Share
    allowed: int
    denied: int
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """`seconds` is an estimate: pods take their time to start, and silence takes time to be believed."""

    pods: int
    connections: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Connections in the order of their numbers. The same cluster, seed, targets and budget give the same plan."""

    seed: int
    probes: tuple[Planned, ...]
    coverage: Coverage
    cost: Cost


# -- what was seen ----------------------------------------------------------------------------------------------------


class Seen(StrEnum):
    """What one attempt met with, as the probe tells it (deploy/probe/packets.go)."""

    OPEN = "open"
    RESET = "reset"
    REFUSED = "refused"
    REJECTED = "rejected"
    SILENT = "silent"
    FAILED = "failed"
    CANNOT = "cannot"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`at_ms` after the probe's start, `took_ms` long. `icmp`: "type 3 code 13 from 10.0.0.1", "" without one."""

    seen: Seen
    at_ms: int
    took_ms: int
    detail: str = ""
    icmp: str = ""

    def __str__(self) -> str:
        told = {
            Seen.OPEN: "answered",
            Seen.RESET: "connected and was reset",
            Seen.REFUSED: "was refused",
            Seen.REJECTED: f"was rejected on the way ({self.icmp or self.detail})",
            Seen.SILENT: "had no answer",
            Seen.FAILED: f"could not be sent ({self.detail})",
            Seen.CANNOT: f"is not possible there ({self.detail})",
            Seen.FOREIGN: "was answered by something other than the probe at the other end",
        }
        return f"{told[self.seen]} after {self.took_ms} ms, {self.at_ms} ms after the start"


@dataclass(frozen=True, slots=True)
class Tried:
    """One planned connection as it went: attempts until what was computed was seen, or patience was at its end."""

    attempts: int
    first: Attempt
    last: Attempt


class Outcome(StrEnum):
    """What the attempts and their controls show together."""

    OPEN = "open"
    REFUSED = "refused"  # although somebody listens there: something on the way refuses
    FILTERED = "filtered"
    RESET = "reset"
    NO_LISTENER = "no listener"
    SOURCE_FAILED = "source failure"
    UNCLEAR = "unclear"


class Judgement(StrEnum):
    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    NOT_DETERMINED = "not determined"


@dataclass(frozen=True, slots=True)
class Result:
    """A probe with its outcome. `by`: what sent it; `allowed`, `egress` and `ingress` are computed for what really ran, stand-ins included.

    `passed_ms`: for how long after the probe's start a connection passed that policy denies, although it was stopped in the end (0: never).
    """

    probe: Planned
    by: str
    source_address: str
    destination_address: str
    tried: Tried | None
    source_control: str
    listener_control: str
    outcome: Outcome
    judgement: Judgement
    reason: str
    passed_ms: int = 0


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """One run. `snapshot_root` and `snapshot_taken_at` name the snapshot it was planned on, `policies` is the digest of all policies in
    it; `identity` the cluster's name for who ran it. `tests`: how many results of each judgement."""

    id: str
    cluster: str
    seed: int
    started_at: datetime
    finished_at: datetime
    tool_version: str
    identity: str
    image: str
    snapshot_root: str
    snapshot_taken_at: datetime
    policies: str
    coverage: Coverage
    results: tuple[Result, ...]

    @property
    def tests(self) -> Mapping[Judgement, int]:
        return {judgement: sum(result.judgement is judgement for result in self.results) for judgement in Judgement}
