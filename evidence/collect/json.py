"""JSON as API servers and kubectl write it: fast, strict about duplicate keys, with the lines of a list's items.

orjson lets the last of two equal keys win in silence, so the text is checked besides. Every string of a JSON text stands between two
quotation marks, and orjson writes a string back with as many quotation marks as it was read with, unless one was written \\u0022. Without
that escape, a text and what orjson writes of its value hold the same number of quotation marks exactly when no key was dropped.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from evidence.errors import InputError

_TOKEN = rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]'
_FIRST_ITEM = re.compile(rb'"items"\s*:\s*\[[ \t]*(\r?\n[ \t]*)?\{')
_BOM = b"\xef\xbb\xbf"


def loaded(data: bytes) -> tuple[Any] | None:
    """The value of one JSON text, not yet checked for duplicate keys; None when this is no such text (a flow mapping in YAML looks like one)."""
    try:
        return (orjson.loads(data),)
    except orjson.JSONDecodeError:
        return None


def load(data: bytes, name: str, whole: tuple[Any] | None = None) -> Any:
    """The value of one JSON text; `whole` is what `loaded` gave for it. Raises InputError with `name` and the line."""
    data = data.removeprefix(_BOM)
    try:
        (value,) = whole or (orjson.loads(data),)
    except orjson.JSONDecodeError as error:
        cut_short = error.pos >= len(data.decode("utf-8", "replace").rstrip())
        hint = "; it ends too early, as if cut off" if cut_short else ""
        raise InputError(f"{name}:{error.lineno}: is not JSON: {error.msg}{hint}") from None
    _refuse_duplicate_keys(data, value, name)
    return value


def load_all(data: bytes, name: str, whole: tuple[Any] | None = None) -> Iterator[tuple[Any, int]]:
    """The values of one or several JSON texts one after another, each with the line it starts on."""
    data = data.removeprefix(_BOM)
    stripped = len(data) - len(data.lstrip())
    try:
        yield load(data, name, whole), 1 + data.count(b"\n", 0, stripped)
    except InputError:
        try:
            _, end = json.JSONDecoder().raw_decode(data.decode(), stripped)
        except (ValueError, RecursionError):
            end = 0
        if not end:
            raise
        yield from _one_after_another(data, name)


def _one_after_another(data: bytes, name: str) -> Iterator[tuple[Any, int]]:
    """Several dumps in one file (`kubectl get …; kubectl get …`)."""
    text = data.decode()
    decoder = json.JSONDecoder()
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if at >= len(text):
            return
        line = 1 + text.count("\n", 0, at)
        try:
            _, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise InputError(f"{name}:{where}: is not JSON: {error}") from None
        part = text[at:end].encode()
        yield load(b"\n" * (line - 1) + part, name), line
        at = end


def _refuse_duplicate_keys(data: bytes, value: Any, name: str) -> None:
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than orjson writes
        written = b""
    escaped = b"\\" in data and b"\\u0022" in data  # one byte is found or not in a fortieth of the time
    if not escaped and data.count(b'"') == written.count(b'"'):
        return
    found = duplicate_key(data)
    if found is not None:
        key, line = found
        raise InputError(f"{name}:{line}: the key {key!r} stands twice in one object")


def duplicate_key(data: bytes) -> tuple[str, int] | None:
    """The first key of a well-formed JSON text that stands twice in one object, and its line. Slow: for texts under suspicion."""
    open_objects: list[set[str] | None] = []
    expecting_key = False
    for match in re.finditer(_TOKEN, data):
        token = match[0]
        if token == b"{":
            open_objects.append(set())
            expecting_key = True
        elif token == b"[":
            open_objects.append(None)
            expecting_key = False
        elif token in (b"}", b"]"):
            open_objects.pop()
            expecting_key = False
        elif token == b",":
            expecting_key = bool(open_objects) and open_objects[-1] is not None
        elif token == b":":
            expecting_key = False
        elif expecting_key and open_objects and (keys := open_objects[-1]) is not None:
            key: str = orjson.loads(token)
            if key in keys:
                return key, 1 + data.count(b"\n", 0, match.start())
            keys.add(key)
    return None


def item_lines(data: bytes, count: int) -> tuple[int, ...]:
    """The line on which each of `count` objects under "items" starts; empty where that is not plain from the layout.

    A line feed never stands inside a JSON string, so lines are layout: kubectl starts every item on a line of its own with the same indent.
    """
    if b"\n" not in data.rstrip():
        return (1,) * count
    first = _FIRST_ITEM.search(data)
    if first is None or not first[1]:
        return ()
    start = first[1] + b"{"
    lines: list[int] = []
    line, seen = 1, 0
    at = first.start(1)
    while at != -1:
        line += data.count(b"\n", seen, at)
        seen = at
        lines.append(line + 1)
        at = data.find(start, at + 1)
    return tuple(lines) if len(lines) == count else ()
