"""`evidence assess`: findings of one snapshot."""

from datetime import datetime
from pathlib import Path

import click

from evidence.cli.options import now, source_options

SEVERITIES = ("critical", "high", "medium", "low", "info")


@click.command("assess")
@source_options
@click.option(
    "--intent", type=click.Path(path_type=Path), help="segmentation.yaml; default the one kept with the snapshot."
)
@click.option(
    "--format", "output", type=click.Choice(["table", "json", "sarif", "junit"]), default="table", show_default=True
)
@click.option("--fail-on", type=click.Choice(SEVERITIES), help="Exit 1 when a finding is at or above this severity.")
def command(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    output: str,
    fail_on: str | None,
) -> int:
    """Findings of a snapshot (default the newest in the store) or of manifests.

    Assessed as of --at, or of now: what is overdue or stale shows by that day. Exit 1 with --fail-on when something is that severe.
    """
    from evidence import pipeline
    from evidence.cli import findings_output
    from evidence.pipeline.observations import assess_stored

    state = pipeline.load_state(from_paths, db=db, cluster=cluster, at=at, keep_going=keep_going, intent_path=intent)
    today = at or now()
    assessed = assess_stored(state, max(today, state.taken_at or today), db)
    findings_output.write(assessed, output)
    return 1 if fail_on and findings_output.at_or_above(assessed, fail_on) else 0
