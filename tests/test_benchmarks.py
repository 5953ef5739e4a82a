"""The benchmarks still run. Their figures are nobody's business here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import clusters
from evidence.collect.files import read_cluster

ROOT = Path(__file__).resolve().parent.parent


def benchmark(script: str, *arguments: str, **variables: str) -> str:
    return subprocess.run(
        [sys.executable, f"benchmarks/{script}", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.parametrize("variant", ["plain", "own-label", "manifests"])
def test_the_command_and_its_stages_are_measured(variant: str) -> None:
    told = benchmark("reach.py", "--pods", "120", "240", "--repeat", "1", "--variant", variant)
    assert f"| 120 pods, {variant} |" in told
    assert "| input | classes | outside ranges | read |" in told
    assert "exponent" in told


def test_one_changed_policy_and_explanations_are_measured() -> None:
    told = benchmark("change.py", "--pods", "120", "--calico", "16", "--count", "3")
    assert "| Calico's: removed | 3 |" in told
    assert "| a new network | 3 |" in told
    assert "| a pod gone |" in told
    assert "| first explanation ms |" in told


def test_the_stages_of_the_main_job_are_measured(tmp_path: Path) -> None:
    told = benchmark("stages.py", str(clusters.write(tmp_path, 60)), "--repeat", "1")
    assert "store, unchanged snapshot" in told


def test_a_collection_over_http_is_measured() -> None:
    told = benchmark("collect.py", "--pods", "600")
    assert "| 600 |" in told


def test_a_year_of_snapshots_is_stored_and_read_back() -> None:
    told = benchmark("year.py", "--pods", "60", "--days", "2", "--every", "2", "--share", "0.3", "--rows", "2")
    assert "| 2 | 24 |" in told
    assert "24 snapshots read back, every byte and every root the same" in told
    assert "evidence db check: cpu" in told


def test_a_peer_takes_turns_with_the_command(tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.write_text("#!/bin/sh\nprintf 'src,dst,conn\\na,b,All\\n'\n")
    peer.chmod(0o755)
    told = benchmark("compare.py", "--pods", "120", "--repeat", "1", NETPOL_ANALYZER=str(peer))
    assert "| 120 pods, plain | 1 |" in told


def test_clusters_are_as_large_as_asked_and_the_same_every_time(tmp_path: Path) -> None:
    first, second = clusters.write(tmp_path / "a", 500), clusters.write(tmp_path / "b", 500)
    assert (first / "cluster.json").read_bytes() == (second / "cluster.json").read_bytes()
    cluster = read_cluster([str(first)], stdin=None, keep_going=False)
    assert len(cluster.policies) == 100
    assert sum(pod.namespace.startswith("product") for pod in cluster.pods) == 500


def test_manifests_hold_the_workloads_of_the_dump_and_no_pods(tmp_path: Path) -> None:
    dump = json.loads((clusters.write(tmp_path / "a", 300) / "cluster.json").read_bytes())
    manifests = read_cluster([str(clusters.write(tmp_path / "b", 300, manifests=True))], stdin=None, keep_going=False)
    assert {pod.template for pod in manifests.pods} == {True}
    assert len(manifests.workloads) > len([item for item in dump["items"] if item["kind"] == "Namespace"])


def test_importing_a_flow_log_and_assessing_beside_it_are_measured() -> None:
    told = benchmark("flowlogs.py", "--megabytes", "1", "--pods", "120", "--pairs", "50")
    assert "| import flows | 1 |" in told
    assert "| assess beside them |" in told


@pytest.mark.slow
def test_a_fleets_history_again_is_measured_and_gives_the_same_bytes_everywhere() -> None:
    small = ("--clusters", "1", "--pods", "30", "--days", "33", "--every", "96", "--sizes", "30", "--model-days", "2")
    told = benchmark("fleet.py", *small, "--workers", "1", "--sqlite")
    assert "| 2 | 1 worker |" in told
    assert "the same bytes: yes" in told
    assert "model: 500 clusters" in told


def test_a_history_of_hourly_snapshots_is_measured() -> None:
    told = benchmark("history.py", "--days", "1")
    assert all(f"| {name} |" in told for name in ("history", "history --framework pci", "db assess", "history, kept"))


def test_the_logs_head_and_proofs_are_measured() -> None:
    told = benchmark("log.py", "--entries", "1300")
    assert "| 1,535 | 6 |" in told
