"""`evidence archive`: build the index page over a folder of packs."""

from pathlib import Path

import click


@click.command("archive")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("evidence-archive"),
    show_default=True,
    help="Folder of packs.",
)
def command(folder: Path) -> int:
    """Build the auditor's index page over all packs in a folder. `evidence report` does so by itself."""
    from evidence import pipeline

    click.echo(f"archive: {pipeline.build_archive(folder)}")
    return 0
