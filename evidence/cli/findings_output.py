"""How `evidence assess` writes findings: a table for people, JSON, SARIF and JUnit for machines."""

import sys

import click
import orjson

from evidence import __version__
from evidence.cli.terminal import columns, wrapped
from evidence.findings.finding import Finding, Severity
from evidence.findings.registry import RULES, RunStatus
from evidence.pipeline import Assessed

COLORS = {"critical": "red", "high": "red", "medium": "yellow", "low": "cyan", "info": None}
INDENT = 9  # severity or status, and a space


def at_or_above(assessed: Assessed, severity: str) -> bool:
    limit = Severity(severity).rank
    return any(finding.severity.rank >= limit for finding in assessed.assessment.findings)


def write(assessed: Assessed, output: str) -> None:
    match output:
        case "json":
            sys.stdout.buffer.write(as_json(assessed))
        case "sarif":
            from evidence.report.sarif import sarif

            sys.stdout.buffer.write(sarif(assessed.assessment, RULES, __version__))
        case "junit":
            from evidence.report.junit import junit

            sys.stdout.buffer.write(junit(assessed.assessment, RULES))
        case _:
            table(assessed)
    sys.stdout.flush()


def table(assessed: Assessed) -> None:
    """One block a finding, worst first, then what could not be looked at. Text from the cluster is spelled out where it cannot be seen."""
    findings = sorted(assessed.assessment.findings, key=lambda finding: (-finding.severity.rank, finding.rule_id))
    width = columns()
    for finding in findings:
        zones = f"  [{', '.join(finding.zones)}]" if finding.zones else ""
        head = f"{finding.severity.value:8} {finding.rule_id}  {finding.subject}{zones}"
        click.secho(wrapped(head, width, INDENT), fg=COLORS[finding.severity.value])
        click.echo(wrapped(" " * INDENT + finding.message, width, INDENT))
    short = [run for run in assessed.assessment.runs if run.status is not RunStatus.RAN]
    for run in short:
        click.echo(
            wrapped(f"{run.status.value:8} {run.rule_id}  {RULES[run.rule_id].title}: {run.reason}", width, INDENT)
        )
    counts = [(severity, sum(f.severity is severity for f in findings)) for severity in Severity]
    summary = ", ".join(f"{number} {severity.value}" for severity, number in counts if number) or "no findings"
    ran = len(assessed.assessment.runs) - len(short)
    whole = f"{ran} of {len(assessed.assessment.runs)} rules looked at their whole population"
    click.echo(wrapped(f"{summary}; {whole}", width, INDENT))
    if findings:
        click.echo("evidence, why each matters and how to mend it: --format json")


def as_json(assessed: Assessed) -> bytes:
    """`{"findings": […], "runs": […]}`, sorted, with stable keys."""
    content = {
        "findings": [_finding(finding) for finding in assessed.assessment.findings],
        "runs": [
            {"rule": run.rule_id, "status": run.status.value, "population": run.population, "reason": run.reason}
            for run in assessed.assessment.runs
        ],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _finding(finding: Finding) -> dict[str, object]:
    rule = RULES[finding.rule_id]
    return {
        "rule": finding.rule_id,
        "title": rule.title,
        "severity": finding.severity.value,
        "subject": str(finding.subject),
        "message": finding.message,
        "details": list(finding.details),
        "why": rule.why,
        "mend": rule.mend,
        "suggestion": finding.suggestion,
        "evidence": [
            {"object": str(ref.key), "digest": ref.digest, "detail": ref.detail, "source": ref.source}
            for ref in finding.evidence
        ],
        "zones": list(finding.zones),
        "fingerprint": finding.fingerprint,
    }
