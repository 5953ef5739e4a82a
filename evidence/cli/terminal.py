"""Text from a cluster on its way to a terminal: nothing in it can move the cursor, recolour, or forge a line of its own."""

from evidence.report.text import code_point, visible


def line(text: object) -> str:
    """`str(text)` as one inert line: what cannot be seen is spelled out, line breaks and tabs included."""
    return "".join(code_point(c) if c in "\n\t" else c for c in visible(str(text)))


def lines(text: object) -> str:
    """The same for text of several lines, whose line breaks are ours and stay."""
    return visible(str(text))
