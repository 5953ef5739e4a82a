"""`evidence cni`: what the cluster's network plugin is, what it enforces, and on which nodes it is healthy."""

import sys
from collections.abc import Iterator
from datetime import datetime

import click

from evidence.cli.options import source_options
from evidence.cli.terminal import columns, line, wrapped
from evidence.cni.model import CniReport, DetectedPlugin, Enforcement

ITEM, FACT = 4, 11  # columns at which later lines of a paragraph begin: below an item of a list, below a plugin's fact


@click.command("cni")
@source_options
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--require-enforced", is_flag=True, help="Exit 1 unless enforcement is shown on every node with pods.")
def command(
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    output: str,
    require_enforced: bool,
) -> int:
    """What the cluster's network plugin is, what it enforces, and on which nodes it is healthy.

    The answer is a claim by name and version: only a probe or a flow log shows that packets are stopped.

    Exit codes: 0 the report could be made, whatever it says; 1 with --require-enforced when it is anything but "enforced".
    """
    from evidence import pipeline
    from evidence.cni.detect import detect

    report = detect(pipeline.load_cluster(from_paths, db=db, cluster=cluster, at=at, keep_going=keep_going))
    if output == "json":
        from evidence.cni.document import as_json

        sys.stdout.buffer.write(as_json(report))
        sys.stdout.flush()
    else:
        for text in table(report, columns()):
            click.echo(text)
    return 1 if require_enforced and report.enforcement is not Enforcement.ENFORCED else 0


def table(report: CniReport, width: int) -> Iterator[str]:
    """The verdict with its reasons, the plugins, what each makes of every policy feature, and what none of them covers.

    Sentences are wrapped at `width` columns; rows of features are not, for they would no longer be rows.
    """
    yield f"{report.enforcement.value}"
    yield from (wrapped(f"  {reason}", width, ITEM) for reason in report.reasons)
    for plugin in report.plugins:
        yield ""
        yield from _plugin(plugin, width)
    if any(plugin.found for plugin in report.plugins):
        yield ""
        yield from _features([plugin for plugin in report.plugins if plugin.found])
    yield ""
    unready = ", ".join(report.unhealthy_nodes) or ("none" if _health_known(report) else "not known")
    yield wrapped(f"nodes without a ready agent: {unready}", width, ITEM)
    yield "not covered by any enforcer here:" + ("" if report.uncovered else " nothing that is visible")
    yield from (wrapped(f"  {text}", width, ITEM) for text in report.uncovered)


def _plugin(plugin: DetectedPlugin, width: int) -> Iterator[str]:
    enforces = {True: "enforces policies", False: "does not enforce policies", None: "enforcement not shown"}
    found = enforces[plugin.enforces] if plugin.found else "traces only, no running agent"
    yield wrapped(f"{plugin.title}: {found}", width, ITEM)
    if plugin.agent is not None:
        yield wrapped(f"  agent    {plugin.agent}", width, FACT)
    if plugin.agent_ready is not None:
        yield f"  ready    on {plugin.agent_ready} of {plugin.agent_desired} nodes"
    if plugin.mode:
        yield wrapped(f"  mode     {plugin.mode}", width, FACT)
    if plugin.traits:
        yield wrapped(f"  set up   {'; '.join(plugin.traits)}", width, FACT)
    if plugin.softened:
        yield wrapped(f"  weaker   {'; '.join(plugin.softened)}", width, FACT)
    yield wrapped(f"  seen by  {'; '.join(str(signal) for signal in plugin.signals)}", width, FACT)


def _features(plugins: list[DetectedPlugin]) -> Iterator[str]:
    """One row a feature, one column a plugin."""
    heads = [line(plugin.title) for plugin in plugins]
    names = list(plugins[0].features)
    width = max(len(name) for name in names)
    yield f"{'feature':{width}}  {'  '.join(heads)}".rstrip()
    for name in names:
        cells = [f"{plugin.features[name].value:{len(head)}}" for plugin, head in zip(plugins, heads, strict=True)]
        yield f"{name:{width}}  {'  '.join(cells)}".rstrip()


def _health_known(report: CniReport) -> bool:
    return bool(report.enforcers) and all(plugin.agent_ready is not None for plugin in report.enforcers)
