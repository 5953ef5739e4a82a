"""Policies and rules that change nothing: exactly those without which every flow stays."""

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from evidence.cluster.cilium import CiliumSpec
from evidence.cluster.model import Cluster, Direction, NetworkPolicy, Node, Rule
from evidence.cluster.policies import Action, ClusterPolicy, ClusterRule, DomainNamesPeer, NodePeer
from evidence.reach.engine import Reachability, analyse
from evidence.reach.rules import Domains, Unplaced
from evidence.reach.unused import Why, unused
from tests.builders import cluster, peer, pod, policy, port, rule, selector
from tests.manifests import body, cluster_of
from tests.oracle.cilium_strategies import cilium_clusters
from tests.oracle.strategies import clusters
from tests.reach.build import cluster_policy, does
from tests.reach.test_laws import by_pod

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def without_rule(found: Cluster, policy_key: object, direction: Direction, number: int) -> Cluster:
    def cut(each: Any) -> Any:
        if each.key != policy_key:
            return each
        rules = each.rules(direction)
        return replace(each, **{direction.value.lower(): rules[:number] + rules[number + 1 :]})

    return replace(
        found,
        policies=tuple(cut(each) for each in found.policies),
        cluster_policies=tuple(cut(each) for each in found.cluster_policies),
    )


def without_policy(found: Cluster, policy_key: object) -> Cluster:
    return replace(
        found,
        policies=tuple(each for each in found.policies if each.key != policy_key),
        cluster_policies=tuple(each for each in found.cluster_policies if each.key != policy_key),
    )


def test_a_rule_by_nodes_is_listed_only_where_every_node_was_read() -> None:
    worker = does(Action.ACCEPT, NodePeer(selector({"role": "worker"})))
    rules = cluster_policy("nodes", worker, direction=Direction.EGRESS)
    shut = replace(cluster([pod("a", ip="10.0.0.1")], [policy("shut", egress=[])]), cluster_policies=(rules,))
    other = Node("n1", {"role": "other"}, (ip_address("172.16.0.1"),), ready=True)

    def listed(**nodes: Any) -> list[str]:
        return [str(entry) for entry in unused(analyse(replace(shut, **nodes)))]

    assert listed() == []
    assert listed(nodes=(other,), unread_kinds=("Node",)) == []
    assert listed(nodes=(other,)) == ["ClusterNetworkPolicy nodes"]


def plain(reach: Reachability) -> bool:
    """Every class has one way in: then flows are cells of the tables."""
    return all(len(found.ways) == 1 for found in reach.classes)


def by_names(*rules: Rule | ClusterRule) -> bool:
    """Rules by domain names match nothing here and may matter: they are not listed, whatever else they do."""
    return any(isinstance(each, DomainNamesPeer) for found in rules for each in found.peers)


@RELAXED
@given(clusters())
def test_what_is_listed_changes_no_flow_and_what_is_not_listed_changes_some(found: Cluster) -> None:
    reach = analyse(found)
    listed = {(entry.policy, entry.rule) for entry in unused(reach)}
    before = by_pod(reach)
    every: list[NetworkPolicy | ClusterPolicy] = [*found.policies, *found.cluster_policies]
    for each in every:
        whole = (each.key, "") in listed
        if whole or (plain(reach) and not by_names(*each.ingress, *each.egress)):
            assert (by_pod(analyse(without_policy(found, each.key))) == before) is whole, each
        for direction in Direction:
            if whole or (isinstance(each, NetworkPolicy) and direction not in each.policy_types):
                continue
            for number in range(len(each.rules(direction))):
                name = f"spec.{direction.value.lower()}[{number}]"
                gone = (each.key, name) in listed
                if gone or (plain(reach) and not by_names(each.rules(direction)[number])):
                    assert (by_pod(analyse(without_rule(found, each.key, direction, number))) == before) is gone, (
                        each,
                        name,
                    )


@RELAXED
@given(cilium_clusters())
def test_what_is_listed_of_cilium_changes_no_flow_and_what_is_not_listed_changes_some(found: Cluster) -> None:
    """Taken out of the policy as a user would: its last entry of a direction takes default deny with it."""
    reach = analyse(found)
    listed = {(entry.policy, entry.rule) for entry in unused(reach)}
    before = by_pod(reach)
    vague = {
        (form.policy.key, each.where)
        for form in reach.forms
        for rules in form.rules.values()
        for each in rules
        if any(isinstance(peer, Domains | Unplaced) for peer in each.mentioned())
    }
    for policy_asked in found.cilium_policies:
        key = policy_asked.key
        whole = (key, "") in listed
        known = not any(policy_asked.unknown()) and key not in {policy_key for policy_key, _ in vague}
        if whole or (known and plain(reach)):
            left = tuple(each for each in found.cilium_policies if each.key != key)
            assert (by_pod(analyse(replace(found, cilium_policies=left))) == before) is whole, policy_asked
        for number, spec in enumerate(policy_asked.specs):
            for entry in () if whole or policy_asked.doubts or any(spec.unknown()) else entries(spec):
                gone = (key, entry) in listed
                if gone or ((key, entry) not in vague and plain(reach)):
                    after = by_pod(analyse(without_entry(found, key, number, entry)))
                    assert (after == before) is gone, (policy_asked, entry)


def entries(spec: CiliumSpec) -> list[str]:
    return [each.where for part in (spec.allows, spec.denies) for rules in part.values() for each in rules]


def without_entry(found: Cluster, key: object, number: int, where: str) -> Cluster:
    def cut(spec: CiliumSpec) -> CiliumSpec:
        allows, denies = (
            {way: tuple(each for each in rules if each.where != where) for way, rules in part.items()}
            for part in (spec.allows, spec.denies)
        )
        left = {way for way in Direction if allows[way] or denies[way]}
        return replace(spec, allows=allows, denies=denies, default_deny=spec.default_deny & left)

    return replace(
        found,
        cilium_policies=tuple(
            replace(each, specs=tuple(cut(spec) if n == number else spec for n, spec in enumerate(each.specs)))
            if each.key == key
            else each
            for each in found.cilium_policies
        ),
    )


# -- in words -------------------------------------------------------------------------------------------------------------

WEB, DB = pod("web", "shop", {"app": "web"}, ip="10.0.0.1"), pod("db", "shop", {"app": "db"}, ip="10.0.0.2")
FROM_WEB = rule([peer({"app": "web"})], [port(5432)])


def looked(*policies: NetworkPolicy) -> dict[str, tuple[Why, tuple[str, ...]]]:
    return {str(entry): (entry.why, entry.by) for entry in unused(analyse(cluster([WEB, DB], policies)))}


def db(name: str, *rules: Rule, pods: dict[str, str] | None = None) -> NetworkPolicy:
    return policy(name, "shop", {"app": "db"} if pods is None else pods, ingress=rules)


def test_a_rule_that_a_wider_one_covers_is_listed_with_it() -> None:
    found = looked(
        db("narrow", FROM_WEB, rule([peer({"app": "db"})])), db("wide", rule([peer({})], [port(5000, end_port=6000)]))
    )
    assert found == {
        "NetworkPolicy shop/narrow spec.ingress[0]": (Why.COVERED, ("NetworkPolicy shop/wide spec.ingress[0]",))
    }


def test_several_rules_that_cover_one_together_are_all_named() -> None:
    found = looked(
        db("both", rule([peer({"app": "web"})], [port(1), port(2)])),
        db("one", rule([peer({"app": "web"})], [port(1), port(3)])),
        db("two", rule([peer({"app": "web"})], [port(2), port(4)])),
    )
    assert found == {
        "NetworkPolicy shop/both": (
            Why.COVERED,
            ("NetworkPolicy shop/one spec.ingress[0]", "NetworkPolicy shop/two spec.ingress[0]"),
        )
    }


def test_of_two_equal_policies_each_covers_the_other() -> None:
    found = looked(db("a", FROM_WEB), db("b", FROM_WEB))
    assert found == {
        "NetworkPolicy shop/a": (Why.COVERED, ("NetworkPolicy shop/b spec.ingress[0]",)),
        "NetworkPolicy shop/b": (Why.COVERED, ("NetworkPolicy shop/a spec.ingress[0]",)),
    }


def test_a_default_deny_for_pods_that_all_have_policies_is_named_with_what_isolates_them() -> None:
    found = looked(db("deny"), db("all", FROM_WEB, pods={}))
    assert found == {"NetworkPolicy shop/deny": (Why.COVERED, ("NetworkPolicy shop/all",))}


def test_what_selects_or_matches_nothing_is_told_apart() -> None:
    found = looked(
        db("nobody", FROM_WEB, pods={"app": "gone"}),
        db("db", FROM_WEB, rule([peer({"app": "gone"})]), rule([], [port("sql")])),
    )
    assert found == {
        "NetworkPolicy shop/nobody": (Why.SELECTS_NOTHING, ()),
        "NetworkPolicy shop/db spec.ingress[1]": (Why.MATCHES_NOTHING, ()),
        "NetworkPolicy shop/db spec.ingress[2]": (Why.MATCHES_NOTHING, ()),
    }


def test_a_rule_towards_pods_that_admit_nothing_is_closed_on_the_other_side() -> None:
    out = policy("web", "shop", {"app": "web"}, egress=[rule([peer({"app": "db"})]), rule([peer({"app": "web"})])])
    assert looked(out, db("deny")) == {"NetworkPolicy shop/web spec.egress[0]": (Why.CLOSED, ())}


def test_a_rule_after_one_that_decides_everything_is_shadowed_by_it() -> None:
    wide = cluster_policy("guard", does(Action.DENY), does(Action.ACCEPT))
    found = unused(analyse(replace(cluster([WEB, DB]), cluster_policies=(wide,))))
    assert [(str(entry), entry.by) for entry in found] == [
        ("ClusterNetworkPolicy guard spec.ingress[1]", ("ClusterNetworkPolicy guard spec.ingress[0]",))
    ]


def test_the_last_egress_rule_without_policy_types_isolates_and_is_not_listed_although_it_matches_nothing() -> None:
    def listed(**types: Any) -> list[str]:
        spec = {"podSelector": {}, "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "gone"}}}]}], **types}
        made = cluster_of(
            *(body("v1", "Pod", name, "shop", spec={}) for name in ("web", "db")),
            body("networking.k8s.io/v1", "NetworkPolicy", "out", "shop", spec=spec),
        )
        return [str(entry) for entry in unused(analyse(made))]

    assert listed() == []
    assert listed(policyTypes=["Ingress", "Egress"]) == ["NetworkPolicy shop/out spec.egress[0]"]


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_command_lists_them(tmp_path: Path, form: str) -> None:
    import yaml
    from click.testing import CliRunner
    from jsonschema import Draft202012Validator

    from evidence import resources
    from evidence.cli.reach import command
    from evidence.reach.changes import manifest

    file = tmp_path / "policies.yaml"
    pod_body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "db"}},
    }
    file.write_text(yaml.safe_dump_all([{**pod_body, "spec": {}}, *(manifest(db(name, FROM_WEB)) for name in "ab")]))
    done = CliRunner().invoke(command, ["unused", "--from", str(file), "--format", form], standalone_mode=False)
    assert done.exit_code == 0, done.output
    if form == "json":
        body = json.loads(done.output)
        schema = json.loads(resources.package_file("reach", "unused.schema.json").read_text())
        Draft202012Validator(schema).validate(body)
        assert [entry["covered_by"] for entry in body["unused"]] == [
            ["NetworkPolicy shop/b"],
            ["NetworkPolicy shop/a"],
        ]
    else:
        assert "NetworkPolicy shop/a" in done.output
        assert done.output.splitlines()[-1].endswith("computed on 2 of 2 policies")
