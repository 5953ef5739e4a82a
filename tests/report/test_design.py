"""Looks that can be computed: contrast, and no statement by colour alone."""

import re

import pytest

from evidence.findings.finding import Severity
from evidence.frameworks.judge import Verdict
from evidence.report.charts import SYMBOLS, _heat_cell, contrast, token
from evidence.report.templates import colours, template_text
from evidence.report.view.model import CellState, FlowCell

PAINTS = colours()
ON_PAPER = (
    "ink",
    "soft",
    "faint",
    "accent",
    "supported",
    "refuted",
    "not-determined",
    "not-applicable",
    "not-assessed-here",
)
PAIRS = [
    *((text, "paper") for text in ON_PAPER),
    *((text, "wash") for text in ("ink", "soft", "faint", "accent", "not-assessed-here")),
    *((token(verdict.value), f"{token(verdict.value)}-wash") for verdict in Verdict),
    ("paper", "critical"),
    ("low", "accent-wash"),
    ("soft", "accent-wash"),
    ("info", "not-applicable-wash"),
    ("paper", "accent"),
    ("accent-wash", "accent"),
    ("paper", "heat-high"),
    ("ink", "heat-low"),
]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48  # the well-known grey that just fails


@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(text: str, ground: str) -> None:
    assert contrast(PAINTS[text], PAINTS[ground]) >= 4.5


def test_numbers_of_the_heat_map_stand_out_at_every_share() -> None:
    for percent in range(1, 101):
        box, number = _heat_cell(FlowCell("a", "b", CellState.PARTLY, percent / 100, "", "", ""), 0, 0, 30, PAINTS)
        fill, ink = (re.search(r'fill="(#[0-9a-f]{6})"', str(part)) for part in (box, number))
        assert fill
        assert ink
        assert contrast(fill[1], ink[1]) >= 4.5, percent


def test_every_verdict_has_a_sign_of_its_own_and_every_word_a_style() -> None:
    assert len({SYMBOLS[verdict.value] for verdict in Verdict}) == len(Verdict)
    css = template_text("base.css")
    for word in (*Verdict, *Severity):
        assert re.search(rf"^\.{token(word.value)}[ ,]", css, re.MULTILINE) or f", .{token(word.value)} " in css, word


def test_no_style_sheet_asks_for_anything() -> None:
    for name in ("base.css", "page.css", "print.css"):
        assert not re.search(r"url\(|@import|expression", template_text(name)), name
