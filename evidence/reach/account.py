"""The whole account of one verdict: both sides, every policy that was asked, and what would turn each side."""

from dataclasses import dataclass, field

from evidence.cluster.model import Direction, Protocol
from evidence.reach.asked import PolicyAsked, asked
from evidence.reach.engine import Reachability
from evidence.reach.explain import OWN_NODE, Explanation, Point, SideReason, explain, own_node, pairs_of
from evidence.reach.turning import Asked, Turned, turning

_NO_QUESTION = Turned(None, "no policy is asked")


@dataclass(frozen=True, slots=True)
class SideAccount:
    """One side: its reason, the policies that select its pod, and the change that would turn it."""

    reason: SideReason
    policies: tuple[PolicyAsked, ...] = ()
    turned: Turned = field(default=_NO_QUESTION)


@dataclass(frozen=True, slots=True)
class Account:
    """A denied connection passes when every denied side is turned; an allowed one is denied when either side is."""

    source: str
    destination: str
    protocol: Protocol
    port: int
    explanation: Explanation
    egress: SideAccount
    ingress: SideAccount


def account(
    reach: Reachability,
    source: Point,
    destination: Point,
    protocol: Protocol,
    port: int,
    family: int | None = None,
) -> Account:
    """Everything that there is to say about one connection."""
    found = explain(reach, source, destination, protocol, port, family)
    egress, ingress = SideAccount(found.egress), SideAccount(found.ingress)
    if found.pair is not None:
        start, end = found.pair
        pairs = tuple(pairs_of(reach, source, destination, family))
        out = Asked(reach, Direction.EGRESS, source, destination, pairs, protocol, port)
        into = Asked(reach, Direction.INGRESS, destination, source, tuple((b, a) for a, b in pairs), protocol, port)
        egress = SideAccount(
            found.egress,
            asked(reach, Direction.EGRESS, start, end, protocol, port),
            turning(out, allowed=found.egress.allowed),
        )
        ingress = SideAccount(
            found.ingress,
            asked(reach, Direction.INGRESS, end, start, protocol, port),
            Turned(None, f"{OWN_NODE}, and no policy changes that")
            if own_node(reach, source, destination)
            else turning(into, allowed=found.ingress.allowed),
        )
    return Account(source.name, destination.name, protocol, port, found, egress, ingress)
