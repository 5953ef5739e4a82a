"""Charts: the right numbers in the right places, and never hostile markup."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from evidence.frameworks.judge import Verdict
from evidence.report.charts import (
    MAX_GROUPS,
    SYMBOLS,
    bundled,
    coverage_line,
    heat_map,
    shown_groups,
    verdict_bar,
    verdict_history,
)
from evidence.report.svg import element, number
from evidence.report.templates import colours
from evidence.report.view.model import CellState, FlowCell, FlowGroup, FlowMatrix
from evidence.report.zonediagram import MAX_ARROWS, arrows, drawn_arrows, on_curve, zone_diagram
from tests.report.builders import TAKEN, control, snapshot, view, zone_matrix

PAINTS = colours()


def read(picture: Markup | None) -> ET.Element:
    assert picture is not None
    return ET.fromstring(str(picture))


def texts(picture: Markup | None) -> list[str]:
    return ["".join(one.itertext()) for one in read(picture).iter() if one.tag.endswith("}text")]


def matrix(size: int, classification: str = "", uncovered: str = "") -> FlowMatrix:
    names = [f"zone-{one:02d}" for one in range(size)]
    cells = tuple(FlowCell(a, b, CellState.OPEN, 1.0, "TCP 1", uncovered, "") for a in names for b in names if a != b)
    return FlowMatrix("zones", tuple(FlowGroup(name, classification, 1) for name in names), cells)


@pytest.mark.parametrize(
    ("value", "written"), [(1.0, "1"), (-0.001, "0"), (2.50, "2.5"), (1 / 3, "0.33"), (12345.678, "12345.68")]
)
def test_numbers_are_written_in_one_way(value: float, written: str) -> None:
    assert number(value) == written


def test_names_and_attributes_are_escaped_and_hidden_characters_spelled_out() -> None:
    picture = element("a", Markup("<b/>"), title='"><script>\u202e')

    assert str(picture) == '<a title="&#34;&gt;&lt;script&gt;⟨U+202E⟩"><b/></a>'


def test_the_bar_gives_each_verdict_its_share() -> None:
    bar = read(verdict_bar({"supported": 1, "refuted": 3, "not determined": 0}, PAINTS))

    widths = [float(one.attrib["width"]) + 1.5 for one in bar.iter() if one.tag.endswith("rect")]
    assert [round(width / 660, 2) for width in widths] == [0.25, 0.75]
    assert bar.find("{*}title") is not None


@pytest.mark.parametrize(("count", "most"), [(1, 60), (60, 60), (61, 60), (2200, 60)])
def test_neighbours_are_bundled_without_losing_any(count: int, most: int) -> None:
    bundles = bundled(count, most)

    assert [index for bundle in bundles for index in bundle] == list(range(count))
    assert len(bundles) <= most


def test_the_history_shows_the_worst_of_snapshots_that_share_a_column() -> None:
    many = [snapshot(n, TAKEN[0]) for n in range(120)]
    history = [Verdict.SUPPORTED] * 120
    history[7] = Verdict.REFUTED

    signs = texts(verdict_history([control("1.3.1", history=tuple(history))], many, PAINTS))

    assert signs.count(SYMBOLS["refuted"]) == 1
    assert signs.count(SYMBOLS["supported"]) == 59


def test_controls_that_never_got_a_verdict_are_left_out_of_the_history() -> None:
    assert verdict_history([control("9.1.1", Verdict.NOT_ASSESSED)], [snapshot(1, TAKEN[0])] * 5, PAINTS) is None


def test_the_timeline_marks_snapshots_by_shape_and_gaps_by_a_dashed_box() -> None:
    line = read(coverage_line(view(), PAINTS))

    assert len([one for one in line.iter() if one.tag.endswith("circle")]) == 4
    assert len([one for one in line.iter() if "stroke-dasharray" in one.attrib]) == 1
    assert "gap of 12 d" in texts(coverage_line(view(), PAINTS))


def test_the_heat_map_writes_what_its_colours_say() -> None:
    cells = (
        FlowCell("a", "b", CellState.PARTLY, 0.004, "TCP 1", "", ""),
        FlowCell("b", "a", CellState.OPEN, 1.0, "TCP 1", "TCP 1", ""),
        FlowCell("a", "a", CellState.UNCERTAIN, 0.0, "", "", "why"),
        FlowCell("b", "b", CellState.NOT_COMPUTED, 0.0, "", "", ""),
    )
    groups = (FlowGroup("a", "", 1), FlowGroup("b", "", 1))

    words = texts(heat_map(FlowMatrix("zones", groups, cells), PAINTS))

    assert {"1", "100!", "?", "–"} <= set(words)


def test_too_many_groups_are_cut_to_those_with_the_most_flows() -> None:
    big = matrix(MAX_GROUPS + 10)
    quiet = {cell.source for cell in big.cells[:5]}
    big = replace(big, cells=tuple(cell for cell in big.cells if quiet.isdisjoint({cell.source, cell.destination})))

    shown = shown_groups(big)

    assert len(shown) == MAX_GROUPS
    assert quiet.isdisjoint(shown)
    assert f"{MAX_GROUPS} of {MAX_GROUPS + 10} zones drawn" in str(heat_map(big, PAINTS))


def test_the_zone_diagram_numbers_its_arrows_as_the_table_does() -> None:
    listed = arrows(zone_matrix())

    assert [(one.number, one.cell.source, one.cell.destination) for one in listed][:2] == [
        (1, "shop", "cde"),
        (2, "batch", "cde"),
    ]
    assert {str(one.number) for one in listed} <= set(texts(zone_diagram(zone_matrix(), PAINTS)))


def test_an_unapproved_flow_differs_from_an_approved_one_by_more_than_colour() -> None:
    paths = [one for one in read(zone_diagram(zone_matrix(), PAINTS)).iter() if one.tag.endswith("path")]

    assert [path.attrib["stroke-dasharray"] for path in paths] == ["none", "5 3", "5 3", "none"]


def test_a_crowded_diagram_draws_the_flows_of_regulated_zones_alone() -> None:
    crowded = matrix(6)
    regulated = replace(crowded, groups=(FlowGroup("zone-00", "cde", 1), *crowded.groups[1:]))

    assert len(arrows(regulated)) == 30 > MAX_ARROWS
    assert {one.number for one in drawn_arrows(regulated)} == {
        one.number for one in arrows(regulated) if "zone-00" in (one.cell.source, one.cell.destination)
    }
    assert "10 of 30 flows" in str(zone_diagram(regulated, PAINTS))


def test_a_diagram_that_nobody_could_read_is_not_drawn() -> None:
    assert zone_diagram(matrix(15), PAINTS) is None
    assert zone_diagram(matrix(8, classification="cde"), PAINTS) is None


def test_numbers_of_arrows_never_hide_behind_a_box() -> None:
    picture = read(zone_diagram(matrix(5, classification="connected-to"), PAINTS))
    boxes = [one.attrib for one in picture.iter() if one.tag.endswith("rect")]
    hidden = [
        circle
        for circle in (one.attrib for one in picture.iter() if one.tag.endswith("circle"))
        for box in boxes
        if 0 < float(circle["cx"]) - float(box["x"]) < float(box["width"])
        and 0 < float(circle["cy"]) - float(box["y"]) < float(box["height"])
    ]

    assert boxes
    assert hidden == []


def test_no_arrow_is_drawn_over_a_number() -> None:
    picture = read(zone_diagram(matrix(5, classification="connected-to"), PAINTS))
    shapes = [one.tag.rpartition("}")[2] for one in picture.iter()]
    last_line = max(index for index, shape in enumerate(shapes) if shape in ("path", "polygon"))
    assert shapes.count("circle") > 1
    assert last_line < shapes.index("circle")


def test_no_arrow_runs_behind_a_box() -> None:
    names = ("internet", "other", "connected-to", "cde")
    groups = tuple(FlowGroup(f"{name} {n}", name, 1) for name in names for n in range(3))
    cells = tuple(
        FlowCell(a.name, b.name, CellState.OPEN, 1.0, "TCP 1", "", "")
        for a in (groups[0], groups[5], groups[9])
        for b in groups
        if a is not b and a.classification != b.classification
    )
    every = FlowMatrix("zones", groups, cells[:MAX_ARROWS])
    picture = read(zone_diagram(every, PAINTS))
    boxes = [
        tuple(float(one.attrib[name]) for name in ("x", "y", "width", "height"))
        for one in picture.iter()
        if one.tag.endswith("rect")
    ]

    for path in (one.attrib["d"] for one in picture.iter() if one.tag.endswith("path")):
        numbers = [float(one) for one in re.findall(r"-?[0-9.]+", path)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        for start in range(0, len(points) - 1, 3):
            a, b, c, d = points[start : start + 4]
            for step in range(1, 20):
                x, y = on_curve((a, b, c, d), step / 20)
                assert not any(
                    left + 1 < x < left + w - 1 and top + 1 < y < top + h - 1 for left, top, w, h in boxes
                ), path


def test_every_colour_of_a_picture_is_a_token() -> None:
    pictures = (coverage_line(view(), PAINTS), zone_diagram(zone_matrix(), PAINTS), verdict_bar({"refuted": 1}, PAINTS))

    for picture in pictures:
        assert set(re.findall(r"#[0-9a-f]{6}", str(picture))) <= set(PAINTS.values())
