"""The account of a verdict, and the change that turns it: they come from the same tables and cannot disagree."""

import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from evidence import resources
from evidence.cluster.calico import Calico, CalicoPolicy, CalicoTier
from evidence.cluster.model import Cluster, IPAddress, NetworkPolicy, Pod, Protocol
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse_calico import calico_policy
from evidence.cluster.policies import Action, Tier
from evidence.errors import InputError
from evidence.reach import told
from evidence.reach.account import Account, account
from evidence.reach.asked import Part
from evidence.reach.changes import Change, applied, manifest, patches
from evidence.reach.engine import analyse
from evidence.reach.explain import Point
from evidence.reach.query import address_point, pod_point
from tests.builders import block, cluster, named_port, peer, pod, policy, port, rule
from tests.manifests import parsed_cluster
from tests.oracle.calico_crowded import OUTSIDE as STRANGERS
from tests.oracle.calico_crowded import crowded_clusters
from tests.oracle.calico_strategies import GROUP
from tests.oracle.strategies import OUTSIDE, clusters
from tests.reach.build import cluster_policy, does, pods_of

RELAXED = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
End = Pod | IPAddress
Connection = tuple[Cluster, End, End, Protocol, int, int | None]


@st.composite
def connections(draw: st.DrawFn) -> Connection:
    found = draw(clusters())
    ends: list[End] = [*(pod for pod in found.pods if not pod.finished), *OUTSIDE]
    source, destination = draw(st.sampled_from(ends)), draw(st.sampled_from(ends))
    protocol, number = draw(st.sampled_from([(Protocol.TCP, 80), (Protocol.UDP, 53)]))
    return found, source, destination, protocol, number, draw(st.sampled_from([None, 4, 6]))


def asking(
    found: Cluster, source: End, destination: End, protocol: Protocol, number: int, family: int | None = None
) -> Account:
    reach = analyse(found)

    def point(end: End) -> Point:
        return pod_point(reach, end) if isinstance(end, Pod) else address_point(reach, end)

    return account(reach, point(source), point(destination), protocol, number, family)


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
        if connection[-1]:  # of pods with both families, the other side may be told for another pair of addresses
            assert getattr(after, other).reason.allowed is getattr(before, other).reason.allowed


@st.composite
def calico_connections(draw: st.DrawFn) -> Connection:
    found = draw(crowded_clusters())
    ends: list[End] = [*found.pods, *STRANGERS]
    source, destination = draw(st.sampled_from(ends)), draw(st.sampled_from(ends))
    protocol, number = draw(st.sampled_from([(Protocol.TCP, 80), (Protocol.UDP, 53)]))
    return found, source, destination, protocol, number, draw(st.sampled_from([4, 6]))


@RELAXED
@given(calico_connections())
def test_the_suggested_change_to_calicos_policies_turns_exactly_its_side(connection: Connection) -> None:
    test_the_suggested_change_turns_exactly_its_side.hypothesis.inner_test(connection)  # type: ignore[attr-defined]


@RELAXED
@given(connections())
def test_what_is_said_of_each_rule_agrees_with_the_verdict(connection: Connection) -> None:
    found = asking(*connection)
    for side in (found.egress, found.ingress):
        for asked in side.policies:
            matching = [rule for rule in asked.rules if rule.matches]
            assert all(bool(rule.why) is not rule.matches for rule in asked.rules)
            if asked.part is Part.DECIDES:
                assert matching[0].action.value == side.reason.action
            if asked.part in (Part.ISOLATES, Part.NOTHING):
                assert not matching
        parts = {asked.part for asked in side.policies}
        if side.reason.rule:
            assert Part.DECIDES in parts
        if side.reason.action == "isolated":
            assert Part.ISOLATES in parts


def schema() -> Any:
    return json.loads(resources.package_file("reach", "explanation.schema.json").read_text())


@RELAXED
@given(st.one_of(connections(), calico_connections()))
def test_the_json_of_every_account_is_as_its_schema_says(connection: Connection) -> None:
    body = told.document(asking(*connection))
    Draft202012Validator(schema()).validate(body)
    assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


# -- in words -------------------------------------------------------------------------------------------------------------

WEB, DB, JOB = (
    pod("web", "shop", {"app": "web"}, ip="10.0.0.1"),
    pod("db", "shop", {"app": "db"}, ip="10.0.0.2", ports=[named_port("sql", 5432)]),
    pod("job", "jobs", {"app": "job", "pod-template-hash": "x"}, ip="10.0.0.3"),
)
FROM_WEB = rule([peer({"app": "web"})], [port(5432), port(6432)])


def ingress(*policies: NetworkPolicy, source: Pod = JOB, number: int = 5432) -> Account:
    return asking(cluster([WEB, DB, JOB], policies), source, DB, Protocol.TCP, number)


def test_a_policy_that_does_not_match_is_named_with_what_it_lacks() -> None:
    found = ingress(policy("db", "shop", {"app": "db"}, ingress=[FROM_WEB, rule([], [port(80)])]))
    [asked] = found.ingress.policies
    assert asked.part is Part.ISOLATES
    assert [rule.why for rule in asked.rules] == [
        "its peers (pods app=web of namespace shop) do not include the other end",
        "its ports (TCP 80) do not include TCP 5432",
    ]


def test_what_is_denied_is_opened_by_one_rule_in_the_narrowest_policy() -> None:
    wide, narrow = policy("all", "shop", {}, ingress=[]), policy("db", "shop", {"app": "db"}, ingress=[FROM_WEB])
    change = ingress(wide, narrow).ingress.turned.change
    assert change is not None
    assert change.summary == ("add to NetworkPolicy shop/db an ingress rule from jobs/job on TCP 5432",)
    [(_, patch)] = patches(change)
    assert patch == [
        {
            "op": "add",
            "path": "/spec/ingress/1",
            "value": {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "jobs"}},
                        "podSelector": {"matchLabels": {"app": "job"}},
                    }
                ],
                "ports": [{"protocol": "TCP", "port": 5432}],
            },
        }
    ]


def test_what_several_rules_admit_is_denied_by_narrowing_all_of_them() -> None:
    found = ingress(
        policy("one", "shop", {"app": "db"}, ingress=[FROM_WEB, rule([peer({"app": "web"})])]),
        policy("two", "shop", {}, ingress=[rule([block("10.0.0.0/8")], [port("sql")]), rule([peer({"app": "job"})])]),
        source=WEB,
    )
    change = found.ingress.turned.change
    assert change is not None
    assert change.summary == (
        "narrow NetworkPolicy shop/one spec.ingress[0]: leave out TCP 5432",
        "remove NetworkPolicy shop/one spec.ingress[1]",
        "narrow NetworkPolicy shop/two spec.ingress[0]: leave out shop/web",
    )
    bodies = {str(edited.key): patch for edited, patch in patches(change)}
    assert bodies["NetworkPolicy shop/one"][0] == {"op": "remove", "path": "/spec/ingress/1"}
    assert bodies["NetworkPolicy shop/two"][0]["value"]["from"] == [
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.1/32"]}}
    ]


def test_taking_the_last_rule_away_keeps_the_isolation() -> None:
    only = policy("web", "shop", {"app": "web"}, egress=[rule([peer({"app": "db"})])])
    change = asking(cluster([WEB, DB], [only]), WEB, DB, Protocol.TCP, 1).egress.turned.change
    assert change is not None
    [(_, patch)] = patches(change)
    assert patch == [
        {"op": "remove", "path": "/spec/egress/0"},
        {"op": "add", "path": "/spec/policyTypes", "value": ["Egress"]},
    ]


def test_a_range_is_cut_around_the_port() -> None:
    change = ingress(policy("db", "shop", {"app": "db"}, ingress=[rule([], [port(5000, end_port=6000)])])).ingress
    assert change.turned.change is not None
    [edit] = change.turned.change.edits
    assert edit.rule == rule([], [port(5000, end_port=5431), port(5433, end_port=6000)])


def test_an_open_pod_is_closed_by_isolating_it_and_that_is_said() -> None:
    change = ingress().ingress.turned.change
    assert change is not None
    assert manifest(change.new[0])["spec"] == {
        "podSelector": {"matchLabels": {"app": "db"}},
        "policyTypes": ["Ingress"],
    }
    assert change.beside.startswith("Everything else")


@pytest.mark.parametrize(("action", "word"), [(Action.DENY, "accepts"), (Action.ACCEPT, "denies")])
def test_a_cluster_wide_rule_gets_its_opposite_before_it(action: Action, word: str) -> None:
    wide = cluster_policy("guard", does(Action.PASS, pods_of({"a": "b"})), does(action))
    found = asking(replace(cluster([DB, JOB]), cluster_policies=(wide,)), JOB, DB, Protocol.TCP, 5432)
    change = found.ingress.turned.change
    assert change is not None
    assert change.summary == (
        f"add to ClusterNetworkPolicy guard before spec.ingress[1] a rule that {word} it from jobs/job on TCP 5432",
    )
    [(_, patch)] = patches(change)
    assert (patch[0]["op"], patch[0]["path"]) == ("add", "/spec/ingress/1")
    assert patch[0]["value"]["action"] == ("Accept" if word == "accepts" else "Deny")
    assert patch[0]["value"]["protocols"] == [{"tcp": {"destinationPort": {"number": 5432}}}]


# -- Calico's policies -----------------------------------------------------------------------------------------------------


def calicos(spec: dict[str, Any], *more: dict[str, Any], **beside: Any) -> Cluster:
    """WEB, DB and JOB under global policies "p0", "p1", …"""
    policies = tuple(
        calico_policy(CollectedObject.of(ObjectKey(GROUP, "GlobalNetworkPolicy", "", f"p{n}"), {"spec": each}, "f:1"))
        for n, each in enumerate((spec, *more))
    )
    return replace(cluster([WEB, DB, JOB]), calico=Calico(policies, **beside))


def turned(found: Cluster, source: End = JOB) -> Change:
    change = asking(found, source, DB, Protocol.TCP, 5432).ingress.turned.change
    assert change is not None
    return change


FROM_JOB = {"namespaceSelector": 'projectcalico.org/name == "jobs"', "selector": 'app == "job"'}
TO_DB = {"namespaceSelector": 'projectcalico.org/name == "shop"', "selector": 'app == "db"'}
PORT = {"protocol": "TCP", "destination": {"ports": [5432]}}


def test_what_a_policy_of_calicos_isolates_gets_a_last_rule_for_this_pod() -> None:
    change = turned(
        calicos({"ingress": [{"action": "Log"}, {"action": "Allow", "source": {"nets": ["192.0.2.0/24"]}}]})
    )
    assert change.summary == (
        "add to Calico GlobalNetworkPolicy p0 a last ingress rule that accepts it from jobs/job on TCP 5432",
    )
    [(_, [operation])] = patches(change)
    assert (operation["op"], operation["path"]) == ("add", "/spec/ingress/2")
    assert operation["value"] == {
        "action": "Allow",
        "protocol": "TCP",
        "source": FROM_JOB,
        "destination": {**TO_DB, "ports": [5432]},
    }


def test_the_narrowest_of_several_isolating_policies_is_changed_and_a_network_policy_before_those() -> None:
    found = calicos({}, {"selector": "app == 'db'"})
    [edit] = turned(found).edits
    assert edit.policy.key.name == "p1"
    [edit] = turned(replace(found, policies=(policy("all", "shop", {}, ingress=[]),))).edits
    assert edit.policy.key.kind == "NetworkPolicy"


@pytest.mark.parametrize(("action", "word"), [("Deny", "accepts"), ("Allow", "denies"), ("Pass", "denies")])
def test_a_rule_of_calicos_gets_its_opposite_before_it(action: str, word: str) -> None:
    spec = {"selector": "app == 'db'", "ingress": [{"action": "Log"}, {"action": action}]}
    change = turned(calicos(spec), source=ip_address("192.0.2.7"))
    assert change.summary == (
        f"add to Calico GlobalNetworkPolicy p0 before spec.ingress[1] a rule that {word} it from 192.0.2.7 on TCP 5432",
    )
    [(_, [operation])] = patches(change)
    assert operation["value"] == {
        "action": "Allow" if action == "Deny" else "Deny",
        **PORT,
        "source": {"nets": ["192.0.2.7/32"]},
    }


def test_what_calico_would_allow_after_a_network_policy_is_denied_with_it() -> None:
    found = replace(
        calicos({"order": 2000, "ingress": [{"action": "Allow"}]}),
        policies=(policy("db", "shop", {"app": "db"}, ingress=[rule([peer({}, namespaces={})], [port(5432)])]),),
    )
    assert turned(found).summary == (
        "add to Calico GlobalNetworkPolicy p0 before spec.ingress[0] a rule that denies it from jobs/job on TCP 5432",
        "remove NetworkPolicy shop/db spec.ingress[0]",
    )


def test_what_is_passed_on_twice_is_not_closed_by_what_was_not_asked() -> None:
    """Where a rule passes it on before NetworkPolicies, a new one of these would not be asked."""
    last = cluster_policy("base", does(Action.PASS), tier=Tier.BASELINE)
    found = replace(calicos({"ingress": [{"action": "Pass"}]}), cluster_policies=(last,))
    side = asking(found, JOB, DB, Protocol.TCP, 5432).ingress
    assert side.reason.allowed
    assert side.turned.reason == "Calico GlobalNetworkPolicy p0 passes it on before NetworkPolicies are asked"


def test_a_policy_of_calicos_that_is_not_known_whole_is_left_alone() -> None:
    found = calicos({"tier": "t", "ingress": [{"action": "Deny", "newField": 1}]}, tiers=(CalicoTier("t", 5),))
    asked = asking(found, JOB, DB, Protocol.TCP, 5432)
    assert asked.ingress.turned.reason == "Calico GlobalNetworkPolicy p0 is not known whole"


def test_where_no_policy_can_change_anything_that_is_said() -> None:
    here = pod("db", "shop", {"app": "db"}, ip="10.0.0.2", node="n1")
    node = pod("node", "jobs", host_network=True, node="n1", ip="172.16.0.1")
    found = asking(cluster([here, node], [policy("db", "shop", ingress=[])]), node, here, Protocol.TCP, 1)
    assert found.egress.turned.reason == "no policy selects a pod on the host network"
    assert found.ingress.turned.reason == "a pod's own node always reaches it, and no policy changes that"
    leaving = asking(cluster([here]), here, ip_address("192.0.2.7"), Protocol.TCP, 1)
    assert leaving.ingress.turned.reason == "policies do not restrict addresses outside the cluster"


# -- on the objects as the API has them ------------------------------------------------------------------------------------


def patched(body: Any, operations: Sequence[dict[str, Any]]) -> Any:
    """JSON Patch, as much of it as patches here use."""
    body = json.loads(json.dumps(body))
    for operation in operations:
        *path, last = operation["path"].split("/")[1:]
        place = body
        for step in path:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if isinstance(place, list) and operation["op"] == "add":
            place.insert(int(last), operation["value"])
        elif operation["op"] == "remove":
            del place[int(last)]
        else:
            place[int(last) if isinstance(place, list) else last] = operation["value"]
    return body


@RELAXED
@given(connections())
def test_patches_on_manifests_do_what_the_change_does(connection: Connection) -> None:
    found = connection[0]
    policies = {each.key: manifest(each) for each in found.policies}
    try:
        parsed_cluster([*policies.values()])
    except InputError:  # exceptions of an ipBlock that lie outside it, which the API refuses
        return
    asked = asking(*connection)
    for side in (asked.egress, asked.ingress):
        change = side.turned.change
        if change is None or any(not isinstance(edit.policy, NetworkPolicy) for edit in change.edits):
            continue
        after = dict(policies)
        for edited, operations in patches(change):
            after[edited.key] = patched(policies[edited.key], operations)
        bodies = [*after.values(), *(manifest(new) for new in change.new)]
        parsed = {each.key: each for each in parsed_cluster(bodies).policies}
        for wanted in applied(found, [change]).policies:
            back = parsed[wanted.key]
            assert back.policy_types == wanted.policy_types
            for direction in wanted.policy_types:
                assert back.rules(direction) == wanted.rules(direction)


@RELAXED
@given(calico_connections())
def test_patches_on_calicos_objects_do_what_the_change_does(connection: Connection) -> None:
    asked = asking(*connection)
    for side in (asked.egress, asked.ingress):
        if side.turned.change is None:
            continue
        after = {policy.key: policy for policy in applied(connection[0], [side.turned.change]).calico_policies}
        for edited, operations in patches(side.turned.change):
            if isinstance(edited, CalicoPolicy):
                assert edited.origin is not None
                body = patched(edited.origin.body, operations)
                back = calico_policy(CollectedObject.of(edited.key, body, "patched"))
                assert (back.ingress, back.egress, back.types) == (
                    after[edited.key].ingress,
                    after[edited.key].egress,
                    after[edited.key].types,
                )
