"""`evidence import`: logs into the store."""  # noqa: N999  (the command's name)

import click

from evidence.cli.lazy import Later, LazyGroup

_LATER = {
    "audit": Later("evidence.cli.import_audit", "command", "An API server's audit log: who changed what."),
    "flows": Later(
        "evidence.cli.import_flows", "command", "A network plugin's flow log: what connected, what was denied."
    ),
}


@click.group("import", cls=LazyGroup, later=_LATER, variables="EVIDENCE_IMPORT")
def command() -> None:
    """Take logs into the store, as evidence beside the snapshots.

    Each import is one record: whole or not at all, with the files' digests, the time covered, and what the source admits to have lost.
    """
