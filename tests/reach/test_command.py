"""`evidence reach` as its users run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    file = tmp_path / "shop.yaml"

    def body(
        kind: str, version: str, name: str, spec: object, labels: dict[str, str] | None = None
    ) -> dict[str, object]:
        return {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "labels": labels or {}},
            "spec": spec,
        }

    containers = {"containers": [{"name": "c", "image": "x"}]}
    file.write_text(
        yaml.safe_dump_all(
            [
                body("Pod", "v1", "web", containers, {"app": "web"}),
                body("Pod", "v1", "db", containers, {"app": "db"}),
                body(
                    "NetworkPolicy",
                    "networking.k8s.io/v1",
                    "db",
                    {
                        "podSelector": {"matchLabels": {"app": "db"}},
                        "ingress": [
                            {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}
                        ],
                    },
                ),
                body("CiliumNetworkPolicy", "cilium.io/v2", "extra", {}),
            ]
        )
    )
    return file


def run(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evidence", "reach", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        check=False,
    )


def test_query_answers_in_order_from_standard_input(manifests: Path) -> None:
    asked = [{"from": "shop/web", "to": "shop/db", "protocol": "TCP", "port": port} for port in (5432, 80)]
    done = run("query", "--queries", "-", "--from", manifests, stdin=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    assert [answer["verdict"] for answer in json.loads(done.stdout)] == ["allow", "deny"]


def test_an_unknown_pod_is_one_sentence_that_names_the_query(manifests: Path) -> None:
    done = run(
        "query", "--queries", "-", "--from", manifests, stdin='[{"from": "shop/nobody", "to": "shop/db", "port": 1}]'
    )
    assert done.returncode == 3
    assert done.stderr == "evidence: query 1: from: there is no pod or workload shop/nobody in the cluster\n"


def test_queries_that_are_no_json_are_named(manifests: Path) -> None:
    done = run("query", "--queries", "-", "--from", manifests, stdin="[")
    assert done.returncode == 3
    assert done.stderr.startswith("evidence: standard input:1: the queries are not JSON")
    assert run("query", "--queries", manifests.parent / "none.json", "--from", manifests).returncode == 3
    assert run("query", "--queries", "-", "--from", "-").returncode == 2


def test_matrix_as_csv_keeps_what_it_says_about_itself_apart(manifests: Path) -> None:
    done = run("matrix", "--from", manifests, "--format", "csv")
    assert done.stdout.splitlines()[0] == "source,destination,ports"
    assert "shop/Pod/web,shop/Pod/db,TCP 5432" in done.stdout.splitlines()
    assert done.stderr == (
        "unit: workload; computed on 1 of 2 policies; not evaluated: 1 CiliumNetworkPolicy; a pod's own node always reaches it\n"
    )
    assert done.stdout == run("matrix", "--from", manifests, "--format", "csv").stdout


def test_matrix_as_table_and_json(manifests: Path) -> None:
    table = run("matrix", "--from", manifests).stdout.splitlines()
    assert table[0].split() == ["source", "destination", "ports"]
    assert table[-1].startswith("9 flows; unit: workload; computed on 1 of 2 policies")
    document = json.loads(run("matrix", "--from", manifests, "--format", "json", "--unit", "pod").stdout)
    assert document["unit"] == "pod"
    assert len(document["flows"]) == 9


def test_explain_names_the_rule_on_each_side_and_what_would_turn_it(manifests: Path) -> None:
    text = run("explain", "shop/web", "shop/db", "5432", "--from", manifests).stdout.splitlines()
    assert text[:6] == [
        "shop/web → shop/db TCP 5432: allowed",
        "  egress of the source: allowed, not isolated",
        "    selected by: no policy",
        "  ingress of the destination: allowed by NetworkPolicy shop/db spec.ingress[0]",
        "    NetworkPolicy shop/db (default tier): decides",
        "      spec.ingress[0] Accept: matches",
    ]
    assert text[6:8] == ["  to deny it, either of:", "    - remove NetworkPolicy shop/db spec.ingress[0]"]
    assert "      kind: NetworkPolicy" in text
    body = json.loads(run("explain", "shop/web", "shop/db", "53/udp", "--from", manifests, "--format", "json").stdout)
    assert (body["verdict"], body["protocol"], body["ingress"]["selecting"]) == (
        "deny",
        "UDP",
        ["NetworkPolicy shop/db"],
    )
    assert body["ingress"]["change"]["patches"][0]["patch"][0]["path"] == "/spec/ingress/1"


@pytest.mark.parametrize("port", ["http", "0", "65536", "80/ICMP", ""])
def test_a_port_that_is_none_is_a_usage_error(manifests: Path, port: str) -> None:
    done = run("explain", "shop/web", "shop/db", port, "--from", manifests)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_nothing_heavy_is_imported() -> None:
    """The whole command starts in a fraction of a second: databases, templates and API clients stay out."""
    modules = (
        "evidence.cli.reach, evidence.pipeline, evidence.collect.files, evidence.reach.matrix, evidence.reach.query"
    )
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {
        "kubernetes",
        "sqlalchemy",
        "alembic",
        "jinja2",
        "weasyprint",
        "rfc8785",
        "jsonschema",
        "cryptography",
        "pikepdf",
    }
