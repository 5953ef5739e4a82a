"""`evidence schedule`: collect, assess, report and archive on a schedule, in one process."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from evidence.cli import collect, report
from evidence.cli.keeping import keeping_options
from evidence.cli.options import Interval, now, options_of, state_folder

if TYPE_CHECKING:
    from evidence.pipeline import Keeping


@click.command("schedule")
@click.option("--every", type=Interval(), help="A run now and then one each so long, such as 1h.")
@click.option("--cron", metavar="EXPRESSION", help='Runs by a cron expression, such as "7 * * * *".')
@click.option("--timezone", default="UTC", show_default=True, help="Zone of the cron expression.")
@click.option("--cluster", required=True, help="Name of the cluster in the store, also for runs that fail.")
@options_of(
    collect.command,
    "from_paths",
    "context",
    "kubeconfig",
    "in_cluster",
    "impersonate",
    "intent",
    "keep_going",
    "db",
    "spool_folder",
)
@click.option(
    "--framework",
    "frameworks",
    multiple=True,
    default=("all",),
    metavar="NAME",
    show_default=True,
    help="As for `evidence report`; may be repeated.",
)
@click.option(
    "--period",
    default="quarter",
    show_default=True,
    help="What reports are about: the running month, quarter or year, or the last days, such as 90d.",
)
@click.option(
    "--report-every",
    type=Interval(),
    default="24h",
    show_default=True,
    help="How often packs are made; at most each run.",
)
@click.option(
    "--expect-every", type=Interval(), help="How often a snapshot is due; default the longest wait between runs."
)
@options_of(
    report.command,
    "archive",
    "baseline",
    "controls_folder",
    "key",
    "certificate",
    "require_signing",
)
@keeping_options
def command(
    every: timedelta | None,
    cron: str | None,
    timezone: str,
    cluster: str,
    from_paths: tuple[str, ...],
    context: str | None,
    kubeconfig: Path | None,
    in_cluster: bool,
    impersonate: str | None,
    intent: Path | None,
    keep_going: bool,
    db: str,
    spool_folder: Path | None,
    frameworks: tuple[str, ...],
    period: str,
    report_every: timedelta,
    expect_every: timedelta | None,
    archive: Path,
    baseline: str | None,
    controls_folder: tuple[Path, ...],
    key: Path | None,
    certificate: Path | None,
    require_signing: bool,
    keeping: "Keeping",
) -> int:
    """Collect, assess, report and archive again and again, in one process.

    Each snapshot's assessment is kept, as `evidence db assess` does. A run that fails is recorded in the store and tried again at the next
    time. SIGTERM and SIGINT stop the process cleanly: the store and the archive hold whole things only.

    Exit codes: 0 stopped by a signal, 2 usage, 3 it could not start.
    """
    from evidence import pipeline
    from evidence.service import schedule, trigger
    from evidence.service.period import parse_period
    from evidence.store.spool import spool_of

    if (every is None) == (cron is None):
        raise click.UsageError("give either --every or --cron")
    if from_paths and (context or kubeconfig or in_cluster or impersonate):
        raise click.UsageError("--from reads files; it goes with none of --context, --kubeconfig, --in-cluster, --as")
    if "-" in from_paths:
        raise click.UsageError("standard input can be read only once; give --from a file or folder")
    try:
        when = trigger.every(every, now()) if every else trigger.cron(cron or "", ZoneInfo(timezone))
        rolling = parse_period(period)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise click.UsageError(str(error).strip("'")) from error

    plan = schedule.Plan(
        db=db,
        spool=spool_of(db, spool_folder, state_folder()),
        source=pipeline.FileSource(from_paths)
        if from_paths
        else pipeline.LiveSource(context, str(kubeconfig) if kubeconfig else None, in_cluster, impersonate),
        cluster=cluster,
        intent_path=intent,
        keep_going=keep_going,
        frameworks=frameworks,
        period=rolling,
        report_every=report_every,
        expect_every=expect_every or trigger.longest_wait(when, now()),
        archive=archive,
        signing=pipeline.Signing(key, certificate, keeping, require_signing),
        baseline=baseline,
        controls_folders=controls_folder,
    )
    pipeline.check_plan(db, frameworks, controls_folder)
    progress = schedule.Progress()
    try:
        with schedule.stopped_by_signals():
            schedule.run_schedule(
                lambda: schedule.run_once(plan, progress, clock=now, say=say),
                when,
                at_once=every is not None,
                clock=now,
                say=say,
            )
    except schedule.Stopped as stop:
        say(str(stop))
    return 0


def say(line: str) -> None:
    """One line of the log, on standard output."""
    moment: datetime = now()
    click.echo(f"{moment:%Y-%m-%dT%H:%M:%SZ} {line}")
