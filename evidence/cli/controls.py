"""`evidence controls`: frameworks, the controls of one, and which finding rule feeds which."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from evidence.cli.json_output import write_json

Row = Mapping[str, object]

FEED_WIDTH = 80  # columns at most, for sentences


@click.command("controls")
@click.argument("framework", required=False)
@click.argument("control", required=False)
@click.option("--rule", metavar="ID", help="Only controls that findings of this rule bear on, such as SEG-001.")
@click.option("--baseline", help="Only controls of this FedRAMP baseline or class.")
@click.option(
    "--controls",
    "controls_folder",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of your own frameworks.",
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    framework: str | None,
    control: str | None,
    rule: str | None,
    baseline: str | None,
    controls_folder: tuple[Path, ...],
    output: str,
) -> int:
    """List frameworks; with FRAMEWORK its controls; with CONTROL that one in full. --rule asks the other way round."""
    from evidence import pipeline
    from evidence.frameworks.listing import control_rows, described, feed_rows, framework_rows
    from evidence.frameworks.load import load_frameworks

    known = load_frameworks(controls_folder)
    chosen = pipeline.chosen_frameworks(known, [framework]) if framework else tuple(known.values())
    if control:
        return _one(described(chosen[0], control), output)
    if rule:
        return _feeds(feed_rows(chosen, rule), output)
    if framework:
        return _rows(control_rows(chosen[0], baseline), output)
    return _rows(framework_rows(chosen), output)


def _rows(rows: Sequence[Row], output: str) -> int:
    """A table with the columns of the rows, or JSON."""
    if output == "json":
        _json(rows)
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=name in ("id", "control"))
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(markup=False, highlight=False).print(table)
    return 0


def _feeds(rows: Sequence[Row], output: str) -> int:
    """Two lines a control, which a narrow window or a pipe does not tear apart, or JSON."""
    if output == "json":
        _json(rows)
        return 0
    from evidence.cli.terminal import columns, wrapped

    width = min(columns(), FEED_WIDTH)
    for row in rows:
        click.echo(wrapped(f"{row['framework']} {row['control']}  {row['title']}", width, 4))
        marks = ", ".join([str(row["strength"]), *(str(mark) for mark in _list(row["marks"]))])
        click.echo(wrapped(f"    {marks}: {row['reason']}", width, 4))
    return 0


def _one(fields: Row, output: str) -> int:
    """One control, a field a paragraph."""
    if output == "json":
        _json(fields)
        return 0
    for name, value in fields.items():
        if isinstance(value, list) and value:
            click.echo(f"{name.replace('_', ' ')}:")
            for item in value:
                click.echo(f"  {_line(item) if isinstance(item, Mapping) else item}")
        elif value:
            click.echo(f"{name.replace('_', ' ')}: {value}")
    return 0


def _line(item: Row) -> str:
    """One line of the mapping."""
    marks = [str(item["strength"]), *(str(mark) for mark in _list(item["marks"]))]
    return f"{item['rule']}  {', '.join(marks)}: {item['reason']}"


def _cell(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _json(content: object) -> None:

    write_json(content)
