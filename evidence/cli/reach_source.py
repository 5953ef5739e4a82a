"""What several commands of `evidence reach` read: a cluster, analysed, with the declared zones under their names."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.options import F
from evidence.cli.process import keep

if TYPE_CHECKING:
    from evidence.cluster.model import Cluster, IPNetwork
    from evidence.intent.model import Intent
    from evidence.pipeline import State
    from evidence.reach.engine import Reachability
    from evidence.reach.groups import Names


@dataclass(frozen=True, slots=True)
class Source:
    """The options that say which cluster is meant."""

    from_paths: tuple[str, ...]
    db: str
    cluster: str | None
    at: datetime | None
    keep_going: bool
    intent: Path | None = None


def intent_option(command: F) -> F:
    """`--intent FILE`, where zones may be named."""
    return click.option(
        "--intent",
        type=click.Path(path_type=Path),
        help="segmentation.yaml with the zones; default the one kept with the snapshot.",
    )(command)


def stored(source: Source) -> "State":
    """The snapshot of the store that is meant. Raises UsageError when there is none at or before the time asked for."""
    from evidence import pipeline

    return said(
        pipeline.load_state(
            (),
            db=source.db,
            cluster=source.cluster,
            at=source.at,
            keep_going=source.keep_going,
            intent_path=source.intent,
        )
    )


def said(state: "State") -> "State":
    """The state. Which snapshot it is goes to standard error: of a time that is asked for it is the newest one until then."""
    info = state.info
    if info is not None:
        from evidence.cli.terminal import line

        claimed = ", as claimed" if info.taken_at_claimed else ""
        click.echo(
            line(f"snapshot {info.id} of {info.cluster}, taken {info.taken_at:%Y-%m-%d %H:%M:%S} UTC{claimed}"),
            err=True,
        )
    return state


def read(source: Source) -> "tuple[Cluster, Intent | None]":
    """The cluster and what its owner declares."""
    if not source.from_paths:
        state = stored(source)
        return state.cluster, state.intent
    from evidence import pipeline
    from evidence.pipeline.sources import parsed_intent, read_intent

    declared = parsed_intent(read_intent(source.intent), str(source.intent))
    found = pipeline.load_cluster(source.from_paths, db=None, cluster=None, at=None, keep_going=source.keep_going)
    return found, declared


def analysed(source: Source, networks: "Iterable[IPNetwork]" = ()) -> "tuple[Reachability, Names]":
    """The analysed cluster and its names. `networks` that somebody asks about cut the outside, as the zones' do."""
    from evidence.reach.engine import analyse

    cluster, intent = read(source)
    zones = intent.zones if intent else ()
    reach = analyse(cluster, extra_networks=[*(network for zone in zones for network in zone.cidrs), *networks])
    return keep(reach), names(reach, intent)


def names(reach: "Reachability", intent: "Intent | None") -> "Names":
    """Names in a cluster whose outside was cut by the zones' networks."""
    from evidence.intent.zones import assign
    from evidence.pipeline.states import names_in

    return names_in(reach, assign(intent, reach.cluster), intent)
