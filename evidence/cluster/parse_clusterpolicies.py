"""AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy (policy.networking.k8s.io) from their raw objects.

What the API of a kind requires and lacks is an error; a field or word that this program does not know is kept as `Unknown`,
because the custom resource may be of a newer version than the program.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from evidence.cluster.fields import FieldError, Raw, each, inside, integer, mapping, networks, sequence, strings, text
from evidence.cluster.model import PodPeer, Protocol
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse_policies import MAX_PORT, label_selector
from evidence.cluster.policies import (
    Action,
    ClusterPolicy,
    ClusterPolicyPort,
    ClusterRule,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Peer,
    Tier,
    Unknown,
)
from evidence.cluster.selectors import LabelSelector

Selected = TypeVar("Selected", PodPeer, NodePeer)

_TIERS = {"AdminNetworkPolicy": Tier.ADMIN, "BaselineAdminNetworkPolicy": Tier.BASELINE}
_ACTIONS = {"Accept": Action.ACCEPT, "Allow": Action.ACCEPT, "Deny": Action.DENY, "Pass": Action.PASS}
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}
_MAX_PRIORITY = 1000
_EVERY_NAMESPACE = LabelSelector()


def cluster_policy(obj: CollectedObject) -> ClusterPolicy:
    """The policy of one object of any of the three kinds."""
    spec = mapping(obj.body, "spec")
    try:
        return _policy(obj, spec)
    except FieldError as error:
        raise error.under("spec") from None


def _policy(obj: CollectedObject, spec: Raw) -> ClusterPolicy:
    kind = obj.key.kind
    tier = _TIERS.get(kind) or _tier(spec)
    priority = 0
    if kind != "BaselineAdminNetworkPolicy":
        given = integer(spec, "priority", 0, _MAX_PRIORITY)
        if given is None:
            raise FieldError("priority", "is missing")
        priority = given
    if not isinstance(spec.get("subject"), dict):
        raise FieldError("subject", "is missing")
    known = {"tier", "priority", "subject", "ingress", "egress"}
    ports = "protocols" if kind == "ClusterNetworkPolicy" else "ports"
    return ClusterPolicy(
        key=obj.key,
        api_version=text(obj.body, "apiVersion"),
        tier=tier,
        priority=priority,
        subject=inside(spec, "subject", _subject),
        ingress=each(spec, "ingress", partial(_rule, "from", ports)),
        egress=each(spec, "egress", partial(_rule, "to", ports)),
        extra=tuple(Unknown(f"spec.{name}") for name in sorted(spec.keys() - known)),
        origin=obj,
    )


def _tier(spec: Raw) -> Tier:
    given = text(spec, "tier")
    try:
        return Tier(given)
    except ValueError:
        raise FieldError("tier", f"must be Admin or Baseline, not {given!r}" if given else "is missing") from None


def _one_of(raw: Raw, known: Iterable[str], what: str) -> str | Unknown:
    """The one field that is set, of those known; Unknown for none or for a field of a newer API."""
    given = sorted(key for key, value in raw.items() if value is not None)
    fresh = [key for key in given if key not in set(known)]
    if fresh:
        return Unknown(f"{what} {', '.join(fresh)}")
    if not given:
        return Unknown(f"{what} without any field")
    if len(given) > 1:
        raise FieldError(given[1], f"cannot stand beside {given[0]}: exactly one is allowed")
    return given[0]


def _subject(raw: Raw) -> PodPeer | Unknown:
    field = _one_of(raw, ("namespaces", "pods"), "subject")
    return field if isinstance(field, Unknown) else _by_label(raw, field, "subject")


def _by_label(raw: Raw, field: str, what: str) -> PodPeer | Unknown:
    if field == "namespaces":
        return _selected(raw, field, what, lambda found: PodPeer(found, None))
    pods = mapping(raw, "pods")
    fresh = sorted(pods.keys() - {"namespaceSelector", "podSelector"})
    if fresh:
        return Unknown(f"{what} pods.{', pods.'.join(fresh)}")
    try:
        return PodPeer(
            inside(pods, "namespaceSelector", label_selector) if pods.get("namespaceSelector") else _EVERY_NAMESPACE,
            inside(pods, "podSelector", label_selector),
        )
    except FieldError as error:
        raise error.under("pods") from None


def _selected(raw: Raw, field: str, what: str, make: Callable[[LabelSelector], Selected]) -> Selected | Unknown:
    fresh = sorted(mapping(raw, field).keys() - {"matchLabels", "matchExpressions"})
    if fresh:
        return Unknown(f"{what} {field}.{fresh[0]}")
    return make(inside(raw, field, label_selector))


def _rule(side: str, ports: str, raw: Raw) -> ClusterRule:
    if not sequence(raw, side):
        raise FieldError(side, "must hold at least one peer")
    action = text(raw, "action")
    if not action:
        raise FieldError("action", "is missing")
    fresh = sorted(raw.keys() - {"name", "action", side, ports})
    peers: tuple[Peer, ...] = each(raw, side, partial(_peer, side))
    parse = _protocol if ports == "protocols" else _port
    found: tuple[ClusterPolicyPort | Unknown, ...] = each(raw, ports, parse)
    return ClusterRule(
        name=text(raw, "name"),
        action=_ACTIONS.get(action) or Unknown(f"action {action!r}"),
        peers=peers,
        ports=(*found, *(Unknown(f"field {name}") for name in fresh)),
    )


def _peer(side: str, raw: Raw) -> Peer:
    outside = ("nodes", "networks", "domainNames") if side == "to" else ()
    field = _one_of(raw, ("namespaces", "pods", *outside), f"{side} peer")
    match field:
        case Unknown():
            return field
        case "nodes":
            return _selected(raw, field, f"{side} peer", NodePeer)
        case "networks":
            return NetworksPeer(networks(raw, "networks"))
        case "domainNames":
            return DomainNamesPeer(strings(raw, "domainNames"))
        case _:
            return _by_label(raw, field, f"{side} peer")


def _port(raw: Raw) -> ClusterPolicyPort | Unknown:
    """v1alpha1 AdminNetworkPolicyPort."""
    field = _one_of(raw, ("portNumber", "portRange", "namedPort"), "port")
    match field:
        case Unknown():
            return field
        case "namedPort":
            return ClusterPolicyPort(None, text(raw, "namedPort"))
        case _:
            return inside(raw, field, _number_or_range)


def _number_or_range(raw: Raw) -> ClusterPolicyPort | Unknown:
    word = text(raw, "protocol", "TCP")  # the kubebuilder default
    protocol = _PROTOCOLS.get(word.lower())
    fresh = sorted(raw.keys() - {"protocol", "port", "start", "end"})
    if protocol is None or protocol.value != word or fresh:
        return Unknown(f"protocol {word!r}" if not fresh else f"port field {fresh[0]}")
    if "port" in raw:
        return ClusterPolicyPort(protocol, _required(raw, "port"))
    return _range(protocol, raw)


def _protocol(raw: Raw) -> ClusterPolicyPort | Unknown:
    """v1alpha2 ClusterNetworkPolicyProtocol."""
    field = _one_of(raw, (*_PROTOCOLS, "destinationNamedPort"), "protocol")
    match field:
        case Unknown():
            return field
        case "destinationNamedPort":
            return ClusterPolicyPort(None, text(raw, field))
        case _:
            return inside(raw, field, partial(_destination, _PROTOCOLS[field]))


def _destination(protocol: Protocol, raw: Raw) -> ClusterPolicyPort | Unknown:
    fresh = sorted(raw.keys() - {"destinationPort"})
    if fresh:
        return Unknown(f"protocol field {fresh[0]}")
    if raw.get("destinationPort") is None:
        return ClusterPolicyPort(protocol)
    return inside(raw, "destinationPort", partial(_destination_port, protocol))


def _destination_port(protocol: Protocol, raw: Raw) -> ClusterPolicyPort | Unknown:
    field = _one_of(raw, ("number", "range"), "destinationPort")
    match field:
        case Unknown():
            return field
        case "number":
            return ClusterPolicyPort(protocol, _required(raw, "number"))
        case _:
            return inside(raw, "range", partial(_range, protocol))


def _range(protocol: Protocol, raw: Raw) -> ClusterPolicyPort:
    start, end = _required(raw, "start"), _required(raw, "end")
    if end < start:
        raise FieldError("end", f"{end} is below start {start}")
    return ClusterPolicyPort(protocol, start, end)


def _required(raw: Raw, key: str) -> int:
    value = integer(raw, key, 1, MAX_PORT)
    if value is None:
        raise FieldError(key, "is missing")
    return value
