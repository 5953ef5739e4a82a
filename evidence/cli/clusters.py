"""`evidence clusters`: all clusters of a store at a glance."""

from datetime import timedelta

import click

from evidence.cli.options import Interval, database_option, now


@click.command("clusters")
@click.option("--expect-every", type=Interval(), default="24h", show_default=True, help="How often a snapshot is due.")
@click.option("--assess", is_flag=True, help="Assess each newest snapshot: open findings and control results.")
@database_option
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(expect_every: timedelta, assess: bool, db: str, output: str) -> int:
    """The clusters of the store: each with its newest snapshot, whether that is overdue or partial, and how much of the last 30 days is covered.

    With --assess also what is open in the newest snapshot, by severity. The oldest newest snapshot comes first.
    """
    from evidence.cli import clusters_output
    from evidence.cli.progress import progress
    from evidence.frameworks.load import load_frameworks
    from evidence.pipeline.fleet.overview import fleet_overview

    if not assess:
        clusters_output.write(fleet_overview(db, now=now(), expect_every=expect_every), expect_every, output)
        return 0
    with progress("assess", "clusters") as advance:
        found = fleet_overview(
            db,
            now=now(),
            expect_every=expect_every,
            frameworks=tuple(load_frameworks().values()),
            progress=lambda done, total: advance(done, total, ""),
        )
    clusters_output.write(found, expect_every, output)
    return 0
