"""Frameworks, controls and the mapping as rows for people and machines (`evidence controls`). Keys are stable."""

from collections.abc import Sequence

from evidence.errors import UsageError
from evidence.findings.registry import RULES
from evidence.frameworks.load import planned_checks
from evidence.frameworks.model import Control, Feed, FeedStrength, Framework

Row = dict[str, object]


def framework_rows(frameworks: Sequence[Framework]) -> list[Row]:
    """One row a framework: how many controls, how many of them some check feeds, how many can be supported."""
    return [
        {
            "name": framework.short,
            "id": framework.id,
            "title": f"{framework.title} {framework.version}",
            "controls": len(framework.controls),
            "fed": sum(control.fed for control in framework.controls),
            "decided": sum(_decided(control) for control in framework.controls),
            "mappings": sum(len(control.feeds) for control in framework.controls),
        }
        for framework in frameworks
    ]


def control_rows(framework: Framework, baseline: str | None = None) -> list[Row]:
    """One row a control. Raises UsageError for a baseline that the framework does not have."""
    if baseline and baseline.lower() not in [name.lower() for name in framework.baselines]:
        listed = ", ".join(framework.baselines) or "none"
        raise UsageError(f"{framework.title} has no baseline {baseline!r}; its baselines: {listed}")
    return [
        {
            "control": control.id,
            "title": control.title,
            "decided_by": [feed.rule_id for feed in _having(control, FeedStrength.DIRECT)],
            "evidence_from": [
                feed.rule_id
                for feed in (
                    *_having(control, FeedStrength.SUPPORTING),
                    *_having(control, FeedStrength.INDIRECT),
                )
            ],
            "supported_takes": _takes(control),
        }
        for control in framework.controls
        if not baseline or baseline.lower() in [name.lower() for name in control.baselines]
    ]


def feed_rows(frameworks: Sequence[Framework], rule_id: str) -> list[Row]:
    """One row for each control that findings of a rule bear on. Raises UsageError for a rule that nothing knows."""
    if rule_id not in RULES and rule_id not in planned_checks():
        raise UsageError(f"there is no finding rule {rule_id!r}; `evidence assess --format json` lists those that run")
    return [
        {
            "framework": framework.short,
            "control": control.id,
            "title": control.title,
            "strength": feed.strength.value,
            "marks": _marks(feed),
            "reason": feed.reason,
        }
        for framework in frameworks
        for control in framework.controls
        for feed in control.feeds
        if feed.rule_id == rule_id
    ]


def described(framework: Framework, control_id: str) -> Row:
    """Everything that is known of one control. Raises UsageError for one that the framework does not have."""
    found = [control for control in framework.controls if control.id == control_id]
    if not found:
        raise UsageError(
            f"{framework.title} has no control {control_id!r} here; `evidence controls {framework.short}` lists them"
        )
    control = found[0]
    return {
        "control": control.id,
        "title": control.title,
        "framework": framework.id,
        "summary": control.summary,
        "obligation": control.obligation,
        "cadence": control.cadence,
        "zones": sorted(zone.value for zone in control.zones),
        "only_if": [condition.value for condition in control.only_if],
        "baselines": list(control.baselines),
        "supported_takes": _takes(control),
        "never_supported_because": control.why_never,
        "tool_can_show": control.tool_can_show,
        "tool_cannot_show": control.tool_cannot_show,
        "also_needed": list(control.also_needed),
        "parameters": list(control.parameters),
        "notes": control.notes,
        "changed_by": control.changed_by,
        "findings": [
            {
                "rule": feed.rule_id,
                "strength": feed.strength.value,
                "marks": _marks(feed),
                "zones": sorted(zone.value for zone in feed.zones),
                "reason": feed.reason,
            }
            for feed in control.feeds
        ],
    }


def _decided(control: Control) -> bool:
    return any(feed.has_check for feed in control.direct)


def _having(control: Control, strength: FeedStrength) -> list[Feed]:
    return [feed for feed in control.feeds if feed.has_check and feed.strength is strength]


def _takes(control: Control) -> str:
    """What a supported result takes, or why there is none."""
    if not control.fed:
        return "not assessed here"
    if not _decided(control):
        return "evidence only"
    if control.needs is None:
        return "can only be refuted"
    missing = [feed.rule_id for feed in control.direct if not feed.has_check and not feed.observation]
    return f"{control.needs.value}, and {', '.join(missing)}, which no check feeds" if missing else control.needs.value


def _marks(feed: Feed) -> list[str]:
    marks = ["withholds support"] if feed.withholds else []
    marks += ["seen on the wire"] if feed.observation else []
    return marks if feed.has_check else [*marks, "no check feeds this"]
