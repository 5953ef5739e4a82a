"""Pictures of the report as SVG: verdict history, coverage of the period, heat map of flows.

Colours are the design tokens of report_templates/base.css. No picture says anything by colour alone, and each has its numbers in a
table too.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from evidence.frameworks.judge import Verdict
from evidence.report.svg import clipped, element, label, picture
from evidence.report.view import ReportView
from evidence.report.view.model import CellState, ControlView, FlowCell, FlowMatrix, SnapshotView

SYMBOLS: Mapping[str, str] = {
    Verdict.SUPPORTED.value: "●",
    Verdict.REFUTED.value: "◆",
    Verdict.NOT_DETERMINED.value: "◐",
    Verdict.NOT_APPLICABLE.value: "–",
    Verdict.NOT_ASSESSED.value: "○",
}
WORST_FIRST = (
    Verdict.REFUTED,
    Verdict.NOT_DETERMINED,
    Verdict.SUPPORTED,
    Verdict.NOT_APPLICABLE,
    Verdict.NOT_ASSESSED,
)
WIDTH = 660.0
MAX_COLUMNS = 60
MAX_GROUPS = 36
DATE_WIDTH = 50.0  # of a label such as 2026-07-01

Palette = Mapping[str, str]


def palette(base_css: str) -> Palette:
    """Token name to colour, from lines such as `--ink: #16202c;`."""
    return dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6})\s*;", base_css))


def token(verdict: str) -> str:
    """The token of a verdict: "not determined" is `not-determined`."""
    return verdict.replace(" ", "-")


# -- verdicts ---------------------------------------------------------------------------------------------------------


def verdict_bar(verdicts: Mapping[str, int], colours: Palette) -> Markup:
    """All controls in one bar, a stretch a verdict."""
    total = sum(verdicts.values()) or 1
    x, parts = 0.0, []
    for verdict, number in verdicts.items():
        width = WIDTH * number / total
        if number:
            parts.append(element("rect", x=x, y=0, width=width - 1.5, height=14, fill=colours[token(verdict)]))
        x += width
    words = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    return picture("Controls by verdict", f"Of {total} controls: {words}", WIDTH, 14, *parts)


def verdict_history(
    controls: Sequence[ControlView], snapshots: Sequence[SnapshotView], colours: Palette
) -> Markup | None:
    """A row a control that got a verdict, a column a snapshot (several together when there are many: the worst of them)."""
    rows = [control for control in controls if _judged(control) and len(control.history) == len(snapshots)]
    if not rows:
        return None
    bundles = bundled(len(snapshots), MAX_COLUMNS)
    left, top, row_height = 118.0, 26.0, 15.0
    column = min(52.0, (WIDTH - left) / len(bundles))
    every = -(-DATE_WIDTH // column)
    parts = []
    for index, bundle in enumerate(bundles):
        if index % every == 0:
            day = f"{snapshots[bundle[0]].taken_at:%Y-%m-%d}"
            parts.append(label(day, left + index * column, top - 8, fill=colours["soft"], font_size=8.0))
    for line, control in enumerate(rows):
        y = top + line * row_height
        parts.append(label(clipped(control.id, 22), left - 8, y + 10, text_anchor="end", fill=colours["ink"]))
        for index, bundle in enumerate(bundles):
            verdict = min((control.history[snapshot] for snapshot in bundle), key=WORST_FIRST.index)
            x = left + index * column
            colour = colours[token(verdict.value)]
            wash = colours[f"{token(verdict.value)}-wash"]
            parts.append(
                element(
                    "rect",
                    x=x,
                    y=y,
                    width=column - 1,
                    height=row_height - 2,
                    fill=wash,
                    stroke=colour,
                    stroke_width=0.4,
                )
            )
            parts.append(
                label(
                    SYMBOLS[verdict.value],
                    x + (column - 1) / 2,
                    y + 10,
                    text_anchor="middle",
                    fill=colour,
                    font_size=8.0,
                )
            )
    return picture(
        "Verdict of each control in each snapshot",
        "The same is in data/control_results.csv, column history",
        WIDTH,
        top + len(rows) * row_height,
        *parts,
    )


def _judged(control: ControlView) -> bool:
    return any(verdict not in (Verdict.NOT_ASSESSED, Verdict.NOT_APPLICABLE) for verdict in control.history)


def bundled(count: int, most: int) -> list[range]:
    """Indices 0..count-1 in at most `most` neighbouring runs of like length."""
    size = -(-count // most)
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


# -- coverage ---------------------------------------------------------------------------------------------------------


def coverage_line(view: ReportView, colours: Palette) -> Markup:
    """The period as a line: a mark a snapshot (hollow: time claimed; square: partial), gaps as bars."""
    start, end = view.cover.period_start, view.cover.period_end
    left, right, middle = 8.0, WIDTH - 8, 30.0

    def at(moment: datetime) -> float:
        return left + (right - left) * min(max((moment - start) / (end - start), 0.0), 1.0)

    parts = [element("rect", x=left, y=middle - 1, width=right - left, height=2, fill=colours["line"])]
    for gap in view.population.coverage.gaps:
        x, width = at(gap.start), at(gap.end) - at(gap.start)
        parts.append(
            element(
                "rect", x=x, y=middle - 8, width=max(width, 1), height=16, fill=colours["refuted-wash"],
                stroke=colours["refuted"], stroke_width=0.6, stroke_dasharray="3 2",
            )
        )  # fmt: skip
        if width > 40:
            days = (gap.end - gap.start).days
            words = f"gap of {days} d" if days else f"gap of {(gap.end - gap.start).seconds // 3600} h"
            parts.append(label(words, x + width / 2, middle + 3, text_anchor="middle", fill=colours["refuted"]))
    for snapshot in view.population.snapshots:
        x = at(snapshot.taken_at)
        fill = colours["paper"] if snapshot.taken_at_claimed else colours["accent"]
        if snapshot.partial:
            mark = element("rect", x=x - 4, y=middle - 4, width=8, height=8, fill=fill, stroke=colours["accent"])
        else:
            mark = element("circle", cx=x, cy=middle, r=4, fill=fill, stroke=colours["accent"], stroke_width=1.2)
        parts.append(mark)
    for moment, anchor in ((start, "start"), (end, "end")):
        parts.append(label(f"{moment:%Y-%m-%d %H:%M} UTC", at(moment), 12, text_anchor=anchor, fill=colours["soft"]))
    covered = (
        f"{view.population.coverage.share:.0%} of the period covered by {len(view.population.snapshots)} snapshots"
    )
    return picture(
        "Snapshots over the period", f"{covered}, {len(view.population.coverage.gaps)} gaps", WIDTH, 46, *parts
    )


# -- heat map ---------------------------------------------------------------------------------------------------------


def cells_of(matrix: FlowMatrix) -> Mapping[tuple[str, str], FlowCell]:
    """Cells by source and destination; pairs that are not in it have no computed flow."""
    return {(cell.source, cell.destination): cell for cell in matrix.cells}


def shown_groups(matrix: FlowMatrix) -> tuple[str, ...]:
    """All groups, or those with the most open pairs when there are too many to draw, in the matrix's own order."""
    names = [group.name for group in matrix.groups]
    if len(names) <= MAX_GROUPS:
        return tuple(names)
    weight = dict.fromkeys(names, 0.0)
    for cell in matrix.cells:
        weight[cell.source] += cell.share
        weight[cell.destination] += cell.share
    chosen = set(sorted(names, key=lambda name: (-weight[name], name))[:MAX_GROUPS])
    return tuple(name for name in names if name in chosen)


def heat_map(matrix: FlowMatrix, colours: Palette, whole: str = "") -> Markup:
    """Rows send, columns receive. A number is the share of pod pairs, in percent, that may talk on some port. `whole`: where all of them are listed,
    by default in a pack's file."""
    names = shown_groups(matrix)
    cells = cells_of(matrix)
    left, top = 150.0, 104.0
    size = min(30.0, (WIDTH - left - 40) / len(names))
    parts = [
        label("from ↓   to →", left - 8, top - 6, text_anchor="end", fill=colours["soft"], font_size=8.0),
    ]
    for index, name in enumerate(names):
        middle = index * size + size / 2
        parts.append(label(clipped(name, 28), left - 8, top + middle + 3, text_anchor="end", fill=colours["ink"]))
        x, y = left + middle + 3, top - 6
        turned = label(clipped(name, 24), x, y, fill=colours["ink"], transform=f"rotate(-50 {x:.2f} {y:.2f})")
        parts.append(turned)
    for line, source in enumerate(names):
        for column, destination in enumerate(names):
            cell = cells.get((source, destination))
            parts += _heat_cell(cell, left + column * size, top + line * size, size, colours)
    title = f"Computed flows between {matrix.of}"
    described = f"{len(names)} of {len(matrix.groups)} {matrix.of} drawn; all are in {whole or f'data/{matrix.of[:-1]}_flows.csv'}"
    return picture(title, described, WIDTH, top + len(names) * size + 2, *parts)


def _heat_cell(cell: FlowCell | None, x: float, y: float, size: float, colours: Palette) -> list[Markup]:
    state = cell.state if cell else CellState.NONE
    share = cell.share if cell else 0.0
    fill, ink, words = colours["paper"], colours["faint"], "·"
    if state in (CellState.OPEN, CellState.PARTLY):
        fill, words = _mixed(colours["heat-low"], colours["heat-high"], share), f"{max(1, round(100 * share))}"
        ink = max((colours["paper"], colours["heat-ink"]), key=lambda one: contrast(one, fill))
    elif state is CellState.UNCERTAIN:
        fill, ink, words = colours["not-determined-wash"], colours["not-determined"], "?"
    elif state is CellState.NOT_COMPUTED:
        fill, words = colours["wash"], "–"
    broken = bool(cell and cell.uncovered)
    box = element(
        "rect", x=x + 0.75, y=y + 0.75, width=size - 1.5, height=size - 1.5, fill=fill,
        stroke=colours["refuted"] if broken else colours["line"], stroke_width=1.5 if broken else 0.5,
    )  # fmt: skip
    if size < 11 and words.isdigit():
        return [box]
    text_size = min(9.0, size * 0.42)
    words = f"{words}!" if broken else words
    return [
        box,
        label(
            words, x + size / 2, y + size / 2 + text_size * 0.36, text_anchor="middle", fill=ink, font_size=text_size
        ),
    ]


def _mixed(low: str, high: str, share: float) -> str:
    """A colour between two, share 0 to 1."""
    parts = [(int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
