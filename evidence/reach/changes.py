"""Changes to policies: what a suggestion is made of, applied to a cluster's values, and written for `kubectl`.

1. An edit puts one rule into a policy's list, replaces one, or takes one away; nothing else of the policy is touched.
2. A list of rules that becomes empty must not end the isolation: policyTypes is then written out, because the API server would default it anew.
3. Patches are JSON Patch (RFC 6902) on the object as the API has it, highest place first, so that each place still is what it says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from evidence.cluster.calico import CalicoPolicy, CalicoRule
from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import Cluster, Direction, NetworkPolicy, PodPeer, Rule
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import (
    Action,
    ClusterPolicy,
    ClusterPolicyPort,
    ClusterRule,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Peer,
    Unknown,
)
from evidence.reach import ciliumedits
from evidence.reach.calicorules import calico_rule
from evidence.reach.ciliumedits import CiliumEdit
from evidence.reach.manifests import peer_body, policy_body, policy_port_bodies, rule_body, selector_body

Editable = NetworkPolicy | ClusterPolicy | CalicoPolicy
EditedRule = Rule | ClusterRule | CalicoRule
P = TypeVar("P", NetworkPolicy, ClusterPolicy, CalicoPolicy)


@dataclass(frozen=True, slots=True)
class Edit:
    """One rule of a policy. At place `number`: `rule` is put in before what stands there (`insert`), or replaces it; None takes it away."""

    policy: Editable
    direction: Direction
    number: int
    rule: EditedRule | None
    insert: bool = False

    @property
    def section(self) -> str:
        return f"spec.{self.direction.value.lower()}"

    @property
    def where(self) -> str:
        return f"{self.section}[{self.number}]"


AnyEdit = Edit | CiliumEdit


@dataclass(frozen=True, slots=True)
class Change:
    """Edits and new policies that belong together. `summary`: a sentence for each; `beside`: what else they change, or "" for nothing."""

    summary: tuple[str, ...]
    edits: tuple[AnyEdit, ...] = ()
    new: tuple[NetworkPolicy, ...] = ()
    beside: str = ""


def applied(cluster: Cluster, changes: Iterable[Change]) -> Cluster:
    """The cluster after the changes."""
    listed = list(changes)
    every = [edit for change in listed for edit in change.edits]
    edits = _by_policy(every)
    of_cilium = ciliumedits.by_policy(every)
    policies = [_edited(policy, edits.get(policy.key, ())) for policy in cluster.policies]
    policies += [policy for change in listed for policy in change.new]
    calico = cluster.calico
    if calico:
        calico = replace(calico, policies=tuple(_edited(p, edits.get(p.key, ())) for p in calico.policies))
    return replace(
        cluster,
        calico=calico,
        policies=tuple(sorted(policies, key=lambda policy: (policy.namespace, policy.name))),
        cluster_policies=tuple(_edited(policy, edits.get(policy.key, ())) for policy in cluster.cluster_policies),
        cilium_policies=tuple(ciliumedits.edited(p, of_cilium.get(p.key, ())) for p in cluster.cilium_policies),
    )


def _by_policy(edits: Iterable[AnyEdit]) -> Mapping[ObjectKey, Sequence[Edit]]:
    """The edits of each policy but Cilium's, highest place first."""
    found: dict[ObjectKey, list[Edit]] = defaultdict(list)
    for edit in edits:
        if isinstance(edit, Edit):
            found[edit.policy.key].append(edit)
    return {
        key: sorted(each, key=lambda edit: (edit.direction, edit.number), reverse=True) for key, each in found.items()
    }


def _edited(policy: P, edits: Iterable[Edit]) -> P:
    for edit in edits:
        rules: list[Any] = list(policy.rules(edit.direction))
        rules[edit.number : edit.number + (not edit.insert)] = [] if edit.rule is None else [edit.rule]
        changed: dict[str, Any] = {edit.direction.value.lower(): tuple(rules)}
        policy = replace(policy, **changed)
    return policy


# -- for kubectl ------------------------------------------------------------------------------------------------------


def patches(change: Change) -> list[tuple[Editable | CiliumPolicy, list[dict[str, Any]]]]:
    """For each edited policy its JSON Patch."""
    found: list[tuple[Editable | CiliumPolicy, list[dict[str, Any]]]] = [
        (edits[0].policy, _patch(edits)) for edits in _by_policy(change.edits).values()
    ]
    of_cilium = ciliumedits.by_policy(change.edits).values()
    return found + [(edits[0].policy, ciliumedits.patch(edits)) for edits in of_cilium]


def _patch(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    policy = edits[0].policy
    left = {direction: len(policy.rules(direction)) for direction in Direction}
    operations: list[dict[str, Any]] = []
    for edit in edits:
        path = f"/spec/{edit.direction.value.lower()}"
        if edit.rule is None:
            operations.append({"op": "remove", "path": f"{path}/{edit.number}"})
            left[edit.direction] -= 1
        elif edit.insert and not left[edit.direction]:
            operations.append({"op": "add", "path": path, "value": [body_of(edit)]})  # there may be no list at all
            left[edit.direction] += 1
        else:
            verb = "add" if edit.insert else "replace"
            operations.append({"op": verb, "path": f"{path}/{edit.number}", "value": body_of(edit)})
            left[edit.direction] += edit.insert
    if isinstance(policy, NetworkPolicy) and any(edit.rule is None and not left[edit.direction] for edit in edits):
        types = sorted((direction.value for direction in policy.policy_types), reverse=True)
        operations.append({"op": "add", "path": "/spec/policyTypes", "value": types})
    return operations


def manifest(policy: NetworkPolicy) -> dict[str, Any]:
    """A NetworkPolicy as `kubectl apply` takes it."""
    rules = {
        direction.value.lower(): [_network_rule(rule, direction) for rule in policy.rules(direction)]
        for direction in Direction
        if direction in policy.policy_types
    }
    return policy_body(policy.name, policy.namespace, policy.pod_selector, **rules)


def body_of(edit: AnyEdit) -> dict[str, Any]:
    """The rule of an edit as the policy's API writes it."""
    if isinstance(edit, CiliumEdit):
        return ciliumedits.rule_body(edit)
    rule, policy = edit.rule, edit.policy
    if isinstance(rule, Rule):
        return _network_rule(rule, edit.direction)
    if isinstance(rule, CalicoRule):
        return calico_rule(rule)
    assert isinstance(rule, ClusterRule) and isinstance(policy, ClusterPolicy)  # noqa: S101, PT018  (an edit's rule is of its policy's kind)
    return _cluster_rule(rule, edit.direction, policy.key.kind == "ClusterNetworkPolicy")


def _network_rule(rule: Rule, direction: Direction) -> dict[str, Any]:
    body = rule_body(direction, map(peer_body, rule.peers), policy_port_bodies(rule.ports))
    return body if rule.peers else {key: value for key, value in body.items() if key == "ports"}


def _cluster_rule(rule: ClusterRule, direction: Direction, newer: bool) -> dict[str, Any]:
    """v1alpha2 (`newer`) says Accept and `protocols`, v1alpha1 Allow and `ports`."""
    action = rule.action.what if isinstance(rule.action, Unknown) else rule.action.value
    body: dict[str, Any] = {"name": rule.name} if rule.name else {}
    body["action"] = "Allow" if rule.action is Action.ACCEPT and not newer else action
    body["from" if direction is Direction.INGRESS else "to"] = [_cluster_peer(peer) for peer in rule.peers]
    if rule.ports:
        bodies = [
            _protocol(port) if newer else _port(port) for port in rule.ports if isinstance(port, ClusterPolicyPort)
        ]
        body["protocols" if newer else "ports"] = bodies
    return body


def _cluster_peer(peer: Peer) -> dict[str, Any]:
    match peer:
        case PodPeer(namespace_selector=spaces, pod_selector=None) if spaces is not None:
            return {"namespaces": selector_body(spaces)}
        case PodPeer():
            return {"pods": peer_body(peer)}
        case NodePeer():
            return {"nodes": selector_body(peer.selector)}
        case NetworksPeer():
            return {"networks": [str(network) for network in peer.networks]}
        case DomainNamesPeer():
            return {"domainNames": list(peer.names)}
        case Unknown():
            return {}


def _protocol(port: ClusterPolicyPort) -> dict[str, Any]:
    if port.protocol is None or isinstance(port.port, str):
        return {"destinationNamedPort": port.port}
    if port.port is None:
        return {port.protocol.value.lower(): {}}
    span = {"number": port.port} if port.end_port is None else {"range": {"start": port.port, "end": port.end_port}}
    return {port.protocol.value.lower(): {"destinationPort": span}}


def _port(port: ClusterPolicyPort) -> dict[str, Any]:
    if port.protocol is None or isinstance(port.port, str):
        return {"namedPort": port.port}
    protocol = port.protocol.value
    if port.port is None:
        return {"portRange": {"protocol": protocol, "start": 1, "end": 65535}}
    if port.end_port is None:
        return {"portNumber": {"protocol": protocol, "port": port.port}}
    return {"portRange": {"protocol": protocol, "start": port.port, "end": port.end_port}}
