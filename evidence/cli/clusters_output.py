"""How `evidence clusters` writes: a table for people, JSON (evidence/pipeline/clusters.schema.json) for machines."""

import math
from collections.abc import Iterator
from datetime import timedelta

import click

from evidence.cli.json_output import write_json
from evidence.cli.terminal import columns, line, wrapped
from evidence.findings.finding import count
from evidence.frameworks.coverage import FORGIVEN
from evidence.pipeline.browse.clusters import ClusterOutcome, ClusterView, Overview
from evidence.report.document import as_json


def write(found: Overview, expect_every: timedelta, output: str) -> None:
    if output == "json":
        write_json(as_json(found))
        return
    for text in table(found, expect_every):
        click.echo(text)


def overdue(cluster: ClusterView, expect_every: timedelta) -> bool:
    """Whether a newer snapshot should be there by now, with the same patience as for gaps."""
    return cluster.age_seconds > expect_every.total_seconds() * (1 + FORGIVEN)


def table(found: Overview, expect_every: timedelta) -> Iterator[str]:
    """One head line, then two or three lines a cluster, the one that was looked at longest ago first."""
    width = columns()
    late = sum(overdue(cluster, expect_every) for cluster in found.clusters)
    partial = sum(cluster.last.partial for cluster in found.clusters)
    yield f"{count(len(found.clusters), 'cluster')}: {late} overdue, {partial} with a partial newest snapshot"
    for cluster in sorted(found.clusters, key=lambda each: (each.last.taken_at, each.name)):
        yield ""
        yield from _lines(cluster, expect_every, width)


def _lines(cluster: ClusterView, expect_every: timedelta, width: int) -> Iterator[str]:
    said = [f"{cluster.last.taken_at:%Y-%m-%d %H:%M} UTC, {_age(cluster.age_seconds)} ago"]
    said += ["OVERDUE"] if overdue(cluster, expect_every) else []
    said += ["PARTIAL"] if cluster.last.partial else []
    yield wrapped(f"{cluster.name}: snapshot {cluster.last.id} of {', '.join(said)}", width, 2)
    covered = math.floor(cluster.coverage.share * 1000) / 10  # down, so that 100 % has no gap
    counted = [
        count(cluster.snapshots, "snapshot"),
        count(cluster.failed_runs, "failed run"),
        count(cluster.records, "record"),
        f"{covered} % of the time since {cluster.coverage.start:%Y-%m-%d} covered",
    ]
    yield wrapped(f"  {', '.join(counted)}", width, 4)
    for shortfall in cluster.shortfalls:
        yield wrapped(f"  not read: {shortfall}", width, 4)
    if cluster.outcome is not None:
        yield from _outcome_lines(cluster.outcome, width)


def _outcome_lines(outcome: ClusterOutcome, width: int) -> Iterator[str]:
    if outcome.problem:
        yield wrapped(f"  could not be assessed: {outcome.problem}", width, 4)
        return
    open_now = ", ".join(f"{number} {severity}" for severity, number in outcome.open_findings.items() if number)
    accepted = f"; {outcome.accepted_findings} of them accepted" if outcome.accepted_findings else ""
    yield wrapped(f"  open: {open_now or 'nothing'}{accepted}", width, 4)
    for controls in outcome.controls:
        counted = ", ".join(f"{number} {verdict}" for verdict, number in controls.verdicts.items() if number)
        yield line(f"  {controls.framework}: {counted}")


def _age(seconds: float) -> str:
    """ "3 d 4 h", "2 h", "5 min": the two largest units."""
    minutes = int(seconds // 60)
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(said[:2]) or "less than a minute"
