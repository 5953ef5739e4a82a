"""Ways past the policies leave a doubt where isolation is claimed."""

from dataclasses import replace

from evidence.cluster.model import Pod
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.findings.registry import RunStatus
from evidence.intent.model import Classification, Intent
from tests.builders import cluster, pod, policy
from tests.findings.looking import look, zone

CARD = pod("card-1", "payments", {"app": "card"}, node="node-a", ip="10.1.0.1")
INTENT = Intent(
    zones=(
        zone("cde", Classification.CDE, "payments"),
        zone("batch", Classification.OUT_OF_SCOPE, "batch"),
        zone("agents", Classification.SECURITY_IMPACTING, "kube-system"),
    )
)
DENY = policy("deny", "payments", ingress=[], egress=[])


def agent(namespace: str, node: str, phase: str = "Running") -> Pod:
    return pod("agent", namespace, node=node, host_network=True, phase=phase)


def reason(rule: str, *pods: Pod) -> str:
    run, found = look(rule, cluster(pods, [DENY]), INTENT)
    assert found == []
    assert (run.status is RunStatus.PARTIAL) == bool(run.reason)
    return run.reason


def test_a_pod_out_of_scope_on_the_network_of_a_regulated_pods_node_reaches_it_past_every_policy() -> None:
    for rule in "SEG-001", "SEG-002":
        assert "1 pod outside the scope on the host network (batch/agent)" in reason(
            rule, CARD, agent("batch", "node-a")
        )


def test_a_pod_that_is_not_placed_yet_may_come_to_that_node() -> None:
    assert "batch/agent" in reason("SEG-001", CARD, agent("batch", ""))
    assert "batch/agent" in reason("SEG-001", replace(CARD, node=""), agent("batch", "node-b"))


def test_pods_in_no_zone_count_as_out_of_scope_there_too() -> None:
    assert "elsewhere/agent" in reason("SEG-001", CARD, agent("elsewhere", "node-a"))


def test_a_privileged_pod_out_of_scope_can_change_the_rules_of_a_regulated_pods_node() -> None:
    beside = replace(pod("tuner", "batch", node="node-a"), privileged=True)
    sentence = "1 privileged pod outside the scope (batch/tuner) may share a node with pods inside"
    assert sentence in reason("SEG-001", CARD, beside)
    assert sentence in reason("SEG-002", CARD, beside)
    for harmless in replace(beside, node="node-b"), replace(beside, privileged=False), replace(beside, phase="Failed"):
        assert reason("SEG-001", CARD, harmless) == ""


def test_another_node_a_node_agent_in_scope_and_a_finished_pod_leave_no_doubt() -> None:
    for harmless in agent("batch", "node-b"), agent("kube-system", "node-a"), agent("batch", "node-a", "Succeeded"):
        assert reason("SEG-001", CARD, harmless) == ""


def test_a_further_interface_of_a_regulated_pod_is_a_path_that_no_policy_rules() -> None:
    body = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "macvlan"}}}
    origin = CollectedObject(ObjectKey("", "Pod", "payments", "card-1"), body, "dump.json:1")
    for rule in "SEG-001", "NET-001", "NET-002":
        assert "payments/card-1 has a further network interface" in reason(rule, replace(CARD, origin=origin))
        assert reason(rule, CARD) == ""
