"""NetworkPolicy objects: defaults as the API server sets them, and what it would refuse."""

from ipaddress import ip_network
from typing import Any

import pytest

from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, PodPeer, PolicyPort, Protocol, Rule
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.errors import InputError
from tests.builders import selector
from tests.manifests import cluster_of, policy_body

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def policy(**spec: Any) -> NetworkPolicy:
    return cluster_of(policy_body(spec)).policies[0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {INGRESS}),
        ({"policyTypes": None}, {INGRESS}),
        ({"policyTypes": []}, {INGRESS}),
        ({"ingress": [{}]}, {INGRESS}),
        ({"egress": []}, {INGRESS}),
        ({"egress": [{}]}, {INGRESS, EGRESS}),
        ({"policyTypes": ["Egress"]}, {EGRESS}),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, {EGRESS}),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, {INGRESS}),
        ({"policyTypes": ["Ingress", "Egress"]}, {INGRESS, EGRESS}),
    ],
)
def test_policy_types_are_defaulted_as_by_the_api_server(spec: dict[str, Any], expected: set[Direction]) -> None:
    assert policy(podSelector={}, **spec).policy_types == expected


@pytest.mark.parametrize("spec", [{}, {"podSelector": None}, {"podSelector": {}}, {"podSelector": {"matchLabels": {}}}])
def test_a_missing_or_empty_pod_selector_selects_every_pod(spec: dict[str, Any]) -> None:
    assert policy(**spec).pod_selector == LabelSelector()


def test_a_selector_is_the_same_whatever_the_order_it_was_written_in() -> None:
    one = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [{"key": "c", "operator": "In", "values": ["y", "x", "x"]}],
    }
    assert policy(podSelector=one).pod_selector == selector(
        {"a": "1", "b": "2"}, Requirement("c", Operator.IN, ("x", "y"))
    )
    assert policy(podSelector={"matchLabels": {"b": "2", "a": "1"}}).pod_selector == selector({"a": "1", "b": "2"})


@pytest.mark.parametrize("side", ["from", "to"])
@pytest.mark.parametrize("peers", [None, []])
def test_a_rule_without_peers_or_ports_is_open_to_everything(side: str, peers: Any) -> None:
    direction = "ingress" if side == "from" else "egress"
    rule = policy(**{direction: [{side: peers, "ports": None}]}).rules(INGRESS if side == "from" else EGRESS)
    assert rule == (Rule((), ()),)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, PodPeer(None, LabelSelector())),
        ({"namespaceSelector": {}}, PodPeer(LabelSelector(), None)),
        (
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}},
            PodPeer(LabelSelector(), selector({"a": "b"})),
        ),
        ({"namespaceSelector": {"matchLabels": {"a": "b"}}}, PodPeer(selector({"a": "b"}), None)),
        ({"namespaceSelector": None, "podSelector": {}}, PodPeer(None, LabelSelector())),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, IpBlock(ip_network("10.0.0.0/8"))),
        (
            {"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.9.9.9/16"]}},
            IpBlock(ip_network("10.0.0.0/8"), (ip_network("10.9.0.0/16"),)),
        ),
        ({"ipBlock": {"cidr": "010.0.0.0/8"}}, IpBlock(ip_network("10.0.0.0/8"))),
        ({"ipBlock": {"cidr": "fd00::1/8"}}, IpBlock(ip_network("fd00::/8"))),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": None}}, IpBlock(ip_network("0.0.0.0/0"))),
        (
            {
                "ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.9.0.0/24", "11.0.0.0/8"]}
            },  # take nothing away; manifests hold such
            IpBlock(ip_network("10.0.0.0/16"), (ip_network("10.9.0.0/24"), ip_network("11.0.0.0/8"))),
        ),
    ],
)
def test_peers(peer: dict[str, Any], expected: IpBlock | PodPeer) -> None:
    assert policy(ingress=[{"from": [peer]}]).ingress[0].peers == (expected,)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({}, PolicyPort(Protocol.TCP, None)),
        ({"protocol": None, "port": 80}, PolicyPort(Protocol.TCP, 80)),
        ({"protocol": "UDP", "port": "dns"}, PolicyPort(Protocol.UDP, "dns")),
        ({"protocol": "SCTP"}, PolicyPort(Protocol.SCTP, None)),
        ({"port": 1, "endPort": 1}, PolicyPort(Protocol.TCP, 1, 1)),
        ({"port": 1, "endPort": 65535}, PolicyPort(Protocol.TCP, 1, 65535)),
        ({"port": 80, "endPort": 80}, PolicyPort(Protocol.TCP, 80, 80)),
    ],
)
def test_ports(port: dict[str, Any], expected: PolicyPort) -> None:
    assert policy(egress=[{"ports": [port]}]).egress[0].ports == (expected,)


def from_peer(peer: Any) -> dict[str, Any]:
    return {"ingress": [{"from": [peer]}]}


def to_port(port: Any) -> dict[str, Any]:
    return {"egress": [{}, {"ports": [port]}]}


def requirement(**fields: Any) -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [fields]}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (from_peer({"ipBlock": {"cidr": "10.0.0.0/33"}}), "from[0].ipBlock.cidr '10.0.0.0/33' is not a network: the prefix length must be 0 to 32"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.0"}}), "cidr '10.0.0.0' is not a network: it has no prefix length; did you mean 10.0.0.0/32?"),
        (from_peer({"ipBlock": {"cidr": "fd00::1"}}), "it has no prefix length; did you mean fd00::1/128?"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.0/255.0.0.0"}}), "the prefix length must be 0 to 32"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.256/8"}}), "'10.0.0.256' is not an IP address"),
        (from_peer({"ipBlock": {"cidr": "fe80::1%eth0/64"}}), "is not an IP address"),
        (from_peer({"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}}), "write it as IPv4"),
        (from_peer({"ipBlock": {"cidr": "fd00::/129"}}), "the prefix length must be 0 to 128"),
        (from_peer({"ipBlock": {"cidr": 10}}), "cidr must be a string such as 10.0.0.0/8, not 10"),
        (from_peer({"ipBlock": {}}), "spec.ingress[0].from[0].ipBlock.cidr is missing"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}), "ipBlock.except[0] 10.0.0.0/8 leaves nothing of cidr 10.0.0.0/8"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/8"]}}), "ipBlock.except[0] fd00::/8 is IPv6 and cidr 10.0.0.0/8 is not"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0"]}}), "ipBlock.except[0] '10.1.0.0' is not a network"),
        (from_peer({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}), "spec.ingress[0].from[0].ipBlock cannot stand beside podSelector"),
        (from_peer({}), "spec.ingress[0].from[0] names no peer"),
        (from_peer("web"), "spec.ingress[0].from[0] must be an object, not 'web'"),
        (from_peer({"podSelectors": {}}), "spec.ingress[0].from[0].podSelectors is not a field here"),
        ({"ingress": {"from": []}}, "spec.ingress must be a list, not an object"),
        ({"ingres": []}, "spec.ingres is not a field here"),
        ({"ingress": [{"to": []}]}, "spec.ingress[0].to is not a field here"),
        ({"policyTypes": ["ingress"]}, "spec.policyTypes[0] must be Ingress or Egress, not 'ingress'"),
        ({"policyTypes": "Ingress"}, "spec.policyTypes must be a list, not 'Ingress'"),
        (requirement(key="a", operator="in", values=["b"]), "operator must be one of In, NotIn, Exists, DoesNotExist, not 'in'; did you mean In?"),
        (requirement(key="a", operator="In"), "values must hold at least one value for operator In"),
        (requirement(key="a", operator="Exists", values=["b"]), "values must be empty for operator Exists"),
        ({"podSelector": {"matchExpressions": {}}}, "spec.podSelector.matchExpressions must be a list, not an object"),
        (requirement(operator="Exists"), "matchExpressions[0].key is missing"),
        ({"podSelector": {"matchLabels": {"on": True}}}, "spec.podSelector.matchLabels.on must be a string, not true; put it in quotes"),
        ({"podSelector": {"matchLabels": {"a": None, "b": []}}}, "spec.podSelector.matchLabels.b must be a string, not"),
        ({"podSelector": {"matchLabels": ["a"]}}, "spec.podSelector.matchLabels must be an object, not a list"),
        (to_port({"port": 0}), "spec.egress[1].ports[0].port must be 1 to 65535, not 0"),
        (to_port({"port": 65536}), "port must be 1 to 65535, not 65536"),
        (to_port({"port": "80"}), "spec.egress[1].ports[0].port '80' is a string; write the number without quotes"),
        (to_port({"port": ""}), "port is an empty string; leave it out to mean every port"),
        (to_port({"port": True}), "port must be a whole number, not true"),
        (to_port({"port": 80.5}), "port must be a whole number, not 80.5"),
        (to_port({"port": 80, "endPort": 79}), "spec.egress[1].ports[0].endPort 79 is below port 80"),
        (to_port({"port": "http", "endPort": 90}), "endPort needs a numeric port, not 'http'"),
        (to_port({"endPort": 90}), "endPort needs a numeric port, not none"),
        (to_port({"protocol": "tcp"}), "protocol must be one of SCTP, TCP, UDP, not 'tcp'; did you mean TCP?"),
        (to_port({"protocol": "ICMP"}), "protocol must be one of SCTP, TCP, UDP, not 'ICMP'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place_object_and_field(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        cluster_of(policy_body(spec, "db", "shop"))
    assert str(caught.value).startswith("test.yaml:1: NetworkPolicy shop/db: spec")
    assert message in str(caught.value)


def test_a_spec_that_is_no_object_is_refused() -> None:
    with pytest.raises(InputError, match="spec must be an object, not a list"):
        cluster_of(policy_body([]))
