"""`evidence reassess`: a period's history evaluated again by today's rules and mappings."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli import report
from evidence.cli.options import Time, database_option, options_of

if TYPE_CHECKING:
    from evidence.pipeline.fleet.reassess import Engine


@click.command("reassess")
@click.option("--since", type=Time(), required=True, help="Evaluate the snapshots taken from this time on.")
@click.option("--until", type=Time(), help="… and before this one; default up to the newest snapshot.")
@click.option(
    "--cluster", "clusters", multiple=True, help="Only this cluster; may be repeated. Default all of the store."
)
@click.option(
    "--framework",
    "frameworks",
    multiple=True,
    metavar="NAME",
    default=("all",),
    show_default=True,
    help="As for `evidence report`; may be repeated.",
)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the results; a run goes on there."
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="What was said before: an archive of packs, one pack, or the folder of an earlier reassessment.",
)
@options_of(report.command, "expect_every", "baseline", "controls_folder")
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(["here", "dask"]),
    default="here",
    show_default=True,
    help="Who evaluates: this process, or the workers of a Dask cluster.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="With --engine dask: the scheduler, such as tcp://host:8786 or tls://host:8786.",
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@database_option
def command(
    since: datetime,
    until: datetime | None,
    clusters: tuple[str, ...],
    frameworks: tuple[str, ...],
    folder: Path,
    against: Path | None,
    expect_every: timedelta,
    baseline: str | None,
    controls_folder: tuple[Path, ...],
    engine_name: str,
    scheduler: str | None,
    output: str,
    db: str,
) -> int:
    """Evaluate a period's history again, of one cluster or of all, by the rules and mappings of today.

    Each month of each cluster gives one file in the folder. A run that was stopped goes on where it was: a month whose snapshots, records, rules,
    mappings and software are the same is not evaluated again. With --against it says which control results over a period, and which findings,
    are now others than a pack or an earlier reassessment said. Beside a pack, snapshots are due as often as they were when it was made, whatever
    --expect-every says. The store is only read.

    The workers of a Dask cluster take the store's address from EVIDENCE_DATABASE_URL in their own environment.

    Exit codes: 0 everything was evaluated, 2 usage, 3 something could not be evaluated; run the same again to go on.
    """
    from evidence import pipeline
    from evidence.cli import reassess_output
    from evidence.cli.progress import progress

    with progress("reassess", "months of clusters") as advance:
        found = pipeline.reassess(
            db,
            clusters=clusters,
            frameworks=frameworks,
            since=since,
            until=until,
            folder=folder,
            against=against,
            expect_every=expect_every,
            baseline=baseline,
            controls_folders=controls_folder,
            engine=_engine(engine_name, scheduler),
            progress=lambda step: advance(
                step.before + step.done + step.failed, step.total, reassess_output.note(step)
            ),
        )
    reassess_output.write(found, folder, output)
    return 3 if found.failures else 0


def _engine(name: str, scheduler: str | None) -> "Engine":
    if (name == "dask") != (scheduler is not None):
        raise click.UsageError("--engine dask and --scheduler ADDRESS go together")
    if scheduler is None:
        from evidence.pipeline.fleet.here import run_here

        return run_here
    from functools import partial

    from evidence.pipeline.fleet.dask import run_on_dask

    return partial(run_on_dask, scheduler)
