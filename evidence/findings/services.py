"""Services and Ingresses in front of pods: who is reachable from outside the cluster, and on which container ports."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from evidence.cluster.model import Ingress, IngressBackend, Pod, Service, ServicePort
from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import EvidenceRef, Subject, shortened
from evidence.findings.index import ClusterIndex, WorkloadPods, pod_evidence, pods_of
from evidence.reach.classes import PodClass
from evidence.reach.ports import PortSet

GATEWAY_API = ".gateway.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class Door:
    """A way from outside the cluster to a pod: `text` names it, `ports` are those of the pod."""

    text: str
    ports: PortSet
    evidence: EvidenceRef
    by_controller: bool = False  # through an ingress controller, which is then the source that policy sees


@dataclass(frozen=True, slots=True)
class BehindDoor:
    """Pods of a class and workload to which a door leads."""

    pods: PodClass
    workload: WorkloadPods
    door: Door


def behind(service: Service, pod: Pod) -> bool:
    """True when the Service selects the pod."""
    return (
        bool(service.selector)
        and service.namespace == pod.namespace
        and all(pod.labels.get(key) == value for key, value in (service.selector or {}).items())
    )


def service_subject(service: Service) -> Subject:
    return Subject("Service", service.namespace, service.name)


def service_evidence(service: Service) -> EvidenceRef:
    return EvidenceRef(
        ObjectKey("", "Service", service.namespace, service.name), service.digest, f"spec.type {service.type}"
    )


def target_ports(ports: Iterable[ServicePort], pod: Pod) -> PortSet:
    """Ports of the pod that the Service's ports lead to."""
    found = PortSet.none()
    for port in ports:
        numbers = (
            [port.target_port]
            if isinstance(port.target_port, int)
            else [p.number for p in pod.ports if p.name == port.target_port and p.protocol is port.protocol]
        )
        for number in numbers:
            found = found | PortSet.of(port.protocol, number)
    return found


def is_public(service: Service) -> bool:
    """True when the Service has an address outside the cluster: LoadBalancer, NodePort or external addresses."""
    return service.type in ("LoadBalancer", "NodePort") or bool(service.external_addresses)


def doors(index: ClusterIndex, pod: Pod) -> tuple[Door, ...]:
    """The ways from outside to a pod, in the order Services, Ingresses, host ports."""
    services = index.services(pod)
    found = [_service_door(service, pod) for service in services if is_public(service)]
    for service in services:
        for ingress, backend in index.backends.get((service.namespace, service.name), ()):
            found.append(_ingress_door(ingress, backend, service, pod))
    for port in pod.ports:
        if port.host_port:
            text = f"hostPort {port.protocol} {port.host_port}"
            found.append(
                Door(text, PortSet.of(port.protocol, port.number), replace(pod_evidence(pod), detail="hostPort"))
            )
    return tuple(door for door in found if door.ports)


def unfollowed(index: ClusterIndex) -> Iterator[str]:
    """Ways in that may exist and cannot be followed to pods, one sentence each."""
    loose = [
        f"{service.namespace}/{service.name}"
        for service in index.cluster.services
        if is_public(service) and not service.selector
    ]
    if loose:
        yield f"public Services without a selector were not followed to their endpoints: {shortened(loose)}"
    gateways = sorted(crd for crd in index.cluster.crds if crd.endswith(GATEWAY_API))
    if gateways:
        yield f"Gateway API routes are not read ({shortened(gateways)})"


def _service_door(service: Service, pod: Pod) -> Door:
    kind = (
        f"{service.type} Service" if service.type in ("LoadBalancer", "NodePort") else "Service with external addresses"
    )
    limits = ", ".join(str(network) for network in service.load_balancer_source_ranges)
    only = f" (source ranges {limits})" if limits else ""
    return Door(
        f"{kind} {service.namespace}/{service.name}{only}", target_ports(service.ports, pod), service_evidence(service)
    )


def _ingress_door(ingress: Ingress, backend: IngressBackend, service: Service, pod: Pod) -> Door:
    ports = [port for port in service.ports if backend.port in (port.port, port.name)]
    ref = EvidenceRef(ObjectKey("networking.k8s.io", "Ingress", ingress.namespace, ingress.name), ingress.digest)
    return Door(f"Ingress {ingress.namespace}/{ingress.name}", target_ports(ports, pod), ref, by_controller=True)


def behind_doors(index: ClusterIndex) -> Iterator[BehindDoor]:
    """Every class and workload with its doors, open or not; pods of one workload may differ in labels that only a Service looks at."""
    for found in index.classes:
        by_door: dict[tuple[ObjectKey, str], tuple[Door, dict[str, Pod]]] = {}
        for pod in pods_of([found]):
            for door in doors(index, pod):
                first, pods = by_door.setdefault((pod.workload, door.text), (door, {}))
                pods[pod.name] = pod
                by_door[pod.workload, door.text] = replace(first, ports=first.ports | door.ports), pods
        for (key, _), (door, pods) in by_door.items():
            yield BehindDoor(found, WorkloadPods(key, tuple(pods[name] for name in sorted(pods))), door)
