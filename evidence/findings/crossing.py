"""Family crossing: connections between zones that should not be, or that nobody approved."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from evidence.cluster.model import Pod
from evidence.cluster.objects import ObjectKey
from evidence.findings.beside import further_interfaces, on_the_node
from evidence.findings.crossings import NO_ZONE, Crossing, Crossings, lines
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.index import pod_evidence
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.intent.model import SENSITIVE, Classification, Zone
from evidence.intent.zones import ZoneMap
from evidence.reach.classes import PeerId, PodClass
from evidence.reach.ports import PortSet

NEEDS = ("NetworkPolicy", "Pod", "Namespace")
IN_SCOPE = SENSITIVE | {Classification.CONNECTED_TO, Classification.SECURITY_IMPACTING}


@rule(
    "SEG-001",
    title="Regulated zone reachable from out-of-scope pods",
    severity=Severity.HIGH,
    family="crossing",
    why="A pod outside the assessed scope can open connections into a zone with regulated data. The segmentation that keeps it out of scope is "
    "not there: it has to be closed, or the pod is in scope.",
    mend="Isolate the destination for ingress and admit only the zones that need it; or declare the source's zone connected-to and approve the flow.",
    needs=NEEDS,
    needs_intent=True,
    hangs_on_policies=True,
)
def reachable_from_out_of_scope(context: Context) -> Looked:
    """Pairs (zone out of scope or none, cde / ephi / fedramp-boundary zone) with a computed connection."""
    return _broken(context, inbound=True)


@rule(
    "SEG-002",
    title="Regulated zone can reach out-of-scope pods",
    severity=Severity.MEDIUM,
    family="crossing",
    why="A pod of a zone with regulated data can open connections to pods outside the assessed scope: a way out for the data, and by the definition "
    "of connected-to systems a reason to pull the destination into scope.",
    mend="Isolate the zone's pods for egress and admit only approved destinations.",
    needs=NEEDS,
    needs_intent=True,
    hangs_on_policies=True,
)
def reaches_out_of_scope(context: Context) -> Looked:
    """Pairs (cde / ephi / fedramp-boundary zone, zone out of scope or none) with a computed connection."""
    return _broken(context, inbound=False)


def _broken(context: Context, *, inbound: bool) -> Looked:
    table = context.crossings
    regulated = [zone for zone in table.zones.values() if zone.classification in SENSITIVE]
    hits = []
    for (source, destination), found in table.pairs.items():
        inner, outer = (destination, source) if inbound else (source, destination)
        if table.classification(inner) in SENSITIVE and table.classification(outer) not in IN_SCOPE:
            pods_only = [
                c for c in found if isinstance(c.source.peer, PodClass) and isinstance(c.destination.peer, PodClass)
            ]
            if pods_only:
                hits.append(_pair(table, source, destination, pods_only))
    outside = _classes(table, [name for name in table.members if table.classification(name) not in IN_SCOPE])
    inside = _classes(table, [zone.name for zone in regulated])
    doubts = context.index.uncertain(*((outside, inside) if inbound else (inside, outside)))
    return Looked(len(regulated), tuple(hits), (*doubts, *_beside(context)))


def _beside(context: Context) -> Iterator[str]:
    """Ways past the policies between pods of regulated zones and pods out of scope."""
    inside, outside = context.lasting.of(_in_and_out, context.zones, context.cluster.pods)
    yield from on_the_node(outside, inside)
    yield from further_interfaces(inside)


def _in_and_out(zones: ZoneMap, pods: Iterable[Pod]) -> tuple[tuple[Pod, ...], tuple[Pod, ...]]:
    """Pods of zones with regulated data, and those that lie in a zone out of scope or in none; some are both."""
    inside: list[Pod] = []
    outside: list[Pod] = []
    for pod in pods:
        found = {zone.classification for zone in zones.of_pod(pod.key)}
        if found & SENSITIVE:
            inside.append(pod)
        if not found or found - IN_SCOPE:
            outside.append(pod)
    return tuple(inside), tuple(outside)


def _classes(table: Crossings, zones: Iterable[str]) -> frozenset[PeerId]:
    """Classes of pods in any of the zones."""
    return frozenset().union(*(table.members.get(name, frozenset()) for name in zones))


def zone_label(name: str) -> str:
    return name or "(no zone)"


def _pair(table: Crossings, source: str, destination: str, found: Sequence[Crossing]) -> Hit:
    every = lines(found)
    zones = tuple(table.zones[name] for name in (source, destination) if name in table.zones)
    kinds = " → ".join(
        f"{zone_label(name)} ({table.classification(name) or 'not classified'})" for name in (source, destination)
    )
    return Hit(
        subject=Subject("ZonePair", "", f"{zone_label(source)} -> {zone_label(destination)}"),
        message=f"{kinds}: {shortened(every)}",
        evidence=table.evidence(found),
        zones=zones,
        details=every,
    )


@rule(
    "PRT-002",
    title="Undocumented service or port",
    severity=Severity.MEDIUM,
    family="crossing",
    why="The policies let connections pass between two zones that no approved flow covers. Every service, protocol and port that is allowed between "
    "zones needs an owner, a justification and an approval.",
    mend="Add an approved flow with its justification to the intent file, or narrow the policies to the ports that are approved.",
    needs=NEEDS,
    needs_intent=True,
    hangs_on_policies=True,
)
def not_approved(context: Context) -> Looked:
    """Pairs of declared zones whose computed ports go beyond the approved ones; low when neither zone is in scope."""
    table = context.crossings
    hits = []
    for (source, destination), found in table.pairs.items():
        if NO_ZONE in (source, destination):
            continue
        allowed = approved(context, source, destination)
        excess = _beyond(found, allowed) if allowed else found
        if excess:
            hits.append(_excess(table, source, destination, excess, allowed))
    return Looked(len(table.pairs), tuple(hits), _doubts(context))


def _beyond(found: Sequence[Crossing], allowed: PortSet) -> list[Crossing]:
    """Connections with those of their ports that are not allowed; those with none left out."""
    every = {id(crossing.ports): crossing.ports for crossing in found}
    beyond = {number: ports - allowed for number, ports in every.items()}
    return [Crossing(c.source, c.destination, left) for c in found if (left := beyond[id(c.ports)])]


def _doubts(context: Context) -> tuple[str, ...]:
    """Why connections between declared zones that are not computed may pass all the same."""
    table = context.crossings
    reasons: set[str] = set()
    for zone in table.zones:
        others = _classes(table, [name for name in table.zones if name != zone])
        outside = [found.id for found in context.reach.external]
        reasons.update(context.index.uncertain(_classes(table, [zone]), {*others, *outside}))
    return tuple(sorted(reasons))


def approved(context: Context, source: str, destination: str) -> PortSet:
    """Ports that approved flows from one zone to another cover."""
    return context.crossings.approved.get((source, destination), PortSet.none())


def _excess(table: Crossings, source: str, destination: str, found: Sequence[Crossing], allowed: PortSet) -> Hit:
    every = lines(found)
    in_scope = {table.classification(source), table.classification(destination)} & IN_SCOPE
    return Hit(
        subject=Subject("ZonePair", "", f"{source} -> {destination}"),
        message=f"allowed beyond what is approved ({allowed}): {shortened(every)}",
        evidence=table.evidence(found),
        zones=(table.zones[source], table.zones[destination]),
        details=every,
        severity=None if in_scope else Severity.LOW,
    )


@rule(
    "SEG-005",
    title="Different sensitivity on one node",
    severity=Severity.LOW,
    family="crossing",
    why="Pods of a regulated zone and of an out-of-scope zone run on the same node. A node's own traffic to its pods is outside "
    "NetworkPolicy in every enforcer, so whoever breaks out of one pod is past the policies of the other.",
    mend="Give regulated workloads nodes of their own (taints and a node selector), or show the assessor what separates them on the node.",
    needs=("Pod", "Namespace"),
    needs_intent=True,
)
def shared_nodes(context: Context) -> Looked:
    """Pairs of a regulated and an out-of-scope zone with pods on one node."""
    by_node: dict[str, dict[str, list[Pod]]] = defaultdict(lambda: defaultdict(list))
    for pod in context.cluster.pods:
        if pod.node and not pod.finished:
            for zone in context.zones.of_pod(pod.key):
                by_node[pod.node][zone.name].append(pod)
    zones = context.crossings.zones
    pairs: dict[tuple[str, str], dict[str, list[Pod]]] = defaultdict(dict)
    for node, found in sorted(by_node.items()):
        for inner in found:
            for outer in found:
                if (
                    zones[inner].classification in SENSITIVE
                    and zones[outer].classification is Classification.OUT_OF_SCOPE
                ):
                    pairs[inner, outer][node] = found[inner] + found[outer]
    hits = tuple(_shared(zones[inner], zones[outer], nodes, context) for (inner, outer), nodes in sorted(pairs.items()))
    return Looked(len(by_node), hits)


def _shared(inner: Zone, outer: Zone, nodes: dict[str, list[Pod]], context: Context) -> Hit:
    digests = {node.name: node.digest for node in context.cluster.nodes}
    refs = [EvidenceRef(ObjectKey("", "Node", "", name), digests.get(name, "")) for name in nodes]
    return Hit(
        subject=Subject("ZonePair", "", f"{inner.name} | {outer.name}"),
        message=f"pods of both zones run on {count(len(nodes), 'node')}: {shortened(list(nodes))}",
        evidence=(*refs, *(pod_evidence(pod) for pods in nodes.values() for pod in pods)),
        zones=(inner, outer),
        details=tuple(f"{node}: {', '.join(sorted(pod.key for pod in pods))}" for node, pods in nodes.items()),
    )
