"""The zone diagram: zones as boxes in columns from the outside to the most sensitive, computed flows as numbered arrows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evidence.report.charts import WIDTH, Palette
from evidence.report.svg import clipped, element, label, number, picture
from evidence.report.view.flows import NO_ZONE, OUTSIDE
from evidence.report.view.model import CellState, FlowCell, FlowGroup, FlowMatrix

MAX_ZONES = 14
MAX_ARROWS = 20
_COLUMN = {
    "internet": 0, "third-party": 0, "out-of-scope": 1, "other": 1, "": 1, "connected-to": 2, "security-impacting": 2,
    "cde": 3, "ephi": 3, "fedramp-boundary": 3,
}  # fmt: skip
_REGULATED = 3
_BOX = (132.0, 46.0)
_ROW = 74.0
_NUMBER_RADIUS = 7.5


@dataclass(frozen=True, slots=True)
class Arrow:
    """A numbered flow of the diagram, as its legend lists it."""

    number: int
    cell: FlowCell


def arrows(matrix: FlowMatrix) -> tuple[Arrow, ...]:
    """Flows between two different groups of which at least one is a declared zone, numbered in the matrix's order."""
    open_cells = [
        cell
        for cell in matrix.cells
        if cell.state in (CellState.OPEN, CellState.PARTLY)
        and cell.source != cell.destination
        and not {cell.source, cell.destination} <= {OUTSIDE, NO_ZONE}
    ]
    return tuple(Arrow(index, cell) for index, cell in enumerate(open_cells, start=1))


def drawn_arrows(matrix: FlowMatrix) -> tuple[Arrow, ...]:
    """All arrows when the picture can bear them, else those from and to zones with regulated data."""
    every = arrows(matrix)
    regulated = {group.name for group in matrix.groups if _sensitive(group)}
    if len(every) <= MAX_ARROWS:
        return every
    return tuple(arrow for arrow in every if {arrow.cell.source, arrow.cell.destination} & regulated)


def _sensitive(group: FlowGroup) -> bool:
    return _COLUMN.get(group.classification, 1) == _REGULATED


def zone_diagram(matrix: FlowMatrix, colours: Palette) -> Markup | None:
    """The picture, or None when there are too many zones or flows for one (the heat map shows them)."""
    drawn = drawn_arrows(matrix)
    if len(matrix.groups) > MAX_ZONES or len(drawn) > MAX_ARROWS:
        return None
    places, height = _placed(matrix.groups)
    parts: list[Markup] = []
    ends = _ends(drawn, places)
    numbers: list[tuple[float, float]] = []
    for arrow in drawn:
        parts += _arrow(arrow, ends[arrow.number], numbers, tuple(places.values()), colours)
    parts += [part for group in matrix.groups for part in _box(group, *places[group.name], colours)]
    return picture(
        "Zones and the computed flows between them",
        f"{len(matrix.groups)} zones and {len(drawn)} of {len(arrows(matrix))} flows; the table of flows lists each by its number",
        WIDTH,
        height,
        *parts,
    )


def _placed(groups: Sequence[FlowGroup]) -> tuple[Mapping[str, tuple[float, float]], float]:
    """Top left corner of each box, and the height of the picture."""
    columns: dict[int, list[str]] = defaultdict(list)
    for group in groups:
        columns[0 if group.name == OUTSIDE else _COLUMN.get(group.classification, 1)].append(group.name)
    rows = max(len(names) for names in columns.values())
    height = rows * _ROW
    left, free = 6.0, WIDTH - 12 - _BOX[0]
    step = free / max(1, len(columns) - 1)
    places = {}
    for index, column in enumerate(sorted(columns)):
        names = columns[column]
        for line, name in enumerate(names):
            y = height * (line + 0.5) / len(names) - _BOX[1] / 2
            places[name] = (left + index * step if len(columns) > 1 else left + free / 2, y)
    return places, height


def _box(group: FlowGroup, x: float, y: float, colours: Palette) -> list[Markup]:
    sensitive = _sensitive(group)
    declared = group.name not in (OUTSIDE, NO_ZONE)
    pods = f"{group.pods} pods" if group.pods != 1 else "1 pod"
    under = " · ".join(filter(None, (group.classification, pods if group.pods else "addresses")))
    return [
        element(
            "rect", x=x, y=y, width=_BOX[0], height=_BOX[1], rx=4, fill=colours["accent"] if sensitive else colours["paper"],
            stroke=colours["accent"] if declared else colours["faint"], stroke_width=1.2,
            stroke_dasharray="none" if declared else "4 3",
        ),
        label(
            clipped(group.name, 21), x + _BOX[0] / 2, y + 20, text_anchor="middle", font_size=10.0, font_weight="bold",
            fill=colours["paper"] if sensitive else colours["ink"],
        ),
        label(
            clipped(under, 28), x + _BOX[0] / 2, y + 34, text_anchor="middle", font_size=8.0,
            fill=colours["accent-wash"] if sensitive else colours["soft"],
        ),
    ]  # fmt: skip


Ends = tuple[
    tuple[float, float], tuple[float, float], float
]  # start, end, bend (horizontal reach of the curve's handles)


def _ends(drawn: Sequence[Arrow], places: Mapping[str, tuple[float, float]]) -> Mapping[int, Ends]:
    """Where each arrow leaves and arrives: spread over the side of a box, in the order of what lies on the other end."""
    sides: dict[tuple[str, bool], list[tuple[float, int, bool]]] = defaultdict(list)
    for arrow in drawn:
        source, destination = places[arrow.cell.source], places[arrow.cell.destination]
        leaves_right = source[0] <= destination[0]
        arrives_right = source[0] >= destination[0]
        sides[arrow.cell.source, leaves_right].append((destination[1], arrow.number, True))
        sides[arrow.cell.destination, arrives_right].append((source[1], arrow.number, False))
    points: dict[tuple[int, bool], tuple[float, float]] = {}
    for (name, right), touching in sides.items():
        x, y = places[name]
        for index, (_, arrow_number, leaving) in enumerate(sorted(touching)):
            at = y + _BOX[1] * (index + 1) / (len(touching) + 1)
            points[arrow_number, leaving] = (x + (_BOX[0] if right else 0.0), at)
    found: dict[int, Ends] = {}
    for arrow in drawn:
        start, end = points[arrow.number, True], points[arrow.number, False]
        same_column = places[arrow.cell.source][0] == places[arrow.cell.destination][0]
        found[arrow.number] = (start, end, 34.0 if same_column else (end[0] - start[0]) * 0.45)
    return found


def _arrow(
    arrow: Arrow,
    ends: Ends,
    numbers: list[tuple[float, float]],
    boxes: Sequence[tuple[float, float]],
    colours: Palette,
) -> list[Markup]:
    (x1, y1), (x2, y2), bend = ends
    broken = bool(arrow.cell.uncovered)
    colour = colours["refuted"] if broken else colours["supported"]
    same_column = x1 == x2
    handle1, handle2 = (x1 + bend, y1), (x2 + bend if same_column else x2 - bend, y2)
    back = -1.0 if x2 > x1 else 1.0
    tip = x2 + 5 * back
    path = f"M{number(x1)} {number(y1)} C{_pair(handle1)} {_pair(handle2)} {number(tip)} {number(y2)}"
    head = f"{number(x2)},{number(y2)} {number(x2 + 7 * back)},{number(y2 - 3.5)} {number(x2 + 7 * back)},{number(y2 + 3.5)}"
    x, y = _free_place(((x1, y1), handle1, handle2, (x2, y2)), numbers, boxes)
    numbers.append((x, y))
    return [
        element(
            "path", d=path, fill="none", stroke=colour, stroke_width=1.5 if broken else 1.1,
            stroke_dasharray="5 3" if broken else "none",
        ),
        element("polygon", points=head, fill=colour),
        element("circle", cx=x, cy=y, r=_NUMBER_RADIUS, fill=colours["paper"], stroke=colour, stroke_width=1),
        label(str(arrow.number), x, y + 2.8, text_anchor="middle", font_size=8.0, font_weight="bold", fill=colour),
    ]  # fmt: skip


def _pair(point: tuple[float, float]) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _free_place(
    curve: tuple[tuple[float, float], ...], taken: Sequence[tuple[float, float]], boxes: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """A point of the cubic curve, near its middle, outside all boxes and as far as possible from the numbers already there."""

    def at(t: float) -> tuple[float, float]:
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        return (
            sum(weight * point[0] for weight, point in zip(weights, curve, strict=True)),
            sum(weight * point[1] for weight, point in zip(weights, curve, strict=True)),
        )

    def behind(point: tuple[float, float], box: tuple[float, float]) -> bool:
        x, y = point[0] - box[0] + _NUMBER_RADIUS, point[1] - box[1] + _NUMBER_RADIUS
        return 0 < x < _BOX[0] + 2 * _NUMBER_RADIUS and 0 < y < _BOX[1] + 2 * _NUMBER_RADIUS

    def room(point: tuple[float, float]) -> float:
        if any(behind(point, box) for box in boxes):
            return -1.0
        nearest = min((abs(point[0] - x) + abs(point[1] - y) for x, y in taken), default=99.0)
        return min(nearest, 3 * _NUMBER_RADIUS)  # beyond this it does not matter

    return max((at(t) for t in (0.5, 0.4, 0.6, 0.32, 0.68, 0.24, 0.76, 0.16, 0.84)), key=room)
