"""Family observation: what logs of connections say beside the policies."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import NamedTuple

from evidence.cluster.model import Direction, Pod
from evidence.cluster.objects import ObjectKey
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.logs import changed_at, record_evidence, seen_by
from evidence.findings.registry import FLOW_LOG, Context, Hit, Looked, rule
from evidence.intent.model import ApprovedFlow
from evidence.observe.model import End, Outcome
from evidence.observe.seen import Observations
from evidence.observe.tie import PASSED, TiedFlow, rule_at
from evidence.reach.classes import PeerId
from evidence.reach.rules import Action
from evidence.reach.tiers import PlacedRule

UNUSED_DAYS = 30  # as long as logs have to cover before silence means anything


@rule(
    "LOG-006",
    title="Logged connection that the policies deny",
    severity=Severity.CRITICAL,
    family="observation",
    why="The policies deny this connection, and a log says that it passed. Either the policies are not in force there, or they mean something "
    "else to the network plugin than to the Kubernetes API, or they were opened and closed again between two snapshots. What is computed here does "
    "not hold for these pods.",
    mend="Compare both sides' reasons with what the plugin has loaded on that node; look for pods that were started before the policy was there, and "
    "in the audit log for changes between the snapshots.",
    needs=("Pod", "Namespace", "NetworkPolicy"),
    needs_seen=FLOW_LOG,
)
def contradicted(context: Context) -> Looked:
    """Connections that a log of the seven days before the snapshot, or since, calls allowed or forwarded, and that this snapshot and every other
    one of their time deny, with both ends known for certain. Where anything is in doubt (a private address, a reply, a policy that is not evaluated)
    it is counted as not determined, and no finding."""
    seen = seen_by(context)
    groups: dict[tuple[str, str, str], list[TiedFlow]] = defaultdict(list)
    for tied in seen.contradictions:
        groups[str(tied.flow.source), str(tied.flow.destination), tied.flow.port_text].append(tied)
    logs = {id(flow): log for log in seen.logs for flow in log.log.flows}
    hits = []
    for (source, destination, port), found in sorted(groups.items()):
        first, last = min(tied.flow.first for tied in found), max(tied.flow.last for tied in found)
        times = count(sum(tied.flow.count for tied in found), "connection")
        audited = any(tied.flow.outcome is Outcome.AUDITED for tied in found)
        hits.append(
            Hit(
                _subject(found[0]),
                f"{source} → {destination} {port} passed ({times}, {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
                f"{', in audit mode' if audited else ''}); computed as denied: {found[0].reason}",
                tuple({record_evidence(logs[id(tied.flow)]) for tied in found if id(tied.flow) in logs}),
                pods=(*found[0].source_pods, *found[0].destination_pods),
                discriminator=f"{source}|{destination}|{port}",
            )
        )
    return Looked(sum(tied.flow.outcome in PASSED for tied in seen.flows), tuple(hits))


def _subject(tied: TiedFlow) -> Subject:
    """The workload whose policies did not hold: the destination's, or the source's where only its side was looked at."""
    for pods in (tied.destination_pods, tied.source_pods):
        if pods:
            key = pods[0].workload
            return Subject("Workload", key.namespace, key.name)
    return THE_CLUSTER


@rule(
    "LOG-007",
    title="Approved flow that no log shows",
    severity=Severity.INFO,
    family="observation",
    why="The flow is approved, so it is open by right, and nobody has used it for as long as the logs reach. What is not needed should not be "
    "approved.",
    mend="Ask the flow's owner whether it is still needed; if not, take it out of the intent file and close it.",
    needs=("Pod", "Namespace"),
    needs_intent=True,
    needs_seen=FLOW_LOG,
)
def approved_not_seen(context: Context) -> Looked:
    """Approved flows without any allowed connection between the two zones on their ports, over at least 30 days of logs that show other traffic of
    both zones' pods. Traffic with an end that could not be placed counts for every zone."""
    seen = seen_by(context)
    assert context.intent is not None  # noqa: S101  (needs_intent)
    flows = context.intent.flows
    if seen.days < UNUSED_DAYS:
        return Looked(len(flows), (), (_too_short(seen),))
    talked = _talked(seen)
    zones = {zone.name: zone for zone in context.intent.zones}
    passed = _passed(seen, context)
    hits, silent = [], []
    for flow in flows:
        if any(_is(connection, flow) for connection in passed):
            continue
        both = [zones[name] for name in (flow.source, flow.destination) if name in zones]
        if any(zone.members and not any(pod.key in talked for pod in context.zones.pods(zone.name)) for zone in both):
            silent.append(flow.id)
            continue
        hits.append(
            Hit(
                Subject("ApprovedFlow", "", flow.id),
                f"no connection {flow.source} → {flow.destination} in {seen.days:.0f} days of logs (owner {flow.owner})",
                tuple(map(record_evidence, seen.logs)),
                zones=tuple(both),
            )
        )
    doubts = (f"of the pods of {shortened(silent)} no log says anything",) if silent else ()
    return Looked(len(flows), tuple(hits), doubts)


class _Passed(NamedTuple):
    """Connections that passed, by what tells them apart here: the zones of each end (None: any, it could not be placed), protocol and port."""

    sources: frozenset[str] | None
    destinations: frozenset[str] | None
    protocol: str
    port: int


def _passed(seen: Observations, context: Context) -> frozenset[_Passed]:
    zones: dict[End, frozenset[str] | None] = {}

    def of(end: End, pods: tuple[Pod, ...]) -> frozenset[str] | None:
        if end not in zones:
            found = context.zones_of(pods) if pods else ()
            if end.address and not pods:
                found = context.zones.of_address(ip_address(end.address))
            zones[end] = frozenset(zone.name for zone in found) if found or pods else None
        return zones[end]

    return frozenset(
        _Passed(
            of(tied.flow.source, tied.source_pods),
            of(tied.flow.destination, tied.destination_pods),
            tied.flow.protocol,
            tied.flow.port,
        )
        for tied in seen.flows
        if tied.flow.outcome in PASSED
    )


def _is(connection: _Passed, approved: ApprovedFlow) -> bool:
    """True when an observed connection is, or may be, one of an approved flow's."""
    on_its_ports = (
        not approved.ports
        or not connection.port
        or any(
            port.protocol == connection.protocol and port.first <= connection.port <= port.last
            for port in approved.ports
        )
    )
    ends = ((approved.source, connection.sources), (approved.destination, connection.destinations))
    return on_its_ports and all(zones is None or zone in zones for zone, zones in ends)


@rule(
    "PRT-005",
    title="Allowed but unused",
    severity=Severity.INFO,
    family="observation",
    why="The rule opens something that nobody used for as long as the logs reach. It is a candidate for removal at the next review, and never a "
    "failure by itself: yearly jobs and emergencies are rare by nature.",
    mend="Ask the owner of the policy; narrow the rule or take it out, and watch denied connections afterwards.",
    needs=("Pod", "Namespace"),
    needs_seen=FLOW_LOG,
)
def unused(context: Context) -> Looked:
    """Rules that allow something, of policies unchanged for 30 days, that no connection in at least 30 days of logs matched. Looked at are rules
    about pods of which the logs show any traffic; a connection with an end that could not be placed uses every rule that it could have matched."""
    seen = seen_by(context)
    rules = [placed for placed in _accepting(context) if placed.parts]
    if seen.days < UNUSED_DAYS:
        return Looked(len(rules), (), (_too_short(seen),))
    used, talked, since = seen.used, _talked(seen), context.taken_at - timedelta(days=UNUSED_DAYS)
    found: dict[ObjectKey, list[PlacedRule]] = defaultdict(list)
    silent = 0
    for placed in rules:
        if rule_at(placed) in used:
            continue
        changed, _ = changed_at(placed.form.policy.origin)
        if changed is not None and changed > since:
            continue
        if talked & _subject_pods(placed, context).keys():
            found[placed.form.policy.key].append(placed)
        else:
            silent += 1
    hits = []
    for key, unmatched in sorted(found.items()):
        places = sorted(placed.rule.where for placed in unmatched)
        pods = {pod.key: pod for placed in unmatched for pod in _subject_pods(placed, context).values()}
        hits.append(
            Hit(
                Subject(key.kind, key.namespace, key.name),
                f"no connection in {seen.days:.0f} days of logs matched {count(len(places), 'rule')}: {shortened(places)}",
                (EvidenceRef(key, unmatched[0].form.policy.digest), *map(record_evidence, seen.logs)),
                pods=tuple(pods.values()),
                details=tuple(places),
            )
        )
    doubts = (f"{count(silent, 'rule')} about pods of which no log says anything",) if silent else ()
    return Looked(len(rules), tuple(hits), doubts)


def _too_short(seen: Observations) -> str:
    return f"the logs with allowed connections cover {seen.days:.1f} days; unused means something after {UNUSED_DAYS}"


def _talked(seen: Observations) -> frozenset[str]:
    """Pods (by key) that any line is about."""
    return frozenset(
        pod.key for tied in seen.flows for pods in (tied.source_pods, tied.destination_pods) for pod in pods
    )


def _accepting(context: Context) -> Iterator[PlacedRule]:
    for direction in Direction:
        for policy in context.reach.sides[direction].policies:
            yield from (placed for placed in policy.rules if placed.rule.action is Action.ACCEPT)


def _subject_pods(placed: PlacedRule, context: Context) -> Mapping[str, Pod]:
    reach = context.reach
    classes = {PeerId(reach.peers.class_of[end]) for end in placed.subjects.tolist()}
    return {pod.key: pod for found in classes for pod in reach.classes[found].pods}
