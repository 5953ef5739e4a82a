"""Text from a cluster on its way to a terminal: nothing in it can move the cursor, recolour, or forge a line of its own."""

import shutil
import textwrap

from evidence.report.text import code_point, visible

WIDTH, MIN_WIDTH, MAX_WIDTH = 100, 60, 120  # columns: without a terminal, at least, at most


def line(text: object) -> str:
    """`str(text)` as one inert line: what cannot be seen is spelled out, line breaks and tabs included."""
    return "".join(code_point(c) if c in "\n\t" else c for c in visible(str(text)))


def columns() -> int:
    """How wide paragraphs are set."""
    return min(max(shutil.get_terminal_size((WIDTH, 24)).columns, MIN_WIDTH), MAX_WIDTH)


def wrapped(text: object, width: int, indent: int) -> str:
    """A paragraph: hostile characters spelled out, later lines under the text that begins in column `indent`, names left whole."""
    margin = " " * indent
    return textwrap.fill(line(text), width, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False)


def lines(text: object) -> str:
    """The same for text of several lines, whose line breaks are ours and stay."""
    return visible(str(text))
