"""Plans and runs as JSON; `plan.schema.json` and `run.schema.json` beside this file describe them.

A run is kept in the store in this form, so it is read back here too. Both directions follow the fields of `evidence.probe.model`.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from sys import intern
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from evidence.errors import InputError
from evidence.probe.model import Plan, ProbeRun

PLAN_FORMAT = "evidence/probe-plan/v1"
RUN_FORMAT = "evidence/probe-run/v1"


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan for `--format json`."""
    return {"format": PLAN_FORMAT, **_plain(plan)}


def run_json(run: ProbeRun) -> dict[str, Any]:
    """A run for the store and for `--format json`."""
    return {"format": RUN_FORMAT, **_plain(run)}


def read_run(document: Any, where: str) -> ProbeRun:
    """The run that `run_json` wrote. Raises InputError, which starts with `where`, for anything else."""
    if not isinstance(document, Mapping) or document.get("format") != RUN_FORMAT:
        raise InputError(f"{where}: is no probe run that this version reads ({RUN_FORMAT})")
    try:
        found = _value(ProbeRun, document)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: is not a whole probe run: {error}") from error
    assert isinstance(found, ProbeRun)  # noqa: S101  (asked for)
    return found


def _plain(value: Any) -> Any:
    """A value as JSON types; times as RFC 3339 in UTC."""
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case tuple():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def _value(kind: Any, raw: Any) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) is UnionType:
        return None if raw is None else _value(next(one for one in arguments if one is not NoneType), raw)
    if get_origin(kind) is tuple:
        return tuple(_value(arguments[0], item) for item in raw)
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _value(hint, raw[name]) for name, hint in _hints(kind).items()})
    if kind is datetime:
        return datetime.fromisoformat(raw)
    if issubclass(kind, Enum):
        return kind(raw)
    if not isinstance(raw, kind):
        raise TypeError(f"{raw!r} is not of type {kind.__name__}")
    return intern(raw) if kind is str else raw  # reasons and names come again and again


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
