"""The zone diagram: zones as boxes in columns from the outside to the most sensitive, computed flows as numbered arrows."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
_BESIDE = (0.0, 5.0, -5.0, 9.0, -9.0)  # where further arrows run that share a gap between two boxes

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]  # a cubic: start, two handles, end


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
    lines: list[Markup] = []
    marks: list[Markup] = []
    numbers: list[Point] = []
    for arrow, route in zip(drawn, _routes(drawn, places, height), strict=True):
        lines += _line(arrow, route, colours)
        numbers.append(_free_place(route, numbers, tuple(places.values())))
        marks += _mark(arrow, numbers[-1], colours)
    parts = [*lines, *marks]  # no line runs through a number
    parts += [part for group in matrix.groups for part in _box(group, *places[group.name], colours)]
    return picture(
        "Zones and the computed flows between them",
        f"{len(matrix.groups)} zones and {len(drawn)} of {len(arrows(matrix))} flows; the table of flows lists each by its number",
        WIDTH,
        height,
        *parts,
    )


def _placed(groups: Sequence[FlowGroup]) -> tuple[Mapping[str, Point], float]:
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


# -- arrows -----------------------------------------------------------------------------------------------------------


def _routes(drawn: Sequence[Arrow], places: Mapping[str, Point], height: float) -> list[list[Curve]]:
    """The way of each arrow. It crosses a column between its ends in a gap between two boxes, never behind one."""
    ends = _ends(drawn, places)
    columns: dict[float, list[float]] = defaultdict(list)
    for x, y in places.values():
        columns[x].append(y)
    gaps = {x: _gaps(sorted(tops), height) for x, tops in columns.items()}
    taken: Counter[tuple[float, float]] = Counter()
    routes = []
    for arrow in drawn:
        start, end = ends[arrow.number]
        source, destination = places[arrow.cell.source][0], places[arrow.cell.destination][0]
        between = sorted(x for x in columns if min(source, destination) < x < max(source, destination))
        if source == destination:
            routes.append([(start, (start[0] + 34.0, start[1]), (end[0] + 34.0, end[1]), end)])
            continue
        route: list[Curve] = []
        at = start
        for x in between if source < destination else reversed(between):
            straight = at[1] + (end[1] - at[1]) * (x + _BOX[0] / 2 - at[0]) / (end[0] - at[0])
            gap = min(gaps[x], key=lambda y: abs(y - straight))
            y = gap + _BESIDE[taken[x, gap] % len(_BESIDE)]
            taken[x, gap] += 1
            enter, leave = sorted(((x, y), (x + _BOX[0], y)), reverse=source > destination)
            route += [_bent(at, enter), (enter, enter, leave, leave)]
            at = leave
        routes.append([*route, _bent(at, end)])
    return routes


def _gaps(tops: Sequence[float], height: float) -> list[float]:
    """Heights at which a column can be crossed: above its first box, between two, below the last."""
    above, below = max(tops[0] - 14, 6.0), min(tops[-1] + _BOX[1] + 14, height - 6)
    return [above, *((one + _BOX[1] + other) / 2 for one, other in pairwise(tops)), below]


def _bent(start: Point, end: Point) -> Curve:
    """A curve that leaves and arrives level."""
    reach = (end[0] - start[0]) * 0.45
    return start, (start[0] + reach, start[1]), (end[0] - reach, end[1]), end


def _ends(drawn: Sequence[Arrow], places: Mapping[str, Point]) -> Mapping[int, tuple[Point, Point]]:
    """Where each arrow leaves and arrives: spread over the side of a box, in the order of what lies on the other end."""
    sides: dict[tuple[str, bool], list[tuple[float, int, bool]]] = defaultdict(list)
    for arrow in drawn:
        source, destination = places[arrow.cell.source], places[arrow.cell.destination]
        leaves_right = source[0] <= destination[0]
        arrives_right = source[0] >= destination[0]
        sides[arrow.cell.source, leaves_right].append((destination[1], arrow.number, True))
        sides[arrow.cell.destination, arrives_right].append((source[1], arrow.number, False))
    points: dict[tuple[int, bool], Point] = {}
    for (name, right), touching in sides.items():
        x, y = places[name]
        for index, (_, arrow_number, leaving) in enumerate(sorted(touching)):
            at = y + _BOX[1] * (index + 1) / (len(touching) + 1)
            points[arrow_number, leaving] = (x + (_BOX[0] if right else 0.0), at)
    return {arrow.number: (points[arrow.number, True], points[arrow.number, False]) for arrow in drawn}


def _colour(arrow: Arrow, colours: Palette) -> str:
    return colours["refuted"] if arrow.cell.uncovered else colours["supported"]


def _line(arrow: Arrow, route: Sequence[Curve], colours: Palette) -> list[Markup]:
    broken, colour = bool(arrow.cell.uncovered), _colour(arrow, colours)
    *_, handle, (x2, y2) = route[-1]
    back = 1.0 if handle[0] > x2 else -1.0
    curves = [(*route[-1][:3], (x2 + 5 * back, y2)) if curve is route[-1] else curve for curve in route]
    path = f"M{_pair(route[0][0])} " + " ".join(f"C{_pair(a)} {_pair(b)} {_pair(end)}" for _, a, b, end in curves)
    head = f"{number(x2)},{number(y2)} {number(x2 + 7 * back)},{number(y2 - 3.5)} {number(x2 + 7 * back)},{number(y2 + 3.5)}"
    return [
        element(
            "path", d=path, fill="none", stroke=colour, stroke_width=1.5 if broken else 1.1,
            stroke_dasharray="5 3" if broken else "none",
        ),
        element("polygon", points=head, fill=colour),
    ]  # fmt: skip


def _mark(arrow: Arrow, place: Point, colours: Palette) -> list[Markup]:
    x, y = place
    colour = _colour(arrow, colours)
    return [
        element("circle", cx=x, cy=y, r=_NUMBER_RADIUS, fill=colours["paper"], stroke=colour, stroke_width=1),
        label(str(arrow.number), x, y + 2.8, text_anchor="middle", font_size=8.0, font_weight="bold", fill=colour),
    ]


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def on_curve(curve: Curve, t: float) -> Point:
    """The point of a cubic at t, from 0 at its start to 1 at its end."""
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    return (
        sum(weight * point[0] for weight, point in zip(weights, curve, strict=True)),
        sum(weight * point[1] for weight, point in zip(weights, curve, strict=True)),
    )


def _free_place(route: Sequence[Curve], taken: Sequence[Point], boxes: Sequence[Point]) -> Point:
    """A point of the way, outside all boxes, as far as possible from the numbers already there, and near the middle of a curve."""

    def behind(point: Point, box: Point) -> bool:
        x, y = point[0] - box[0] + _NUMBER_RADIUS, point[1] - box[1] + _NUMBER_RADIUS
        return 0 < x < _BOX[0] + 2 * _NUMBER_RADIUS and 0 < y < _BOX[1] + 2 * _NUMBER_RADIUS

    def room(point: Point) -> float:
        if any(behind(point, box) for box in boxes):
            return -1.0
        nearest = min((abs(point[0] - x) + abs(point[1] - y) for x, y in taken), default=99.0)
        return min(nearest, 3 * _NUMBER_RADIUS)  # beyond this it does not matter

    steps = (0.5, 0.4, 0.6, 0.32, 0.68, 0.24, 0.76, 0.16, 0.84)
    return max((on_curve(curve, t) for t in steps for curve in route), key=room)
