"""Family bypass: ways round NetworkPolicy."""

from dataclasses import replace

import pytest

from evidence.cluster.model import ContainerPort, OtherPolicy, Protocol, Service, ServicePort
from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import block, cluster, pod
from tests.findings.looking import clean, finding, findings, hit, look, near_miss, of

WEB = pod("web-1", "shop", {"app": "web"}, node="node-a")
CALICO = OtherPolicy(
    ObjectKey("crd.projectcalico.org", "GlobalNetworkPolicy", "", "allow-all"), "crd.projectcalico.org/v1"
)


def service(kind: str = "NodePort", **more: object) -> Service:
    ports = (ServicePort("http", Protocol.TCP, 80, 8080, node_port=30080),)
    return replace(Service("shop", "web", kind, {"app": "web"}, ports), **more)  # type: ignore[arg-type]


@hit("BYP-001")
def test_a_pod_on_the_host_network_is_outside_policy() -> None:
    agent = of("DaemonSet", "agent", pod("agent-1", "shop", host_network=True, node="node-a", ip="10.0.0.9"))
    found = finding("BYP-001", cluster(agent))
    assert found.message == "1 pod of DaemonSet shop/agent on the node's network on node-a, where no policy isolates"
    assert found.severity is Severity.MEDIUM


@near_miss("BYP-001")
def test_finished_pods_share_nobodys_network_any_more() -> None:
    done = pod("job-1", "shop", host_network=True, phase="Succeeded")
    assert clean("BYP-001", cluster([WEB, done]))


def test_node_agents_in_kube_system_are_expected() -> None:
    agent = pod("cni-1", "kube-system", host_network=True, ip="10.0.0.9")
    assert finding("BYP-001", cluster([agent])).severity is Severity.LOW


@hit("BYP-002")
def test_a_node_port_in_front_of_pods_is_a_side_door() -> None:
    found = finding("BYP-002", replace(cluster([WEB]), services=(service(),)))
    assert found.message == "TCP 30080 (to 8080) on every node leads to shop/web-1"
    assert str(found.subject) == "Service shop/web"


@hit("BYP-002")
def test_a_node_port_walks_round_a_load_balancers_source_ranges() -> None:
    limited = service("LoadBalancer", load_balancer_source_ranges=(block("192.0.2.0/24").cidr,))
    assert (
        "round its loadBalancerSourceRanges" in finding("BYP-002", replace(cluster([WEB]), services=(limited,))).message
    )


@hit("BYP-002")
def test_a_host_port_is_a_side_door() -> None:
    mapped = replace(WEB, ports=(ContainerPort("http", Protocol.TCP, 8080, host_port=80),))
    assert (
        finding("BYP-002", cluster([mapped])).message
        == "TCP 80 of the node leads to Pod shop/web-1 (hostPort) on node-a"
    )


@hit("BYP-002")
def test_a_host_port_with_an_address_is_a_side_door_there() -> None:
    mapped = replace(WEB, ports=(ContainerPort("http", Protocol.TCP, 8080, 80, "10.0.0.9"),))
    assert "TCP 80 at 10.0.0.9 of the node leads to" in finding("BYP-002", cluster([mapped])).message


@near_miss("BYP-002")
def test_a_host_port_at_loopback_is_no_side_door() -> None:
    assert clean(
        "BYP-002", cluster([replace(WEB, ports=(ContainerPort("http", Protocol.TCP, 8080, 80, "127.0.0.1"),))])
    )


@near_miss("BYP-002")
@pytest.mark.parametrize(
    "quiet",
    [service("LoadBalancer"), service("ClusterIP", ports=()), service(selector={"app": "gone"})],
    ids=["a load balancer open to all", "a ClusterIP Service", "a node port without pods"],
)
def test_no_side_door_where_nothing_is_walked_round(quiet: Service) -> None:
    assert clean("BYP-002", replace(cluster([WEB]), services=(quiet,)))


@hit("BYP-003")
@pytest.mark.parametrize(
    ("powers", "words"),
    [({"privileged": True}, "privileged"), ({"capabilities": frozenset({"NET_RAW", "CHOWN"})}, "NET_RAW")],
)
def test_a_pod_that_can_forge_packets_is_found(powers: dict[str, object], words: str) -> None:
    found = finding("BYP-003", cluster([replace(WEB, **powers)]))  # type: ignore[arg-type]
    assert found.message == f"1 pod of Pod shop/web-1 running with {words}"


@near_miss("BYP-003")
def test_other_capabilities_forge_nothing() -> None:
    assert clean("BYP-003", cluster([replace(WEB, capabilities=frozenset({"NET_BIND_SERVICE", "CHOWN"}))]))


@hit("BYP-004")
def test_policies_of_kinds_that_are_not_evaluated_are_named() -> None:
    found = finding("BYP-004", replace(cluster([WEB]), other_policies=(CALICO,)))
    assert found.message == "1 GlobalNetworkPolicy.crd.projectcalico.org not evaluated: allow-all"
    assert found.evidence[0].key == CALICO.key


@near_miss("BYP-004")
def test_a_cluster_with_network_policies_only_has_none_to_name() -> None:
    from tests.builders import policy

    assert clean("BYP-004", cluster([WEB], [policy("deny", "shop", ingress=[])]))


def test_a_policy_kind_that_nobody_could_list_keeps_the_rule_from_looking_clean() -> None:
    run, found = look("BYP-004", replace(cluster([WEB]), unread_kinds=("AdminNetworkPolicy",)))
    assert found == []
    assert (run.status, "AdminNetworkPolicy could not be listed" in run.reason) == (RunStatus.PARTIAL, True)


@pytest.mark.parametrize("rule_id", ["BYP-001", "BYP-003"])
def test_nothing_is_said_of_a_cluster_without_pods(rule_id: str) -> None:
    assert findings(rule_id, cluster()) == []
