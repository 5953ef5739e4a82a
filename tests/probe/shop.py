"""A small cluster to probe: a database that only the web may ask, behind zones, on two nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from evidence.cluster.model import Cluster, ContainerPort, Pod, Protocol
from evidence.intent.model import Classification, Intent, Zone, ZoneMember
from evidence.intent.zones import ZoneMap, assign
from evidence.probe.model import Attempt, Planned, ProbeEnd, Seen, Tried
from evidence.reach.engine import Reachability, analyse
from tests.builders import cluster, peer, pod, policy, port, rule

WEB = pod("web-1", "shop", {"app": "web"}, ip="10.0.0.1", node="node-a", ports=[ContainerPort("", Protocol.TCP, 8080)])
DB = pod("db-1", "vault", {"app": "db"}, ip="10.0.0.2", node="node-b", ports=[ContainerPort("", Protocol.TCP, 5432)])
BATCH = pod("batch-1", "batch", {"app": "batch"}, ip="10.0.0.3", node="node-a")
ONLY_WEB = policy(
    "only-web",
    "vault",
    ingress=[rule([peer({"app": "web"}, namespaces={"kubernetes.io/metadata.name": "shop"})], [port(5432)])],
)
SHOP = cluster([WEB, DB, BATCH], [ONLY_WEB])
INTENT = Intent(
    zones=(
        Zone("cards", Classification.CDE, members=(ZoneMember(("vault",)),)),
        Zone("shop", Classification.CONNECTED_TO, members=(ZoneMember(("shop",)),)),
        Zone("internet", Classification.INTERNET, cidrs=(ip_network("0.0.0.0/0"),)),
    )
)


def analysed(found: Cluster = SHOP, intent: Intent | None = INTENT) -> tuple[Reachability, ZoneMap]:
    networks = [network for zone in (intent.zones if intent else ()) for network in zone.cidrs]
    return analyse(found, extra_networks=networks), assign(intent, found)


def many(pods: Sequence[Pod], copies: int) -> list[Pod]:
    """Each pod several times, alike in everything but its name."""
    return [replace(one, name=f"{one.name}-{number}") for one in pods for number in range(copies)]


def attempt(seen: Seen, at_ms: int = 0, icmp: str = "") -> Attempt:
    return Attempt(seen, at_ms, 1, icmp=icmp)


def tried(seen: Seen, first: Seen | None = None, at_ms: int = 0, icmp: str = "") -> Tried:
    """What was seen in the end, and at first where that differs."""
    last = attempt(seen, at_ms, icmp)
    return Tried(1 if first is None else 9, last if first is None else attempt(first), last)


def planned(
    number: int = 1, *, source: str = "batch/batch-1", destination: str = "vault/db-1", **changes: object
) -> Planned:
    """A connection that policy denies, to the real database's port."""
    base = Planned(
        number=number,
        source=ProbeEnd(source, f"{source.partition('/')[0]}/Pod/{source.partition('/')[2]}", (), "node-a"),
        destination=ProbeEnd(
            destination, f"{destination.partition('/')[0]}/Pod/{destination.partition('/')[2]}", ("cards",), "node-b"
        ),
        protocol=Protocol.TCP,
        port=5432,
        ports="TCP 5432",
        allowed=False,
        stand_in=False,
        crossing=True,
        egress="not isolated",
        ingress="isolated by NetworkPolicy vault/only-web, which does not allow it",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


PassedBy = Mapping[int, Tried]
