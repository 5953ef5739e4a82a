"""CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy (cilium.io/v2) and CiliumCIDRGroup, as their rules read at layers 3 and 4.

1. A policy holds rules (`spec`, or several in `specs`), each with a subject of its own, parts that allow and parts that deny, by direction.
2. Labels come from sources ("k8s:app", "any:app", "reserved:host"). Keys are kept here without the source as Kubernetes knows them: a pod's
   labels, its namespace's name and labels. What has no place there is an entity or `Unknown`.
3. What this program does not know in a rule is kept as `Unknown` and named, never dropped.

Source: pkg/policy/api (rule.go, ingress.go, egress.go, l4.go, entity.go) and pkg/k8s/apis/cilium.io/utils of cilium/cilium.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum

from evidence.cluster.model import Direction, IpBlock, IPNetwork, Labels, Protocol, digest_of
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.policies import Unknown
from evidence.cluster.selectors import LabelSelector
from evidence.values import value


class Entity(StrEnum):
    """Peers without labels of their own (pkg/policy/api/entity.go)."""

    ALL = "all"
    CLUSTER = "cluster"
    HEALTH = "health"
    HOST = "host"
    INGRESS = "ingress"
    INIT = "init"
    KUBE_APISERVER = "kube-apiserver"
    NONE = "none"
    REMOTE_NODE = "remote-node"
    UNMANAGED = "unmanaged"
    WORLD = "world"
    WORLD_IPV4 = "world-ipv4"
    WORLD_IPV6 = "world-ipv6"


@value()
class Endpoints:
    """Pods by label. `namespaces` None: the policy's own namespace. An endpointSelector of a clusterwide policy has every namespace."""

    namespaces: LabelSelector | None
    pods: LabelSelector


@value()
class NoPods:
    """A subject that holds no pod: nodes (host firewall), health endpoints, the proxy of an Ingress."""

    what: str


@value()
class CidrGroupPeer:
    """The networks of a CiliumCIDRGroup by name, or of all that the labels match (one of the two), but for `excepts`."""

    name: str
    selector: LabelSelector | None
    excepts: tuple[IPNetwork, ...] = ()


@value()
class FqdnPeer:
    """toFQDNs: addresses that names resolve to. Symbolic: nothing here resolves names."""

    names: tuple[str, ...]


@value()
class ServicePeer:
    """toServices: the endpoints of Services by name, or by label (`selector`); `namespace` "": in any namespace."""

    namespace: str
    name: str
    selector: LabelSelector | None = None


@value()
class ForeignPeer:
    """toGroups, fromGroups: addresses that another party knows (AWS security groups)."""

    what: str


CiliumPeer = Endpoints | IpBlock | CidrGroupPeer | Entity | FqdnPeer | ServicePeer | ForeignPeer | Unknown


@value()
class CiliumPort:
    """`protocol` None: any of them. `port` None: every port; a string: the destination pod's port of that name."""

    protocol: Protocol | None
    port: int | str | None = None
    end_port: int | None = None


@value()
class CiliumRule:
    """One entry of ingress, egress, ingressDeny or egressDeny.

    `peers` None: it names no peer at all, which is any peer where it names ports, and nothing where it names none ("- {}"). An empty tuple is an
    empty list, which is nobody. `ports` None: any port of any protocol; an empty tuple (only ICMP, say) is none.
    """

    peers: tuple[CiliumPeer, ...] | None
    ports: tuple[CiliumPort | Unknown, ...] | None
    where: str  # "spec.ingress[0]"
    limits: tuple[str, ...] = ()  # what is not evaluated and can only let less pass: layer 7 rules, authentication
    extra: tuple[Unknown, ...] = ()

    def unknown(self) -> Iterator[Unknown]:
        """What in this rule is not known here."""
        yield from self.extra
        yield from (part for part in (*(self.peers or ()), *(self.ports or ())) if isinstance(part, Unknown))


@value()
class CiliumSpec:
    """One rule object. `default_deny` are the directions in which it puts its subject into default deny.

    `doubts` say why agents may refuse it, and then the whole policy, or read it otherwise.
    """

    subject: Endpoints | NoPods | Unknown
    allows: Mapping[Direction, tuple[CiliumRule, ...]]
    denies: Mapping[Direction, tuple[CiliumRule, ...]]
    default_deny: frozenset[Direction]
    doubts: tuple[Unknown, ...] = ()

    def unknown(self) -> Iterator[Unknown]:
        """What in this rule object is not known here."""
        yield from self.doubts
        if isinstance(self.subject, NoPods) or (isinstance(self.subject, Unknown) and self.subject not in self.doubts):
            yield Unknown(self.subject.what)
        for part in (self.allows, self.denies):
            for rules in part.values():
                for rule in rules:
                    yield from rule.unknown()


@value()
class CiliumPolicy:
    """One policy of either kind; `key.namespace` is "" for a clusterwide one."""

    key: ObjectKey
    api_version: str
    specs: tuple[CiliumSpec, ...]
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)

    @property
    def source(self) -> str:
        """Where the object was read ("file.yaml:12" or an API path); "" when there is none."""
        return self.origin.source if self.origin else ""

    @property
    def doubts(self) -> tuple[Unknown, ...]:
        """Why nothing of the policy may be in force: agents take or refuse it as a whole."""
        return tuple(doubt for spec in self.specs for doubt in spec.doubts)

    def unknown(self) -> Iterator[Unknown]:
        """What in this policy is not known here; a policy with any is not evaluated whole."""
        for spec in self.specs:
            yield from spec.unknown()


@value()
class CidrGroup:
    """CiliumCIDRGroup: networks outside the cluster under one name."""

    name: str
    labels: Labels
    networks: tuple[IPNetwork, ...]
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)
