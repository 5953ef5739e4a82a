"""`evidence import flows`: a network plugin's flow log into the store."""

import sys
from typing import TYPE_CHECKING

import click

from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import database_option, now
from evidence.cli.terminal import line

if TYPE_CHECKING:
    from evidence.pipeline import Keeping
    from evidence.pipeline.imports import ImportedFlows

FORMATS = ("hubble", "calico", "netfilter", "ovn", "aws-vpc-cni", "antrea")


@click.command("flows")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--format", "format_name", type=click.Choice(FORMATS), required=True, help="What wrote the log.")
@click.option("--cluster", help="Cluster in the store; needed when there are several, or none yet.")
@click.option(
    "--keep-going", is_flag=True, help="Leave out lines that cannot be read; they are counted and the first few named."
)
@click.option(
    "--allowed-prefix",
    "allowed",
    multiple=True,
    metavar="TEXT",
    help="netfilter: prefix of rules that let packets pass; by default its words decide.",
)
@click.option(
    "--denied-prefix", "denied", multiple=True, metavar="TEXT", help="netfilter: prefix of rules that drop packets."
)
@keeping_options
@database_option
def command(
    paths: tuple[str, ...],
    format_name: str,
    cluster: str | None,
    keep_going: bool,
    allowed: tuple[str, ...],
    denied: tuple[str, ...],
    keeping: "Keeping",
    db: str,
) -> int:
    """Take a flow log into the store. PATH: files (gzip or plain), or - for standard input.

    Lines are gathered into flows between workloads. An address becomes a pod only where the snapshots around that time leave no doubt whose it was.
    `evidence assess` and `evidence report` then compare what was seen with what the policies say.

    Exit codes: 0 stored, 3 not stored.
    """
    from evidence.pipeline.imports import import_flows

    if (allowed or denied) and format_name != "netfilter":
        raise click.UsageError("--allowed-prefix and --denied-prefix are for --format netfilter")
    imported = import_flows(
        db,
        paths,
        format_name=format_name,
        cluster=cluster,
        stdin=sys.stdin.buffer,
        taken_in_at=now(),
        keep_going=keep_going,
        allowed_prefixes=allowed,
        denied_prefixes=denied,
    )
    _print(imported)
    keep_checkpoint(db, keeping)
    return 0


def _print(imported: "ImportedFlows") -> None:
    from evidence.findings.finding import count
    from evidence.observe.model import Outcome

    info, log = imported.info, imported.log
    click.echo(
        f"record {info.id} of {info.cluster}: {log.title}, {info.starts_at:%Y-%m-%dT%H:%M:%SZ} to {info.ends_at:%Y-%m-%dT%H:%M:%SZ}, "
        f"{count(log.lines, 'line')} of {count(len(log.files), 'file')}, digest {info.digest[:16]}"
    )
    parts = [f"{log.connections(outcome)} {outcome.value}" for outcome in Outcome if log.connections(outcome)]
    click.echo(
        f"{count(len(log.flows), 'flow')} between workloads and addresses, counted day by day; connections: {', '.join(parts)}"
    )
    for why, number in log.left_out.items():
        click.echo(f"left out: {number} {why}")
    if nameless := log.nameless:
        click.echo(f"of {count(nameless, 'flow')} no snapshot around that time says which pod had the private address")
    for loss in log.losses:
        click.echo(f"lost: {line(loss)}", err=True)
    for file in log.files:
        for named in file.named:
            click.echo(f"unread: {line(named)}", err=True)
