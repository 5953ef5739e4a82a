"""AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy: two spellings, one meaning; what is unknown stays visible."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from evidence.cluster.model import PodPeer, Protocol
from evidence.cluster.policies import (
    Action,
    ClusterPolicy,
    ClusterPolicyPort,
    DomainNamesPeer,
    NetworksPeer,
    NodePeer,
    Tier,
    Unknown,
)
from evidence.cluster.selectors import LabelSelector
from evidence.errors import InputError
from tests.builders import selector
from tests.manifests import body, cluster_of

GROUP = "policy.networking.k8s.io"
EVERYWHERE = PodPeer(LabelSelector(), None)
SUBJECT: dict[str, Any] = {"subject": {"namespaces": {}}}


def policy(kind: str, **spec: Any) -> ClusterPolicy:
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    return cluster_of(body(f"{GROUP}/{version}", kind, spec=spec)).cluster_policies[0]


def admin(**spec: Any) -> ClusterPolicy:
    return policy("AdminNetworkPolicy", **{"priority": 5, **SUBJECT, **spec})


def cnp(**spec: Any) -> ClusterPolicy:
    return policy("ClusterNetworkPolicy", **{"tier": "Admin", "priority": 5, **SUBJECT, **spec})


def test_tiers_and_priorities() -> None:
    assert (admin().tier, admin().priority) == (Tier.ADMIN, 5)
    assert (
        policy("BaselineAdminNetworkPolicy", **SUBJECT).tier,
        policy("BaselineAdminNetworkPolicy", **SUBJECT).priority,
    ) == (Tier.BASELINE, 0)
    assert cnp(tier="Baseline").tier is Tier.BASELINE


@pytest.mark.parametrize(
    ("word", "action"),
    [("Allow", Action.ACCEPT), ("Deny", Action.DENY), ("Pass", Action.PASS), ("Log", Unknown("action 'Log'"))],
)
def test_actions(word: str, action: Action | Unknown) -> None:
    assert admin(ingress=[{"action": word, "from": [{"namespaces": {}}]}]).ingress[0].action == action


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"namespaces": {}}, EVERYWHERE),
        ({"namespaces": {"matchLabels": {"a": "b"}}}, PodPeer(selector({"a": "b"}), None)),
        (
            {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}},
            PodPeer(LabelSelector(), selector({"a": "b"})),
        ),
        ({"pods": {"podSelector": {}}}, PodPeer(LabelSelector(), LabelSelector())),
        ({"nodes": {"matchLabels": {"role": "edge"}}}, NodePeer(selector({"role": "edge"}))),
        ({"networks": ["10.0.0.0/8", "fd00::/8"]}, NetworksPeer((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))),
        ({"domainNames": ["*.example.com"]}, DomainNamesPeer(("*.example.com",))),
        ({}, Unknown("to peer without any field")),
        ({"services": {}}, Unknown("to peer services")),
        ({"namespaces": {"sameLabels": ["a"]}}, Unknown("to peer namespaces.sameLabels")),
        ({"pods": {"namespaces": {}, "podSelector": {}}}, Unknown("to peer pods.namespaces")),
    ],
)
def test_egress_peers(peer: dict[str, Any], expected: object) -> None:
    found = admin(egress=[{"action": "Deny", "to": [peer]}])
    assert found.egress[0].peers == (expected,)
    assert bool(list(found.unknown())) is isinstance(expected, Unknown)


@pytest.mark.parametrize("peer", [{"nodes": {}}, {"networks": ["10.0.0.0/8"]}, {"domainNames": ["a.b"]}])
def test_peers_that_only_egress_has_are_unknown_in_ingress(peer: dict[str, Any]) -> None:
    assert isinstance(admin(ingress=[{"action": "Deny", "from": [peer]}]).ingress[0].peers[0], Unknown)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"portNumber": {"port": 80}}, ClusterPolicyPort(Protocol.TCP, 80)),
        ({"portNumber": {"protocol": "UDP", "port": 53}}, ClusterPolicyPort(Protocol.UDP, 53)),
        ({"portRange": {"protocol": "SCTP", "start": 1, "end": 9}}, ClusterPolicyPort(Protocol.SCTP, 1, 9)),
        ({"namedPort": "http"}, ClusterPolicyPort(None, "http")),
        ({"portNumber": {"protocol": "QUIC", "port": 80}}, Unknown("protocol 'QUIC'")),
        ({"portSet": {}}, Unknown("port portSet")),
    ],
)
def test_ports_of_v1alpha1(port: dict[str, Any], expected: object) -> None:
    assert admin(ingress=[{"action": "Deny", "from": [{"namespaces": {}}], "ports": [port]}]).ingress[0].ports == (
        expected,
    )


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ({"tcp": {"destinationPort": {"number": 80}}}, ClusterPolicyPort(Protocol.TCP, 80)),
        ({"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}}, ClusterPolicyPort(Protocol.UDP, 1, 9)),
        ({"sctp": {}}, ClusterPolicyPort(Protocol.SCTP)),
        ({"destinationNamedPort": "http"}, ClusterPolicyPort(None, "http")),
        ({"tcp": {"sourcePort": {"number": 80}}}, Unknown("protocol field sourcePort")),
        ({"icmp": {}}, Unknown("protocol icmp")),
        ({}, Unknown("protocol without any field")),
    ],
)
def test_protocols_of_v1alpha2(protocol: dict[str, Any], expected: object) -> None:
    found = cnp(egress=[{"action": "Deny", "to": [{"namespaces": {}}], "protocols": [protocol]}])
    assert found.egress[0].ports == (expected,)


def test_unknown_fields_of_rules_and_policies_stay_visible() -> None:
    found = admin(ingress=[{"action": "Allow", "from": [{"namespaces": {}}], "schedule": "x"}], mode="audit")
    assert [part.what for part in found.unknown()] == ["spec.mode", "field schedule"]
    assert not list(admin(ingress=[{"action": "Allow", "from": [{"namespaces": {}}]}]).unknown())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"priority": None}, "spec.priority is missing"),
        ({"priority": 1001}, "spec.priority must be 0 to 1000, not 1001"),
        ({"subject": None}, "spec.subject is missing"),
        ({"subject": {"namespaces": {}, "pods": {}}}, "spec.subject.pods cannot stand beside namespaces"),
        ({"ingress": [{"action": "Allow"}]}, "spec.ingress[0].from must hold at least one peer"),
        ({"egress": [{"to": [{"namespaces": {}}]}]}, "spec.egress[0].action is missing"),
        ({"egress": [{"action": "Deny", "to": [{"networks": ["10.0.0.0"]}]}]}, "spec.egress[0].to[0].networks[0] '10.0.0.0' is not a network"),
        (
            {"egress": [{"action": "Deny", "to": [{"namespaces": {}}], "ports": [{"portRange": {"start": 9, "end": 1}}]}]},
            "spec.egress[0].ports[0].portRange.end 1 is below start 9",
        ),
        ({"subject": {"pods": {"podSelector": {"matchLabels": {"a": 1}}}}}, "spec.subject.pods.podSelector.matchLabels.a must be a string"),
    ],
)  # fmt: skip
def test_what_the_api_requires_is_required(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        admin(**spec)
    assert message in str(caught.value)


def test_a_tier_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match=r"spec\.tier must be Admin or Baseline, not 'Platform'"):
        cnp(tier="Platform")


def test_a_policy_is_cited_by_what_was_read_and_the_same_wherever_that_was() -> None:
    found = admin()
    assert found.origin
    assert (found.source, found.digest) == ("test.yaml:1", found.origin.digest)
    alone = replace(found, origin=None)
    assert (alone.source, alone.digest) == ("", "")
    assert alone == found


def test_the_same_kind_of_another_maker_is_not_read_as_ours() -> None:
    cluster = cluster_of(body("crd.antrea.io/v1beta1", "ClusterNetworkPolicy", spec={"priority": 5}))
    assert cluster.cluster_policies == ()
    assert [policy.key.group for policy in cluster.other_policies] == ["crd.antrea.io"]
