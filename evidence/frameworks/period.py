"""The result over a period: that of its worst snapshot, and less where the snapshots do not show the period.

1. Refuted is worse than not determined, that worse than supported.
2. Supported takes every snapshot. Where the control did not apply in some, what is declared changed, and what it covers now was not looked at
   then: not determined.
3. Supported takes snapshots that cover at least half of the period (`LEAST_SHARE`); below it the period was not shown, whatever they say: not
   determined. Gaps above that change no result and are the first thing that a supported result says.
4. Supported takes snapshots that are all still there. What a prune dropped was seen once and may have refuted: not determined.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from evidence.findings.finding import count
from evidence.frameworks.coverage import Coverage
from evidence.frameworks.model import ControlResult, Verdict

SHOWN_TIMES = 4
LEAST_SHARE = 0.5  # of a period, in which snapshots vouch for it

History = Sequence[
    tuple[Sequence[datetime], ControlResult]
]  # each result with the times of the snapshots in a row that gave it


def worst(
    snapshots: Sequence[tuple[datetime, Sequence[ControlResult]]],
    covered: Coverage | None = None,
    intents: Sequence[str] = (),
    gone: str = "",
) -> tuple[ControlResult, ...]:
    """For each control the worst result over a period's snapshots (time taken and results, oldest first), in the first's order.

    The reasons are those of the newest snapshot with the worst result, after sentences that say which snapshots it was and, of a supported
    one, what they leave open; the weakest strength counts; findings are those of all snapshots. `covered`: how far the snapshots cover the
    period, None for wholly; `intents`: the digest of each snapshot's intent file; `gone`: a sentence on snapshots of the period whose content
    was dropped by retention, "" for none.
    """
    if not snapshots:
        return ()
    by_control: dict[str, list[tuple[list[datetime], ControlResult]]] = {}
    in_a_row: list[datetime] = []
    before: Sequence[ControlResult] | None = None
    for taken_at, results in snapshots:
        if results is before:  # a year of snapshots gives few different ones
            in_a_row.append(taken_at)
            continue
        before, in_a_row = results, [taken_at]
        for result in results:
            by_control.setdefault(result.control_id, []).append((in_a_row, result))
    times = [taken_at for taken_at, _ in snapshots]
    redeclared = [at for at, one, other in zip(times[1:], intents, intents[1:], strict=False) if one != other]
    return tuple(_worst(history, len(snapshots), covered, redeclared, gone) for history in by_control.values())


def _worst(
    history: History, number: int, covered: Coverage | None, redeclared: Sequence[datetime], gone: str
) -> ControlResult:
    verdict = max((result.verdict for _, result in history), key=lambda verdict: verdict.rank)
    bad = [(times, result) for times, result in history if result.verdict is verdict]
    bad_times = [taken_at for times, _ in bad for taken_at in times]
    newest = bad[-1][1]
    decisive = tuple(dict.fromkeys(fingerprint for _, result in history for fingerprint in result.findings))
    related = dict.fromkeys(fingerprint for _, result in history for fingerprint in result.related)
    strengths = [result.strength for _, result in bad if result.strength is not None]
    said = [] if verdict in (Verdict.NOT_ASSESSED, Verdict.NOT_APPLICABLE) else [_when(verdict, bad_times, number)]
    if verdict is Verdict.SUPPORTED:
        doubts = [*([gone] if gone else []), *_not_applied(history), *_not_covered(covered, len(bad_times))]
        said = [*doubts, *_gaps(covered, len(bad_times)), *said, *_redeclared(redeclared)]
        if doubts:
            verdict, strengths = Verdict.NOT_DETERMINED, []
    return ControlResult(
        control_id=newest.control_id,
        verdict=verdict,
        strength=min(strengths, key=lambda strength: strength.rank) if strengths else None,
        reasons=(*said, *newest.reasons),
        findings=decisive,
        related=tuple(fingerprint for fingerprint in related if fingerprint not in decisive),
        also_needed=newest.also_needed,
    )


def _when(verdict: Verdict, bad: Sequence[datetime], number: int) -> str:
    times = [_time(taken_at) for taken_at in bad[-SHOWN_TIMES:]]
    if len(bad) == number:
        which = f"in each of {number} snapshots" if number > 1 else "in the one snapshot"
        return f"{verdict.value} {which}; the reasons are those of {times[-1]}"
    listed = ", ".join(times)
    more = "the newest of these: " if len(bad) > SHOWN_TIMES else ""
    return f"{verdict.value} in {len(bad)} of {number} snapshots ({more}{listed}); the reasons are those of {times[-1]}"


def _not_applied(history: History) -> Iterator[str]:
    """The snapshots in which a control did not apply that is supported in others."""
    others = [(times, result) for times, result in history if result.verdict is not Verdict.SUPPORTED]
    if others:
        times, result = others[-1]
        number, of = (sum(len(times) for times, _ in each) for each in (others, history))
        why = f": {result.reasons[0]}" if result.reasons else ""
        yield (
            f"{result.verdict.value} in {number} of {of} snapshots, the newest of them {_time(times[-1])}{why}; what is declared "
            "changed within the period, so that support was not shown for all of it"
        )


def _not_covered(covered: Coverage | None, snapshots: int) -> Iterator[str]:
    if covered is not None and covered.share < LEAST_SHARE:
        yield (
            f"{_held(covered, snapshots)}: less than {LEAST_SHARE:.0%} of a period that somebody looked at supports nothing for the period; report a "
            "shorter one, or say with --expect-every how long a snapshot vouches"
        )


def _gaps(covered: Coverage | None, snapshots: int) -> Iterator[str]:
    """What the snapshots of a supported control leave open."""
    if covered is None or not covered.gaps:
        return
    longest = sorted(covered.gaps, key=lambda gap: gap.end - gap.start, reverse=True)[:SHOWN_TIMES]
    listed = ", ".join(f"{_time(gap.start)} to {_time(gap.end)}" for gap in sorted(longest, key=lambda gap: gap.start))
    more = "the longest of these: " if len(covered.gaps) > SHOWN_TIMES else ""
    held = "" if covered.share < LEAST_SHARE else f"{_held(covered, snapshots)}; "
    yield f"{held}nothing is known of {count(len(covered.gaps), 'gap')} ({more}{listed})"


def _held(covered: Coverage, snapshots: int) -> str:
    cover = "covers" if snapshots == 1 else "cover"
    return (
        f"held in {count(snapshots, 'snapshot')} that {cover} {math.floor(covered.share * 1000) / 10} % of the period"
    )


def _redeclared(times: Sequence[datetime]) -> Iterator[str]:
    if times:
        listed = ", ".join(_time(at) for at in times[-SHOWN_TIMES:])
        more = "the newest of these: " if len(times) > SHOWN_TIMES else ""
        yield (
            f"the intent file changed {count(len(times), 'time')} within the period ({more}first seen {listed}); each snapshot was judged by the "
            "zones of its own"
        )


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
