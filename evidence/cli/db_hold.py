"""`evidence db hold`: legal holds, which a prune heeds."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import EndTime, Time, database_option, now
from evidence.cli.terminal import columns, wrapped

if TYPE_CHECKING:
    from evidence.pipeline import Keeping
    from evidence.store import Hold


@click.group("hold")
def command() -> None:
    """Legal holds: what a prune may not touch until they are released.

    Setting and releasing one are entries of the store's log, with who, when and why. A hold is never deleted.
    """


@command.command("add")
@click.option("--reason", required=True, help="Whose order it is, such as a case number.")
@click.option("--cluster", help="Only what is of this cluster; default all of them.")
@click.option(
    "--from", "start", type=Time(), help="Only what was taken from this time on, and the state just before it."
)
@click.option("--to", "end", type=EndTime(), help="Only what was taken before this time; a date counts whole.")
@keeping_options
@database_option
def add(
    reason: str, cluster: str | None, start: datetime | None, end: datetime | None, keeping: "Keeping", db: str
) -> int:
    """Set a hold: of one cluster or all, of some time or all of it."""
    from evidence.pipeline import retention
    from evidence.store import NewHold

    hold = retention.add_hold(db, NewHold(reason, cluster, start, end), now())
    keep_checkpoint(db, keeping)
    click.echo(_line(hold))
    return 0


@command.command("release")
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why it ends.")
@keeping_options
@database_option
def release(number: int, reason: str, keeping: "Keeping", db: str) -> int:
    """End hold NUMBER; what it said stays on record."""
    from evidence.pipeline import retention

    hold = retention.release_hold(db, number, reason, now())
    keep_checkpoint(db, keeping)
    click.echo(_line(hold))
    return 0


@command.command("list")
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@database_option
def listed(output: str, db: str) -> int:
    """All holds, also those that were released."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        holds = store.retention.holds()
    if output == "json":
        click.echo(json.dumps([_document(hold) for hold in holds], indent=2))
        return 0
    for hold in holds:
        click.echo(wrapped(_line(hold), columns(), 4))
    if not holds:
        click.echo("no hold was ever set")
    return 0


def _line(hold: "Hold") -> str:
    times = [f"from {hold.start:%Y-%m-%d %H:%M}"] if hold.start else []
    times += [f"to before {hold.end:%Y-%m-%d %H:%M}"] if hold.end else []
    covers = f"{hold.cluster or 'all clusters'}, {' '.join(times) or 'all times'}"
    said = f"hold {hold.act.id}: {covers}: {hold.reason} ({hold.act.run.identity}, {hold.act.made_at:%Y-%m-%d %H:%M})"
    if hold.release:
        act = hold.release.act
        said += f"; released: {hold.release.reason} ({act.run.identity}, {act.made_at:%Y-%m-%d %H:%M})"
    return said


def _document(hold: "Hold") -> dict[str, Any]:
    release = hold.release
    return {
        "number": hold.act.id,
        "reason": hold.reason,
        "cluster": hold.cluster or None,
        "from": hold.start.isoformat() if hold.start else None,
        "to": hold.end.isoformat() if hold.end else None,
        "made_at": hold.act.made_at.isoformat(),
        "made_by": hold.act.run.identity,
        "released": {
            "made_at": release.act.made_at.isoformat(),
            "made_by": release.act.run.identity,
            "reason": release.reason,
        }
        if release
        else None,
    }
