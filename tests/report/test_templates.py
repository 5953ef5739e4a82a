"""How values become text in the templates."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evidence.findings.finding import Severity
from evidence.report.presentation import ranking, rule_groups, yaml_text
from evidence.report.templates import anchor, counted, day, lines, moment, percent, short, span
from evidence.report.view.model import FindingState
from tests.report.builders import finding, policy_object


def test_times_are_told_in_utc() -> None:
    late = datetime(2026, 7, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))

    assert (moment(late), day(late), day(date(2026, 7, 2))) == ("2026-07-01 23:30", "2026-07-01", "2026-07-02")
    assert (moment(None), day(None), moment(datetime(2026, 7, 1, tzinfo=UTC))) == ("", "", "2026-07-01 00:00")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (1.0, "100 %"),
        (0.99999, "99.9 %"),
        (0.00001, "0.1 %"),
        (0.5, "50.0 %"),
        (0.8587, "85.9 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (3600, "1 hour"),
        (5400, "1 hour 30 minutes"),
        (31 * 86400, "31 days"),
        (90061, "1 day 1 hour"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_numbers_digests_and_names_are_written_for_reading() -> None:
    assert (counted(1, "policy", "policies"), counted(0, "policy", "policies")) == ("1 policy", "0 policies")
    assert (short("ab" * 32), short("abc")) == ("abababababababab…", "abc")
    assert anchor("164.312(a)(1)") == "164.312_a__1_"


@given(st.text(alphabet="ab\n", max_size=60), st.integers(1, 10))
def test_law_cut_text_has_at_most_its_lines_and_says_how_many_are_gone(text: str, most: int) -> None:
    every, cut = text.rstrip("\n").split("\n"), lines(text, most).split("\n")

    if len(every) <= most:
        assert cut == every
    else:
        assert cut[:-1] == every[:most]
        assert str(len(every) - most) in cut[-1]


def test_a_policy_for_reading_says_what_it_says_without_the_server_s_bookkeeping() -> None:
    port = {"port": 53}
    policy = policy_object(spec={"podSelector": {}, "egress": [{"ports": [port, port]}]})
    policy.body["metadata"]["managedFields"] = [{"manager": "x"}]

    text = yaml_text(policy)

    assert list(yaml.safe_load(text)) == ["apiVersion", "kind", "metadata", "spec"]
    assert yaml.safe_load(text)["spec"] == policy.body["spec"]
    assert "managedFields" not in text
    assert "&id" not in text


def test_open_findings_are_grouped_by_rule_with_the_most_severe_first() -> None:
    groups = rule_groups(
        [
            finding("1" * 16, rule_id="NET-002", severity=Severity.LOW),
            finding("2" * 16, rule_id="NET-001", severity=Severity.LOW),
            finding("3" * 16, rule_id="SEG-001", severity=Severity.MEDIUM),
            finding("4" * 16, rule_id="SEG-001", severity=Severity.CRITICAL),
            finding("5" * 16, rule_id="GONE-1", state=FindingState.CLOSED),
        ]
    )

    assert [(group.rule_id, group.severity.value, len(group.findings)) for group in groups] == [
        ("SEG-001", "critical", 2),
        ("NET-001", "low", 1),
        ("NET-002", "low", 1),
    ]


def test_evidence_of_a_control_is_read_open_first_and_most_severe_first() -> None:
    ranked = ranking(
        [
            finding("a", state=FindingState.CLOSED, severity=Severity.CRITICAL),
            finding("b", severity=Severity.LOW),
            finding("c", severity=Severity.HIGH),
        ]
    )

    assert ranked(["a", "b", "unknown", "c"]) == ["c", "b", "a"]
