"""`evidence reach why`: the flows behind a finding, or between what a report names, and the rules that let them pass."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import now, source_options
from evidence.cli.reach_source import Source, analysed, intent_option, said
from evidence.errors import InputError, UsageError

if TYPE_CHECKING:
    from evidence.findings.finding import Finding
    from evidence.reach.engine import Flow, Reachability
    from evidence.reach.explain import SideReason
    from evidence.reach.why import FlowReasons

SHOWN = 20  # flows of the text; --all and JSON have every one
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_PART = re.compile(r" \(\d+ of \d+ pods: .*\)$")  # as rows of the matrix name a part of a workload


@click.command("why")
@click.argument("what", metavar="FINGERPRINT|FROM")
@click.argument("destination", metavar="[TO]", required=False)
@source_options
@intent_option
@click.option("--all", "show_all", is_flag=True, help=f"Every flow of the text, not the first {SHOWN}.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def why(
    what: str,
    destination: str | None,
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    show_all: bool,
    output: str,
) -> None:
    """Why flows are in a report: those behind a finding (its FINGERPRINT), or all from FROM to TO, each with the rules that let it pass.

    FROM and TO are as evidence.json and the tables name them: a zone or a namespace (zone:NAME, namespace:NAME where both have the name),
    namespace/workload, namespace/KIND/workload, namespace/pod, or a network. A finding is looked for in the same snapshot or files, with
    the same intent, as the report was made of.
    """
    source = Source(from_paths, db, cluster, at, keep_going, intent)
    finding: Finding | None = None
    if destination is None:
        reach, finding, flows, about = _behind(source, what)
    else:
        from evidence.reach.why import flows_between

        reach, names = analysed(source)
        try:
            start, end = (names.group(_PART.sub("", name)) for name in (what, destination))
        except InputError as error:
            raise UsageError(str(error)) from None
        flows, about = list(flows_between(reach, start, end)), f"flows from {start.name} to {end.name}"
    _write(reach, finding, flows, about, show_all, output)


def _behind(source: Source, fingerprint: str) -> "tuple[Reachability, Finding, list[Flow], str]":
    """The finding, and the flows that it is about."""
    from evidence import pipeline
    from evidence.findings.behind import behind, named
    from evidence.findings.registry import Context

    if not _FINGERPRINT.fullmatch(fingerprint):
        raise UsageError(
            f"{fingerprint!r} is not a finding's fingerprint (16 hexadecimal digits); give FROM and TO otherwise"
        )
    state = said(
        pipeline.load_state(
            source.from_paths,
            db=source.db,
            cluster=source.cluster,
            at=source.at,
            keep_going=source.keep_going,
            intent_path=source.intent,
        )
    )
    moment = source.at or now()
    moment = max(moment, state.taken_at or moment)
    assessed = pipeline.assess(state, at=moment)
    finding = named(assessed.assessment, fingerprint)
    if finding is None:
        raise InputError(
            f"no finding has the fingerprint {fingerprint} here; give the snapshot (--at) and the intent (--intent) of the report"
        )
    context = Context(
        cluster=assessed.reach.cluster,
        reach=assessed.reach,
        cni=assessed.cni,
        intent=state.intent,
        zones=assessed.zones,
        at=moment,
        taken_at=state.taken_at or moment,
    )
    found = behind(context, finding)
    return assessed.reach, finding, list(found.flows), found.about


def _write(
    reach: "Reachability",
    finding: "Finding | None",
    flows: "list[Flow]",
    about: str,
    show_all: bool,
    output: str,
) -> None:
    from evidence.reach.matrix import computed_on, peer_names
    from evidence.reach.why import why as reasons

    names = peer_names(reach)
    if output == "json":
        body = {
            "finding": None if finding is None else _finding(finding),
            "about": about,
            "computed_on": computed_on(reach),
            "flows": [
                {
                    "source": list(names[each.flow.source]),
                    "destination": list(names[each.flow.destination]),
                    "ports": str(each.flow.ports),
                    "reasons": [
                        {"ports": str(reason.ports), "egress": _side(reason.egress), "ingress": _side(reason.ingress)}
                        for reason in each.reasons
                    ],
                }
                for each in reasons(reach, flows)
            ],
        }
        write_json(body)
        return
    from evidence.cli.terminal import line

    if finding is not None:
        click.echo(line(f"{finding.rule_id} on {finding.subject}: {finding.message}"))
    shown = flows if show_all else flows[:SHOWN]
    for each in reasons(reach, shown):
        start, end = (", ".join(names[number]) for number in (each.flow.source, each.flow.destination))
        for text in _told(f"{start} → {end} {each.flow.ports}", each):
            click.echo(line(text))
    more = f", of which {SHOWN} are shown (--all for the rest)" if len(shown) < len(flows) else ""
    click.echo(line(f"{len(flows) or 'none'}: {about}{more}; {computed_on(reach)}"))


def _told(title: str, found: "FlowReasons") -> Iterator[str]:
    yield title
    for reason in found.reasons:
        only = f"{reason.ports}: " if len(found.reasons) > 1 else ""
        yield f"  {only}egress {reason.egress.reason}; ingress {reason.ingress.reason}"


def _finding(finding: "Finding") -> dict[str, Any]:
    return {
        "fingerprint": finding.fingerprint,
        "rule": finding.rule_id,
        "subject": str(finding.subject),
        "message": finding.message,
    }


def _side(side: "SideReason") -> dict[str, Any]:
    from evidence.reach.query import key_body

    return {
        "policy": None if side.policy is None else key_body(side.policy),
        "rule": side.rule or None,
        "reason": side.reason,
    }
