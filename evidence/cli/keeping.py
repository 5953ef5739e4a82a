"""Options of commands that add to the store's log: how its head is signed and kept outside the store."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.options import key_folder

if TYPE_CHECKING:
    from evidence.pipeline.log import Keeping


def keeping_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--keys`, `--checkpoint-to` and `--timestamp`, which reach the command as one value, `keeping` (pipeline.Keeping)."""

    @wraps(command)
    def with_keeping(
        *args: Any, keys_folder: Path | None, checkpoint_to: tuple[str, ...], timestamp: str | None, **options: Any
    ) -> Any:
        from evidence import pipeline

        keeping = pipeline.Keeping(keys_folder or key_folder(), checkpoint_to, timestamp or "")
        return command(*args, keeping=keeping, **options)

    for option in (
        click.option(
            "--timestamp",
            metavar="URL",
            envvar="EVIDENCE_TIMESTAMP",
            help="Address of a timestamp authority (RFC 3161), asked for a timestamp of each checkpoint that is copied, and of each pack.",
        ),
        click.option(
            "--checkpoint-to",
            metavar="PLACE",
            envvar="EVIDENCE_CHECKPOINT_TO",
            multiple=True,
            help="Where else each signed checkpoint of the log goes: a folder, s3://, gs:// or az://BUCKET/FOLDER, or - for a line of output; "
            "may be repeated.",
        ),
        click.option(
            "--keys",
            "keys_folder",
            type=click.Path(path_type=Path),
            help="Folder of the log's key, and of the signing key made on first use; default evidence/keys in your configuration folder.",
        ),
    ):
        with_keeping = option(with_keeping)
    return with_keeping


def keep_checkpoint(db: str, keeping: "Keeping", *, err: bool = False) -> None:
    """Sign the log's head now that something was entered, if there is a key or somebody asked, and say what went wrong with its copies.

    `err`: the checkpoint's line, where asked for, goes to standard error, since standard output is a document.
    """
    from evidence import pipeline
    from evidence.pipeline.log import STDOUT

    kept = pipeline.checkpoint(db, keeping)
    if kept is None:
        return
    if STDOUT in keeping.copies:
        click.echo(kept.line, err=err)
    for problem in kept.problems:
        click.echo(f"checkpoint: {problem}", err=True)
