"""The computed flows that stand behind a finding: what it says of connections, traced back to the engine's table."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from evidence.findings.crossing import approved, zone_label
from evidence.findings.crossings import NO_ZONE, covered
from evidence.findings.finding import Finding, Subject
from evidence.findings.registry import Assessment, Context
from evidence.findings.stepping import paths_of
from evidence.reach.classes import PeerId
from evidence.reach.engine import Flow


@dataclass(frozen=True, slots=True)
class Behind:
    """`flows` in the engine's order; `about` says which flows these are, or why there are none."""

    flows: tuple[Flow, ...]
    about: str


def named(assessment: Assessment, fingerprint: str) -> Finding | None:
    """The finding with this fingerprint."""
    return next((found for found in assessment.findings if found.fingerprint == fingerprint), None)


def behind(context: Context, finding: Finding) -> Behind:
    """Flows that a finding is about, by its subject."""
    subject = finding.subject
    match subject.kind:
        case "ZonePair":
            return _between_zones(context, finding)
        case "Workload":
            peers = _classes(context, subject.namespace, subject.name)
            return _of_pods(context, peers, "flows from and to this workload")
        case "Namespace":
            return _of_pods(context, _classes(context, subject.name), "flows from and to this namespace")
        case "Zone":
            peers = context.crossings.members.get(subject.name, frozenset())
            return _of_pods(context, peers, "flows from and to this zone")
        case "Service":
            peers = _behind_service(context, subject)
            return _of_pods(context, peers, "flows from and to the pods that the Service leads to")
        case "Node":
            peers = _on_nodes(context, {subject.name})
            about = "flows from and to the pods on this node; where nothing enforces policies there, more may pass"
            return _of_pods(context, peers, about)
        case "ApprovedFlow":
            return Behind(_in_order(_of_approval(context, subject.name)), "flows that this approval covers")
        case kind if kind in _NO_FLOWS:
            return Behind((), _NO_FLOWS[kind])
        case _:
            return _of_pods(context, _selected(context, subject), "flows from and to the pods it selects")


_NO_FLOWS = {
    "Cluster": "this is about the cluster as a whole (how it is read, enforced, tested or reviewed), not about single flows",
    "ServiceAccount": "this is about rights to change policies, which let nothing pass until somebody uses them",
    "Waiver": "this is about the end of a waiver; flows stand behind the finding that it accepts",
}


def _between_zones(context: Context, finding: Finding) -> Behind:
    if finding.rule_id == "SEG-005":
        about = "flows between pods of both zones with a node in common; the node itself reaches them past every policy, which is no flow"
        return Behind(_in_order(_on_shared_nodes(context, finding)), about)
    if finding.rule_id == "SEG-006":
        hops = {
            Flow(hop.source.peer, hop.destination.peer, hop.ports)
            for path in paths_of(context, finding.subject)
            for hop in path
        }
        return Behind(_in_order(hops), "the hops of the paths from one zone to the other")
    beyond = " beyond the approved ones" if finding.rule_id == "PRT-002" else ""
    return Behind(_in_order(_of_pair(context, finding)), f"flows between these zones{beyond}")


def _in_order(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    return tuple(sorted(flows, key=lambda flow: (flow.source, flow.destination, str(flow.ports))))


def _of_pods(context: Context, peers: frozenset[PeerId], about: str) -> Behind:
    return Behind(tuple(_touching(context, peers)), about if peers else f"{about}, of which there are none")


def _of_pair(context: Context, finding: Finding) -> Iterator[Flow]:
    for (source, destination), crossings in context.crossings.pairs.items():
        if finding.subject.name == f"{zone_label(source)} -> {zone_label(destination)}":
            within = NO_ZONE not in (source, destination) and finding.rule_id == "PRT-002"
            known = approved(context, source, destination) if within else None
            for crossing in crossings:
                ports = crossing.ports if known is None else crossing.ports - known
                if ports:
                    yield Flow(crossing.source.peer.id, crossing.destination.peer.id, ports)


def _classes(context: Context, namespace: str, workload: str = "") -> frozenset[PeerId]:
    return frozenset(
        found.id
        for found in context.reach.classes
        if found.namespace == namespace
        and (not workload or any(workload in (pod.workload.name, pod.name) for pod in found.pods))
    )


def _selected(context: Context, policy: Subject) -> frozenset[PeerId]:
    """Classes that a policy of any kind selects."""
    name = (policy.kind, policy.namespace, policy.name)
    return frozenset(
        PeerId(context.reach.peers.class_of[end])
        for side in context.reach.sides.values()
        for placed in side.policies
        for key in [placed.form.policy.key]
        if (key.kind, key.namespace, key.name) == name
        for end in placed.subjects.tolist()
    )


def _behind_service(context: Context, service: Subject) -> frozenset[PeerId]:
    return frozenset(
        found.id
        for found in context.reach.classes
        for pod in found.pods
        if any((each.namespace, each.name) == (service.namespace, service.name) for each in context.index.services(pod))
    )


def _on_nodes(context: Context, nodes: AbstractSet[str]) -> frozenset[PeerId]:
    return frozenset(found.id for found in context.reach.classes if any(pod.node in nodes for pod in found.pods))


def _on_shared_nodes(context: Context, finding: Finding) -> Iterator[Flow]:
    """Flows between the two zones, either way, of pods on the nodes that the finding rests on."""
    peers = _on_nodes(context, {ref.key.name for ref in finding.evidence if ref.key.kind == "Node"})
    for (source, destination), crossings in context.crossings.pairs.items():
        if finding.subject.name in (f"{source} | {destination}", f"{destination} | {source}"):
            for crossing in crossings:
                if {crossing.source.peer.id, crossing.destination.peer.id} <= peers:
                    yield Flow(crossing.source.peer.id, crossing.destination.peer.id, crossing.ports)


def _of_approval(context: Context, name: str) -> Iterator[Flow]:
    """Computed flows between the approval's zones, on its ports."""
    for flow in context.intent.flows if context.intent else ():
        if flow.id == name:
            for crossing in context.crossings.pairs.get((flow.source, flow.destination), ()):
                ports = crossing.ports & covered(flow)
                if ports:
                    yield Flow(crossing.source.peer.id, crossing.destination.peer.id, ports)


def _touching(context: Context, peers: frozenset[PeerId]) -> Iterator[Flow]:
    for flow in context.reach.flows():
        if flow.source in peers or flow.destination in peers:
            yield flow
