"""`evidence probe plan`: which connections would test the computed result, what they cost and cover."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import F, source_options

if TYPE_CHECKING:
    from evidence.probe.model import Plan, Target

SHOWN = 20  # connections listed in the table; JSON has all


class TargetType(click.ParamType["Target"]):
    """A port of a host outside the cluster."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Target":
        from evidence.errors import UsageError
        from evidence.probe.model import Target
        from evidence.probe.targets import parse_target

        if isinstance(value, Target):
            return value
        try:
            return parse_target(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


def plan_options(command: F) -> F:
    """What a plan may use, and which of several equal plans it is."""
    for option in (
        click.option(
            "--target",
            "targets",
            multiple=True,
            type=TargetType(),
            metavar="ADDRESS:PORT[/PROTOCOL]",
            help="A host outside the cluster that may be probed, too; none is without it. Repeatable.",
        ),
        click.option("--not-in", "not_in", multiple=True, metavar="NAMESPACE", help="Run nothing there. Repeatable."),
        click.option("--pods", type=click.IntRange(2), default=60, show_default=True, help="Stand-in pods at most."),
        click.option(
            "--connections", type=click.IntRange(1), default=2000, show_default=True, help="Connections at most."
        ),
        click.option(
            "--seed",
            type=click.IntRange(0),
            help="Which of equally good pods and ports are taken; the same seed gives the same plan. Default: the day's date.",
        ),
    ):
        command = option(command)
    return command


@click.command("plan")
@source_options
@click.option(
    "--intent",
    type=click.Path(path_type=Path),
    help="segmentation.yaml with the zones; default the one kept with the snapshot.",
)
@plan_options
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def plan_command(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    targets: "tuple[Target, ...]",
    not_in: tuple[str, ...],
    pods: int,
    connections: int,
    seed: int | None,
    output: str,
) -> None:
    """Choose connections that test the computed result, and say what they cost and cover. Nothing runs.

    One connection speaks of a pair of pod classes (pods that no policy tells apart) and a group of ports (that no policy tells apart there).
    Pairs of zones come first, those that are to be open and those that are to be shut.
    """
    from evidence import pipeline
    from evidence.pipeline.probes import Wishes

    state = pipeline.load_state(from_paths, db=db, cluster=cluster, at=at, keep_going=keep_going, intent_path=intent)
    chosen = pipeline.plan_probes(state, Wishes(chosen_seed(seed), targets, pods, connections, not_in))
    if output == "json":
        from evidence.probe.document import plan_json

        write_json(plan_json(chosen))
        return
    for text in plan_lines(chosen, SHOWN):
        click.echo(text)


def chosen_seed(seed: int | None) -> int:
    """The seed given, or one that everybody gets on the same day."""
    from evidence.cli.options import now

    return int(f"{now():%Y%m%d}") if seed is None else seed


def plan_lines(plan: "Plan", most: int) -> Iterator[str]:
    """Cost, coverage and seed, then the first connections."""
    from evidence.cli.terminal import line

    cost, coverage = plan.cost, plan.coverage
    yield f"seed         {plan.seed}"
    yield f"cost         {cost.connections} connections, {cost.pods} short-lived pods at most, about {cost.seconds} s"
    yield f"computed     {coverage.allowed} pass, {coverage.denied} are stopped"
    yield f"class pairs  {coverage.pairs}"
    yield f"by ports     {coverage.cells}, between zones or namespaces {coverage.crossings}"
    yield f"zone pairs   {coverage.zone_pairs}"
    yield f"nodes        {coverage.nodes}"
    for left in coverage.left:
        yield line(f"not covered  {left.count} {left.what}: {left.reason}")
    yield ""
    for probe in plan.probes[:most]:
        at = "stand-in" if probe.stand_in else "real"
        yield line(f"{'pass' if probe.allowed else 'stop'}  {probe}  ({at})")
    if len(plan.probes) > most:
        yield f"and {len(plan.probes) - most} more; --format json has all"
