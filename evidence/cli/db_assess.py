"""`evidence db assess`: what is said of each snapshot, kept for questions over time."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import Time, database_option, now, processes_option

if TYPE_CHECKING:
    from evidence.pipeline import Keeping


@click.command("assess")
@click.option("--cluster", help="Cluster in the store; needed when there are several.")
@click.option(
    "--since",
    type=Time(),
    help="Only snapshots from the month (UTC) of this time on; default all that the store holds.",
)
@processes_option
@keeping_options
@database_option
def command(cluster: str | None, since: datetime | None, processes: int, keeping: "Keeping", db: str) -> int:
    """Assess each snapshot that was not assessed yet, and keep what was found, so that `evidence history` only evaluates what is newer.

    Run it after collecting; `evidence schedule` does. Each assessment is a record under the store's log. Only the software that wrote it takes it for
    an answer: after an upgrade the next run assesses everything again. Packs never rest on it.
    """
    from evidence import pipeline
    from evidence.cli.progress import progress
    from evidence.findings.finding import count

    with progress("db assess", "months") as advance:
        found = pipeline.assess_history(db, cluster=cluster, since=since, processes=processes, clock=now, note=advance)
    click.echo(
        f"{found.cluster}: {count(found.snapshots, 'snapshot')}, {count(found.evaluated, 'state')} evaluated, {count(found.kept, 'assessment')} kept"
    )
    if found.kept:
        keep_checkpoint(db, keeping)
    return 0
