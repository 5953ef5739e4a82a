"""What a request asks: the parameters of each view, read strictly. Whatever is wrong is a sentence, and the answer 400."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from evidence.errors import UsageError

LONGEST = 400  # characters of a value
MOST_NUMBER = 2**31 - 1


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    DAY = "day"  # the first or last day of a period


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the query string, or of the path. `choices` are all that it may be, () for anything of its kind."""

    name: str
    about: str
    kind: Kind = Kind.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = MOST_NUMBER
    default: Any = None
    in_path: bool = False


Asked = Mapping[str, Any]


def read(
    parameters: Sequence[Parameter], query: Sequence[tuple[str, str]], path: Mapping[str, Any], *, unknown: bool = False
) -> Asked:
    """Every parameter by its name, None or its default for one that is left out or empty. Raises UsageError for anything else.

    `unknown`: further parameters are passed over.
    """
    known = {parameter.name: parameter for parameter in parameters if not parameter.in_path}
    given: dict[str, str] = {}
    for name, value in query:
        if name not in known:
            if unknown:
                continue
            names = ", ".join(known) or "none"
            raise UsageError(f"there is no parameter {name[:60]!r} here; there are {names}")
        if name in given:
            raise UsageError(f"{name} is given twice; give it once")
        given[name] = value
    found: dict[str, Any] = {}
    for parameter in parameters:
        value = str(path[parameter.name]) if parameter.in_path else given.get(parameter.name, "")
        if not value:
            if parameter.required:
                raise UsageError(f"{parameter.name} is missing: {parameter.about}")
            found[parameter.name] = parameter.default
        else:
            found[parameter.name] = _value(parameter, value)
    return found


def _value(parameter: Parameter, text: str) -> Any:
    if len(text) > LONGEST or "\x00" in text:
        raise UsageError(f"{parameter.name} is longer than {LONGEST} characters, or has a zero byte")
    if parameter.choices and text not in parameter.choices:
        raise UsageError(f"{parameter.name} is {text[:60]!r}; it must be one of {', '.join(parameter.choices)}")
    match parameter.kind:
        case Kind.TEXT:
            return text
        case Kind.NUMBER:
            if not (text.isascii() and text.isdecimal()) or not parameter.least <= int(text) <= parameter.most:
                raise UsageError(
                    f"{parameter.name} is {text[:60]!r}; it must be a number from {parameter.least} to {parameter.most}"
                )
            return int(text)
        case Kind.TIME:
            return _moment(parameter.name, text)
        case Kind.DAY:
            return _day(parameter.name, text)


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{name} is {text[:60]!r}; it must be a time such as 2026-08-01T12:00Z") from None


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name} is {text[:60]!r}; it must be a day such as 2026-08-01") from None


def period(first: date | None, last: date | None) -> tuple[datetime, datetime] | None:
    """Two days, both included, as a start and an exclusive end in UTC; None when neither is given. Raises UsageError."""
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise UsageError("a period has two days: give both first and last, or neither")
    if last < first:
        raise UsageError(f"the period ends on {last} before it starts on {first}")
    try:
        return datetime.combine(first, time(), UTC), datetime.combine(last + timedelta(days=1), time(), UTC)
    except OverflowError:
        raise UsageError(f"{last} is the last day of the calendar") from None
