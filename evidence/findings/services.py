"""Services and doors as findings name them; what they lead to is `evidence.reach.services` and `evidence.reach.doors`."""

from evidence.cluster.model import Pod, Service
from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import EvidenceRef, Subject
from evidence.findings.index import pod_evidence
from evidence.reach.doors import Door


def service_subject(service: Service) -> Subject:
    return Subject("Service", service.namespace, service.name)


def service_evidence(service: Service) -> EvidenceRef:
    return EvidenceRef(
        ObjectKey("", "Service", service.namespace, service.name), service.digest, f"spec.type {service.type}"
    )


def door_evidence(door: Door) -> EvidenceRef:
    """The object that makes the door."""
    if isinstance(door.of, Service):
        return service_evidence(door.of)
    if isinstance(door.of, Pod):
        return pod_evidence(door.of)._replace(detail=door.kind.value)
    return EvidenceRef(door.key, door.of.digest)
