"""Doors: the ways by which something outside the cluster comes to pods, whether policy leaves them open or not.

Sources: API references of Service, Pod (hostPort, hostNetwork), Ingress and the Gateway API; "Using Source IP" of the Kubernetes documentation.

1. A Service of type LoadBalancer or NodePort, or with external IPs, is one door from anywhere. `loadBalancerSourceRanges` limit the balancer
   only: the node ports and external IPs of such a Service are doors of their own. A headless Service is none, whatever it says.
2. With `externalTrafficPolicy: Cluster` (and for host ports) the client's address may be replaced by a node's before policy sees it.
3. Behind an Ingress or a route the source that policy sees is the controller (`evidence.reach.controllers`).
4. A pod on the host network is open on every port at its node's addresses; no policy selects it.
5. A host port with a hostIP is a door at that address of its node alone, and none at a loopback address: only the node itself comes there.
6. A door without any port of the pod behind it is none.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from evidence.cluster.cidr import parse_address
from evidence.cluster.gatewayapi import GATEWAY_GROUP
from evidence.cluster.model import Cluster, ContainerPort, Ingress, IngressBackend, IPNetwork, Pod, Service
from evidence.cluster.objects import ObjectKey
from evidence.cluster.routes import BackendRef, Gateway, Listener, ParentRef, Route
from evidence.reach.classes import PeerId, PodClass
from evidence.reach.controllers import Controllers, Front
from evidence.reach.ports import PortSet
from evidence.reach.services import Leads, ServiceIndex, ServicePorts, is_public
from evidence.values import value

# Ways in of other makers, by the names of their definitions: they are not read, and said to be.
OTHER_WAYS = {
    "httpproxies.projectcontour.io": "Contour HTTPProxy",
    "hosts.getambassador.io": "Emissary Host",
    "ingressroutes.traefik.io": "Traefik IngressRoute",
    "ingressroutetcps.traefik.io": "Traefik IngressRouteTCP",
    "ingressrouteudps.traefik.io": "Traefik IngressRouteUDP",
    "ingressroutes.traefik.containo.us": "Traefik IngressRoute",
    "listenersets.gateway.networking.k8s.io": "ListenerSet",
    "mappings.getambassador.io": "Emissary Mapping",
    "tcpingresses.configuration.konghq.com": "Kong TCPIngress",
    "transportservers.k8s.nginx.org": "NGINX TransportServer",
    "udpingresses.configuration.konghq.com": "Kong UDPIngress",
    "virtualservers.k8s.nginx.org": "NGINX VirtualServer",
    "virtualservices.networking.istio.io": "Istio VirtualService",
    "xlistenersets.gateway.networking.x-k8s.io": "XListenerSet",
}
_FITTING = {
    "HTTP": frozenset({"HTTPRoute", "GRPCRoute"}),
    "HTTPS": frozenset({"HTTPRoute", "GRPCRoute"}),
    "TLS": frozenset({"TLSRoute", "TCPRoute"}),
    "TCP": frozenset({"TCPRoute"}),
    "UDP": frozenset({"UDPRoute"}),
}


class DoorKind(StrEnum):
    LOAD_BALANCER = "LoadBalancer"
    NODE_PORT = "NodePort"
    EXTERNAL_IP = "externalIP"
    HOST_PORT = "hostPort"
    HOST_NETWORK = "host network"
    INGRESS = "Ingress"
    ROUTE = "route"


@value(eq=False)
class Door:
    """A way from outside the cluster to a pod. `text` names it, `ports` are those of the pod, `of` is the object that makes it.

    `source_ranges` are the only addresses that it lets in (empty: all). `hides_client`: policy may see a node instead of the client.
    `front`: who forwards, and is then the source that policy sees; None when the client's packets come through.
    """

    kind: DoorKind
    text: str
    of: Service | Ingress | Route | Pod
    ports: PortSet
    source_ranges: tuple[IPNetwork, ...] = ()
    hides_client: bool = False
    front: Front | None = None

    @property
    def key(self) -> ObjectKey:
        """The object that makes the door."""
        if isinstance(self.of, Route):
            return self.of.key
        if isinstance(self.of, Pod):
            return self.of.workload if self.of.template else ObjectKey("", "Pod", self.of.namespace, self.of.name)
        if isinstance(self.of, Ingress):
            return ObjectKey("networking.k8s.io", "Ingress", self.of.namespace, self.of.name)
        return ObjectKey("", "Service", self.of.namespace, self.of.name)


@value(eq=False)
class BehindDoor:
    """Pods of a class and workload to which a door leads."""

    peers: PodClass
    workload: ObjectKey
    pods: tuple[Pod, ...]
    door: Door


@dataclass(frozen=True, slots=True, eq=False)
class _Backend:
    """A Service's ports as an Ingress or a route names them."""

    of: Ingress | Route
    ports: ServicePorts
    through: tuple[tuple[str, Front], ...]  # text of the door and who forwards


@value()
class _Alike:
    """Pods of a class and workload with the same Services and ports."""

    peers: PodClass
    workload: ObjectKey
    leads: tuple[Leads, ...]
    ports: tuple[ContainerPort, ...]


class Doors:
    """All doors of a cluster. `behind` are in the order of classes, each with Services before Ingresses, routes and host ports."""

    def __init__(self, cluster: Cluster, classes: Sequence[PodClass]) -> None:
        self._cluster = cluster
        self._classes = classes
        self.services = ServiceIndex(cluster)

    @cached_property
    def behind(self) -> tuple[BehindDoor, ...]:
        """Every class and workload with its doors, open or not."""
        alike = self._alike()
        direct = {key: tuple(_direct(key, pods[0])) for key, pods in alike.items()}
        with_doors = {pod.key for key, pods in alike.items() if direct[key] for pod in pods}
        backends = self._backends(Controllers(self._cluster, with_doors))
        found: dict[tuple[PeerId, ObjectKey, str], BehindDoor] = {}
        for key, pods in alike.items():
            for door in (*direct[key], *_forwarded(key, pods[0], backends)):
                if door.ports:
                    where = (key.peers.id, key.workload, door.text)
                    known = found.get(where)
                    found[where] = (
                        _merged(known, pods, door) if known else BehindDoor(key.peers, key.workload, pods, door)
                    )
        order = {number: place for place, number in enumerate(found)}
        ranks = list(DoorKind)
        return tuple(
            found[where]
            for where in sorted(
                found, key=lambda w: (w[0], found[w].pods[0].name, ranks.index(found[w].door.kind), order[w])
            )
        )

    def _alike(self) -> Mapping[_Alike, tuple[Pod, ...]]:
        """Pods that no door can tell apart, those without any Service or host port left out."""
        found: dict[_Alike, list[Pod]] = defaultdict(list)
        leading = self.services.leading
        for peers in self._classes:
            known: dict[tuple[Hashable, ...], list[Pod]] = {}  # by what is quick to hash: pods share their ports
            for pod in peers.pods:
                leads = leading(pod)
                if leads or peers.host_network or any(port.opens_node for port in pod.ports):
                    quick = pod.workload, leads, *map(id, pod.ports)
                    if quick not in known:
                        known[quick] = found[_Alike(peers, pod.workload, leads, pod.ports)]
                    known[quick].append(pod)
        return {key: tuple(pods) for key, pods in found.items()}

    def _backends(self, controllers: Controllers) -> Mapping[tuple[str, str], Sequence[_Backend]]:
        """What Ingresses and routes lead to, by namespace and Service."""
        found: dict[tuple[str, str], list[_Backend]] = defaultdict(list)
        for ingress in self._cluster.ingresses:
            front = controllers.of_ingress(ingress)
            for backend in _distinct(ingress.backends):
                for service, ports in self.services.meant(ingress.namespace, backend.service, backend.port):
                    text = f"Ingress {ingress.namespace}/{ingress.name}"
                    found[service.namespace, service.name].append(_Backend(ingress, ports, ((text, front),)))
        for route in self._cluster.routes:
            through = tuple(self._parents(route, controllers))
            for ref in dict.fromkeys(route.backends) if through else ():
                if self._refers(route, ref):
                    for service, ports in self.services.meant(ref.namespace, ref.name, ref.port):
                        found[service.namespace, service.name].append(_Backend(route, ports, through))
        return found

    # -- the Gateway API ----------------------------------------------------------------------------------------------

    def _parents(self, route: Route, controllers: Controllers) -> Iterator[tuple[str, Front]]:
        """The parents that take the route in. One that was not read may."""
        name = f"{route.key.kind} {route.key.namespace}/{route.key.name}"
        for parent in dict.fromkeys(route.parents):
            if (parent.group, parent.kind) == ("", "Service"):
                continue
            text = f"{parent.kind} {parent.namespace}/{parent.name}"
            gateway = self._gateways.get((parent.namespace, parent.name)) if _is_gateway(parent) else None
            if gateway is None:
                yield f"{name} on {text}", controllers.of_missing(text)
            elif any(self._admits(listener, gateway, parent, route) for listener in gateway.listeners):
                yield f"{name} on {text}", controllers.of_gateway(gateway)

    @cached_property
    def _gateways(self) -> Mapping[tuple[str, str], Gateway]:
        return {(gateway.namespace, gateway.name): gateway for gateway in self._cluster.gateways}

    def _admits(self, listener: Listener, gateway: Gateway, parent: ParentRef, route: Route) -> bool:
        if parent.section not in ("", listener.name) or parent.port not in (0, listener.port):
            return False
        kinds = _FITTING.get(listener.protocol) if listener.kinds is None else listener.kinds
        if kinds is not None and route.key.kind not in kinds:
            return False
        if listener.same_namespace:
            return route.key.namespace == gateway.namespace
        space = self._cluster.namespaces.get(route.key.namespace)
        return listener.namespaces is None or listener.namespaces.matches(space.labels if space else {})

    def _refers(self, route: Route, ref: BackendRef) -> bool:
        """True when a route may lead to the backend: a Service with some weight, in its own namespace or granted."""
        if not ref.weight or (ref.group, ref.kind) != ("", "Service"):
            return False
        if ref.namespace == route.key.namespace or "ReferenceGrant" in self._cluster.unread_kinds:
            return True
        wanted = (ref.namespace, GATEWAY_GROUP, route.key.kind, route.key.namespace, "", "Service")
        return bool(self._granted.get(wanted, frozenset()) & {"", ref.name})

    @cached_property
    def _granted(self) -> Mapping[tuple[str, ...], frozenset[str]]:
        """Names ("": any) that grants let others refer to, by everything else they say."""
        found: dict[tuple[str, ...], frozenset[str]] = {}
        for grant in self._cluster.reference_grants:
            source = (grant.from_group, grant.from_kind, grant.from_namespace)
            key = (grant.namespace, *source, grant.to_group, grant.to_kind)
            found[key] = found.get(key, frozenset()) | {grant.name}
        return found

    # -- what cannot be followed --------------------------------------------------------------------------------------

    @cached_property
    def unfollowed(self) -> tuple[str, ...]:
        """Ways in that may exist and cannot be followed to pods, one sentence each."""
        return tuple(self._unfollowed())

    def _unfollowed(self) -> Iterator[str]:
        services = self.services
        loose = [
            f"{s.namespace}/{s.name}"
            for s in self._cluster.services
            if is_public(s) and not s.selector and (s.namespace, s.name) not in services.with_endpoints
        ]
        if loose:
            yield f"public Services without a selector were not followed to their endpoints: {_some(loose)}"
        if services.strangers and any(not pod.addresses for pod in self._cluster.pods if not pod.finished):
            names = [f"{service.namespace}/{service.name} {address}" for service, address in services.strangers]
            yield f"endpoints of Services may be those of pods whose address is not known: {_some(names)}"
        addresses = [
            f"{s.namespace}/{s.name} ({s.external_name})"
            for s in self._cluster.services
            if s.type == "ExternalName" and _is_address(s.external_name)
        ]
        if addresses and (self._cluster.ingresses or self._cluster.routes):
            yield f"ExternalName Services that are addresses may lead Ingresses and routes to pods: {_some(addresses)}"
        others = [
            f"{route.key} ({ref.kind} {ref.namespace}/{ref.name})"
            for route in self._cluster.routes
            for ref in route.backends
            if (ref.group, ref.kind) != ("", "Service")
        ]
        if others:
            yield f"routes to backends that are no Service were not followed: {_some(others)}"
        makers = sorted({OTHER_WAYS[crd] for crd in self._cluster.crds if crd in OTHER_WAYS})
        if makers:
            yield f"ways in of kinds that are not read may exist: {', '.join(makers)}"
        unread = sorted(set(self._cluster.unread_kinds) & _KINDS)
        if unread:
            yield f"could not be read (whole), and may be ways in: {', '.join(unread)}"


_KINDS = frozenset(
    {
        "EndpointSlice", "GRPCRoute", "Gateway", "HTTPRoute", "Ingress", "Service", "TCPRoute", "TLSRoute", "UDPRoute",
    }
)  # fmt: skip
_NAMED = 5


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _is_gateway(parent: ParentRef) -> bool:
    return (parent.group, parent.kind) == (GATEWAY_GROUP, "Gateway")


def _distinct(backends: Iterable[IngressBackend]) -> Iterator[IngressBackend]:
    """One backend of each Service and port: hosts and paths lead to the same pods."""
    seen: set[tuple[str, int | str]] = set()
    for backend in backends:
        if (backend.service, backend.port) not in seen:
            seen.add((backend.service, backend.port))
            yield backend


def _merged(known: BehindDoor, pods: tuple[Pod, ...], door: Door) -> BehindDoor:
    every = {pod.name: pod for pod in (*known.pods, *pods)}
    together = replace(known.door, ports=known.door.ports | door.ports)
    return BehindDoor(known.peers, known.workload, tuple(every[name] for name in sorted(every)), together)


# -- doors of one group of pods -------------------------------------------------------------------------------------------


def _direct(key: _Alike, pod: Pod) -> Iterator[Door]:
    """Doors through which the client's own packets come."""
    for leads in key.leads:
        if not leads.service.headless:
            yield from (door for door in _service_doors(leads, pod) if door.ports)
    if key.peers.host_network:
        yield Door(DoorKind.HOST_NETWORK, "the host network", pod, PortSet.all())
        return
    for port in key.ports:
        if port.opens_node:
            ports = PortSet.of(port.protocol, port.number)
            yield Door(DoorKind.HOST_PORT, f"hostPort {port.host_text}", pod, ports, hides_client=True)


def _service_doors(leads: Leads, pod: Pod) -> Iterator[Door]:
    service = leads.service
    name = f"{service.namespace}/{service.name}"
    hides = service.external_traffic_policy == "Cluster"
    ports = leads.to(pod, service.ports)
    limits = service.load_balancer_source_ranges if service.type == "LoadBalancer" else ()
    if service.type == "LoadBalancer":
        only = f" (source ranges {', '.join(map(str, limits))})" if limits else ""
        yield Door(DoorKind.LOAD_BALANCER, f"LoadBalancer Service {name}{only}", service, ports, limits, hides)
    elif service.type == "NodePort":
        yield Door(DoorKind.NODE_PORT, f"NodePort Service {name}", service, ports, hides_client=hides)
    if limits:
        on_nodes = leads.to(pod, [port for port in service.ports if port.node_port])
        text = f"node ports of LoadBalancer Service {name}"
        yield Door(DoorKind.NODE_PORT, text, service, on_nodes, hides_client=hides)
    external = service.external_ips if service.type in ("LoadBalancer", "NodePort") else service.external_addresses
    if external and (limits or service.type not in ("LoadBalancer", "NodePort")):
        text = f"Service with external addresses {name}"
        yield Door(DoorKind.EXTERNAL_IP, text, service, ports, hides_client=hides)


def _forwarded(key: _Alike, pod: Pod, backends: Mapping[tuple[str, str], Sequence[_Backend]]) -> Iterator[Door]:
    """Doors through which a controller forwards."""
    for leads in key.leads:
        for backend in backends.get((leads.service.namespace, leads.service.name), ()):
            kind = DoorKind.INGRESS if isinstance(backend.of, Ingress) else DoorKind.ROUTE
            ports = leads.to(pod, backend.ports)
            for text, front in backend.through:
                yield Door(kind, text, backend.of, ports, front=front)
