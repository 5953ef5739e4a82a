"""Probe runs in a report: those of the period, with what they covered."""

from datetime import timedelta

from evidence.probe.standing import Standing
from evidence.report.view.probes import probe_rows, probe_runs
from tests.probe.shop import DAY, INTENT, analysed, probed

EARLIER = probed(at=DAY - timedelta(days=2), run_id="00000000")
LATER = probed(passes=lambda probe: True, late_ms=0)
STANDING = Standing([LATER, EARLIER], *analysed(), INTENT, "as they were", {LATER.id: "cd" * 32})


def test_only_runs_that_began_in_the_period_are_shown() -> None:
    shown = probe_runs(STANDING, DAY - timedelta(days=1), DAY + timedelta(days=1))
    assert [run.id for run in shown] == ["0a1b2c3d"]
    assert probe_runs(STANDING, DAY + timedelta(days=1), DAY + timedelta(days=2)) == ()
    assert probe_runs(None, DAY, DAY + timedelta(days=1)) == ()


def test_a_run_says_who_when_with_what_and_how_far() -> None:
    (run,) = probe_runs(STANDING, DAY, DAY + timedelta(days=1))
    assert (run.identity, run.tool_version, run.seed, run.digest) == ("prober", "0.1.0", 1, "cd" * 32)
    assert run.connections == run.as_computed + run.contradicting + run.not_determined
    assert run.contradicting > 0
    assert run.class_pairs == "9 of 9 (100 %)"
    assert any("addresses outside" in text for text in run.not_covered)


def test_every_connection_is_a_row_with_both_its_sides() -> None:
    rows = probe_rows(STANDING, DAY, DAY + timedelta(days=1))
    assert len(rows) == len(LATER.results)
    against = next(row for row in rows if row.judgement == "contradicts" and row.destination == "vault/db-1")
    assert "isolated by NetworkPolicy vault/only-web" in against.ingress
    assert (against.outcome, against.attempts) == ("open", 1)
    assert against.seen.startswith("answered after 1 ms")
