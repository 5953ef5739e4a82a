"""`evidence history`: the timeline of a period."""

from datetime import datetime, timedelta

import click

from evidence.cli.options import Interval, Period, database_option, now


@click.command("history")
@click.option("--period", type=Period(), help="A..B, both days included; default all that the store holds.")
@click.option("--cluster", help="Cluster in the store; needed when there are several.")
@click.option("--expect-every", type=Interval(), default="24h", show_default=True, help="How often a snapshot is due.")
@database_option
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    period: tuple[datetime, datetime] | None, cluster: str | None, expect_every: timedelta, db: str, output: str
) -> int:
    """What happened in a period: each snapshot that changed something, findings that opened and closed and how long each was open, failed
    runs, and gaps in coverage.

    A snapshot that is as the one before is not evaluated again.
    """
    from evidence import pipeline
    from evidence.cli import history_output

    found = pipeline.period_timeline(db, cluster=cluster, period=period, expect_every=expect_every, now=now())
    history_output.write(found, output)
    return 0
