"""Family time: what is overdue."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from evidence.cluster.model import Protocol
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import ApprovedFlow, Classification, FlowPort, Intent, Review, System, Waiver
from tests.builders import cluster, pod
from tests.findings.looking import NOON, clean, finding, findings, hit, look, near_miss, zone

SHOP = cluster([pod("web-1", "shop")])
TODAY = NOON.date()
ZONES = (zone("web", Classification.CONNECTED_TO, "shop"), zone("cde", Classification.CDE, "payments"))


def flow(review_by: date | None) -> ApprovedFlow:
    return ApprovedFlow("F1", "web", "cde", (FlowPort(Protocol.TCP, 443, 443),), "orders", "shop team", review_by)


def waiver(expires: date) -> Waiver:
    return Waiver("W1", "NET-001", "Workload shop/web-1", "CISO", "migration", "monitored", expires)


def review(kind: str, days_ago: int) -> Intent:
    return Intent(zones=ZONES, reviews=(Review("R1", kind, TODAY - timedelta(days=days_ago), "Kim"),))


@hit("EVD-001")
def test_a_snapshot_older_than_a_week_is_stale() -> None:
    found = finding("EVD-001", SHOP, taken_at=NOON - timedelta(days=7, minutes=1))
    assert "2026-07-25 11:59 UTC, 7 days before the assessment" in found.message


@near_miss("EVD-001")
def test_a_snapshot_of_exactly_a_week_is_fresh() -> None:
    assert clean("EVD-001", SHOP, taken_at=NOON - timedelta(days=7))


@hit("PRT-004")
def test_a_waiver_that_ended_yesterday_has_expired() -> None:
    found = finding(
        "PRT-004", SHOP, Intent(waivers=(waiver(TODAY - timedelta(days=1)),), digest="sha256:ab", source="s.yaml")
    )
    assert (str(found.subject), found.severity) == ("Waiver W1", Severity.MEDIUM)
    assert "approved by CISO, ended on 2026-07-31" in found.message
    assert (found.evidence[0].digest, found.evidence[0].detail) == ("sha256:ab", "waiver W1")


@hit("PRT-004")
def test_a_flow_past_its_review_date_is_found_with_its_zones() -> None:
    found = finding("PRT-004", SHOP, Intent(zones=ZONES, flows=(flow(TODAY - timedelta(days=1)),)))
    assert (str(found.subject), found.zones) == ("ApprovedFlow F1", ("cde", "web"))


@near_miss("PRT-004")
def test_a_waiver_holds_until_the_end_of_its_last_day_and_a_flow_without_date_has_none() -> None:
    assert clean("PRT-004", SHOP, Intent(zones=ZONES, waivers=(waiver(TODAY),), flows=(flow(TODAY), flow(None))))


@hit("REV-001")
def test_a_rule_set_review_184_days_ago_is_too_old() -> None:
    assert "the last was on 2026-01-29, 184 days ago" in finding("REV-001", SHOP, review("rule-set", 184)).message


@hit("REV-001")
def test_a_review_of_something_else_or_in_the_future_does_not_count() -> None:
    assert "none is on record" in finding("REV-001", SHOP, review("segmentation-test", 1)).message
    assert "none is on record" in finding("REV-001", SHOP, review("rule-set", -1)).message


@near_miss("REV-001")
def test_a_rule_set_review_183_days_ago_is_in_time() -> None:
    assert clean("REV-001", SHOP, review("rule-set", 183))


@hit("TST-001")
def test_a_service_providers_test_is_due_after_half_a_year() -> None:
    provider = replace(review("segmentation-test", 184), system=System(service_provider=True))
    assert "in the 183 days before 2026-08-01" in finding("TST-001", SHOP, provider).message


@near_miss("TST-001")
def test_a_merchants_test_holds_for_a_year() -> None:
    assert clean("TST-001", SHOP, review("segmentation-test", 365))
    assert findings("TST-001", SHOP, review("segmentation-test", 366))


@pytest.mark.parametrize("rule_id", ["PRT-004", "REV-001", "TST-001"])
def test_without_an_intent_file_nothing_is_known_of_reviews(rule_id: str) -> None:
    run, found = look(rule_id, SHOP)
    assert (run.status, run.reason, found) == (RunStatus.NOT_RUN, "no intent file", [])


def test_what_is_overdue_is_no_worse_in_a_regulated_zone() -> None:
    assert finding("REV-001", SHOP, Intent(zones=ZONES)).severity is Severity.MEDIUM
