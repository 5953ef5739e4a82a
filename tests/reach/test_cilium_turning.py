"""The smallest change to Cilium's policies: it turns exactly its side, on values and on the objects as the API has them."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from evidence.cluster.model import Protocol
from evidence.reach import told
from evidence.reach.account import Account
from evidence.reach.changes import Change, applied, patches
from tests.manifests import body, cluster_of, policy_body
from tests.oracle.cilium_strategies import cilium_clusters
from tests.oracle.strategies import OUTSIDE
from tests.reach.test_account import Connection, asking, patched, schema

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def connections(draw: st.DrawFn) -> Connection:
    found = draw(cilium_clusters())
    ends = [*(pod for pod in found.pods if not pod.finished), *OUTSIDE]
    source, destination = draw(st.sampled_from(ends)), draw(st.sampled_from(ends))
    protocol, number = draw(st.sampled_from([(Protocol.TCP, 80), (Protocol.UDP, 53), (Protocol.SCTP, 80)]))
    return found, source, destination, protocol, number, draw(st.sampled_from([None, 4, 6]))


@RELAXED
@given(connections())
def test_the_suggested_change_turns_exactly_its_side(connection: Connection) -> None:
    before = asking(*connection)
    for name, other in (("egress", "ingress"), ("ingress", "egress")):
        side = getattr(before, name)
        if side.turned.change is None:
            assert side.turned.reason
            continue
        after = asking(applied(connection[0], [side.turned.change]), *connection[1:])
        assert getattr(after, name).reason.allowed is not side.reason.allowed
        assert getattr(after, other).reason.allowed is getattr(before, other).reason.allowed
        assert all(operations for _, operations in patches(side.turned.change))


# -- in words, on the objects as the API has them -------------------------------------------------------------------------

WEB = body(
    "v1",
    "Pod",
    "web",
    "shop",
    metadata={"labels": {"app": "web", "pod-template-hash": "x"}},
    spec={"nodeName": "n1"},
    status={"podIP": "10.0.0.1"},
)
DB = body(
    "v1", "Pod", "db", "shop", metadata={"labels": {"app": "db"}}, spec={"nodeName": "n2"}, status={"podIP": "10.0.0.2"}
)
JOB = body(
    "v1",
    "Pod",
    "job",
    "lab",
    metadata={"labels": {"app": "job"}},
    spec={"nodeName": "n2"},
    status={"podIP": "10.0.0.3"},
)
AGENT = body("v1", "Pod", "agent", "lab", spec={"nodeName": "n1", "hostNetwork": True}, status={"podIP": "172.16.0.1"})
FROM_WEB = {
    "fromEndpoints": [{"matchLabels": {"app": "web"}}],
    "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}],
}
FROM_LAB = {"fromEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "lab"}}]}


def about_db(**spec: Any) -> dict[str, Any]:
    subject = {"endpointSelector": {"matchLabels": {"app": "db"}}}
    return body("cilium.io/v2", "CiliumNetworkPolicy", "p", "shop", spec={**subject, **spec})


def turned(source: str, *policies: dict[str, Any], port: int = 5432) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The sentences and patches that turn the ingress side of db, once the patches on the objects were seen to do it."""
    objects = [WEB, DB, JOB, AGENT]

    def asked(found: list[dict[str, Any]], *changes: Change) -> Account:
        state = applied(cluster_of(*objects, *found), changes)
        ends = {each.key: each for each in state.pods}
        start = ends[source] if source in ends else ip_address(source)
        return asking(state, start, ends["shop/db"], Protocol.TCP, port)

    before = asked(list(policies))
    Draft202012Validator(schema()).validate(told.document(before))
    change = before.ingress.turned.change
    assert change is not None
    found = {str(policy.key): operations for policy, operations in patches(change)}
    after = [patched(each, found.get(f"{each['kind']} shop/{each['metadata']['name']}", [])) for each in policies]
    for made in (asked(after), asked(list(policies), change)):
        assert made.ingress.reason.allowed is not before.ingress.reason.allowed
    return change.summary, [operation for operations in found.values() for operation in operations]


def test_what_default_deny_shuts_out_gets_an_entry_that_names_its_labels_alone() -> None:
    summary, [added] = turned("shop/web", about_db(ingress=[FROM_LAB]))
    assert summary == ("add to CiliumNetworkPolicy shop/p spec.ingress an entry from shop/web on TCP 5432",)
    assert added == {"op": "add", "path": "/spec/ingress/1", "value": FROM_WEB}


def test_a_policy_that_only_denies_gets_its_first_entry_that_allows() -> None:
    _, [added] = turned("shop/web", about_db(ingressDeny=[FROM_LAB]))
    assert added == {"op": "add", "path": "/spec/ingress", "value": [FROM_WEB]}


def test_an_outside_end_is_named_by_its_address_and_a_node_by_an_entity() -> None:
    assert turned("203.0.113.7", about_db(ingress=[{}]))[1][0]["value"]["fromCIDRSet"] == [{"cidr": "203.0.113.7/32"}]
    assert turned("lab/agent", about_db(ingress=[{}]))[1][0]["value"]["fromEntities"] == ["remote-node"]


def test_what_is_allowed_gets_one_deny_entry_whatever_else_allows_it() -> None:
    network = policy_body({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}, "np", "shop")
    summary, [added] = turned("shop/web", about_db(ingress=[FROM_WEB, {"fromEndpoints": [{}]}]), network)
    assert summary == (
        "add to CiliumNetworkPolicy shop/p spec.ingressDeny an entry that denies it from shop/web on TCP 5432",
    )
    assert added == {"op": "add", "path": "/spec/ingressDeny", "value": [FROM_WEB]}


def test_an_entry_that_denies_loses_the_peer_and_the_last_one_leaves_the_pods_closed() -> None:
    both = {"fromEndpoints": [*FROM_LAB["fromEndpoints"], {"matchLabels": {"app": "db"}}]}
    mild = {"ingress": [{"fromEntities": ["cluster"]}]}
    summary, [replaced] = turned("lab/job", about_db(**mild, ingressDeny=[both]))
    assert summary == ("narrow CiliumNetworkPolicy shop/p spec.ingressDeny[0]: leave out lab/job",)
    assert replaced["value"] == {"fromEndpoints": [{"matchLabels": {"app": "db"}}]}


ALL_IN = {"ingress": [{"fromEntities": ["all"]}]}


def test_an_entry_that_denies_networks_leaves_out_the_address_and_keeps_the_other_peers() -> None:
    groups = [
        body(
            "cilium.io/v2alpha1",
            "CiliumCIDRGroup",
            name,
            metadata={"labels": {"of": name}},
            spec={"externalCIDRs": ["198.51.100.0/24"]},
        )
        for name in ("one", "two")
    ]
    kept = [
        {"cidrGroupRef": "one", "except": ["198.51.100.0/25"]},
        {"cidrGroupSelector": {"matchLabels": {"of": "two"}}},
        {"cidr": "192.0.2.0/24"},
    ]
    wide = {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}
    summary, [replaced] = turned(
        "203.0.113.7", about_db(**ALL_IN, ingressDeny=[{"fromCIDRSet": [*kept, wide]}]), *groups
    )
    assert summary == ("narrow CiliumNetworkPolicy shop/p spec.ingressDeny[0]: leave out 203.0.113.7",)
    assert replaced == {
        "op": "replace",
        "path": "/spec/ingressDeny/0",
        "value": {"fromCIDRSet": [*kept, {**wide, "except": ["203.0.113.128/25", "203.0.113.7/32"]}]},
    }


@pytest.mark.parametrize(
    ("ports", "left"),
    [
        (
            [{"port": "5000", "endPort": 6000, "protocol": "TCP"}],
            [
                {"port": "5000", "endPort": 5431, "protocol": "TCP"},
                {"port": "5433", "endPort": 6000, "protocol": "TCP"},
            ],
        ),
        ([{"port": "5432", "endPort": 5433, "protocol": "TCP"}], [{"port": "5433", "protocol": "TCP"}]),
        ([{"port": "5431", "endPort": 5432, "protocol": "TCP"}], [{"port": "5431", "protocol": "TCP"}]),
        ([{"port": "5432"}], [{"port": "5432", "protocol": "SCTP"}, {"port": "5432", "protocol": "UDP"}]),
        (
            [{"port": "5432", "protocol": "TCP"}, {"port": "0", "protocol": "UDP"}],
            [{"port": "0", "protocol": "UDP"}],
        ),
    ],
)
def test_an_entry_that_denies_one_peer_loses_the_port(ports: list[Any], left: list[Any]) -> None:
    denied = about_db(**ALL_IN, ingressDeny=[{**FROM_LAB, "toPorts": [{"ports": ports}]}])
    summary, [replaced] = turned("lab/job", denied)
    assert summary == ("narrow CiliumNetworkPolicy shop/p spec.ingressDeny[0]: leave out TCP 5432",)
    assert replaced["value"] == {
        "fromEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "lab"}}],
        "toPorts": [{"ports": left}],
    }


def test_every_entry_that_denies_it_is_narrowed_and_those_that_are_nothing_else_go() -> None:
    one = {**FROM_LAB, "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}
    other = {"fromEndpoints": [{"matchLabels": {"app": "web"}}]}
    _, operations = turned("lab/job", about_db(**ALL_IN, ingressDeny=[one, other, one]))
    assert operations == [
        {"op": "remove", "path": "/spec/ingressDeny/2"},
        {"op": "remove", "path": "/spec/ingressDeny/0"},
    ]


def test_labels_of_a_namespace_are_written_as_cilium_has_them() -> None:
    by_team = {"matchLabels": {"io.cilium.k8s.namespace.labels.team": "x"}}
    both = {"fromEndpoints": [*FROM_LAB["fromEndpoints"], by_team], "toPorts": [{"ports": [{"port": "5432"}]}]}
    _, [replaced] = turned("lab/job", about_db(**ALL_IN, ingressDeny=[both]))
    ports = [{"port": "5432", "protocol": "ANY"}]
    assert replaced["value"] == {"fromEndpoints": [by_team], "toPorts": [{"ports": ports}]}


def leaving(source: str, destination: str, **spec: Any) -> Change:
    """What turns the egress side of a pod of the shop, under one policy about all of its pods."""
    made = body("cilium.io/v2", "CiliumNetworkPolicy", "p", "shop", spec={"endpointSelector": {}, **spec})
    state = cluster_of(WEB, DB, JOB, AGENT, made)
    ends = {each.key: each for each in state.pods}
    end = ends[destination] if destination in ends else ip_address(destination)
    change = asking(state, ends[source], end, Protocol.TCP, 5432).egress.turned.change
    assert change is not None
    assert asking(applied(state, [change]), ends[source], end, Protocol.TCP, 5432).egress.reason.allowed
    return change


@pytest.mark.parametrize(
    ("destination", "named", "beside"),
    [
        ("shop/db", {"toEndpoints": [{"matchLabels": {"app": "db"}}]}, ""),
        ("lab/job", {"toEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "lab", "app": "job"}}]}, ""),
        ("203.0.113.7", {"toCIDRSet": [{"cidr": "203.0.113.7/32"}]}, ""),
        ("lab/agent", {"toEntities": ["host", "remote-node"]}, "It means every node."),
    ],
)
def test_what_default_deny_keeps_in_gets_an_entry_that_names_the_other_end(
    destination: str, named: dict[str, Any], beside: str
) -> None:
    change = leaving("shop/web", destination, egress=[{}])
    [(_, [added])] = patches(change)
    assert added["path"] == "/spec/egress/1"
    assert added["value"] == {**named, "toPorts": FROM_WEB["toPorts"]}
    assert change.beside == f"It opens the same for all 2 pods that the policy selects. {beside}".rstrip()


def test_an_entry_that_denies_a_range_is_cut_around_the_port_of_the_destination() -> None:
    denied = [
        {"toEndpoints": [{"matchLabels": {"app": "db"}}], "toPorts": [{"ports": [{"port": "1", "endPort": 9999}]}]}
    ]
    change = leaving("shop/web", "shop/db", egress=[{"toEntities": ["all"]}], egressDeny=denied)
    [(_, [replaced])] = patches(change)
    assert {"port": "1", "endPort": 5431, "protocol": "TCP"} in replaced["value"]["toPorts"][0]["ports"]


def test_an_entry_about_one_port_goes_and_an_empty_one_keeps_the_pods_closed() -> None:
    one = {**FROM_LAB, "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}
    opened = about_db(ingress=[{"fromEntities": ["all"]}])
    opened["metadata"]["name"] = "open"
    summary, operations = turned("lab/job", about_db(ingressDeny=[one]), opened)
    assert summary == ("remove CiliumNetworkPolicy shop/p spec.ingressDeny[0]",)
    assert operations == [
        {"op": "add", "path": "/spec/ingress", "value": [{}]},
        {"op": "remove", "path": "/spec/ingressDeny/0"},
    ]


def test_a_rule_object_of_several_is_edited_in_its_place() -> None:
    subject = {"endpointSelector": {"matchLabels": {"app": "db"}}}
    other = {"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}
    made = body("cilium.io/v2", "CiliumNetworkPolicy", "p", "shop", specs=[other, {**subject, "ingress": [FROM_LAB]}])
    summary, [added] = turned("shop/web", made)
    assert summary[0].startswith("add to CiliumNetworkPolicy shop/p specs[1].ingress an entry")
    assert added["path"] == "/specs/1/ingress/1"


def test_no_entry_denies_a_node_for_egress_for_certain() -> None:
    spec = {"egress": [{"toEntities": ["all"]}]}
    state = cluster_of(DB, AGENT, about_db(**spec))
    db, agent = (next(each for each in state.pods if each.name == name) for name in ("db", "agent"))
    side = asking(state, db, agent, Protocol.TCP, 80).egress
    assert side.turned.change is None
    assert side.turned.reason == "no rule of CiliumNetworkPolicy shop/p can name lab/agent for certain"
