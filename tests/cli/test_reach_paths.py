"""`evidence reach paths` and `evidence reach blast` as their users run them, on the sample."""

import json
from pathlib import Path

import pytest

from evidence.sample import intent_path, sample_dumps
from tests.cli.run import Ran, evidence

DRIFTED, MENDED = (sample_dumps()[number].path for number in (3, 4))


def reach(command: str, *arguments: object, dump: Path = MENDED) -> Ran:
    return evidence("reach", command, *arguments, "--from", dump, "--intent", intent_path())


def test_a_direct_way_is_one_hop_with_the_rule_that_opens_it() -> None:
    ran = reach("paths", "batch", "card-data", "--rules", dump=DRIFTED)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].endswith("reachable in 1 hop")
    assert "    1. batch/Deployment/report-runner → payments/StatefulSet/card-vault  TCP 5432" in lines
    assert "ingress allowed by NetworkPolicy payments/debug-allow spec.ingress[0]" in ran.out
    assert "not reached: payments/Deployment/tokenizer" in lines


def test_json_has_every_hop_of_every_path() -> None:
    body = json.loads(reach("paths", "batch", "card-data", "--format", "json").out)
    assert (body["verdict"], body["hops"]) == ("reachable", 3)
    shortest = body["paths"][0]
    assert [hop["to"]["workloads"] for hop in shortest] == [
        ["monitoring/StatefulSet/prometheus"],
        ["production/Deployment/app"],
        ["payments/Deployment/payment-api"],
    ]
    assert [hop["ports"] for hop in shortest] == ["TCP 9090", "TCP 8080", "TCP 8443"]
    assert "rules" not in shortest[0]


def test_a_path_fails_a_pipeline_that_asked_for_none() -> None:
    assert reach("paths", "batch", "card-data", "--fail-on-path").code == 1
    assert reach("paths", "batch", "card-data", "--fail-on-path", "--max-hops", 2).code == 0


def test_what_only_a_pods_own_node_opens_is_told_apart() -> None:
    ran = reach("paths", "batch", "card-data", "--max-hops", 2)
    assert ran.out.splitlines()[0].endswith("no path within 2 hops")
    assert "only as traffic of a pod's own node, which no policy governs:" in ran.out
    assert reach("paths", "batch", "card-data", "--max-hops", 2, "--through-nodes", "--fail-on-path").code == 1


def test_blast_radius_is_by_hops_and_zone() -> None:
    ran = reach("blast", "production/app", "--all")
    assert ran.out.startswith("production/app (3 pods) can reach ")
    directly, onwards = ran.out.partition("in 2 hops:\n")[::2]
    assert "card-data" in directly
    assert "payments/Deployment/payment-api (2 pods)" in directly
    assert "payments/StatefulSet/card-vault" in onwards
    assert "payments/StatefulSet/card-vault" not in directly
    assert "via payments/Deployment/payment-api" in onwards


def test_blast_as_json_stops_where_asked() -> None:
    body = json.loads(reach("blast", "batch/report-runner", "--format", "json", "--max-hops", 1).out)
    assert {found["hops"] for found in body["reached"]} == {1}
    prometheus = next(f for f in body["reached"] if f.get("workloads") == ["monitoring/StatefulSet/prometheus"])
    assert (prometheus["ports"], prometheus["zones"]) == ("TCP 9090", ["monitoring"])


@pytest.mark.parametrize("name", ["nowhere", "zone:nowhere", "production/nothing"])
def test_a_name_that_nothing_has_is_a_usage_error(name: str) -> None:
    ran = reach("paths", name, "card-data")
    assert (ran.code, name.removeprefix("zone:") in ran.err) == (2, True)
    assert reach("blast", name).code == 2


def test_policies_that_are_not_evaluated_leave_no_path_undetermined(tmp_path: Path) -> None:
    manifest = tmp_path / "shop.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: []}\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: shop, labels: {app: db}}\nspec: {containers: []}\n---\n"
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: db}}, ingress: []}\n---\n"
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: all, namespace: shop}\nspec: {}\n"
    )
    ran = evidence("reach", "paths", "shop/web", "shop/db", "--from", manifest, "--fail-on-path")
    assert ran.code == 1
    assert "not determined" in ran.out.splitlines()[0]
    assert (
        "not certain: policies that are not evaluated could change who may connect (1 AuthorizationPolicy)" in ran.out
    )
