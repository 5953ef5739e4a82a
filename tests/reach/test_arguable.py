"""Points that the API leaves open, and what is taken here: each pinned on a small cluster, and on the public cases that turn on it.

docs/reachability.md gives the reasons, in a table with the same groups.
"""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatch
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from evidence.cluster.model import Cluster, NetworkPolicy, Node, Protocol
from evidence.reach.engine import analyse
from evidence.reach.query import Answering, Query
from tests.builders import block, cluster, peer, pod, policy, rule
from tests.manifests import parsed_cluster, pod_body, policy_body
from tests.reach.test_cases import wrong_answers

GROUPS: Mapping[str, tuple[str, ...]] = {
    "pods on the host network": ("ibm-nca/*-hostnetwork", "npguard/*-hostnetwork", "semantics/hostnetwork"),
    "a selector and pods on the host network": ("seeds/prometheus-node-exporter",),
    "an ipBlock and pods": ("semantics/ipblock-pods",),
    "an ipBlock and pods of two families": ("semantics/dual-stack-pods",),
    "an empty list of egress rules": ("semantics/egress-empty-list-default-types",),
    "a pod's own node": ("semantics/own-node",),
}
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reachability.md"


def arguable(cases: Path) -> list[str]:
    found = []
    for file in sorted(cases.glob("*/*/case.yaml")):
        case = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        if "arguable" in case.get("tags", ()):
            found.append(f"{file.parent.parent.name}/{file.parent.name}")
    return found


def test_every_arguable_case_is_decided_in_one_group_and_answered_so(shared_folder: Path) -> None:
    names = arguable(shared_folder / "cases")
    assert len(names) == 40
    for name in names:
        assert sum(fnmatch(name, each) for group in GROUPS.values() for each in group) == 1, name
        assert wrong_answers(shared_folder / "cases" / name) == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_stands_in_the_docs_with_its_cases(group: str) -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {group} |")]
    assert len(rows) == 1
    assert all(f"`{each}`" in rows[0] for each in GROUPS[group])


# -- each group on its own ------------------------------------------------------------------------------------------------


def allowed(found: Cluster, source: str, destination: str, family: int | None = None) -> bool:
    return Answering(analyse(found)).answer(Query(source, destination, Protocol.TCP, 80, family)).allowed


def with_node(*policies: NetworkPolicy) -> Cluster:
    """A pod on the pod network, one on the host network of node n1, which has address 172.16.0.1."""
    pods = [
        pod("web", labels={"app": "web"}, ip="10.0.0.1", node="n2"),
        pod("agent", labels={"app": "agent"}, ip="172.16.0.1", host_network=True, node="n1"),
    ]
    return cluster(pods, policies)


def test_no_policy_restricts_a_pod_on_the_host_network() -> None:
    found = with_node(policy("deny", ingress=[], egress=[]))
    assert allowed(found, "203.0.113.7", "default/agent")
    assert allowed(found, "default/agent", "203.0.113.7")
    assert not allowed(found, "default/agent", "default/web")


def test_a_pod_on_the_host_network_is_met_by_its_nodes_address_and_by_no_selector() -> None:
    by_label = policy("p", pods={"app": "web"}, ingress=[rule([peer({"app": "agent"}), peer(namespaces={})])])
    by_address = policy("p", pods={"app": "web"}, ingress=[rule([block("172.16.0.1/32")])])
    assert not allowed(with_node(by_label), "default/agent", "default/web")
    assert allowed(with_node(by_address), "default/agent", "default/web")


def test_an_ip_block_means_pods_by_their_own_address() -> None:
    pods = [pod("in", ip="10.0.0.1"), pod("out", ip="10.0.1.1"), pod("db", labels={"app": "db"}, ip="10.0.9.9")]
    found = cluster(pods, [policy("p", pods={"app": "db"}, ingress=[rule([block("10.0.0.0/24")])])])
    assert allowed(found, "default/in", "default/db")
    assert not allowed(found, "default/out", "default/db")


def test_an_ip_block_of_one_family_opens_that_family_alone() -> None:
    pods = [pod("web", ip=("10.0.0.1", "fd00::1")), pod("db", labels={"app": "db"}, ip=("10.0.0.2", "fd00::2"))]
    found = cluster(pods, [policy("p", pods={"app": "db"}, ingress=[rule([block("fd00::/64")])])])
    assert allowed(found, "default/web", "default/db", 6)
    assert not allowed(found, "default/web", "default/db", 4)
    assert allowed(found, "default/web", "default/db")


def test_an_empty_list_of_egress_rules_without_policy_types_isolates_for_ingress_alone() -> None:
    found = parsed_cluster([pod_body("a"), pod_body("b"), policy_body({"podSelector": {}, "egress": []})])
    [read] = found.policies
    assert [direction.value for direction in read.policy_types] == ["Ingress"]
    assert allowed(found, "default/a", "203.0.113.7")
    assert not allowed(found, "default/a", "default/b")


def test_a_pods_own_node_reaches_it_and_another_does_not() -> None:
    nodes = tuple(Node(f"n{n}", {}, (ip_address(f"172.16.0.{n}"),), ready=True) for n in (1, 2))
    found = replace(with_node(policy("deny", ingress=[])), nodes=nodes)
    assert allowed(found, "172.16.0.2", "default/web")
    assert not allowed(found, "172.16.0.1", "default/web")
