"""Findings for machines: SARIF 2.1.0 and JUnit XML, from one small assessment."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import EvidenceRef, Finding, Severity, Subject
from evidence.findings.registry import RULES, Assessment, RuleRun, RunStatus
from evidence.report.junit import junit
from evidence.report.sarif import LEVELS, file_place, sarif

WEB = Subject("NetworkPolicy", "shop", "web")
KEY = ObjectKey("networking.k8s.io", "NetworkPolicy", "shop", "web")


def ref(source: str) -> EvidenceRef:
    return EvidenceRef(KEY, "ab" * 32, "spec.ingress[0]", source)


def found(message: str = "opens everything", source: str = "policies/web.yaml:12", **more: Any) -> Finding:
    return Finding("NET-004", Severity.HIGH, WEB, message, (ref(source),), **more)


def assessment(*findings: Finding, **statuses: RunStatus) -> Assessment:
    """One run for each rule; `statuses` by rule id with an underscore, all others ran."""
    runs = []
    for rule_id in sorted(RULES):
        status = statuses.get(rule_id.replace("-", "_"), RunStatus.RAN)
        runs.append(RuleRun(rule_id, status, 1, "" if status is RunStatus.RAN else "labels not read"))
    return Assessment(findings, tuple(runs))


def log(given_assessment: Assessment) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(sarif(given_assessment, RULES, "1.2.3"))
    return content


def cases(given_assessment: Assessment) -> dict[str, ET.Element]:
    """Test cases by rule id."""
    return {
        case.attrib["name"].split()[0]: case for case in ET.fromstring(junit(given_assessment, RULES)).iter("testcase")
    }


def test_a_sarif_log_has_the_parts_that_the_standard_asks_for() -> None:
    content = log(assessment(found()))
    (run,) = content["runs"]
    assert (content["version"], run["tool"]["driver"]["name"], run["tool"]["driver"]["version"]) == (
        "2.1.0",
        "evidence",
        "1.2.3",
    )
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert ids == sorted(RULES)
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
    for rule in run["tool"]["driver"]["rules"]:
        assert 0 < float(rule["properties"]["security-severity"]) <= 10
        assert rule["defaultConfiguration"]["level"] == LEVELS[RULES[rule["id"]].severity]


def test_a_result_stands_at_the_object_in_its_file_and_keeps_its_fingerprint() -> None:
    one = found()
    (result,) = log(assessment(one))["runs"][0]["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "policies/web.yaml"},
        "region": {"startLine": 12},
    }
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "NetworkPolicy shop/web"
    assert result["partialFingerprints"] == {"evidence/v1": one.fingerprint}
    assert result["properties"]["evidence"][0]["digest"] == "ab" * 32


@pytest.mark.parametrize(
    "source", ["", "/apis/networking.k8s.io/v1/networkpolicies", "https://10.0.0.1:6443", "standard input:3", "no line"]
)
def test_an_object_that_lies_in_no_file_has_a_logical_location_only(source: str) -> None:
    assert file_place(ref(source)) == ("", 0)
    (location,) = log(assessment(found(source=source)))["runs"][0]["results"][0]["locations"]
    assert set(location) == {"logicalLocations"}


def test_a_path_becomes_a_valid_uri() -> None:
    (result,) = log(assessment(found(source="odd dir#1/p%20ol.yaml:1")))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "odd%20dir%231/p%2520ol.yaml"


def test_rules_that_did_not_see_everything_are_notifications_so_that_no_results_do_not_look_clean() -> None:
    run = log(assessment(NET_001=RunStatus.PARTIAL, SEG_001=RunStatus.NOT_RUN))["runs"][0]
    assert run["results"] == []
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note["message"]["text"] for note in notes] == [
        "NET-001: partial: labels not read",
        "SEG-001: not run: labels not read",
    ]
    assert all(
        run["tool"]["driver"]["rules"][n["associatedRule"]["index"]]["id"] == n["associatedRule"]["id"] for n in notes
    )


def test_a_junit_case_fails_passes_or_is_skipped() -> None:
    by_rule = cases(
        assessment(found(), found("again", discriminator="2"), NET_001=RunStatus.PARTIAL, SEG_001=RunStatus.NOT_RUN)
    )
    failure = by_rule["NET-004"].find("failure")
    assert failure is not None
    assert failure.attrib == {"type": "high", "message": "2 found, worst high"}
    assert failure.text is not None
    assert len(failure.text.splitlines()) == 2
    for rule_id in ("NET-001", "SEG-001"):
        skipped = by_rule[rule_id].find("skipped")
        assert skipped is not None
        assert "labels not read" in skipped.attrib["message"]
    assert list(by_rule["NET-002"]) == []


def test_a_rule_that_found_something_in_part_fails_and_says_what_it_did_not_see() -> None:
    case = cases(assessment(found(), NET_004=RunStatus.PARTIAL))["NET-004"]
    assert [child.tag for child in case] == ["failure", "system-out"]
    assert case[1].text == "partial: labels not read"


def test_the_totals_are_those_of_the_cases() -> None:
    suites = ET.fromstring(junit(assessment(found(), NET_001=RunStatus.PARTIAL), RULES))
    expected = {"tests": str(len(RULES)), "failures": "1", "errors": "0", "skipped": "1"}
    for element in (suites, suites[0]):
        assert {name: element.attrib[name] for name in expected} == expected


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_from_a_cluster_breaks_either_format_or_hides_in_it(text: str) -> None:
    hostile = assessment(Finding("NET-004", Severity.HIGH, Subject("Namespace", "", text), text))
    (result,) = log(hostile)["runs"][0]["results"]
    failure = cases(hostile)["NET-004"].find("failure")
    assert failure is not None
    for shown in (result["message"]["text"], failure.text or ""):
        assert not set(shown) & set("\u202e\u200b\x1b\x00\r")


def test_the_same_assessment_gives_the_same_bytes() -> None:
    assert sarif(assessment(found()), RULES, "1") == sarif(assessment(found()), RULES, "1")
    assert junit(assessment(found()), RULES) == junit(assessment(found()), RULES)
