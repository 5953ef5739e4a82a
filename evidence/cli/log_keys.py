"""Options of commands that check a store's log: by which keys its checkpoints have to be signed, and which were kept elsewhere."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.options import key_folder
from evidence.errors import InputError, SealError, UsageError

if TYPE_CHECKING:
    from evidence.log.checkpoint import LogVerifier

_LINE = re.compile(r'\bcheckpoint (".*)$')  # a checkpoint as one line of a log (pipeline.log.Kept.line)


def log_key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--log-key`, `--keys` and `--checkpoint`, which reach the command as two values: `verifiers` and the notes that were `kept`."""

    @wraps(command)
    def with_keys(
        *args: Any, log_keys: tuple[str, ...], keys_folder: Path | None, checkpoints: tuple[Path, ...], **options: Any
    ) -> Any:
        kept = [note for path in checkpoints for note in _notes(path)]
        return command(*args, verifiers=_verifiers(log_keys, keys_folder), kept=kept, **options)

    for option in (
        click.option(
            "--checkpoint",
            "checkpoints",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A checkpoint that was kept outside the store, a pack's log/checkpoint, or a log with checkpoint lines; may be repeated.",
        ),
        click.option(
            "--keys",
            "keys_folder",
            type=click.Path(path_type=Path),
            help="Folder of the log's key, as given to `evidence report`; default evidence/keys in your configuration folder.",
        ),
        click.option(
            "--log-key",
            "log_keys",
            multiple=True,
            metavar="KEY",
            help="Verifier key of the log, as `evidence db checkpoint` shows it; may be repeated. Default the one in --keys.",
        ),
    ):
        with_keys = option(with_keys)
    return with_keys


def _verifiers(log_keys: Sequence[str], folder: Path | None) -> "tuple[LogVerifier, ...]":
    """The keys that were given; without any the one in the user's own folder, if there is one there."""
    from evidence.log.checkpoint import verifier_of
    from evidence.seal.logkey import load_log_key

    found = [_verifier(key) for key in log_keys]
    if folder or not log_keys:
        own = load_log_key(folder or key_folder())
        if folder and own is None:
            raise UsageError(f"--keys {folder}: there is no log key here (log-key.pem)")
        found += [verifier_of(own.public_key())] if own else []
    return tuple(found)


def _verifier(key: str) -> "LogVerifier":
    from evidence.log.checkpoint import parse_verifier

    try:
        return parse_verifier(key)
    except SealError as error:
        raise UsageError(f"--log-key {key}: {error}; `evidence db checkpoint` shows it") from error


def _notes(path: Path) -> Iterator[str]:
    """The checkpoints of a file: its one, or those of a log's lines `… checkpoint "…"`. Raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--checkpoint {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--checkpoint {path}: not a checkpoint, which is text") from error
    lines = [(number, found[1]) for number, one in enumerate(text.splitlines(), 1) if (found := _LINE.search(one))]
    if not lines:
        yield text
    for number, quoted in lines:
        try:
            yield json.loads(quoted)
        except ValueError as error:
            raise InputError(
                f"--checkpoint {path}:{number}: the checkpoint on this line is cut or was changed"
            ) from error
