"""A rule of Calico's for one connection, to be put into a policy, and as its API writes it.

Pods are named by their labels and namespace, everything else by its addresses. A selector of a namespaced policy's rule stays in its namespace
unless a namespaceSelector stands beside it.
"""

from collections.abc import Iterable
from typing import Any

from evidence.cluster.calico import Action, CalicoPort, CalicoRule, Entity
from evidence.cluster.calico_names import NAME
from evidence.cluster.calico_selectors import LabelTest, Test, both
from evidence.cluster.model import Direction, IPNetwork, Pod, Protocol
from evidence.reach.manifests import own_labels

ANYTHING = Entity()


def pod_entity(pod: Pod, home: str) -> Entity:
    """A pod by its labels, from a policy of namespace `home` ("": a global one)."""
    tests = [LabelTest(need.key, Test.IN, need.values) for need in own_labels([pod]).requirements]
    near = pod.namespace == home and tests
    return Entity(
        selector=both(*tests) if tests else None,
        namespace_selector=None if near else LabelTest(NAME, Test.IN, (pod.namespace,)),
    )


def networks_entity(networks: Iterable[IPNetwork]) -> Entity:
    """Some networks."""
    return Entity(nets=tuple(networks))


def rule_between(
    action: Action, direction: Direction, own: Entity, other: Entity, protocol: Protocol, port: int
) -> CalicoRule:
    """A rule of a policy's `direction` about its `own` end, the `other` one and a port of the destination."""
    source, destination = (own, other) if direction is Direction.EGRESS else (other, own)
    destination = Entity(
        nets=destination.nets,
        selector=destination.selector,
        namespace_selector=destination.namespace_selector,
        ports=(CalicoPort(port),),
    )
    return CalicoRule(action, (protocol,), source=source, destination=destination)


def calico_rule(rule: CalicoRule) -> dict[str, Any]:
    """A rule that `rule_between` made, as the API writes it."""
    assert isinstance(rule.action, Action)  # noqa: S101  (it was given one)
    ends = {"source": _entity(rule.source), "destination": _entity(rule.destination)}
    return {
        "action": rule.action.value,
        "protocol": rule.protocols[0].value,
        **{name: found for name, found in ends.items() if found},
    }


def _entity(entity: Entity) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if entity.namespace_selector is not None:
        found["namespaceSelector"] = str(entity.namespace_selector)
    if entity.selector is not None:
        found["selector"] = str(entity.selector)
    if entity.nets:
        found["nets"] = [str(network) for network in entity.nets]
    if entity.ports:
        found["ports"] = [port.port for port in entity.ports]
    return found
