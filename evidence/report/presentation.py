"""What the two formats for readers share: the same chapters in the same order, and how many rows of each list are printed.

A list that is cut says how many there are and names the file of the pack that has all of them; nothing is dropped in silence.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from markupsafe import Markup

from evidence.findings.finding import Severity
from evidence.frameworks.judge import Verdict
from evidence.report.charts import coverage_line, heat_map, verdict_bar, verdict_history
from evidence.report.templates import colours, shown
from evidence.report.view import ReportView
from evidence.report.view.build import last_day
from evidence.report.view.model import CellState, ControlView, FindingState, FindingView, PolicyObject
from evidence.report.zonediagram import Arrow, arrows, drawn_arrows, zone_diagram

CHAPTERS = (
    ("summary", "Summary"),
    ("method", "Scope and method"),
    ("population", "Population and completeness"),
    ("controls", "Results by control"),
    ("findings", "Findings"),
    ("flows", "Flow picture"),
    ("observed", "What logs show"),
    ("changes", "Changes in the period"),
    ("exceptions", "Exceptions, tests and reviews"),
    ("policies", "Appendix: policies and digests"),
    ("sign-off", "Sign-off"),
)
ASSESSED = (Verdict.REFUTED, Verdict.NOT_DETERMINED, Verdict.SUPPORTED)
_BOOKKEEPING = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"})
_YAML_FIRST = ("apiVersion", "kind", "metadata", "spec")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is printed: findings of a rule in full (`per_rule`) and in a table after them (`more`), rows of any other table,
    changes, lines of one policy, items of a list inside a finding or control (`details`), policies in full."""

    per_rule: int
    more: int
    rows: int
    changes: int
    lines: int
    details: int
    policies: int


PAPER = Limits(per_rule=6, more=20, rows=60, changes=120, lines=80, details=6, policies=40)
SCREEN = Limits(per_rule=50, more=1000, rows=1000, changes=1000, lines=400, details=60, policies=400)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of the pack with its SHA-256 (hex) and size in bytes."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Findings of one rule that are open at the end of the period, most severe first, with what they share."""

    rule_id: str
    title: str
    family: str
    severity: Severity
    why: str
    mend: str
    findings: tuple[FindingView, ...]


def data_files(files: Mapping[str, bytes]) -> tuple[DataFile, ...]:
    """Files with their digests, by path."""
    return tuple(
        DataFile(path, hashlib.sha256(content).hexdigest(), len(content)) for path, content in sorted(files.items())
    )


def values(view: ReportView, files: Sequence[DataFile], limits: Limits, *, paper: bool) -> dict[str, Any]:
    """Everything the templates use."""
    (document,) = (file for file in files if file.path == "evidence.json")
    return {
        "view": view,
        "paper": paper,
        "limits": limits,
        "chapters": CHAPTERS,
        "files": files,
        "evidence_digest": document.digest,
        "last_day": last_day(view.cover.period_end),
        "rule_groups": rule_groups(view.findings),
        "finding": {finding.fingerprint: finding for finding in view.findings},
        "control": {control.id: control for control in view.controls},
        "assessed": tuple(control for control in view.controls if detailed(control)),
        "others": tuple(control for control in view.controls if not detailed(control)),
        "undetermined": tuple(f for f in view.findings if f.state is FindingState.NOT_DETERMINED),
        "closed": tuple(f for f in view.findings if f.state is FindingState.CLOSED),
        "ranked": ranking(view.findings),
        "arrows": zone_arrows(view),
        "drawn_arrows": len(drawn_arrows(view.zone_flows)) if view.zone_flows else 0,
        "notes": log_notes(view),
        "doubts": tuple(cell for cell in view.namespace_flows.cells if cell.state is CellState.UNCERTAIN),
        "yaml_text": yaml_text,
        **pictures(view),
    }


def log_notes(view: ReportView) -> tuple[str, ...]:
    """What the imported logs lack by their nature, each once."""
    sources = view.observed.sources if view.observed else ()
    return tuple(dict.fromkeys(note for source in sources for note in source.notes))


def detailed(control: ControlView) -> bool:
    """Whether a control has a paragraph of its own: it was judged, or something was found that bears on it."""
    return control.verdict in ASSESSED or bool(control.findings or control.related)


def pictures(view: ReportView) -> dict[str, Markup | None]:
    """All pictures, by the name the templates know them by."""
    paints = colours()
    return {
        "bar": verdict_bar(view.summary.verdicts, paints),
        "history": verdict_history(view.controls, view.population.snapshots, paints),
        "timeline": coverage_line(view, paints),
        "zones": zone_diagram(view.zone_flows, paints) if view.zone_flows else None,
        "zone_heat": heat_map(view.zone_flows, paints) if view.zone_flows else None,
        "heat": heat_map(view.namespace_flows, paints) if view.namespace_flows.groups else None,
    }


def zone_arrows(view: ReportView) -> tuple[Arrow, ...]:
    return arrows(view.zone_flows) if view.zone_flows else ()


def ranking(findings: Sequence[FindingView]) -> Callable[[Sequence[str]], list[str]]:
    """Puts fingerprints into the order of reading: open ones first, most severe first. Unknown ones are left out."""
    states = list(FindingState)
    places = {one.fingerprint: (states.index(one.state), -one.severity.rank) for one in findings}

    def ranked(fingerprints: Sequence[str]) -> list[str]:
        return sorted((one for one in fingerprints if one in places), key=places.__getitem__)

    return ranked


def rule_groups(findings: Sequence[FindingView]) -> tuple[RuleGroup, ...]:
    """Open findings by rule: the rule with the most severe finding first, then by id."""
    by_rule: dict[str, list[FindingView]] = {}
    for finding in findings:
        if finding.state is FindingState.OPEN:
            by_rule.setdefault(finding.rule_id, []).append(finding)
    groups = [_group(found) for found in by_rule.values()]
    return tuple(sorted(groups, key=lambda group: (-group.severity.rank, group.rule_id)))


def _group(findings: Sequence[FindingView]) -> RuleGroup:
    ordered = tuple(sorted(findings, key=lambda finding: -finding.severity.rank))
    first = ordered[0]
    return RuleGroup(first.rule_id, first.title, first.family, first.severity, first.why, first.mend, ordered)


def yaml_text(policy: PolicyObject) -> str:
    """A policy as YAML for reading, without the API server's bookkeeping; its whole canonical JSON is in the pack."""
    body = {key: policy.body[key] for key in _YAML_FIRST if key in policy.body}
    body |= {key: value for key, value in sorted(policy.body.items()) if key not in body}
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        body["metadata"] = {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}
    return str(shown(yaml.dump(body, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)))


class _Plain(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes a part that occurs twice twice, instead of an anchor and an alias that nobody reads."""

    def ignore_aliases(self, data: object) -> bool:
        return True
