"""CSV tables: whole, and inert in a spreadsheet."""

import csv
import io
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.report.tables import cell, csv_files
from evidence.report.view.model import FindingState, FindingView
from tests.report.builders import finding, poisoned, view

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_every_finding_has_a_row_and_every_field_a_column() -> None:
    tables = csv_files(view(findings=[finding(f"{number:016x}") for number in range(300)]))

    found = rows(tables["findings.csv"])
    assert len(found) == 300
    assert list(found[0]) == [one.name for one in fields(FindingView)]
    assert found[0]["first_seen"] == "2026-07-01T06:00:00Z"
    assert found[0]["since_start"] == "yes"
    assert found[0]["evidence"].startswith("NetworkPolicy payments/default-deny ")


def test_a_table_without_rows_still_has_its_header() -> None:
    assert rows(csv_files(view(changes=()))["changes.csv"]) == []
    assert csv_files(view(changes=()))["changes.csv"].startswith(b"after_snapshot,in_snapshot,")


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\n=1", "\xa0=1", "＝1"]
)
def test_a_name_that_a_spreadsheet_could_take_for_a_formula_gets_an_apostrophe(name: str) -> None:
    assert cell(name).startswith("'")


@given(st.text())
def test_law_no_text_becomes_a_formula(text: str) -> None:
    assert not cell(text).lstrip(" \n\xa0\u3000").startswith(FORMULA)


def test_numbers_and_states_are_written_plainly() -> None:
    assert [cell(-3), cell(0.25), cell(value=True), cell(None), cell(FindingState.NOT_DETERMINED), cell(("a", "b"))] == [
        "-3", "0.25", "yes", "", "not determined", "a; b",
    ]  # fmt: skip


def test_hostile_text_adds_no_row_no_column_and_no_formula() -> None:
    clean, hostile = csv_files(view()), csv_files(poisoned(view(), '",\r\n=cmd()\u202e'))

    for name, content in hostile.items():
        assert len(rows(content)) == len(rows(clean[name])), name
        for row in rows(content):
            assert None not in row, name
            assert not any(value.startswith(FORMULA) for value in row.values()), name
    assert "\u202e" not in b"".join(hostile.values()).decode()
