"""The question what turns one side of a connection, and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from evidence.cluster.model import Direction, IPAddress, IPNetwork, Protocol
from evidence.reach.changes import Change
from evidence.reach.classes import host_addresses
from evidence.reach.engine import Reachability
from evidence.reach.explain import Point

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Turned:
    """A change, or (None) why there is none."""

    change: Change | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One side of one connection: `subject` is the pod whose policies are asked, `pairs` are the ends (subject, other) that decide it."""

    reach: Reachability
    direction: Direction
    subject: Point
    other: Point
    pairs: tuple[Pair, ...]
    protocol: Protocol
    port: int

    @property
    def what(self) -> str:
        word = "to" if self.direction is Direction.EGRESS else "from"
        return f"{word} {self.other.name} on {self.protocol.value} {self.port}"

    @property
    def field(self) -> str:
        return self.direction.value.lower()

    @property
    def networks(self) -> list[IPNetwork]:
        """The addresses of the other end."""
        return [ip_network(address) for address in self._addresses]

    @property
    def _addresses(self) -> Sequence[IPAddress]:
        pod = self.other.pod
        if pod is None:
            return [self.other.address] if self.other.address is not None else []
        return host_addresses(pod, self.reach.node_addresses) if pod.host_network else pod.addresses
