"""The result over a period: that of its worst snapshot."""

from collections.abc import Sequence
from datetime import UTC, datetime

from evidence.frameworks.model import ControlResult, Verdict

SHOWN_TIMES = 4


def worst(snapshots: Sequence[tuple[datetime, Sequence[ControlResult]]]) -> tuple[ControlResult, ...]:
    """For each control the worst result over a period's snapshots (time taken and results, oldest first), in the first's order.

    Refuted is worse than not determined, that worse than supported. The reasons are those of the newest snapshot with the worst
    result, after a sentence that says which snapshots it was; the weakest strength counts; findings are those of all snapshots.
    """
    if not snapshots:
        return ()
    by_control: dict[str, list[tuple[datetime, ControlResult]]] = {}
    for taken_at, results in snapshots:
        for result in results:
            by_control.setdefault(result.control_id, []).append((taken_at, result))
    return tuple(_worst(history, len(snapshots)) for history in by_control.values())


def _worst(history: Sequence[tuple[datetime, ControlResult]], number: int) -> ControlResult:
    verdict = max((result.verdict for _, result in history), key=lambda verdict: verdict.rank)
    bad = [(taken_at, result) for taken_at, result in history if result.verdict is verdict]
    newest = bad[-1][1]
    decisive = tuple(dict.fromkeys(fingerprint for _, result in history for fingerprint in result.findings))
    related = dict.fromkeys(fingerprint for _, result in history for fingerprint in result.related)
    strengths = [result.strength for _, result in bad if result.strength is not None]
    said = () if verdict in (Verdict.NOT_ASSESSED, Verdict.NOT_APPLICABLE) else (_when(verdict, bad, number),)
    return ControlResult(
        control_id=newest.control_id,
        verdict=verdict,
        strength=min(strengths, key=lambda strength: strength.rank) if strengths else None,
        reasons=(*said, *newest.reasons),
        findings=decisive,
        related=tuple(fingerprint for fingerprint in related if fingerprint not in decisive),
        also_needed=newest.also_needed,
    )


def _when(verdict: Verdict, bad: Sequence[tuple[datetime, ControlResult]], number: int) -> str:
    times = [f"{taken_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" for taken_at, _ in bad]
    if len(bad) == number:
        which = f"in each of {number} snapshots" if number > 1 else "in the one snapshot"
        return f"{verdict.value} {which}; the reasons are those of {times[-1]}"
    listed = ", ".join(times[-SHOWN_TIMES:])
    more = "the newest of these: " if len(times) > SHOWN_TIMES else ""
    return f"{verdict.value} in {len(bad)} of {number} snapshots ({more}{listed}); the reasons are those of {times[-1]}"
