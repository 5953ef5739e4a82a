"""NetworkPolicy (networking.k8s.io/v1) from its raw object, checked and defaulted as the API server does.

1. policyTypes absent or empty: Ingress, and Egress when there is at least one egress rule.
2. A peer has an ipBlock or selectors, never both, never neither; an except never takes the whole cidr. One that lies outside the cidr, which
   servers refuse and manifests hold, takes away nothing and is kept as it is.
3. protocol defaults to TCP; endPort needs a numeric port and is not below it.
4. A field that the API does not have is refused: passed over, a misspelt selector would open the policy to everybody.

Source: Kubernetes API reference; pkg/apis/networking/validation and v1/defaults of kubernetes/kubernetes.
"""

from functools import lru_cache
from typing import Any

from evidence.cluster.fields import (
    FieldError,
    Raw,
    choice,
    each,
    inside,
    integer,
    known_fields,
    labels,
    mapping,
    network,
    sequence,
    shown,
    strings,
    text,
)
from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, PodPeer, PolicyPort, Protocol, Rule
from evidence.cluster.objects import CollectedObject
from evidence.cluster.selectors import LabelSelector, Operator, Requirement

MAX_PORT = 65535
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}
_OPERATORS = {operator.value: operator for operator in Operator}
_DIRECTIONS = {direction.value: direction for direction in Direction}


def network_policy(obj: CollectedObject, namespace: str, name: str) -> NetworkPolicy:
    """The policy of one object."""
    spec = mapping(obj.body, "spec")
    try:
        known_fields(spec, "podSelector", "policyTypes", "ingress", "egress")
        pod_selector = inside(spec, "podSelector", label_selector)
        ingress = each(spec, "ingress", lambda rule: _rule(rule, "from"))
        egress = each(spec, "egress", lambda rule: _rule(rule, "to"))
        types = _policy_types(spec, bool(egress))
    except FieldError as error:
        raise error.under("spec") from None
    return NetworkPolicy(namespace, name, pod_selector, types, ingress, egress, obj)


def label_selector(raw: Raw) -> LabelSelector:
    """meta/v1 LabelSelector; {} matches everything."""
    known_fields(raw, "matchLabels", "matchExpressions")
    having = _having(tuple(labels(raw, "matchLabels").items()))
    expressions = each(raw, "matchExpressions", _requirement)
    return LabelSelector(tuple(sorted([*having.requirements, *expressions]))) if expressions else having


@lru_cache(maxsize=1 << 14)
def _having(wanted: tuple[tuple[str, str], ...]) -> LabelSelector:
    """The selector of some labels: one value for all policies that have it, so that they need not be compared part by part."""
    return LabelSelector(tuple(sorted(Requirement(key, Operator.IN, (value,)) for key, value in wanted)))


def _requirement(raw: Raw) -> Requirement:
    known_fields(raw, "key", "operator", "values")
    key = text(raw, "key")
    if not key:
        raise FieldError("key", "is missing")
    operator = _OPERATORS[choice(raw, "operator", _OPERATORS)]
    values = strings(raw, "values")
    if operator in (Operator.IN, Operator.NOT_IN) and not values:
        raise FieldError("values", f"must hold at least one value for operator {operator}")
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and values:
        raise FieldError("values", f"must be empty for operator {operator}")
    return Requirement(key, operator, tuple(sorted(set(values))))


def _policy_types(spec: Raw, has_egress_rules: bool) -> frozenset[Direction]:
    given = strings(spec, "policyTypes")
    for index, value in enumerate(given):
        if value not in _DIRECTIONS:
            raise FieldError(f"policyTypes[{index}]", f"must be Ingress or Egress, not {shown(value)}")
    if given:
        return frozenset(map(_DIRECTIONS.__getitem__, given))
    return frozenset((Direction.INGRESS, Direction.EGRESS) if has_egress_rules else (Direction.INGRESS,))


def _rule(raw: Raw, peers: str) -> Rule:
    known_fields(raw, peers, "ports")
    return Rule(each(raw, peers, _peer), each(raw, "ports", _port))


def _peer(raw: Raw) -> IpBlock | PodPeer:
    known_fields(raw, "ipBlock", "namespaceSelector", "podSelector")
    pods, namespaces, block = raw.get("podSelector"), raw.get("namespaceSelector"), raw.get("ipBlock")
    if block is not None:
        if pods is not None or namespaces is not None:
            raise FieldError("ipBlock", "cannot stand beside podSelector or namespaceSelector in one peer")
        return inside(raw, "ipBlock", _ip_block)
    if pods is None and namespaces is None:
        raise FieldError("", "names no peer: give ipBlock, namespaceSelector or podSelector ({} selects all)")
    return PodPeer(
        None if namespaces is None else inside(raw, "namespaceSelector", label_selector),
        None if pods is None else inside(raw, "podSelector", label_selector),
    )


def _ip_block(raw: Raw) -> IpBlock:
    known_fields(raw, "cidr", "except")
    if raw.get("cidr") is None:
        raise FieldError("cidr", "is missing")
    cidr = network("cidr", raw["cidr"])
    excepts = []
    for index, value in enumerate(sequence(raw, "except")):
        inner = network(f"except[{index}]", value)
        if inner.version != cidr.version:
            raise FieldError(f"except[{index}]", f"{value} is IPv{inner.version} and cidr {raw['cidr']} is not")
        if inner.prefixlen <= cidr.prefixlen and inner.supernet_of(cidr):  # type: ignore[arg-type]
            raise FieldError(
                f"except[{index}]", f"{value} leaves nothing of cidr {raw['cidr']}; an except is a part of it"
            )
        excepts.append(inner)
    return IpBlock(cidr, tuple(excepts))


def _port(raw: Raw) -> PolicyPort:
    known_fields(raw, "protocol", "port", "endPort")
    protocol = _PROTOCOLS[choice(raw, "protocol", _PROTOCOLS, "TCP")]
    port = port_or_name(raw, "port")
    end_port = integer(raw, "endPort", 1, MAX_PORT)
    if end_port is not None:
        if not isinstance(port, int):
            raise FieldError("endPort", f"needs a numeric port, not {shown(port) if port else 'none'}")
        if end_port < port:
            raise FieldError("endPort", f"{end_port} is below port {port}")
    return PolicyPort(protocol, port, end_port)


def port_or_name(raw: Raw, key: str) -> int | str | None:
    """A port number, or the name of a container's port; None when absent."""
    value: Any = raw.get(key)
    if not isinstance(value, str):
        return integer(raw, key, 1, MAX_PORT)
    if not value:
        raise FieldError(key, "is an empty string; leave it out to mean every port")
    if value.isdigit():
        raise FieldError(key, f"{value!r} is a string; write the number without quotes")
    return value
