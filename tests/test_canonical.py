"""Canonical JSON: whichever way it is written, the bytes are RFC 8785's."""

import math
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from evidence.canonical import canonical_json, object_digest
from evidence.errors import InputError

SAFE = 2**53 - 1
# Between 2^53 and 1e21 a float is written as an integer that would not be read back.
FLOATS = st.floats(-1e15, 1e15) | st.floats(1e22, 1e300)
SCALARS = st.none() | st.booleans() | st.integers(-SAFE, SAFE) | FLOATS
TEXTS = (
    st.text()
    | st.text(alphabet='":,[1.e\\null0-')
    | st.sampled_from(["", "\x7f", "é", "\U0001f600", "\ue000", "\u0000\u001f"])
)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(VALUES)
def test_a_value_read_back_has_the_same_digest(value: Any) -> None:
    assert object_digest(orjson.loads(canonical_json(value))) == object_digest(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        1e21,
        -0.0,
        [0.5],
        {"a": 1e-7},
        [1, 2.0],
        {"a": {"b": [None, 1.5]}},
        {"a": "x:1.5", "b": None},
        '":1.5',
        {"é": 1, "z": 2},
    ],
)
def test_values_that_two_writers_would_spell_differently_follow_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, [math.nan], {"a": -math.inf}, 2**53, -(2**60), {1: "a"}, {"a": object()}, b"x"]
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="RFC 8785"):
        canonical_json(value)


def test_nesting_beyond_any_writer_is_refused_without_a_traceback() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError):
        canonical_json(value)
    while value:  # freed level by level: the interpreter's own recursion is not what is tested here
        value = value[0]
