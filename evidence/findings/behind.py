"""The computed flows that stand behind a finding: what it says of connections, traced back to the engine's table."""

from collections.abc import Iterator
from dataclasses import dataclass

from evidence.findings.crossing import approved, zone_label
from evidence.findings.crossings import NO_ZONE
from evidence.findings.finding import EvidenceRef, Finding
from evidence.findings.registry import Assessment, Context
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
            flows = tuple(sorted(_of_pair(context, finding), key=lambda flow: (flow.source, flow.destination)))
            beyond = " beyond the approved ones" if finding.rule_id == "PRT-002" else ""
            return Behind(flows, f"flows between these zones{beyond}")
        case "Workload":
            peers = _classes(context, subject.namespace, subject.name)
            return Behind(tuple(_touching(context, peers)), "flows from and to this workload")
        case "Namespace":
            peers = _classes(context, subject.name)
            return Behind(tuple(_touching(context, peers)), "flows from and to this namespace")
        case "Zone":
            peers = context.crossings.members.get(subject.name, frozenset())
            return Behind(tuple(_touching(context, peers)), "flows from and to this zone")
        case "NetworkPolicy":
            return Behind(
                tuple(_touching(context, _selected(context, finding.evidence))), "flows from and to the pods it selects"
            )
        case _:
            return Behind((), f"a finding about a {subject.kind} has no flows behind it")


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


def _selected(context: Context, evidence: tuple[EvidenceRef, ...]) -> frozenset[PeerId]:
    keys = {ref.key for ref in evidence}
    policies = [policy for policy in context.cluster.policies if policy.key in keys]
    return frozenset(found.id for policy in policies for found in context.index.selected(policy))


def _touching(context: Context, peers: frozenset[PeerId]) -> Iterator[Flow]:
    for flow in context.reach.flows():
        if flow.source in peers or flow.destination in peers:
            yield flow
