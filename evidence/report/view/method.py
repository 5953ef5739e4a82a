"""Scope and method: what was declared, how the network plug-in was read, what the results cannot show."""

from collections.abc import Sequence
from datetime import date

from evidence.cni.detect import DetectedPlugin
from evidence.findings.finding import count
from evidence.intent.model import ApprovedFlow, Intent, Zone, ZoneMember
from evidence.report.view.flows import ports_text
from evidence.report.view.inputs import CurrentState, SnapshotEvidence
from evidence.report.view.model import ApprovedFlowView, Method, PluginView, ZoneView

OWN_NODE = (
    "Traffic to a pod from the node it runs on is outside NetworkPolicy in every enforcer: "
    "no result here says anything about it."
)
NO_PROBE = (
    "No active probe and no flow log is part of this pack: results rest on declared policies and on what the network plug-in "
    "is known to enforce, not on packets seen. The strength “observed” is therefore not reached."
)
LOGS_ARE_PARTIAL = (
    "{} of the period {} imported. A log shows the connections that somebody tried and that it recorded: that it holds no contradiction does "
    "not show that nothing else passes."
)
PROBES_ARE_FEW = (
    "{} of the period tried chosen connections for real; what each covered, and what no probe reaches, stands under exceptions, tests and reviews. "
    "What was not tried rests on the computation."
)
SNAPSHOTS_ONLY = "Results hold for the moments at which snapshots were taken. What was changed and changed back between two snapshots is not seen."
NO_ZONES = (
    "No zones and approved flows were declared: what is regulated, and what may talk to it, is not known here. "
    "Controls that depend on it are not determined."
)


def computed_on(snapshot: SnapshotEvidence) -> str:
    """ "Computed on 41 of 44 policies; 3 of kinds not evaluated." """
    total, left_out = len(snapshot.policies), len(snapshot.unevaluated)
    sentence = f"Computed on {total - left_out} of {total} policies"
    return f"{sentence}; {left_out} of kinds not evaluated." if left_out else f"{sentence}."


def method(
    snapshot: SnapshotEvidence,
    newest: CurrentState,
    period_end: date,
    flow_logs: int = 0,
    probe_runs: int = 0,
    more: Sequence[str] = (),
) -> Method:
    """Of the newest snapshot. `period_end` is the day after the period's last; `flow_logs` were imported, `probe_runs` carried out; `more` are
    further qualifications."""
    intent = newest.intent
    return Method(
        zones=tuple(_zone(zone, newest) for zone in intent.zones) if intent else (),
        approved_flows=tuple(_approved(flow, period_end) for flow in intent.flows) if intent else (),
        pods_without_zone=len(newest.zones.unassigned) if intent else 0,
        scope_problems=tuple(str(problem) for problem in newest.zones.problems) if intent else (),
        enforcement=snapshot.cni.enforcement,
        enforcement_reasons=snapshot.cni.reasons,
        plugins=tuple(_plugin(plugin) for plugin in snapshot.cni.plugins),
        unhealthy_nodes=snapshot.cni.unhealthy_nodes,
        policies_evaluated=len(snapshot.policies) - len(snapshot.unevaluated),
        policies_total=len(snapshot.policies),
        not_evaluated=tuple(str(policy.key) for policy in snapshot.policies if policy.key in snapshot.unevaluated),
        qualifications=(*_qualifications(snapshot, intent, flow_logs, probe_runs), *more),
    )


def _qualifications(
    snapshot: SnapshotEvidence, intent: Intent | None, flow_logs: int, probe_runs: int
) -> tuple[str, ...]:
    seen = [PROBES_ARE_FEW.format(count(probe_runs, "probe run"))] if probe_runs else []
    if flow_logs:
        seen.append(LOGS_ARE_PARTIAL.format(count(flow_logs, "flow log"), "was" if flow_logs == 1 else "were"))
    said = [OWN_NODE, computed_on(snapshot), *(seen or [NO_PROBE]), SNAPSHOTS_ONLY]
    if snapshot.partial:
        said.append(
            "The newest snapshot is partial: what could not be read is listed under population and completeness."
        )
    if intent is None:
        said.append(NO_ZONES)
    said += [f"Not covered by any enforcer here: {uncovered}" for uncovered in snapshot.cni.uncovered]
    return tuple(said)


def _zone(zone: Zone, newest: CurrentState) -> ZoneView:
    return ZoneView(
        name=zone.name,
        classification=zone.classification.value,
        description=zone.description,
        members=tuple(_member(member) for member in zone.members),
        networks=tuple(str(network) for network in zone.cidrs),
        pods=len(tuple(newest.zones.pods(zone.name))),
    )


def _member(member: ZoneMember) -> str:
    """A member in words: which namespaces, which pods of them."""
    if member.namespace_selector is not None:
        where = f"namespaces with {member.namespace_selector}"
    else:
        where = ", ".join(member.namespaces) or "every namespace"
    return where if member.pod_selector is None else f"{where}: pods with {member.pod_selector}"


def _approved(flow: ApprovedFlow, period_end: date) -> ApprovedFlowView:
    return ApprovedFlowView(
        id=flow.id,
        source=flow.source,
        destination=flow.destination,
        ports=ports_text((port.protocol, port.first, port.last) for port in flow.ports),
        justification=flow.justification,
        owner=flow.owner,
        review_by=flow.review_by,
        overdue=flow.review_by is not None and flow.review_by < period_end,
    )


def _plugin(plugin: DetectedPlugin) -> PluginView:
    known = plugin.agent_ready is not None and plugin.agent_desired is not None
    return PluginView(
        name=plugin.name,
        version=plugin.version,
        mode=plugin.mode,
        enforces=plugin.enforces,
        agents=f"{plugin.agent_ready}/{plugin.agent_desired}" if known else "",
        unready_nodes=plugin.unready_nodes,
        signals=_texts(plugin.signals),
        features={name: str(support) for name, support in sorted(plugin.features.items())},
    )


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
