"""Small frameworks, assessments and facts, so that a test says only what it is about."""

from collections.abc import Iterable, Mapping
from typing import Any

from evidence.cni.model import CniReport, Enforcement
from evidence.findings.finding import Finding, Severity, Subject
from evidence.findings.registry import Assessment, RuleRun, RunStatus
from evidence.frameworks.facts import Facts, ground_of
from evidence.frameworks.judge import ControlResult, judge
from evidence.frameworks.model import Control, Feed, FeedStrength, Framework, Strength
from evidence.intent.model import Classification, Intent, System, Zone, ZoneMember
from evidence.intent.zones import assign
from tests.builders import cluster, pod

CDE, OUT = Classification.CDE, Classification.OUT_OF_SCOPE
DIRECT, SUPPORTING, INDIRECT = FeedStrength.DIRECT, FeedStrength.SUPPORTING, FeedStrength.INDIRECT

PODS = (pod("vault", "payments"), pod("web", "shop"))
ENFORCED = CniReport((), Enforcement.ENFORCED, ("Calico v3.29.3 is ready on every node",))
ZONES = (
    Zone("card", CDE, members=(ZoneMember(namespaces=("payments",)),)),
    Zone("shop", OUT, members=(ZoneMember(namespaces=("shop",)),)),
)


def feed(rule: str, strength: FeedStrength = DIRECT, **given: Any) -> Feed:
    return Feed(rule, strength, "why it matters", **given)


def control(*feeds: Feed, needs: Strength | None = Strength.ENFORCED, **given: Any) -> Control:
    return Control("1.1", "Title", "Summary", "always", feeds=feeds, needs=needs, **given)


def framework(*controls: Control, **given: Any) -> Framework:
    return Framework("test", "test", "Test", "1", controls=controls, **given)


def finding(rule: str, *zones: Classification, kind: str = "Workload", name: str = "x") -> Finding:
    return Finding(rule, Severity.HIGH, Subject(kind, "ns", name), "message", classifications=frozenset(zones))


def assessment(
    *findings: Finding, runs: Mapping[str, RunStatus] | None = None, rules: Iterable[str] = ("NET-001", "SEG-001")
) -> Assessment:
    """Every rule of `rules` ran whole unless `runs` says otherwise."""
    status = {**dict.fromkeys(rules, RunStatus.RAN), **(runs or {})}
    made = tuple(
        RuleRun(rule, ran, 3, "" if ran is RunStatus.RAN else f"reason of {rule}") for rule, ran in status.items()
    )
    return Assessment(findings, made)


def facts(
    zones: Iterable[Zone] | None = ZONES, *, cni: CniReport = ENFORCED, pods: Iterable[Any] = PODS, **given: Any
) -> Facts:
    """Everything read, declared and enforced. `zones` None: no intent file; `system` and `waivers` go into it."""
    intent = None
    if zones is not None:
        intent = Intent(
            system=given.pop("system", System()), zones=tuple(zones), waivers=tuple(given.pop("waivers", ()))
        )
    return Facts(intent=intent, ground=ground_of(intent, cni, assign(intent, cluster(pods))), **given)


def result(one: Control, seen: Assessment, about: Facts | None = None, **given: Any) -> ControlResult:
    """The result for a single control."""
    return judge(framework(one, **given), seen, about or facts())[0]
