"""Family hygiene: what the evidence itself lacks."""

from dataclasses import replace

from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import Classification, Intent
from tests.builders import cluster, pod
from tests.findings.looking import clean, finding, findings, hit, look, near_miss, zone

SHOP = cluster([pod("web-1", "shop"), pod("batch-1", "batch")])
WEB = zone("web", Classification.CONNECTED_TO, "shop")


@hit("EVD-002")
def test_each_kind_that_was_not_read_whole_is_a_finding() -> None:
    found = findings("EVD-002", replace(SHOP, unread_kinds=("Node", "Pod")))
    assert [f.message for f in found] == [
        "no Node object was read",
        "Pod objects were not read whole: 2 of an unknown number",
    ]
    assert len({f.fingerprint for f in found}) == 2


@near_miss("EVD-002")
def test_a_snapshot_that_was_read_whole_lacks_nothing() -> None:
    run, found = look("EVD-002", SHOP)
    assert (run.status, found) == (RunStatus.RAN, [])


def test_kinds_that_files_say_nothing_of_leave_open_whether_anything_is_missing() -> None:
    run, found = look("EVD-002", SHOP, unseen=("Service", "Job"))
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert (
        run.reason == "the source says nothing of 2 kinds, so whether any object is missing is not known: Service, Job"
    )


@hit("EVD-004")
def test_a_namespace_of_no_zone_is_in_nobodys_scope() -> None:
    found = finding("EVD-004", SHOP, Intent(zones=(WEB,)))
    assert str(found.subject) == "Namespace batch"
    assert found.message == "1 pod of 1 workload lie in no declared zone: batch/batch-1"
    assert found.severity is Severity.LOW


@near_miss("EVD-004")
def test_an_out_of_scope_zone_is_a_decision() -> None:
    assert clean("EVD-004", SHOP, Intent(zones=(WEB, zone("batch", Classification.OUT_OF_SCOPE, "batch"))))


def test_a_zone_that_matches_nothing_is_a_doubt_about_the_declaration() -> None:
    intent = Intent(
        zones=(WEB, zone("batch", Classification.OUT_OF_SCOPE, "batch"), zone("x", Classification.CDE, "gone"))
    )
    run, found = look("EVD-004", SHOP, intent)
    assert (run.status, found) == (RunStatus.PARTIAL, [])
    assert "zone x" in run.reason
