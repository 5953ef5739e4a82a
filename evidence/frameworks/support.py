"""Why nothing may be called supported, and what a supported result says for itself.

Supported takes all of these: every direct check exists and hit nothing; no finding that withholds support is open; all of these checks
ran over their whole population; no finding lies on pods whose zone was not declared; nothing is unread, unevaluated or missing from the
source; there are pods to speak of; the declared zones are not in doubt and, where approved flows count, hold every address outside; the
strength that the control needs was reached. A record on which a control rests (strength declared) is no matter of pods: for it the first
four count.
"""

from collections.abc import Iterable, Iterator, Sequence

from evidence.cni.model import Enforcement
from evidence.findings.finding import Finding, count, shortened
from evidence.findings.registry import RULES, RunStatus
from evidence.frameworks.facts import Agreement, Evidence, Facts, any_of, rule_name
from evidence.frameworks.model import Control, Feed, FeedStrength, Strength
from evidence.intent.model import Classification

ANSWER_FOR_OTHERS = frozenset({"NetworkPolicy", "CustomResourceDefinition"})
COMPARES_FLOWS = "PRT-002"  # looks at pairs of declared zones only: addresses of no zone escape it


def obstacles(control: Control, direct: Sequence[Feed], evidence: Evidence) -> Iterator[str]:
    """Every reason for which nothing may be called supported."""
    facts = evidence.facts
    if control.why_never:
        yield control.why_never
    for feed in direct:
        if not feed.has_check and not feed.observation:
            yield f"{rule_name(feed.rule_id)} would have to be checked too, and no check for it exists here"
    yield from incomplete((*direct, *(feed for feed in control.feeds if feed.withholds)), evidence)
    for feed in control.feeds:
        if feed.withholds and (found := evidence.inside(feed)):
            yield contradiction(feed, found)
        if (feed.withholds or feed in direct) and (loose := evidence.unplaced(feed)):
            subjects = shortened([str(finding.subject) for finding in loose])
            yield f"{rule_name(feed.rule_id)} was found on what lies in no declared zone: {subjects}"
    if control.needs is not None and control.needs is not Strength.DECLARED:
        yield from _population(control, facts)
        yield from _weakness(control, facts)


def incomplete(feeds: Iterable[Feed], evidence: Evidence) -> Iterator[str]:
    """Checks that did not run, or could not look at everything."""
    for feed in feeds:
        if not feed.has_check:
            continue
        run = evidence.runs.get(feed.rule_id)
        if feed.observation and (run is None or run.status is RunStatus.NOT_RUN):
            continue  # nothing was seen: the result rests on the computed model, and says so
        if run is None or run.status is RunStatus.NOT_RUN:
            why = run.reason if run else "it is not part of the assessment"
            yield f"{rule_name(feed.rule_id)} did not run: {why}"
        elif run.status is RunStatus.PARTIAL:
            yield f"{rule_name(feed.rule_id)} could not look at everything: {run.reason}"


def contradiction(feed: Feed, found: Sequence[Finding]) -> str:
    """The findings of a feed and what they mean for the control, in one sentence."""
    subjects = shortened([str(finding.subject) for finding in found])
    return f"{rule_name(feed.rule_id)}, {count(len(found), 'finding')}: {subjects}: {feed.reason}"


def _population(control: Control, facts: Facts) -> Iterator[str]:
    """What was not looked at, or was not there to look at."""
    if facts.partial:
        yield f"the snapshot is partial: {shortened(facts.partial)}"
    if facts.unevaluated:
        kinds = count(len(facts.unevaluated), "policy of a kind that is", "policies of kinds that are")
        yield f"{kinds} not evaluated could change who may connect: {shortened(facts.unevaluated)}"
    if unseen := _unseen(control, facts):
        yield (
            f"the source says nothing of {shortened(unseen)}, so whether the cluster has any is not known: collect from the API server, or add "
            "to the files each kind's list as `kubectl get --raw` writes it"
        )
    scope = control.zones
    if scope and not scope & facts.ground.peopled:
        yield f"no pod that runs lies in a zone that is declared as {any_of(sorted(scope))}: there is nothing to speak of"
    elif not scope and not facts.ground.populated:
        yield "the snapshot holds no pod that runs: there is nothing to speak of"
    if facts.ground.outside_undeclared and any(_decides_approval(feed) for feed in control.feeds):
        outside = " and ".join(facts.ground.outside_undeclared)
        yield (
            f"addresses outside lie in no zone, so what may come in from there was not compared with the approved flows; "
            f"declare a zone with {outside} as internet"
        )
    doubts = [str(problem) for problem in facts.ground.doubts if not scope or _concerns(problem.zones, scope, facts)]
    if doubts:
        yield f"the declared zones are in doubt: {shortened(doubts)}"


def _unseen(control: Control, facts: Facts) -> list[str]:
    """Kinds of which nothing is known and that matter: those that deciding checks look at, all policies, all of other groups."""
    feeds = [feed for feed in control.feeds if feed.withholds or feed.strength is FeedStrength.DIRECT]
    looked_at = {kind for feed in feeds if feed.rule_id in RULES for kind in RULES[feed.rule_id].needs}
    return [kind for kind in facts.unseen if kind in looked_at or "." in kind or kind in ANSWER_FOR_OTHERS]


def _decides_approval(feed: Feed) -> bool:
    """True for the check that compares flows between zones with the approved ones, where it matters for support."""
    return feed.rule_id == COMPARES_FLOWS and (feed.withholds or feed.strength is FeedStrength.DIRECT)


def _concerns(names: Sequence[str], scope: frozenset[Classification], facts: Facts) -> bool:
    zones = facts.intent.zones if facts.intent else ()
    return any(zone.name in names and zone.classification in scope for zone in zones)


def _weakness(control: Control, facts: Facts) -> Iterator[str]:
    needs = control.needs
    if (
        needs is not None
        and needs.rank >= Strength.ENFORCED.rank
        and facts.ground.enforcement is not Enforcement.ENFORCED
    ):
        why = shortened(facts.ground.enforcement_reasons) or "no plugin was recognised"
        yield f"computed from the policies, but their enforcement was not shown ({facts.ground.enforcement.value}): {why}"
    if needs is Strength.OBSERVED and not agreements(control, facts):
        yield "no probe and no flow log is part of the evidence, and this control is to rest on one"


def reached(control: Control, facts: Facts) -> Strength:
    """How a supported result is backed. Observed is more than enforced: the plugin is known to enforce, and packets were seen to be denied."""
    if control.needs is Strength.DECLARED:
        return Strength.DECLARED
    if facts.ground.enforcement is not Enforcement.ENFORCED:
        return Strength.COMPUTED
    return Strength.OBSERVED if agreements(control, facts) else Strength.ENFORCED


def agreements(control: Control, facts: Facts) -> tuple[Agreement, ...]:
    """What was seen of packets at the zones that a control is about; of the whole cluster nothing seen at some places can speak."""
    return tuple(found for found in facts.agreements if found.denied and found.zones & control.zones)


def support(control: Control, direct: Sequence[Feed], evidence: Evidence) -> Iterator[str]:
    blind = [feed for feed in direct if feed.observation and not _ran(feed, evidence)]
    ran = [feed.rule_id for feed in direct if feed.has_check and feed not in blind]
    looked = ", ".join(f"{rule_id} ({evidence.runs[rule_id].population} looked at)" for rule_id in ran)
    yield f"{count(len(ran), 'check')} looked at everything and found nothing against it: {looked}"
    if control.needs is Strength.DECLARED:
        yield "it rests on what the intent file puts on record"
    for seen in agreements(control, evidence.facts):
        yield f"{count(seen.denied, 'denied connection')} in {seen.source} at these zones agreed with the computation"
    if blind and len(blind) == sum(feed.observation for feed in direct):
        yield "only the computed model and the plugin's known behaviour decided: no probe ran and no flow log was taken in"


def _ran(feed: Feed, evidence: Evidence) -> bool:
    run = evidence.runs.get(feed.rule_id)
    return feed.has_check and run is not None and run.status is not RunStatus.NOT_RUN
