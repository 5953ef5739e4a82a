"""The templates of report_templates/ and how values become text in them.

Everything that a template prints passes `shown`: what cannot be seen is spelled out, then Jinja2 escapes it. Nothing is marked safe
but the pictures, which escape for themselves. A name that a template uses and nobody gave is an error, never an empty place.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from evidence.errors import ReportError
from evidence.report.charts import SYMBOLS, Palette, palette, token
from evidence.report.text import visible
from evidence.resources import data_folder


def template_folder() -> Path:
    return data_folder("report_templates")


def template_text(name: str) -> str:
    """A file of the folder as text. Raises ReportError when it is missing."""
    path = template_folder() / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"{path}: the report's template cannot be read: {error.strerror}; install evidence again"
        ) from error


def colours() -> Palette:
    """The design tokens of base.css."""
    return palette(template_text("base.css"))


def render(name: str, values: Mapping[str, Any]) -> str:
    """One template with its values. Raises ReportError when the template is missing or broken."""
    try:
        return _environment(template_folder()).get_template(name).render(values)
    except TemplateError as error:
        raise ReportError(
            f"{template_folder() / name}: the report cannot be rendered: {error}; install evidence again"
        ) from error


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters |= {
        "anchor": anchor,
        "before": before,
        "counted": counted,
        "day": day,
        "instant": instant,
        "lines": lines,
        "moment": moment,
        "percent": percent,
        "short": short,
        "span": span,
        "token": token,
    }
    environment.globals |= {"SYMBOLS": SYMBOLS}
    return environment


def shown(value: Any) -> Any:
    """What is printed for a value: text without anything unseen, "" for None."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value


def moment(value: datetime | None) -> str:
    """ "2026-07-01 06:00" (UTC; the heading says so), "" for None."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if value else ""


def instant(value: datetime) -> str:
    """ "2026-07-01 06:00:07" (UTC), for what may lie seconds apart."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(value: date | None) -> str:
    """ "2026-07-01"; of a time its day in UTC."""
    if isinstance(value, datetime):
        value = value.astimezone(UTC).date()
    return value.isoformat() if value else ""


def before(end: datetime) -> str:
    """ "2026-09-30" for a period that ends at the first moment of October: the last day inside."""
    return day(end - timedelta(microseconds=1))


def short(digest: str) -> str:
    """The first 16 hex digits of a digest, and that there are more."""
    return f"{digest[:16]}…" if len(digest) > 16 else digest


def percent(share: float) -> str:
    """A share of 0 to 1 in percent, never rounded up to 100 nor down to 0."""
    if 0 < share < 1:
        return f"{min(max(share * 100, 0.1), 99.9):.1f} %"
    return f"{share:.0%}".replace("%", " %")


def counted(number: int, noun: str, plural: str = "") -> str:
    """ "1 finding", "3 findings"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def span(seconds: float) -> str:
    """A length of time in the two largest units that it has: "31 days", "1 hour 30 minutes"."""
    parts, left = [], round(seconds)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(counted(number, unit))
    return " ".join(parts[:2]) or "0 seconds"


def lines(text: str, most: int) -> str:
    """At most so many lines, and how many were left out."""
    every = text.rstrip("\n").split("\n")
    left_out = len(every) - most
    return "\n".join(every) if left_out <= 0 else "\n".join([*every[:most], f"# … {counted(left_out, 'more line')}"])


def anchor(name: str) -> str:
    """A name as part of an id and of the link to it: "164.312(a)(1)" is `164.312_a__1_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
