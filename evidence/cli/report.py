"""`evidence report`: assess a period, render and sign packs, add them to the archive."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.keeping import keeping_options
from evidence.cli.options import Interval, Period, database_option, now

if TYPE_CHECKING:
    from evidence.pipeline import Keeping


@click.command("report")
@click.option(
    "--framework",
    "frameworks",
    multiple=True,
    required=True,
    metavar="NAME",
    help="pci, hipaa, fedramp, the short name of a framework of yours, or all; may be repeated.",
)
@click.option("--period", type=Period(), required=True, help="A..B, both days included.")
@click.option("--cluster", help="Cluster in the store; needed when there are several.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    default=Path("evidence-archive"),
    show_default=True,
    help="Folder of packs.",
)
@click.option("--expect-every", type=Interval(), default="24h", show_default=True, help="How often a snapshot is due.")
@click.option("--baseline", help="FedRAMP baseline; default the one in segmentation.yaml.")
@click.option(
    "--controls",
    "controls_folder",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of your own frameworks.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Signing key (PEM); default one made on first use.")
@click.option("--certificate", type=click.Path(path_type=Path), help="Its certificate, with the chain (PEM).")
@click.option("--require-signing", is_flag=True, help="Fail rather than sign with a self-made certificate.")
@keeping_options
@database_option
def command(
    frameworks: tuple[str, ...],
    period: tuple[datetime, datetime],
    cluster: str | None,
    archive: Path,
    expect_every: timedelta,
    baseline: str | None,
    controls_folder: tuple[Path, ...],
    key: Path | None,
    certificate: Path | None,
    require_signing: bool,
    keeping: "Keeping",
    db: str,
) -> int:
    """Assess a period, render and sign a pack for each framework, and add them to the archive."""
    from evidence import pipeline

    signing = pipeline.Signing(key, certificate, keeping, require_signing)
    packs = pipeline.make_reports(
        db,
        cluster=cluster,
        frameworks=frameworks,
        period=period,
        archive=archive,
        signing=signing,
        generated_at=now(),
        expect_every=expect_every,
        baseline=baseline,
        controls_folders=controls_folder,
    )
    for pack in packs:
        counts = ", ".join(f"{number} {verdict}" for verdict, number in pack.verdicts.items() if number)
        click.echo(f"{pack.folder}: {counts}")
        for problem in pack.problems:
            click.echo(f"{pack.folder}: {problem}", err=True)
        if pack.checkpoint:
            click.echo(pack.checkpoint)
    click.echo(f"archive: {archive / 'index.html'}")
    click.echo(f"verify:  evidence verify {packs[0].folder} --trust sha256:{packs[0].fingerprint}")
    return 0
