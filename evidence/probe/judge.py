"""From packets to judgements: a negative counts only beside a positive control.

1. A connection that passes has passed: no control is needed to contradict a computed denial.
2. One that does not pass says something only when the source is known to work and somebody is known to listen. A source works when the
   kubelet reached it (its own node is let through by every enforcer), or when anything else answered it. Somebody listens at a real
   pod when any source got through to that port in the same run; at a stand-in when it said so, the kubelet reached it, and it lived to the end.
3. Refused where somebody listens was refused on the way. Refused where nobody is known to is no listener: an enforcer that answers with a
   reset looks the same, so it decides nothing.
4. A connection that passed at first and was stopped later shows a policy that was not yet in force for a new pod: it agrees in the end, and
   how long it passed is kept.
5. Where policies of kinds that are not evaluated, or that could not be listed, may explain a contradiction, there is none.
6. What was computed is what policies say of the pods that really took part. Where that changed while the probes ran, nothing is decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evidence.probe.model import Judgement, Outcome, Planned, Result, Seen, Tried
from evidence.probe.ran import Ran, SourceRan, StandInRan

Spot = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Expected:
    """What policies say of one probe as it ran. `unsure`: why that is not certain, "" when it is; `doubt`: what else could explain a
    contradiction, such as policies that are not evaluated."""

    allowed: bool
    egress: str
    ingress: str
    unsure: str = ""
    doubt: str = ""


def judge(probes: Sequence[Planned], expected: Mapping[int, Expected], ran: Ran) -> tuple[Result, ...]:
    """A result for every probe, in their order."""
    heard = _heard(probes, ran)
    return tuple(_result(probe, expected[probe.number], ran, heard) for probe in probes)


def _heard(probes: Sequence[Planned], ran: Ran) -> Mapping[Spot, str]:
    """For each real port to which some source got through, that source."""
    heard: dict[Spot, str] = {}
    for probe in probes:
        tried = (ran.sources[probe.source.name].tried or {}).get(probe.number)
        if tried and not probe.stand_in and Seen.OPEN in (tried.first.seen, tried.last.seen):
            heard.setdefault(_spot(probe), probe.source.name)
    return heard


def _spot(probe: Planned) -> Spot:
    return probe.destination.name, probe.protocol.value, probe.port


def _result(probe: Planned, expected: Expected, ran: Ran, heard: Mapping[Spot, str]) -> Result:
    source = ran.sources[probe.source.name]
    stand_in = ran.stand_ins.get(probe.destination.name) if probe.stand_in else None
    tried = (source.tried or {}).get(probe.number)
    works, source_control = _source_works(source)
    listens, listener_control = _stand_in_listens(probe, stand_in) if probe.stand_in else _listens(probe, heard)
    outcome, reason = _outcome(probe, source, stand_in, tried, listens)
    judgement, why = _judgement(outcome, expected, works, listens)
    reason = reason or why
    passed_ms = 0
    if tried and not expected.allowed and judgement is Judgement.AGREES and tried.first.seen is Seen.OPEN:
        passed_ms = tried.last.at_ms
        reason = f"passed for {passed_ms} ms after the probe's start, before it was stopped"
    return Result(
        probe=_as_ran(probe, expected),
        by=source.by,
        source_address=source.address,
        destination_address=stand_in.address if stand_in else ran.addresses.get(probe.destination.name, ""),
        tried=tried,
        source_control=source_control,
        listener_control=listener_control,
        outcome=outcome,
        judgement=judgement,
        reason=reason,
        passed_ms=passed_ms,
    )


def _as_ran(probe: Planned, expected: Expected) -> Planned:
    return replace(probe, allowed=expected.allowed, egress=expected.egress, ingress=expected.ingress)


# -- controls ---------------------------------------------------------------------------------------------------------


def _source_works(source: SourceRan) -> tuple[bool, str]:
    if source.reached_from:
        return True, f"its node reached it from {source.reached_from}"
    answered = next(
        (
            tried
            for tried in (source.tried or {}).values()
            if tried.last.seen in (Seen.OPEN, Seen.REFUSED) or (tried.last.seen is Seen.REJECTED and tried.last.icmp)
        ),
        None,
    )
    if answered:
        return True, "another of its connections was answered"
    return False, "nothing shows that its network works"


def _listens(probe: Planned, heard: Mapping[Spot, str]) -> tuple[bool, str]:
    by = heard.get(_spot(probe))
    return (
        (True, f"{by} got through to it")
        if by
        else (False, "no source got through to it, so nothing shows that anybody listens")
    )


def _stand_in_listens(probe: Planned, stand_in: StandInRan | None) -> tuple[bool, str]:
    if stand_in is None or stand_in.error:
        return False, stand_in.error if stand_in else "there was no stand-in"
    failed = (stand_in.failed or {}).get(f"{probe.protocol.value}/{probe.port}")
    if failed:
        return False, f"the stand-in could not listen: {failed}"
    if not stand_in.started:
        return False, "its node did not reach the stand-in"
    if not stand_in.alive:
        return False, "the stand-in ended before the sources did"
    return True, "its node reached the stand-in, which listened to the end"


# -- judgement --------------------------------------------------------------------------------------------------------


def _outcome(
    probe: Planned, source: SourceRan, stand_in: StandInRan | None, tried: Tried | None, listens: bool
) -> tuple[Outcome, str]:
    """What was seen, and why it may decide nothing."""
    if probe.stand_in and (stand_in is None or stand_in.error):
        return Outcome.UNCLEAR, f"no stand-in: {stand_in.error if stand_in else 'none was made'}"
    if tried is None:
        return Outcome.SOURCE_FAILED, source.error or "the source did not tell of this connection"
    match tried.last.seen:
        case Seen.OPEN:
            return Outcome.OPEN, ""
        case Seen.RESET if not probe.stand_in:
            return Outcome.RESET, ""
        case Seen.RESET:
            return (
                Outcome.UNCLEAR,
                "connected and was reset without the stand-in's answer: something between them answers",
            )
        case Seen.REFUSED:
            return (Outcome.REFUSED, "") if listens else (Outcome.NO_LISTENER, "")
        case Seen.REJECTED | Seen.SILENT:
            return Outcome.FILTERED, ""
        case Seen.FAILED:
            return Outcome.SOURCE_FAILED, f"the source could not send: {tried.last.detail}"
        case Seen.CANNOT:
            return Outcome.UNCLEAR, f"the source's node does not do {probe.protocol.value}: {tried.last.detail}"
        case Seen.FOREIGN:
            return Outcome.UNCLEAR, "something other than the stand-in answered for it"


def _judgement(outcome: Outcome, expected: Expected, works: bool, listens: bool) -> tuple[Judgement, str]:
    if outcome in (Outcome.UNCLEAR, Outcome.SOURCE_FAILED):
        return Judgement.NOT_DETERMINED, ""
    if expected.unsure:
        return Judgement.NOT_DETERMINED, expected.unsure
    if outcome in (Outcome.OPEN, Outcome.RESET):
        return (Judgement.AGREES, "") if expected.allowed else _contradicted(expected)
    if outcome is Outcome.NO_LISTENER:
        return Judgement.NOT_DETERMINED, "refused, and nobody is known to listen there"
    if not works:
        return Judgement.NOT_DETERMINED, "no answer, and nothing shows that the source's network works"
    if not listens:
        return Judgement.NOT_DETERMINED, "no answer, and nothing shows that anybody listens there"
    return _contradicted(expected) if expected.allowed else (Judgement.AGREES, "")


def _contradicted(expected: Expected) -> tuple[Judgement, str]:
    if expected.doubt:
        return Judgement.NOT_DETERMINED, f"not as computed, which {expected.doubt} could explain"
    return Judgement.CONTRADICTS, ""
