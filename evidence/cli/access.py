"""`evidence access`: who may change the rules, by which binding and role, in which namespaces."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import source_options
from evidence.cli.terminal import line

if TYPE_CHECKING:
    from evidence.access.holders import Access


@click.command("access")
@source_options
@click.option(
    "--intent",
    type=click.Path(path_type=Path),
    help="segmentation.yaml with the zones; default the one kept with the snapshot.",
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    output: str,
) -> int:
    """Who may change the rules: users, groups and service accounts that RBAC lets change policies, labels of namespaces, labels of pods where
    zones are told by them, give out rights that they do not have, or act as somebody else; by which binding and role, and where.

    Only what RBAC grants directly. Whoever can start pods in a namespace also acts as its service accounts; who is in a group, the identity
    provider knows alone.

    Exit codes: 0 the answer could be given, also a partial one, which says what was not read.
    """
    from evidence import pipeline
    from evidence.access.document import document
    from evidence.access.holders import not_told, who_may

    state = pipeline.load_state(from_paths, db=db, cluster=cluster, at=at, keep_going=keep_going, intent_path=intent)
    found, missing = who_may(state.cluster, state.intent), not_told(state.collection.kinds)
    if output == "json":
        body = document(found, missing)
        write_json(body)
    else:
        for text in _table(found, missing):
            click.echo(text)
    return 0


def _table(found: "Access", missing: tuple[str, ...]) -> Iterator[str]:
    from evidence.access.document import HEADER, rows
    from evidence.access.holders import NOT_FOLLOWED

    listed = [tuple(map(line, row)) for row in rows(found)]
    widths = [max(map(len, column)) for column in zip(*[HEADER, *listed], strict=True)]
    for cells in [HEADER, *listed] if listed else []:
        yield "  ".join(f"{text:{width}}" for text, width in zip(cells, widths, strict=True)).rstrip()
    if listed:
        yield ""
    if missing:
        yield f"Not known: the source does not tell all of {', '.join(missing)}, so there may be others."
    for binding in found.unresolved:
        yield line(f"Not known: {binding.key} names {binding.role}, which is not there or was not read.")
    if not missing and not listed:
        yield "RBAC lets nobody change what segmentation hangs on."
    yield NOT_FOLLOWED
