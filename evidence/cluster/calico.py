"""Calico's policies, tiers and network sets (crd.projectcalico.org/v1 and projectcalico.org/v3), as their rules read at layers 3 and 4.

1. A policy has a tier, an order in it (None: last), a subject by label, and rules in order. `hosts_only` marks doNotTrack and preDNAT, which
   are about host endpoints and never about pods.
2. A rule limits both ends, whichever direction it is of. All of its criteria must hold; what begins with `not` takes away.
3. A staged policy enforces nothing. A HostEndpoint is a set of addresses with labels, as far as rules of others look at it.
4. What this program does not know in a rule or policy is kept as `Unknown` and named, never dropped. Whether labels of service accounts and the
   endpoints of a Service are known hangs on what else was read (`Known`).

Source: api/pkg/apis/projectcalico/v3 of projectcalico/calico (policy_common.go, networkpolicy.go, globalnetworkpolicy.go, tier.go,
networkset.go, globalnetworkset.go, hostendpoint.go).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import field
from enum import StrEnum

from evidence.cluster.calico_names import NAME, OF_ACCOUNT
from evidence.cluster.calico_selectors import Expression, tests
from evidence.cluster.model import Direction, IPNetwork, Labels, Protocol, digest_of
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.policies import Unknown
from evidence.values import value

DEFAULT_TIER = "default"


class Action(StrEnum):
    """What a matching rule does. A rule that logs decides nothing."""

    ALLOW = "Allow"
    DENY = "Deny"
    LOG = "Log"
    PASS = "Pass"  # noqa: S105  (the API's word)


@value()
class CalicoPort:
    """A port, a range of ports, or a pod's port by name."""

    port: int | str
    end_port: int | None = None


@value()
class Accounts:
    """Pods by their service account: by name (any of them), by label, or both."""

    names: tuple[str, ...]
    selector: Expression | None


@value()
class Known:
    """What was read beside the policies: `accounts`, the labels of every pod's service account; `services`, whose endpoints, as (namespace, name)."""

    accounts: bool = False
    services: Collection[tuple[str, str]] = ()


NOTHING_KNOWN = Known()


@value()
class Entity:
    """One end of a rule. Empty and None limit nothing. `service`: namespace and name of one, of which it is the endpoints."""

    nets: tuple[IPNetwork, ...] = ()
    not_nets: tuple[IPNetwork, ...] = ()
    selector: Expression | None = None
    not_selector: Expression | None = None
    namespace_selector: Expression | None = None
    accounts: Accounts | None = None
    ports: tuple[CalicoPort, ...] = ()
    not_ports: tuple[CalicoPort, ...] = ()
    domains: tuple[str, ...] = ()
    service: tuple[str, str] | None = None

    def unread_labels(self, known: Known) -> Iterator[Unknown]:
        """Labels that its selectors ask for and that were not read."""
        if known.accounts:
            return
        yield from unread_labels((found for found in (self.selector, self.not_selector) if found), "selector")
        if self.accounts and self.accounts.selector:
            yield from _account_labels(self.accounts.selector, "serviceAccounts.selector")

    def unread(self, known: Known) -> Iterator[Unknown]:
        """What it limits by and was not read."""
        yield from self.unread_labels(known)
        if self.service and self.service not in known.services:
            yield Unknown(f"services: no EndpointSlice of {'/'.join(self.service)} was read")


@value()
class CalicoRule:
    """One rule. `protocols` are those with ports that it matches, after protocol and notProtocol; without any it matches none of them.

    `http` marks a rule that looks at requests, too. `unknown` are limits that are not known here.
    """

    action: Action | Unknown
    protocols: tuple[Protocol, ...] = tuple(Protocol)
    ip_version: int | None = None
    source: Entity = Entity()
    destination: Entity = Entity()
    http: bool = False
    limits: tuple[Unknown, ...] = ()

    def unknown(self, known: Known) -> Iterator[Unknown]:
        """What in this rule is not known here."""
        if isinstance(self.action, Unknown):
            yield self.action
        yield from self.limits
        yield from self.source.unread(known)
        yield from self.destination.unread(known)


@value()
class CalicoPolicy:
    """One policy. `types` are defaulted as the documentation says. The namespace is the key's; a global policy has none."""

    key: ObjectKey
    api_version: str
    tier: str = DEFAULT_TIER
    order: float | None = None
    selector: Expression | None = None
    namespace_selector: Expression | None = None  # of global policies
    account_selector: Expression | None = None
    types: frozenset[Direction] = frozenset((Direction.INGRESS,))
    ingress: tuple[CalicoRule, ...] = ()
    egress: tuple[CalicoRule, ...] = ()
    hosts_only: bool = False
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

    def rules(self, direction: Direction) -> tuple[CalicoRule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress

    def subject_unknown(self, known: Known) -> Iterator[Unknown]:
        """What in the subject is not known here; without it, it is not known whom the policy is about."""
        yield from self.extra
        if known.accounts:
            return
        yield from unread_labels([self.selector] if self.selector else [], "spec")
        if self.account_selector:
            yield from _account_labels(self.account_selector, "spec.serviceAccountSelector")

    def unknown(self, known: Known = NOTHING_KNOWN) -> Iterator[Unknown]:
        """What in this policy is not known here; a policy with any is not evaluated whole. One for hosts only does not matter to pods."""
        if self.hosts_only:
            return
        yield from self.subject_unknown(known)
        for direction in sorted(self.types):
            for rule in self.rules(direction):
                yield from rule.unknown(known)


def unread_labels(selectors: Iterable[Expression], where: str) -> Iterator[Unknown]:
    """Labels of service accounts in plain selectors. An account's name is known without the account."""
    for selector in selectors:
        for test in tests(selector):
            if test.key.startswith(OF_ACCOUNT) and test.key != OF_ACCOUNT + NAME:
                yield Unknown(f"{where}: label {test.key} of service accounts, not all of which were read")


def _account_labels(selector: Expression, where: str) -> Iterator[Unknown]:
    for test in tests(selector):
        if test.key != NAME:
            yield Unknown(f"{where}: label {test.key} of service accounts, not all of which were read")


@value()
class StagedPolicy:
    """A policy that enforces nothing: what it would do is shown beforehand. `action` is what is to become of the policy of the same name
    (Set: put it in force, Delete: remove it; Learn and Ignore are a recommender's own marks)."""

    key: ObjectKey
    action: str = "Set"
    tier: str = DEFAULT_TIER
    origin: CollectedObject | None = field(default=None, compare=False, repr=False)

    @property
    def enforced_key(self) -> ObjectKey:
        """The policy that it would become."""
        kind = self.key.kind.removeprefix("Staged")
        if kind == "KubernetesNetworkPolicy":
            return ObjectKey("networking.k8s.io", "NetworkPolicy", self.key.namespace, self.key.name)
        return ObjectKey(self.key.group, kind, self.key.namespace, self.key.name)

    @property
    def digest(self) -> str:
        """Digest of the object as collected; "" when there is none."""
        return digest_of(self.origin)

    @property
    def source(self) -> str:
        """Where the object was read ("file.yaml:12" or an API path); "" when there is none."""
        return self.origin.source if self.origin else ""


@value()
class CalicoTier:
    """A tier. `passes`: what none of its policies decides goes on to the next tier rather than being denied."""

    name: str
    order: float | None
    passes: bool = False


@value()
class NetworkSet:
    """Addresses with labels: a NetworkSet, a GlobalNetworkSet, or the addresses that a HostEndpoint expects, with its named ports. `domains` are
    symbolic."""

    key: ObjectKey
    labels: Labels
    nets: tuple[IPNetwork, ...]
    domains: tuple[str, ...] = ()
    ports: tuple[tuple[str, Protocol, int], ...] = ()


@value()
class Calico:
    """Calico's objects that say who may connect, in one cluster, sorted by key. Host endpoints' own policies enforce nothing upon pods."""

    policies: tuple[CalicoPolicy, ...] = ()
    tiers: tuple[CalicoTier, ...] = ()
    sets: tuple[NetworkSet, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.policies or self.tiers or self.sets)
