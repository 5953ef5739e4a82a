"""Flows as rows: names, units, escaping, what was not evaluated."""

import csv
import io
from dataclasses import replace

from evidence.cluster.model import Cluster, OtherPolicy
from evidence.cluster.objects import ObjectKey
from evidence.reach import matrix
from evidence.reach.engine import analyse
from tests.builders import block, cluster, peer, pod, policy, port, rule


def state() -> Cluster:
    workload = ObjectKey("apps", "Deployment", "default", "web")
    pods = [
        replace(
            pod(f"web-{n}", labels={"app": "web", "canary": "yes" if n == 2 else "no"}, ip=f"10.0.0.{n}"),
            workload=workload,
        )
        for n in range(3)
    ]
    return cluster(
        [*pods, pod("db", labels={"app": "db"}, ip="10.0.1.1")],
        [
            policy(
                "db",
                pods={"app": "db"},
                ingress=[rule([peer({"app": "web", "canary": "no"})], [port(5432), port(53, "UDP")])],
                egress=[],
            ),
            policy(
                "web",
                pods={"app": "web"},
                ingress=[],
                egress=[rule([peer({"app": "db"})]), rule([block("203.0.113.0/24")], [port(443)])],
            ),
        ],
    )


def test_a_workload_whose_pods_differ_is_several() -> None:
    assert list(matrix.rows(analyse(state()))) == [
        ("default/Deployment/web (2 of 3 pods: web-0 and others)", "default/Pod/db", "TCP 5432, UDP 53"),
        ("default/Deployment/web (2 of 3 pods: web-0 and others)", "203.0.113.0/24", "TCP 443"),
        ("default/Deployment/web (1 of 3 pods: web-2)", "203.0.113.0/24", "TCP 443"),
    ]


def test_by_pod_each_pair_of_different_pods_is_a_row() -> None:
    found = [
        row
        for row in matrix.rows(analyse(replace(state(), policies=())), matrix.Unit.POD)
        if "default/" in row[0] and "default/" in row[1]
    ]
    assert len(found) == 4 * 3
    assert all(source != destination for source, destination, _ in found)


def test_csv_holds_the_rows() -> None:
    reach = analyse(state())
    for unit in matrix.Unit:
        read = list(csv.reader(io.StringIO("".join(matrix.csv(reach, unit)))))
        assert read[0] == list(matrix.HEADER)
        assert [tuple(row) for row in read[1:]] == list(matrix.rows(reach, unit))


def test_csv_cells_run_no_formula_and_keep_their_place() -> None:
    assert matrix.cell("=cmd()") == "'=cmd()"
    assert matrix.cell('a,"b"') == '"a,""b"""'
    assert matrix.cell("default/web") == "default/web"


def test_ranges_are_networks_where_they_are_and_bounds_otherwise() -> None:
    reach = analyse(replace(state(), policies=(policy("p", ingress=[rule([block("10.1.0.0/16", "10.1.2.0/24")])]),)))
    assert [matrix.range_name(found) for found in reach.external] == [
        "0.0.0.0-10.0.255.255",
        "10.1.0.0/23",
        "10.1.2.0/24",
        "10.1.3.0-10.1.255.255",
        "10.2.0.0-255.255.255.255",
    ]
    assert matrix.range_name(analyse(cluster([pod("a")])).external[1]) == "::/0"


def test_policies_of_kinds_that_are_not_evaluated_are_counted() -> None:
    other = OtherPolicy(ObjectKey("cilium.io", "CiliumNetworkPolicy", "default", "x"), "cilium.io/v2")
    reach = analyse(replace(state(), other_policies=(other,)))
    assert matrix.computed_on(reach) == "computed on 2 of 3 policies; not evaluated: 1 CiliumNetworkPolicy"
    assert matrix.document(reach)["not_evaluated"] == ["CiliumNetworkPolicy default/x"]
    assert matrix.computed_on(analyse(state())) == "computed on 2 of 2 policies"


def test_the_document_lists_every_pod_once() -> None:
    found = matrix.document(analyse(state()))
    assert sorted(key for entry in found["peers"] for key in entry.get("pods", [])) == [
        "default/db", "default/web-0", "default/web-1", "default/web-2",
    ]  # fmt: skip
    assert found["flows"][0] == {"source": 1, "destination": 0, "ports": "TCP 5432, UDP 53"}
