"""`evidence collect --from`: what is stored, what is printed, which exit code; nothing is stored when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.manifests import pod_body, policy_body


def evidence(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The real command, as its user runs it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVIDENCE_")}
    return subprocess.run(
        [sys.executable, "-m", "evidence", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def collect(folder: Path, *more: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return evidence(folder, "collect", "--cluster", "lab", "--db", "evidence.db", *more, stdin=stdin)


@pytest.mark.slow
def test_standard_input_is_stored_and_reported_in_one_line(tmp_path: Path) -> None:
    result = collect(tmp_path, "--from", "-", stdin=json.dumps(pod_body()))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("snapshot 1 of lab: 1 object, 1 new, root ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        '{"apiVersion": "v1", "kind": "Po',
        "a: 1\na: 2\n",
        json.dumps(policy_body({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}})),
        json.dumps(policy_body({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]})),
        json.dumps([pod_body(), pod_body()]),
    ],
    ids=["empty", "not YAML", "truncated", "duplicate key", "operator", "CIDR", "two of one name"],
)
def test_bad_input_is_one_sentence_with_exit_code_3_and_nothing_stored(content: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    result = collect(tmp_path, "--from", "bad.yaml")
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.startswith("evidence: bad.yaml")
    assert result.stderr.count("\n") == 1
    (tmp_path / "good.json").write_text(json.dumps(pod_body()))
    assert "snapshot 1 of lab" in collect(tmp_path, "--from", "good.json").stdout


@pytest.mark.slow
def test_keep_going_stores_the_rest_names_what_is_missing_and_exits_3(tmp_path: Path) -> None:
    (tmp_path / "mixed.json").write_text(json.dumps([pod_body(), policy_body([])]))
    result = collect(tmp_path, "--from", "mixed.json", "--keep-going")
    assert result.returncode == 3
    assert "1 object," in result.stdout
    assert "partial: mixed.json:1: NetworkPolicy default/a: spec must be an object, not a list" in result.stderr
    assert collect(tmp_path, "--from", "mixed.json", "--keep-going", "--allow-partial").returncode == 0


@pytest.mark.slow
def test_a_kubeconfig_without_a_cluster_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{}")
    result = collect(tmp_path, "--kubeconfig", "config")
    assert result.returncode == 3
    assert result.stderr.startswith("evidence: config: gives no connection")
    assert ".;" not in result.stderr
    assert result.stderr.count("\n") == 1
