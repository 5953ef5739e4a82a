"""Questions in bulk: who is meant, what is wrong with a question, which rule is named."""

from dataclasses import replace
from typing import Any

import pytest

from evidence.cluster.model import Cluster, Direction, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import Action, DomainNamesPeer
from evidence.errors import InputError
from evidence.reach.engine import analyse
from evidence.reach.query import Answering, Query, as_json, parse_queries
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.reach.build import cluster_policy, does

ADMITS = policy(
    "admit", pods={"app": "b"}, ingress=[rule([peer({"app": "x"})]), rule([peer({"app": "a"})], [port(80)])]
)


def state() -> Cluster:
    workload = ObjectKey("apps", "Deployment", "default", "web")
    replicas = [replace(pod(f"web-{n}", labels={"app": "a" if n else "z"}), workload=workload) for n in range(3)]
    return cluster([pod("b", labels={"app": "b"}), pod("old", phase="Failed"), *replicas], [ADMITS])


def answer(source: str, destination: str, number: int = 80) -> dict[str, Any]:
    return as_json(Answering(analyse(state())).answer(Query(source, destination, Protocol.TCP, number)))


def test_an_answer_names_the_rule_that_decides_on_each_side() -> None:
    assert answer("default/web-1", "default/b") == {
        "verdict": "allow",
        "egress": {"verdict": "allow", "policy": None, "rule": None, "action": None, "reason": "not isolated"},
        "ingress": {
            "verdict": "allow",
            "policy": {"group": "networking.k8s.io", "kind": "NetworkPolicy", "namespace": "default", "name": "admit"},
            "rule": "spec.ingress[1]",
            "action": "Accept",
            "reason": "allowed by NetworkPolicy default/admit spec.ingress[1]",
        },
    }


def test_a_denial_names_what_isolates() -> None:
    side = answer("default/web-1", "default/b", 81)["ingress"]
    assert isinstance(side, dict)
    assert side["reason"] == "isolated by NetworkPolicy default/admit, which does not allow it"
    assert side["verdict"] == "deny"
    assert side["policy"]["name"] == "admit"
    assert side["rule"] is None
    assert side["action"] == "isolated"


def test_a_workload_stands_for_its_pods_and_says_when_they_differ() -> None:
    mixed = answer("default/web", "default/b")
    assert mixed["verdict"] == "allow"
    assert mixed["note"] == "not all pods of default/web and default/b alike: some of these connections are denied"
    assert "note" not in answer("default/web", "default/b", 81)


def test_every_kind_of_pod_of_a_workload_is_asked_about() -> None:
    replicas = [replace(one, labels={"app": "z"}) for one in state().pods if one.workload.name == "web"]
    last = replace(replicas[2], labels={"app": "a"})
    given = cluster([pod("b", labels={"app": "b"}), *replicas[:2], last], [ADMITS])
    found = Answering(analyse(given)).answer(Query("default/web", "default/b", Protocol.TCP, 80))
    assert found.allowed
    assert found.note


def test_a_workload_towards_itself_is_what_its_pods_may_do_to_one_another() -> None:
    given = replace(state(), policies=(policy("deny", ingress=[]),))
    found = Answering(analyse(given)).answer(Query("default/web", "default/web", Protocol.TCP, 80))
    assert not found.allowed


def test_a_finished_pod_is_no_endpoint() -> None:
    for ends in (("default/old", "default/b"), ("default/b", "default/old")):
        assert verdicts(answer(*ends)) == ["deny"] * 3
        assert "default/old is finished" in str(answer(*ends)["egress"])


def verdicts(found: dict[str, Any]) -> list[str]:
    return [found["verdict"], found["egress"]["verdict"], found["ingress"]["verdict"]]


def test_a_pod_reaches_itself_on_both_sides_whatever_isolates_it() -> None:
    shut = cluster([pod("a"), pod("b")], [policy("deny", ingress=[], egress=[])])
    assert verdicts(asked_of(shut, "default/a", "default/a")) == ["allow"] * 3
    assert verdicts(asked_of(shut, "default/a", "default/b")) == ["deny"] * 3


def test_ends_without_addresses_of_one_family_have_no_way_to_one_another() -> None:
    apart = cluster([pod("a", ip="10.0.0.1"), pod("b", ip="fd00::1")])
    found = asked_of(apart, "default/a", "default/b")
    assert verdicts(found) == ["deny"] * 3
    assert found["egress"]["reason"] == "the two have no addresses of one family"


def asked_of(given: Cluster, source: str, destination: str) -> dict[str, Any]:
    return as_json(Answering(analyse(given)).answer(Query(source, destination, Protocol.TCP, 80)))


def test_what_is_allowed_is_not_uncertain_although_another_rule_hangs_on_an_unknown_address() -> None:
    rules = [rule([block("10.0.0.0/8")]), rule([peer({"app": "a"})], [port(80)])]
    given = cluster([pod("a", labels={"app": "a"}), pod("b")], [policy("p", ingress=rules)])
    assert "uncertain" not in asked_of(given, "default/a", "default/b")


def test_an_address_that_only_a_pod_has_can_be_asked_about_as_an_outside_one() -> None:
    rules = [rule([block("10.0.0.0/8", "10.0.0.5/32")])]
    given = cluster([pod("a", ip="10.0.0.5"), pod("b", ip="10.0.0.6")], [policy("p", ingress=rules, egress=[])])
    for ends in (("10.0.0.5", "default/b"), ("default/b", "10.0.0.5")):
        found = asked_of(given, *ends)
        assert found["verdict"] == "deny"
        assert "uncertain" not in found


@pytest.mark.parametrize("direction", Direction)
def test_a_denial_of_an_address_that_only_a_pod_has_is_no_more_certain_than_that_of_another(
    direction: Direction,
) -> None:
    """A name may lead there, too."""
    names = cluster_policy("names", does(Action.ACCEPT, DomainNamesPeer(("a.example",))), direction=direction)
    some = [rule([block("10.0.0.5/32"), block("10.0.0.7/32")], [port(1)])]
    shut = policy("shut", ingress=some, egress=some)
    given = replace(cluster([pod("b", ip="10.0.0.6"), pod("c", ip="10.0.0.5")], [shut]), cluster_policies=(names,))
    for address in ("10.0.0.5", "10.0.0.7"):
        ends = ("default/b", address) if direction is Direction.EGRESS else (address, "default/b")
        found = asked_of(given, *ends)
        assert (found["verdict"], len(found["uncertain"])) == ("deny", 1)
        assert "uncertain" not in asked_of(given, *ends[::-1])


def test_a_denial_that_hangs_on_an_unknown_address_says_so() -> None:
    given = cluster([pod("a"), pod("b")], [policy("p", ingress=[rule([block("10.0.0.0/8")])])])
    found = as_json(Answering(analyse(given)).answer(Query("default/a", "default/b", Protocol.TCP, 80)))
    assert found["verdict"] == "deny"
    assert "is not known" in found["uncertain"][0]


def test_a_question_may_be_about_one_family() -> None:
    asked = [{"from": "a/b", "to": "a/b", "port": 65535, **family} for family in ({"family": 4}, {"family": 6}, {})]
    assert [query.family for query in parse_queries(asked)] == [4, 6, None]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "queries: must be a JSON list"),
        ([3], "query 1: must be an object"),
        ([{"from": "a/b", "to": "a/b", "port": 1}, {"from": "a/b", "port": 1}], "query 2: to must be"),
        ([{"from": "", "to": "a/b", "port": 1}], "query 1: from must be"),
        ([{"from": "a/b", "to": 5, "port": 1}], "query 1: to must be"),
        ([{"from": "a/b", "to": "a/b", "port": 65536}], "query 1: port must be a number from 1 to 65535, not 65536"),
        ([{"from": "a/b", "to": "a/b", "port": 0}], "query 1: port must be a number from 1 to 65535, not 0"),
        ([{"from": "a/b", "to": "a/b", "port": True}], "query 1: port"),
        ([{"from": "a/b", "to": "a/b", "port": 1, "protocol": "ICMP"}], "query 1: protocol must be TCP, UDP or SCTP"),
        ([{"from": "a/b", "to": "a/b", "port": 1, "protocol": ["TCP"]}], "query 1: protocol"),
        ([{"from": "a/b", "to": "a/b", "port": 1, "family": 5}], "query 1: family must be 4 or 6"),
        ([{"from": "a/b", "to": "a/b", "port": 1, "family": 4.0}], "query 1: family must be 4 or 6"),
        ([{"from": "a/b", "to": "a/b", "port": 1, "expect": "deny"}], "query 1: unknown field 'expect'"),
    ],
)
def test_a_wrong_question_is_named(raw: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_queries(raw)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("default/nobody", "query 7: from: there is no pod or workload default/nobody in the cluster"),
        ("10.0.0", "query 7: from: '10.0.0' is neither"),
    ],
)
def test_an_end_that_is_not_there_names_the_question(source: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Answering(analyse(state())).answer(Query(source, "default/b", Protocol.TCP, 80, where="query 7"))
    assert str(caught.value).startswith(message)
