"""The manifests in deploy/ are ones that a restricted cluster takes, and say what this program understands."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from evidence import __version__
from evidence.cli import collect
from evidence.cluster.parse import build_cluster
from evidence.collect.files import collect_files
from evidence.intent.parse import parse_intent
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
MANIFESTS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(DEPLOY.glob("*.yaml"))}
CRONJOB = MANIFESTS["cronjob.yaml"]
COMPONENTS = DEPLOY / "components"
WATCHER: dict[str, Any] = yaml.safe_load((COMPONENTS / "watch" / "deployment.yaml").read_text())["spec"]["template"][
    "spec"
]
POD: dict[str, Any] = CRONJOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_kustomize_is_given_every_manifest() -> None:
    kustomization = MANIFESTS["kustomization.yaml"]
    listed = {*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"], "kustomization.yaml"}
    assert listed == set(MANIFESTS)


@pytest.mark.parametrize(
    "name", [name for name in MANIFESTS if name not in ("kustomization.yaml", "segmentation.yaml")]
)
def test_everything_lies_in_the_one_namespace_or_in_none(name: str) -> None:
    manifest = MANIFESTS[name]
    scoped = manifest["kind"] in ("Namespace", "ClusterRole", "ClusterRoleBinding")
    assert manifest["metadata"].get("namespace") == (None if scoped else "evidence")


def test_the_command_line_takes_the_cronjobs_arguments() -> None:
    name, *arguments = CONTAINER["args"]
    assert name == "collect"
    context = collect.command.make_context("collect", list(arguments))
    assert context.params["in_cluster"]
    assert context.params["cluster"] == "this-cluster"
    assert context.params["intent"] == Path("/etc/evidence/segmentation.yaml")


def test_the_command_line_takes_the_watchers_arguments() -> None:
    name, *arguments = WATCHER["containers"][0]["args"]
    assert name == "collect"
    context = collect.command.make_context("collect", list(arguments))
    assert (context.params["watch"], context.params["in_cluster"]) == (True, True)


def test_the_watcher_is_the_collectors_pod_with_other_arguments_and_may_watch_as_well() -> None:
    ours, theirs = (
        {key: pod[key] for key in pod if key not in ("containers", "restartPolicy")} for pod in (POD, WATCHER)
    )
    assert ours == theirs
    (container,) = WATCHER["containers"]
    assert {**container, "name": "", "args": []} == {**CONTAINER, "name": "", "args": []}
    role = yaml.safe_load((COMPONENTS / "watch" / "clusterrole.yaml").read_text())
    watched = {(rule["apiGroups"][0], *rule["resources"]) for rule in role["rules"] if rule["verbs"] == ["watch"]}
    listed = {
        (rule["apiGroups"][0], *rule["resources"])
        for rule in MANIFESTS["clusterrole.yaml"]["rules"]
        if "list" in rule["verbs"]
    }
    assert watched == listed


def test_with_postgres_no_argument_names_a_store_and_its_url_is_in_no_manifest() -> None:
    """The component replaces arguments by their place in the list."""
    component = yaml.safe_load((COMPONENTS / "postgres" / "kustomization.yaml").read_text())
    pods = {"CronJob": POD, "Deployment": WATCHER}
    for patch in component["patches"]:
        if "target" in patch:
            replaced, added = yaml.safe_load(patch["patch"])
            assert replaced["value"] == "--spool=/data/spool"
            place = int(replaced["path"].rsplit("/", 1)[1])
            assert pods[patch["target"]["kind"]]["containers"][0]["args"][place] == "--db=/data/evidence.db"
            (variable,) = added["value"]
            assert variable["name"] == "EVIDENCE_DATABASE_URL"
            assert set(variable["valueFrom"]) == {"secretKeyRef"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
@pytest.mark.parametrize(
    ("components", "kinds"),
    [
        ([], {"CronJob", "PersistentVolumeClaim"}),
        (["watch"], {"Deployment", "PersistentVolumeClaim"}),
        (["watch", "postgres"], {"Deployment", "PersistentVolumeClaim"}),
        (["postgres"], {"CronJob", "PersistentVolumeClaim"}),
    ],
)
def test_kustomize_puts_the_parts_together(components: list[str], kinds: set[str], tmp_path: Path) -> None:
    where = os.path.relpath(DEPLOY, tmp_path)
    content = {"resources": [where], "components": [f"{where}/components/{name}" for name in components]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    ran = subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(ran.stdout))
    assert {"CronJob", "Deployment", "PersistentVolumeClaim"} & {one["kind"] for one in built} == kinds
    assert ("--db=/data/evidence.db" in ran.stdout) == ("postgres" not in components)


def test_the_pod_keeps_to_the_restricted_pod_security_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    security = {**POD["securityContext"], **CONTAINER["securityContext"]}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] != 0
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] is True  # more than the standard asks
    assert not any(POD.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert {kind for volume in POD["volumes"] for kind in volume} <= {
        "name",
        "persistentVolumeClaim",
        "emptyDir",
        "configMap",
    }
    labels = MANIFESTS["namespace.yaml"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_is_written_goes_to_volumes() -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")}
    assert mounts == {"/data": "data", "/tmp": "tmp"}
    assert {volume["name"] for volume in POD["volumes"]} == {mount["name"] for mount in CONTAINER["volumeMounts"]}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'VOLUME ["/data", "/tmp"]' in dockerfile
    assert f"USER {POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}" in dockerfile


def test_the_image_is_of_this_version() -> None:
    assert CONTAINER["image"] == f"evidence:{__version__}"


def test_the_token_goes_to_the_collector_alone_and_its_rights_are_to_read() -> None:
    assert MANIFESTS["serviceaccount.yaml"]["automountServiceAccountToken"] is False
    assert POD["automountServiceAccountToken"] is True
    assert POD["serviceAccountName"] == MANIFESTS["serviceaccount.yaml"]["metadata"]["name"]
    binding = MANIFESTS["clusterrolebinding.yaml"]
    assert binding["roleRef"]["name"] == MANIFESTS["clusterrole.yaml"]["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": POD["serviceAccountName"], "namespace": "evidence"}
    ]
    for rule in MANIFESTS["clusterrole.yaml"]["rules"]:
        assert set(rule["verbs"]) <= {"get", "list"}
        assert not {"secrets", "*"} & set(rule["resources"])
        assert "configmaps" not in rule["resources"] or (rule["resourceNames"] and rule["verbs"] == ["get"])
        assert "*" not in rule["apiGroups"]


def test_the_segmentation_file_is_one() -> None:
    path = DEPLOY / "segmentation.yaml"
    assert parse_intent(path.read_bytes(), str(path)).zones == ()


def test_our_own_collector_reads_our_own_manifests() -> None:
    names = ["namespace.yaml", "networkpolicy.yaml", "serviceaccount.yaml", "cronjob.yaml"]
    collection = collect_files([str(DEPLOY / name) for name in names], stdin=None, keep_going=False)
    (policy,) = build_cluster(collection).policies
    assert policy.key.namespace == "evidence"
    assert len(policy.policy_types) == 2
    assert policy.ingress == ()
