"""`evidence db`: migrate, check, describe, prune and move the store."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.keeping import keeping_options
from evidence.cli.lazy import Later, LazyGroup
from evidence.cli.log_keys import log_key_options
from evidence.cli.options import database_option, now, spool_option, state_folder
from evidence.cli.terminal import line
from evidence.errors import UsageError

if TYPE_CHECKING:
    from evidence.log.checkpoint import LogVerifier
    from evidence.pipeline import Keeping
    from evidence.store.describe import StoreDescription

_LATER = {
    "assess": Later("evidence.cli.db_assess", "command", "Assess each snapshot once and keep it, for quick histories."),
    "export": Later(
        "evidence.cli.db_transfer", "export_command", "Write the store as one file that any store can be made from."
    ),
    "hold": Later("evidence.cli.db_hold", "command", "Legal holds: what a prune may not touch."),
    "import": Later("evidence.cli.db_transfer", "import_command", "Take an export into an empty store, verified."),
    "move": Later("evidence.cli.db_transfer", "move_command", "Copy the store into another, empty database, verified."),
    "prune": Later("evidence.cli.db_prune", "command", "Drop what no framework wants kept any longer."),
}


@click.group("db", cls=LazyGroup, later=_LATER, variables="EVIDENCE_DB")
def command() -> None:
    """Migrate, check, describe, prune and move the store."""


@command.command("migrate")
@database_option
def migrate(db: str) -> int:
    """Bring the store's tables to this version's; all or nothing. Back it up first."""
    from evidence.store import migrate_store

    before, after = migrate_store(db)
    if before == after:
        click.echo(f"schema {after}: nothing to do")
    else:
        click.echo(f"schema {before or 'none'} -> {after}")
    return 0


@command.command("check", short_help="Recompute every digest and the log; name what is wrong.")
@log_key_options
@database_option
def check(verifiers: "tuple[LogVerifier, ...]", kept: list[str], db: str) -> int:
    """Recompute every digest, every root and the log, and name what is wrong.

    The log shows what was removed, added or put in another order up to its last checkpoint. Whoever can write to the store can also drop its
    newest checkpoints: give one that was kept elsewhere.

    Exit codes: 0 everything is as it was stored, 1 something is not.
    """
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        result = store.check(verifiers, kept)
    for problem in result.problems:
        click.echo(problem)
    found = f"{len(result.problems)} wrong" if result.problems else "all as stored"
    unsigned = bool(result.checkpoints or kept) and not verifiers
    if unsigned:
        found += "; signatures of checkpoints not checked"
    counted = [_count(result.snapshots, "snapshot"), _count(result.objects, "object")]
    counted += [_count(result.records, "record")] if result.records else []
    counted += [f"a log of {result.log_entries} entries under {_count(result.checkpoints, 'checkpoint')}"]
    click.echo(f"{', '.join(counted)}: {found}")
    for summary in result.prunes:
        act, policy = summary.prune.act, summary.prune.policy
        terms = ", ".join(f"{term.framework} {term.months} months" for term in policy)
        click.echo(
            f"prune {act.id} of {act.made_at:%Y-%m-%d %H:%M} UTC, by {line(act.run.identity)} ({terms}): "
            f"{_count(summary.prune.counts.get('snapshot', 0), 'snapshot')} from before {summary.prune.before:%Y-%m-%d %H:%M}; "
            f"bodies that are gone: {summary.missing}"
        )
        for hold, number in summary.released:
            assert hold.release is not None  # noqa: S101  (it had ended)
            ended = hold.release.act
            said = f"released {ended.made_at:%Y-%m-%d %H:%M} UTC by {ended.run.identity} ({hold.release.reason})"
            click.echo(
                line(
                    f"  hold {hold.act.id} ({hold.reason}), {said}, had covered {number} of the snapshots and records that it dropped"
                )
            )
    for remark in result.remarks:
        click.echo(line(remark))
    if unsigned:
        click.echo(
            "the checkpoints' signatures were not checked: no log key is here; give --keys or --log-key", err=True
        )
    return 1 if result.problems else 0


@command.command("checkpoint", short_help="Sign the log's head, for a copy elsewhere.")
@click.option("--to", "to", multiple=True, metavar="PLACE", help="As --checkpoint-to.")
@keeping_options
@database_option
def checkpoint(to: tuple[str, ...], keeping: "Keeping", db: str) -> int:
    """Sign the log's head, keep the checkpoint in the store, and print it for a copy elsewhere.

    The copy is what shows that nothing was removed from the store later: keep it where the store's writers cannot write, such as a log
    that is shipped off the cluster. With --timestamp a timestamp is kept beside it. The log's verifier key goes to standard error.

    Exit codes: 0 signed and kept everywhere, 3 a copy or a timestamp could not be had.
    """
    from evidence import pipeline
    from evidence.log.checkpoint import verifier_of
    from evidence.seal.logkey import load_or_create_log_key

    keeping = replace(keeping, copies=(*to, *keeping.copies))
    if keeping.authority and not set(keeping.copies) - {"-"}:
        raise UsageError("--timestamp: a timestamp is kept beside a copy; give --to PLACE, too")
    kept = pipeline.checkpoint(db, keeping, make_key=True)
    assert kept is not None  # noqa: S101  (the key was made)
    click.echo(kept.line + "\n" if "-" in keeping.copies else kept.note, nl=False)
    click.echo(f"verifier key: {verifier_of(load_or_create_log_key(keeping.folder).public_key())}", err=True)
    for problem in kept.problems:
        click.echo(problem, err=True)
    return 3 if kept.problems else 0


@command.command("take-in", short_help="Take in snapshots that wait in the spool.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[FILE]...")
@database_option
@spool_option
def take_in(files: tuple[Path, ...], db: str, spool_folder: Path | None) -> int:
    """Take snapshots that wait in the spool into the store, in the order in which they were taken.

    `evidence collect` does so by itself before it takes another. This is for when nothing is collected any more, and, with FILE, for what was
    set aside and mended, or waits for the same store under another name.

    Exit codes: 0 nothing waits any more, 3 something could not be taken in.
    """
    from evidence.pipeline import spooling
    from evidence.store.spool import spool_of

    def note(remark: str) -> None:
        click.echo(line(remark))

    spool = spool_of(db, spool_folder, state_folder())
    if files:
        return 0 if spooling.take_in_files(db, files, now, note) else 3
    whole = spooling.take_in(db, spool, now, note)
    if whole:
        click.echo(f"nothing waits any more in {line(spool.folder)}")
    return 0 if whole else 3


@command.command("info")
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@database_option
def info(output: str, db: str) -> int:
    """What the store holds: clusters, snapshots, objects, size."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        description = store.describe()
    if output == "json":
        click.echo(json.dumps(asdict(description), indent=2, default=lambda moment: moment.isoformat()))
    else:
        _print(description)
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print(description: "StoreDescription") -> None:
    click.echo(f"store    {description.url} ({description.database}, schema {description.schema_version})")
    click.echo(f"size     {description.size / 1024 / 1024:.1f} MiB")
    click.echo(
        f"content  {_count(description.objects, 'object version')}, {_count(description.intervals, 'interval')}, "
        f"{_count(description.intents, 'version')} of the intent file"
    )
    for cluster in description.clusters:
        counted = [
            f"{_count(cluster.snapshots, 'snapshot')} ({cluster.partial} partial)",
            _count(cluster.failed_runs, "failed run"),
            _count(cluster.records, "record"),
        ]
        times = [f"{at:%Y-%m-%dT%H:%MZ}" for at in (cluster.first_taken_at, cluster.last_taken_at) if at]
        click.echo(
            f"cluster  {line(cluster.name)}: {', '.join(counted)}{'; taken ' if times else ''}{' to '.join(times)}"
        )
