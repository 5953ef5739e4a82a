"""A rule for one connection in a policy that has an order: before another rule, or last.

The other end is named by its labels and namespace, or by its addresses. A rule of Calico's is limited to the pod that was asked about where its
policy selects others, too. A policy that is not known whole gets none: what it says of the connection already is not known.
"""

from evidence.cluster.calico import Action as CalicoAction
from evidence.cluster.calico import CalicoPolicy, Entity
from evidence.cluster.model import Direction, IpBlock, PodPeer
from evidence.cluster.policies import Action, ClusterPolicy, ClusterPolicyPort, ClusterRule, NetworksPeer, Peer
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.asked import pods_selected
from evidence.reach.calicorules import ANYTHING, networks_entity, pod_entity, rule_between
from evidence.reach.changes import Edit
from evidence.reach.doubts import NAME_LABEL
from evidence.reach.manifests import own_labels
from evidence.reach.question import Asked
from evidence.reach.tiers import PlacedPolicy, PlacedRule

_CALICOS = {Action.ACCEPT: CalicoAction.ALLOW, Action.DENY: CalicoAction.DENY}


def inserted(asked: Asked, before: PlacedRule, action: Action) -> Edit | None:
    """A rule for this connection before another; None where the policy's API cannot name the peer, or the policy is not known whole."""
    policy = before.form.policy
    if isinstance(policy, CalicoPolicy):
        placed = next(p for p in asked.reach.sides[asked.direction].policies if p.form is before.form)
        return _calico(asked, policy, placed, number_of(before), action)
    if not isinstance(policy, ClusterPolicy) or any(policy.unknown()):
        return None
    peers = _cluster_peers(asked)
    if not peers:
        return None
    rule = ClusterRule("", action, peers, (ClusterPolicyPort(asked.protocol, asked.port),))
    return Edit(policy, asked.direction, number_of(before), rule, insert=True)


def appended(asked: Asked, placed: PlacedPolicy) -> Edit | None:
    """A last rule of a policy of Calico's that accepts this connection; None as for `inserted`."""
    policy = placed.form.policy
    if not isinstance(policy, CalicoPolicy):
        return None
    return _calico(asked, policy, placed, len(policy.rules(asked.direction)), Action.ACCEPT)


def _calico(asked: Asked, policy: CalicoPolicy, placed: PlacedPolicy, number: int, action: Action) -> Edit | None:
    other = _entity(asked, policy.key.namespace)
    if other is None or policy in asked.reach.unevaluated:
        return None
    rule = rule_between(
        _CALICOS[action], asked.direction, _own(asked, placed, policy), other, asked.protocol, asked.port
    )
    return Edit(policy, asked.direction, number, rule, insert=True)


def _own(asked: Asked, placed: PlacedPolicy, policy: CalicoPolicy) -> Entity:
    pod = asked.subject.pod
    return ANYTHING if pod is None or pods_selected(asked.reach, placed) == 1 else pod_entity(pod, policy.key.namespace)


def _entity(asked: Asked, home: str) -> Entity | None:
    pod = asked.other.pod
    if pod is not None and not pod.host_network:
        return pod_entity(pod, home)
    networks = asked.networks
    return networks_entity(networks) if networks else None


def number_of(rule: PlacedRule) -> int:
    """The place of a rule in its policy's list. Some of a list are no rule of the engine's, and others are several."""
    return int(rule.rule.where.rpartition("[")[2].rstrip("]"))


def peers_of(asked: Asked, home: str) -> tuple[IpBlock | PodPeer, ...]:
    """The other end as peers of a NetworkPolicy in namespace `home`; none when nothing names it."""
    pod = asked.other.pod
    if pod is None or pod.host_network:
        return tuple(IpBlock(network) for network in asked.networks)
    return (PodPeer(None if pod.namespace == home else _named(pod.namespace), own_labels([pod])),)


def _named(namespace: str) -> LabelSelector:
    return LabelSelector((Requirement(NAME_LABEL, Operator.IN, (namespace,)),))


def _cluster_peers(asked: Asked) -> tuple[Peer, ...]:
    """The other end as peers of a cluster-wide policy; addresses can be named for egress only."""
    pod = asked.other.pod
    if pod is not None and not pod.host_network:
        labels = own_labels([pod])
        return (PodPeer(_named(pod.namespace), labels if labels.requirements else None),)
    networks = asked.networks if asked.direction is Direction.EGRESS else []
    return (NetworksPeer(tuple(networks)),) if networks else ()


def unworkable(asked: Asked, placed: PlacedPolicy | PlacedRule) -> str:
    """Why `inserted` or `appended` gave nothing."""
    policy = placed.form.policy
    if isinstance(policy, ClusterPolicy | CalicoPolicy):
        unknown = policy in asked.reach.unevaluated
        return (
            f"{policy.key} is not known whole" if unknown else f"rules of {policy.key} cannot name {asked.other.name}"
        )
    return f"no rule of {policy.key} can name {asked.other.name} for certain"
