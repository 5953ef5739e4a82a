"""CiliumNetworkPolicy and its clusterwide twin: what is understood is typed, what is not stays visible, and nothing opens in silence."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cluster.cilium import (
    CidrGroupPeer,
    CiliumPolicy,
    CiliumPort,
    CiliumRule,
    CiliumSpec,
    Endpoints,
    Entity,
    ForeignPeer,
    FqdnPeer,
    NoPods,
    ServicePeer,
)
from evidence.cluster.cilium_selectors import part_of_identity
from evidence.cluster.model import Direction, IpBlock, Protocol
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.policies import Unknown
from evidence.cluster.selectors import SERVICE_ACCOUNT, LabelSelector, Operator, Requirement
from evidence.errors import InputError
from tests.builders import NAME_LABEL, block, selector
from tests.manifests import body, cluster_of

IN, OUT = Direction.INGRESS, Direction.EGRESS
ALL_PODS = Endpoints(None, LabelSelector())


def policy(spec: Any = None, specs: Any = None, clusterwide: bool = False) -> CiliumPolicy:
    kind = "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy"
    parts = {key: value for key, value in (("spec", spec), ("specs", specs)) if value is not None}
    return cluster_of(body("cilium.io/v2", kind, "a", "shop", **parts)).cilium_policies[0]


def spec(clusterwide: bool = False, **fields: Any) -> CiliumSpec:
    return policy({"endpointSelector": {}, **fields}, clusterwide=clusterwide).specs[0]


def ingress(clusterwide: bool = False, **rule: Any) -> CiliumRule:
    return spec(clusterwide, ingress=[rule]).allows[IN][0]


def egress(**rule: Any) -> CiliumRule:
    return spec(egress=[rule]).allows[OUT][0]


def words(policy: CiliumPolicy | CiliumSpec | CiliumRule) -> list[str]:
    return [unknown.what for unknown in policy.unknown()]


def test_spec_and_specs_both_count() -> None:
    found = policy({"endpointSelector": {}, "ingress": [{}]}, [{"endpointSelector": {}, "egressDeny": [{}]}])
    assert [rule.where for one in found.specs for rule in (*one.allows[IN], *one.denies[OUT])] == [
        "spec.ingress[0]",
        "specs[0].egressDeny[0]",
    ]


@pytest.mark.parametrize(
    ("fields", "closed"),
    [
        ({}, set()),
        ({"ingress": []}, set()),
        ({"ingress": None}, set()),
        ({"ingress": [{}]}, {IN}),
        ({"ingressDeny": [{}]}, {IN}),
        ({"egress": [{}], "ingress": []}, {OUT}),
        ({"ingress": [{}], "enableDefaultDeny": {"ingress": False}}, set()),
        ({"ingress": [{}], "enableDefaultDeny": {"egress": True}}, {IN}),
        ({"egressDeny": [{}], "egress": [{}], "enableDefaultDeny": {"egress": False, "ingress": True}}, set()),
    ],
)
def test_a_direction_closes_with_an_entry_unless_told_otherwise(fields: Any, closed: set[Direction]) -> None:
    assert spec(**fields).default_deny == closed


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ALL_PODS),
        ({"app": "web"}, Endpoints(None, selector({"app": "web"}))),
        ({"k8s:app": "web", "any:tier": "x"}, Endpoints(None, selector({"app": "web", "tier": "x"}))),
        ({"k8s:io.kubernetes.pod.namespace": "db"}, Endpoints(selector({NAME_LABEL: "db"}), LabelSelector())),
        (
            {"io.cilium.k8s.namespace.labels.team": "a", "app": "web"},
            Endpoints(selector({"team": "a"}), selector({"app": "web"})),
        ),
        ({"io.cilium.k8s.policy.serviceaccount": "robot"}, Endpoints(None, selector({SERVICE_ACCOUNT: "robot"}))),
        ({"k8s:io.cilium.k8s.policy.serviceaccount": "robot"}, Endpoints(None, selector({SERVICE_ACCOUNT: "robot"}))),
        ({"any:io.cilium.k8s.policy.serviceaccount": "robot"}, Endpoints(None, selector({SERVICE_ACCOUNT: "robot"}))),
        ({"app.kubernetes.io/name": "web"}, Endpoints(None, selector({"app.kubernetes.io/name": "web"}))),
        ({"reserved:host": ""}, Entity.HOST),
        ({"reserved:kube-apiserver": ""}, Entity.KUBE_APISERVER),
    ],
)
def test_label_keys_of_peers(keys: dict[str, str], expected: object) -> None:
    assert ingress(fromEndpoints=[{"matchLabels": keys}]).peers == (expected,)


def test_a_clusterwide_policy_means_every_namespace() -> None:
    assert ingress(True, fromEndpoints=[{}]).peers == (Endpoints(LabelSelector(), LabelSelector()),)
    assert spec(True, ingress=[{}]).subject == Endpoints(LabelSelector(), LabelSelector())


@pytest.mark.parametrize(
    "key",
    [
        "container:app", "cidr:10.0.0.0/8", "io.cilium.k8s.policy.cluster", "pod-template-hash",
        "k8s:kubernetes.io/os", "statefulset.kubernetes.io/pod-name", "batch.kubernetes.io/controller-uid", "reserved:unheard-of",
        "io.kubernetes.pod.uid", "etcd_node", "controller-uid", "batch.kubernetes.io/job-completion-index", "$kind", "reserved:host",
    ],
)  # fmt: skip
def test_what_cannot_be_told_of_a_pod_is_unknown(key: str) -> None:
    rule = ingress(fromEndpoints=[{"matchLabels": {key: "x"}}])
    (word,) = words(rule)
    assert key.rpartition(":")[2] in word
    assert not isinstance(spec(endpointSelector={"matchLabels": {key: "x"}}).subject, Endpoints)


def test_which_labels_of_a_pod_are_part_of_its_identity() -> None:
    labels = ("app", "app.kubernetes.io/name", "pod-template-hash", "k8s.io/x", "io.cilium.k8s.policy.cluster")
    assert [key for key in labels if part_of_identity(key)] == ["app", "app.kubernetes.io/name"]


@pytest.mark.parametrize(
    "asked",
    [
        {"matchLabels": {"reserved:host": "", "app": "web"}},
        {"matchLabels": {"reserved:host": "", "io.kubernetes.pod.namespace": "db"}},
        {"matchLabels": {"reserved:host": "", "reserved:remote-node": ""}},
        {"matchExpressions": [{"key": "reserved:host", "operator": "NotIn", "values": [""]}]},
    ],
)
def test_a_reserved_label_is_an_entity_only_by_itself(asked: Any) -> None:
    (peer,) = ingress(fromEndpoints=[asked]).peers or ()
    assert isinstance(peer, Unknown)
    alone = {"matchExpressions": [{"key": "reserved:host", "operator": "Exists"}]}
    assert ingress(fromEndpoints=[alone]).peers == (Entity.HOST,)


def test_reserved_labels_are_on_no_pod() -> None:
    expression = {"key": "reserved:ingress", "operator": "DoesNotExist"}
    assert spec(endpointSelector={"matchExpressions": [expression]}).subject == ALL_PODS
    assert isinstance(spec(endpointSelector={"matchLabels": {"reserved:host": ""}}).subject, NoPods)
    assert words(ingress(fromEndpoints=[{"matchExpressions": [expression]}])) != []


def test_the_subject_stays_in_its_own_namespace() -> None:
    own, other = ({"matchLabels": {"io.kubernetes.pod.namespace": name}} for name in ("shop", "db"))
    assert spec(endpointSelector=own).subject == ALL_PODS
    assert isinstance(spec(endpointSelector=other).subject, Unknown)
    wide = spec(True, endpointSelector=other).subject
    assert wide == Endpoints(selector({NAME_LABEL: "db"}), LabelSelector())


def test_expressions_of_a_clusterwide_subject() -> None:
    found = spec(
        True,
        endpointSelector={
            "matchExpressions": [
                {"key": "io.kubernetes.pod.namespace", "operator": "NotIn", "values": ["kube-system"]},
                {"key": "k8s:app", "operator": "Exists"},
            ]
        },
    ).subject
    assert found == Endpoints(
        LabelSelector((Requirement(NAME_LABEL, Operator.NOT_IN, ("kube-system",)),)),
        LabelSelector((Requirement("app", Operator.EXISTS),)),
    )


def test_nodes_as_subject_hold_no_pods_and_are_named() -> None:
    found = policy({"nodeSelector": {"matchLabels": {"a": "b"}}, "ingress": [{}]}, clusterwide=True)
    assert isinstance(found.specs[0].subject, NoPods)
    assert words(found) == ["spec.nodeSelector (host firewall)"]


@pytest.mark.parametrize(
    ("rule", "peers"),
    [
        ({}, None),
        ({"toCIDR": None}, None),
        ({"toEntities": []}, ()),
        ({"toEndpoints": [], "toCIDR": ["10.0.0.0/8"]}, ()),
        ({"toServices": []}, None),
        ({"toFQDNs": []}, None),
        ({"toGroups": []}, None),
        ({"toCIDR": ["10.1.2.3/8", "192.0.2.1", "2001:db8::1"]}, (block("10.0.0.0/8"), block("192.0.2.1/32"), block("2001:db8::1/128"))),
        ({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}, (block("10.0.0.0/8", "10.1.0.0/16"),)),
        ({"toCIDRSet": [{"cidr": "10.0.0.0/8", "moon": 1}]}, (Unknown("spec.egress[0].toCIDRSet.moon"),)),
        ({"toCIDRSet": [{"cidrGroupRef": "g", "except": ["10.1.0.0/16"]}]}, (CidrGroupPeer("g", None, (ip_network("10.1.0.0/16"),)),)),
        ({"toCIDRSet": [{"cidrGroupSelector": {"matchLabels": {"a": "b"}}}]}, (CidrGroupPeer("", selector({"a": "b"})),)),
        ({"toEntities": ["world", "kube-apiserver"]}, (Entity.WORLD, Entity.KUBE_APISERVER)),
        ({"toFQDNs": [{"matchName": "a.example"}, {"matchPattern": "*.b.example"}]}, (FqdnPeer(("a.example", "*.b.example")),)),
        ({"toServices": [{"k8sService": {"serviceName": "db"}}]}, (ServicePeer("", "db"),)),
        ({"toServices": [{"k8sService": {"serviceName": "db", "namespace": "x"}}]}, (ServicePeer("x", "db"),)),
        ({"toServices": [{"k8sServiceSelector": {"selector": {}}}]}, (ServicePeer("", "", LabelSelector()),)),
        (
            {"toServices": [{"k8sServiceSelector": {"selector": {"matchLabels": {"any:a": "b", "k8s:c": "d"}}}}]},
            (ServicePeer("", "", selector({"a": "b", "c": "d"})),),
        ),
        (
            {"toServices": [{"k8sServiceSelector": {"selector": {"matchLabels": {"container:a": "b"}}}}]},
            (Unknown("spec.egress[0].toServices by container:a"),),
        ),
        ({"toGroups": [{"aws": {}}]}, (ForeignPeer("spec.egress[0].toGroups (aws)"),)),
    ],
)  # fmt: skip
def test_peers(rule: Any, peers: object) -> None:
    assert egress(**rule).peers == peers


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"port": "80", "protocol": "TCP"}, (CiliumPort(Protocol.TCP, 80),)),
        ({"port": 80, "protocol": "tcp"}, (CiliumPort(Protocol.TCP, 80),)),
        ({"port": "80"}, (CiliumPort(None, 80),)),
        ({"port": "80", "protocol": "ANY", "endPort": 90}, (CiliumPort(None, 80, 90),)),
        ({"port": "80", "endPort": 70}, (CiliumPort(None, 80),)),
        ({"port": "HTTP", "protocol": "SCTP", "endPort": 90}, (CiliumPort(Protocol.SCTP, "http"),)),
        ({"port": "0", "protocol": "UDP"}, (CiliumPort(Protocol.UDP),)),
        ({"port": "80", "endPort": 0}, (CiliumPort(None, 80),)),
        ({"port": "65535"}, (CiliumPort(None, 65535),)),
        ({"port": "8", "protocol": "ICMP"}, ()),
        ({"port": "8", "protocol": "ICMPv6"}, ()),
        ({"port": "8", "protocol": "VRRP"}, ()),
        ({"port": "8", "protocol": "IGMP"}, ()),
        ({"port": "80", "protocol": "QUIC"}, (Unknown("spec.ingress[0].toPorts protocol 'QUIC'"),)),
        ({"port": "80", "moon": 1}, (Unknown("spec.ingress[0].toPorts field moon"),)),
    ],
)
def test_ports(entry: Any, expected: object) -> None:
    assert ingress(toPorts=[{"ports": [entry]}]).ports == expected


def test_an_entry_without_ports_allows_all_and_denies_none() -> None:
    assert ingress(toPorts=[{"rules": {"http": [{}]}}]).ports == (CiliumPort(None),)
    assert spec(ingressDeny=[{"toPorts": [{}]}]).denies[IN][0].ports == ()
    assert ingress(toPorts=[]).ports is None


def test_only_icmp_is_no_port() -> None:
    found = ingress(icmps=[{"fields": [{"type": 8}]}])
    assert (found.ports, words(found)) == ((), [])


def test_groups_that_are_none_do_not_limit_who_is_let_in() -> None:
    assert ingress(fromGroups=[], toPorts=[{"ports": [{"port": "80"}]}]).peers is None


def test_fields_that_decide_nothing_are_known() -> None:
    found = policy({"endpointSelector": {}, "labels": [], "description": "what for", "log": {"value": "x"}})
    assert (words(found), found.doubts, found.api_version) == ([], (), "cilium.io/v2")


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ({"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{"path": "/x"}]}}]}, "layer 7 rules"),
        ({"toPorts": [{"ports": [{"port": "80"}], "terminatingTLS": {"secret": {}}}]}, "layer 7 rules"),
        ({"toPorts": [{"ports": [{"port": "80"}], "originatingTLS": {"secret": {}}}]}, "layer 7 rules"),
        ({"toPorts": [{"ports": [{"port": "80"}], "serverNames": ["a.example"]}]}, "layer 7 rules"),
        ({"toPorts": [{"ports": [{"port": "80"}], "listener": {"name": "x"}}]}, "layer 7 rules"),
        ({"authentication": {"mode": "required"}}, "authentication"),
        ({"fromRequires": [{"matchLabels": {"a": "b"}}]}, "fromRequires (before Cilium 1.19)"),
    ],
)
def test_what_can_only_let_less_pass_is_noted_and_not_unknown(rule: Any, limit: str) -> None:
    found = ingress(**rule)
    assert found.limits == (limit,)
    assert words(found) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"ingress": [{"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]}]},
        {"ingress": [{"icmps": [{}], "toPorts": [{"ports": [{"port": "80"}]}]}]},
        {"egress": [{"toNodes": [{"matchLabels": {"a": "b"}}]}]},
        {"nodeSelector": {}},
        {"mode": "audit"},
    ],
)
def test_what_agents_may_refuse_or_read_otherwise_puts_the_rule_object_in_doubt(fields: Any) -> None:
    assert spec(**fields).doubts


def test_authentication_that_is_switched_off_limits_nothing() -> None:
    assert ingress(authentication={"mode": "disabled"}).limits == ()


def test_unknown_fields_entities_and_missing_selectors_are_named() -> None:
    assert words(ingress(fromMoon=["x"])) == ["spec.ingress[0].fromMoon"]
    assert words(ingress(fromEntities=["moon"])) == ["spec.ingress[0].fromEntities 'moon'"]
    assert words(policy({"ingress": [{}]})) == ["spec without endpointSelector, which agents refuse"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ingress": {}}, "spec.ingress must be a list, not an object"),
        ({"ingress": [{"fromCIDR": ["10.0.0.0/64"]}]}, "spec.ingress[0].fromCIDR[0]"),
        ({"ingress": [{"fromCIDRSet": [{}]}]}, "spec.ingress[0].fromCIDRSet[0].cidr is missing"),
        ({"ingress": [{"fromEndpoints": [{"matchLabels": {"a": 1}}]}]}, "spec.ingress[0].fromEndpoints[0].matchLabels.a must be a string"),
        ({"egress": [{"toPorts": [{"ports": [{}]}]}]}, "spec.egress[0].toPorts[0].ports[0].port is missing"),
        ({"egress": [{"toPorts": [{"ports": [{"port": "70000"}]}]}]}, "spec.egress[0].toPorts[0].ports[0].port must be 0 to 65535"),
        ({"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.0/64"}]}]}, "spec.ingress[0].fromCIDRSet[0].cidr "),
        ({"enableDefaultDeny": {"ingress": "no"}, "ingress": [{}]}, "spec.enableDefaultDeny.ingress must be true or false"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(fields: Any, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[").replace("]", r"\]")):
        spec(**fields)


def test_cidr_groups() -> None:
    group = cluster_of(
        body(
            "cilium.io/v2alpha1",
            "CiliumCIDRGroup",
            "g",
            metadata={"labels": {"a": "b"}},
            spec={"externalCIDRs": ["203.0.113.0/24"]},
        )
    ).cidr_groups[0]
    assert (group.name, group.labels, group.networks) == ("g", {"a": "b"}, (ip_network("203.0.113.0/24"),))


def test_policies_and_groups_are_cited_by_their_digest_and_are_the_same_wherever_they_were_read() -> None:
    read = cluster_of(
        body("cilium.io/v2", "CiliumNetworkPolicy", "a", "shop", spec={"endpointSelector": {}}),
        body("cilium.io/v2alpha1", "CiliumCIDRGroup", "g", spec={"externalCIDRs": []}),
    )
    kept = CollectedObject.of(ObjectKey("", "Pod", "a", "b"), {"kind": "Pod"}, "f:1")
    bare, bare_group = replace(read.cilium_policies[0], origin=None), replace(read.cidr_groups[0], origin=None)
    found, group = replace(bare, origin=kept), replace(bare_group, origin=kept)
    assert (found.source, found.digest, group.digest) == ("f:1", kept.digest, kept.digest)
    assert (bare.source, bare.digest, bare_group.digest) == ("", "", "")
    assert (bare, bare_group) == (found, group)


# -- whatever comes -------------------------------------------------------------------------------------------------------

FIELDS = [
    "endpointSelector", "nodeSelector", "ingress", "ingressDeny", "egress", "egressDeny", "enableDefaultDeny", "matchLabels", "matchExpressions",
    "key", "operator", "values", "fromEndpoints", "toEndpoints", "fromCIDR", "toCIDRSet", "cidr", "except", "cidrGroupRef", "cidrGroupSelector",
    "fromEntities", "toServices", "k8sService", "serviceName", "toFQDNs", "matchName", "toPorts", "ports", "port", "endPort", "protocol", "icmps",
    "rules", "authentication", "mode", "toGroups", "fromNodes", "fromRequires", "moon",
]  # fmt: skip
WORDS = ["", "a", "80", "10.0.0.0/8", "In", "world", "TCP", "reserved:host", ":", "x:y:z"]
scraps = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), scraps, max_size=6), st.booleans())
def test_whatever_stands_in_a_spec_is_read_or_refused_with_a_sentence(raw: dict[str, Any], clusterwide: bool) -> None:
    try:
        found = policy(raw, clusterwide=clusterwide)
    except InputError as error:
        assert "spec" in str(error)  # noqa: PT017  (either outcome is right)
        return
    for one in found.specs:
        assert one.default_deny <= {d for d in Direction if one.allows[d] or one.denies[d]}
        for rules in (*one.allows.values(), *one.denies.values()):
            for rule in rules:
                assert all(peer is not None for peer in rule.peers or ())


def test_an_ip_block_stays_the_models() -> None:
    assert isinstance((ingress(fromCIDR=["10.0.0.0/8"]).peers or ())[0], IpBlock)
