"""Family time: what is overdue. Days are counted in UTC from the date on record to the day of the assessment."""

from collections.abc import Iterable
from datetime import date, timedelta

from evidence.cluster.objects import ObjectKey
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, Subject, count
from evidence.findings.registry import Context, Hit, Looked, rule

STALE_DAYS = (
    7  # the longest cycle that FedRAMP 20x sets for machine-based resources (Class B, VDR-TFR-MVX); the others set none
)
REVIEW_DAYS = 183  # PCI DSS 1.2.7: every six months
TEST_DAYS = 365  # PCI DSS 11.4.5: every twelve months
PROVIDER_TEST_DAYS = 183  # PCI DSS 11.4.6: every six months for service providers


@rule(
    "EVD-001",
    title="Evidence is stale",
    severity=Severity.MEDIUM,
    family="time",
    why="The newest snapshot is older than the cycle on which the evidence should be renewed: it says what was, not what is.",
    mend="Collect again, and run the collector on a schedule (daily keeps every cycle that the frameworks set).",
    needs=(),
)
def stale(context: Context) -> Looked:
    """A snapshot that was taken more than STALE_DAYS before the assessment."""
    age = context.at - context.taken_at
    if age <= timedelta(days=STALE_DAYS):
        return Looked(1, ())
    message = f"the snapshot was taken {context.taken_at:%Y-%m-%d %H:%M} UTC, {age.days} days before the assessment (limit {STALE_DAYS})"
    return Looked(1, (Hit(THE_CLUSTER, message),))


@rule(
    "PRT-004",
    title="Exception past its end date",
    severity=Severity.MEDIUM,
    family="time",
    why="A risk was accepted until a date that has passed. The exception is still in the file, and nobody has decided whether it goes on.",
    mend="Close what the exception covers, or have it approved again with a new end date.",
    needs=(),
    needs_record=True,
)
def exception_expired(context: Context) -> Looked:
    """Waivers whose last day lies before the day of the assessment, and approved flows past their review date."""
    assert context.intent is not None  # noqa: S101  (needs_record)
    today = context.at.date()
    hits = [
        Hit(
            subject=Subject("Waiver", "", waiver.id),
            message=f"the waiver of {waiver.rule_id} for {waiver.subject}, approved by {waiver.approver}, ended on {waiver.expires}",
            evidence=(_declared(context, f"waiver {waiver.id}"),),
        )
        for waiver in context.intent.waivers
        if waiver.expires < today
    ]
    for flow in context.intent.flows:
        if flow.review_by is not None and flow.review_by < today:
            zones = tuple(z for z in context.intent.zones if z.name in (flow.source, flow.destination))
            hits.append(
                Hit(
                    subject=Subject("ApprovedFlow", "", flow.id),
                    message=f"the approval of {flow.source} → {flow.destination} (owner {flow.owner}) was to be reviewed by {flow.review_by}",
                    evidence=(_declared(context, f"flow {flow.id}"),),
                    zones=zones,
                )
            )
    return Looked(len(context.intent.waivers) + len(context.intent.flows), tuple(hits))


def _declared(context: Context, detail: str) -> EvidenceRef:
    """A part of the intent file, by the file's digest."""
    assert context.intent is not None  # noqa: S101  (only called with an intent)
    return EvidenceRef(
        ObjectKey("", "Intent", "", "segmentation"), context.intent.digest, detail, context.intent.source
    )


@rule(
    "REV-001",
    title="Rule set not reviewed in six months",
    severity=Severity.MEDIUM,
    family="time",
    why="Network rules pile up: what was opened for a migration stays open. They are to be reviewed at least every six months, and no record of a "
    "review within that time is declared.",
    mend="Review the policies (the findings and the flow list are a start) and record the review in the intent file.",
    needs=(),
    needs_record=True,
)
def review_overdue(context: Context) -> Looked:
    """No review of kind rule-set within REVIEW_DAYS before the assessment."""
    return _overdue(context, "rule-set", REVIEW_DAYS, "review of the rule set")


@rule(
    "TST-001",
    title="No segmentation test in the period",
    severity=Severity.MEDIUM,
    family="time",
    why="That segmentation works is to be proven by a test, yearly, for service providers every six months. No record within that time is declared.",
    mend="Have the segmentation tested by somebody independent and record the test in the intent file. A probe run by the operator is no such test.",
    needs=(),
    needs_record=True,
)
def test_overdue(context: Context) -> Looked:
    """No review of kind segmentation-test within TEST_DAYS (PROVIDER_TEST_DAYS for a service provider)."""
    provider = context.intent is not None and context.intent.system.service_provider
    return _overdue(context, "segmentation-test", PROVIDER_TEST_DAYS if provider else TEST_DAYS, "segmentation test")


def _overdue(context: Context, kind: str, limit_days: int, what: str) -> Looked:
    assert context.intent is not None  # noqa: S101  (needs_record)
    today = context.at.date()
    newest = _newest(r.performed_on for r in context.intent.reviews if r.kind == kind and r.performed_on <= today)
    if newest is not None and (today - newest).days <= limit_days:
        return Looked(1, ())
    last = (
        "none is on record"
        if newest is None
        else f"the last was on {newest}, {count((today - newest).days, 'day')} ago"
    )
    hit = Hit(
        subject=THE_CLUSTER,
        message=f"no {what} in the {limit_days} days before {today}: {last}",
        evidence=(_declared(context, "reviews"),),
        zones=context.intent.zones,
    )
    return Looked(1, (hit,))


def _newest(dates: Iterable[date]) -> date | None:
    return max(dates, default=None)
