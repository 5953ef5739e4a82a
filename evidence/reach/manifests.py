"""Policies and their parts as the API writes them, for suggestions that `kubectl apply` and `kubectl patch` take as they are."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import yaml

from evidence.cluster.model import Direction, IpBlock, Pod, PodPeer, PolicyPort, Protocol
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.ports import PortSet

NAMESPACE_NAME = "kubernetes.io/metadata.name"  # set on every namespace by the API server
MAX_NAME = 63
# Labels that controllers add to single pods, or change with every roll-out.
CHANGING_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-generation",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)


def policy_yaml(
    name: str,
    namespace: str,
    pods: LabelSelector,
    *,
    ingress: Sequence[Mapping[str, Any]] | None = None,
    egress: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """A NetworkPolicy manifest as YAML; see `policy_body`."""
    return as_yaml(policy_body(name, namespace, pods, ingress=ingress, egress=egress))


def policy_body(
    name: str,
    namespace: str,
    pods: LabelSelector,
    *,
    ingress: Sequence[Mapping[str, Any]] | None = None,
    egress: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A NetworkPolicy manifest; a direction that is given (even empty) is in policyTypes."""
    spec: dict[str, Any] = {"podSelector": selector_body(pods), "policyTypes": []}
    for direction, rules in ((Direction.INGRESS, ingress), (Direction.EGRESS, egress)):
        if rules is not None:
            spec["policyTypes"].append(direction.value)
            if rules:
                spec[direction.value.lower()] = list(rules)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name[:MAX_NAME].rstrip("-."), "namespace": namespace},
        "spec": spec,
    }


def as_yaml(body: Any) -> str:
    """YAML in the order of the body, every value written out."""
    return _as_yaml(json.dumps(body))


@lru_cache(maxsize=1 << 12)  # what is suggested for one snapshot is mostly suggested for the next one
def _as_yaml(body: str) -> str:
    return yaml.dump(json.loads(body), Dumper=_Plain, sort_keys=False)


class _Plain(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # libyaml, where PyYAML was built with it
    """Writes a value that occurs twice out twice: anchors and aliases read badly in a manifest."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rule_body(
    direction: Direction, peers: Iterable[Mapping[str, Any]], ports: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """One rule; an empty list of ports is left out (every port)."""
    key = "from" if direction is Direction.INGRESS else "to"
    listed = list(ports)
    return {key: list(peers), **({"ports": listed} if listed else {})}


def own_labels(pods: Sequence[Pod]) -> LabelSelector:
    """Labels that all the pods share, without those that controllers add and change; an empty selector when there are none."""
    shared = set(pods[0].labels.items()).intersection(*(pod.labels.items() for pod in pods[1:]))
    return LabelSelector(
        tuple(sorted(Requirement(k, Operator.IN, (v,)) for k, v in shared if k not in CHANGING_LABELS))
    )


def selector_body(selector: LabelSelector) -> dict[str, Any]:
    """A label selector as the API writes it."""
    equal = {}
    others = []
    for need in selector.requirements:
        if need.operator is Operator.IN and len(need.values) == 1 and need.key not in equal:
            equal[need.key] = need.values[0]
        else:
            values = {"values": list(need.values)} if need.values else {}
            others.append({"key": need.key, "operator": need.operator.value, **values})
    return {**({"matchLabels": equal} if equal else {}), **({"matchExpressions": others} if others else {})}


def pods_in(namespace: str, pods: LabelSelector, home: str) -> dict[str, Any]:
    """A peer: these pods of that namespace, for a policy that lives in namespace `home`."""
    body: dict[str, Any] = {}
    if namespace != home:
        body["namespaceSelector"] = {"matchLabels": {NAMESPACE_NAME: namespace}}
    return {**body, "podSelector": selector_body(pods)}


def peer_body(peer: PodPeer | IpBlock) -> dict[str, Any]:
    """A peer as the API writes it."""
    if isinstance(peer, IpBlock):
        excepts = [str(network) for network in peer.excepts]
        return {"ipBlock": {"cidr": str(peer.cidr), **({"except": excepts} if excepts else {})}}
    body = {}
    if peer.namespace_selector is not None:
        body["namespaceSelector"] = selector_body(peer.namespace_selector)
    if peer.pod_selector is not None:
        body["podSelector"] = selector_body(peer.pod_selector)
    return body


def port_bodies(ports: PortSet) -> list[dict[str, Any]]:
    """Entries of `ports`; every port of every protocol gives none, because leaving them out means that."""
    if ports.is_all:
        return []
    return [_range_body(r.protocol, r.first, r.last) for r in ports.ranges]


def policy_port_bodies(ports: Iterable[PolicyPort]) -> list[dict[str, Any]]:
    """Entries of `ports` as a rule has them."""
    bodies = []
    for port in ports:
        body: dict[str, Any] = {"protocol": port.protocol.value}
        if port.port is not None:
            body["port"] = port.port
        if port.end_port is not None:
            body["endPort"] = port.end_port
        bodies.append(body)
    return bodies


def _range_body(protocol: Protocol, first: int, last: int) -> dict[str, Any]:
    if first <= 1 and last == 65535:
        return {"protocol": protocol.value}
    return {"protocol": protocol.value, "port": first, **({"endPort": last} if last != first else {})}
