"""Family enforcement: what the network plugin does with the policies."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from evidence.cluster.cilium import CiliumPolicy
from evidence.cluster.model import Direction, Node
from evidence.cluster.objects import ObjectKey
from evidence.cni.model import CniReport, DetectedPlugin, Enforcement, Support
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import block, cluster, pod, policy, port, rule
from tests.findings.looking import baseline_deny, clean, finding, hit, look, near_miss

FEATURES = ("ingress", "egress", "ipBlock", "ipBlockExcept", "ipBlockPods", "ipv6", "sctp", "namedPorts", "endPort")
WEB = pod("web-1", "shop", {"app": "web"}, node="node-a", ip=("10.1.0.1", "fd00::1"))
SHOP = cluster([WEB], [policy("web", "shop", ingress=[rule([], [port(8000, end_port=8010)])])])
BASELINE = baseline_deny(Direction.INGRESS)
NODES = tuple(Node(name, {}, (ip_address("10.0.0.9"),), True) for name in ("node-a", "node-b"))


def plugin(enforces: bool | None = True, **features: Support) -> DetectedPlugin:
    support: Mapping[str, Support] = {**dict.fromkeys(FEATURES, Support.FULL), **features}
    agent = ObjectKey("apps", "DaemonSet", "kube-system", "agent")
    return DetectedPlugin("net", "Net", "1.2.3", "", enforces, (), support, agent, 2, 2, ())


def report(enforcement: Enforcement, *plugins: DetectedPlugin, unhealthy: tuple[str, ...] = ()) -> CniReport:
    return CniReport(plugins, enforcement, ("as the agents say",), unhealthy)


ENFORCED = report(Enforcement.ENFORCED, plugin())


@hit("ENF-001")
def test_a_plugin_that_enforces_nothing_makes_every_policy_void() -> None:
    found = finding("ENF-001", SHOP, cni=report(Enforcement.NOT_ENFORCED, plugin(enforces=False)))
    assert found.message == (
        "Net 1.2.3 does not enforce NetworkPolicy, so none of 1 NetworkPolicy has any effect: as the agents say"
    )
    assert found.severity is Severity.CRITICAL
    assert str(found.evidence[0].key) == "DaemonSet kube-system/agent"


@near_miss("ENF-001")
def test_an_enforcing_plugin_is_no_finding() -> None:
    assert clean("ENF-001", SHOP, cni=ENFORCED)


def test_enforcement_that_is_not_shown_is_neither_a_finding_nor_clean() -> None:
    run, found = look("ENF-001", SHOP, cni=report(Enforcement.NOT_SHOWN))
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert "enforcement is not shown: as the agents say" in run.reason


@hit("ENF-002")
def test_a_node_without_a_ready_agent_is_found_with_its_pods() -> None:
    failing = report(Enforcement.PARTIAL, plugin(), unhealthy=("node-a",))
    found = finding("ENF-002", replace(SHOP, nodes=NODES), cni=failing)
    assert str(found.subject) == "Node node-a"
    assert "may not be in effect for 1 pod on the node" in found.message


@hit("ENF-002")
def test_partial_enforcement_for_another_reason_is_the_clusters() -> None:
    found = finding("ENF-002", replace(SHOP, nodes=NODES), cni=report(Enforcement.PARTIAL, plugin()))
    assert found.message == "enforced on some nodes only: as the agents say"


@near_miss("ENF-002")
def test_ready_agents_everywhere_are_no_finding() -> None:
    assert clean("ENF-002", replace(SHOP, nodes=NODES), cni=ENFORCED)


def test_without_a_recognised_enforcer_its_agents_are_not_known() -> None:
    run, _ = look("ENF-002", SHOP, cni=report(Enforcement.NOT_SHOWN))
    assert run.status is RunStatus.PARTIAL


@hit("ENF-007")
def test_a_mode_that_leaves_a_gap_is_found() -> None:
    lax = replace(plugin(), softened=("a new pod is open at first",))
    found = finding("ENF-007", SHOP, cni=report(Enforcement.ENFORCED, lax))
    assert found.message == "Net 1.2.3: a new pod is open at first"
    assert (found.severity, str(found.evidence[0].key)) == (Severity.MEDIUM, "DaemonSet kube-system/agent")


@near_miss("ENF-007")
def test_a_plugin_that_does_what_policies_say_is_no_finding() -> None:
    assert clean("ENF-007", SHOP, cni=ENFORCED)


def test_without_a_recognised_enforcer_its_mode_is_not_known() -> None:
    run, found = look("ENF-007", SHOP, cni=report(Enforcement.NOT_SHOWN))
    assert (run.status, found) == (RunStatus.PARTIAL, [])


@hit("NET-011")
@pytest.mark.parametrize(("support", "severity"), [(Support.NONE, Severity.HIGH), (Support.PARTIAL, Severity.MEDIUM)])
def test_a_feature_that_the_plugin_does_not_heed_is_found(support: Support, severity: Severity) -> None:
    found = finding("NET-011", SHOP, cni=report(Enforcement.ENFORCED, plugin(endPort=support)))
    assert found.severity is severity
    assert "heed" in found.message
    assert "spec.ingress[0].ports[0].endPort" in found.message


@near_miss("NET-011")
def test_a_missing_feature_that_no_policy_uses_is_no_finding() -> None:
    assert clean("NET-011", SHOP, cni=report(Enforcement.ENFORCED, plugin(sctp=Support.NONE, egress=Support.NONE)))


@pytest.mark.parametrize("support", [Support.UNKNOWN, Support.OPTIONAL])
def test_support_that_cannot_be_seen_is_a_doubt(support: Support) -> None:
    run, found = look("NET-011", SHOP, cni=report(Enforcement.ENFORCED, plugin(endPort=support)))
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert "support is not known for endPort of Net 1.2.3" in run.reason


@pytest.mark.parametrize("support", [s for s in Support if s not in (Support.FULL, Support.NONE)])
def test_a_cluster_wide_policy_that_the_plugin_may_not_run_is_a_doubt(support: Support) -> None:
    guarded = replace(cluster([WEB]), cluster_policies=(BASELINE,))
    run, found = look("NET-011", guarded, cni=report(Enforcement.ENFORCED, plugin(BaselineAdminNetworkPolicy=support)))
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert f"Net 1.2.3 is not known to run every BaselineAdminNetworkPolicy (support: {support.value})" in run.reason


def test_a_cluster_wide_policy_that_the_plugin_runs_leaves_no_doubt() -> None:
    guarded = replace(cluster([WEB]), cluster_policies=(BASELINE,))
    run, _ = look("NET-011", guarded, cni=report(Enforcement.ENFORCED, plugin(BaselineAdminNetworkPolicy=Support.FULL)))
    assert run.status is RunStatus.RAN


@hit("NET-011")
def test_a_cluster_wide_policy_of_a_kind_that_the_plugin_does_not_run_has_no_effect() -> None:
    guarded = replace(cluster([WEB]), cluster_policies=(BASELINE,))
    found = finding(
        "NET-011", guarded, cni=report(Enforcement.ENFORCED, plugin(BaselineAdminNetworkPolicy=Support.NONE))
    )
    assert found.message == ("BaselineAdminNetworkPolicy default has no effect: Net 1.2.3 does not run its kind")
    assert (found.severity, str(found.subject)) == (Severity.HIGH, "BaselineAdminNetworkPolicy default")


CILIUM = CiliumPolicy(ObjectKey("cilium.io", "CiliumNetworkPolicy", "shop", "guard"), "cilium.io/v2", ())


@hit("NET-011")
def test_a_policy_of_another_plugins_maker_has_no_effect() -> None:
    guarded = replace(cluster([WEB]), cilium_policies=(CILIUM,))
    found = finding("NET-011", guarded, cni=report(Enforcement.ENFORCED, plugin()))
    assert found.message == (
        "CiliumNetworkPolicy shop/guard has no effect: its kind is for Cilium, and Net 1.2.3 does not run it"
    )


@near_miss("NET-011")
@pytest.mark.parametrize("here", [replace(plugin(), id="cilium"), None])
def test_a_policy_of_a_plugins_maker_is_no_finding_where_it_runs_or_nothing_is_recognised(
    here: DetectedPlugin | None,
) -> None:
    guarded = replace(cluster([WEB]), cilium_policies=(CILIUM,))
    cni = report(Enforcement.ENFORCED, here) if here else report(Enforcement.NOT_SHOWN)
    assert look("NET-011", guarded, cni=cni)[1] == []


@pytest.mark.parametrize(("support", "found"), [(Support.NONE, 1), (Support.FULL, 0)])
def test_a_selector_by_labels_that_controllers_put_on_pods_is_a_feature(support: Support, found: int) -> None:
    """Cilium leaves them out of what it knows a pod by, so that such a policy selects nothing there."""
    one = cluster([WEB], [policy("web", "shop", {"statefulset.kubernetes.io/pod-name": "web-0"}, ingress=[])])
    hits = look("NET-011", one, cni=report(Enforcement.ENFORCED, plugin(systemLabels=support)))[1]
    assert len(hits) == found
    assert all("labels that controllers put on pods (spec.podSelector)" in hit.message for hit in hits)


ON_EKS = report(Enforcement.ENFORCED, replace(plugin(), id="aws-vpc-cni"))
DEFINED = frozenset({"policyendpoints.networking.k8s.aws"})


@hit("NET-011")
def test_a_policy_that_no_policy_endpoint_carries_is_not_in_effect() -> None:
    found = finding("NET-011", replace(SHOP, crds=DEFINED), cni=ON_EKS)
    assert found.message == (
        "no PolicyEndpoint carries NetworkPolicy shop/web, so no agent knows of it, though it selects 1 pod"
    )


@near_miss("NET-011")
@pytest.mark.parametrize(
    "changes",
    [
        {"crds": DEFINED, "handed_over": frozenset({("shop", "web")})},
        {"crds": DEFINED, "unread_kinds": ("PolicyEndpoint",)},
        {"crds": frozenset()},
        {"crds": DEFINED, "pods": ()},
    ],
    ids=["carried", "not read", "not defined", "without pods"],
)
def test_a_policy_that_is_carried_or_of_which_that_is_not_known_is_no_finding(changes: dict[str, Any]) -> None:
    assert look("NET-011", replace(SHOP, **changes), cni=ON_EKS)[1] == []


@hit("NET-012")
def test_exceptions_under_ipv4_and_all_of_ipv6_let_dual_stack_pods_walk_round_them() -> None:
    out = policy("out", "shop", egress=[rule([block("0.0.0.0/0", "10.0.0.0/8"), block("::/0")])])
    found = finding("NET-012", cluster([WEB], [out]))
    assert "makes exceptions for IPv4 and none for IPv6, which it admits whole, for 1 dual-stack pod" in found.message


@near_miss("NET-012")
@pytest.mark.parametrize("six", ["fc00::/7", ""])
def test_exceptions_under_both_families_or_one_family_alone_are_no_finding(six: str) -> None:
    blocks = [block("0.0.0.0/0", "10.0.0.0/8"), *([block("::/0", six)] if six else [])]
    assert clean("NET-012", cluster([WEB], [policy("out", "shop", egress=[rule(blocks)])]))
