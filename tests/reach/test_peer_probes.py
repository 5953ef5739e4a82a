"""Where other programs crash, change their answer from run to run or keep silent, each with the right answer here (see probes.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evidence.cluster.model import Protocol
from evidence.reach import matrix
from evidence.reach.engine import analyse
from evidence.reach.query import Answering, Query, as_json
from tests.reach.probes import DENY, HERE, PROBES, UNCERTAIN, Probe, everything_said

ROOT = Path(__file__).resolve().parents[2]
each_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)


@each_probe
def test_every_question_has_its_right_answer(probe: Probe) -> None:
    answering = Answering(analyse(probe.cluster))
    for source, destination, port, expected in probe.asked:
        number, protocol = port.split("/")
        found = as_json(answering.answer(Query(source, destination, Protocol(protocol), int(number))))
        assert found["verdict"] == (DENY if expected == UNCERTAIN else expected), (source, destination, port)
        assert ("uncertain" in found) is (expected == UNCERTAIN), (source, destination, port)


@each_probe
def test_what_was_not_evaluated_or_not_known_is_said(probe: Probe) -> None:
    said = "\n".join((matrix.computed_on(analyse(probe.cluster)), *everything_said(probe)))
    assert [words for words in probe.says if words not in said] == []


@each_probe
def test_flows_and_doors_are_listed(probe: Probe) -> None:
    flows, _, doors, *_ = everything_said(probe)
    assert set(probe.flows) <= set(flows.splitlines())
    for workload in probe.doors:
        assert any(line.startswith(f"{workload},") for line in doors.splitlines())


def test_the_same_input_gives_the_same_bytes_whatever_python_hashes_like() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-m", "tests.reach.probes"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "77")
    }
    assert len(said) == 1
    assert all(probe.name.encode() in next(iter(said)) for probe in PROBES)


def test_a_calico_policy_is_evaluated_or_named_and_never_passed_over_in_silence() -> None:
    spec = {"selector": "app == 'db'", "types": ["Ingress"], "ingress": [{"action": "Deny"}]}
    wide = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": spec,
    }
    reach = analyse(Probe("calico", [*HERE, wide]).cluster)
    denied = not Answering(reach).answer(Query("default/web", "default/db", Protocol.TCP, 80)).allowed
    assert denied or "not evaluated: 1 GlobalNetworkPolicy" in matrix.computed_on(reach)
