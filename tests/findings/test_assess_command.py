"""`evidence assess` as its users run it: people at a terminal, build servers, code scanning."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from evidence.findings.finding import Severity
from evidence.findings.registry import RULES
from evidence.sample import intent_path, sample_dumps
from tests.cli.run import Ran, evidence

DRIFTED = sample_dumps()[3]

HOSTILE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: "in\\u202Egnp.exe\\e[2K", namespace: shop}
spec: {podSelector: {}, ingress: [{}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: main, image: web}]}
"""


def assess(*more: object) -> Ran:
    return evidence(
        "assess", "--from", DRIFTED.path, "--intent", intent_path(), "--at", f"{DRIFTED.taken_at:%Y-%m-%d}", *more
    )


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE)
    return path


def test_the_table_is_worst_first_and_ends_with_a_count() -> None:
    ran = assess()
    assert ran.code == 0
    heads = [line.split()[0] for line in ran.out.splitlines() if line and not line.startswith(" ")]
    order = [severity.value for severity in Severity]
    ranks = [order.index(word) for word in heads if word in order]
    assert ranks == sorted(ranks)
    assert "critical SEG-001  ZonePair batch -> card-data" in ran.out
    assert f"of {len(RULES)} rules looked at their whole population" in ran.out


@pytest.mark.parametrize("columns", [60, 100])
def test_the_table_fits_the_terminal_but_for_names_that_are_longer(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for line in assess().out.splitlines():
        assert len(line) <= columns or len(line.split()) == 1, line


def test_what_rules_could_not_see_is_part_of_the_table() -> None:
    ran = evidence("assess", "--from", DRIFTED.path)
    assert "not run  SEG-001  Regulated zone reachable from out-of-scope pods: no zones declared" in ran.out


@pytest.mark.parametrize(("severity", "code"), [("critical", 1), ("info", 1)])
def test_fail_on_exits_with_1_when_something_is_that_severe(severity: str, code: int) -> None:
    assert assess("--fail-on", severity).code == code


def test_fail_on_a_severity_that_nothing_reaches_is_good(hostile: Path) -> None:
    assert evidence("assess", "--from", hostile, "--fail-on", "critical").code == 0
    assert evidence("assess", "--from", hostile, "--fail-on", "high").code == 1


def test_json_names_evidence_reason_and_mend_of_every_finding_and_every_run() -> None:
    content = json.loads(assess("--format", "json").out)
    assert {run["rule"] for run in content["runs"]} == set(RULES)
    assert {
        "rule",
        "title",
        "severity",
        "subject",
        "message",
        "details",
        "why",
        "mend",
        "suggestion",
        "evidence",
        "zones",
        "fingerprint",
    } == set(content["findings"][0])
    assert all(found["why"] and found["mend"] for found in content["findings"])
    assert all(len(ref["digest"]) == 64 for found in content["findings"] for ref in found["evidence"])


def test_sarif_and_junit_say_the_same_findings() -> None:
    findings = json.loads(assess("--format", "json").out)["findings"]
    results = json.loads(assess("--format", "sarif").out)["runs"][0]["results"]
    assert [r["partialFingerprints"]["evidence/v1"] for r in results] == [f["fingerprint"] for f in findings]
    failures = ET.fromstring(assess("--format", "junit").out).iter("failure")
    assert sum(len((failure.text or "").splitlines()) for failure in failures) == len(findings)


def test_a_hostile_name_is_spelled_out_in_the_terminal(hostile: Path) -> None:
    out = evidence("assess", "--from", hostile).out
    assert "\u202e" not in out
    assert "\x1b[2K" not in out
    assert "⟨U+202E⟩" in out
    assert "⟨U+001B⟩" in out


def test_what_is_overdue_shows_by_the_day_of_the_assessment() -> None:
    later = evidence(
        "assess", "--from", DRIFTED.path, "--intent", intent_path(), "--at", "2028-01-01", "--format", "json"
    )
    overdue = {found["rule"] for found in json.loads(later.out)["findings"]}
    assert {"REV-001", "TST-001", "PRT-004"} <= overdue


def test_the_same_input_gives_the_same_output() -> None:
    assert assess("--format", "json") == assess("--format", "json")
