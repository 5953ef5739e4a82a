"""One unit evaluated: findings and control results of each of its snapshots, as canonical JSON.

As in a report, only what changed is evaluated again (evidence/pipeline/looks.py).

A result holds `moments`: the first snapshot in full, and each later one at which something was not as before, with what came, what went and the
control results that differ. Snapshots are named by root digest and time, never by their number in one store.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evidence.canonical import canonical_json
from evidence.errors import StoreError
from evidence.findings.finding import Finding
from evidence.frameworks.judge import Facts, judge
from evidence.frameworks.model import ControlResult
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.fleet.units import Rulebook, Unit, records_digest, snapshots_described
from evidence.pipeline.judging import without_rbac
from evidence.pipeline.looks import Looks
from evidence.pipeline.observations import agreements
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed, State
from evidence.pipeline.unseen import unseen_kinds

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
    last: Assessed | None = None
    findings: Mapping[str, dict[str, str]] = {}
    results: Mapping[str, Mapping[str, Any]] = {}
    for outline in outlines:
        assessed = looks.at(outline, LOOK_BACK if outline.info.id == unit.newest else RECENT)
        if last is not None and _says_the_same(last, assessed):
            continue
        found = {finding.fingerprint: _finding(finding) for finding in assessed.assessment.findings}
        judged = _judged(assessed, rulebook, unit)
        moment = _moment(outline.info, findings, found, results, judged)
        if last is None or any(moment[part] for part in ("opened", "closed", "results")):
            yield moment
        last, findings, results = assessed, found, judged


def _says_the_same(one: Assessed, other: Assessed) -> bool:
    """True when all that a result hangs on is shared; with records of its time a snapshot is judged by itself."""
    unseen = one.observed is None and other.observed is None and one.probed is None and other.probed is None
    return unseen and one.assessment is other.assessment


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


def _judged(assessed: Assessed, rulebook: Rulebook, unit: Unit) -> dict[str, dict[str, Any]]:
    """Control results by framework and control."""
    state = assessed.state
    facts = Facts(
        intent=state.intent,
        cni=assessed.cni,
        zones=assessed.zones,
        partial=(*shortfalls(without_rbac(state.collection)), *_other_cluster(state, unit.cluster_uid)),
        unevaluated=tuple(str(policy.key) for policy in assessed.reach.unevaluated),
        unseen=unseen_kinds(state.collection),
        baseline=rulebook.baseline,
        agreements=agreements(assessed),
    )
    return {
        framework.id: {result.control_id: _result(result) for result in judge(framework, assessed.assessment, facts)}
        for framework in rulebook.frameworks
    }


def _result(result: ControlResult) -> dict[str, Any]:
    written: dict[str, Any] = {"verdict": result.verdict.value}
    if result.strength is not None:
        written["strength"] = result.strength.value
    if result.findings:
        written["findings"] = sorted(result.findings)
    return written


def _other_cluster(state: State, expected: str) -> tuple[str, ...]:
    """As in a report: a snapshot of another cluster than the period's newest supports nothing."""
    uid = state.collection.source.cluster_uid
    return ("it is of another cluster than the newest snapshot",) if uid and expected and uid != expected else ()
