"""The few SVG elements that the charts are made of, escaped, with numbers written in one way so that the bytes never differ."""

from markupsafe import Markup, escape

from evidence.report.text import visible

FONT = "Evidence Sans, Evidence Mono, system-ui, sans-serif"


def element(name: str, *children: Markup, **attributes: str | float) -> Markup:
    """An SVG element; underscores in attribute names stand for hyphens."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.replace("_", "-"), visible(value) if isinstance(value, str) else number(value))
        for key, value in attributes.items()
    )
    tag = Markup(name)  # noqa: S704  (a name of ours)
    return Markup("<{}{}>{}</{}>").format(tag, written, Markup("").join(children), tag)


def number(value: float) -> str:
    """At most two decimals, no trailing zeros, no minus zero."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def label(text: str, x: float, y: float, **attributes: str | float) -> Markup:
    """A line of text with its baseline at y."""
    return element("text", escape(visible(text)), x=x, y=y, **attributes)


def picture(title: str, description: str, width: float, height: float, *children: Markup) -> Markup:
    """A whole picture with its name and its alternative in words (the table beside it says the same)."""
    return element(
        "svg",
        element("title", escape(visible(f"{title}. {description}"))),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="img",
        font_family=FONT,
        font_size=9.0,
    )


def clipped(text: str, length: int) -> str:
    """At most `length` characters, the end replaced by an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"
