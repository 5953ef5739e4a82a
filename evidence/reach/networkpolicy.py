"""networking.k8s.io/v1 NetworkPolicy in the engine's form of rules.

1. policyTypes decides which directions a policy isolates, and rules of another direction mean nothing (NetworkPolicySpec.policyTypes).
2. No `from` or `to`, or an empty list: any peer, the outside included. No `ports`, or an empty list: any port of any protocol.
3. A peer with a podSelector alone stays in the policy's own namespace; with a namespaceSelector it means pods of the namespaces that match,
   never an address outside the cluster (NetworkPolicyPeer).
4. Policies add up: there is no deny and no order.
"""

from collections.abc import Mapping

from evidence.cluster.fields import mapping
from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, PodPeer, Rule
from evidence.reach.rules import (
    NETWORK_POLICY,
    NETWORK_POLICY_ORDER,
    Action,
    Everything,
    Matcher,
    Pods,
    PolicyForm,
    PortMatch,
    RuleForm,
)

_ANYONE: tuple[Matcher, ...] = (Everything(),)
_WHERE = {Direction.INGRESS: "spec.ingress", Direction.EGRESS: "spec.egress"}


def translate(policy: NetworkPolicy) -> PolicyForm:
    """The policy in the engine's form."""
    return PolicyForm(
        policy=policy,
        tier=NETWORK_POLICY,
        priority=NETWORK_POLICY_ORDER,
        subject=Pods(policy.namespace, None, policy.pod_selector),
        rules={
            direction: tuple(
                _rule(rule, policy.namespace, f"{_WHERE[direction]}[{number}]")
                for number, rule in enumerate(policy.rules(direction))
            )
            for direction in policy.policy_types
        },
        isolates=policy.policy_types,
        adds=True,
        kept_by=_kept_by(policy),
    )


def _kept_by(policy: NetworkPolicy) -> Mapping[Direction, frozenset[str]]:
    """Without policyTypes, egress is isolated by having rules."""
    body = policy.origin.body if policy.origin and policy.egress else {}
    if not body or mapping(body, "spec").get("policyTypes"):
        return {}
    return {Direction.EGRESS: frozenset(f"{_WHERE[Direction.EGRESS]}[{n}]" for n in range(len(policy.egress)))}


def _rule(rule: Rule, home: str, where: str) -> RuleForm:
    return RuleForm(
        action=Action.ACCEPT,
        peers=tuple([_peer(peer, home) for peer in rule.peers]) or _ANYONE,
        ports=tuple([PortMatch(p.protocol, p.port, p.end_port) for p in rule.ports]) or None,
        where=where,
    )


def _peer(peer: IpBlock | PodPeer, home: str) -> Matcher:
    if isinstance(peer, IpBlock):
        return peer
    return Pods(home if peer.namespace_selector is None else None, peer.namespace_selector, peer.pod_selector)
