"""`evidence probe`: the computed result tested with real connections, few and chosen."""

import click

from evidence.cli.lazy import Later, LazyGroup

_LATER = {
    "clean": Later("evidence.cli.probe_run", "clean_command", "Remove the pods of probe runs that were killed."),
    "plan": Later(
        "evidence.cli.probe_plan", "plan_command", "Choose connections and say what they cost and cover; nothing runs."
    ),
    "run": Later("evidence.cli.probe_run", "run_command", "Try the connections for real and keep what was seen."),
}


@click.group("probe", cls=LazyGroup, later=_LATER, variables="EVIDENCE_PROBE")
def command() -> None:
    """Test the computed result with real connections, few and chosen.

    What is seen becomes evidence: it backs what was computed, or contradicts it.
    """
