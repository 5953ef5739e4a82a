"""The rules and how they are run: each is a pure function from a `Context` to what it looked at and what it hit.

A rule that could not look at everything never looks clean: a kind that was not read at all means it did not run, a kind read in part,
a policy kind that is not evaluated (or that nobody could list) or a doubt of its own means it ran in part, and the run says why.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from evidence.access.holders import Access, who_may
from evidence.cluster.access import AccessBinding, AccessRole
from evidence.cluster.calico_names import SET_KINDS, STAGED_KINDS, TIER_KIND
from evidence.cluster.model import Cluster, Namespace, Pod
from evidence.cni.model import CniReport
from evidence.findings.crossings import Crossings
from evidence.findings.finding import EvidenceRef, Finding, Severity, Subject, count, severity_in, shortened
from evidence.findings.index import ClusterIndex
from evidence.findings.lasting import Lasting
from evidence.findings.resolvers import Resolver, resolvers
from evidence.intent.model import Classification, Intent, Zone
from evidence.intent.zones import ZoneMap
from evidence.observe.seen import Observations
from evidence.probe.standing import Standing
from evidence.reach.engine import Reachability
from evidence.reach.exposure import Exposures
from evidence.values import value


@dataclass(frozen=True)  # no slots: the cached look-ups live in the instance
class Context:
    """Everything a rule may look at. `at` is the time of the assessment, `taken_at` that of the snapshot; both UTC. `unseen` are
    kinds of which the source does not tell whether the cluster has any. `observed`: what logs say around that time, `probed`: what
    probe runs say, None for nothing. `lasting`: what is known of objects that the state before had, too."""

    cluster: Cluster
    reach: Reachability
    cni: CniReport
    intent: Intent | None
    zones: ZoneMap
    at: datetime
    taken_at: datetime
    unseen: tuple[str, ...] = ()
    observed: Observations | None = None
    probed: Standing | None = None
    lasting: Lasting = field(default_factory=Lasting)

    @cached_property
    def index(self) -> ClusterIndex:
        """Selectors resolved on this cluster."""
        return ClusterIndex(self.cluster, self.reach, self.exposures.doors.services, self.lasting)

    @cached_property
    def exposures(self) -> Exposures:
        """Ways in from outside, and which of them policy leaves open."""
        return Exposures(self.reach)

    @cached_property
    def crossings(self) -> Crossings:
        """Computed connections by pair of zones."""
        return Crossings(self.reach, self.zones, self.intent)

    @cached_property
    def resolvers(self) -> tuple[Resolver, ...]:
        """Pods that answer the cluster's DNS."""
        return resolvers(self.index)

    @cached_property
    def access(self) -> Access:
        """Who may change the rules."""
        cluster, same = self.cluster, self.lasting.same
        return self.lasting.of(
            _who_may,
            same(cluster.access_roles),
            same(cluster.access_bindings),
            same(cluster.namespaces.values()),
            cluster.unread_kinds,
            self.intent,
        )

    @cached_property
    def unread_kinds(self) -> frozenset[str]:
        return frozenset(self.cluster.unread_kinds)

    def zones_of(self, pods: Iterable[Pod]) -> tuple[Zone, ...]:
        """Zones that any of the pods lies in, by name."""
        found: dict[str, Zone] = {}
        of_pod = self.zones.of_pod
        for pod in pods:
            for zone in of_pod(f"{pod.namespace}/{pod.name}"):
                found[zone.name] = zone
        return tuple(found[name] for name in sorted(found)) if len(found) > 1 else tuple(found.values())


def _who_may(
    roles: tuple[AccessRole, ...],
    bindings: tuple[AccessBinding, ...],
    namespaces: tuple[Namespace, ...],
    unread_kinds: tuple[str, ...],
    intent: Intent | None,
) -> Access:
    spaces = {space.name: space for space in namespaces}
    cluster = Cluster(spaces, access_roles=roles, access_bindings=bindings, unread_kinds=unread_kinds)
    return who_may(cluster, intent)


@value()
class Hit:
    """A finding before the registry adds the rule's own part. `pods` are those concerned: their zones become the finding's,
    beside `zones` for a subject that is about zones itself. `severity` overrides the rule's, before zones move it."""

    subject: Subject
    message: str
    evidence: tuple[EvidenceRef, ...] = ()
    pods: tuple[Pod, ...] = ()
    zones: tuple[Zone, ...] = ()
    suggestion: str = ""
    discriminator: str = ""
    details: tuple[str, ...] = ()
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What a check saw: how many subjects it looked at, its hits, and why its answer may not be whole."""

    population: int
    hits: tuple[Hit, ...]
    doubts: tuple[str, ...] = ()


Check = Callable[[Context], Looked]


@dataclass(frozen=True, slots=True)
class Rule:
    """`needs` are the kinds it looks at; `needs_intent`: only with declared zones; `needs_record`: only with an intent file, be it
    without zones (waivers, reviews); `hangs_on_policies`: policies that are not evaluated could change its answer; `reads_rules`: it
    looks at the rules of NetworkPolicies, so other policies' rules are not seen; `needs_seen`: "flow log", "audit log" or "probe run", there
    has to be one."""

    id: str
    title: str
    severity: Severity
    family: str
    why: str
    mend: str
    needs: frozenset[str]
    check: Check
    needs_intent: bool = False
    needs_record: bool = False
    hangs_on_policies: bool = False
    reads_rules: bool = False
    needs_seen: str = ""

    @property
    def moves(self) -> bool:
        """True when time, or what records say of it, may change the answer for a cluster and an intent file that stay as they are."""
        return self.family == "time" or bool(self.needs_seen)


FLOW_LOG, AUDIT_LOG, PROBE_RUN = "flow log", "audit log", "probe run"

RULES: MutableMapping[str, Rule] = {}


def rule(
    rule_id: str,
    *,
    title: str,
    severity: Severity,
    family: str,
    why: str,
    mend: str,
    needs: Iterable[str],
    needs_intent: bool = False,
    needs_record: bool = False,
    hangs_on_policies: bool = False,
    reads_rules: bool = False,
    needs_seen: str = "",
) -> Callable[[Check], Check]:
    """Register a check under a rule id that never changes its meaning."""

    def register(check: Check) -> Check:
        if rule_id in RULES:
            raise ValueError(f"rule {rule_id} is defined twice: {RULES[rule_id].check.__name__} and {check.__name__}")
        RULES[rule_id] = Rule(
            rule_id,
            title,
            severity,
            family,
            why,
            mend,
            frozenset(needs),
            check,
            needs_intent=needs_intent,
            needs_record=needs_record,
            hangs_on_policies=hangs_on_policies,
            reads_rules=reads_rules,
            needs_seen=needs_seen,
        )
        return check

    return register


class RunStatus(StrEnum):
    RAN = "ran"
    NOT_RUN = "not run"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class RuleRun:
    """One rule on one snapshot, also when it found nothing. `reason` is empty only for RAN."""

    rule_id: str
    status: RunStatus
    population: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Findings sorted by rule, subject and discriminator, and a run for each rule."""

    findings: tuple[Finding, ...]
    runs: tuple[RuleRun, ...]


def evaluate(context: Context, rules: Iterable[Rule] | None = None) -> Assessment:
    """Run every rule, or the given ones."""
    findings: list[Finding] = []
    runs: list[RuleRun] = []
    for each in sorted(RULES.values() if rules is None else rules, key=lambda rule: rule.id):
        run, found = run_rule(each, context)
        runs.append(run)
        findings += found
    findings.sort(key=lambda finding: finding.place)
    return Assessment(tuple(findings), tuple(runs))


def run_rule(rule: Rule, context: Context) -> tuple[RuleRun, list[Finding]]:
    """Run one rule, or say why it cannot."""
    if rule.needs_record and context.intent is None:
        return RuleRun(rule.id, RunStatus.NOT_RUN, 0, "no intent file"), []
    if rule.needs_intent and (context.intent is None or not context.intent.zones):
        return RuleRun(rule.id, RunStatus.NOT_RUN, 0, "no zones declared"), []
    if rule.needs_seen and not _seen(rule.needs_seen, context):
        return RuleRun(rule.id, RunStatus.NOT_RUN, 0, f"no {rule.needs_seen} of that time was taken in"), []
    unread = sorted(rule.needs & context.unread_kinds)
    blind = [kind for kind in unread if not objects_read(context.cluster, kind)]
    if blind:
        return RuleRun(rule.id, RunStatus.NOT_RUN, 0, f"could not be read: {', '.join(blind)}"), []
    looked = rule.check(context)
    reasons = [f"read in part only: {', '.join(unread)}"] if unread else []
    if rule.reads_rules:
        reasons += cluster_wide(context)
    if rule.hangs_on_policies or rule.reads_rules:
        reasons += unevaluated(context) + unlisted(context, besides=rule.needs)
    reasons += looked.doubts
    status = RunStatus.PARTIAL if reasons else RunStatus.RAN
    run = RuleRun(rule.id, status, looked.population, "; ".join(reasons))
    return run, [finding_of(rule, hit, context) for hit in merged(looked.hits)]


def _seen(kind: str, context: Context) -> bool:
    if kind == PROBE_RUN:
        return context.probed is not None
    if context.observed is None:
        return False
    return bool(context.observed.logs if kind == FLOW_LOG else context.observed.audits)


def merged(hits: Iterable[Hit]) -> list[Hit]:
    """Hits on one subject that nothing tells apart (a rule written twice) as one, with the evidence of all."""
    found: dict[tuple[Subject, str], Hit] = {}
    for hit in hits:
        same = found.setdefault((hit.subject, hit.discriminator), hit)
        if same is not hit:
            found[hit.subject, hit.discriminator] = replace(
                same,
                evidence=same.evidence + hit.evidence,
                pods=same.pods + hit.pods,
                details=tuple(dict.fromkeys((*same.details, *hit.details))),
            )
    return list(found.values())


def finding_of(rule: Rule, hit: Hit, context: Context) -> Finding:
    """A hit with its rule, its zones and the severity that follows from them."""
    zones = (*(context.zones_of(hit.pods) if hit.pods else ()), *hit.zones)
    classifications: frozenset[Classification] = frozenset([zone.classification for zone in zones])
    return Finding(
        rule_id=rule.id,
        severity=severity_in(hit.severity or rule.severity, rule.family, classifications),
        subject=hit.subject,
        message=hit.message,
        evidence=tuple(sorted(set(hit.evidence))),
        suggestion=hit.suggestion,
        zones=tuple(sorted({zone.name for zone in zones})),
        classifications=classifications,
        discriminator=hit.discriminator,
        details=hit.details,
    )


def unevaluated(context: Context) -> list[str]:
    """One sentence when policies of kinds that the engine does not evaluate are present."""
    policies = context.reach.unevaluated
    if not policies:
        return []
    kinds = shortened(sorted({policy.key.kind for policy in policies}))
    return [
        f"{count(len(policies), 'policy', 'policies')} of kinds that are not evaluated ({kinds}) could change who may connect"
    ]


def cluster_wide(context: Context) -> list[str]:
    """A sentence each when there are cluster-wide policies, Calico's or Cilium's, whose rules the rules on NetworkPolicy rules do not look at."""
    kinds = (
        (context.cluster.cluster_policies, "cluster-wide policy", "cluster-wide policies"),
        (context.cluster.calico_policies, "policy of Calico's", "policies of Calico's"),
        (context.cluster.cilium_policies, "policy of Cilium's", "policies of Cilium's"),
    )
    return [
        f"rules of {count(len(found), one, several)} were not looked at ({shortened([str(policy.key) for policy in found])})"
        for found, one, several in kinds
        if found
    ]


def could_change(kind: str) -> bool:
    """True for kinds of policies but staged ones, and for those that say what Calico's policies mean."""
    return (kind.endswith("Policy") and kind not in STAGED_KINDS) or kind in (*SET_KINDS, TIER_KIND)


def unlisted(context: Context, besides: Iterable[str] = ()) -> list[str]:
    """One sentence when policy kinds could not be listed (whole): what they hold could change who may connect."""
    if not context.unread_kinds:
        return []
    kinds = sorted(kind for kind in context.unread_kinds - set(besides) if could_change(kind))
    return [f"{shortened(kinds)} could not be listed whole and could change who may connect"] if kinds else []


def objects_read(cluster: Cluster, kind: str) -> int:
    """How many objects of a kind the cluster holds."""
    held: Mapping[str, int] = {
        "Namespace": sum(namespace.declared for namespace in cluster.namespaces.values()),
        "Pod": len(cluster.pods),
        "NetworkPolicy": len(cluster.policies),
        "Node": len(cluster.nodes),
        "Service": len(cluster.services),
        "Ingress": len(cluster.ingresses),
    }
    if kind in held:
        return held[kind]
    keys = [workload.key for workload in cluster.workloads]
    keys += [role.key for role in cluster.access_roles] + [binding.key for binding in cluster.access_bindings]
    keys += [policy.key for policy in cluster.cluster_policies] + [policy.key for policy in cluster.other_policies]
    keys += [policy.key for policy in cluster.calico_policies] + [policy.key for policy in cluster.cilium_policies]
    keys += [policy.key for policy in cluster.staged_policies]
    return sum(key.kind == kind for key in keys)
