"""YAML documents of Kubernetes manifests, read as kubectl reads them, by libyaml.

1. Plain scalars are what kubectl's parser makes of them (sigs.k8s.io/yaml, goyaml.v2 resolve.go): yes, no, on, off, y, n are booleans, 010 and
   0o10 are eight, times and 1:30 are text.
2. A key that stands twice in one mapping is an error, as for kubectl since 1.27 and for the API server's strict validation.
3. Aliases are followed, and count with everything that they stand for: a small file cannot become a large one.
4. Values are built straight from libyaml's events: PyYAML's own constructors take two to three times as long.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from evidence.errors import InputError

MAX_ALIASED_NODES = 200_000
MAX_DEPTH = 200

_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MERGE = object()
_NextEvent = Callable[[], Any]  # PyYAML's own types do not tell events apart


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value (JSON types only), the line of its first token, and, of a list under `items`, the line of each item."""

    value: Any
    line: int
    item_lines: tuple[int, ...] = ()


def documents(data: bytes | str, name: str) -> Iterator[Document]:
    """Every document that holds something. Raises InputError with `name` and the line."""
    try:
        yield from _Reader(data, name).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise InputError(f"{where}: is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: is not YAML: {_one_line(error)}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: is not text in UTF-8: {error.reason} at byte {error.start}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def scalar(text: str) -> Any:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_START:
        digits = text.replace("_", "")
        if _INTEGER.fullmatch(digits):
            return _integer(digits)
        if _FLOAT.fullmatch(digits):
            return float(digits)
    return text


def _integer(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-").lower()
    if digits.startswith(("0x", "0b", "0o")):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)


class _Reader:
    """Builds the values of one stream. State: the parser, the anchors of the document, and how much aliases stood for so far."""

    def __init__(self, data: bytes | str, name: str) -> None:
        self.parser = yaml.CBaseLoader(data)
        self.name = name
        self.plain: dict[str, Any] = {}  # the same few scalars stand everywhere
        self.aliased = 0
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.nodes = 0
        self.item_lines: list[int] = []

    def documents(self) -> Iterator[Document]:
        next_event: _NextEvent = self.parser.get_event
        while True:
            event = next_event()
            if isinstance(event, yaml.StreamEndEvent):
                return
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            self.anchors, self.item_lines, self.nodes, self.aliased = {}, [], 0, 0
            first = next_event()
            line: int = first.start_mark.line + 1
            value = self.value(first, 0)
            next_event()  # the document's end
            if value is not None:
                yield Document(value, line, tuple(self.item_lines))

    def wrong(self, event: Any, message: str) -> InputError:
        return InputError(f"{self.name}:{event.start_mark.line + 1}: {message}")

    def value(self, event: Any, depth: int) -> Any:
        """The value that starts with `event`."""
        kind = type(event)
        self.nodes += 1
        if kind is yaml.ScalarEvent:
            if event.tag is None:
                text = event.value
                value: Any = text
                if not event.implicit[0]:
                    pass
                elif text in self.plain:
                    value = self.plain[text]
                else:
                    value = self.plain[text] = self.resolved(event)
            else:
                value = self.tagged(event)
            if event.anchor is not None:
                self.anchors[event.anchor] = (value, 1)
            return value
        if kind is yaml.AliasEvent:
            return self.alias(event)
        if depth > MAX_DEPTH:
            raise self.wrong(event, f"is nested deeper than {MAX_DEPTH} levels")
        if event.tag not in (None, "!", _TAG + ("map" if kind is yaml.MappingStartEvent else "seq")):
            raise self.wrong(event, f"has the tag {event.tag}, which Kubernetes manifests do not know")
        before = self.nodes
        if event.anchor is not None:
            self.anchors[event.anchor] = (_MERGE, 0)  # not whole yet: an alias to it from inside is refused
        value = self.mapping(depth) if kind is yaml.MappingStartEvent else self.sequence(depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.nodes - before + 1)
        return value

    def mapping(self, depth: int) -> dict[str, Any]:
        next_event: _NextEvent = self.parser.get_event
        plain = self.plain
        found: dict[str, Any] = {}
        merges: list[Any] = []
        while True:
            event = next_event()
            if type(event) is yaml.MappingEndEvent:
                break
            key = self.key(event)
            below = next_event()
            if type(below) is yaml.ScalarEvent and below.tag is None and below.anchor is None:  # by far the most
                self.nodes += 1
                text = below.value
                value: Any = text
                if not below.implicit[0]:
                    pass
                elif text in plain:
                    value = plain[text]
                else:
                    value = plain[text] = self.resolved(below)
            elif depth == 0 and key == "items" and type(below) is yaml.SequenceStartEvent:
                value = self.items(below)
            else:
                value = self.value(below, depth + 1)
            if key is _MERGE:
                merges.append((event, value))
            elif key in found:
                raise self.wrong(event, f"the key {key!r} stands twice in one mapping")
            else:
                found[key] = value
        for event, merged in merges:
            for part in merged if isinstance(merged, list) else [merged]:
                if not isinstance(part, dict):
                    raise self.wrong(event, "<< must merge a mapping or a list of mappings")
                found = {**part, **found}
        return found

    def items(self, event: Any) -> list[Any]:
        """The list under the key `items` of a document, with the line of each item."""
        if event.anchor is not None or event.tag is not None:
            anchored: list[Any] = self.value(event, 1)
            return anchored
        self.nodes += 1
        return self.sequence(1, self.item_lines)

    def sequence(self, depth: int, lines: list[int] | None = None) -> list[Any]:
        next_event: _NextEvent = self.parser.get_event
        found: list[Any] = []
        while True:
            event = next_event()
            if type(event) is yaml.SequenceEndEvent:
                return found
            if lines is not None:
                lines.append(event.start_mark.line + 1)
            found.append(self.value(event, depth + 1))

    def key(self, event: Any) -> Any:
        """A mapping's key as text; kubectl turns numbers and booleans into text."""
        if type(event) is yaml.AliasEvent:
            value = self.alias(event)
        elif type(event) is yaml.ScalarEvent:
            if event.value == "<<" and event.implicit[0]:
                return _MERGE
            value = self.value(event, 0)
        else:
            raise self.wrong(event, "a key must be text, not a list or a mapping")
        match value:
            case str():
                return value
            case bool():
                return "true" if value else "false"
            case int() | float():
                return str(value)
            case _:
                raise self.wrong(event, "a key is missing")

    def alias(self, event: Any) -> Any:
        value, size = self.anchors.get(event.anchor, (None, 0))
        if value is _MERGE:
            raise self.wrong(event, f"the alias *{event.anchor} stands inside its own anchor")
        if size == 0:
            raise self.wrong(event, f"the alias *{event.anchor} has no anchor before it")
        self.aliased += size
        self.nodes += size
        if self.aliased > MAX_ALIASED_NODES:
            raise self.wrong(
                event, f"aliases stand for more than {MAX_ALIASED_NODES:,} values; refused as an alias bomb"
            )
        return value

    def resolved(self, event: Any) -> Any:
        text = event.value
        if _NOT_JSON.fullmatch(text):
            raise self.wrong(event, f"{text} is a number that JSON, and so Kubernetes, cannot hold; put it in quotes")
        value = scalar(text)
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise self.wrong(event, f"{text} is too large a number")
        return value

    def tagged(self, event: Any) -> Any:
        """A scalar with a tag: `!` and !!str are text, the other core types must be what they say."""
        tag, text = event.tag, event.value
        if tag in ("!", f"{_TAG}str"):
            return text
        types = {"bool": bool, "int": int, "float": float, "null": type(None)}
        expected = types.get(tag.removeprefix(_TAG))
        if expected is None:
            raise self.wrong(event, f"has the tag {tag}, which Kubernetes manifests do not know")
        value = self.resolved(event)
        if expected is float and type(value) is int:
            return float(value)
        if type(value) is not expected:
            raise self.wrong(event, f"{text!r} is no {tag.removeprefix(_TAG)}")
        return value
