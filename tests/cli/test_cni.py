"""`evidence cni`: what it prints, its JSON by its schema, its exit codes."""

import json
from pathlib import Path

import jsonschema
import pytest

from evidence.resources import package_file
from evidence.sample import CLUSTER_NAME, sample_dumps
from tests.cli.run import evidence
from tests.cni.clusters import (
    Body,
    agent,
    application,
    calico,
    cilium,
    crd,
    flannel,
    k3s_nodes,
    kube_router,
    node,
    nodes,
    vpc_cni,
)

CLUSTERS: dict[str, list[Body]] = {
    "calico": [*nodes(), *application(), *calico()],
    "cilium": [*nodes(), *application(), *cilium()],
    "flannel": [*nodes(), *application(), *flannel()],
    "vpc": [*nodes(), *application(), *vpc_cni(policy_agent="true")],
    "two": [*nodes(), *application(), *calico(), *kube_router()],
    "k3s": [*k3s_nodes(), *application()],
    "nothing": [*nodes(), *application()],
    "traces": [
        *(node(n, annotations={"projectcalico.org/IPv4Address": "10.0.0.1/24"}) for n in ("node-a", "node-b")),
        crd("felixconfigurations.crd.projectcalico.org"),
    ],
    "unready": [*nodes(), *application(), *calico(unready=("node-b",))],
    "unread": list(agent("kube-system", "calico-node", "docker.io/calico/node:v3.29.3", pods=False)),
}


def dump(name: str) -> Path:
    path = Path(f"{name}.json")
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": CLUSTERS[name]}))
    return path


@pytest.mark.parametrize("name", CLUSTERS)
def test_json_is_as_its_schema_says(name: str) -> None:
    ran = evidence("cni", "--from", dump(name), "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    schema = json.loads(package_file("cni", "report.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(ran.out), schema)


@pytest.mark.parametrize(
    ("name", "verdict", "code"),
    [
        ("calico", "enforced", 0),
        ("vpc", "enforced", 0),
        ("unready", "enforced on some nodes", 1),
        ("flannel", "not enforced", 1),
        ("cilium", "enforcement not shown", 1),
        ("two", "enforcement not shown", 1),
        ("nothing", "enforcement not shown", 1),
        ("traces", "enforcement not shown", 1),
    ],
)
def test_verdict_stands_first_and_decides_the_exit_code_only_on_request(name: str, verdict: str, code: int) -> None:
    path = dump(name)
    plain = evidence("cni", "--from", path)
    assert (plain.code, plain.out.splitlines()[0]) == (0, verdict)
    assert evidence("cni", "--from", path, "--require-enforced").code == code


def test_table_names_plugin_version_agent_features_and_what_is_not_covered() -> None:
    out = evidence("cni", "--from", dump("unready")).out
    for part in (
        "Calico v3.29.3: enforces policies",
        "agent    DaemonSet kube-system/calico-node",
        "ready    on 2 of 3 nodes",
        "nodes without a ready agent: node-b",
        "DaemonSet kube-system/calico-node: 3 hostNetwork pods, which no NetworkPolicy selects",
    ):
        assert part in out
    features = dict(
        row.split() for row in out.splitlines() if row.startswith(("ingress", "endPort", "ClusterNetworkPolicy"))
    )
    assert features == {"ingress": "full", "endPort": "full", "ClusterNetworkPolicy": "none"}


def test_no_sentence_is_wider_than_the_terminal_and_rows_of_features_stay_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = evidence("cni", "--from", dump("two")).out.splitlines()
    head = next(index for index, row in enumerate(rows) if row.startswith("feature "))
    assert all(len(row) <= 60 or " " not in row.strip() for row in rows[:head])
    assert len(rows[head].split("  ")) > 2
    assert rows[head + 1].startswith("ingress ")


def test_health_is_called_unknown_rather_than_none_when_nothing_shows_it() -> None:
    assert "nodes without a ready agent: not known" in evidence("cni", "--from", dump("unread")).out
    assert "nodes without a ready agent: none" in evidence("cni", "--from", dump("calico")).out


def test_a_snapshot_in_the_store_says_the_same_as_its_dump() -> None:
    first = sample_dumps()[0]
    taken = f"{first.taken_at:%Y-%m-%dT%H:%MZ}"
    assert evidence("collect", "--from", first.path, "--cluster", CLUSTER_NAME, "--taken-at", taken).code == 0
    assert evidence("cni").out == evidence("cni", "--from", first.path).out
    assert evidence("cni", "--cluster", CLUSTER_NAME, "--at", taken).out == evidence("cni").out
