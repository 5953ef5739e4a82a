"""`evidence reach exposure` as its users run it."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from evidence.resources import package_file
from tests.manifests import body, pod_body, policy_body
from tests.reach.test_command import run


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    file = tmp_path / "shop.yaml"
    containers = [{"name": "c", "image": "x"}]

    def labelled(app: str) -> dict[str, object]:
        return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers}}

    def front(app: str) -> dict[str, object]:
        return {"type": "NodePort", "selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}

    wide = {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}
    file.write_text(
        yaml.safe_dump_all(
            [
                pod_body("web", "shop", **labelled("web")),
                pod_body("db", "shop", **labelled("db")),
                body("v1", "Service", "web", "shop", spec=front("web")),
                body("v1", "Service", "db", "shop", spec=front("db")),
                policy_body(wide, "web", "shop"),
                policy_body({"podSelector": {}}, "deny", "shop"),
                body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "ingressroutes.traefik.io"),
            ]
        )
    )
    return file


DOUBT = "not certain: ways in of kinds that are not read may exist: Traefik IngressRoute"
ROW = ["shop/Pod/web", "NodePort Service shop/web", "internet and private ranges", "TCP 8080"]


def test_the_table_ends_with_what_is_not_certain_and_what_was_left_out(manifests: Path) -> None:
    done = run("exposure", "--from", manifests)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [cell.strip() for cell in lines[1].split("  ") if cell.strip()] == [
        *ROW,
        "NetworkPolicy shop/web spec.ingress[0]",
    ]
    assert lines[2] == DOUBT
    assert lines[3].startswith("1 door left shut by policy; computed on 2 of 2 policies")


def test_csv_holds_rows_and_nothing_else(manifests: Path) -> None:
    done = run("exposure", "--from", manifests, "--format", "csv")
    header, row = csv.reader(done.stdout.splitlines())
    assert header == ["workload", "door", "from", "ports", "admitted_by"]
    assert row[:4] == ROW
    assert DOUBT in done.stderr


def test_json_has_the_doors_that_are_shut_too(manifests: Path) -> None:
    found = json.loads(run("exposure", "--from", manifests, "--format", "json").stdout)
    Draft202012Validator(json.loads(package_file("reach", "exposure.schema.json").read_bytes())).validate(found)
    (door,) = found["open"]
    assert (door["workload"], door["from"], door["seen_as"]) == (
        "shop/Pod/web",
        ["internet", "private ranges"],
        "client",
    )
    assert door["door"]["kind"] == "NodePort"
    assert [shut["workload"] for shut in found["shut"]] == ["shop/Pod/db"]
    assert found["doubts"] == [DOUBT.removeprefix("not certain: ")]
