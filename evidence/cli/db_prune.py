"""`evidence db prune`: drop what no framework wants kept any longer."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import Time, database_option, now
from evidence.cli.terminal import columns, line, wrapped
from evidence.errors import UsageError

if TYPE_CHECKING:
    from evidence.pipeline import Keeping
    from evidence.pipeline.retention import Policy
    from evidence.store import Prune, PrunePlan

_NOUNS = {  # one, several
    "snapshot": ("snapshot", "snapshots"),
    "record": ("record", "records"),
    "object": ("object version", "object versions"),
    "intent": ("version of the intent file", "versions of the intent file"),
    "sources": ("list of sources", "lists of sources"),
    "document": ("document", "documents"),
}


@click.command("prune")
@click.option(
    "--framework",
    "frameworks",
    multiple=True,
    default=("all",),
    show_default=True,
    help="Framework whose retention counts; may be repeated. Name those that you report, also for other audiences.",
)
@click.option(
    "--controls",
    "controls_folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of your own frameworks and changes, such as another retention.",
)
@click.option(
    "--before", type=Time(), help="Drop only what is from before this time; never later than retention allows."
)
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and drop nothing.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody sits at a terminal.")
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@keeping_options
@database_option
def command(
    frameworks: tuple[str, ...],
    controls_folders: tuple[Path, ...],
    before: datetime | None,
    dry_run: bool,
    yes: bool,
    output: str,
    keeping: "Keeping",
    db: str,
) -> int:
    """Drop the content of snapshots and records that no framework wants kept any longer.

    What is dropped are bodies: objects, intent files, documents that nothing younger needs. Snapshots, their digests and the log stay, so
    `evidence db check` goes on to prove the rest. What a legal hold covers is kept, and the newest snapshot of each cluster. The prune is one
    transaction and an entry of the log, with who, when and by which policy. It cannot be undone.
    """
    from evidence.pipeline import retention

    at = now()
    policy = retention.retention_policy(frameworks, controls_folders, at, before)
    plan = retention.plan_prune(db, policy)
    ask = not (dry_run or yes or plan.empty)
    if output == "table" or ask:
        for text in _plan(policy, plan):
            click.echo(text, err=output == "json")
    if dry_run or plan.empty:
        if output == "json":
            _json(_document(policy, plan, None))
        return 0
    if ask:
        if not sys.stdin.isatty():
            raise UsageError("nothing was dropped: nobody can be asked here; look at --dry-run and give --yes")
        if not click.confirm("Drop it? It cannot be undone", err=output == "json"):
            click.echo("nothing was dropped", err=True)
            return 1
    made = retention.prune(db, policy, at)
    if made is not None:
        keep_checkpoint(db, keeping, err=output == "json")
    if output == "json":
        _json(_document(policy, plan, made))
    elif made is None:
        click.echo("nothing was left to drop: another prune came first, or a hold was set")
    else:
        click.echo(f"dropped: {_counted(dict(made.counts))}; prune {made.act.id}, digest {made.act.digest[:16]}")
    return 0


def _plan(policy: "Policy", plan: "PrunePlan") -> Iterator[str]:
    from evidence.findings.finding import count

    width = columns()
    for term in policy.terms:
        yield wrapped(f"{term.framework:8} {term.months} months: {term.source}", width, 9)
    for name in policy.silent:
        yield f"{line(name):8} says nothing of retention"
    yield f"from before {plan.before:%Y-%m-%d %H:%M} UTC:"
    for cluster in plan.clusters:
        times = [f"{at:%Y-%m-%d %H:%M}" for at in (cluster.first_taken_at, cluster.last_taken_at) if at]
        kept = [f"{cluster.held} kept by a hold"] if cluster.held else []
        kept += [f"{cluster.newest} kept as the newest"] if cluster.newest else []
        taken = f" ({' to '.join(times)})" if times else ""
        text = f"{count(cluster.snapshots, 'snapshot')}{taken}, {count(cluster.records, 'record')}"
        yield wrapped(f"  {line(cluster.cluster)}: {', '.join([text, *kept])}", width, 4)
    for hold in plan.holds:
        yield wrapped(f"  hold {hold.act.id} stands: {hold.reason}", width, 4)
    if plan.empty:
        yield "nothing to drop"
    else:
        yield f"to drop: {_counted(plan.counts)} ({plan.size / 1024 / 1024:.1f} MiB)"


def _counted(counts: dict[str, int]) -> str:
    from evidence.findings.finding import count

    return ", ".join(count(counts[kind], *nouns) for kind, nouns in _NOUNS.items() if counts.get(kind))


def _document(policy: "Policy", plan: "PrunePlan", made: "Prune | None") -> dict[str, Any]:
    return {
        "before": plan.before.isoformat(),
        "policy": [
            {"framework": term.framework, "months": term.months, "source": term.source} for term in policy.terms
        ],
        "without_retention": list(policy.silent),
        "clusters": [
            {
                "cluster": one.cluster,
                "snapshots": one.snapshots,
                "records": one.records,
                "first_taken_at": one.first_taken_at.isoformat() if one.first_taken_at else None,
                "last_taken_at": one.last_taken_at.isoformat() if one.last_taken_at else None,
                "kept_by_a_hold": one.held,
                "kept_as_newest": one.newest,
            }
            for one in plan.clusters
        ],
        "holds": [hold.act.id for hold in plan.holds],
        "to_drop": plan.counts,
        "bytes": plan.size,
        "prune": {"number": made.act.id, "digest": made.act.digest, "dropped": dict(made.counts)} if made else None,
    }


def _json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2))
