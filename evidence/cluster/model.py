"""The cluster as analysis reads it: frozen values, one class a Kubernetes notion, Kubernetes' own names.

`evidence.cluster.parse` is the only maker of these from collected objects; tests build them directly.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.selectors import LabelSelector
from evidence.values import value

if TYPE_CHECKING:
    from evidence.cluster.access import AccessBinding, AccessRole
    from evidence.cluster.calico import Calico, CalicoPolicy, StagedPolicy
    from evidence.cluster.cilium import CidrGroup, CiliumPolicy
    from evidence.cluster.plugins import PluginSettings
    from evidence.cluster.policies import ClusterPolicy
    from evidence.cluster.routes import EndpointSlice, Gateway, GatewayClass, Grant, IngressClass, Route

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Labels = Mapping[str, str]


class Protocol(StrEnum):
    """Transport protocols that a NetworkPolicyPort can name (NetworkPolicyPort.protocol)."""

    SCTP = "SCTP"
    TCP = "TCP"
    UDP = "UDP"

    __hash__ = (
        str.__hash__
    )  # an Enum's own is Python's, and takes five times as long: port sets are hashed again and again


class Direction(StrEnum):
    """Values of NetworkPolicySpec.policyTypes."""

    INGRESS = "Ingress"
    EGRESS = "Egress"

    __hash__ = str.__hash__  # as for Protocol


def digest_of(origin: CollectedObject | None) -> str:
    """Digest of the object that a model value was made from; "" without one (a test, a namespace that only others name)."""
    return origin.digest if origin else ""


@value()
class Namespace:
    """`labels` always hold kubernetes.io/metadata.name; `declared` is False when only other objects name it (no Namespace object was read)."""

    name: str
    labels: Labels
    declared: bool = True
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class ContainerPort:
    """A port that a container declares; `name` is "" when it has none, `host_port` 0 when not mapped.

    `host_ip` is the one address of the node that a mapped port is bound to, as written (the API checks nothing); "" is every address.
    """

    name: str
    protocol: Protocol
    number: int
    host_port: int = 0
    host_ip: str = ""

    @property
    def opens_node(self) -> bool:
        """True when others than the node itself may come in by the host port: it is bound to more than a loopback address."""
        try:
            return bool(self.host_port) and not (self.host_ip and ip_address(self.host_ip).is_loopback)
        except ValueError:
            return True

    @property
    def host_text(self) -> str:
        """The host port as text: "TCP 80", "TCP 80 at 10.0.0.1"."""
        return f"{self.protocol} {self.host_port}" + (f" at {self.host_ip}" if self.host_ip else "")


@value()
class Pod:
    """A pod, or (when `template` is True) the pods that a workload object without pods in the source stands for.

    `addresses` is empty when unknown (manifests, Pending). `workload` names the controlling workload
    (a ReplicaSet's Deployment where known), the pod itself when it has none.
    """

    namespace: str
    name: str
    labels: Labels
    workload: ObjectKey
    addresses: tuple[IPAddress, ...] = ()
    node: str = ""
    node_addresses: tuple[IPAddress, ...] = ()  # status.hostIPs; empty when unknown
    host_network: bool = False
    ports: tuple[ContainerPort, ...] = ()
    phase: str = "Running"
    ready: bool = True
    template: bool = False
    privileged: bool = False
    capabilities: frozenset[str] = frozenset()
    images: tuple[str, ...] = ()
    created: str = ""  # RFC 3339, as the API gives it
    service_account: str = "default"  # which the API server puts in where none is named
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)
    account_labels: Labels | None = None  # of the service account, for Calico's policies; None: not read

    @property
    def key(self) -> str:
        """ "namespace/name", as queries name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Succeeded and Failed pods are no endpoints: they hold no address and accept nothing."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class Workload:
    """A controller of pods: Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob."""

    key: ObjectKey
    replicas: int | None
    pod_labels: Labels
    images: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()  # command and args of all containers, kept for system namespaces only (CNI modes)
    desired: int | None = None  # DaemonSet: status.desiredNumberScheduled
    ready: int | None = None  # DaemonSet: status.numberReady, others: status.readyReplicas
    environment: Labels = field(default_factory=dict)  # DaemonSet: the few settings of plugins (cluster/plugins.py)
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class Node:
    """A node, as policies select it by label and pods share its addresses."""

    name: str
    labels: Labels
    addresses: tuple[IPAddress, ...]
    ready: bool | None  # None: no Ready condition was read
    operating_system: str = "linux"
    kubelet_version: str = ""
    provider_id: str = ""
    annotations: Labels = field(default_factory=dict)  # only the CNI ones that keep.py lets through
    pod_cidrs: tuple[IPNetwork, ...] = ()
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class IpBlock:
    """NetworkPolicyPeer.ipBlock: addresses in `cidr` and in none of `excepts` (host bits masked off)."""

    cidr: IPNetwork
    excepts: tuple[IPNetwork, ...] = ()


@value()
class PodPeer:
    """NetworkPolicyPeer with selectors. None in `namespace_selector`: the policy's own namespace; None in `pod_selector`: all pods there."""

    namespace_selector: LabelSelector | None
    pod_selector: LabelSelector | None


@value()
class PolicyPort:
    """NetworkPolicyPort. `port` None: every port of the protocol; a string: a named port of the destination pod."""

    protocol: Protocol
    port: int | str | None
    end_port: int | None = None


@value()
class Rule:
    """One ingress or egress rule. Empty `peers`: any peer, the outside included; empty `ports`: any port of any protocol."""

    peers: tuple[IpBlock | PodPeer, ...]
    ports: tuple[PolicyPort, ...]


@value()
class NetworkPolicy:
    """networking.k8s.io/v1 NetworkPolicy with policyTypes already defaulted as the API server does."""

    namespace: str
    name: str
    pod_selector: LabelSelector
    policy_types: frozenset[Direction]
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("networking.k8s.io", "NetworkPolicy", self.namespace, self.name)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)

    @property
    def source(self) -> str:
        """Where the object was read ("file.yaml:12" or an API path); "" when there is none."""
        return self.origin.source if self.origin else ""


@value()
class ServicePort:
    """A port of a Service and where it leads; `node_port` is 0 when nodes do not open one."""

    name: str
    protocol: Protocol
    port: int
    target_port: int | str
    node_port: int = 0


@value()
class Service:
    """`selector` None: no selector (endpoints made by hand, or ExternalName). `external_ips` are open on every node; `external_addresses`
    hold them, too, beside the load balancer's. A `headless` Service has no address of its own, so nothing but its pods' can be asked."""

    namespace: str
    name: str
    type: str  # ClusterIP, NodePort, LoadBalancer, ExternalName
    selector: Labels | None
    ports: tuple[ServicePort, ...]
    external_addresses: tuple[str, ...] = ()  # externalIPs and load balancer addresses or host names
    load_balancer_source_ranges: tuple[IPNetwork, ...] = ()
    external_traffic_policy: str = "Cluster"
    external_ips: tuple[str, ...] = ()
    external_name: str = ""
    headless: bool = False
    labels: Labels = field(default_factory=dict)
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class IngressBackend:
    """A Service that an Ingress leads to, for the requests with this host and path ("": any)."""

    service: str
    port: int | str
    host: str = ""
    path: str = ""


@value()
class Ingress:
    """networking.k8s.io/v1 Ingress: by what class it is served, and where it leads."""

    namespace: str
    name: str
    ingress_class: str
    backends: tuple[IngressBackend, ...]
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class OtherPolicy:
    """A policy object of a kind that the engine does not evaluate: it is named wherever it could change a verdict."""

    key: ObjectKey
    api_version: str
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class Cluster:
    """Everything that analysis reads of one cluster at one time. Tuples are sorted by namespace and name."""

    namespaces: Mapping[str, Namespace]
    pods: tuple[Pod, ...] = ()
    policies: tuple[NetworkPolicy, ...] = ()
    workloads: tuple[Workload, ...] = ()
    nodes: tuple[Node, ...] = ()
    services: tuple[Service, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
    endpoint_slices: "tuple[EndpointSlice, ...]" = ()
    ingress_classes: "tuple[IngressClass, ...]" = ()
    gateway_classes: "tuple[GatewayClass, ...]" = ()
    gateways: "tuple[Gateway, ...]" = ()
    routes: "tuple[Route, ...]" = ()
    reference_grants: "tuple[Grant, ...]" = ()
    cluster_policies: "tuple[ClusterPolicy, ...]" = ()
    calico: "Calico | None" = None
    staged_policies: "tuple[StagedPolicy, ...]" = ()  # of Calico's; they enforce nothing
    cilium_policies: "tuple[CiliumPolicy, ...]" = ()
    cidr_groups: "tuple[CidrGroup, ...]" = ()
    other_policies: tuple[OtherPolicy, ...] = ()
    access_roles: "tuple[AccessRole, ...]" = ()  # those that can change segmentation, and what binds them
    access_bindings: "tuple[AccessBinding, ...]" = ()
    crds: frozenset[str] = frozenset()  # names of CustomResourceDefinitions seen (CNI signals)
    plugin_settings: "tuple[PluginSettings, ...]" = ()  # sorted by key
    handed_over: frozenset[tuple[str, str]] = frozenset()  # policies that a PolicyEndpoint carries: namespace and name
    unread_kinds: tuple[str, ...] = ()  # kinds that were forbidden, failed, or had objects left out

    @property
    def calico_policies(self) -> "tuple[CalicoPolicy, ...]":
        """Calico's own policies."""
        return self.calico.policies if self.calico else ()
