"""CSV tables: every row that the report counts, for whoever samples in a spreadsheet.

RFC 4180 in UTF-8: a header line, CRLF. A cell that a spreadsheet could take for a formula gets a leading apostrophe, and what cannot
be seen is spelled out (see `evidence.report.text`). Columns are the fields of the view's classes.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from evidence.report.document import utc
from evidence.report.text import visible
from evidence.report.view import ReportView, ScheduledRun
from evidence.report.view.model import (
    AccessRow,
    ApprovedFlowView,
    Change,
    ClassFlow,
    ControlView,
    FindingView,
    FlowCell,
    FlowMatrix,
    Gap,
    KindView,
    OpenDoor,
    PolicyObject,
    ReviewView,
    RuleView,
    SnapshotView,
    WaiverView,
    ZoneView,
)
from evidence.report.view.observed import AuditedWrite, LoggedFlow, LogSource
from evidence.report.view.probes import ProbeRow, ProbeRunView

# With their full-width forms, which spreadsheets of some languages take for the same.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")


def csv_files(view: ReportView) -> dict[str, bytes]:
    """File name (without folder) to content."""
    return {
        "access.csv": table(AccessRow, view.access.rows),
        "approved_flows.csv": table(ApprovedFlowView, view.method.approved_flows),
        "audited_writes.csv": table(AuditedWrite, view.observed.writes if view.observed else ()),
        "changes.csv": table(Change, view.changes),
        "class_flows.csv": table(ClassFlow, view.class_flows),
        "control_results.csv": table(ControlView, view.controls),
        "coverage_gaps.csv": table(Gap, view.population.coverage.gaps),
        "findings.csv": table(FindingView, view.findings),
        "logged_flows.csv": table(LoggedFlow, view.observed.flows if view.observed else ()),
        "logs.csv": table(LogSource, view.observed.sources if view.observed else ()),
        "open_doors.csv": table(OpenDoor, view.exposure.open),
        "kinds.csv": table(KindView, view.population.kinds),
        "namespace_flows.csv": table(FlowCell, view.namespace_flows.cells),
        "policies.csv": table(PolicyObject, view.policies),
        "probe_runs.csv": table(ProbeRunView, view.probes),
        "probes.csv": table(ProbeRow, view.probe_rows),
        "reviews.csv": table(ReviewView, view.reviews),
        "rules.csv": table(RuleView, view.population.rules),
        "runs.csv": table(ScheduledRun, view.population.runs),
        "snapshots.csv": table(SnapshotView, view.population.snapshots),
        "waivers.csv": table(WaiverView, view.waivers),
        "zone_flows.csv": table(FlowCell, _cells(view.zone_flows)),
        "zones.csv": table(ZoneView, view.method.zones),
    }


def _cells(matrix: FlowMatrix | None) -> tuple[FlowCell, ...]:
    return matrix.cells if matrix else ()


def table(kind: type, rows: Iterable[Any]) -> bytes:
    """One table: a column a field of `kind`, a line a row."""
    columns = [one.name for one in fields(kind) if not one.metadata.get("outside_json")]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(getattr(row, column)) for column in columns])
    return buffer.getvalue().encode()


def cell(value: Any) -> str:
    """A value as inert text. Lists are joined by "; "."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return str(value)
        case _:
            text = visible(_text(value))
            return f"'{text}" if text.lstrip(" \n\xa0\u3000").startswith(_FORMULA_STARTS) else text


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return utc(value)
        case date():
            return value.isoformat()
        case tuple():
            return "; ".join(_text(item) for item in value)
        case Mapping():
            return "; ".join(f"{key}={item}" for key, item in value.items())
        case _ if is_dataclass(value):
            return " ".join(filter(None, (_text(getattr(value, one.name)) for one in fields(value))))
        case _:
            return str(value)
