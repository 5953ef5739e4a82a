"""The Helm chart: its values, and that it deploys what the manifests of the kustomize base do."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from evidence import __version__
from evidence.cli import collect, serve
from evidence.intent.parse import parse_intent
from tests.conftest import ROOT
from tests.service.test_deploy import MANIFESTS, POD, WATCHER

CHART = ROOT / "deploy" / "helm" / "evidence"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
GIVEN = {"clusterName": "this-cluster", "image.repository": "evidence"}
POSTGRES = {
    "store.type": "postgres",
    "store.postgres.secretName": "evidence-database",
    "networkPolicy.database.peers[0].ipBlock.cidr": "192.0.2.5/32",
}


# -- without helm -----------------------------------------------------------------------------------------------------


def values(**changes: Any) -> dict[str, Any]:
    """The chart's values with what has to be given, and changes by their path with underscores."""
    found: dict[str, Any] = json.loads(json.dumps(VALUES))
    for path, value in {"clusterName": "prod", "image_repository": "registry.example/evidence", **changes}.items():
        inner = found
        *outer, last = path.split("_")
        for name in outer:
            inner = inner[name]
        inner[last] = value
    return found


def is_valid(found: dict[str, Any]) -> bool:
    return jsonschema.Draft7Validator(SCHEMA).is_valid(found)


def test_chart_and_program_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({}, True),
        ({"clusterName": ""}, False),
        ({"image_repository": ""}, False),
        ({"image_digest": "sha256:" + "0" * 64}, True),
        ({"image_digest": "latest"}, False),
        ({"mode": "watch"}, True),
        ({"mode": "always"}, False),
        ({"schedule_cron": "hourly"}, False),
        ({"watch_every": "1 hour"}, False),
        ({"store_type": "postgres"}, False),
        ({"store_type": "postgres", "store_postgres_secretName": "db"}, True),
        ({"store_postgres_url": "postgresql://user:password@host/evidence"}, False),
        ({"store_url": "postgresql://user:password@host/evidence"}, False),
        ({"networkPolicy_apiServer_cidrs": ["10.0.0.1/32", "fd00::1/128"]}, True),
        ({"networkPolicy_apiServer_cidrs": ["everything"]}, False),
        ({"networkPolicy_database_peers": [{}]}, False),
        ({"networkPolicy_dns_ports": []}, False),
        ({"replicas": 3}, False),
        ({"serve_enabled": True, "serve_arguments": ["--auth=oidc"]}, True),
        ({"serve_arguments": ["--auth oidc"]}, False),
        ({"serve_from": [{}]}, False),
        ({"serve_database_url": "postgresql://user:password@host/evidence"}, False),
    ],
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, Any], valid: bool) -> None:
    assert is_valid(values(**changes)) is valid


def test_every_value_is_described_by_the_schema_and_used_in_a_template() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    templates = "".join(path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").iterdir()))
    for name, value in VALUES.items():
        assert f".Values.{name}" in templates
        for inner in value if isinstance(value, dict) and name not in ("resources", "nodeSelector") else ():
            assert re.search(rf"\.{inner}\b", templates), (name, inner)


def test_the_segmentation_of_the_values_is_one() -> None:
    assert parse_intent(VALUES["segmentation"].encode(), "values.yaml").zones == ()


@pytest.mark.parametrize("name", ["securityContext", "resources"])
def test_what_keeps_the_pod_in_its_place_is_that_of_the_base(name: str) -> None:
    """The blocks stand in the template word for word; helm itself is not needed to see that."""
    template = "\n".join(line.strip() for line in (CHART / "templates" / "_helpers.tpl").read_text().splitlines())
    if name == "resources":
        assert VALUES["resources"] == POD["containers"][0]["resources"]
        return
    for block in (POD[name], POD["containers"][0][name]):
        text = yaml.safe_dump(block, sort_keys=False, default_flow_style=False).replace("drop:\n  - ALL", "drop: [ALL]")
        assert "\n".join(line.strip() for line in text.strip().splitlines()) in template


# -- with helm --------------------------------------------------------------------------------------------------------

needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="needs helm")


def helm(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["helm", *words], capture_output=True, text=True, check=False)


def rendered(*, release: str = "evidence", **more: str) -> list[dict[str, Any]]:
    """The chart's objects; `more` are values by their path with double underscores for dots."""
    changes = {**GIVEN, **{path.replace("__", "."): value for path, value in more.items()}}
    sets = [word for path, value in changes.items() for word in ("--set", f"{path}={value}")]
    ran = helm("template", release, str(CHART), "--namespace", "evidence", "--kube-version", "1.36.0", *sets)
    assert ran.returncode == 0, ran.stderr
    return [found for found in yaml.safe_load_all(ran.stdout) if found]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


@needs_helm
def test_helm_finds_nothing_wrong() -> None:
    sets = [word for path, value in GIVEN.items() for word in ("--set", f"{path}={value}")]
    ran = helm("lint", "--strict", str(CHART), *sets)
    assert ran.returncode == 0, ran.stdout


@needs_helm
def test_the_chart_makes_the_objects_of_the_base_but_its_namespace() -> None:
    ours = {found["kind"] for found in MANIFESTS.values() if "kind" in found} - {"Namespace", "Kustomization"}
    assert {found["kind"] for found in rendered()} == ours | {"ConfigMap"}


def same_pod(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Equal but for the names that a release chooses, and the order of arguments."""
    (container,), (base,) = theirs["containers"], ours["containers"]
    assert set(container["args"]) == set(base["args"])
    assert container["args"][0] == "collect"
    different = ("name", "args", "image", "imagePullPolicy")
    assert {k: v for k, v in container.items() if k not in different} == {
        k: v for k, v in base.items() if k not in different
    }
    for name in ("securityContext", "automountServiceAccountToken"):
        assert theirs[name] == ours[name]
    assert [sorted(volume) for volume in theirs["volumes"]] == [sorted(volume) for volume in ours["volumes"]]


@needs_helm
def test_the_charts_cronjob_is_the_bases() -> None:
    found, base = of_kind(rendered(), "CronJob"), MANIFESTS["cronjob.yaml"]
    same_pod(found["spec"]["jobTemplate"]["spec"]["template"]["spec"], POD)
    for spec in (found["spec"], base["spec"]):
        spec["jobTemplate"] = {k: v for k, v in spec["jobTemplate"]["spec"].items() if k != "template"}
    assert found["spec"] == base["spec"]


@needs_helm
def test_the_charts_watcher_is_the_components() -> None:
    objects = rendered(mode="watch")
    same_pod(of_kind(objects, "Deployment")["spec"]["template"]["spec"], WATCHER)
    assert not [one for one in objects if one["kind"] == "CronJob"]


@needs_helm
@pytest.mark.parametrize("mode", ["schedule", "watch"])
def test_the_charts_role_grants_what_the_base_grants(mode: str) -> None:
    found = of_kind(rendered(mode=mode), "ClusterRole")["rules"]
    expected = json.loads(json.dumps(MANIFESTS["clusterrole.yaml"]["rules"]))
    for rule in expected:
        if mode == "watch" and "list" in rule["verbs"]:
            rule["verbs"].append("watch")
    assert found == expected


@needs_helm
@pytest.mark.parametrize("mode", ["schedule", "watch"])
@pytest.mark.parametrize("store", [{}, POSTGRES])
def test_the_command_line_takes_the_charts_arguments(mode: str, store: dict[str, str]) -> None:
    objects = rendered(mode=mode, **store)
    text = json.dumps(objects)
    kind = "CronJob" if mode == "schedule" else "Deployment"
    spec = of_kind(objects, kind)["spec"]
    pod = (spec["jobTemplate"]["spec"] if mode == "schedule" else spec)["template"]["spec"]
    context = collect.command.make_context("collect", list(pod["containers"][0]["args"][1:]))
    assert context.params["watch"] is (mode == "watch")
    assert context.params["intent"] == Path("/etc/evidence/segmentation.yaml")
    assert ("--db=/data/evidence.db" in text) is (not store)
    (claim,) = (one["metadata"]["name"] for one in objects if one["kind"] == "PersistentVolumeClaim")
    data = next(volume for volume in pod["volumes"] if volume["name"] == "data")
    assert data["persistentVolumeClaim"]["claimName"] == claim == ("evidence-spool" if store else "evidence")
    if store:
        assert context.params["spool_folder"] == Path("/data/spool")
        (variable,) = pod["containers"][0]["env"]
        assert variable["valueFrom"] == {"secretKeyRef": {"name": "evidence-database", "key": "url"}}


@needs_helm
def test_a_spool_without_a_volume_of_its_own_goes_with_the_pod() -> None:
    objects = rendered(**POSTGRES, store__postgres__spool__volume="false")
    pod = of_kind(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}} in pod["volumes"]
    assert not [one for one in objects if one["kind"] == "PersistentVolumeClaim"]


@needs_helm
def test_the_collector_reaches_dns_the_api_server_and_its_database_alone() -> None:
    more = {**POSTGRES, "networkPolicy.apiServer.cidrs[0]": "10.0.0.1/32", "networkPolicy.apiServer.ports[0]": "6443"}
    spec = of_kind(rendered(**more), "NetworkPolicy")["spec"]
    assert (spec["policyTypes"], spec.get("ingress")) == (["Ingress", "Egress"], None)
    server, dns, database = spec["egress"]
    assert (server["to"], server["ports"]) == (
        [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        [{"protocol": "TCP", "port": 6443}],
    )
    assert {port["port"] for port in dns["ports"]} == {53}
    assert (database["to"], database["ports"]) == (
        [{"ipBlock": {"cidr": "192.0.2.5/32"}}],
        [{"protocol": "TCP", "port": 5432}],
    )


@needs_helm
def test_a_database_whose_place_is_not_said_is_refused() -> None:
    words = [f"{path}={value}" for path, value in {**GIVEN, **POSTGRES}.items() if "peers" not in path]
    ran = helm("template", "e", str(CHART), "--kube-version", "1.36.0", *(w for word in words for w in ("--set", word)))
    assert ran.returncode != 0
    assert "must say where the database is" in ran.stderr


@needs_helm
def test_two_releases_share_no_object() -> None:
    names = [
        {(one["kind"], one["metadata"]["name"]) for one in rendered(release=release)} for release in ("one", "two")
    ]
    assert not names[0] & names[1]


# -- the web application ----------------------------------------------------------------------------------------------

SERVE = {
    **POSTGRES,
    "serve.enabled": "true",
    "serve.database.secretName": "evidence-read-only",
    "serve.arguments[0]": "--auth=oidc",
    "serve.arguments[1]": "--public-url=https://evidence.example",
    "serve.arguments[2]": "--oidc-issuer=https://login.example",
    "serve.arguments[3]": "--oidc-client-id=evidence",
    "serve.arguments[4]": "--owner-group=owners",
    "serve.oidcSecret.secretName": "evidence-oidc",
    "serve.archive.existingClaim": "packs",
    "serve.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name": "ingress-nginx",
    "serve.provider.peers[0].ipBlock.cidr": "198.51.100.7/32",
}


def served(**more: str) -> dict[str, dict[str, Any]]:
    """The objects that come with serve.enabled, by kind."""
    with_, without = rendered(**{**SERVE, **more}), rendered(**POSTGRES)
    return {one["kind"]: one for one in with_ if one not in without}


@needs_helm
def test_nothing_is_served_unless_asked_for() -> None:
    assert not [one for one in rendered() if one["metadata"]["name"].endswith("-serve")]
    assert set(served()) == {"Deployment", "Service", "NetworkPolicy"}


@needs_helm
def test_the_server_is_kept_in_its_place_and_reads_with_a_user_of_its_own(tmp_path: Path) -> None:
    objects = served()
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod
    assert pod["securityContext"] == POD["securityContext"]
    assert container["securityContext"] == POD["containers"][0]["securityContext"]
    (variable,) = container["env"]
    assert variable["valueFrom"]["secretKeyRef"]["name"] == "evidence-read-only"
    assert all(mount.get("readOnly") for mount in container["volumeMounts"] if mount["name"] != "tmp")
    assert "--archive=/archive" in container["args"]
    arguments = [argument.replace("/archive", str(tmp_path)) for argument in container["args"][1:]]  # one that is here
    context = serve.command.make_context("serve", arguments)
    assert (context.params["auth"], context.params["listen"]) == ("oidc", "0.0.0.0:8080")


@needs_helm
def test_who_may_connect_and_where_the_server_connects_to_is_said_one_by_one() -> None:
    policy = served()["NetworkPolicy"]["spec"]
    labels = served()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert not of_kind(rendered(), "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": 8080}]
    database, dns, provider = policy["egress"]
    assert database["to"] == [{"ipBlock": {"cidr": "192.0.2.5/32"}}]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert (provider["to"], provider["ports"]) == (
        [{"ipBlock": {"cidr": "198.51.100.7/32"}}],
        [{"protocol": "TCP", "port": 443}],
    )


@needs_helm
@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ("serve.database.secretName", "may only read"),
        ("serve.arguments", "must hold --auth"),
        ("serve.from", "must say who may connect"),
        ("networkPolicy.database.peers", "must say where the database is"),
    ],
)
def test_a_server_without_what_it_needs_is_refused(left_out: str, words: str) -> None:
    given = {path: value for path, value in {**GIVEN, **SERVE}.items() if not path.startswith(left_out)}
    sets = [word for path, value in given.items() for word in ("--set", f"{path}={value}")]
    ran = helm("template", "e", str(CHART), "--kube-version", "1.36.0", *sets)
    assert ran.returncode != 0
    assert words in ran.stderr
