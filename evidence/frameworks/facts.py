"""What a control result rests on: the facts about a snapshot's population, and its findings as far as they concern a control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evidence.cni.model import CniReport, Enforcement
from evidence.findings.finding import Finding
from evidence.findings.registry import RULES, Assessment, RuleRun
from evidence.frameworks.load import planned_checks
from evidence.frameworks.model import Feed, Framework
from evidence.intent.model import Classification, Intent
from evidence.intent.zones import ZoneMap, ZoneProblem


@dataclass(frozen=True, slots=True)
class Agreement:
    """Packets that were seen to be denied as computed. `source` says where ("2 flow logs", "the probe run of 2026-07-01"), `denied` how many
    denials agreed; `zones` are the classifications of what they were kept from, or kept in."""

    source: str
    denied: int
    zones: frozenset[Classification]


@dataclass(frozen=True, slots=True)
class Ground:
    """The enforcement and the population that results speak of. `populated`: a pod runs or may run; `unassigned` counts those in no zone where
    zones are declared; `peopled` are the classifications of zones that hold a pod which is no template; `outside_undeclared` and `doubts` are the
    zones' own."""

    enforcement: Enforcement
    enforcement_reasons: tuple[str, ...]
    populated: bool
    unassigned: int
    peopled: frozenset[Classification]
    outside_undeclared: tuple[str, ...]
    doubts: tuple[ZoneProblem, ...]


def ground_of(intent: Intent | None, cni: CniReport, zones: ZoneMap) -> Ground:
    """The ground of one analysed cluster."""
    declared = intent.zones if intent else ()
    return Ground(
        enforcement=cni.enforcement,
        enforcement_reasons=cni.reasons,
        populated=zones.population > 0,
        unassigned=len(zones.unassigned) if declared else 0,
        peopled=frozenset(
            zone.classification for zone in declared if any(not pod.template for pod in zones.pods(zone.name))
        ),
        outside_undeclared=zones.outside_undeclared,
        doubts=zones.problems,
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a result depends on beside the findings. `partial` and `unevaluated` name what was not read and policies that were not
    evaluated, one a string. `unseen` are kinds of which the source does not tell whether there are any: those of the API by their kind, others
    by resource and group. `baseline` is the one asked for, None for the intent's own. `agreements`: what was seen of packets and agrees."""

    intent: Intent | None
    ground: Ground
    partial: tuple[str, ...] = ()
    unevaluated: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    baseline: str | None = None
    agreements: tuple[Agreement, ...] = ()


class Evidence:
    """The assessment by rule, and what of it concerns a control."""

    def __init__(self, framework: Framework, assessment: Assessment, facts: Facts) -> None:
        self.framework = framework
        self.facts = facts
        self.runs: Mapping[str, RuleRun] = {run.rule_id: run for run in assessment.runs}
        self.findings: dict[str, list[Finding]] = {}
        for finding in assessment.findings:
            self.findings.setdefault(finding.rule_id, []).append(finding)
        zones = facts.intent.zones if facts.intent else ()
        self.declared = frozenset(zone.classification for zone in zones)
        self._inside: dict[tuple[str, frozenset[Classification]], Sequence[Finding]] = {}

    def changed_since(self, other: "Evidence") -> frozenset[str]:
        """Rules that did not run as in another assessment, or found something else."""
        return frozenset(
            rule
            for rule in self.runs.keys() | other.runs.keys() | self.findings.keys() | other.findings.keys()
            if self.runs.get(rule) != other.runs.get(rule) or self.findings.get(rule) != other.findings.get(rule)
        )

    def hits(self, feed: Feed) -> Sequence[Finding]:
        return self.findings.get(feed.rule_id, ())

    def scope(self, feed: Feed) -> frozenset[Classification]:
        """Classifications that a finding must touch to decide; empty: all of the cluster."""
        if feed.zones:
            return feed.zones
        boundary = self.framework.boundary
        return frozenset({boundary}) if boundary in self.declared and boundary is not None else frozenset()

    def inside(self, feed: Feed) -> Sequence[Finding]:
        """Findings of a feed that lie in its scope. One on the whole cluster lies everywhere."""
        scope = self.scope(feed)
        key = feed.rule_id, scope
        if key not in self._inside:
            self._inside[key] = [
                finding
                for finding in self.hits(feed)
                if not scope
                or finding.classifications & scope
                or (not finding.classifications and finding.subject.kind == "Cluster")
            ]
        return self._inside[key]

    def unplaced(self, feed: Feed) -> list[Finding]:
        """Findings on what lies in no declared zone: whether they are in scope was not said."""
        if not self.scope(feed):
            return []
        return [f for f in self.hits(feed) if not f.classifications and f.subject.kind != "Cluster"]


def rule_name(rule_id: str) -> str:
    """ "NET-001 (Pod has no default deny inbound)"."""
    return f"{rule_id} ({RULES[rule_id].title if rule_id in RULES else planned_checks().get(rule_id, 'unknown')})"


def any_of(names: Sequence[str]) -> str:
    """ "cde, connected-to or security-impacting"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
