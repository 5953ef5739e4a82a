"""The use cases in order, one function each: snapshot, assess, report, archive, verify.

No logic of its own: each function asks the parts below for their step and hands the value on. The command line and the service call
these and nothing deeper. Time comes in as an argument. Heavy imports stay inside the function that needs them, and each name here is
imported when it is first asked for (PEP 562): a command pays for its own use case only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evidence.pipeline.assessing import assess_history, assess_new
    from evidence.pipeline.differences import Difference, compare_snapshots
    from evidence.pipeline.fleet.reassess import Reassessed, reassess
    from evidence.pipeline.log import Keeping, checkpoint
    from evidence.pipeline.packs import build_archive, verify_pack
    from evidence.pipeline.probes import clean_probes, plan_probes, run_probes
    from evidence.pipeline.reports import Pack, Signing, check_plan, chosen_frameworks, make_reports
    from evidence.pipeline.snapshots import Stored, collect_snapshot, record_failed_run, snapshot_counts
    from evidence.pipeline.sources import FileSource, LiveSource
    from evidence.pipeline.states import Assessed, State, assess, load_cluster, load_state
    from evidence.pipeline.timeline import Timeline, period_timeline

__all__ = [
    "Assessed",
    "Difference",
    "FileSource",
    "Keeping",
    "LiveSource",
    "Pack",
    "Reassessed",
    "Signing",
    "State",
    "Stored",
    "Timeline",
    "assess",
    "assess_history",
    "assess_new",
    "build_archive",
    "check_plan",
    "checkpoint",
    "chosen_frameworks",
    "clean_probes",
    "collect_snapshot",
    "compare_snapshots",
    "load_cluster",
    "load_state",
    "make_reports",
    "period_timeline",
    "plan_probes",
    "reassess",
    "record_failed_run",
    "run_probes",
    "snapshot_counts",
    "verify_pack",
]

_MODULES = {
    "assessing": ("assess_history", "assess_new"),
    "differences": ("Difference", "compare_snapshots"),
    "fleet.reassess": ("Reassessed", "reassess"),
    "log": ("Keeping", "checkpoint"),
    "packs": ("build_archive", "verify_pack"),
    "probes": ("clean_probes", "plan_probes", "run_probes"),
    "reports": ("Pack", "Signing", "check_plan", "chosen_frameworks", "make_reports"),
    "snapshots": ("Stored", "collect_snapshot", "record_failed_run", "snapshot_counts"),
    "sources": ("FileSource", "LiveSource"),
    "states": ("Assessed", "State", "assess", "load_cluster", "load_state"),
    "timeline": ("Timeline", "period_timeline"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return found
