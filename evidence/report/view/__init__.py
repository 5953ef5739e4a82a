"""From what the pipeline knows (`ReportInputs`) to the one value that every format renders (`ReportView`)."""

from evidence.report.view.build import build_view, pack_id
from evidence.report.view.inputs import (
    CurrentState,
    Custody,
    ReportInputs,
    ScheduledRun,
    SignerIdentity,
    SnapshotEvidence,
)
from evidence.report.view.model import ReportView

__all__ = [
    "CurrentState",
    "Custody",
    "ReportInputs",
    "ReportView",
    "ScheduledRun",
    "SignerIdentity",
    "SnapshotEvidence",
    "build_view",
    "pack_id",
]
