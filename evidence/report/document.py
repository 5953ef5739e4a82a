"""evidence.json: the report's value as JSON, and its JSON Schema, both derived from the classes of `evidence.report.view.model`.

The file is plain ASCII with sorted keys, and <, >, & are escaped too: it can stand inside the HTML page byte for byte, so that the
digest computed there is the digest of the file.
"""

import json
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from evidence.report.view import ReportView

_HTML_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_PLAIN: Mapping[Any, Mapping[str, str]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
}


def evidence_json(view: ReportView) -> bytes:
    """The bytes of evidence.json."""
    text = json.dumps(as_json(view), sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False)
    return (text.translate(_HTML_ESCAPES) + "\n").encode("ascii")


def as_json(value: Any) -> Any:
    """A view value as JSON types; times as RFC 3339 in UTC, fields marked OUTSIDE_JSON left out."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return utc(value)
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): as_json(item) for key, item in value.items()}
        case tuple():
            return [as_json(item) for item in value]
        case _:
            return {one.name: as_json(getattr(value, one.name)) for one in _written(type(value))}


def utc(moment: datetime) -> str:
    """ "2026-07-01T00:00:00Z"."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _written(kind: type) -> list[Any]:
    return [one for one in fields(kind) if not one.metadata.get("outside_json")]


# -- schema -----------------------------------------------------------------------------------------------------------


def schema_bytes() -> bytes:
    """The JSON Schema of evidence.json, as shipped in report_templates/evidence.schema.json."""
    return (json.dumps(evidence_schema(), indent=1, ensure_ascii=True) + "\n").encode("ascii")


def evidence_schema() -> dict[str, Any]:
    """JSON Schema (2020-12); descriptions are the classes' docstrings."""
    definitions: dict[str, Any] = {}
    top = _object(ReportView, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evidence.json of an evidence pack",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def definitions_of(kinds: Iterable[type], below: str) -> dict[str, Any]:
    """Schemas of values of these classes and of all that they hold, by class name; references begin with `below`."""
    definitions: dict[str, Any] = {}
    for kind in kinds:
        _schema(kind, definitions)
    text = json.dumps(definitions).replace('"$ref": "#/$defs/', f'"$ref": "{below}')
    found: dict[str, Any] = json.loads(text)
    return found


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    names = [one.name for one in _written(kind)]
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": {name: _schema(hints[name], definitions) for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if one is type(None) else _schema(one, definitions) for one in arguments]}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if get_origin(kind) is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    name = kind.__name__
    if name not in definitions:
        enum = issubclass(kind, Enum)
        definitions[name] = (
            {"type": "string", "enum": [one.value for one in kind]} if enum else _object(kind, definitions)
        )
    return {"$ref": f"#/$defs/{name}"}
