"""An assessment as SARIF 2.1.0 (OASIS), for code scanning services.

Policies read from files carry their place ("file.yaml:12"), which becomes the result's location; everything else is named as a logical
location. Rules that did not run, or ran in part, are notifications of the invocation, so that an empty list of results does not look clean.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from evidence.findings.finding import EvidenceRef, Finding, Severity
from evidence.findings.registry import Assessment, Rule, RunStatus
from evidence.report.text import visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
STANDARD_INPUT = "standard input"  # as the collector of files calls it
LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
SCORES = {  # property security-severity, as code scanning services bin it
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "3.0",
    Severity.INFO: "1.0",
}


def sarif(assessment: Assessment, rules: Mapping[str, Rule], software_version: str) -> bytes:
    """One SARIF run; the same assessment gives the same bytes."""
    ids = sorted(rules)
    place = {rule_id: number for number, rule_id in enumerate(ids)}
    driver = {
        "name": "evidence",
        "version": software_version,
        "rules": [_descriptor(rules[rule_id]) for rule_id in ids],
    }
    short = [run for run in assessment.runs if run.status is not RunStatus.RAN]
    invocation = {
        "executionSuccessful": True,
        "toolExecutionNotifications": [
            {
                "level": "warning",
                "message": {"text": visible(f"{run.rule_id}: {run.status.value}: {run.reason}")},
                "associatedRule": {"id": run.rule_id, "index": place[run.rule_id]},
            }
            for run in short
        ],
    }
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "invocations": [invocation],
                "results": [_result(finding, place[finding.rule_id]) for finding in assessment.findings],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.check.__name__,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.mend},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"tags": ["security", rule.family], "security-severity": SCORES[rule.severity]},
    }


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    return {
        "ruleId": finding.rule_id,
        "ruleIndex": rule_index,
        "level": LEVELS[finding.severity],
        "message": {"text": visible(f"{finding.subject}: {finding.message}")},
        "locations": list(_locations(finding)),
        "partialFingerprints": {"evidence/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity.value,
            "zones": list(finding.zones),
            "evidence": [
                {"object": str(ref.key), "digest": ref.digest, "detail": ref.detail} for ref in finding.evidence
            ],
        },
    }


def _locations(finding: Finding) -> Iterable[dict[str, Any]]:
    """The first object of the evidence that has a place in a file, and the subject by name."""
    logical = {"fullyQualifiedName": visible(str(finding.subject)), "kind": "resource"}
    for ref in finding.evidence:
        path, line = file_place(ref)
        if path:
            region = {"region": {"startLine": line}} if line else {}
            yield {
                "physicalLocation": {"artifactLocation": {"uri": quote(path)}, **region},
                "logicalLocations": [logical],
            }
            return
    yield {"logicalLocations": [logical]}


def file_place(ref: EvidenceRef) -> tuple[str, int]:
    """Path and line (0: unknown) of an object that was read from a file; ("", 0) for one from an API server or standard input."""
    path, _, line = ref.source.rpartition(":")
    if path in ("", STANDARD_INPUT) or not line.isdigit() or "://" in path or path.startswith("/api"):
        return "", 0
    return path, int(line)
