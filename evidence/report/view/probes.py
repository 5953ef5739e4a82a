"""Probe runs of the period: what was covered, by whom, when, with which version and seed, and what every connection showed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from evidence.probe.model import Coverage, Judgement, ProbeRun, Result
from evidence.probe.standing import Standing


@dataclass(frozen=True, slots=True)
class ProbeRunView:
    """One run. `digest` is that of its record in the store, `snapshot_root` names the snapshot that it was planned on. `class_pairs`, `cells`,
    `zone_pairs` and `nodes` say how much it covered ("100 of 100 (100 %)"), `not_covered` what it did not and why; `longest_passed_ms`: how long
    new pods passed before they were stopped, 0 for never."""

    id: str
    started_at: datetime
    finished_at: datetime
    identity: str
    tool_version: str
    image: str
    seed: int
    snapshot_root: str
    digest: str
    connections: int
    as_computed: int
    contradicting: int
    not_determined: int
    longest_passed_ms: int
    class_pairs: str
    cells: str
    zone_pairs: str
    nodes: str
    not_covered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One connection of one run. `ports` is the group that the port stands for; `allowed` is what was computed, with `egress` and `ingress` as
    reasons; `seen` is the last attempt."""

    run: str
    source: str
    destination: str
    protocol: str
    port: int
    ports: str
    allowed: bool
    egress: str
    ingress: str
    sent_by: str
    stand_in: bool
    attempts: int
    seen: str
    outcome: str
    judgement: str
    reason: str
    source_control: str
    listener_control: str


def of_period(probed: Standing | None, start: datetime, end: datetime) -> tuple[ProbeRun, ...]:
    """The runs that began in a period, oldest first."""
    return tuple(run for run in probed.runs if start <= run.started_at < end) if probed else ()


def probe_runs(probed: Standing | None, start: datetime, end: datetime) -> tuple[ProbeRunView, ...]:
    """The runs of a period for the reader, oldest first."""
    return tuple(_run(run, probed) for run in of_period(probed, start, end)) if probed else ()


def probe_rows(probed: Standing | None, start: datetime, end: datetime) -> tuple[ProbeRow, ...]:
    """Every connection of these runs."""
    return tuple(_row(run, result) for run in of_period(probed, start, end) for result in run.results)


def _run(run: ProbeRun, probed: Standing) -> ProbeRunView:
    coverage, tests = run.coverage, run.tests
    return ProbeRunView(
        id=run.id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        identity=run.identity,
        tool_version=run.tool_version,
        image=run.image,
        seed=run.seed,
        snapshot_root=run.snapshot_root,
        digest=probed.digest_of(run),
        connections=len(run.results),
        as_computed=tests[Judgement.AGREES],
        contradicting=tests[Judgement.CONTRADICTS],
        not_determined=tests[Judgement.NOT_DETERMINED],
        longest_passed_ms=max((result.passed_ms for result in run.results), default=0),
        class_pairs=str(coverage.pairs),
        cells=str(coverage.cells),
        zone_pairs=str(coverage.zone_pairs),
        nodes=str(coverage.nodes),
        not_covered=tuple(_not_covered(coverage)),
    )


def _not_covered(coverage: Coverage) -> Iterator[str]:
    for left in coverage.left:
        yield f"{left.count} {left.what}: {left.reason}"


def _row(run: ProbeRun, result: Result) -> ProbeRow:
    probe, tried = result.probe, result.tried
    return ProbeRow(
        run=run.id,
        source=probe.source.name,
        destination=probe.destination.name,
        protocol=probe.protocol.value,
        port=probe.port,
        ports=probe.ports,
        allowed=probe.allowed,
        egress=probe.egress,
        ingress=probe.ingress,
        sent_by=result.by,
        stand_in=probe.stand_in,
        attempts=tried.attempts if tried else 0,
        seen=str(tried.last) if tried else "",
        outcome=result.outcome.value,
        judgement=result.judgement.value,
        reason=result.reason,
        source_control=result.source_control,
        listener_control=result.listener_control,
    )
