"""The `evidence` command: loads the command files lazily, reads settings, and turns errors into sentences and exit codes.

Exit codes: 0 good, 1 findings at the asked severity or a failed check, 2 usage, 3 could not do it.
Settings: flag > EVIDENCE_* variable > evidence.toml > default (click's own order; see `evidence/settings.py`).
"""

import gc
import sys
from typing import Any, NoReturn

import click

from evidence import __version__
from evidence.cli import USUAL_THRESHOLD
from evidence.cli.lazy import Later, LazyGroup
from evidence.cli.process import end
from evidence.errors import EvidenceError, UsageError
from evidence.settings import SETTINGS_FILE, bound, file_defaults

FAULT = "this is a fault of evidence itself"
COMMANDS = {
    "access": "Who may change the rules: policies, labels that zones hang on, rights.",
    "archive": "Build the auditor's index page over a folder of packs.",
    "assess": "Findings of a snapshot: table, JSON, SARIF or JUnit.",
    "clusters": "All clusters of the store: newest snapshot, overdue, partial, what is open.",
    "cni": "What the cluster's network plugin is and what it enforces.",
    "collect": "Take a snapshot of a cluster, or of manifests, into the store; or follow a cluster.",
    "controls": "List frameworks, controls, and which finding rule feeds which.",
    "db": "Migrate, check, describe, prune and move the store.",
    "demo": "The whole pipeline on the sample cluster, into a folder.",
    "diff": "What changed between two snapshots: objects, flows, findings, and who wrote.",
    "history": "A period's timeline: changes, findings, failed runs, and the time that nobody looked.",
    "import": "Take flow logs and audit logs into the store.",
    "keys": "Show or make the key that signs packs.",
    "probe": "Probes: test the computed result with real connections, few and chosen.",
    "reach": "Reachability: flows, paths, changes, assertions, and what decides.",
    "reassess": "Evaluate history again after a rule or mapping changed, of one cluster or of a fleet.",
    "report": "Assess a period, render and sign a pack, add it to the archive.",
    "schedule": "Collect, assess and report on a schedule, in one process.",
    "serve": "A read-only web application over the store, and its JSON API.",
    "verify": "Check a pack offline: every file, every signature, the log.",
}


@click.group(
    cls=LazyGroup,
    later={name: Later(f"evidence.cli.{name}", "command", line) for name, line in COMMANDS.items()},
    variables="EVIDENCE",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="evidence", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Signed, verifiable evidence of Kubernetes network segmentation.

    Start with `evidence demo`; then `evidence collect`, `evidence report`, `evidence verify`.
    """
    gc.set_threshold(*USUAL_THRESHOLD)
    ctx.obj = {"debug": debug}
    ctx.default_map = _defaults(ctx, ctx.invoked_subcommand)


def _defaults(ctx: click.Context, called: str | None) -> dict[str, Any]:
    """What the settings file says for the command that is called; what it says for others is theirs to check."""
    content = file_defaults()
    for name in content:
        if name not in COMMANDS:
            raise UsageError(
                f"{SETTINGS_FILE}: there is no command {name!r}; the tables are {', '.join(sorted(COMMANDS))}"
            )
    command = cli.get_command(ctx, called) if called in content and called else None
    return {called: bound(command, content[called], called)} if command and called else {}


def _fail(message: str, code: int) -> NoReturn:
    from evidence.cli.terminal import lines

    click.echo(f"evidence: {lines(message)}", err=True)
    sys.exit(code)


def _own_arguments() -> list[str]:
    """The arguments of a process that is there for this command: what was loaded so far is no garbage and need never be looked through."""
    gc.freeze()
    return sys.argv[1:]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the only place that catches EvidenceError, and what the operating system refused on the way."""
    given = _own_arguments() if arguments is None else arguments
    try:
        result = cli.main(args=given, prog_name="evidence", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if arguments is None:
            end(code)
        sys.exit(code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _fail("stopped", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) went away: nothing to say and nobody to say it to
        sys.exit(0)
    except EvidenceError as error:
        if "--debug" in given:
            raise
        _fail(str(error), error.exit_code)
    except OSError as error:  # a disk that is full, a folder that is read-only: nobody's mistake, and said as plainly
        if "--debug" in given:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", EvidenceError.exit_code)
    except Exception as error:  # a fault of this program's own, which a user should not have to read as a traceback
        if "--debug" in given:
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        _fail(f"{FAULT} ({what}); run the same with --debug first and report what it prints", EvidenceError.exit_code)
