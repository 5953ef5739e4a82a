"""`evidence reach`: who may connect to whom, answers in bulk, which rule decides, and what else follows from it."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from evidence.cli.json_output import write_json
from evidence.cli.lazy import Later, LazyGroup
from evidence.cli.options import source_options
from evidence.cli.process import expect_one_answer, keep
from evidence.errors import InputError, UsageError

if TYPE_CHECKING:
    from evidence.reach.engine import Reachability


_LATER = {
    "blast": Later(
        "evidence.cli.reach_paths", "blast", "Everything that a workload can reach, directly and in several hops."
    ),
    "check": Later(
        "evidence.cli.reach_check", "check", "Whether assertions of what must and must not be allowed hold."
    ),
    "diff": Later("evidence.cli.reach_diff", "diff", "Flows that one state allows and another does not."),
    "explain": Later(
        "evidence.cli.reach_explain", "explain", "Whether a connection is allowed, and which rule decides on each side."
    ),
    "exposure": Later(
        "evidence.cli.reach_exposure", "exposure", "What can be reached from outside the cluster, and by which door."
    ),
    "paths": Later(
        "evidence.cli.reach_paths", "paths", "Whether one group comes to another through any chain of connections."
    ),
    "unused": Later(
        "evidence.cli.reach_unused", "unused", "Policies and rules without which the same would be allowed."
    ),
    "why": Later("evidence.cli.reach_why", "why", "The flows behind a finding, and the rules that let them pass."),
}


@click.group("reach", cls=LazyGroup, later=_LATER, variables="EVIDENCE_REACH")
def command() -> None:
    """Reachability computed from the policies: pods, workloads and outside addresses, by protocol and port.

    Every "denied" excepts traffic from a pod's own node, which policies do not govern.
    """
    expect_one_answer()


@command.command("matrix")
@source_options
@click.option(
    "--unit", type=click.Choice(["workload", "pod"]), default="workload", show_default=True, help="Unit of a row."
)
@click.option("--format", "output", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def matrix(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    unit: str,
    output: str,
) -> None:
    """Every allowed flow: source, destination, ports of the destination.

    The unit and what the result was computed on are part of the JSON and the table; with CSV they go to standard error.
    """
    from evidence.reach import matrix as flows

    reach = _analysed(from_paths, db, cluster, at, keep_going)
    chosen = flows.Unit(unit)
    about = f"unit: {unit}; {flows.computed_on(reach)}; a pod's own node always reaches it"
    if output == "csv":
        write = sys.stdout.buffer.write
        for chunk in flows.csv(reach, chosen):
            write(chunk.encode())
        click.echo(about, err=True)
    elif output == "json":
        import orjson

        sys.stdout.buffer.write(orjson.dumps(flows.document(reach, chosen), option=orjson.OPT_APPEND_NEWLINE))
    else:
        from evidence.cli.terminal import line

        listed = [tuple(map(line, row)) for row in flows.rows(reach, chosen)]
        widths = [max(map(len, column)) for column in zip(*[flows.HEADER, *listed], strict=True)][:2]
        for source, destination, ports in [flows.HEADER, *listed]:
            click.echo(f"{source:{widths[0]}}  {destination:{widths[1]}}  {ports}")
        click.echo(f"{len(listed)} flows; {about}")
    sys.stdout.flush()


@command.command("query")
@source_options
@click.option(
    "--queries", "queries_path", required=True, metavar="FILE", help="JSON list of queries; - for standard input."
)
def query(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    queries_path: str,
) -> None:
    """Answer a JSON list of queries with a JSON list of verdicts, in the same order.

    A query is {"from": "namespace/pod" or address, "to": the same, "protocol": "TCP", "port": 5432}, with "family" 4 or 6 to ask for one
    family. A workload's name stands for its pods. Each side of an answer names the deciding policy and rule, or "not isolated".
    """

    from evidence.reach.query import Answering, as_json, parse_queries

    if queries_path == "-" and "-" in from_paths:
        raise UsageError("standard input cannot hold both the queries and the cluster; give one of them as a file")
    queries = parse_queries(_decoded(queries_path))
    answering = Answering(_analysed(from_paths, db, cluster, at, keep_going))
    answers = [as_json(answering.answer(asked)) for asked in queries]
    write_json(answers)


def _decoded(path: str) -> object:
    """JSON of a file or of standard input."""
    from pathlib import Path

    import orjson

    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give the queries with --queries") from error
    try:
        decoded: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        where = "standard input" if path == "-" else path
        raise InputError(f"{where}:{error.lineno}: the queries are not JSON: {error.msg}") from None
    return decoded


def _analysed(
    from_paths: tuple[str, ...], db: str, cluster: str | None, at: datetime | None, keep_going: bool
) -> "Reachability":
    from evidence import pipeline
    from evidence.reach.engine import analyse

    if from_paths:  # no intent file is asked for, so nothing that reads one is loaded
        return keep(analyse(pipeline.load_cluster(from_paths, db=None, cluster=None, at=None, keep_going=keep_going)))
    from evidence.cli.reach_source import Source, stored

    return keep(analyse(stored(Source((), db, cluster, at, keep_going)).cluster))
