"""`evidence history`: the timeline of a period."""

from datetime import datetime, timedelta
from pathlib import Path

import click

from evidence.cli.options import Interval, Period, database_option, now, processes_option


@click.command("history")
@click.option("--period", type=Period(), help="A..B, both days included; default all that the store holds.")
@click.option("--cluster", help="Cluster in the store; needed when there are several.")
@click.option("--expect-every", type=Interval(), default="24h", show_default=True, help="How often a snapshot is due.")
@click.option(
    "--framework",
    "frameworks",
    multiple=True,
    metavar="NAME",
    help="Also each control at the start, at its worst and at the end: pci, hipaa, fedramp, one of yours, or all; may be repeated.",
)
@click.option("--baseline", help="FedRAMP baseline; default the one in segmentation.yaml.")
@click.option(
    "--controls",
    "controls_folder",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of your own frameworks.",
)
@click.option(
    "--afresh",
    is_flag=True,
    help="Evaluate every snapshot again, also those whose assessment `evidence db assess` kept.",
)
@processes_option
@database_option
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    period: tuple[datetime, datetime] | None,
    cluster: str | None,
    expect_every: timedelta,
    frameworks: tuple[str, ...],
    baseline: str | None,
    controls_folder: tuple[Path, ...],
    afresh: bool,
    processes: int,
    db: str,
    output: str,
) -> int:
    """What happened in a period: each snapshot that changed something, findings that opened and closed and how long each was open, failed
    runs, and gaps in coverage.

    A control is judged on the worst of the period, as in a report. A snapshot that is as the one before is not evaluated again, nor is one
    whose assessment was kept.
    """
    from evidence import pipeline
    from evidence.cli import history_output
    from evidence.cli.progress import MANY, progress_of_many

    with progress_of_many("history", "snapshots evaluated") as advance:
        found = pipeline.period_timeline(
            db,
            cluster=cluster,
            period=period,
            expect_every=expect_every,
            now=now(),
            frameworks=frameworks,
            baseline=baseline,
            controls_folders=controls_folder,
            afresh=afresh,
            processes=processes,
            advance=advance,
        )
    history_output.write(found, output)
    if found.evaluated >= MANY and not afresh:
        click.echo(
            "`evidence db assess` keeps what was evaluated: the next history then evaluates only what is newer",
            err=True,
        )
    return 0
