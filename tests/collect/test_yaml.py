"""YAML as kubectl reads it: what a scalar means, what a mapping may hold, and where things stand."""

import textwrap
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evidence.collect.yaml import MAX_ALIASED_NODES, documents
from evidence.errors import InputError


def load(text: str) -> Any:
    (document,) = documents(textwrap.dedent(text), "x.yaml")
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y")),
        *((word, False) for word in ("false", "no", "off", "n", "N", "No", "OFF")),
        *((word, None) for word in ("~", "null", "Null", "")),
        ("12", 12), ("-12", -12), ("+12", 12), ("1_000", 1000), ("010", 8), ("0o10", 8), ("0x1F", 31), ("0b101", 5), ("0", 0),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015), ("080", 80.0), ("1e", "1e"),
        ("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"), ("1:30", "1:30"), ("22:22", "22:22"),
        ("1.2.3", "1.2.3"), ("v1", "v1"), ("10.0.0.0/8", "10.0.0.0/8"), ("yES", "yES"), ("-", "-"), ("+", "+"), (".", "."), ("0x", "0x"),
        ("'yes'", "yes"), ('"12"', "12"), ("! yes", "yes"), ("!!str 12", "12"), ("!!int '12'", 12), ("!!float 1", 1.0),
        ("|-\n  yes", "yes"),
    ],
)  # fmt: skip
def test_scalars_are_what_kubectl_takes_them_for(text: str, value: Any) -> None:
    found = load(f"a: {text}")["a"] if text != "-" else load("a: '-'")["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_become_text_as_in_json() -> None:
    assert load("1: a\nyes: b\n1.5: c\n") == {"1": "a", "true": "b", "1.5": "c"}


def test_anchors_aliases_and_merge_keys() -> None:
    text = """
        base: &base {a: 1, b: 2}
        list: &list [x]
        again: *list
        one: {<<: *base, b: 3}
        two: {<<: [{a: 9}, *base]}
    """
    value = load(text)
    assert value["again"] == ["x"]
    assert value["one"] == {"a": 1, "b": 3}
    assert value["two"] == {"a": 9, "b": 2}


def test_documents_have_lines_and_empty_ones_are_none() -> None:
    text = "# nothing\n---\na: 1\n---\n\n---\n# only a comment\n---\nkind: List\nitems:\n- a: 1\n-\n  b: 2\n"
    found = list(documents(text, "x.yaml"))
    assert [(document.line, document.item_lines) for document in found] == [(3, ()), (9, (11, 13))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: the key 'a' stands twice in one mapping"),
        ("a:\n  1: x\n  '1': y\n", "x.yaml:3: the key '1' stands twice"),
        ("a: {b: 1, b: 2}\n", "x.yaml:1: the key 'b' stands twice"),
        ("a: [\n", "x.yaml:2: is not YAML: did not find expected node content"),
        ("a: 1\n b: 2\n", "x.yaml:2: is not YAML: mapping values are not allowed"),
        ("{{ .Values.x }}: 1\n", "x.yaml:1: a key must be text"),
        ("a: *b\n", "x.yaml:1: the alias *b has no anchor before it"),
        ("a: &a [*a]\n", "x.yaml:1: the alias *a stands inside its own anchor"),
        ("a: !env SECRET\n", "x.yaml:1: has the tag !env"),
        ("a: !!python/object:os.system {}\n", "which Kubernetes manifests do not know"),
        ("a: !!int x\n", "x.yaml:1: 'x' is no int"),
        ("a: .inf\n", "x.yaml:1: .inf is a number that JSON"),
        ("a: 1e999\n", "x.yaml:1: 1e999 is too large"),
        ("? [a]\n: 1\n", "x.yaml:1: a key must be text, not a list or a mapping"),
        ("~: 1\n", "x.yaml:1: a key is missing"),
        ("<<: 1\n", "x.yaml:1: << must merge a mapping"),
        ("a: \x00\n", "x.yaml: is not YAML"),
        ("[" * 5000, "x.yaml:1: is nested deeper than 200 levels"),
        ("{a: " * 5000, "x.yaml:1: is nested deeper than 200 levels"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        list(documents(text, "x.yaml"))
    assert message in str(caught.value)


def test_an_alias_bomb_is_refused_as_soon_as_it_has_grown_too_large() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join(['*' + before] * 10)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
    ]
    with pytest.raises(InputError, match=r"x\.yaml:\d: aliases stand for more than 200,000 values"):
        list(documents("\n".join(lines), "x.yaml"))


def test_a_long_file_of_aliases_to_one_large_value_is_refused_too() -> None:
    text = f"a: &a [{', '.join('x' * 1000)}]\nb:\n" + "- *a\n" * (MAX_ALIASED_NODES // 1000 + 1)
    with pytest.raises(InputError, match="alias bomb"):
        list(documents(text, "x.yaml"))


def test_aliases_as_people_use_them_are_followed() -> None:
    text = "labels: &l {app: web, tier: front}\nitems:\n" + "- {metadata: {labels: *l}}\n" * 5000
    assert len(load(text)["items"]) == 5000


# PyYAML writes YAML 1.1's other line breaks as they are, and so does not read them back itself.
TEXT = st.text(st.characters(exclude_characters="\x85\u2028\u2029", codec="utf-8"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


@given(JSON, st.booleans())
def test_what_pyyaml_writes_is_read_back(value: Any, flow: bool) -> None:
    text = yaml.safe_dump({"a": value}, default_flow_style=flow, allow_unicode=True)
    assert load(quoted(text, value)) == {"a": value}


def quoted(text: str, value: Any) -> str:
    """PyYAML leaves y and n plain, which it reads as text and kubectl as booleans."""
    return yaml.safe_dump({"a": value}, default_style='"') if any(word in text for word in "yYnN") else text


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    refused = ""
    try:
        list(documents(data, "x.yaml"))
    except InputError as error:
        refused = str(error)
    assert refused == "" or refused.startswith("x.yaml")
