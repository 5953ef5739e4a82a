"""Population, scope and method: what was looked at, and what the results cannot show."""

from dataclasses import replace
from datetime import timedelta

from evidence.cluster.objects import KindResult, KindStatus, Problem
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.cni.model import CniReport, DetectedPlugin, Enforcement, Signal, Support, Weight
from evidence.findings.registry import RunStatus
from evidence.intent.model import ZoneMember
from evidence.report.view import ScheduledRun, build_view
from tests.report.inputs import DAYS, END, START, assessed, hit, inputs, intent, snapshot


def test_clean_rules_are_listed_with_how_much_they_looked_at() -> None:
    view = build_view(
        inputs(
            snapshot(1, DAYS[0], assessed(hit(), partial=["NET-001"])),
            snapshot(2, DAYS[1], assessed(partial=["NET-001"])),
        )
    )

    net, seg = view.population.rules
    assert (net.id, net.status, net.reason, net.snapshots_run, net.open_findings) == (
        "NET-001",
        RunStatus.PARTIAL,
        "not all was read",
        0,
        0,
    )
    assert (seg.id, seg.status, seg.population, seg.snapshots_run) == ("SEG-001", RunStatus.RAN, 7, 2)
    assert (seg.open_findings, seg.period_findings) == (0, 1)


def test_what_was_refused_or_left_out_is_told_of_each_snapshot() -> None:
    kinds = (
        KindResult("", "Pod", KindStatus.LISTED, 4),
        KindResult("cilium.io", "CiliumNetworkPolicy", KindStatus.FORBIDDEN, message="the verb list is missing"),
        KindResult("", "Node", KindStatus.FAILED),
    )
    view = build_view(
        inputs(snapshot(1, DAYS[0], kinds=kinds, problems=(Problem("dump.json:7", "not a pod"),), partial=True))
    )

    assert view.population.snapshots[0].shortfalls == (
        "CiliumNetworkPolicy: forbidden: the verb list is missing",
        "Node: failed",
        "dump.json:7: not a pod",
    )
    assert any("The newest snapshot is partial" in said for said in view.method.qualifications)
    assert [kind.query for kind in view.population.kinds][:2] == [
        "list Pod, all namespaces",
        "list CiliumNetworkPolicy.cilium.io, all namespaces",
    ]


def test_a_kind_that_was_passed_over_was_not_asked_for() -> None:
    kinds = (
        KindResult("", "Pod", KindStatus.LISTED, 4),
        KindResult("", "Secret", KindStatus.NOT_KEPT, 3, message="never collected: it may hold secrets"),
    )
    view = build_view(inputs(snapshot(1, DAYS[0], kinds=kinds)))

    assert [(kind.kind, kind.query, kind.status) for kind in view.population.kinds] == [
        ("Pod", "list Pod, all namespaces", "listed"),
        ("Secret", "none", "not kept"),
    ]
    assert view.population.snapshots[0].shortfalls == ()


def test_gaps_and_failed_runs_show() -> None:
    failed = ScheduledRun(DAYS[1], DAYS[1], "failed", "connection refused", None)

    view = build_view(inputs(snapshot(1, DAYS[0]), expected_every=timedelta(days=1), runs=(failed,)))

    assert [(gap.start, gap.end) for gap in view.population.coverage.gaps] == [(DAYS[0] + timedelta(days=1), END)]
    assert view.population.coverage.share == round((timedelta(days=1) + (DAYS[0] - START)) / (END - START), 4)
    assert view.population.coverage.covered_seconds == (timedelta(days=1) + (DAYS[0] - START)).total_seconds()
    assert view.population.coverage.longest_gap == view.population.coverage.gaps[0]
    assert view.population.runs == (failed,)


def test_a_period_that_is_not_over_has_no_gap_in_its_future_and_says_so() -> None:
    made = DAYS[0] + timedelta(days=2)

    view = build_view(inputs(snapshot(1, DAYS[0]), expected_every=timedelta(days=3), generated_at=made))

    assert (view.population.coverage.gaps, view.population.coverage.share) == ((), 1.0)
    said = "The period was not over when this report was made: it says nothing of the time after 2026-07-03 06:00 UTC."
    assert said in view.summary.statements
    assert said in view.method.qualifications


def test_without_declared_zones_the_report_says_that_scope_is_not_known() -> None:
    undeclared, declared = build_view(inputs()), build_view(inputs(declared=intent()))

    assert any(
        said.startswith("No zones and approved flows were declared") for said in undeclared.method.qualifications
    )
    assert undeclared.zone_flows is None
    assert not any("were declared" in said for said in declared.method.qualifications)
    assert [(zone.name, zone.pods, zone.members) for zone in declared.method.zones][:2] == [
        ("cde", 1, ("pay",)),
        ("shop", 2, ("web",)),
    ]


def test_members_of_a_zone_are_put_into_words() -> None:
    labels = LabelSelector((Requirement("team", Operator.IN, ("pay",)),))
    zone = replace(
        intent().zones[0],
        members=(
            ZoneMember(("a", "b"), pod_selector=labels),
            ZoneMember(namespace_selector=labels),
            ZoneMember(pod_selector=labels),
        ),
    )

    (view, *_) = build_view(inputs(declared=intent(zones=(zone,)))).method.zones

    assert view.members == (
        f"a, b: pods with {labels}",
        f"namespaces with {labels}",
        f"every namespace: pods with {labels}",
    )


def test_an_approved_flow_is_overdue_from_the_day_after_its_review_date() -> None:
    (flow,) = intent().flows
    last_day = replace(flow, review_by=END.date() - timedelta(days=1))
    day_before = replace(flow, id="F-2", review_by=END.date() - timedelta(days=2))
    undated = replace(flow, id="F-3", review_by=None)

    view = build_view(inputs(declared=intent(flows=(last_day, day_before, undated))))

    assert [one.overdue for one in view.method.approved_flows] == [True, True, False]
    assert view.method.approved_flows[0].ports == "TCP 8443"


def test_the_network_plugin_is_shown_with_its_signs_and_what_is_not_known_of_it() -> None:
    plugin = DetectedPlugin(
        id="x",
        name="Plugin",
        version="",
        mode="",
        enforces=None,
        signals=(Signal(Weight.STRONG, "DaemonSet kube-system/x"),),
        features={"endPort": Support.UNKNOWN},
        agent=None,
        agent_desired=None,
        agent_ready=None,
        unready_nodes=(),
    )
    report = CniReport((plugin,), Enforcement.NOT_SHOWN, ("its version is not visible",))

    method = build_view(inputs(snapshot(1, DAYS[0], cni=report))).method

    assert method.enforcement is Enforcement.NOT_SHOWN
    (shown,) = method.plugins
    assert (shown.enforces, shown.agents, shown.features) == (None, "", {"endPort": "unknown"})
    assert shown.signals == ("DaemonSet kube-system/x (strong)",)


def test_traffic_from_a_pod_s_own_node_is_excepted_in_every_report() -> None:
    view = build_view(inputs())

    assert any("own node" in said or "node it runs on" in said for said in view.summary.statements)
    assert any("No active probe" in said for said in view.method.qualifications)
