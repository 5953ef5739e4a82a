"""Rules of Calico's policies from their raw objects.

1. A port is a number, "first:last", or a name (numorstring.Port). Ports and notPorts need a protocol that has ports.
2. nets and notNets are networks or single addresses. IPv4 and IPv6 may stand side by side.
3. What the API refuses is an error; a field or word that this program does not know is kept as `Unknown`.
"""

import re
from functools import partial
from typing import Any

from evidence.cluster.calico import (
    Accounts,
    Action,
    CalicoPort,
    CalicoRule,
    Entity,
)
from evidence.cluster.calico_selectors import Expression
from evidence.cluster.cidr import parse_address
from evidence.cluster.fields import (
    FieldError,
    Raw,
    inside,
    integer,
    mapping,
    network,
    sequence,
    shown,
    strings,
    text,
)
from evidence.cluster.model import IPNetwork, Protocol
from evidence.cluster.parse_calico_selectors import SelectorError, parse
from evidence.cluster.policies import Unknown

MAX_PORT = 65535
PROTOCOLS = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
_WITHOUT_PORTS = {"icmp": 1, "icmpv6": 58, "udplite": 136}
_NAMES = {**{protocol.value.lower(): number for number, protocol in PROTOCOLS.items()}, **_WITHOUT_PORTS}
_RANGE = re.compile(r"([0-9]+):([0-9]+)")
_PORT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_RULE_FIELDS = {
    "action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination", "http", "metadata",
}  # fmt: skip
_ENTITY_FIELDS = {
    "nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts", "ports", "notPorts", "domains", "services",
}  # fmt: skip


def calico_rule(home: str, raw: Raw) -> CalicoRule:
    """One rule of a policy of namespace `home` ("": a global one)."""
    word = text(raw, "action")
    if not word:
        raise FieldError("action", "is missing")
    action = next((found for found in Action if found.value.lower() == word.lower()), None)
    protocols, unknown = _protocols(raw)
    unknown += [Unknown(f"field {name}") for name in sorted(given_fields(raw) - _RULE_FIELDS)]
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
        number = value if isinstance(value, int) and not isinstance(value, bool) else protocol_number(name, value)
        if number is None or not 0 <= number <= 255:
            unknown.append(Unknown(f"{name} {shown(value)}"))
        else:
            named = PROTOCOLS.get(number)
            found = tuple(one for one in found if (one is named) is (name == "protocol"))
    if found and any(raw.get(name) is not None for name in ("icmp", "notICMP")):
        unknown.append(Unknown("icmp without protocol ICMP or ICMPv6"))
    return found, unknown


def protocol_number(name: str, value: Any) -> int | None:
    """The number of a protocol by its name or number; None for a name that is not known."""
    if not isinstance(value, str):
        raise FieldError(name, f"must be a protocol's name or number, not {shown(value)}")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 4 else _NAMES.get(value.lower())


def _entity(end: str, home: str, raw: Raw, *, allows: bool) -> tuple[Entity, list[Unknown]]:
    accounts = mapping(raw, "serviceAccounts")
    service, fresh = inside(raw, "services", partial(_service, end, home, allows=allows))
    found = Entity(
        nets=nets_of(raw, "nets"),
        not_nets=nets_of(raw, "notNets"),
        selector=selector_of(raw, "selector"),
        not_selector=selector_of(raw, "notSelector"),
        namespace_selector=selector_of(raw, "namespaceSelector"),
        accounts=inside(raw, "serviceAccounts", _accounts) if accounts else None,
        ports=_ports(raw, "ports"),
        not_ports=_ports(raw, "notPorts"),
        domains=strings(raw, "domains"),
        service=service,
    )
    fresh += [Unknown(f"{end}.{name}") for name in sorted(given_fields(raw) - _ENTITY_FIELDS)]
    return found, fresh + [Unknown(f"{end}.serviceAccounts.{name}") for name in sorted(accounts.keys() - _OF_ACCOUNTS)]


_OF_ACCOUNTS = {"names", "selector"}
_OF_SERVICES = {"name", "namespace"}


def _service(end: str, home: str, raw: Raw, *, allows: bool) -> tuple[tuple[str, str] | None, list[Unknown]]:
    """The Service that is named. Without a namespace the documentation means the policy's, where the code finds none: only Allow may rest on it."""
    if not raw:
        return None, []
    name, space = text(raw, "name"), text(raw, "namespace")
    unknown = [Unknown(f"{end}.services.{field}") for field in sorted(given_fields(raw) - _OF_SERVICES)]
    if not name or not (space or home):
        return None, [*unknown, Unknown(f"{end}.services without a name and a namespace")]
    if not space and not allows:
        unknown.append(Unknown(f"{end}.services without a namespace in a rule that does not allow"))
    return (space or home, name), unknown


def _accounts(raw: Raw) -> Accounts:
    return Accounts(strings(raw, "names"), selector_of(raw, "selector"))


def nets_of(raw: Raw, key: str) -> tuple[IPNetwork, ...]:
    """The networks and single addresses of a list."""
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
        return CalicoPort(port_number(where, value))
    if not isinstance(value, str):
        raise FieldError(where, f"must be a port, a range such as 8000:8080 or a name, not {shown(value)}")
    if value.isascii() and value.isdigit():
        return CalicoPort(port_number(where, value))
    bounds = _RANGE.fullmatch(value)
    if not bounds:
        if not _PORT_NAME.fullmatch(value):
            raise FieldError(where, f"{shown(value)} is no name of a port")
        return CalicoPort(value)
    first, last = (port_number(where, bound) for bound in bounds.groups())
    if last < first:
        raise FieldError(where, f"{value} ends below where it starts")
    return CalicoPort(first, last)


def port_number(where: str, value: int | str) -> int:
    """A port's number, 0 to 65535; `where` names its place."""
    number = value if isinstance(value, int) else int(value) if len(value) < 10 else MAX_PORT + 1
    if not 0 <= number <= MAX_PORT:
        raise FieldError(where, f"must be 0 to {MAX_PORT}, not {shown(value)}")
    return number


def given_fields(raw: Raw) -> set[str]:
    """Fields that say something: a zero value is as good as none."""
    return {name for name, value in raw.items() if value not in (None, False, "", [], {})}


def selector_of(parent: Raw, key: str) -> Expression | None:
    """A selector; None when absent or empty."""
    given = text(parent, key)
    if not given.strip(" \t"):
        return None
    try:
        return parse(given)
    except SelectorError as error:
        raise FieldError(key, f"{shown(given)} is no selector: {error}") from None
