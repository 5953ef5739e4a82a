"""JSON: duplicate keys are found without a second parser, and items have the lines they stand on."""

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.collect.json import duplicate_key, item_lines, load, load_all
from evidence.errors import InputError


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ('{"a": 1, "a": 2}', "a", 1),
        ('{"a": 1,\n "b": {"c": 1,\n "c": 1}}', "c", 3),
        ('[{"x": [{"y": 1, "y": 1}]}]', "y", 1),
        ('{"a": 1, "\\u0061": 2}', "a", 1),
        ('{"a": "\\u0022\\u0022", "a": 1}', "a", 1),  # two quotation marks less than written, two more than dropped
        ('{"a": {"b": 1}, "c": "}", "c": []}', "c", 1),
        ('{"": 1, "": 2}', "", 1),
    ],
)
def test_a_key_that_stands_twice_is_found_with_its_line(text: str, key: str, line: int) -> None:
    with pytest.raises(InputError, match=rf"x\.json:{line}: the key '{key}' stands twice"):
        load(text.encode(), "x.json")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "a", "b": "\\"a\\""}',
        '{"a": {"a": {"a": 1}}}',
        '[{"a": 1}, {"a": 1}]',
        '{"a": "\\u0022"}',
        '{"a\\\\": 1, "a": ["a", "a"]}',
    ],
)
def test_what_only_looks_like_a_duplicate_is_not_one(text: str) -> None:
    assert load(text.encode(), "x.json") == json.loads(text)


KEYS = st.sampled_from(["a", "b", '"', "\\", "é", "\u2028", ""])


def written(value: Any) -> str:
    """JSON of pairs, in which keys may stand twice."""
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(inner)}" for key, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(inner) for inner in value) + "]"
    return json.dumps(value)


def has_duplicate(value: Any) -> bool:
    if isinstance(value, tuple):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or any(has_duplicate(inner) for _, inner in value)
    return isinstance(value, list) and any(has_duplicate(inner) for inner in value)


PAIRS = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=5) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple),
    max_leaves=12,
)


@given(PAIRS, st.booleans())
def test_duplicates_are_found_exactly_when_there_are_some(value: Any, escape_quotes: bool) -> None:
    text = written(value)
    if escape_quotes:
        text = re.sub(r"\\(.)", lambda escape: "\\u0022" if escape[1] == '"' else escape[0], text)
    try:
        load(text.encode(), "x.json")
        found = False
    except InputError:
        found = True
    assert found is has_duplicate(value)
    assert (duplicate_key(text.encode()) is not None) is has_duplicate(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1', "x.json:1: is not JSON: unexpected end of data; it ends too early, as if cut off"),
        ('{"a": 1,\n "b": }', "x.json:2: is not JSON"),
        ('{"a": NaN}', "x.json:1: is not JSON"),
        ('{"a": "\\ud800"}', "x.json:1: is not JSON"),
        ("[" * 100_000, "x.json:1: is not JSON"),
        ('{"a": 1} x', "x.json:1: is not JSON"),
        ('{"a": 1}\n{"a": ', "x.json:2: is not JSON"),
    ],
)
def test_what_is_no_json_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        list(load_all(text.encode(), "x.json"))
    assert str(caught.value).startswith(message)


def test_several_dumps_in_one_file_are_read_one_after_another() -> None:
    assert list(load_all(b'\n{"a": 1}\n{"b": 2} [3]\n', "x.json")) == [({"a": 1}, 2), ({"b": 2}, 3), ([3], 3)]


def test_a_byte_order_mark_is_no_content() -> None:
    assert load(b'\xef\xbb\xbf{"a": 1}', "x.json") == {"a": 1}


ITEMS = [
    {"kind": "Pod", "items": [{"x": 1}], "text": 'a "items": [ {'},
    {"kind": "Pod"},
    {"nested": {"deep": [{}, {}]}},
]


def test_items_of_a_kubectl_dump_have_lines() -> None:
    text = json.dumps({"apiVersion": "v1", "items": ITEMS, "kind": "List"}, indent=4)
    lines = text.split("\n")
    found = item_lines(text.encode(), 3)
    assert len(found) == 3
    assert all(lines[line - 1] == "        {" for line in found)


def test_items_written_one_a_line_have_lines() -> None:
    text = (
        '{"apiVersion": "v1", "kind": "List", "items": [\n' + ",\n".join(json.dumps(item) for item in ITEMS) + "\n]}\n"
    )
    assert item_lines(text.encode(), 3) == (2, 3, 4)


def test_items_of_a_dump_without_line_feeds_stand_on_its_only_line() -> None:
    assert item_lines(orjson.dumps({"items": ITEMS}), 3) == (1, 1, 1)


def test_lines_that_are_not_plain_are_not_guessed() -> None:
    assert item_lines(b'{"items": [{"a": 1}, {"b": 1},\n{"c": 1}]}', 3) == ()
