"""What agents refuse in an entry of a Cilium policy, and what comes near it and is in force."""

from typing import Any

import pytest

from evidence.cluster.cilium_refusals import refused
from evidence.cluster.model import Direction

IN, OUT = Direction.INGRESS, Direction.EGRESS
HTTP: dict[str, Any] = {"http": [{}]}
DNS: dict[str, Any] = {"dns": [{"matchPattern": "*"}]}
TCP_80, UDP_53 = {"port": "80", "protocol": "TCP"}, {"port": "53", "protocol": "UDP"}


def ports(*listed: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"toPorts": [{"ports": list(listed), **more}]}


@pytest.mark.parametrize(
    ("entry", "direction", "said"),
    [
        ({"toServices": [{}], **ports(TCP_80)}, OUT, "toServices beside toPorts"),
        ({"toFQDNs": [{"matchName": "a.example"}, {}]}, OUT, "a name of toFQDNs that is empty"),
        (ports(*[TCP_80] * 41), IN, "more than 40 ports in one entry of toPorts"),
        (ports({"port": "a-name-of-16-let"}), IN, "port 'a-name-of-16-let', which they read otherwise or not at all"),
        (ports({"port": "080"}), IN, "port '080', which they read otherwise or not at all"),
        (ports(TCP_80, rules={**HTTP, "kafka": [{}]}), IN, "rules of several protocols of layer 7 in one entry"),
        (ports(TCP_80, rules={**HTTP, "l7proto": "x"}), IN, "rules of several protocols of layer 7 in one entry"),
        (ports(TCP_80, rules={**HTTP, **DNS}), OUT, "rules of several protocols of layer 7 in one entry"),
        (ports(TCP_80, rules={"l7": [{}]}), IN, "l7 without l7proto"),
        (ports(UDP_53, rules=DNS), IN, "DNS rules for ingress"),
        (ports(rules=DNS), OUT, "DNS rules without a port"),
        (ports({"port": "0", "protocol": "TCP"}, rules=HTTP), IN, "rules of layer 7 for port 0"),
        (ports({"port": "80"}, rules=HTTP), IN, "rules of layer 7 for another protocol than TCP"),
        (ports(UDP_53, rules={"kafka": [{}]}), IN, "rules of layer 7 for another protocol than TCP"),
        (ports(UDP_53, rules={"l7proto": "x"}), OUT, "rules of layer 7 for another protocol than TCP"),
        (ports({**UDP_53, "endPort": 54}, rules=DNS), OUT, "DNS rules for a range of ports"),
        (
            ports(TCP_80, rules=HTTP, serverNames=["a.example"]),
            OUT,
            "serverNames beside rules of layer 7 without terminatingTLS",
        ),
        (ports(TCP_80, serverNames=["a.example", ""]), OUT, "an empty server name"),
        (ports(TCP_80, listener={}), IN, "a listener for ingress, or beside rules of layer 7"),
        (ports(TCP_80, listener={}, rules=HTTP), OUT, "a listener for ingress, or beside rules of layer 7"),
        ({"fromCIDRSet": [{"cidr": "10.0.0.1"}]}, IN, "cidr '10.0.0.1' without a prefix length"),
        ({"toCIDRSet": [{"cidr": "10.0.0.1"}]}, OUT, "cidr '10.0.0.1' without a prefix length"),
        ({"toCIDRSet": [{"cidr": "10.0.0.1", "cidrGroupRef": "g"}]}, OUT, "cidr beside cidrGroupRef in one entry"),
        (
            {"toCIDRSet": [{"cidrGroupRef": "g", "cidrGroupSelector": {"matchLabels": {"a": "b"}}}]},
            OUT,
            "cidrGroupRef beside cidrGroupSelector in one entry",
        ),
        (
            {"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}]},
            OUT,
            "except 11.0.0.0/16, which is not in 10.0.0.0/8",
        ),
        (
            {"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["fd00::/8"]}]},
            OUT,
            "except fd00::/8, which is not in 10.0.0.0/8",
        ),
    ],
)
def test_what_agents_refuse(entry: dict[str, Any], direction: Direction, said: str) -> None:
    assert list(refused(entry, direction, denies=False)) == [said]


@pytest.mark.parametrize(
    ("entry", "direction"),
    [
        ({"toServices": [], **ports(TCP_80)}, OUT),
        ({"toFQDNs": [{"matchName": "a.example"}, {"matchPattern": "*.example"}]}, OUT),
        (ports(*[TCP_80] * 40), IN),
        (ports({"port": "a-name-of-15-le"}), IN),
        (ports({"port": "0"}), IN),
        (ports(TCP_80, rules=HTTP), IN),
        (ports(TCP_80, rules={"kafka": [{}]}), IN),
        (ports(TCP_80, rules={"l7proto": "x", "l7": [{}]}), IN),
        (ports(UDP_53, rules=DNS), OUT),
        (ports({"port": "53"}, rules=DNS), OUT),
        (ports(rules={}), OUT),
        (ports({**TCP_80, "endPort": 90}, rules=HTTP), OUT),
        (ports(TCP_80, rules=HTTP, serverNames=["a.example"], terminatingTLS={}), OUT),
        (ports(TCP_80, serverNames=["a.example"]), OUT),
        (ports(TCP_80, listener={}), OUT),
        ({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidrGroupRef": "g"}]}, OUT),
    ],
)
def test_what_comes_near_it_is_in_force(entry: dict[str, Any], direction: Direction) -> None:
    assert list(refused(entry, direction, denies=False)) == []


def test_entries_that_deny_are_not_asked_about_layer_7() -> None:
    entry = ports({"port": "0"}, rules={**HTTP, **DNS})
    assert list(refused(entry, IN, denies=True)) == []
    assert len(list(refused(entry, IN, denies=False))) > 1
