"""`evidence reach check FLOWS.yaml`: what must be allowed and what must be denied, for a pipeline."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import source_options
from evidence.cli.reach_source import Source, analysed, intent_option
from evidence.errors import InputError

if TYPE_CHECKING:
    from evidence.reach.checks import Result, Violation
    from evidence.reach.flowfile import FlowFile

SHOWN = 10  # violations of one assertion in the table; the other formats have every one
WIDTH = 14  # of the outcome's column
OWN_NODE = "a pod's own node always reaches it, which no policy governs and no assertion counts"


@click.command("check")
@click.argument("flows", type=click.Path(path_type=Path), metavar="FLOWS")
@source_options
@intent_option
@click.option("--allow-undetermined", is_flag=True, help="Exit 0 although assertions are not determined.")
@click.option(
    "--format", "output", type=click.Choice(["table", "json", "junit", "sarif"]), default="table", show_default=True
)
def check(
    flows: Path,
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    allow_undetermined: bool,
    output: str,
) -> int:
    """Whether the assertions of FLOWS hold: a YAML file with must_allow and must_deny (docs/flows.md).

    Exit 1 when one fails, or is not determined: an assertion that hangs on something unknown has not been shown.
    """
    from evidence.reach.checks import Outcome
    from evidence.reach.checks import check as checked
    from evidence.reach.flowfile import parse_flows
    from evidence.reach.matrix import computed_on

    try:
        data = flows.read_bytes()
    except OSError as error:
        raise InputError(f"{flows}: cannot be read: {error.strerror}; give the file of assertions") from error
    file = parse_flows(data, str(flows))
    reach, names = analysed(Source(from_paths, db, cluster, at, keep_going, intent), file.networks)
    results = checked(reach, names, file)
    match output:
        case "json":
            body = {"computed_on": computed_on(reach), "results": [as_json(result, file) for result in results]}
            write_json(body)
        case "junit":
            from evidence.cli.reach_check_output import junit

            sys.stdout.buffer.write(junit(results, file, skip_undetermined=allow_undetermined))
        case "sarif":
            from evidence.cli.reach_check_output import sarif

            sys.stdout.buffer.write(sarif(results, file))
        case _:
            for text in _table(results):
                click.echo(text)
            click.echo(f"{computed_on(reach)}; {OWN_NODE}")
    sys.stdout.flush()
    bad = {Outcome.FAILED} if allow_undetermined else {Outcome.FAILED, Outcome.UNDETERMINED}
    return 1 if any(result.outcome in bad for result in results) else 0


def _table(results: "Sequence[Result]") -> Iterator[str]:
    from evidence.cli.terminal import line

    width = max((len(result.assertion.id) for result in results), default=0)
    for result in results:
        assertion = result.assertion
        yield line(
            f"{result.outcome.value:{WIDTH}}  {assertion.id:{width}}  {assertion.must.value:10}  {assertion.text}"
        )
        for violation in result.violations[:SHOWN]:
            yield line(f"{'':{WIDTH}}  {violation}")
            for reason in violation.because:
                yield line(f"{'':{WIDTH}}    {reason}")
        if len(result.violations) > SHOWN:
            yield f"{'':{WIDTH}}  and {len(result.violations) - SHOWN} more (--format json)"
        for reason in result.reasons:
            yield line(f"{'':{WIDTH}}  {reason}")
    counted = Counter(result.outcome.value for result in results)
    yield ", ".join(f"{number} {word}" for word, number in sorted(counted.items())) or "no assertions"


def as_json(result: "Result", file: "FlowFile") -> dict[str, Any]:
    """A result with its assertion."""
    assertion = result.assertion
    return {
        "id": assertion.id,
        "must": assertion.must.value,
        "from": [str(end) for end in assertion.source],
        "to": [str(end) for end in assertion.destination],
        "ports": str(assertion.ports),
        "indirectly": assertion.indirectly,
        "why": assertion.why,
        "where": f"{file.source}:{assertion.line}",
        "outcome": result.outcome.value,
        "violations": [_violation(violation) for violation in result.violations],
        "reasons": list(result.reasons),
    }


def _violation(violation: "Violation") -> dict[str, Any]:
    return {
        "from": violation.source,
        "to": violation.destination,
        "ports": str(violation.ports),
        "because": list(violation.because),
    }
