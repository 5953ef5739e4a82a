"""`evidence reach diff BEFORE AFTER`: the flows that a change adds and takes away."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import Snapshot, database_option
from evidence.cli.reach_source import Source, read, said
from evidence.errors import UsageError

if TYPE_CHECKING:
    from evidence.cluster.model import Cluster
    from evidence.reach.diff import Diff, Row

SNAPSHOT = "@"
HEADER = ("change", "source", "destination", "ports", "workloads", "doubts")
SHOWN_POSSIBLE = 10
WORKLOADS = {"both": "", "new": "new workload", "gone": "workload gone"}
OF_WORKLOADS = {"new": "of new workloads", "gone": "of workloads that are gone"}


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@database_option
@click.option("--cluster", help="Cluster in the store; needed when there are several.")
@click.option("--keep-going", is_flag=True, help="Leave out objects that are wrong, name them, and go on.")
@click.option("--existing-only", is_flag=True, help="Leave out what new workloads bring and gone ones took with them.")
@click.option("--fail-on-new", is_flag=True, help="Exit 1 when flows were added.")
@click.option("--fail-on-possible", is_flag=True, help="Exit 1 also when more may pass for reasons that are new.")
@click.option("--format", "output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def diff(
    before: str,
    after: str,
    db: str,
    cluster: str | None,
    keep_going: bool,
    existing_only: bool,
    fail_on_new: bool,
    fail_on_possible: bool,
    output: str,
) -> int:
    """Flows that AFTER allows and BEFORE does not, and the reverse, by pairs of workloads.

    BEFORE and AFTER are each a file or folder of manifests or a dump, or a snapshot of the store: @2026-08-01 (the newest at that time),
    @newest, or @12 (by its number). Workloads are matched by namespace, kind and name: pods that a rollout replaced are no change.
    """
    from evidence.reach.diff import Diff
    from evidence.reach.engine import analyse

    sides = [_cluster(place, db, cluster, keep_going) for place in (before, after)]
    found = Diff(analyse(sides[0]), analyse(sides[1]))
    rows = [row for row in found.rows() if not existing_only or row.presence.value == "both"]
    if output == "json":
        body = document(found, rows, before, after)
        write_json(body)
    elif output == "csv":
        from evidence.reach.matrix import cell

        click.echo(",".join(HEADER))
        for line in _lines(rows):
            click.echo(",".join(map(cell, line)))
        for text in _summary(found, rows):
            click.echo(text, err=True)
    else:
        for text in table(found, rows):
            click.echo(text)
    failed = (fail_on_new or fail_on_possible) and any(row.added for row in rows)
    return 1 if failed or (fail_on_possible and found.possible) else 0


def _cluster(place: str, db: str, cluster: str | None, keep_going: bool) -> "Cluster":
    """The cluster of a path, or of a snapshot for "@…"."""
    if not place.startswith(SNAPSHOT):
        return read(Source((place,), db, None, None, keep_going))[0]
    try:
        asked = Snapshot().convert(place, None, None)
    except click.BadParameter as error:
        raise UsageError(f"{place}: {error.message}") from None
    if isinstance(asked, int):
        from evidence.pipeline.states import snapshot_state

        return said(snapshot_state(db, cluster, asked)).cluster
    return read(Source((), db, cluster, asked, keep_going))[0]


def _lines(rows: "Sequence[Row]") -> Iterator[tuple[str, ...]]:
    """One line for what a row adds, and one for what it takes away."""
    for row in rows:
        for change, ports, word in (("added", row.added, "before"), ("removed", row.removed, "still")):
            if ports:
                doubts = "; ".join(text for text in row.doubts if f" {word}" in text.partition(":")[0])
                yield change, row.source, row.destination, str(ports), WORKLOADS[row.presence.value], doubts


def table(found: "Diff", rows: "Sequence[Row]") -> Iterator[str]:
    """A line for each change and each doubt, then what is possible, then the counts."""
    from evidence.cli.terminal import line

    listed = [tuple(map(line, cells)) for cells in _lines(rows)]
    widths = [max((len(cells[column]) for cells in listed), default=0) for column in (1, 2)]
    for change, source, destination, ports, workloads, doubts in listed:
        sign = "+" if change == "added" else "-"
        note = f"  ({workloads})" if workloads else ""
        yield f"{sign} {source:{widths[0]}}  {destination:{widths[1]}}  {ports}{note}"
        if doubts:
            yield f"    not certain: {doubts}"
    for possible in found.possible[:SHOWN_POSSIBLE]:
        yield line(f"? {_first(possible.source)} → {_first(possible.destination)}: {'; '.join(possible.reasons)}")
    if len(found.possible) > SHOWN_POSSIBLE:
        yield f"? and {len(found.possible) - SHOWN_POSSIBLE} more (--format json)"
    yield from _summary(found, rows)


def _first(part: Any) -> str:
    members = part.members
    return str(members[0].name) + (f" and {len(members) - 1} more alike" if len(members) > 1 else "")


def _summary(found: "Diff", rows: "Sequence[Row]") -> Iterator[str]:
    from evidence.reach.matrix import computed_on

    for word in ("added", "removed"):
        counted = Counter(row.presence.value for row in rows if getattr(row, word))
        others = [f"{counted[name]} {text}" for name, text in OF_WORKLOADS.items() if counted[name]]
        yield f"{counted.total()} {word}" + (f" ({', '.join(others)})" if others else "")
    if found.possible:
        yield f"{len(found.possible)} pairs between which more may pass than before, for reasons that are new"
    yield f"before: {computed_on(found.before)}; after: {computed_on(found.after)}"


def document(found: "Diff", rows: "Sequence[Row]", before: str, after: str) -> dict[str, Any]:
    """The whole result for JSON."""
    from evidence.reach.matrix import computed_on

    return {
        "before": {"source": before, "computed_on": computed_on(found.before)},
        "after": {"source": after, "computed_on": computed_on(found.after)},
        "changes": [
            {
                "source": row.source,
                "destination": row.destination,
                "added": str(row.added) if row.added else None,
                "removed": str(row.removed) if row.removed else None,
                "workloads": row.presence.value,
                "doubts": list(row.doubts),
            }
            for row in rows
        ],
        "possible": [
            {
                "sources": [member.name for member in possible.source.members],
                "destinations": [member.name for member in possible.destination.members],
                "reasons": list(possible.reasons),
            }
            for possible in found.possible
        ],
    }
