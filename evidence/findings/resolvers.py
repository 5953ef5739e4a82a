"""The cluster's DNS: pods that carry the label by which distributions mark their resolver, and the ports on which they answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from evidence.cluster.model import Pod, Protocol
from evidence.cluster.selectors import Operator, Requirement
from evidence.findings.index import ClusterIndex, pods_of
from evidence.reach.classes import PodClass
from evidence.reach.ports import PortSet
from evidence.reach.services import target_ports

DNS_PORT = 53
# Labels by which distributions mark their cluster resolver: CoreDNS and kube-dns alike, Helm's CoreDNS, OpenShift.
RESOLVER_LABELS: Mapping[str, frozenset[str]] = {
    "k8s-app": frozenset({"kube-dns", "coredns", "core-dns"}),
    "app.kubernetes.io/name": frozenset({"coredns"}),
    "dns.operator.openshift.io/daemonset-dns": frozenset({"default"}),
}


@dataclass(frozen=True, slots=True)
class Resolver:
    """Pods that answer the cluster's DNS, and the ports they answer on (53, or what the Service translates it to).

    `pod` is one that carries the mark: where no policy looks at it, other pods of the class may lack it.
    """

    pods: PodClass
    pod: Pod
    udp: PortSet
    tcp: PortSet


def resolvers(index: ClusterIndex) -> tuple[Resolver, ...]:
    """Classes with pods that carry a resolver's label."""
    found = []
    for pods in index.classes:
        pod = next((pod for pod in pods_of([pods]) if is_marked(pod)), None)
        if pod is not None:
            udp, tcp = (_answering(index, pod, protocol) for protocol in (Protocol.UDP, Protocol.TCP))
            found.append(Resolver(pods, pod, udp, tcp))
    return tuple(found)


def is_marked(pod: Pod) -> bool:
    """True when the pod carries a resolver's label."""
    labels = pod.labels
    for key, values in RESOLVER_LABELS.items():  # noqa: SIM110  (asked for each pod: `any` takes twice as long)
        if labels.get(key) in values:
            return True
    return False


def marks(pod: Pod) -> tuple[Requirement, ...]:
    """Labels of a pod that mark it as a cluster resolver."""
    return tuple(
        Requirement(key, Operator.IN, (pod.labels[key],))
        for key, values in RESOLVER_LABELS.items()
        if pod.labels.get(key) in values
    )


def _answering(index: ClusterIndex, pod: Pod, protocol: Protocol) -> PortSet:
    """The container port behind port 53 of a Service that selects the pod; 53 without such a Service."""
    ports = PortSet.none()
    for service in index.services(pod):
        asked = [port for port in service.ports if port.port == DNS_PORT and port.protocol is protocol]
        ports = ports | target_ports(asked, pod)
    return ports or PortSet.of(protocol, DNS_PORT)
