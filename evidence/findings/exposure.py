"""Family exposure: what the outside can reach, and where pods may go outside.

Doors, and which of them policy leaves open, are `evidence.reach.exposure`'s. Pods on the host network are open whatever policy says: they
are BYP-001's.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from evidence.cluster.model import Direction, IpBlock, Protocol
from evidence.findings.crossing import IN_SCOPE, approved, zone_label
from evidence.findings.crossings import NO_ZONE, lines, outside_name
from evidence.findings.finding import Severity, Subject, count, shortened
from evidence.findings.index import (
    RuleAt,
    WorkloadPods,
    is_every_namespace,
    names_port,
    pods_of,
    policy_evidence,
    union,
)
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.findings.selection import labels_unread
from evidence.findings.services import door_evidence
from evidence.intent.model import SENSITIVE, Classification
from evidence.reach.classes import ExternalRange, PodClass
from evidence.reach.doors import Door
from evidence.reach.exposure import Exposure
from evidence.reach.ports import PortSet
from evidence.values import value

NEEDS = ("NetworkPolicy", "Pod", "Service", "Ingress", "Namespace")

# Ports that data stores listen on unless told otherwise.
DATA_STORES = {
    1433: "SQL Server", 1521: "Oracle", 2379: "etcd", 3306: "MySQL", 5432: "PostgreSQL", 5984: "CouchDB", 6379: "Redis",
    8086: "InfluxDB", 9042: "Cassandra", 9200: "Elasticsearch", 11211: "memcached", 26257: "CockroachDB", 27017: "MongoDB",
}  # fmt: skip

# Services that are unencrypted unless wrapped in something else.
CLEAR_TEXT = {
    (Protocol.TCP, 21): "FTP", (Protocol.TCP, 23): "Telnet", (Protocol.UDP, 69): "TFTP", (Protocol.TCP, 80): "HTTP",
    (Protocol.TCP, 110): "POP3", (Protocol.TCP, 143): "IMAP", (Protocol.UDP, 161): "SNMP", (Protocol.TCP, 389): "LDAP",
    (Protocol.TCP, 512): "rexec", (Protocol.TCP, 513): "rlogin", (Protocol.TCP, 514): "rsh", (Protocol.TCP, 873): "rsync",
    (Protocol.TCP, 1883): "MQTT", (Protocol.TCP, 5900): "VNC", (Protocol.TCP, 8080): "HTTP", (Protocol.TCP, 9092): "Kafka PLAINTEXT",
    (Protocol.TCP, 11211): "memcached",
}  # fmt: skip


@value()
class Exposed:
    """Pods of a class and workload behind an open door, on `ports`, reachable directly from `sources` (outside ranges; none when the
    client hides behind a node or a controller)."""

    workload: WorkloadPods
    pods: PodClass
    door: Door
    ports: PortSet
    sources: tuple[ExternalRange, ...]


def open_doors(context: Context) -> Iterator[Exposed]:
    """Every workload behind every door that policy leaves open."""
    by_door: dict[int, list[Exposure]] = defaultdict(list)
    for exposure in context.exposures.open:
        if not exposure.behind.peers.host_network:
            by_door[id(exposure.behind)].append(exposure)
    for found in by_door.values():
        way = found[0].behind
        sources = {one.id: one for exposure in found for one in exposure.ranges}
        yield Exposed(
            WorkloadPods(way.workload, way.pods),
            way.peers,
            way.door,
            union(exposure.ports for exposure in found),
            tuple(sources[number] for number in sorted(sources)),
        )


def _fronts(context: Context, door: Door) -> list[PodClass]:
    """Who may forward: the recognised controller's classes, or else every class with a door of its own or on the host network."""
    reach = context.reach
    if door.front is not None and door.front.pods is not None:
        ids = {reach.peer_of(pod.key) for pod in door.front.pods}
    else:
        ids = {way.peers.id for way in context.exposures.doors.behind if way.door.front is None}
        ids |= {found.id for found in context.index.all_classes if found.host_network}
    return [reach.classes[number] for number in sorted(ids)]


@rule(
    "EXP-001",
    title="Data store exposed to the internet",
    severity=Severity.HIGH,
    family="exposure",
    why="A database, cache or queue has a way in from outside the cluster that policy leaves open. Data stores belong behind an application tier, "
    "never on an address that the outside can reach.",
    mend="Make the Service ClusterIP, remove the Ingress path or hostPort, and admit only the application's pods by policy.",
    needs=NEEDS,
    hangs_on_policies=True,
)
def data_store_exposed(context: Context) -> Looked:
    """Pods that declare a data store's port (or have a door to one), and an open door to it."""
    hits = []
    population = 0
    for found in open_doors(context):
        population += 1
        stores = [(number, name) for number, name in DATA_STORES.items() if found.ports.contains(Protocol.TCP, number)]
        if stores:
            what = shortened([f"{name} (TCP {number})" for number, name in stores])
            hits.append(
                _exposed(
                    context,
                    found,
                    f"{what} of {found.workload.key} is reachable from outside through {found.door.text}",
                )
            )
    return Looked(population, tuple(hits), context.exposures.doubts)


def _exposed(context: Context, found: Exposed, message: str) -> Hit:
    policies = context.reach.isolating(found.pods.id, Direction.INGRESS)
    return Hit(
        subject=found.workload.subject,
        message=message,
        evidence=(
            door_evidence(found.door),
            *(policy_evidence(policy, "admits by ingress") for policy in policies),
            *(() if policies else found.workload.evidence),
        ),
        pods=found.workload.pods,
        discriminator=f"{found.workload.key.kind} {found.door.text}",
        details=tuple(outside_name(source) for source in found.sources),
    )


@rule(
    "EXP-002",
    title="Public workload not on the approved list",
    severity=Severity.HIGH,
    family="exposure",
    why="The outside can reach a workload of a zone in scope, and no approved flow says that it should. Inbound connections from untrusted networks "
    "are to be limited to what is approved as public.",
    mend="Approve the flow from the internet zone with its justification, or close the door and isolate the pods for ingress.",
    needs=NEEDS,
    needs_intent=True,
    hangs_on_policies=True,
)
def public_without_approval(context: Context) -> Looked:
    """Workloads of zones in scope behind an open door, on ports that no approved flow from an internet zone covers.

    Through an Ingress or a route the outside comes by way of a controller: its pods where they are recognised, else pods that have a door of
    their own, or share their node's network, and that policy lets through. An approved flow from the controller's zone counts there, too.
    """
    internet = [
        zone.name for zone in context.crossings.zones.values() if zone.classification is Classification.INTERNET
    ]
    hits = []
    population = 0
    frontless = False
    for found in open_doors(context):
        zones = [zone.name for zone in context.zones_of(found.workload.pods) if zone.classification in IN_SCOPE]
        if not zones:
            continue
        population += 1
        if found.door.front is not None and not found.door.front.outside:
            fronts = _fronts(context, found.door)
            frontless = frontless or not fronts
            excess = union(_unapproved_way(context, front, found, zones, internet) for front in fronts)
        else:
            excess = found.ports - _approved(context, internet, zones)
        if excess:
            message = f"{excess} of {found.workload.key} is reachable from outside through {found.door.text}, and no approved flow covers it"
            hits.append(_exposed(context, found, message))
    doubts = list(context.exposures.doubts)
    if frontless:
        doubts.append("workloads are published by Ingress, and no pod was recognised that could be its controller")
    return Looked(population, tuple(hits), tuple(doubts))


def _unapproved_way(
    context: Context, front: PodClass, found: Exposed, zones: list[str], internet: list[str]
) -> PortSet:
    """Ports of a door on which a possible controller reaches the pods and no approved flow says so."""
    if front.id == found.pods.id:
        return PortSet.none()
    passing = context.reach.ingress_ports(front.id, found.pods.id) & context.reach.egress_ports(front.id, found.pods.id)
    own = {zone.name for zone in context.zones_of(front.pods)}
    if own & set(zones):
        return PortSet.none()
    return passing & found.door.ports - _approved(context, [*internet, *own], zones)


def _approved(context: Context, sources: Iterable[str], destinations: Iterable[str]) -> PortSet:
    return union(approved(context, source, destination) for source in sources for destination in destinations)


@rule(
    "EXP-004",
    title="Unregistered outside endpoint",
    severity=Severity.MEDIUM,
    family="exposure",
    why="Pods of a zone in scope may connect to outside addresses that lie in no declared zone: nobody has named the third party, its owner or "
    "the agreement with it.",
    mend="Declare the third party's addresses as a zone and approve the flow, or narrow the egress to declared zones.",
    needs=("NetworkPolicy", "Pod", "Namespace"),
    needs_intent=True,
    hangs_on_policies=True,
)
def unregistered_endpoint(context: Context) -> Looked:
    """Zones in scope with computed connections to outside addresses of no zone."""
    table = context.crossings
    hits = []
    in_scope = [zone for zone in table.zones.values() if zone.classification in IN_SCOPE]
    for zone in in_scope:
        found = [c for c in table.pairs.get((zone.name, NO_ZONE), ()) if isinstance(c.destination.peer, ExternalRange)]
        if found:
            every = lines(found)
            hits.append(
                Hit(
                    subject=Subject("Zone", "", zone.name),
                    message=f"{zone.name} may connect to outside addresses of no declared zone: {shortened(every)}",
                    evidence=table.evidence(found),
                    zones=(zone,),
                    details=every,
                )
            )
    inside = {peer for zone in in_scope for peer in table.members.get(zone.name, ())}
    doubts = context.index.uncertain(inside, [found.id for found in context.reach.external])
    return Looked(len(in_scope), tuple(hits), doubts)


@rule(
    "PRT-001",
    title="Clear-text port allowed",
    severity=Severity.MEDIUM,
    family="exposure",
    why="A rule names a port whose usual service is not encrypted, and lets it cross the border of a regulated zone. What passes there can be read "
    "and changed on the way.",
    mend="Use the service's encrypted port, or record what encrypts the connection (a mesh, a tunnel) as the approved flow's justification.",
    needs=("NetworkPolicy", "Pod", "Namespace"),
    needs_intent=True,
    reads_rules=True,
)
def clear_text(context: Context) -> Looked:
    """Rules that name a clear-text port, or leave every TCP port open, between a regulated zone and pods or addresses outside that zone.

    Pods of regulated zones that nothing isolates have no rule at all: they are NET-001's and NET-002's, and here a doubt.
    """
    rules = list(context.index.rules(Direction.INGRESS, Direction.EGRESS))
    hits = []
    for at in rules:
        named = context.lasting.of(_clear_text_ports, at)
        crossing = sorted(_borders(context, at)) if named else []
        if crossing:
            side = "from" if at.direction is Direction.INGRESS else "to"
            hits.append(
                Hit(
                    subject=at.subject,
                    message=f"{at.where} allows {shortened(named)} {side} outside the zone: {shortened(crossing)}",
                    evidence=(at.evidence,),
                    pods=pods_of(context.index.selected(at.policy)),
                    discriminator=at.content,
                    details=tuple(crossing),
                )
            )
    return Looked(len(rules), tuple(hits), (*_without_rules(context), *labels_unread(context)))


def _clear_text_ports(at: RuleAt) -> list[str]:
    """Clear-text ports that a rule allows, in words."""
    if not at.rule.ports or any(port.port is None and port.protocol is Protocol.TCP for port in at.rule.ports):
        return ["every TCP port, the clear-text ones included"]
    return [
        f"{name} ({protocol} {number})"
        for (protocol, number), name in CLEAR_TEXT.items()
        if names_port(at.rule, number, protocol)
    ]


def _without_rules(context: Context) -> Iterator[str]:
    """A doubt for pods of regulated zones whose ports no rule limits."""
    bare = [
        pod
        for found in context.index.classes
        if not all(context.reach.isolated(found.id, direction) for direction in Direction)
        for pod in pods_of([found])
        if any(zone.classification in SENSITIVE for zone in context.zones.of_pod(pod.key))
    ]
    if bare:
        yield f"{count(len(bare), 'pod')} of regulated zones not isolated in both directions (NET-001, NET-002): no rule limits the ports"


def _borders(context: Context, at: RuleAt) -> set[str]:
    """Borders of regulated zones that a rule crosses, in words: "cde | web", "cde | outside addresses"."""
    own = _zones(context, context.index.selected(at.policy))
    peers: set[str] = set() if at.rule.peers else {"any peer"}
    for peer in at.rule.peers:
        if isinstance(peer, IpBlock):
            peers.add("outside addresses")
        elif is_every_namespace(peer):
            peers.add("every namespace")
        else:
            peers |= _zones(context, context.index.matched(at.policy, peer))
    regulated = {name for name in own | peers if context.crossings.classification(name) in SENSITIVE}
    return {
        f"{zone_label(mine)} | {zone_label(theirs)}"
        for mine in own
        for theirs in peers
        if mine != theirs and regulated & {mine, theirs}
    }


def _zones(context: Context, classes: Iterable[PodClass]) -> set[str]:
    return {name for found in classes for name in context.crossings.ends(found.id)}
