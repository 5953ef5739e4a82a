"""A small cluster to probe: a database that only the web may ask, behind zones, on two nodes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from evidence.cluster.model import Cluster, ContainerPort, Pod, Protocol
from evidence.intent.model import Classification, Intent, Zone, ZoneMember
from evidence.intent.zones import ZoneMap, assign
from evidence.probe.judge import Expected, judge
from evidence.probe.model import Attempt, Plan, Planned, ProbeEnd, ProbeRun, Seen, Tried
from evidence.probe.plan import plan
from evidence.probe.ran import STAND_IN, Ran, SourceRan, StandInRan
from evidence.reach.engine import Reachability, analyse
from tests.builders import cluster, peer, pod, policy, port, rule

DAY = datetime(2026, 8, 1, 11, tzinfo=UTC)
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


def as_computed(probe: Planned) -> bool:
    return probe.allowed


def probed(
    cluster_: Cluster = SHOP,
    intent: Intent | None = INTENT,
    *,
    passes: Callable[[Planned], bool] = as_computed,
    at: datetime = DAY,
    policies: str = "as they were",
    late_ms: int = 0,
    seed: int = 1,
    run_id: str = "0a1b2c3d",
) -> ProbeRun:
    """A run of a whole plan of a cluster in which every control holds."""
    chosen = plan(*analysed(cluster_, intent), seed=seed)
    return carried_out(chosen, passes, at=at, policies=policies, late_ms=late_ms, run_id=run_id)


def carried_out(
    chosen: Plan,
    passes: Callable[[Planned], bool],
    *,
    at: datetime = DAY,
    policies: str = "as they were",
    late_ms: int = 0,
    run_id: str = "0a1b2c3d",
) -> ProbeRun:
    """A run in which every control holds: `passes` says which connections got through, `late_ms` for how long denied ones did."""
    seen = {
        probe.number: tried(Seen.OPEN)
        if passes(probe)
        else tried(Seen.REJECTED, first=Seen.OPEN if late_ms and not probe.allowed else None, at_ms=late_ms)
        for probe in chosen.probes
    }
    by_source = {
        probe.source.name: SourceRan(
            STAND_IN,
            "source",
            "10.0.9.1",
            reached_from="10.0.9.254",
            tried={p.number: seen[p.number] for p in chosen.probes if p.source == probe.source},
        )
        for probe in chosen.probes
    }
    answering = StandInRan("stand-in", "10.0.9.2", started=True, alive=True, failed={})
    stand_ins = {probe.destination.name: answering for probe in chosen.probes if probe.stand_in}
    addresses = {probe.destination.name: "10.0.9.3" for probe in chosen.probes if not probe.stand_in}
    expected = {probe.number: Expected(probe.allowed, probe.egress, probe.ingress) for probe in chosen.probes}
    return ProbeRun(
        id=run_id,
        cluster="lab",
        seed=chosen.seed,
        started_at=at,
        finished_at=at + timedelta(seconds=30),
        tool_version="0.1.0",
        identity="prober",
        image="localhost/evidence-probe:0.1.0",
        snapshot_root="ab" * 32,
        snapshot_taken_at=at,
        policies=policies,
        coverage=chosen.coverage,
        results=judge(chosen.probes, expected, Ran(by_source, stand_ins, addresses)),
    )
