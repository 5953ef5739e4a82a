"""Which flows stand behind a finding, for every kind of subject; where there can be none, why."""

from dataclasses import replace

import pytest

from evidence.cluster.model import Cluster, Protocol, Service
from evidence.cluster.objects import ObjectKey
from evidence.findings.behind import behind
from evidence.findings.finding import EvidenceRef, Finding, Severity, Subject
from evidence.intent.model import ApprovedFlow, Classification, FlowPort, Intent
from tests.builders import cluster, namespace, peer, pod, policy, port, rule
from tests.findings.looking import context, findings, zone
from tests.reach.build import cluster_policy

WEB = pod("web", "shop", {"app": "web"}, ip="10.0.0.1", node="n1")
DB = pod("db", "shop", {"app": "db"}, ip="10.0.0.2", node="n1")
JOB = pod("job", "lab", {"app": "job"}, ip="10.0.0.3", node="n1")
FAR = pod("far", "range", {"app": "far"}, ip="10.0.0.4", node="n2")
CLOSED = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(5432)])], egress=[])
INTENT = Intent(
    zones=(zone("cde", Classification.CDE, "shop"), zone("lab", Classification.OUT_OF_SCOPE, "lab", "range")),
)


def state(**more: object) -> Cluster:
    """db takes in web alone and opens nothing; everything else is open."""
    spaces = [namespace("shop"), namespace("lab"), namespace("range")]
    service = Service("shop", "db", "ClusterIP", {"app": "db"}, ())
    return replace(cluster([WEB, DB, JOB, FAR], [CLOSED], spaces), services=(service,), **more)  # type: ignore[arg-type]


def told(rule_id: str, subject: Subject, *nodes: str, found: Cluster | None = None) -> tuple[set[str], str]:
    """Flows between pods as "web db", and what is said of them."""
    refs = tuple(EvidenceRef(ObjectKey("", "Node", "", name), "") for name in nodes)
    flow = ApprovedFlow("F-1", "cde", "lab", (FlowPort(Protocol.TCP, 80, 90),), "", "")
    asked = context(found or state(), replace(INTENT, flows=(flow,)))
    answer = behind(asked, Finding(rule_id, Severity.LOW, subject, "", refs))
    classes = asked.reach.classes
    names = {
        " ".join(pod.name for end in each[:2] for pod in classes[end].pods)
        for each in answer.flows
        if max(each.source, each.destination) < len(classes)
    }
    return names, answer.about


ALL = {"web job", "web far", "job web", "job far", "far web", "far job", "web db"}


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Workload", "db", {"web db"}),
        ("Service", "db", {"web db"}),
        ("NetworkPolicy", "db", {"web db"}),
        ("Workload", "gone", set()),
    ],
)
def test_what_names_pods_has_their_flows_behind_it(kind: str, name: str, expected: set[str]) -> None:
    flows, about = told("X", Subject(kind, "shop", name))
    assert flows == expected
    assert ("of which there are none" in about) is (not expected)


def test_namespaces_zones_and_nodes_have_the_flows_of_their_pods() -> None:
    assert told("X", Subject("Namespace", "", "lab"))[0] == {"web job", "far job", "job web", "job far", "job job"}
    assert told("X", Subject("Zone", "", "cde"))[0] == (ALL - {"job far", "far job"}) | {"web web"}
    flows, about = told("ENF-002", Subject("Node", "", "n2"))
    assert flows == {"web far", "job far", "far web", "far job", "far far"}
    assert "more may pass" in about


def test_a_cluster_wide_policy_has_the_flows_of_the_pods_that_it_selects() -> None:
    found = state(cluster_policies=(cluster_policy("guard", subject=peer({"app": "db"}, namespaces={})),))
    assert told("NET-021", Subject("ClusterNetworkPolicy", "", "guard"), found=found)[0] == {"web db"}


def test_zones_on_one_node_have_the_flows_of_the_pods_there_either_way() -> None:
    flows, about = told("SEG-005", Subject("ZonePair", "", "cde | lab"), "n1")
    assert flows == {"web job", "job web"}
    assert "past every policy" in about


def test_an_approval_has_what_it_covers() -> None:
    assert told("PRT-004", Subject("ApprovedFlow", "", "F-1"))[0] == {"web job", "web far"}


def test_a_path_of_several_hops_has_its_hops() -> None:
    closed = policy("web", "shop", {"app": "web"}, ingress=[rule([peer({"app": "far"}, namespaces={})], [port(443)])])
    found = replace(state(), policies=(CLOSED, closed))
    known = Intent(
        zones=(
            zone("cde", Classification.CDE, "shop"),
            zone("lab", Classification.OUT_OF_SCOPE, "lab"),
            zone("between", Classification.CONNECTED_TO, "range"),
        ),
    )
    (finding,) = findings("SEG-006", found, known)
    asked = context(found, known)
    flows = behind(asked, finding).flows
    pods = [[asked.reach.classes[end].pods[0].name for end in flow[:2]] for flow in flows]
    assert sorted(pods) == [["far", "web"], ["job", "far"], ["web", "db"]]


@pytest.mark.parametrize("kind", ["Cluster", "ServiceAccount", "Waiver"])
def test_what_is_about_no_connection_says_so(kind: str) -> None:
    flows, about = told("X", Subject(kind, "", "x"))
    assert flows == set()
    assert about.startswith("this is about ")
