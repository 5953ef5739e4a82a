"""An assessment for build servers and code scanning: JUnit XML and SARIF."""

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.findings.finding import EvidenceRef, Severity
from evidence.findings.registry import RULES
from evidence.report.junit import junit
from evidence.report.sarif import file_place, sarif
from tests.report.inputs import assessed, collected, hit

RULES_HERE = {name: RULES[name] for name in ("NET-001", "SEG-001")}


def suite(*findings: Any, **given: Any) -> ET.Element:
    return ET.fromstring(junit(assessed(*findings, **given), RULES_HERE))


def run_of(*findings: Any, **given: Any) -> dict[str, Any]:
    (run,) = json.loads(sarif(assessed(*findings, **given), RULES_HERE, "0.1.0"))["runs"]
    assert isinstance(run, dict)
    return run


def test_junit_has_a_case_a_rule_that_fails_with_its_findings() -> None:
    found = suite(hit(), hit(name="pay/other", severity=Severity.CRITICAL))

    assert {one.attrib["name"].split()[0] for one in found.iter("testcase")} == set(RULES_HERE)
    (failure,) = found.iter("failure")
    assert failure.attrib == {"type": "critical", "message": "2 found, worst critical"}
    assert "Workload pay/vault" in (failure.text or "")
    assert (found.attrib["tests"], found.attrib["failures"], found.attrib["skipped"]) == ("2", "1", "0")


def test_a_rule_that_did_not_look_at_everything_never_passes() -> None:
    found = suite(partial=["SEG-001"], not_run=["NET-001"])

    assert len(list(found.iter("skipped"))) == 2
    assert found.attrib["skipped"] == "2"
    with_hit = suite(hit(), partial=["SEG-001"])
    assert [one.text for one in with_hit.iter("system-out")] == ["partial: not all was read"]


@given(st.text(alphabet=st.characters()))
def test_law_junit_is_well_formed_whatever_a_finding_says(text: str) -> None:
    assert ET.fromstring(junit(assessed(replace(hit(), message=text)), RULES_HERE)).tag == "testsuites"


def test_sarif_has_a_result_a_finding_with_its_place_in_a_file() -> None:
    run = run_of(hit(policy=collected()))

    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("SEG-001", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "SEG-001"
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("dump.json", 1)
    assert result["partialFingerprints"]["evidence/v1"] == hit().fingerprint


def test_sarif_says_which_rules_did_not_look_at_everything() -> None:
    run = run_of(not_run=["NET-001"])

    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["associatedRule"]["id"] == "NET-001"
    assert notice["message"]["text"] == "NET-001: not run: not all was read"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("dumps/a b.yaml:12", ("dumps/a b.yaml", 12)),
        ("standard input:3", ("", 0)),
        ("/apis/networking.k8s.io/v1/networkpolicies", ("", 0)),
        ("https://127.0.0.1:6443", ("", 0)),
        ("", ("", 0)),
    ],
)
def test_only_files_are_places(source: str, place: tuple[str, int]) -> None:
    key = collected().key

    assert file_place(EvidenceRef(key, "", "", source)) == place


def test_the_same_assessment_gives_the_same_bytes() -> None:
    one = assessed(hit(), partial=["NET-001"])

    assert junit(one, RULES_HERE) == junit(one, RULES_HERE)
    assert sarif(one, RULES_HERE, "1") == sarif(one, RULES_HERE, "1")
