"""What leads traffic from outside to Services and pods: endpoint slices, ingress classes and the objects of the Gateway API.

Sources: API references of discovery.k8s.io/v1 and networking.k8s.io/v1; type documentation of sigs.k8s.io/gateway-api, apis/v1,
apis/v1beta1 and apis/v1alpha2.

1. A Service's endpoints are those of all its slices, whoever made them (label kubernetes.io/service-name).
2. A route attaches to the Gateways that its parentRefs name and whose listeners admit its kind and namespace; without `from` a listener
   admits its own namespace's routes. A parent that is a Service is a mesh's business and no way in.
3. A backend in another namespace counts only with a ReferenceGrant there. A backend of weight 0 gets nothing. Mirrors are backends.
"""

from dataclasses import field

from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import IPAddress, Labels, Protocol, digest_of
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.selectors import LabelSelector
from evidence.values import value


@value()
class Endpoint:
    """Addresses behind a Service; `pod` names the pod of the slice's namespace that has them, "" when none is named."""

    addresses: tuple[IPAddress, ...]
    pod: str = ""


@value()
class EndpointPort:
    """`number` None: every port. `name` is that of the Service's port."""

    name: str
    protocol: Protocol
    number: int | None


@value()
class EndpointSlice:
    """Endpoints of a Service of its namespace. Slices of host names hold no endpoints here: they lead out of the cluster."""

    namespace: str
    name: str
    service: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[EndpointPort, ...]


@value()
class IngressClass:
    """`labels` are those of the object, by which a chart's parts know one another; `default`: for Ingresses that name no class."""

    name: str
    controller: str
    labels: Labels = field(default_factory=dict)
    default: bool = False


@value()
class GatewayClass:
    name: str
    controller: str
    labels: Labels = field(default_factory=dict)


@value()
class Listener:
    """Which routes a Gateway takes at one of its ports: those of its own namespace (`same_namespace`), else those of the `namespaces` that the
    selector matches, any where it is None. `kinds` None: those that fit the protocol."""

    name: str
    port: int
    protocol: str
    namespaces: LabelSelector | None = None
    same_namespace: bool = True
    kinds: frozenset[str] | None = None


@value()
class Gateway:
    namespace: str
    name: str
    gateway_class: str
    listeners: tuple[Listener, ...]
    addresses: tuple[str, ...] = ()
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(GATEWAY_GROUP, "Gateway", self.namespace, self.name)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class ParentRef:
    """What a route attaches to. `section` "" and `port` 0: any listener."""

    group: str
    kind: str
    namespace: str
    name: str
    section: str = ""
    port: int = 0


@value()
class BackendRef:
    """Where a route leads. `port` 0: none was given."""

    group: str
    kind: str
    namespace: str
    name: str
    port: int = 0
    weight: int = 1


@value()
class Route:
    """A route of any kind of the Gateway API."""

    key: ObjectKey
    parents: tuple[ParentRef, ...]
    backends: tuple[BackendRef, ...]
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)


@value()
class Grant:
    """One pair of a ReferenceGrant: objects of a kind and namespace may refer to those of another kind in the grant's namespace (`name` "": any)."""

    namespace: str
    from_group: str
    from_kind: str
    from_namespace: str
    to_group: str
    to_kind: str
    name: str = ""
