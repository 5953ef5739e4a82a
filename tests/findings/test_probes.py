"""Family observation: what probes saw, as findings with both sides."""

from collections.abc import Callable
from typing import Any

from evidence.cluster.model import Cluster
from evidence.findings.finding import Finding, Severity
from evidence.findings.registry import RULES, RuleRun, RunStatus, run_rule
from evidence.intent.model import Intent
from evidence.probe.model import Planned, ProbeRun
from evidence.probe.standing import Standing
from tests.findings.looking import context, hit, look, near_miss
from tests.probe.shop import INTENT, SHOP, as_computed, probed


def looked(
    rule: str, run: ProbeRun, found: Cluster = SHOP, intent: Intent | None = INTENT
) -> tuple[RuleRun, list[Finding]]:
    """One rule beside one run."""
    base = context(found, intent)
    said = Standing([run], base.reach, base.zones, intent, run.policies, {run.id: "cd" * 32})
    return run_rule(RULES[rule], context(found, intent, probed=said))


def found(rule: str, passes: Callable[[Planned], bool], **given: Any) -> list[Finding]:
    return looked(rule, probed(passes=passes, **given))[1]


def nothing_enforced(probe: Planned) -> bool:
    return True


def nothing_reaches_the_database(probe: Planned) -> bool:
    return probe.allowed and "→ vault/db-1" not in str(probe)


@hit("ENF-003")
def test_a_denied_connection_that_passed_is_critical_and_tells_both_sides() -> None:
    (finding,) = found("ENF-003", nothing_enforced)
    assert (finding.severity, str(finding.subject)) == (Severity.CRITICAL, "Workload vault/db-1")
    assert "got through, though policy denies it" in finding.message
    assert "isolated by NetworkPolicy vault/only-web, which does not allow it" in finding.message
    assert "seen: open, 1 attempt from 10.0.9.1 to " in finding.message
    assert any(line.startswith("batch/batch-1 → vault/db-1 TCP 5432: open") for line in finding.details)
    assert finding.zones == ("cards", "shop")
    assert [(str(ref.key), ref.digest) for ref in finding.evidence] == [("ProbeRun 0a1b2c3d", "cd" * 32)]


@near_miss("ENF-003")
def test_probes_that_went_as_computed_are_no_finding() -> None:
    run, findings = looked("ENF-003", probed(passes=as_computed))
    assert (run.status, findings) == (RunStatus.RAN, [])
    assert run.population > 0


@hit("ENF-004")
def test_an_allowed_connection_that_was_stopped_is_high_at_regulated_data() -> None:
    findings = found("ENF-004", lambda probe: probe.allowed and "UDP" not in str(probe))
    assert {(str(f.subject), f.severity) for f in findings} == {
        ("Workload batch/batch-1", Severity.HIGH),
        ("Workload shop/web-1", Severity.HIGH),
    }
    assert RULES["ENF-004"].severity is Severity.MEDIUM
    assert all("was stopped, though policy allows it" in f.message for f in findings)


@near_miss("ENF-004")
def test_silence_at_a_port_where_nobody_is_known_to_listen_is_no_finding() -> None:
    run, findings = looked("ENF-004", probed(passes=nothing_reaches_the_database))
    assert not any("db-1" in str(f.subject) for f in findings)
    assert run.status is RunStatus.RAN


@hit("ENF-006")
def test_connections_that_passed_at_first_are_one_finding_with_the_longest_time() -> None:
    (finding,) = found("ENF-006", as_computed, late_ms=420)
    assert "passed for up to 420 ms after the start of a new pod" in finding.message
    assert (str(finding.subject), finding.severity) == ("Cluster cluster", Severity.LOW)


@near_miss("ENF-006")
def test_connections_that_never_passed_are_none() -> None:
    assert found("ENF-006", as_computed) == []


def test_without_a_probe_run_none_of_them_runs() -> None:
    for rule in ("ENF-003", "ENF-004", "ENF-006"):
        run, findings = look(rule, SHOP, INTENT)
        assert (run.status, findings) == (RunStatus.NOT_RUN, [])
        assert run.reason == "no probe run of that time was taken in"
