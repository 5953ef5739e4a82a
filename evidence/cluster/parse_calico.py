"""Calico's policies, tiers and network sets from their raw objects, in either API group.

1. `types` absent: Ingress, unless there are egress rules and no ingress rules; Egress when there are egress rules
   (GlobalNetworkPolicySpec.Types). Felix, given an object that nobody defaulted, isolates both directions; the documented default isolates
   less, and rules are the same in either reading.
2. A port is a number, "first:last", or a name (numorstring.Port). Ports and notPorts need a protocol that has ports.
3. nets and a set's nets are networks or single addresses. IPv4 and IPv6 may stand side by side.
4. In crd.projectcalico.org the labels of an object stand in its annotation `projectcalico.org/metadata`, beside its own
   (libcalico-go/lib/backend/k8s/resources).
5. What the API refuses is an error; a field or word that this program does not know is kept as `Unknown`.
"""

import json
import math
import re
from functools import partial
from typing import Any

from evidence.cluster.calico import (
    DEFAULT_TIER,
    Accounts,
    Action,
    CalicoPolicy,
    CalicoPort,
    CalicoRule,
    CalicoTier,
    Entity,
    NetworkSet,
    StagedPolicy,
)
from evidence.cluster.calico_selectors import Expression
from evidence.cluster.cidr import parse_address
from evidence.cluster.fields import (
    FieldError,
    Raw,
    boolean,
    each,
    inside,
    integer,
    labels,
    mapping,
    network,
    sequence,
    shown,
    strings,
    text,
)
from evidence.cluster.model import Direction, IPNetwork, Labels, Protocol
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse_calico_selectors import SelectorError, parse
from evidence.cluster.policies import Unknown

MAX_PORT = 65535
METADATA_ANNOTATION = "projectcalico.org/metadata"

_NUMBERS = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
_WITHOUT_PORTS = {"icmp": 1, "icmpv6": 58, "udplite": 136}
_NAMES = {**{protocol.value.lower(): number for number, protocol in _NUMBERS.items()}, **_WITHOUT_PORTS}
_RANGE = re.compile(r"([0-9]+):([0-9]+)")
_PORT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_POLICY_FIELDS = {
    "tier", "order", "ingress", "egress", "selector", "types", "serviceAccountSelector", "namespaceSelector",
    "doNotTrack", "preDNAT", "applyOnForward", "performanceHints",
}  # fmt: skip
_RULE_FIELDS = {
    "action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination", "http", "metadata",
}  # fmt: skip
_ENTITY_FIELDS = {
    "nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts", "ports", "notPorts", "domains", "services",
}  # fmt: skip


def calico_policy(obj: CollectedObject) -> CalicoPolicy:
    """The NetworkPolicy or GlobalNetworkPolicy of one object."""
    spec = mapping(obj.body, "spec")
    try:
        return _policy(obj, spec)
    except FieldError as error:
        raise error.under("spec") from None


def _policy(obj: CollectedObject, spec: Raw) -> CalicoPolicy:
    ingress = each(spec, "ingress", partial(_rule, obj.key.namespace))
    egress = each(spec, "egress", partial(_rule, obj.key.namespace))
    only_global = {"namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"} if obj.key.namespace else set()
    return CalicoPolicy(
        key=obj.key,
        api_version=text(obj.body, "apiVersion"),
        tier=text(spec, "tier") or DEFAULT_TIER,
        order=_order(spec),
        selector=_selector(spec, "selector"),
        namespace_selector=None if obj.key.namespace else _selector(spec, "namespaceSelector"),
        account_selector=_selector(spec, "serviceAccountSelector"),
        types=_types(spec, bool(ingress), bool(egress)),
        ingress=ingress,
        egress=egress,
        hosts_only=not obj.key.namespace and (boolean(spec, "doNotTrack") or boolean(spec, "preDNAT")),
        extra=tuple(Unknown(f"spec.{name}") for name in sorted(_given(spec) - (_POLICY_FIELDS - only_global))),
        origin=obj,
    )


def _given(raw: Raw) -> set[str]:
    """Fields that say something: a zero value is as good as none."""
    return {name for name, value in raw.items() if value not in (None, False, "", [], {})}


def _order(spec: Raw) -> float | None:
    value = spec.get("order")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FieldError("order", f"must be a number, not {shown(value)}")
    return float(value)


def _types(spec: Raw, has_ingress: bool, has_egress: bool) -> frozenset[Direction]:
    given = strings(spec, "types")
    for index, value in enumerate(given):
        if value not in set(Direction):
            raise FieldError(f"types[{index}]", f"must be Ingress or Egress, not {shown(value)}")
    if given:
        return frozenset(Direction(value) for value in given)
    found = {Direction.EGRESS} if has_egress else {Direction.INGRESS}
    return frozenset(found | {Direction.INGRESS} if has_ingress else found)


def _selector(parent: Raw, key: str) -> Expression | None:
    """A selector; None when absent or empty."""
    given = text(parent, key)
    if not given.strip(" \t"):
        return None
    try:
        return parse(given)
    except SelectorError as error:
        raise FieldError(key, f"{shown(given)} is no selector: {error}") from None


def _rule(home: str, raw: Raw) -> CalicoRule:
    word = text(raw, "action")
    if not word:
        raise FieldError("action", "is missing")
    action = next((found for found in Action if found.value.lower() == word.lower()), None)
    protocols, unknown = _protocols(raw)
    unknown += [Unknown(f"field {name}") for name in sorted(_given(raw) - _RULE_FIELDS)]
    ends = {}
    for name in ("source", "destination"):
        ends[name], fresh = inside(raw, name, partial(_entity, name, home, allows=action is Action.ALLOW))
        unknown += fresh
    source, destination = ends["source"], ends["destination"]
    if destination.service and destination.ports:
        unknown.append(Unknown("destination.services with ports"))
    if any((source.ports, source.not_ports, destination.ports, destination.not_ports)):
        if raw.get("protocol") is None:
            unknown.append(Unknown("ports without a protocol"))
        if action is Action.PASS and (source.ports or source.not_ports):
            unknown.append(Unknown("source ports in a rule that passes"))
    if raw.get("http") is not None and action is not Action.ALLOW:
        unknown.append(Unknown("http in a rule that does not allow"))
    return CalicoRule(
        action=action or Unknown(f"action {word!r}"),
        protocols=protocols,
        ip_version=_ip_version(raw),
        source=source,
        destination=destination,
        http=raw.get("http") is not None,
        limits=tuple(unknown),
    )


def _ip_version(raw: Raw) -> int | None:
    version = integer(raw, "ipVersion")
    if version not in (None, 4, 6):
        raise FieldError("ipVersion", f"must be 4 or 6, not {version}")
    return version


def _protocols(raw: Raw) -> tuple[tuple[Protocol, ...], list[Unknown]]:
    """The protocols with ports that a rule matches, and what of it is not known."""
    found, unknown = tuple(Protocol), []
    for name in ("protocol", "notProtocol"):
        value = raw.get(name)
        if value is None:
            continue
        number = value if isinstance(value, int) and not isinstance(value, bool) else _protocol_number(name, value)
        if number is None or not 0 <= number <= 255:
            unknown.append(Unknown(f"{name} {shown(value)}"))
        else:
            named = _NUMBERS.get(number)
            found = tuple(one for one in found if (one is named) is (name == "protocol"))
    if found and any(raw.get(name) is not None for name in ("icmp", "notICMP")):
        unknown.append(Unknown("icmp without protocol ICMP or ICMPv6"))
    return found, unknown


def _protocol_number(name: str, value: Any) -> int | None:
    if not isinstance(value, str):
        raise FieldError(name, f"must be a protocol's name or number, not {shown(value)}")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 4 else _NAMES.get(value.lower())


def _entity(end: str, home: str, raw: Raw, *, allows: bool) -> tuple[Entity, list[Unknown]]:
    accounts = mapping(raw, "serviceAccounts")
    service, fresh = inside(raw, "services", partial(_service, end, home, allows=allows))
    found = Entity(
        nets=_nets(raw, "nets"),
        not_nets=_nets(raw, "notNets"),
        selector=_selector(raw, "selector"),
        not_selector=_selector(raw, "notSelector"),
        namespace_selector=_selector(raw, "namespaceSelector"),
        accounts=inside(raw, "serviceAccounts", _accounts) if accounts else None,
        ports=_ports(raw, "ports"),
        not_ports=_ports(raw, "notPorts"),
        domains=strings(raw, "domains"),
        service=service,
    )
    fresh += [Unknown(f"{end}.{name}") for name in sorted(_given(raw) - _ENTITY_FIELDS)]
    return found, fresh + [Unknown(f"{end}.serviceAccounts.{name}") for name in sorted(accounts.keys() - _OF_ACCOUNTS)]


_OF_ACCOUNTS = {"names", "selector"}
_OF_SERVICES = {"name", "namespace"}


def _service(end: str, home: str, raw: Raw, *, allows: bool) -> tuple[tuple[str, str] | None, list[Unknown]]:
    """The Service that is named. Without a namespace the documentation means the policy's, where the code finds none: only Allow may rest on it."""
    if not raw:
        return None, []
    name, space = text(raw, "name"), text(raw, "namespace")
    unknown = [Unknown(f"{end}.services.{field}") for field in sorted(_given(raw) - _OF_SERVICES)]
    if not name or not (space or home):
        return None, [*unknown, Unknown(f"{end}.services without a name and a namespace")]
    if not space and not allows:
        unknown.append(Unknown(f"{end}.services without a namespace in a rule that does not allow"))
    return (space or home, name), unknown


def _accounts(raw: Raw) -> Accounts:
    return Accounts(strings(raw, "names"), _selector(raw, "selector"))


def _nets(raw: Raw, key: str) -> tuple[IPNetwork, ...]:
    return tuple(_net(f"{key}[{index}]", value) for index, value in enumerate(sequence(raw, key)))


def _net(where: str, value: Any) -> IPNetwork:
    """A network, or one address."""
    if isinstance(value, str) and "/" not in value:
        try:
            address = parse_address(value)
        except ValueError as error:
            raise FieldError(where, str(error)) from None
        return network(where, f"{address}/{address.max_prefixlen}")
    return network(where, value)


def _ports(raw: Raw, key: str) -> tuple[CalicoPort, ...]:
    return tuple(_port(f"{key}[{index}]", value) for index, value in enumerate(sequence(raw, key)))


def _port(where: str, value: Any) -> CalicoPort:
    if isinstance(value, int) and not isinstance(value, bool):
        return CalicoPort(_number(where, value))
    if not isinstance(value, str):
        raise FieldError(where, f"must be a port, a range such as 8000:8080 or a name, not {shown(value)}")
    if value.isascii() and value.isdigit():
        return CalicoPort(_number(where, value))
    bounds = _RANGE.fullmatch(value)
    if not bounds:
        if not _PORT_NAME.fullmatch(value):
            raise FieldError(where, f"{shown(value)} is no name of a port")
        return CalicoPort(value)
    first, last = (_number(where, bound) for bound in bounds.groups())
    if last < first:
        raise FieldError(where, f"{value} ends below where it starts")
    return CalicoPort(first, last)


def _number(where: str, value: int | str) -> int:
    number = value if isinstance(value, int) else int(value) if len(value) < 10 else MAX_PORT + 1
    if not 0 <= number <= MAX_PORT:
        raise FieldError(where, f"must be 0 to {MAX_PORT}, not {shown(value)}")
    return number


def staged_policy(obj: CollectedObject) -> StagedPolicy:
    """The staged policy of one object. Its rules are not read: they decide nothing."""
    spec = mapping(obj.body, "spec")
    try:
        return StagedPolicy(obj.key, text(spec, "stagedAction") or "Set", text(spec, "tier") or DEFAULT_TIER, obj)
    except FieldError as error:
        raise error.under("spec") from None


def calico_tier(obj: CollectedObject) -> CalicoTier:
    """The tier of one object. Any default action but Pass is read as Deny, as Calico does."""
    spec = mapping(obj.body, "spec")
    try:
        return CalicoTier(obj.key.name, _order(spec), text(spec, "defaultAction") == Action.PASS.value)
    except FieldError as error:
        raise error.under("spec") from None


def network_set(obj: CollectedObject, metadata: Raw, annotations: Labels) -> NetworkSet:
    """The NetworkSet, GlobalNetworkSet or HostEndpoint of one object."""
    spec = mapping(obj.body, "spec")
    field = "expectedIPs" if obj.key.kind == "HostEndpoint" else "nets"
    try:
        nets, domains = _nets(spec, field), strings(spec, "allowedEgressDomains")
    except FieldError as error:
        raise error.under("spec") from None
    try:
        found = {**labels(metadata, "labels"), **_stored_labels(annotations.get(METADATA_ANNOTATION, ""))}
    except FieldError as error:
        raise error.under("metadata") from None
    return NetworkSet(obj.key, found, nets, domains)


def _stored_labels(annotation: str) -> Labels:
    if not annotation:
        return {}
    where = f"annotations.{METADATA_ANNOTATION}"
    try:
        stored = json.loads(annotation)
    except (ValueError, RecursionError):
        raise FieldError(where, "is no JSON") from None
    if not isinstance(stored, dict):
        raise FieldError(where, f"must hold an object, not {shown(stored)}")
    try:
        return labels(stored, "labels")
    except FieldError as error:
        raise error.under(where) from None
