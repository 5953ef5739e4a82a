"""Ways to read what was rendered: the page as elements, the PDF by poppler and pikepdf."""

import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest


@dataclass(slots=True)
class Element:
    tag: str
    attributes: dict[str, str]


@dataclass(slots=True)
class Page:
    """`elements` in order; `texts`: the text of style and script elements by id ("" without one)."""

    elements: list[Element] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def named(self, tag: str) -> list[Element]:
        return [one for one in self.elements if one.tag == tag]

    @property
    def ids(self) -> list[str]:
        return [one.attributes["id"] for one in self.elements if "id" in one.attributes]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.page.elements.append(Element(tag, attributes))
        self._inside = (attributes.get("id") or tag) if tag in ("script", "style", "title") else None

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.page.texts[self._inside] = self.page.texts.get(self._inside, "") + data


def parsed(content: bytes) -> Page:
    parser = _Parser()
    parser.feed(content.decode())
    parser.close()
    return parser.page


def tool(name: str) -> str:
    """A program of this machine, or a skip."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not on this machine")
    return path


def pdf_text(path: Path) -> str:
    command = [tool("pdftotext"), "-layout", "-enc", "UTF-8", str(path), "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def pdf_info(path: Path) -> dict[str, str]:
    output = subprocess.run([tool("pdfinfo"), str(path)], check=True, capture_output=True, text=True, timeout=60).stdout
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in output.splitlines())}
