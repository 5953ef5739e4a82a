"""`evidence reach unused`: policies and rules that change nothing."""

from collections import Counter
from datetime import datetime

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import source_options
from evidence.cli.reach_source import Source, read

SHOWN = 3  # covering rules named in the table; JSON has all


@click.command("unused")
@source_options
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def unused(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    output: str,
) -> None:
    """Policies and rules without which the same connections would be allowed, and what covers them.

    Exact for today's pods and addresses, one at a time: of rules that cover one another, one has to stay. Whether a rule is redundant
    whatever is deployed is what finding NET-017 says.
    """
    from evidence.reach.engine import analyse
    from evidence.reach.matrix import computed_on
    from evidence.reach.query import key_body
    from evidence.reach.unused import unused as looked_for

    found, _ = read(Source(from_paths, db, cluster, at, keep_going))
    reach = analyse(found)
    entries = looked_for(reach)
    if output == "json":
        body = {
            "computed_on": computed_on(reach),
            "unused": [
                {
                    "policy": key_body(entry.policy),
                    "rule": entry.rule or None,
                    "why": entry.why.value,
                    "covered_by": list(entry.by),
                }
                for entry in entries
            ],
        }
        write_json(body)
        return
    from evidence.cli.terminal import line

    for entry in entries:
        more = f" and {len(entry.by) - SHOWN} more" if len(entry.by) > SHOWN else ""
        by = f": {', '.join(entry.by[:SHOWN])}{more}" if entry.by else ""
        click.echo(line(f"{entry}{'' if entry.rule else ' (whole)'}: {entry.why}{by}"))
    counts = Counter(entry.why.value for entry in entries)
    said = "; ".join(f"{count} × {why}" for why, count in sorted(counts.items())) or "every policy and rule matters"
    click.echo(f"{said}; {computed_on(reach)}")
