"""What agents refuse in an entry of a Cilium policy although the API server stores it: then nothing of the whole policy is in force.

An agent drops a policy with one refused entry as a whole (`CiliumNetworkPolicy.Parse`), and says so only in its log and in the policy's
status. What some versions refuse and others take counts, too.

Source: pkg/policy/api/rule_validation.go and pkg/k8s/apis/cilium.io/v2/cnp_types.go of cilium/cilium.
"""

from collections.abc import Iterator
from typing import Any

from evidence.cluster.cidr import parse_network
from evidence.cluster.fields import Raw, each, mapping, sequence, text
from evidence.cluster.model import Direction

_MOST_PORTS = 40
_LONGEST_NAME = 15  # of a port
_LAYER_7 = ("http", "kafka", "dns")


def refused(rule: Raw, direction: Direction, *, denies: bool) -> Iterator[str]:
    """What agents refuse in one entry, each as half a sentence."""
    for item in each(rule, "toPorts", lambda raw: raw):
        yield from _ports(item)
        if not denies:  # where there are rules of layer 7
            yield from _layer_7(item, direction)
    if sequence(rule, "toServices") and sequence(rule, "toPorts"):
        yield "toServices beside toPorts"
    for side in ("from", "to"):
        for item in each(rule, f"{side}CIDRSet", lambda raw: raw):
            yield from _networks(item)
    for name in each(rule, "toFQDNs", lambda raw: raw):
        if not (name.get("matchName") or name.get("matchPattern")):
            yield "a name of toFQDNs that is empty"


def _ports(item: Raw) -> Iterator[str]:
    ports = each(item, "ports", lambda raw: raw)
    if len(ports) > _MOST_PORTS:
        yield f"more than {_MOST_PORTS} ports in one entry of toPorts"
    for port in ports:
        value = str(port.get("port"))
        if (value.isdigit() and value != "0" and value.startswith("0")) or len(value) > _LONGEST_NAME:
            yield f"port {value[:80]!r}, which they read otherwise or not at all"


def _layer_7(item: Raw, direction: Direction) -> Iterator[str]:
    rules = mapping(item, "rules")
    ports = each(item, "ports", lambda raw: raw)
    by_proxy, dns = bool(text(rules, "l7proto")), bool(sequence(rules, "dns"))
    any_rules = by_proxy or any(sequence(rules, kind) for kind in _LAYER_7)
    if sum(rules.get(kind) is not None for kind in _LAYER_7) + by_proxy > 1:
        yield "rules of several protocols of layer 7 in one entry"
    if rules.get("l7") is not None and not by_proxy:
        yield "l7 without l7proto"
    if dns and direction is Direction.INGRESS:
        yield "DNS rules for ingress"
    if rules.get("dns") is not None and not ports:
        yield "DNS rules without a port"
    if any_rules and any(str(port.get("port")) == "0" for port in ports):
        yield "rules of layer 7 for port 0"
    if any_rules and not dns and any(text(port, "protocol").upper() != "TCP" for port in ports):
        yield "rules of layer 7 for another protocol than TCP"
    if dns and any(port.get("endPort") for port in ports):
        yield "DNS rules for a range of ports"
    yield from _names_and_listener(item, direction, any_rules)


def _names_and_listener(item: Raw, direction: Direction, any_rules: bool) -> Iterator[str]:
    names: list[Any] = sequence(item, "serverNames")
    if names and any_rules and item.get("terminatingTLS") is None:
        yield "serverNames beside rules of layer 7 without terminatingTLS"
    if "" in names:
        yield "an empty server name"
    if item.get("listener") is not None and (direction is Direction.INGRESS or any_rules):
        yield "a listener for ingress, or beside rules of layer 7"


def _networks(item: Raw) -> Iterator[str]:
    given = [key for key in ("cidr", "cidrGroupRef", "cidrGroupSelector") if item.get(key)]
    if len(given) > 1:
        yield f"{' beside '.join(given)} in one entry"
    cidr = item.get("cidr")
    if not isinstance(cidr, str) or len(given) > 1:
        return
    if "/" not in cidr:
        yield f"cidr {cidr[:80]!r} without a prefix length"
        return
    for value in sequence(item, "except"):
        try:
            inner, outer = parse_network(str(value)), parse_network(cidr)
        except ValueError:
            continue  # said by whoever reads the networks
        if inner.version != outer.version or inner.network_address not in outer:
            yield f"except {inner}, which is not in {outer}"
