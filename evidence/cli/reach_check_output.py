"""Results of assertions about flows as JUnit XML and SARIF 2.1.0, for build servers and code scanning."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import orjson

from evidence import __version__
from evidence.reach.checks import Outcome, Result
from evidence.reach.flowfile import FlowFile, Must
from evidence.report.sarif import SCHEMA
from evidence.report.text import visible

_RULES: Mapping[Must, tuple[str, str]] = {
    Must.ALLOW: (
        "Flow that must be allowed is denied",
        "Add a rule that admits it on both sides, or correct the assertion.",
    ),
    Must.DENY: ("Flow that must be denied is allowed", "Narrow the rules that admit it, or correct the assertion."),
}


def junit(results: Sequence[Result], file: FlowFile, *, skip_undetermined: bool) -> bytes:
    """One test case an assertion. What is not determined fails, or is skipped with its reason where that is accepted."""
    skipped = sum(result.outcome is Outcome.UNDETERMINED for result in results) if skip_undetermined else 0
    passed = sum(result.outcome is Outcome.PASSED for result in results)
    totals = {
        "tests": str(len(results)),
        "failures": str(len(results) - passed - skipped),
        "errors": "0",
        "skipped": str(skipped),
    }
    suites = ET.Element("testsuites", {"name": "evidence", **totals})
    suite = ET.SubElement(suites, "testsuite", {"name": visible(file.source), **totals})
    for result in results:
        name = visible(f"{result.assertion.id}: {result.assertion.text}")
        case = ET.SubElement(suite, "testcase", classname=f"evidence.{result.assertion.must.value}", name=name)
        text = visible("\n".join(_lines(result)))
        if result.outcome is Outcome.UNDETERMINED and skip_undetermined:
            ET.SubElement(case, "skipped", message=text)
        elif result.outcome is not Outcome.PASSED:
            message = visible(f"{result.outcome.value} ({file.source}:{result.assertion.line})")
            ET.SubElement(case, "failure", type=result.outcome.value, message=message).text = text
    ET.indent(suites)
    body: str = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def sarif(results: Sequence[Result], file: FlowFile) -> bytes:
    """One SARIF run with a result for each assertion that did not pass, at its place in the file."""
    musts = list(Must)
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "evidence",
                        "version": __version__,
                        "rules": [
                            {
                                "id": must.value,
                                "shortDescription": {"text": _RULES[must][0]},
                                "help": {"text": _RULES[must][1]},
                                "defaultConfiguration": {"level": "error"},
                            }
                            for must in musts
                        ],
                    }
                },
                "results": [
                    _result(result, file, musts.index(result.assertion.must))
                    for result in results
                    if result.outcome is not Outcome.PASSED
                ],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _result(result: Result, file: FlowFile, rule: int) -> dict[str, Any]:
    assertion = result.assertion
    text = "\n".join((f"{assertion.id}: {assertion.text}: {result.outcome.value}", *_lines(result)))
    fingerprint = hashlib.sha256(f"{assertion.must.value}|{assertion.id}".encode()).hexdigest()[:16]
    return {
        "ruleId": assertion.must.value,
        "ruleIndex": rule,
        "level": "error" if result.outcome is Outcome.FAILED else "warning",
        "message": {"text": visible(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(file.source)},
                    "region": {"startLine": assertion.line},
                }
            }
        ],
        "partialFingerprints": {"evidence/v1": fingerprint},
    }


def _lines(result: Result) -> list[str]:
    listed = [f"{violation} ({'; '.join(violation.because)})" for violation in result.violations]
    return [*listed, *result.reasons]
