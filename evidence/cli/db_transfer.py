"""`evidence db export`, `import` and `move`: a store as one file and back, and from one database into another."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.log_keys import log_key_options
from evidence.cli.options import database_option, key_folder
from evidence.cli.terminal import line

if TYPE_CHECKING:
    from evidence.log.checkpoint import LogVerifier
    from evidence.store.portable.intake import TakenIn


@click.command("export")
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="File to write, such as evidence-export.zip."
)
@click.option(
    "--keys",
    "keys_folder",
    type=click.Path(path_type=Path),
    help="Folder of the log's key, which signs the log's head; default evidence/keys in your configuration folder.",
)
@database_option
def export_command(to: Path, keys_folder: Path | None, db: str) -> int:
    """Write the store as one file that any store, SQLite or Postgres, can be made from.

    The same store gives the same bytes, whatever database it is in. Collectors may go on meanwhile: it is the store of one moment.
    """
    from evidence.pipeline.transfer import export_store

    found = export_store(db, to, keys_folder or key_folder())
    signed = "signed" if found.signed else "not signed: no log key is here"
    click.echo(
        f"{to}: {found.lines['snapshots']} snapshots, {found.lines['objects']} object versions, {found.lines['records']} records, a log of "
        f"{found.head.size}, head {found.head.root} ({signed})"
    )
    return 0


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@log_key_options
@database_option
def import_command(file: Path, verifiers: "tuple[LogVerifier, ...]", kept: list[str], db: str) -> int:
    """Take the export FILE into an empty store: whole and verified, or nothing of it.

    Each body is held against its digest, each root and the log are recomputed, and the log's head is compared with the signed checkpoint.
    """
    from evidence.pipeline.transfer import import_store

    found = import_store(db, file, verifiers, kept)
    click.echo(f"taken in: {_said(found)}")
    for remark in found.checked.remarks:
        click.echo(line(remark))
    if not found.signed:
        click.echo("who signed the log's head was not checked: no log key is here; give --keys or --log-key", err=True)
    return 0


@click.command("move")
@click.option("--to", required=True, metavar="URL", help="The new, empty database: a path, or a database URL.")
@database_option
def move_command(to: str, db: str) -> int:
    """Copy the store into another, empty database, verified as an import is.

    Stop the collectors first, and point them to the new one after it. The old store is left as it is. It needs room for an export in the folder for
    temporary files.

    Exit codes: 0 moved, 3 something came into the old store meanwhile, or it could not be done.
    """
    from evidence.pipeline.transfer import move_store

    moved = move_store(db, to)
    click.echo(f"moved: {_said(moved.taken_in)}; check it with `evidence db check --keys …`")
    if moved.late:
        entries = "1 entry" if moved.late == 1 else f"{moved.late} entries"
        click.echo(
            f"{entries} came into the old store's log meanwhile and did not come along: stop the collectors, and move again into an empty database",
            err=True,
        )
        return 3
    return 0


def _said(found: "TakenIn") -> str:
    return (
        f"{found.checked.snapshots} snapshots, {found.checked.objects} object versions, {found.checked.records} records, all as stored; a log of "
        f"{found.head.size}, head {found.head.root}"
    )
