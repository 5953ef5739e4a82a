"""`evidence reach exposure`: what the outside can reach, by which door, and which rules admit it."""

from datetime import datetime

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import source_options
from evidence.cli.reach_source import Source, read


@click.command("exposure")
@source_options
@click.option("--format", "output", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def exposure(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    output: str,
) -> None:
    """Each workload that can be reached from outside the cluster: by which door, from where, on which ports, and which policy admits it.

    Doors are Services (NodePort, LoadBalancer, external addresses), host ports, the host network, Ingresses and Gateway API routes. "As a
    node": the door may replace the client's address by a node's, and policy admits nodes. JSON also lists the doors that policy leaves shut.
    What is not known goes to standard error with CSV.
    """
    from evidence.reach import exposed
    from evidence.reach.engine import analyse
    from evidence.reach.exposure import Exposures

    found = Exposures(analyse(read(Source(from_paths, db, cluster, at, keep_going))[0]))
    if output == "json":
        body = exposed.document(found)
        write_json(body)
        return
    from evidence.cli.terminal import line

    if output == "csv":
        for text in exposed.csv(found):
            click.echo(text, nl=False)
    else:
        listed = [tuple(map(line, row.cells)) for row in exposed.rows(found)]
        widths = [max(map(len, column)) for column in zip(*[exposed.HEADER, *listed], strict=True)]
        for cells in [exposed.HEADER, *listed]:
            click.echo("  ".join(f"{text:{width}}" for text, width in zip(cells, widths, strict=True)).rstrip())
    for doubt in exposed.doubts(found):
        click.echo(f"not certain: {line(doubt)}", err=output == "csv")
    click.echo(exposed.about(found), err=output == "csv")
