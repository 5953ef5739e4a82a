"""Cluster-wide policies of policy.networking.k8s.io: AdminNetworkPolicy, BaselineAdminNetworkPolicy (v1alpha1), ClusterNetworkPolicy (v1alpha2).

The three kinds say the same things in two spellings, so that one set of values holds them:

1. A tier (Admin before NetworkPolicy, Baseline after it) and a priority within it, lower first.
2. Rules in order, first match decides: Accept (v1alpha1: Allow), Deny, or Pass to the next tier.
3. No ports: any port of any protocol. Subjects and peers by label never include host-network pods.
4. What this program does not know in a rule (a newer CRD) is kept as `Unknown` and named, never dropped: the type documentation asks
   for Accept to match nothing and for Deny and Pass to deny everything.

Source: type documentation of sigs.k8s.io/network-policy-api, apis/v1alpha1 and apis/v1alpha2.
"""

from collections.abc import Iterator
from dataclasses import field
from enum import StrEnum

from evidence.cluster.model import Direction, IPNetwork, PodPeer, Protocol, digest_of
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.selectors import LabelSelector
from evidence.values import value

GROUP = "policy.networking.k8s.io"


class Tier(StrEnum):
    """Where a policy stands relative to NetworkPolicy."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class Action(StrEnum):
    """What a matching rule does."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105  (the API's word)


@value()
class NodePeer:
    """Addresses of the nodes that the selector matches (egress only)."""

    selector: LabelSelector


@value()
class NetworksPeer:
    """Addresses in any of the blocks, pods inside them included (egress only)."""

    networks: tuple[IPNetwork, ...]


@value()
class DomainNamesPeer:
    """Addresses that a name resolves to; `*.example.com` is every name below it. Symbolic: nothing here resolves names (egress, Accept only)."""

    names: tuple[str, ...]


@value()
class Unknown:
    """A subject, peer, port or action that this program does not know; `what` names the field and what it holds."""

    what: str


@value()
class ClusterPolicyPort:
    """`protocol` None: any protocol (named ports). `port` None: every port of the protocol; a string: a named port of the destination pod."""

    protocol: Protocol | None
    port: int | str | None = None
    end_port: int | None = None


Peer = PodPeer | NodePeer | NetworksPeer | DomainNamesPeer | Unknown


@value()
class ClusterRule:
    """One rule. `peers` is never empty; empty `ports` is any port of any protocol."""

    name: str
    action: Action | Unknown
    peers: tuple[Peer, ...]
    ports: tuple[ClusterPolicyPort | Unknown, ...] = ()

    def unknown(self) -> Iterator[Unknown]:
        """What in this rule is not known here."""
        yield from (part for part in (self.action, *self.peers, *self.ports) if isinstance(part, Unknown))


@value()
class ClusterPolicy:
    """One policy. In a PodPeer here the namespace selector is never None. A BaselineAdminNetworkPolicy has priority 0; there is one, `default`."""

    key: ObjectKey
    api_version: str
    tier: Tier
    priority: int
    subject: PodPeer | Unknown
    ingress: tuple[ClusterRule, ...]
    egress: tuple[ClusterRule, ...]
    extra: tuple[Unknown, ...] = ()  # unknown fields of the policy itself
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)

    @property
    def source(self) -> str:
        """Where the object was read ("file.yaml:12" or an API path); "" when there is none."""
        return self.origin.source if self.origin else ""

    def rules(self, direction: Direction) -> tuple[ClusterRule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress

    def unknown(self) -> Iterator[Unknown]:
        """What in this policy is not known here; a policy with any is not evaluated whole."""
        yield from self.extra
        if isinstance(self.subject, Unknown):
            yield self.subject
        for rule in (*self.ingress, *self.egress):
            yield from rule.unknown()
