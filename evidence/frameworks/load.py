"""Frameworks from YAML: those shipped in `controls/`, and a user's own folders (see docs/controls.md).

A file is one of three, told by its first key: `framework` (a catalogue with its mapping), `overrides` (changes to one that is
known), `checks` (ids of checks that a mapping may name although no rule feeds them yet; shipped only). Each is checked against its
JSON Schema, and a rule, zone or baseline that nothing knows is an error, so that a slip of the pen never passes for "no finding".
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import evidence.findings  # noqa: F401  (registers the rules)
from evidence.documents import Document, did_you_mean, raise_all, read_document, schema_errors
from evidence.errors import InputError
from evidence.findings.registry import RULES
from evidence.frameworks.model import Condition, Control, Feed, FeedStrength, Framework, Retention, Strength
from evidence.intent.model import Classification
from evidence.resources import data_folder

__all__ = ["Control", "Feed", "FeedStrength", "Framework", "load_frameworks", "planned_checks"]

KINDS = ("framework", "overrides", "checks")
PLANNED = "planned-checks.yaml"


def load_frameworks(extra_folders: Iterable[Path] = ()) -> Mapping[str, Framework]:
    """Every framework by id, in the order of the files. Raises InputError, or ManyInputsError with all that is wrong."""
    folders = [data_folder("controls"), *extra_folders]
    documents = [document for folder in folders for document in _documents(folder)]
    found: dict[str, Framework] = {}
    catalogues = [document for document in documents if "framework" in document.value]
    changes = [document for document in documents if "overrides" in document.value]
    for document in catalogues:
        framework = _framework(document, [change for change in changes if _changes(change, document)])
        _check_new(document, framework, found)
        found[framework.id] = framework
    for change in changes:
        if change.value["overrides"] not in found:
            name = change.value["overrides"]
            raise change.error(("overrides",), f"there is no framework {name!r}{did_you_mean(name, found)}")
    return found


def _changes(change: Document, catalogue: Document) -> bool:
    return bool(change.value["overrides"] == catalogue.value["framework"]["id"])


def _check_new(document: Document, framework: Framework, known: Mapping[str, Framework]) -> None:
    for other in known.values():
        if framework.id == other.id:
            raise document.error(
                ("framework", "id"), f"{framework.id!r} is already in {other.source}; write `overrides: {other.id}`"
            )
        if framework.short == other.short:
            raise document.error(("framework", "short"), f"{framework.short!r} is already the short name of {other.id}")


# -- files ------------------------------------------------------------------------------------------------------------


@cache
def schema(kind: str) -> Mapping[str, Any]:
    """The JSON Schema of files of a kind."""
    text = (data_folder("controls") / "schema" / f"{kind}.schema.json").read_bytes()
    found: Mapping[str, Any] = json.loads(text)
    return found


@cache
def planned_checks() -> Mapping[str, str]:
    """Ids of checks that have no rule here, with what each would look at."""
    document = _document(data_folder("controls") / PLANNED)
    return {check["id"]: check["title"] for check in document.value["checks"]}


def _documents(folder: Path) -> Sequence[Document]:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give a folder of YAML files with --controls")
    files = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.name != PLANNED)
    return [_document(path) for path in files]


def _document(path: Path) -> Document:
    try:
        document = read_document(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    kinds = [kind for kind in KINDS if isinstance(document.value, dict) and kind in document.value]
    if len(kinds) != 1:
        raise InputError(f"{path}:1: must have one of the keys framework (a catalogue) or overrides (changes to one)")
    raise_all(schema_errors(document, schema(kinds[0])))
    return document


# -- values -----------------------------------------------------------------------------------------------------------


def _framework(document: Document, changes: Sequence[Document]) -> Framework:
    head, errors = document.value["framework"], []
    baselines = tuple(head.get("baselines", ()))
    entries = {str(entry["id"]): entry for entry in document.value["controls"]}
    if len(entries) != len(document.value["controls"]):
        errors += _twice(document)
    controls: dict[str, Control] = {}
    for index, entry in enumerate(document.value["controls"]):
        errors += _feed_errors(document, index, entry)
        errors += _control_errors(document, index, entry, baselines)
        controls[entry["id"]] = _control(entry, head)
    raise_all(errors)
    errors = list(_retention_errors(document, ("framework", "retention"), head.get("retention", {}), entries))
    raise_all(errors)
    retention, retention_by = head.get("retention"), ""
    for change in changes:
        errors = _twice(change)
        if "retention" in change.value:
            retention, retention_by = {**(retention or {}), **change.value["retention"]}, change.source
            errors += _retention_errors(change, ("retention",), retention, entries)
        for index, entry in enumerate(change.value.get("controls", ())):
            errors += _feed_errors(change, index, entry)
            if entry["id"] not in entries:
                hint = did_you_mean(entry["id"], entries)
                errors.append(
                    change.error(("controls", index, "id"), f"{head['id']} has no control {entry['id']!r}{hint}")
                )
                continue
            entries[entry["id"]] = _merged(entries[entry["id"]], entry)
            errors += _control_errors(change, index, entries[entry["id"]], baselines)
            controls[entry["id"]] = _control(entries[entry["id"]], head, changed_by=change.source)
        raise_all(errors)
    return Framework(
        id=head["id"],
        short=head["short"],
        title=head["title"],
        version=head["version"],
        controls=tuple(controls.values()),
        not_assessed=tuple(document.value.get("not_assessed", ())),
        baselines=baselines,
        regulated=Classification(head["regulated"]) if "regulated" in head else None,
        boundary=Classification(head["boundary"]) if "boundary" in head else None,
        evidence_only=head.get("evidence_only", ""),
        retention=Retention(**retention, changed_by=retention_by) if retention else None,
        about=head.get("about", ""),
        source=document.source,
    )


def _merged(entry: Mapping[str, Any], change: Mapping[str, Any]) -> Mapping[str, Any]:
    """A control with a user's changes: a field that is given replaces the old, findings are replaced rule by rule."""
    feeds = {feed["rule"]: feed for feed in entry.get("findings", ())}
    feeds |= {feed["rule"]: feed for feed in change.get("findings", ())}
    kept = [{"reason": "", **feed} for feed in feeds.values() if feed["strength"] != "none"]
    return {**entry, **change, "findings": kept}


def _control(entry: Mapping[str, Any], head: Mapping[str, Any], changed_by: str = "") -> Control:
    support = entry.get("support", {})
    zones = frozenset(Classification(zone) for zone in entry.get("zones", ()))
    return Control(
        id=entry["id"],
        title=entry["title"],
        summary=entry["summary"],
        cadence=entry.get("cadence", ""),
        feeds=tuple(_feed(feed, zones) for feed in entry.get("findings", ())),
        zones=zones,
        only_if=tuple(Condition(condition) for condition in entry.get("only_if", ())),
        baselines=tuple(entry.get("baselines", ())) or tuple(head.get("baselines", ())),
        needs=Strength(support["strength"]) if "strength" in support else None,
        why_never=support.get("never", ""),
        also_needed=tuple(entry.get("also_needed", ())),
        tool_can_show=entry.get("tool_can_show", ""),
        tool_cannot_show=entry.get("tool_cannot_show", ""),
        obligation=entry.get("obligation", ""),
        parameters=tuple(entry.get("parameters", ())),
        notes=entry.get("notes", ""),
        changed_by=changed_by,
    )


def _feed(entry: Mapping[str, Any], zones: frozenset[Classification]) -> Feed:
    return Feed(
        rule_id=entry["rule"],
        strength=FeedStrength(entry["strength"]),
        reason=entry["reason"],
        zones=frozenset(Classification(zone) for zone in entry["zones"]) if "zones" in entry else zones,
        withholds=entry.get("withholds", False),
        observation=entry.get("observation", False),
        has_check=entry["rule"] in RULES,
    )


# -- what the schema cannot see ---------------------------------------------------------------------------------------


def _twice(document: Document) -> list[InputError]:
    seen: dict[str, int] = {}
    errors = []
    for index, entry in enumerate(document.value.get("controls", ())):
        first = seen.setdefault(entry["id"], index)
        if first != index:
            line = document.lines["controls", first]
            errors.append(
                document.error(("controls", index, "id"), f"{entry['id']!r} is given twice, first on line {line}")
            )
    return errors


def _retention_errors(
    document: Document, where: tuple[str, ...], retention: Mapping[str, Any], controls: Mapping[str, Any]
) -> Iterator[InputError]:
    """`retention`: with what it changes, so that a change may name some of its fields."""
    if not retention:
        return
    if retention.get("at_once_months", 0) > retention["months"]:
        yield document.error(where, "cannot have more months at once than it keeps")
    if "control" not in retention:
        yield document.error(where, "must name the control that asks for it: the framework had no retention before")
    elif retention["control"] not in controls:
        name = retention["control"]
        yield document.error(where, f"there is no control {name!r}{did_you_mean(name, controls)}")


def _feed_errors(document: Document, index: int, entry: Mapping[str, Any]) -> list[InputError]:
    errors = []
    known = {*RULES, *planned_checks()}
    seen: set[str] = set()
    for number, feed in enumerate(entry.get("findings", ())):
        where = ("controls", index, "findings", number, "rule")
        if feed["rule"] not in known:
            errors.append(document.error(where, f"there is no check {feed['rule']}{did_you_mean(feed['rule'], known)}"))
        if feed["rule"] in seen:
            errors.append(document.error(where, f"{feed['rule']} is mapped twice to {entry['id']}"))
        seen.add(feed["rule"])
    return errors


def _control_errors(
    document: Document, index: int, entry: Mapping[str, Any], baselines: Sequence[str]
) -> list[InputError]:
    errors = []
    for number, name in enumerate(entry.get("baselines", ())):
        if name not in baselines:
            where = ("controls", index, "baselines", number)
            errors.append(
                document.error(where, f"the framework has no baseline {name!r}{did_you_mean(name, baselines)}")
            )
    decides = [
        feed["rule"] for feed in entry.get("findings", ()) if feed["strength"] == "direct" and feed["rule"] in RULES
    ]
    if decides and "support" not in entry:
        errors.append(
            document.error(
                ("controls", index),
                f"control {entry['id']} has direct findings ({', '.join(decides)}) and must say under `support` what "
                "strength a supported result takes, or why none is ever given",
            )
        )
    return errors
