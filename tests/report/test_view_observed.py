"""What logs show, as the report has it."""

from dataclasses import replace
from datetime import timedelta

from evidence.cluster.model import Direction
from evidence.cluster.objects import ObjectKey
from evidence.observe.audit import AuditedChange, AuditLog, TakenAudit
from evidence.observe.document import FlowLog, LogFile, TakenLog
from evidence.observe.model import Began, End, ObservedFlow, Outcome, Side
from evidence.observe.tie import RuleAt, TiedFlow, Verdict
from evidence.report.view import build_view
from evidence.report.view.changes import changes
from evidence.report.view.observed import logged_flows
from tests.report.inputs import DAYS, collected, inputs, snapshot

FILE = LogFile("flows.log", 100, "ab" * 32, 9, 1, ("flows.log:3: is not JSON",))
POLICY = ObjectKey("networking.k8s.io", "NetworkPolicy", "pay", "allow-web")


def tied(
    destination: str = "vault", verdict: Verdict = Verdict.AGREES, *, days: int = 0, **changed: object
) -> TiedFlow:
    at = DAYS[0] + timedelta(days=days)
    flow = ObservedFlow(
        End("web", "Deployment/app"),
        End("pay", f"StatefulSet/{destination}"),
        "TCP",
        8443,
        Outcome.ALLOWED,
        Side.DESTINATION,
        Began.HERE,
        at,
        at,
        2,
        "hubble",
        ("p",),
    )
    rules = (RuleAt(POLICY, "spec.ingress[0]", Direction.INGRESS),)
    return TiedFlow(replace(flow, **changed), verdict, "why", rules)  # type: ignore[arg-type]


def taken(*flows: TiedFlow) -> TakenLog:
    log = FlowLog(
        "hubble",
        "Cilium Hubble",
        (FILE,),
        8,
        {"replies": 4},
        {"events": 12},
        0,
        ("note",),
        tuple(one.flow for one in flows),
    )
    return TakenLog(7, "cd" * 32, DAYS[0], DAYS[1], DAYS[2], log)


def audit(*written: AuditedChange) -> TakenAudit:
    return TakenAudit(8, "ef" * 32, DAYS[0], DAYS[2], DAYS[2], AuditLog((FILE,), 90, {"reads": 80}, written))


def test_days_of_one_flow_are_one_row_and_disagreements_stand_first() -> None:
    rows = logged_flows([tied(), tied(days=3), tied("db", Verdict.CONTRADICTS), tied("x", outcome=Outcome.DENIED)])
    assert [(row.destination, row.connections, row.verdict) for row in rows] == [
        ("StatefulSet pay/db", 2, "passed, computed as denied"),
        ("StatefulSet pay/vault", 4, "as computed"),
        ("StatefulSet pay/x", 2, "as computed"),
    ]
    assert (rows[1].first, rows[1].last) == (DAYS[0], DAYS[0] + timedelta(days=3))
    assert (rows[1].rules, rows[1].log_policies) == (("NetworkPolicy pay/allow-web spec.ingress[0]",), ("p",))


def test_a_report_names_its_logs_what_they_lack_and_what_disagrees() -> None:
    flows = (tied(), tied("db", Verdict.CONTRADICTS), tied("x", outcome=Outcome.DENIED))
    view = build_view(replace(inputs(), logs=(taken(*flows),), audits=(audit(),), logged=flows))
    seen = view.observed
    assert seen is not None
    flow_log, audit_log = seen.sources
    assert flow_log.losses == ("12 events lost by the source", "1 of 9 lines could not be read")
    assert flow_log.files == (f"flows.log (100 bytes, SHA-256 {'ab' * 32})",)
    assert (audit_log.kind, audit_log.used, audit_log.left_out) == ("audit log", 0, {"reads": 80})
    assert [(stretch.start, stretch.end) for stretch in seen.stretches] == [(DAYS[0], DAYS[1])]
    assert (seen.connections["allowed"], seen.connections["denied"]) == (4, 2)
    assert [row.destination for row in seen.shown] == ["StatefulSet pay/db", "StatefulSet pay/x"]
    said = "\n".join(view.method.qualifications)
    assert "1 flow log of the period was imported" in said
    assert "No active probe" not in said


def test_every_write_of_the_period_is_listed_once_also_refused_ones_and_those_of_many_objects() -> None:
    def wrote(number: int, days: float, code: int = 200, key: ObjectKey = POLICY) -> AuditedChange:
        at = DAYS[0] + timedelta(days=days)
        return AuditedChange(
            str(number), at, "alice", "root", ("admins",), "delete", key, code, ("10.0.0.9",), "kubectl"
        )

    log = audit(wrote(1, 5, 403), wrote(2, 1), wrote(3, 300), wrote(4, -5), wrote(5, 6, key=POLICY._replace(name="")))
    view = build_view(replace(inputs(), audits=(log, log)))
    assert view.observed is not None
    assert [(write.object, write.code, write.actor) for write in view.observed.writes] == [
        ("NetworkPolicy pay/allow-web", 200, "alice as root"),
        ("NetworkPolicy pay/allow-web", 403, "alice as root"),
        ("every NetworkPolicy of pay", 200, "alice as root"),
    ]


def test_a_report_without_logs_says_so() -> None:
    view = build_view(inputs())
    assert view.observed is None
    assert any("no flow log is part of this pack" in said for said in view.method.qualifications)


def test_a_change_names_who_wrote_it_between_the_two_snapshots() -> None:
    def wrote(user: str, days: float, verb: str = "patch", code: int = 200, key: ObjectKey = POLICY) -> AuditedChange:
        at = DAYS[0] + timedelta(days=days)
        return AuditedChange(f"{user}-{days}", at, user, "", (), verb, key, code, ("10.0.0.9",), "kubectl/v1.36")

    log = audit(
        wrote("bob", 2),
        wrote("alice", 1),
        wrote("mallory", 3, code=403),
        wrote("carol", 40),
        wrote("dave", 4, key=POLICY._replace(name="other")),
        wrote("sweeper", 5, "deletecollection", key=POLICY._replace(name="")),
    )
    before = snapshot(1, DAYS[0], policies=(collected(podSelector={}),))
    after = snapshot(2, DAYS[1], policies=(collected(podSelector={"matchLabels": {"a": "b"}}),))
    (change,) = changes([before, after], [log, log])
    assert change.audited == (
        "alice: patch at 2026-07-02 06:00:00 UTC from 10.0.0.9 (kubectl/v1.36)",
        "bob: patch at 2026-07-03 06:00:00 UTC from 10.0.0.9 (kubectl/v1.36)",
        "sweeper: deletecollection at 2026-07-06 06:00:00 UTC from 10.0.0.9 (kubectl/v1.36)",
    )
    assert changes([before, after])[0].audited == ()
