"""`evidence reach explain`: which rule decides one connection, what the others say, and what would turn the verdict."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import source_options
from evidence.cli.reach_source import Source, read
from evidence.errors import InputError, UsageError

if TYPE_CHECKING:
    from evidence.cluster.model import Protocol


@click.command("explain")
@click.argument("source")
@click.argument("destination")
@click.argument("port", metavar="PORT[/PROTOCOL]")
@source_options
@click.option("--family", type=click.Choice(["4", "6"]), help="Addresses of this family only.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(
    source: str,
    destination: str,
    port: str,
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    family: str | None,
    output: str,
) -> None:
    """Whether SOURCE may connect to PORT of DESTINATION, which rule decides on each side, and what would turn the verdict.

    SOURCE and DESTINATION are namespace/pod, namespace/workload or an outside address; PORT is a number, with /UDP or /SCTP if not TCP.
    Every policy that selects a pod is named, also where it does not match and why. The JSON's schema is part of the package.
    """
    from evidence.reach import told
    from evidence.reach.engine import analyse
    from evidence.reach.query import Answering, Query, checked_port

    number, protocol = _port(port)
    try:
        checked_port(number, "explain")
    except InputError as error:
        raise UsageError(str(error)) from None
    asked = Query(source, destination, protocol, number, int(family) if family else None, "explain")
    found, _ = read(Source(from_paths, db, cluster, at, keep_going))
    account = Answering(analyse(found)).explained(asked)
    if output == "json":
        body = {**told.document(account), "from": source, "to": destination}
        write_json(body)
        return
    from evidence.cli.terminal import line

    for text in told.text(account):
        click.echo(line(text))


def _port(text: str) -> "tuple[int, Protocol]":
    from evidence.cluster.model import Protocol

    number, _, protocol = text.partition("/")
    protocol = protocol.upper() or Protocol.TCP.value
    if not number.isdecimal() or protocol not in set(Protocol):
        raise UsageError(f"PORT {text!r} is not a port such as 5432, 53/UDP or 3868/SCTP")
    return int(number), Protocol(protocol)
