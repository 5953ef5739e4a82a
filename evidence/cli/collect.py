"""`evidence collect`: one snapshot into the store."""

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import Interval, Time, database_option, now, spool_option, state_folder
from evidence.cli.terminal import line
from evidence.errors import EvidenceError

if TYPE_CHECKING:
    from evidence.pipeline import Keeping, LiveSource
    from evidence.store import SnapshotInfo
    from evidence.store.spool import Spool


@click.command("collect")
@click.option(
    "--from",
    "from_paths",
    multiple=True,
    metavar="PATH",
    help="Files or folders of YAML or JSON, kubectl dumps, or - for standard input, instead of a live cluster.",
)
@click.option("--context", help="Context of the kubeconfig; default its current one.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig file; default as kubectl finds it.")
@click.option("--in-cluster", is_flag=True, help="Use the service account of the pod this runs in.")
@click.option("--as", "impersonate", metavar="USER", help="Impersonate a user.")
@click.option("--cluster", help="Name of the cluster in the store; default the context's cluster.")
@click.option("--taken-at", type=Time(), help="When a dump was taken (recorded as claimed); only with --from.")
@click.option(
    "--intent", type=click.Path(path_type=Path), help="The owner's segmentation.yaml, kept with the snapshot."
)
@click.option("--keep-going", is_flag=True, help="Leave out objects that are wrong; the snapshot is marked partial.")
@click.option(
    "--watch", is_flag=True, help="Go on: a snapshot at once when what is reachable changes, until a signal stops it."
)
@click.option(
    "--every",
    type=Interval(),
    default="1h",
    show_default=True,
    help="With --watch, how often at least a snapshot is stored.",
)
@click.option(
    "--assess",
    is_flag=True,
    help="Then assess it and keep what was found, as `evidence db assess` does for this month.",
)
@click.option("--allow-partial", is_flag=True, help="Exit 0 even when the snapshot is partial.")
@keeping_options
@database_option
@spool_option
def command(
    from_paths: tuple[str, ...],
    context: str | None,
    kubeconfig: Path | None,
    in_cluster: bool,
    impersonate: str | None,
    cluster: str | None,
    taken_at: datetime | None,
    intent: Path | None,
    keep_going: bool,
    watch: bool,
    every: timedelta,
    assess: bool,
    allow_partial: bool,
    keeping: "Keeping",
    db: str,
    spool_folder: Path | None,
) -> int:
    """Take one snapshot of a cluster, or of manifests, into the store.

    With --watch the cluster is followed: policies, namespaces and workloads that change what is reachable give a snapshot at once, so that
    what was open for a minute only is on record. Objects that are wrong are left out, and the snapshot is marked partial.

    A snapshot that the store does not take, because it is away, full or of another version, waits in the spool and is taken in by the next run.

    Exit codes: 0 stored whole, or a watch that a signal stopped; 3 stored but partial (0 with --allow-partial), not stored, or something in
    the spool could not be taken in.
    """
    from evidence import pipeline
    from evidence.store.spool import spool_of

    if from_paths and (context or kubeconfig or in_cluster or impersonate):
        raise click.UsageError("--from reads files; it goes with none of --context, --kubeconfig, --in-cluster, --as")
    if from_paths and watch:
        raise click.UsageError(
            "--watch follows a live cluster; files do not change by themselves, so it does not go with --from"
        )
    if assess and watch:
        raise click.UsageError("--assess is for single snapshots; beside --watch run `evidence db assess` now and then")
    if taken_at and not from_paths:
        raise click.UsageError("--taken-at is for dumps taken earlier; it needs --from")
    if taken_at and taken_at > now():
        raise click.UsageError(
            f"--taken-at {taken_at:%Y-%m-%dT%H:%MZ} is still to come; give the time at which the dump was taken"
        )
    if from_paths and not cluster:
        raise click.UsageError("--from needs --cluster NAME: files do not say which cluster they are of")
    spool = spool_of(db, spool_folder, state_folder())
    if watch:
        live = pipeline.LiveSource(context, str(kubeconfig) if kubeconfig else None, in_cluster, impersonate)
        return _watch(db, spool, live, cluster, intent, every, keeping)
    source = (
        pipeline.FileSource(from_paths, sys.stdin.buffer)
        if from_paths
        else pipeline.LiveSource(context, str(kubeconfig) if kubeconfig else None, in_cluster, impersonate)
    )
    stored = pipeline.collect_snapshot(
        db,
        source,
        cluster=cluster,
        taken_at=taken_at,
        received_at=now(),
        intent_path=intent,
        keep_going=keep_going,
        clock=now,
        record_failure=not from_paths,
        spool=spool,
        note=lambda remark: click.echo(line(remark), err=True),
    )
    click.echo(str(stored))
    if assess:
        _assess(db, stored.info)
    keep_checkpoint(db, keeping)
    for shortfall in stored.shortfalls:
        click.echo(f"partial: {shortfall}", err=True)
    return 3 if stored.behind or (stored.info.partial and not allow_partial) else 0


def _assess(db: str, info: "SnapshotInfo") -> None:
    """Keep what is said of the snapshot. It is stored: without that a history evaluates it, so what goes wrong here is said and fails nothing."""
    from evidence import pipeline
    from evidence.findings.finding import count

    try:
        found = pipeline.assess_new(db, info.cluster, info.taken_at, now)
    except Exception as error:  # noqa: BLE001  (whatever it is)
        click.echo(f"not assessed: {error if isinstance(error, EvidenceError) else repr(error)}", err=True)
        return
    click.echo(f"{count(found.kept, 'assessment')} kept")
    if found.behind:
        click.echo(
            "snapshots of this month are still to be assessed: the next run goes on; or run `evidence db assess`",
            err=True,
        )


def _watch(
    db: str,
    spool: "Spool",
    source: "LiveSource",
    cluster: str | None,
    intent: Path | None,
    every: timedelta,
    keeping: "Keeping",
) -> int:
    from evidence.cli.schedule import say
    from evidence.service import schedule, watch

    plan = watch.Plan(db, spool, source, cluster, intent, every, keeping)
    try:
        with schedule.stopped_by_signals():
            watch.run_watch(plan, clock=now, say=say)
    except schedule.Stopped as stop:
        say(str(stop))
    return 0
