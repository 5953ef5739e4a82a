"""How `evidence reassess` writes: a table for people, JSON (evidence/pipeline/reassessment.schema.json) for machines."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from evidence.cli.terminal import columns, line, wrapped
from evidence.findings.finding import count
from evidence.pipeline.fleet.before import Result
from evidence.pipeline.fleet.compare import Comparison
from evidence.pipeline.fleet.folder import SUMMARY
from evidence.pipeline.fleet.reassess import ClusterResult, Reassessed, Step
from evidence.pipeline.fleet.summary import by_severity, summary_bytes, verdicts

SHOWN_FINDINGS = 3  # of one rule; all are in the JSON


def note(step: Step) -> str:
    """What a progress bar says beside the number."""
    said = [f"{step.before} done before"] if step.before else []
    said += [f"{step.failed} failed"] if step.failed else []
    return ", ".join(said)


def write(found: Reassessed, folder: Path, output: str) -> None:
    if output == "json":
        sys.stdout.buffer.write(summary_bytes(found) + b"\n")
        sys.stdout.flush()
    else:
        for text in table(found, folder):
            click.echo(text)


def table(found: Reassessed, folder: Path) -> Iterator[str]:
    """The run, each cluster with its control results, what is said otherwise now, and what failed. Frameworks by their short names."""
    width = columns()
    names = {framework.id: framework.short for framework in found.rulebook.frameworks}
    step = found.step
    yield line(
        f"{count(len(found.clusters), 'cluster')}, {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC: "
        f"{count(step.total, 'month')} of clusters, {step.before} done before, {step.done} now, {step.failed} failed"
    )
    for cluster in found.clusters:
        yield ""
        yield from _cluster_lines(cluster, names, width)
        for comparison in cluster.comparisons:
            yield from _comparison_lines(comparison, names, width)
    if found.left_out:
        yield ""
        yield "Not compared:"
        for what, why in found.left_out:
            yield wrapped(f"  {what}: {why}", width, 4)
    if found.failures:
        yield ""
        yield "Not evaluated; run the same again to go on:"
        for unit, message in found.failures:
            yield wrapped(f"  {unit}: {message}", width, 4)
    yield ""
    yield line(f"results: {folder / SUMMARY}")


def _cluster_lines(cluster: ClusterResult, names: Mapping[str, str], width: int) -> Iterator[str]:
    if cluster.first is None or cluster.last is None:
        yield wrapped(f"{cluster.cluster}: no snapshot in the period", width, 2)
        return
    head = f"{cluster.cluster}: {count(cluster.snapshots, 'snapshot')}, {cluster.first:%Y-%m-%d} to {cluster.last:%Y-%m-%d}"
    if not cluster.whole:
        yield wrapped(f"{head}: not evaluated whole, so nothing is said of it", width, 2)
        return
    found = ", ".join(f"{number} {severity}" for severity, number in by_severity(cluster).items() if number)
    yield wrapped(f"{head}; findings at some time: {found or 'none'}", width, 2)
    for framework in cluster.results:
        counted = ", ".join(f"{number} {name}" for name, number in verdicts(cluster, framework).items() if number)
        yield wrapped(f"  {names[framework]}: {counted}", width, 4)


def _comparison_lines(found: Comparison, names: Mapping[str, str], width: int) -> Iterator[str]:
    source = found.source or f"the earlier reassessment, {names[found.framework]}"
    if not found.controls and not found.findings:
        same = f"{count(found.compared, 'control')} and all findings are as they were"
        yield wrapped(f"  beside {source}: {same}", width, 4)
    else:
        yield wrapped(
            f"  beside {source}: {len(found.controls)} of {count(found.compared, 'control')} changed", width, 4
        )
    for remark in found.remarks:
        yield wrapped(f"    ! {remark}", width, 6)
    for change in found.controls:
        rules = ", ".join(f"{rule} ({number})" for rule, number in change.rules.items())
        by = f", by {rules}" if rules else ""
        yield wrapped(f"    {change.control}: {_result(change.before)} -> {_result(change.now)}{by}", width, 6)
    for rule in found.findings:
        for sign, word, findings in (("+", "new", rule.new), ("-", "gone", rule.gone)):
            if findings:
                more = len(findings) - SHOWN_FINDINGS
                shown = "; ".join(finding["subject"] for finding in findings[:SHOWN_FINDINGS])
                rest = f" and {more} more" if more > 0 else ""
                yield wrapped(f"    {sign} {rule.rule}: {len(findings)} {word}: {shown}{rest}", width, 6)


def _result(result: Result | None) -> str:
    if result is None:
        return "not there"
    verdict, strength = result
    return f"{verdict.value} ({strength.value})" if strength else verdict.value
