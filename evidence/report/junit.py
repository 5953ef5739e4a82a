"""An assessment as JUnit XML, for build servers: one test case a rule.

A rule with findings fails, its text listing them. A rule that did not run, or ran in part and found nothing, is skipped with the reason:
it has not shown that there is nothing to find. Characters that cannot be seen are spelled out, those that XML cannot hold among them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from evidence.findings.finding import Finding
from evidence.findings.registry import Assessment, Rule, RuleRun, RunStatus
from evidence.report.text import visible


def junit(assessment: Assessment, rules: Mapping[str, Rule]) -> bytes:
    """A testsuites document in UTF-8; the same assessment gives the same bytes."""
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in assessment.findings:
        found[finding.rule_id].append(finding)
    skipped = [run for run in assessment.runs if run.status is not RunStatus.RAN and not found[run.rule_id]]
    totals = {
        "tests": str(len(assessment.runs)),
        "failures": str(sum(bool(found[run.rule_id]) for run in assessment.runs)),
        "errors": "0",
        "skipped": str(len(skipped)),
    }
    suites = ET.Element("testsuites", {"name": "evidence", **totals})
    suite = ET.SubElement(suites, "testsuite", {"name": "findings", **totals})
    for run in assessment.runs:
        _case(suite, run, rules[run.rule_id], found[run.rule_id])
    ET.indent(suites)
    body: str = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def _case(suite: ET.Element, run: RuleRun, rule: Rule, findings: Sequence[Finding]) -> None:
    case = ET.SubElement(suite, "testcase", classname=f"evidence.{rule.family}", name=f"{rule.id} {rule.title}")
    if findings:
        worst = max(findings, key=lambda finding: finding.severity.rank).severity.value
        failure = ET.SubElement(case, "failure", type=worst, message=f"{len(findings)} found, worst {worst}")
        failure.text = visible(
            "\n".join(f"{f.severity.value}: {f.subject}: {f.message} [{f.fingerprint}]" for f in findings)
        )
    if run.status is not RunStatus.RAN:
        reason = visible(f"{run.status.value}: {run.reason}")
        if findings:
            ET.SubElement(case, "system-out").text = reason
        else:
            ET.SubElement(case, "skipped", message=reason)
