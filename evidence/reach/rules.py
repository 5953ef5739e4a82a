"""The one form of rules that the engine evaluates; every policy API is translated into it.

1. Tiers are asked in their order. In a tier, the policies that select the pod are asked by priority, lower first, each one's rules top
   down. The first rule that matches decides: ACCEPT and DENY end it, PASS leaves the tier.
2. When no rule of a tier matches, a pod that some policy of the tier isolates is denied; otherwise the next tier is asked. After the last
   tier the connection is allowed.
3. Policies of equal priority and one lane have an order, too, their `position`. Those of different lanes are asked side by side: whatever
   order a cluster takes, a port that one of them accepts counts as accepted, one that none accepts and one passes as passed. A mistake
   then makes things look more reachable, never less.
4. NetworkPolicies are those of which every rule accepts and every policy isolates, all of equal priority: they only add up, and stand in
   the tier of their name at NETWORK_POLICY_ORDER.

Directions are separate: a connection needs the source's egress and the destination's ingress.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, Protocol
from evidence.cluster.selectors import LabelSelector
from evidence.reach.addresses import Interval
from evidence.values import value

if TYPE_CHECKING:
    from evidence.cluster.calico import CalicoPolicy
    from evidence.cluster.calico_selectors import Expression
    from evidence.cluster.cilium import CiliumPolicy
    from evidence.cluster.policies import ClusterPolicy

OtherKind: TypeAlias = "ClusterPolicy | CalicoPolicy | CiliumPolicy"
Policy: TypeAlias = "NetworkPolicy | OtherKind"


class Tier(NamedTuple):
    """Tiers sort in the order in which they are asked: by order, then by name. The orders of the three that every API shares are Calico's."""

    order: float
    name: str


ADMIN = Tier(1_000, "Admin")
NETWORK_POLICY = Tier(1_000_000, "default")
BASELINE = Tier(10_000_000, "Baseline")

NETWORK_POLICY_ORDER = 1_000  # priority of NetworkPolicies within their tier


def priority_text(priority: float) -> str:
    """A policy of Calico's without an order is asked last in its tier."""
    return f"priority {priority:g}" if isfinite(priority) else "no order"


class Action(Enum):
    """What a matching rule does with a connection."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105  (a word of the API)


@value()
class Everything:
    """Any pod, node or outside address."""


@value()
class Pods:
    """Pods by label, host-network pods never among them. Either `namespace` names their namespace, or `namespaces` selects it by label."""

    namespace: str | None
    namespaces: LabelSelector | None
    pods: LabelSelector | None  # None: all


@value()
class Endpoints:
    """Pods by a selector of Calico's over their labels, those that they have from their namespace and those that Calico gives them.

    `namespace` None: of every namespace. Host-network pods are never among them.
    """

    namespace: str | None
    selector: "Expression"


@value()
class Addresses:
    """The addresses of some intervals, sorted and apart: one thing, however many they are, so that they tell nothing apart among them."""

    intervals: tuple[Interval, ...]


@value()
class Nodes:
    """The addresses of the nodes that match, with the host-network pods that have them."""

    nodes: LabelSelector


@value()
class Domains:
    """Addresses behind domain names: kept as names, match no address that is known here."""

    names: tuple[str, ...]


@value()
class HostPods:
    """Every pod on the host network."""


@value()
class Unplaced:
    """Something of which it is not known what it means (`why`, half a sentence). It matches nothing and leaves uncertain whether it means
    outside addresses, nodes with the pods on their network, or other pods."""

    why: str
    outside: bool = False
    nodes: bool = False
    pods: bool = False


@value()
class Within:
    """What each of `every` (a union of matchers) means and none of `none` does."""

    every: "tuple[tuple[Matcher, ...], ...]"
    none: "tuple[Matcher, ...]"


Matcher = Everything | Pods | Endpoints | IpBlock | Addresses | Nodes | Domains | HostPods | Unplaced | Within

AddressMatcher = IpBlock | Addresses | Nodes


def leaves(matchers: Iterable[Matcher]) -> list[Matcher]:
    """The matchers themselves and, for compound ones, those that they are made of."""
    found: list[Matcher] = []
    for matcher in matchers:
        if isinstance(matcher, Within):
            for union in (*matcher.every, matcher.none):
                found += leaves(union)
        else:
            found.append(matcher)
    return found


@value()
class PortMatch:
    """Ports of the destination. `protocol` None: any protocol. `port` None: every port; a string: the destination pod's port of that name."""

    protocol: Protocol | None
    port: int | str | None = None
    end_port: int | None = None


@value()
class RuleForm:
    """One rule. No `peers` match nothing; `ports` None is any port of any protocol. `where` is its place in the policy ("spec.ingress[0]").

    `subjects` limits it to some of the policy's pods; `but_ports` are taken out of its ports. `limits` are parts of it that are not evaluated
    and can only let less pass.
    """

    action: Action
    peers: tuple[Matcher, ...]
    ports: tuple[PortMatch, ...] | None
    where: str
    subjects: tuple[Matcher, ...] | None = None
    but_ports: tuple[PortMatch, ...] = ()
    limits: tuple[str, ...] = ()

    def mentioned(self) -> list[Matcher]:
        """Every matcher of either side."""
        return leaves(self.peers) + leaves(self.subjects or ())


@value()
class PolicyForm:
    """One policy: the pods that it is about, its rules by direction, and the directions in which it isolates these pods.

    `adds` marks one that stands among NetworkPolicies and only accepts. Those, and policies of which each has a lane of its own, need no `position`.
    `kept_by`: for a direction the places of the rules of which one must stay for the policy to isolate, where it does so by having rules.
    """

    policy: Policy
    tier: Tier
    priority: float
    subject: Pods | Endpoints
    rules: Mapping[Direction, tuple[RuleForm, ...]]
    isolates: frozenset[Direction]
    lane: str = ""
    position: str = ""
    adds: bool = False
    kept_by: Mapping[Direction, frozenset[str]] = field(default_factory=dict)

    @property
    def place(self) -> tuple[Tier, float]:
        """Its place in the order in which policies are asked."""
        return self.tier, self.priority
