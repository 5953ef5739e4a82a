"""`evidence db`: migrate, check and describe the store."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from evidence.cli.options import database_option

if TYPE_CHECKING:
    from evidence.store.describe import StoreDescription


@click.group("db")
def command() -> None:
    """Migrate, check and describe the store."""


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


@command.command("check")
@database_option
def check(db: str) -> int:
    """Recompute every digest and every root, and name what is wrong.

    Exit codes: 0 everything is as it was stored, 1 something is not.
    """
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        result = store.check()
    for problem in result.problems:
        click.echo(problem)
    found = f"{len(result.problems)} wrong" if result.problems else "all as stored"
    counted = [_count(result.snapshots, "snapshot"), _count(result.objects, "object")]
    counted += [_count(result.records, "record")] if result.records else []
    click.echo(f"{', '.join(counted)}: {found}")
    return 1 if result.problems else 0


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
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    click.echo(f"store    {description.url} ({description.database}, schema {description.schema_version})")
    click.echo(f"size     {description.size / 1024 / 1024:.1f} MiB")
    click.echo(
        f"content  {_count(description.objects, 'object version')}, {_count(description.intervals, 'interval')}, "
        f"{_count(description.intents, 'version')} of the intent file"
    )
    table = Table(
        "cluster", "snapshots", "partial", "failed", "records", "first taken", "last taken", box=None, pad_edge=False
    )
    for cluster in description.clusters:
        times = [f"{at:%Y-%m-%dT%H:%MZ}" if at else "" for at in (cluster.first_taken_at, cluster.last_taken_at)]
        numbers = [str(number) for number in (cluster.snapshots, cluster.partial, cluster.failed_runs, cluster.records)]
        table.add_row(escape(cluster.name), *numbers, *times)
    if description.clusters:
        Console().print(table)
