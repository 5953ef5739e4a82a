"""One unit evaluated: findings and control results of each of its snapshots, as canonical JSON.

As in a report, only what changed is evaluated again (evidence/pipeline/looks.py).

A result holds `moments`: the first snapshot in full, and each later one at which something was not as before, with what came, what went and the
control results that differ. Snapshots are named by root digest and time, never by their number in one store.
"""

from collections.abc import Iterator, Mapping
from operator import is_
from typing import TYPE_CHECKING, Any

from evidence.canonical import canonical_json
from evidence.cluster.objects import SourceInfo
from evidence.errors import StoreError
from evidence.findings.finding import Finding
from evidence.findings.registry import Assessment
from evidence.frameworks.model import ControlResult
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.fleet.units import Rulebook, Unit, records_digest, snapshots_described
from evidence.pipeline.judging import Judging
from evidence.pipeline.looks import Looks

if TYPE_CHECKING:
    from evidence.store import SnapshotInfo, SnapshotOutline, Store

FORMAT = "evidence-reassessed-month/1"


def evaluate_unit(store: "Store", rulebook: Rulebook, unit: Unit) -> bytes:
    """The unit's result. Raises StoreError when the store does not hold what the unit was planned from, or cannot be read."""
    outlines = [each for each in store.outlines(unit.cluster, unit.start, unit.end) if each.info.id <= unit.upto]
    infos = [each.info for each in outlines]
    if snapshots_described(infos) != unit.inputs["snapshots"]:
        raise StoreError(
            f"the store {store.url} does not hold the snapshots of {unit.cluster} that the work was planned from: it is another store, or a copy "
            "that is behind"
        )
    records = records_digest(store, unit.cluster, infos)
    moments = list(_moments(store, rulebook, unit, outlines))
    if records_digest(store, unit.cluster, infos) != records:
        raise StoreError(f"records of {unit.cluster} came in while they were read; run the same again")
    inputs = {**unit.inputs, "records": records}
    return canonical_json({"format": FORMAT, "inputs": inputs, "moments": moments})


def _moments(
    store: "Store", rulebook: Rulebook, unit: Unit, outlines: "list[SnapshotOutline]"
) -> Iterator[dict[str, Any]]:
    looks = Looks(store, unit.cluster, places=False)
    newest = SourceInfo("", "", cluster_uid=unit.cluster_uid)
    judgings = [Judging(framework, rulebook.baseline, newest) for framework in rulebook.frameworks]
    last: tuple[Assessment, list[tuple[ControlResult, ...]]] | None = None
    findings: Mapping[str, dict[str, str]] = {}
    results: Mapping[str, Mapping[str, Any]] = {}
    for outline in outlines:
        assessed = looks.at(outline, LOOK_BACK if outline.info.id == unit.newest else RECENT)
        judged = [judging.results(assessed) for judging in judgings]
        if last and last[0] is assessed.assessment and all(map(is_, last[1], judged)):
            continue
        found = {finding.fingerprint: _finding(finding) for finding in assessed.assessment.findings}
        written = {
            framework.id: {result.control_id: _result(result) for result in controls}
            for framework, controls in zip(rulebook.frameworks, judged, strict=True)
        }
        moment = _moment(outline.info, findings, found, results, written)
        if last is None or any(moment[part] for part in ("opened", "closed", "results")):
            yield moment
        last, findings, results = (assessed.assessment, judged), found, written


def _moment(
    info: "SnapshotInfo",
    before: Mapping[str, Any],
    found: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    judged: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    differing = {
        framework: {
            control: result for control, result in controls.items() if results.get(framework, {}).get(control) != result
        }
        for framework, controls in judged.items()
    }
    return {
        "root": info.root_digest,
        "taken_at": info.taken_at.isoformat(),
        "opened": [finding for fingerprint, finding in sorted(found.items()) if before.get(fingerprint) != finding],
        "closed": sorted(before.keys() - found.keys()),
        "results": {framework: controls for framework, controls in differing.items() if controls},
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "fingerprint": finding.fingerprint,
        "rule": finding.rule_id,
        "severity": finding.severity.value,
        "subject": str(finding.subject),
    }


def _result(result: ControlResult) -> dict[str, Any]:
    written: dict[str, Any] = {"verdict": result.verdict.value}
    if result.strength is not None:
        written["strength"] = result.strength.value
    if result.findings:
        written["findings"] = sorted(result.findings)
    return written
