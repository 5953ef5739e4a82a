"""CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and CiliumCIDRGroup from their raw objects.

1. `spec` is one rule object, `specs` several; both may stand (cnp_types.go). Without any entry in ingress, ingressDeny, egress and egressDeny
   one has no effect (rule.go; https://github.com/cilium/cilium/issues/35558).
2. A direction goes into default deny when it has an entry, allowing or denying, unless enableDefaultDeny says false (Sanitize in
   rule_validation.go; deny.rst). An empty section is like none (rule.go).
3. A list of peers that is there and empty selects nobody; one that is absent does not limit (mergeEndpointSelectors in utils/parserules.go).
4. Selectors: `evidence.cluster.cilium_selectors`.
5. What agents refuse (`evidence.cluster.cilium_refusals`) or heed only with a switch (fromNodes) makes the whole policy doubtful: perhaps
   nothing of it is in force (rule_validation.go).
6. A port is a number, "0" for every port, or a name in lower case; endPort counts with a number only. No protocol, or ANY: any of them (l4.go).
7. fromRequires and toRequires took away from what other entries allow up to Cilium 1.18 and are gone since: what is computed is an upper bound.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from evidence.cluster.cidr import parse_address
from evidence.cluster.cilium import (
    CidrGroup,
    CidrGroupPeer,
    CiliumPeer,
    CiliumPolicy,
    CiliumPort,
    CiliumRule,
    CiliumSpec,
    Entity,
    ForeignPeer,
    FqdnPeer,
    ServicePeer,
)
from evidence.cluster.cilium_refusals import refused
from evidence.cluster.cilium_selectors import endpoints_of, service_selector, subject_of
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
    networks,
    sequence,
    strings,
    text,
)
from evidence.cluster.model import Direction, IpBlock, IPNetwork, Protocol
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse_policies import MAX_PORT, label_selector
from evidence.cluster.policies import Unknown

_SECTIONS = {Direction.INGRESS: "ingress", Direction.EGRESS: "egress"}
_SPEC_FIELDS = frozenset(
    {"endpointSelector", "nodeSelector", "ingress", "ingressDeny", "egress", "egressDeny"}
    | {"enableDefaultDeny", "labels", "description", "log"}
)
_BESIDE_PEERS = frozenset({"toPorts", "icmps", "authentication"})
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}
_OTHER_PROTOCOLS = frozenset({"ICMP", "ICMPV6", "VRRP", "IGMP"})  # no ports that are looked at here
_PORT_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")


def cidr_group(obj: CollectedObject) -> CidrGroup:
    """The group of one CiliumCIDRGroup."""
    found = inside(obj.body, "spec", lambda spec: networks(spec, "externalCIDRs"))
    return CidrGroup(obj.key.name, inside(obj.body, "metadata", lambda meta: labels(meta, "labels")), found, obj)


def cilium_policy(obj: CollectedObject) -> CiliumPolicy:
    """The policy of one object of either kind."""
    home = obj.key.namespace
    specs = []
    if obj.body.get("spec") is not None:
        specs.append(inside(obj.body, "spec", partial(_spec, home, "spec")))
    for index, raw in enumerate(sequence(obj.body, "specs")):
        where = f"specs[{index}]"
        specs.append(inside({where: raw}, where, partial(_spec, home, where)))
    return CiliumPolicy(obj.key, text(obj.body, "apiVersion"), tuple(specs), obj)


def _spec(home: str, where: str, raw: Raw) -> CiliumSpec:
    doubts = [Unknown(f"{where}.{name}") for name in sorted(raw.keys() - _SPEC_FIELDS)]
    switches = mapping(raw, "enableDefaultDeny")
    allows, denies, closed = {}, {}, set()
    for direction, section in _SECTIONS.items():
        parse = partial(_rules, raw, home, where, direction, doubts)
        allows[direction], denies[direction] = parse(section), parse(f"{section}Deny")
        entries = allows[direction] or denies[direction]
        if entries and (
            switches.get(section) is None or inside(raw, "enableDefaultDeny", partial(boolean, key=section))
        ):
            closed.add(direction)
    return CiliumSpec(
        subject=subject_of(raw, home, where, doubts),
        allows=allows,
        denies=denies,
        default_deny=frozenset(closed),
        doubts=tuple(doubts),
    )


_Peers = Callable[[Raw, str], Iterable[CiliumPeer]]

# -- rules --------------------------------------------------------------------------------------------------------------


def _rules(
    raw: Raw, home: str, where: str, direction: Direction, doubts: list[Unknown], section: str
) -> tuple[CiliumRule, ...]:
    found = []
    for index, item in enumerate(each(raw, section, lambda rule: rule)):
        place = f"{section}[{index}]"
        try:
            found.append(_rule(item, home, f"{where}.{place}", direction, doubts, section.endswith("Deny")))
        except FieldError as error:
            raise error.under(place) from None
    return tuple(found)


def _rule(raw: Raw, home: str, where: str, direction: Direction, doubts: list[Unknown], denies: bool) -> CiliumRule:
    side = "from" if direction is Direction.INGRESS else "to"
    kinds: dict[str, _Peers] = {
        f"{side}Endpoints": partial(_each_endpoints, home, where),
        f"{side}CIDR": _cidrs,
        f"{side}CIDRSet": partial(_cidr_sets, where),
        f"{side}Entities": partial(_entities, where),
        f"{side}Nodes": partial(_nodes, where),
        f"{side}Groups": partial(_groups, where),
    }
    if direction is Direction.EGRESS:
        kinds |= {"toServices": partial(_services, where), "toFQDNs": _fqdns}
    requires = f"{side}Requires"
    given = [key for key in kinds if sequence(raw, key)]
    if len(given) > 1:
        doubts.append(Unknown(f"{where}: {' beside '.join(given)}, which agents refuse"))
    if f"{side}Nodes" in given:
        doubts.append(Unknown(f"{where}.{side}Nodes, which only a switch puts into effect"))
    doubts += (Unknown(f"{where}: {what}, which agents refuse") for what in refused(raw, direction, denies=denies))
    ports, cut = _ports(raw, where, denies)
    if sequence(raw, "icmps"):
        if ports is not None:
            doubts.append(Unknown(f"{where}: icmps beside toPorts, which agents refuse"))
        ports = ports or ()
    limits = ["layer 7 rules"] if cut else []
    if text(mapping(raw, "authentication"), "mode") not in ("", "disabled"):
        limits.append("authentication")
    if sequence(raw, requires):
        limits.append(f"{requires} (before Cilium 1.19)")
    nobody = any(isinstance(raw.get(key), list) and not raw[key] for key in kinds if key not in _NO_LIMIT_WHEN_EMPTY)
    peers: tuple[CiliumPeer, ...] | None = None
    if nobody:
        peers = ()
    elif given:
        peers = tuple(peer for key in given for peer in kinds[key](raw, key))
    known = _BESIDE_PEERS | kinds.keys() | {requires}
    extra = tuple(Unknown(f"{where}.{name}") for name in sorted(raw.keys() - known))
    return CiliumRule(peers, ports, where, tuple(limits), extra)


_NO_LIMIT_WHEN_EMPTY = frozenset({"toServices", "toFQDNs", "toGroups", "fromGroups"})


def _each_endpoints(home: str, where: str, raw: Raw, key: str) -> tuple[CiliumPeer, ...]:
    return each(raw, key, partial(endpoints_of, home, f"{where}.{key}"))


def _cidrs(raw: Raw, key: str) -> Iterator[CiliumPeer]:
    """Networks; a bare address is a network of one."""
    for index, value in enumerate(sequence(raw, key)):
        yield IpBlock(_network_or_address(f"{key}[{index}]", value))


def _network_or_address(key: str, value: Any) -> IPNetwork:
    if isinstance(value, str) and "/" not in value:
        try:
            value = f"{value}/{parse_address(value).max_prefixlen}"
        except ValueError as error:
            raise FieldError(key, str(error)) from None
    return network(key, value)


def _cidr_sets(where: str, raw: Raw, key: str) -> tuple[CiliumPeer, ...]:
    return each(raw, key, partial(_cidr_set, f"{where}.{key}"))


def _cidr_set(where: str, raw: Raw) -> CiliumPeer:
    fresh = sorted(raw.keys() - {"cidr", "except", "cidrGroupRef", "cidrGroupSelector"})
    if fresh:
        return Unknown(f"{where}.{fresh[0]}")
    excepts = networks(raw, "except")
    if raw.get("cidrGroupSelector") is not None:
        return CidrGroupPeer("", inside(raw, "cidrGroupSelector", label_selector), excepts)
    if raw.get("cidrGroupRef"):
        return CidrGroupPeer(text(raw, "cidrGroupRef"), None, excepts)
    if not raw.get("cidr"):
        raise FieldError("cidr", "is missing")
    return IpBlock(_network_or_address("cidr", raw["cidr"]), excepts)


def _entities(where: str, raw: Raw, key: str) -> Iterator[CiliumPeer]:
    for value in strings(raw, key):
        yield Entity(value) if value in set(Entity) else Unknown(f"{where}.{key} {value!r}")


def _nodes(where: str, raw: Raw, key: str) -> Iterator[CiliumPeer]:
    each(raw, key, label_selector)
    yield Unknown(f"{where}.{key}")


def _groups(where: str, raw: Raw, key: str) -> Iterator[CiliumPeer]:
    yield from each(raw, key, lambda group: ForeignPeer(f"{where}.{key} ({', '.join(sorted(map(str, group)))})"))


def _services(where: str, raw: Raw, key: str) -> Iterator[CiliumPeer]:
    for service in each(raw, key, partial(_service, f"{where}.{key}")):
        yield service or Unknown(f"{where}.{key}")


def _service(where: str, raw: Raw) -> ServicePeer | Unknown | None:
    """Services by label where both are given, as agents read it. Without a namespace it means those of any."""
    named, selected = mapping(raw, "k8sService"), mapping(raw, "k8sServiceSelector")
    if selected:
        selector = inside(raw, "k8sServiceSelector", lambda found: service_selector(mapping(found, "selector"), where))
        if isinstance(selector, Unknown):
            return selector
        return ServicePeer(text(selected, "namespace"), "", selector)
    return ServicePeer(text(named, "namespace"), text(named, "serviceName")) if named else None


def _fqdns(raw: Raw, key: str) -> Iterator[CiliumPeer]:
    names = each(raw, key, lambda name: text(name, "matchName") or text(name, "matchPattern"))
    yield FqdnPeer(tuple(name for name in names if name))


def _ports(raw: Raw, where: str, denies: bool) -> tuple[tuple[CiliumPort | Unknown, ...] | None, bool]:
    """The ports of an entry, and whether rules of layer 7 cut into what they let pass."""
    entries = each(raw, "toPorts", partial(_port_rule, f"{where}.toPorts", denies))
    if not entries:
        return None, False
    return tuple(port for ports, _ in entries for port in ports), any(cut for _, cut in entries)


_LAYER_7 = ("rules", "terminatingTLS", "originatingTLS", "serverNames", "listener")


def _port_rule(where: str, denies: bool, raw: Raw) -> tuple[tuple[CiliumPort | Unknown, ...], bool]:
    """Agents differ on an entry without ports: it allows every port here, and denies none."""
    fresh = tuple(Unknown(f"{where}.{name}") for name in sorted(raw.keys() - {"ports", *_LAYER_7}))
    ports = tuple(port for found in each(raw, "ports", partial(_port, where)) for port in found)
    if not denies and not sequence(raw, "ports"):
        ports = (CiliumPort(None),)
    return (*ports, *fresh), any(raw.get(name) for name in _LAYER_7)


def _port(where: str, raw: Raw) -> tuple[CiliumPort | Unknown, ...]:
    fresh = sorted(raw.keys() - {"port", "endPort", "protocol"})
    word = text(raw, "protocol") or "ANY"
    if fresh or word.upper() not in (*_PROTOCOLS, *_OTHER_PROTOCOLS, "ANY"):
        return (Unknown(f"{where} field {fresh[0]}" if fresh else f"{where} protocol {word!r}"),)
    given = raw.get("port")
    value = str(given) if type(given) is int else text(raw, "port")
    if not value:
        raise FieldError("port", "is missing")
    end_port = integer(raw, "endPort", 0, MAX_PORT)
    if word.upper() in _OTHER_PROTOCOLS:
        return ()
    protocol = _PROTOCOLS.get(word.upper())
    if value.isascii() and value.isdigit():
        number = int(value)
        if number > MAX_PORT:
            raise FieldError("port", f"must be 0 to {MAX_PORT}, not {value}")
        if number == 0:
            return (CiliumPort(protocol),)
        return (CiliumPort(protocol, number, end_port if end_port and end_port > number else None),)
    if not _PORT_NAME.fullmatch(value):
        return (Unknown(f"{where} port {value!r}"),)
    return (CiliumPort(protocol, value.lower()),)
