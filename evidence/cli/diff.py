"""`evidence diff A B`: what changed between two snapshots of one cluster."""

from datetime import datetime

import click

from evidence.cli.options import Snapshot, database_option


@click.command("diff")
@click.argument("before", metavar="A", type=Snapshot())
@click.argument("after", metavar="B", type=Snapshot())
@click.option("--cluster", help="Cluster in the store; needed when there are several and A and B are times.")
@database_option
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    before: int | datetime | None, after: int | datetime | None, cluster: str | None, db: str, output: str
) -> int:
    """What changed from snapshot A to snapshot B of one cluster: objects, effective flows, findings, and who wrote in between.

    A and B are each a snapshot's number, a time (the newest snapshot at that time), or `newest`. Each is assessed as of its own time.
    Who wrote is known from managedFields, and from the audit logs that `evidence import audit` took in.
    """
    from evidence import pipeline
    from evidence.cli import diff_output

    diff_output.write(pipeline.compare_snapshots(db, cluster, before, after), output)
    return 0
