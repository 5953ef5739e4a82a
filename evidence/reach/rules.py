"""The one form of rules that the engine evaluates; every policy API is translated into it.

1. Tiers are asked in their order. In a tier, the policies that select the pod are asked by priority, lower first, each one's rules top
   down. The first rule that matches decides: ACCEPT and DENY end it, PASS leaves the tier.
2. When no rule of a tier matches, a pod that some policy of the tier isolates is denied; otherwise the next tier is asked. After the last
   tier the connection is allowed.
3. Policies of equal priority are asked side by side: whatever order a cluster takes, a port that one of them accepts counts as accepted,
   one that none accepts and one passes as passed. A mistake then makes things look more reachable, never less.
4. NetworkPolicy is the tier in which every rule accepts and every policy isolates, all of equal priority.

Directions are separate: a connection needs the source's egress and the destination's ingress.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, Protocol
from evidence.cluster.policies import ClusterPolicy
from evidence.cluster.selectors import LabelSelector

Policy = NetworkPolicy | ClusterPolicy


class Tier(IntEnum):
    """Tiers in the order in which they are asked."""

    ADMIN = 0
    NETWORK_POLICY = 1
    BASELINE = 2


class Action(Enum):
    """What a matching rule does with a connection."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105  (a word of the API)


@dataclass(frozen=True, slots=True)
class Everything:
    """Any pod, node or outside address."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods by label, host-network pods never among them. Either `namespace` names their namespace, or `namespaces` selects it by label."""

    namespace: str | None
    namespaces: LabelSelector | None
    pods: LabelSelector | None  # None: all


@dataclass(frozen=True, slots=True)
class Nodes:
    """The addresses of the nodes that match, with the host-network pods that have them."""

    nodes: LabelSelector


@dataclass(frozen=True, slots=True)
class Domains:
    """Addresses behind domain names: kept as names, match no address that is known here."""

    names: tuple[str, ...]


Matcher = Everything | Pods | IpBlock | Nodes | Domains


@dataclass(frozen=True, slots=True)
class PortMatch:
    """Ports of the destination. `protocol` None: any protocol. `port` None: every port; a string: the destination pod's port of that name."""

    protocol: Protocol | None
    port: int | str | None = None
    end_port: int | None = None


@dataclass(frozen=True, slots=True)
class RuleForm:
    """One rule. No `peers` match nothing; `ports` None is any port of any protocol. `where` is its place in the policy ("spec.ingress[0]")."""

    action: Action
    peers: tuple[Matcher, ...]
    ports: tuple[PortMatch, ...] | None
    where: str


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """One policy: the pods that it is about, its rules by direction, and the directions in which it isolates these pods."""

    policy: Policy
    tier: Tier
    priority: int
    subject: Pods
    rules: Mapping[Direction, tuple[RuleForm, ...]]
    isolates: frozenset[Direction]
