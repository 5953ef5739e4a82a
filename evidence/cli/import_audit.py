"""`evidence import audit`: an API server's audit log into the store."""

import sys
from typing import TYPE_CHECKING

import click

from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import database_option, now
from evidence.cli.terminal import line

if TYPE_CHECKING:
    from evidence.pipeline import Keeping


@click.command("audit")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--cluster", help="Cluster in the store; needed when there are several, or none yet.")
@click.option(
    "--keep-going", is_flag=True, help="Leave out lines that cannot be read; they are counted and the first few named."
)
@keeping_options
@database_option
def command(paths: tuple[str, ...], cluster: str | None, keep_going: bool, keeping: "Keeping", db: str) -> int:
    """Take an API server's audit log into the store. PATH: files of JSON lines (gzip or plain), or - for standard input.

    Kept is who wrote what, when, from where and with which answer, of policies, namespaces, roles, bindings and pods; never what was written,
    and nothing that was read.

    Exit codes: 0 stored, 3 not stored.
    """
    from evidence.findings.finding import count
    from evidence.pipeline.imports import import_audit

    imported = import_audit(
        db, paths, cluster=cluster, stdin=sys.stdin.buffer, taken_in_at=now(), keep_going=keep_going
    )
    info, log = imported.info, imported.log
    lines = sum(file.lines for file in log.files)
    click.echo(
        f"record {info.id} of {info.cluster}: audit log, {info.starts_at:%Y-%m-%dT%H:%M:%SZ} to {info.ends_at:%Y-%m-%dT%H:%M:%SZ}, "
        f"{count(lines, 'line')} of {count(len(log.files), 'file')}, digest {info.digest[:16]}"
    )
    done = sum(change.done for change in log.changes)
    click.echo(
        f"{count(len(log.changes), 'write')} kept of {count(log.events, 'event')}: {done} done, {len(log.changes) - done} refused or failed"
    )
    for why, number in log.left_out.items():
        click.echo(f"left out: {number} {why}")
    for file in log.files:
        for named in file.named:
            click.echo(f"unread: {line(named)}", err=True)
    keep_checkpoint(db, keeping)
    return 0
