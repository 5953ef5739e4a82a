"""`evidence probe run` and `evidence probe clean`: connections really tried, and what killed runs left behind."""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from evidence.cli.json_output import write_json
from evidence.cli.keeping import keep_checkpoint, keeping_options
from evidence.cli.options import F, database_option, now
from evidence.cli.probe_plan import SHOWN, chosen_seed, plan_lines, plan_options

if TYPE_CHECKING:
    from evidence.pipeline import Keeping
    from evidence.probe.model import Plan, ProbeRun, Result, Target

TERMINATED = 143  # 128 + SIGTERM


def connection_options(command: F) -> F:
    """Which live cluster, and as whom."""
    for option in (
        click.option("--as", "impersonate", metavar="USER", help="Impersonate a user."),
        click.option("--in-cluster", is_flag=True, help="Use the service account of the pod this runs in."),
        click.option(
            "--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig file; default as kubectl finds it."
        ),
        click.option("--context", help="Context of the kubeconfig; default its current one."),
    ):
        command = option(command)
    return command


@click.command("run")
@connection_options
@click.option("--cluster", help="Name of the cluster in the store; default the context's cluster.")
@click.option(
    "--intent", type=click.Path(path_type=Path), help="The owner's segmentation.yaml, kept with the snapshot."
)
@plan_options
@click.option(
    "--image",
    help="The probe's image; default the project's own of this version, which has to be on the nodes already.",
)
@click.option(
    "--with",
    "how",
    type=click.Choice(["auto", "pods", "ephemeral"]),
    default="auto",
    show_default=True,
    help="What sends: stand-in pods, or ephemeral containers in the real pods where allowed (auto, ephemeral).",
)
@keeping_options
@database_option
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def run_command(
    context: str | None,
    kubeconfig: Path | None,
    in_cluster: bool,
    impersonate: str | None,
    cluster: str | None,
    intent: Path | None,
    targets: "tuple[Target, ...]",
    not_in: tuple[str, ...],
    pods: int,
    connections: int,
    seed: int | None,
    image: str | None,
    how: str,
    keeping: "Keeping",
    db: str,
    output: str,
) -> int:
    """Take a snapshot, choose connections as `evidence probe plan` does, try them for real, and keep what was seen.

    The plan comes first, on standard error. Stand-in pods bear the labels of the pods that they stand for, are never Ready, and are removed
    in the end; what a killed run leaves ends by itself and is removed by the next run. An ephemeral container ends too, but Kubernetes
    keeps its entry in the pod until the pod goes: --with pods leaves nothing at all.

    Exit codes: 0 nothing contradicts what was computed, 1 something does, 3 the probes could not be run, or none decided anything.
    """
    from evidence import pipeline
    from evidence.pipeline.probes import IMAGE, Wishes
    from evidence.probing.run import With

    signal.signal(signal.SIGTERM, _terminated)
    run = pipeline.run_probes(
        db,
        pipeline.LiveSource(context, str(kubeconfig) if kubeconfig else None, in_cluster, impersonate),
        Wishes(chosen_seed(seed), targets, pods, connections, not_in),
        cluster=cluster,
        intent_path=intent,
        image=image or IMAGE,
        how=With(how),
        clock=now,
        show=_show,
        note=_note,
    )
    if output == "json":
        from evidence.probe.document import run_json

        write_json(run_json(run))
    else:
        for text in run_lines(run):
            click.echo(text)
    keep_checkpoint(db, keeping, err=output == "json")
    return exit_code(run)


@click.command("clean")
@connection_options
@click.option("--all", "everything", is_flag=True, help="Also the pods of runs that may still go on.")
def clean_command(
    context: str | None, kubeconfig: Path | None, in_cluster: bool, impersonate: str | None, everything: bool
) -> None:
    """Remove the pods of probe runs that were killed: their time is over, or the process that made them is dead."""
    from evidence import pipeline
    from evidence.cli.terminal import line

    source = pipeline.LiveSource(context, str(kubeconfig) if kubeconfig else None, in_cluster, impersonate)
    removed = pipeline.clean_probes(source, everything=everything, now=now())
    for name in removed:
        click.echo(line(f"removed {name}"))
    if not removed:
        click.echo("nothing to remove")


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End by way of every `finally`, so that the pods go."""
    sys.exit(TERMINATED)


def _note(text: str) -> None:
    from evidence.cli.terminal import line

    click.echo(line(text), err=True)


def _show(plan: "Plan") -> None:
    for text in plan_lines(plan, SHOWN):
        click.echo(text, err=True)


def exit_code(run: "ProbeRun") -> int:
    """1 for a contradiction, 3 when nothing could be determined at all."""
    from evidence.probe.model import Judgement

    tests = run.tests
    if tests[Judgement.CONTRADICTS]:
        return 1
    return 0 if tests[Judgement.AGREES] else 3


def run_lines(run: "ProbeRun") -> Iterator[str]:
    """How many agree, then every contradiction with both its sides, then why others decide nothing."""
    from evidence.cli.terminal import line
    from evidence.probe.model import Judgement

    tests = run.tests
    yield (
        f"probe run {run.id} of {run.cluster}: {len(run.results)} connections, {tests[Judgement.AGREES]} as computed, "
        f"{tests[Judgement.CONTRADICTS]} not, {tests[Judgement.NOT_DETERMINED]} not determined (seed {run.seed})"
    )
    for result in run.results:
        if result.judgement is Judgement.CONTRADICTS:
            yield from map(line, told(result))
    late = [result.passed_ms for result in run.results if result.passed_ms]
    if late:
        yield f"late            {len(late)} denied connections passed for up to {max(late)} ms after the start of a new pod"
    why = Counter(result.reason for result in run.results if result.judgement is Judgement.NOT_DETERMINED)
    for reason, count in sorted(why.items()):
        yield line(f"not determined  {count}: {reason}")


def told(result: "Result") -> Iterator[str]:
    """A result with both its sides: what was computed, and the packets."""
    from evidence.findings.finding import count

    probe = result.probe
    verdict = "passes" if probe.allowed else "is stopped"
    yield f"CONTRADICTS  {probe} ({result.outcome.value})"
    yield f"  computed: it {verdict}; source {probe.egress}; destination {probe.ingress}"
    if result.tried:
        attempts = count(result.tried.attempts, "attempt")
        yield f"  seen: {attempts} from {result.source_address} to {result.destination_address}; the last {result.tried.last}"
    yield f"  controls: source: {result.source_control}; listener: {result.listener_control}"
