"""policy.networking.k8s.io (AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy) in the engine's form of rules.

1. They decide without isolating: what no rule matches is left to the next tier.
2. What is not known in a rule (a newer CRD) fails closed, as the type documentation asks: an Accept rule ignores the peer or port, a Deny
   or Pass rule denies everything. The policy is named as not evaluated, so that no isolation is claimed on its word.
3. A policy whose subject is not known cannot be placed at all: `translate` gives None.

Source: type documentation of sigs.k8s.io/network-policy-api, apis/v1alpha1 and apis/v1alpha2.
"""

from evidence.cluster.model import Direction, IpBlock, PodPeer
from evidence.cluster.policies import Action as PolicyAction
from evidence.cluster.policies import (
    ClusterPolicy,
    ClusterPolicyPort,
    ClusterRule,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Peer,
    Unknown,
)
from evidence.cluster.policies import Tier as PolicyTier
from evidence.reach.rules import (
    ADMIN,
    BASELINE,
    Action,
    Domains,
    Everything,
    Matcher,
    Nodes,
    Pods,
    PolicyForm,
    PortMatch,
    RuleForm,
)

_TIERS = {PolicyTier.ADMIN: ADMIN, PolicyTier.BASELINE: BASELINE}
_ACTIONS = {PolicyAction.ACCEPT: Action.ACCEPT, PolicyAction.DENY: Action.DENY, PolicyAction.PASS: Action.PASS}


def translate(policy: ClusterPolicy) -> PolicyForm | None:
    """The policy in the engine's form; None when its subject is not known."""
    if isinstance(policy.subject, Unknown):
        return None
    return PolicyForm(
        policy=policy,
        tier=_TIERS[policy.tier],
        priority=policy.priority,
        subject=Pods(None, policy.subject.namespace_selector, policy.subject.pod_selector),
        rules={
            direction: tuple(
                _rule(rule, f"spec.{direction.value.lower()}[{number}]")
                for number, rule in enumerate(policy.rules(direction))
            )
            for direction in Direction
        },
        isolates=frozenset(),
        lane=str(policy.key),
    )


def _rule(rule: ClusterRule, where: str) -> RuleForm:
    action = Action.DENY if isinstance(rule.action, Unknown) else _ACTIONS[rule.action]
    if action is not Action.ACCEPT and any(rule.unknown()):
        return RuleForm(Action.DENY, (Everything(),), None, where)
    known = tuple(_port(port) for port in rule.ports if not isinstance(port, Unknown))
    peers = tuple(matcher for peer in rule.peers for matcher in _matchers(peer))
    return RuleForm(action, peers, known if rule.ports else None, where)


def _port(port: ClusterPolicyPort) -> PortMatch:
    return PortMatch(port.protocol, port.port, port.end_port)


def _matchers(peer: Peer) -> tuple[Matcher, ...]:
    match peer:
        case PodPeer():
            return (Pods(None, peer.namespace_selector, peer.pod_selector),)
        case NodePeer():
            return (Nodes(peer.selector),)
        case NetworksPeer():
            return tuple(IpBlock(network) for network in peer.networks)
        case DomainNamesPeer():
            return (Domains(peer.names),)
        case Unknown():
            return ()
