"""Hand-written YAML is read strictly, and every error says where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.documents import MAX_BYTES, read_document, schema_errors
from evidence.errors import InputError


def read(text: str) -> object:
    return read_document(text.encode(), "file.yaml").value


def test_only_what_json_can_say_is_read() -> None:
    text = "a: 5\nb: '5'\nc: 2026-01-01\nd: no\ne: true\nf: 1.5\ng: ~\nh: 0x10\ni: 1:30\nj: [1, -2]\nk: !!str 7"
    assert read(text) == {
        "a": 5, "b": "5", "c": "2026-01-01", "d": "no", "e": True, "f": 1.5, "g": None, "h": "0x10", "i": "1:30", "j": [1, -2],
        "k": "7",
    }  # fmt: skip


def test_an_alias_stands_for_its_value() -> None:
    assert read("a: &ports [1, 2]\nb: *ports") == {"a": [1, 2], "b": [1, 2]}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{after}: &{after} [{', '.join(f'*{before}' for _ in range(10))}]"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "file.yaml: is empty"),
        ("# nothing\n", "file.yaml: is empty"),
        ("a: 1\nb: 2\na: 3", "file.yaml:3: a: is given twice, first on line 1"),
        ("x:\n  - a: 1\n    a: 2", "file.yaml:3: x[0].a: is given twice, first on line 2"),
        ("a: [1", "file.yaml:2: is not valid YAML"),
        ("a: 1\n---\nb: 2", "file.yaml:2: is not valid YAML"),
        ("a: !secret x", "file.yaml:1: a: YAML tags such as '!secret' are not read"),
        ("a: !!python/object/apply:os.system [x]", "are not read"),
        ("? [a]\n: 1", "a key must be plain text"),
        ("a: &a [*a]", "nested too deeply"),
        (BOMB, "holds more than"),
        ("[" * 2000, "file.yaml:"),
    ],
)
def test_errors_say_where(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read(text)
    assert said in str(error.value)
    assert str(error.value).startswith("file.yaml")


def test_bytes_that_are_no_text_are_named_by_line() -> None:
    with pytest.raises(InputError, match=r"file\.yaml:2: is not UTF-8"):
        read_document(b"a: 1\nb: \xff", "file.yaml")


def test_a_file_that_is_too_long_is_not_read() -> None:
    with pytest.raises(InputError, match="bytes long"):
        read_document(b"a" * (MAX_BYTES + 1), "file.yaml")


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "the name"},
        "colour": {"enum": ["red", "green"]},
        "size": {
            "anyOf": [
                {"type": "string", "enum": ["all"]},
                {"type": "array", "items": {"type": "integer", "maximum": 9}},
            ]
        },
    },
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: red", "file.yaml:1: 'name' is missing: the name"),
        ("name: x\ncolor: red", "file.yaml:2: color: is not known here; did you mean 'colour'?"),
        ("name: x\ncolour: grean", "file.yaml:2: colour: 'grean' is not one of red, green; did you mean 'green'?"),
        ("name: [x]", "file.yaml:1: name: must be text, not ['x']: the name"),
        ("name: x\nsize:\n  - 3\n  - 11", "file.yaml:4: size[1]: 11 is out of range"),
        ("name: x\nsize: 4", "file.yaml:2: size: 4 does not fit"),
    ],
)
def test_a_schema_error_is_a_sentence_at_its_field(text: str, said: str) -> None:
    first = schema_errors(read_document(text.encode(), "file.yaml"), SCHEMA)[0]
    assert str(first).startswith(said)


def test_everything_that_is_wrong_is_said_in_the_order_of_the_file() -> None:
    document = read_document(b"colour: blue\nsize: 4\nextra: 1", "file.yaml")
    lines = [str(error).split(":")[1] for error in schema_errors(document, SCHEMA)]
    assert lines == ["1", "1", "2", "3"]


def said_of(data: bytes) -> str:
    """The error that reading ends in, "" for none."""
    try:
        read_document(data, "file.yaml")
    except InputError as error:
        return str(error)
    return ""


@given(st.binary(max_size=200))
def test_no_bytes_end_in_anything_but_a_value_or_an_input_error(data: bytes) -> None:
    assert said_of(data).startswith("file.yaml") or read_document(data, "file.yaml").where(()) == "file.yaml:1"


@given(st.text(alphabet="ab:-[]{}&*!'\"#|>?,\n \t1~", max_size=60))
def test_no_text_like_yaml_ends_in_a_traceback(text: str) -> None:
    assert said_of(text.encode())[:9] in ("", "file.yaml")
