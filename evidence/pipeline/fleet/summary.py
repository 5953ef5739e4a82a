"""The summary of a reassessment as JSON (reassessment.schema.json): canonical, and the same whoever ran it and however often it was stopped."""

from collections import Counter
from typing import Any

from evidence.canonical import canonical_json
from evidence.findings.finding import Severity
from evidence.frameworks.model import Verdict
from evidence.pipeline.fleet.before import Result
from evidence.pipeline.fleet.compare import Comparison, ControlChange
from evidence.pipeline.fleet.reassess import ClusterResult, Reassessed

FORMAT = "evidence-reassessment/1"


def summary_bytes(found: Reassessed) -> bytes:
    """The bytes of reassessment.json."""
    return canonical_json(document(found))


def document(found: Reassessed) -> dict[str, Any]:
    """The whole result for JSON."""
    return {
        "format": FORMAT,
        "period": {"start": found.start.isoformat(), "end": found.end.isoformat()},
        "expected_every_seconds": int(found.expected_every.total_seconds()),
        **found.rulebook.described(),
        "units": found.step.total,
        "failed": [
            {"cluster": unit.cluster, "month": unit.month, "message": message} for unit, message in found.failures
        ],
        "against": found.against,
        "not_compared": [{"what": what, "why": why} for what, why in found.left_out],
        "clusters": [_cluster(each) for each in found.clusters],
    }


def _cluster(each: ClusterResult) -> dict[str, Any]:
    return {
        "cluster": each.cluster,
        "snapshots": each.snapshots,
        "first": each.first.isoformat() if each.first else "",
        "last": each.last.isoformat() if each.last else "",
        "whole": each.whole,
        "changes": each.changes,
        "findings": by_severity(each),
        "frameworks": [
            {"framework": framework, "verdicts": dict(verdicts(each, framework))} for framework in each.results
        ],
        "comparisons": [_comparison(one) for one in each.comparisons],
    }


def by_severity(each: ClusterResult) -> dict[str, int]:
    """How many findings were open at some time, by severity."""
    counts = Counter(finding["severity"] for finding in each.findings.values())
    return {severity.value: counts[severity.value] for severity in Severity}


def verdicts(each: ClusterResult, framework: str) -> Counter[str]:
    """How many controls have each result, all results named."""
    counts = Counter(result.verdict.value for result in each.results[framework].values())
    return Counter({verdict.value: counts[verdict.value] for verdict in Verdict})


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "framework": one.framework,
        "pack": one.source,
        "period": {"start": one.start.isoformat(), "end": one.end.isoformat()},
        "controls_compared": one.compared,
        "controls": [_control(change) for change in one.controls],
        "findings": [
            {"rule": change.rule, "new": list(change.new), "gone": list(change.gone)} for change in one.findings
        ],
        "remarks": list(one.remarks),
    }


def _control(change: ControlChange) -> dict[str, Any]:
    return {
        "control": change.control,
        "before": _result(change.before),
        "now": _result(change.now),
        "refuted_by": dict(change.rules),
    }


def _result(result: Result | None) -> dict[str, str] | None:
    if result is None:
        return None
    verdict, strength = result
    return {"verdict": verdict.value, "strength": strength.value if strength else ""}
