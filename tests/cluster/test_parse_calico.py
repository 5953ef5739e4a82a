"""Calico's objects from their raw form: defaults, what is refused, what is kept as not known, and labels in either group."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from evidence.cluster.calico import CalicoPolicy, CalicoPort, CalicoTier, NetworkSet
from evidence.cluster.model import Direction, Protocol, digest_of
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse import Parsed, parse
from evidence.collect.keep import kept
from evidence.collect.kinds import BY_GROUP_KIND

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def read(
    kind: str, spec: Mapping[str, Any], namespace: str = "", group: str = "projectcalico.org", **metadata: Any
) -> Parsed:
    key = ObjectKey(group, kind, namespace, "x")
    body = {"apiVersion": f"{group}/v3", "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}
    return parse([CollectedObject.of(key, body, "f:1")])


def policy(spec: Mapping[str, Any], namespace: str = "") -> CalicoPolicy:
    parsed = read("NetworkPolicy" if namespace else "GlobalNetworkPolicy", spec, namespace)
    assert [str(wrong.error) for wrong in parsed.errors] == []
    return parsed.calico_policies[0]


def wrong(spec: Mapping[str, Any]) -> str:
    return str(read("GlobalNetworkPolicy", spec).errors[0].error)


ALLOW = {"action": "Allow"}


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, {INGRESS}),
        ({"ingress": [ALLOW]}, {INGRESS}),
        ({"egress": [ALLOW]}, {EGRESS}),
        ({"ingress": [ALLOW], "egress": [ALLOW]}, {INGRESS, EGRESS}),
        ({"ingress": [ALLOW], "types": ["Egress"]}, {EGRESS}),
        ({"types": []}, {INGRESS}),
    ],
)
def test_types_are_defaulted_as_documented(spec: dict[str, Any], types: set[Direction]) -> None:
    assert policy(spec).types == types


@pytest.mark.parametrize(
    ("rule", "protocols"),
    [
        ({}, {"TCP", "UDP", "SCTP"}),
        ({"protocol": "TCP"}, {"TCP"}),
        ({"protocol": "udp"}, {"UDP"}),
        ({"protocol": 6}, {"TCP"}),
        ({"protocol": 17}, {"UDP"}),
        ({"protocol": "17"}, {"UDP"}),
        ({"protocol": 132}, {"SCTP"}),
        ({"protocol": "UDPLite"}, set()),
        ({"protocol": 0}, set()),
        ({"protocol": 255}, set()),
        ({"protocol": "ICMP"}, set()),
        ({"protocol": "ICMPv6", "icmp": {"type": 128}}, set()),
        ({"protocol": 47}, set()),
        ({"notProtocol": "TCP"}, {"UDP", "SCTP"}),
        ({"notProtocol": 1}, {"TCP", "UDP", "SCTP"}),
        ({"protocol": "TCP", "notProtocol": "TCP"}, set()),
    ],
)
def test_protocols_by_name_number_and_negation(rule: dict[str, Any], protocols: set[str]) -> None:
    found = policy({"ingress": [{**ALLOW, **rule}]})
    assert set(found.ingress[0].protocols) == {Protocol(name) for name in protocols}
    assert not list(found.unknown())


def test_ports_are_numbers_ranges_and_names() -> None:
    ports = [80, "81", "8000:8080", "http", "0:79", "90:90", 65535]
    rule = policy({"ingress": [{**ALLOW, "protocol": "TCP", "destination": {"ports": ports}}]}).ingress[0]
    assert rule.destination.ports == (
        CalicoPort(80), CalicoPort(81), CalicoPort(8000, 8080), CalicoPort("http"), CalicoPort(0, 79),
        CalicoPort(90, 90), CalicoPort(65535),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"order": "10"}, "spec.order must be a number"),
        ({"order": True}, "spec.order must be a number"),
        ({"types": ["Both"]}, "spec.types[0] must be Ingress or Egress"),
        ({"selector": "app = 'x'"}, "spec.selector "),
        ({"ingress": [{}]}, "spec.ingress[0].action is missing"),
        ({"ingress": [{**ALLOW, "ipVersion": 5}]}, "spec.ingress[0].ipVersion must be 4 or 6"),
        ({"ingress": [{**ALLOW, "source": {"nets": ["10.0.0.0/33"]}}]}, "spec.ingress[0].source.nets[0]"),
        ({"ingress": [{**ALLOW, "source": {"nets": ["x"]}}]}, "spec.ingress[0].source.nets[0]"),
        (
            {"egress": [{**ALLOW, "destination": {"ports": ["9:8"]}}]},
            "spec.egress[0].destination.ports[0] 9:8 ends below",
        ),
        ({"egress": [{**ALLOW, "destination": {"ports": [65536]}}]}, "must be 0 to 65535"),
        ({"egress": [{**ALLOW, "destination": {"ports": ["12345678901"]}}]}, "must be 0 to 65535"),
        ({"egress": [{**ALLOW, "destination": {"ports": ["a b"]}}]}, "is no name of a port"),
        ({"egress": [{**ALLOW, "protocol": 6.5}]}, "spec.egress[0].protocol must be a protocol"),
    ],
)
def test_what_the_api_refuses_is_an_error_that_names_the_field(spec: dict[str, Any], message: str) -> None:
    assert message in wrong(spec)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"newField": 1}, "spec.newField"),
        ({"ingress": [{"action": "Redirect"}]}, "action 'Redirect'"),
        ({"ingress": [{**ALLOW, "protocol": "FOO"}]}, "protocol 'FOO'"),
        ({"ingress": [{**ALLOW, "protocol": 256}]}, "protocol 256"),
        ({"ingress": [{**ALLOW, "source": {"services": {"name": "s"}}}]}, "source.services"),
        ({"ingress": [{**ALLOW, "destination": {"ports": [80]}}]}, "ports without a protocol"),
        (
            {"ingress": [{"action": "Pass", "protocol": "TCP", "source": {"ports": [80]}}]},
            "source ports in a rule that passes",
        ),
        ({"ingress": [{**ALLOW, "protocol": "TCP", "icmp": {"type": 8}}]}, "icmp without protocol"),
        ({"ingress": [{**ALLOW, "notICMP": {"type": 8}}]}, "icmp without protocol"),
        ({"serviceAccountSelector": "team == 'a'"}, "label team of service accounts"),
        ({"selector": "pcsa.team == 'a'"}, "label pcsa.team of service accounts"),
    ],
)
def test_what_is_not_known_is_kept_and_named(spec: dict[str, Any], what: str) -> None:
    assert any(what in unknown.what for unknown in policy(spec).unknown())


@pytest.mark.parametrize(
    "field", [{"namespaceSelector": "all()"}, {"doNotTrack": True}, {"preDNAT": True}, {"applyOnForward": True}]
)
def test_fields_of_global_policies_are_not_known_in_a_namespaced_one(field: dict[str, Any]) -> None:
    assert [unknown.what for unknown in policy(field, "a").unknown()] == [f"spec.{next(iter(field))}"]
    assert not list(policy(field).unknown())
    assert policy(field).api_version == "projectcalico.org/v3"


def test_every_field_of_a_rule_is_known_and_a_zero_value_says_nothing() -> None:
    end = {
        "nets": ["10.0.0.0/8"],
        "notNets": ["10.1.0.0/16"],
        "selector": "has(a)",
        "notSelector": "has(b)",
        "namespaceSelector": "all()",
        "serviceAccounts": {"names": ["robot"], "selector": ""},
        "ports": [80],
        "notPorts": [81],
        "domains": ["a.example"],
        "newField": "",
    }
    rule = {**ALLOW, "protocol": "TCP", "notProtocol": "UDP", "ipVersion": 4, "source": end, "destination": end}
    icmp = {**ALLOW, "protocol": "ICMP", "icmp": {"type": 8}, "notICMP": {"type": 0}}
    more = {"http": {"methods": ["GET"]}, "metadata": {"annotations": {"note": "x"}}, "newField": {}}
    assert not list(policy({"ingress": [{**rule, **more}, icmp]}).unknown())


def test_rules_of_a_direction_that_does_not_count_leave_nothing_unknown() -> None:
    assert not list(policy({"types": ["Egress"], "ingress": [{"action": "Redirect"}]}).unknown())


def test_a_host_endpoint_names_ports_of_its_own() -> None:
    ports = [
        {"name": "metrics", "protocol": "TCP", "port": 9100},
        {"name": "dns", "protocol": 17, "port": 53},
        {"name": "ping", "protocol": "ICMP", "port": 1},
    ]
    (found,) = read("HostEndpoint", {"expectedIPs": ["10.0.0.1"], "ports": ports}).network_sets
    assert found.ports == (("metrics", Protocol.TCP, 9100), ("dns", Protocol.UDP, 53))
    (wrong,) = read("HostEndpoint", {"ports": [{"name": "x", "protocol": "TCP", "port": 70000}]}).errors
    assert "spec.ports[0].port" in str(wrong.error)


@pytest.mark.parametrize(
    ("services", "namespace", "service", "unknown"),
    [
        ({"name": "sql", "namespace": "b"}, "a", ("b", "sql"), 0),
        ({"name": "sql"}, "a", ("a", "sql"), 0),
        ({"name": "sql"}, "", None, 1),
        ({"namespace": "b"}, "a", None, 1),
        ({"name": "sql", "namespace": "b", "newer": 1}, "a", ("b", "sql"), 1),
        ({}, "a", None, 0),
    ],
)
def test_a_service_is_named_with_its_namespace(
    services: dict[str, Any], namespace: str, service: tuple[str, str] | None, unknown: int
) -> None:
    (rule,) = policy({"egress": [{**ALLOW, "destination": {"services": services}}]}, namespace).egress
    assert (rule.destination.service, len(rule.limits)) == (service, unknown)


def test_ports_beside_a_service_as_a_destination_are_not_known() -> None:
    destination = {"services": {"name": "sql", "namespace": "b"}, "ports": [80]}
    (rule,) = policy({"egress": [{**ALLOW, "protocol": "TCP", "destination": destination}]}).egress
    assert [unknown.what for unknown in rule.limits] == ["destination.services with ports"]


def test_a_service_that_is_no_object_is_an_error() -> None:
    (wrong,) = read("NetworkPolicy", {"ingress": [{**ALLOW, "source": {"services": "sql"}}]}, "a").errors
    assert "spec.ingress[0].source.services" in str(wrong.error)


def test_a_single_address_is_a_network_of_its_own() -> None:
    entity = (
        policy({"ingress": [{**ALLOW, "source": {"nets": ["10.0.0.1", "fd00::1"], "notNets": ["10.0.0.0/31"]}}]})
        .ingress[0]
        .source
    )
    assert [str(net) for net in (*entity.nets, *entity.not_nets)] == ["10.0.0.1/32", "fd00::1/128", "10.0.0.0/31"]


@pytest.mark.parametrize(
    ("spec", "tier"),
    [
        ({}, CalicoTier("x", None)),
        ({"order": 5, "defaultAction": "Pass"}, CalicoTier("x", 5.0, passes=True)),
        ({"order": 2.5, "defaultAction": "Deny"}, CalicoTier("x", 2.5)),
    ],
)
def test_tiers(spec: dict[str, Any], tier: CalicoTier) -> None:
    assert read("Tier", spec).calico_tiers == [tier]


@pytest.mark.parametrize(
    ("kind", "namespace", "spec"),
    [
        ("GlobalNetworkSet", "", {"nets": ["10.0.0.0/8"], "allowedEgressDomains": ["a.example"]}),
        ("NetworkSet", "a", {"nets": ["10.0.0.0/8"], "allowedEgressDomains": ["a.example"]}),
        ("HostEndpoint", "", {"expectedIPs": ["10.0.0.0/8"], "allowedEgressDomains": ["a.example"]}),
    ],
)
def test_sets_have_addresses_names_and_labels(kind: str, namespace: str, spec: dict[str, Any]) -> None:
    (found,) = read(kind, spec, namespace, labels={"of": "partners"}).network_sets
    assert [str(net) for net in found.nets] == ["10.0.0.0/8"]
    assert (found.domains, found.labels) == (("a.example",), {"of": "partners"})


@pytest.mark.parametrize("stored", ["{", "[]", '{"labels": {"a": 1}}'])
def test_an_annotation_that_holds_no_labels_is_an_error_that_names_it(stored: str) -> None:
    annotations = {"projectcalico.org/metadata": stored}
    (wrong,) = read("GlobalNetworkSet", {}, group="crd.projectcalico.org", annotations=annotations).errors
    assert "metadata.annotations.projectcalico.org/metadata" in str(wrong.error)


def test_labels_of_a_set_stand_in_an_annotation_in_the_other_group() -> None:
    stored = json.dumps({"labels": {"a": "1", "b": "2"}, "annotations": {"note": "do not keep"}})
    body = {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "GlobalNetworkSet",
        "metadata": {"name": "x", "labels": {"a": "0"}, "annotations": {"projectcalico.org/metadata": stored}},
        "spec": {"nets": ["10.0.0.0/8"]},
    }
    kind = BY_GROUP_KIND["crd.projectcalico.org", "GlobalNetworkSet"]
    cut = kept(kind, body, namespace="", api_version="crd.projectcalico.org/v1")
    assert "do not keep" not in json.dumps(cut)
    key = ObjectKey("crd.projectcalico.org", "GlobalNetworkSet", "", "x")
    found: list[NetworkSet] = parse([CollectedObject.of(key, cut, "f:1")]).network_sets
    assert found[0].labels == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("kind", "namespace", "spec", "expected"),
    [
        ("StagedNetworkPolicy", "a", {"selector": "not even read"}, ("Set", "default", "NetworkPolicy")),
        (
            "StagedGlobalNetworkPolicy",
            "",
            {"stagedAction": "Delete", "tier": "t"},
            ("Delete", "t", "GlobalNetworkPolicy"),
        ),
        ("StagedKubernetesNetworkPolicy", "a", {"podSelector": {}}, ("Set", "default", "NetworkPolicy")),
    ],
)
def test_staged_policies_are_named_and_nothing_else(
    kind: str, namespace: str, spec: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    parsed = read(kind, spec, namespace)
    (found,) = parsed.cluster().staged_policies
    assert (found.action, found.tier, found.enforced_key.kind) == expected
    assert found.key == ObjectKey("projectcalico.org", kind, namespace, "x")
    assert (parsed.errors, parsed.other_policies, parsed.cluster().calico) == ([], [], None)


def test_policies_are_cited_by_where_they_were_read_and_by_their_digest_and_are_the_same_wherever_that_was() -> None:
    (staged,) = read("StagedNetworkPolicy", {}, "a").cluster().staged_policies
    enforced = policy({}, "a")
    assert staged.origin is not None
    assert enforced.origin is not None
    assert (staged.source, staged.digest) == ("f:1", digest_of(staged.origin))
    assert (enforced.source, enforced.digest) == ("f:1", digest_of(enforced.origin))
    made_up, also = replace(staged, origin=None), replace(enforced, origin=None)
    assert (made_up.source, made_up.digest, also.source, also.digest) == ("", "", "", "")
    assert (made_up, also) == (staged, enforced)


def test_what_is_staged_beside_the_namespaces_own_kind_would_become_kubernetes() -> None:
    (found,) = read("StagedKubernetesNetworkPolicy", {}, "a").cluster().staged_policies
    assert found.enforced_key == ObjectKey("networking.k8s.io", "NetworkPolicy", "a", "x")


def test_pods_have_the_labels_of_their_service_accounts_when_those_are_there() -> None:
    objects = [
        CollectedObject.of(
            ObjectKey("", "ServiceAccount", "a", "robot"), {"metadata": {"labels": {"team": "x"}}}, "f:1"
        ),
        CollectedObject.of(ObjectKey("", "Pod", "a", "one"), {"spec": {"serviceAccountName": "robot"}}, "f:2"),
        CollectedObject.of(ObjectKey("", "Pod", "a", "two"), {"spec": {}}, "f:3"),
    ]
    policy = CollectedObject.of(ObjectKey("projectcalico.org", "NetworkPolicy", "a", "x"), {"spec": {}}, "f:4")
    assert [pod.account_labels for pod in parse([*objects, policy]).cluster().pods] == [{"team": "x"}, None]
    assert [pod.account_labels for pod in parse(objects).cluster().pods] == [None, None]


def test_the_namespace_of_a_policy_is_there_though_no_object_of_it_was_read() -> None:
    assert "a" in read("NetworkPolicy", {}, "a").cluster().namespaces
