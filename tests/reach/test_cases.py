"""Conformance cases of public suites (see the folder's own README), all of them, arguable ones included.

The cases lie beside a development checkout; without them these tests are skipped. All run in this process; a slice runs through the command
line and the cases' own checker.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evidence.collect.files import read_cluster
from evidence.reach.engine import analyse
from evidence.reach.query import Answering, as_json, parse_queries

SUITES = (
    "cyclonus",
    "ibm-nca",
    "kube-network-policies",
    "network-policy-api",
    "npguard",
    "policy-assistant",
    "random",
    "recipes",
    "seeds",
    "semantics",
)
QUERY_FIELDS = ("from", "to", "protocol", "port", "family")


@pytest.fixture(scope="module")
def cases(shared_folder: Path) -> Path:
    return shared_folder / "cases"


def wrong_answers(folder: Path) -> list[str]:
    """Every query of a case whose verdict is not the expected one."""
    case: dict[str, Any] = yaml.load((folder / "case.yaml").read_text(), Loader=yaml.CSafeLoader)
    cluster = read_cluster([str(folder / "manifests.yaml")], stdin=None, keep_going=False)
    answering = Answering(analyse(cluster))
    asked = parse_queries([{name: query[name] for name in QUERY_FIELDS if name in query} for query in case["queries"]])
    wrong = []
    for query, expected in zip(asked, case["queries"], strict=True):
        verdict = as_json(answering.answer(query))["verdict"]
        if verdict != expected["expect"]:
            wrong.append(f"{folder.parent.name}/{folder.name}: {query} is {verdict}, expected {expected['expect']}")
    return wrong


@pytest.mark.parametrize("suite", SUITES)
def test_every_case_of_the_suite_is_answered_as_expected(cases: Path, suite: str) -> None:
    folders = sorted(path.parent for path in (cases / suite).glob("*/case.yaml"))
    assert folders
    assert [line for folder in folders for line in wrong_answers(folder)] == []


@pytest.mark.slow
def test_the_checker_of_the_cases_passes_through_the_command_line(cases: Path) -> None:
    command = f"{sys.executable} -m evidence reach query --queries - --from"
    checked = subprocess.run(
        [
            sys.executable,
            cases / "run_cases.py",
            cases,
            "--suite",
            "semantics",
            "--suite",
            "seeds",
            "--command",
            command,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " 0 failed" in checked.stdout
