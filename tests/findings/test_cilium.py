"""What findings make of Cilium's policies: what they isolate is isolated, what they refuse is theirs, and what was not looked at is said."""

from dataclasses import replace
from typing import Any

import pytest

from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import Cluster
from evidence.findings.registry import RunStatus
from evidence.intent.model import Classification, Intent
from tests.builders import cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, look, zone
from tests.manifests import body, cluster_of

WEB = pod("web-1", "shop", {"app": "web"}, ip="10.0.0.1")
DB = pod("db-1", "shop", {"app": "db"}, ip="10.0.0.2", ports=[named_port("sql", 5432)])


def cilium(namespace: str = "shop", **spec: Any) -> CiliumPolicy:
    raw = body("cilium.io/v2", "CiliumNetworkPolicy", "guard", namespace, spec={"endpointSelector": {}, **spec})
    return cluster_of(raw).cilium_policies[0]


def shop(*policies: CiliumPolicy, network: Any = ()) -> Cluster:
    return replace(cluster([WEB, DB], network), cilium_policies=policies)


CLOSED = cilium(ingress=[{}], egress=[{}])


@pytest.mark.parametrize("rule_id", ["NET-001", "NET-002", "NET-003"])
def test_pods_that_cilium_isolates_are_isolated(rule_id: str) -> None:
    assert clean(rule_id, shop(CLOSED))


def test_a_policy_without_default_deny_isolates_nobody() -> None:
    mild = cilium(ingressDeny=[{"fromEntities": ["world"]}], enableDefaultDeny={"ingress": False})
    _, found = look("NET-001", shop(mild))
    assert {str(one.subject) for one in found} == {"Workload shop/web-1", "Workload shop/db-1"}
    assert all("cluster-wide policies may restrict them" in one.message for one in found)


def test_rules_about_rules_say_that_they_did_not_look_at_these() -> None:
    run, _ = look("NET-012", shop(CLOSED, network=[policy("in", "shop", ingress=[rule()])]))
    assert run.status is RunStatus.PARTIAL
    assert "rules of 1 policy of Cilium's were not looked at (CiliumNetworkPolicy shop/guard)" in run.reason


def test_who_admits_a_crossing_is_named() -> None:
    card, batch = pod("card-1", "payments", {"app": "card"}), pod("batch-1", "batch", {"app": "batch"})
    open_door = cilium("payments", ingress=[{"fromEntities": ["cluster"]}], egress=[{}])
    intent = Intent(
        zones=(zone("cde", Classification.CDE, "payments"), zone("rest", Classification.OUT_OF_SCOPE, "batch"))
    )
    found = finding("SEG-001", replace(cluster([card, batch]), cilium_policies=(open_door,)), intent)
    assert "CiliumNetworkPolicy payments/guard" in [str(ref.key) for ref in found.evidence]


def test_what_cilium_refuses_is_not_laid_at_a_network_policys_door() -> None:
    opening = policy("open", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(5432)])])
    found = finding("NET-013", shop(cilium(egress=[{}]), network=[opening]))
    assert "CiliumNetworkPolicy shop/guard and no NetworkPolicy decide there" in found.message
    assert found.suggestion == ""
