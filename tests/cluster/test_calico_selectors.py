"""Calico's selector language: what each form holds of, what it refuses, and that nothing else comes of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.calico_selectors import holds
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse import parse as parse_objects
from evidence.cluster.parse_calico_selectors import MAX_DEPTH, MAX_LABEL_LENGTH, SelectorError, parse
from evidence.errors import InputError
from tests.oracle.calico import selects

LABELS = {"app": "web", "tier": "front-end", "empty": "", "example.com/x_y.z": "1"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("  \t", True),
        ("all()", True),
        ("all( )", True),
        ("global()", True),
        ("app == 'web'", True),
        ('app=="web"', True),
        ("app == 'we'", False),
        ("missing == ''", False),
        ("empty == ''", True),
        ("app != 'web'", False),
        ("missing != 'web'", True),
        ("app in {'web', 'db'}", True),
        ("app in {'web',}", True),
        ("app in {}", False),
        ("app not in {}", True),
        ("missing in {'web'}", False),
        ("app not in {'web'}", False),
        ("app notin {'db'}", True),
        ("missing not in {'web'}", True),
        ("has(app)", True),
        ("has( app )", True),
        ("has(empty)", True),
        ("!has(missing)", True),
        ("! ! has(app)", True),
        ("tier contains 'nt-e'", True),
        ("tier contains 'x'", False),
        ("missing contains ''", False),
        ("tier starts with 'front'", True),
        ("tier startswith 'end'", False),
        ("tier ends   with 'end'", True),
        ("tier endswith 'front'", False),
        ("app == 'web' && tier == 'x' || has(empty)", True),
        ("app == 'web' && (tier == 'x' || has(missing))", False),
        ("!app == 'db' && has(app)", True),
        ("!(app == 'web' || has(missing))", False),
        ("example.com/x_y.z == '1'", True),
        ("in == 'x' || has(app)", True),
        ("all() && has(missing)", False),
        ("global() && has(missing)", False),
        ("X-Y != 'x'", True),
    ],
)
def test_what_a_selector_holds_of(selector: str, expected: bool) -> None:
    assert holds(parse(selector), LABELS) is expected


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("app", "an operator"),
        ("app = 'web'", "operator"),
        ("app == web", "a string in quotes is expected after app ==, not label 'web'"),
        ("app == 'web", "does not end"),
        ("app in 'web'", "a set such as {'a', 'b'} is expected, not text 'web'"),
        ("app in {'web'", "closing }"),
        ("app in {'a' 'b'}", "closing }"),
        ("has()", "has( needs"),
        ("has(app", "has( needs"),
        ("all(app)", "all( needs"),
        ("has (app)", "operator"),
        ("(has(app)", "closing parenthesis"),
        ("has(app))", "not expected"),
        ("&& has(app)", "expected"),
        ("has(app) &&", "the end"),
        ("has(app) & has(app)", "no part"),
        ("app == 'a' 'b'", "not expected"),
        ("app == 'a' ''", "text '' is not expected after a complete expression"),
        ("app == 'a' )", "')' is not expected after a complete expression"),
        ("app contains {'a'}", "a string"),
        ("ä == 'x'", "no part"),
        (f"has({'a' * (MAX_LABEL_LENGTH + 1)})", "at most"),
        ("(" * (MAX_DEPTH + 1) + "all()" + ")" * (MAX_DEPTH + 1), "deep"),
        ("!" * 5000, "the end"),
    ],
)
def test_what_is_no_selector(selector: str, why: str) -> None:
    with pytest.raises(SelectorError) as raised:
        parse(selector)
    assert why in str(raised.value)


def test_a_label_of_the_greatest_length_and_the_greatest_depth_are_taken() -> None:
    assert not holds(parse(f"has({'a' * MAX_LABEL_LENGTH})"), LABELS)
    assert holds(parse("(" * MAX_DEPTH + "all()" + ")" * MAX_DEPTH), LABELS)


@pytest.mark.parametrize(
    ("selector", "written"),
    [
        ("app=='web'", 'app == "web"'),
        ("app != 'web'", 'app != "web"'),
        ("app in {'web'}", 'app == "web"'),
        ("app notin {'b', 'a'}", 'app not in {"a", "b"}'),
        ("app in {}", "app in {}"),
        ("has( app )", "has(app)"),
        ("tier startswith 'front'", 'tier starts with "front"'),
        ("note contains 'a \"b\"'", "note contains 'a \"b\"'"),
        ("all( )", "all()"),
        ("global()", "global()"),
        ("! has(app)", "!has(app)"),
        ("has(a)&&has(b)||has(c)", "((has(a) && has(b)) || has(c))"),
    ],
)
def test_how_a_selector_is_written(selector: str, written: str) -> None:
    assert str(parse(selector)) == written
    assert parse(written) == parse(selector)


PIECES = [
    "app",
    "has(",
    ")",
    "(",
    "all()",
    "global()",
    "==",
    "!=",
    "in",
    "not",
    "{",
    "}",
    ",",
    "'web'",
    '"x"',
    "&&",
    "||",
    "!",
    " ",
]


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_any_text_is_a_selector_or_an_input_error_that_names_the_object(text: str) -> None:
    key = ObjectKey("projectcalico.org", "GlobalNetworkPolicy", "", "x")
    obj = CollectedObject.of(key, {"apiVersion": "projectcalico.org/v3", "spec": {"selector": text}}, "file.yaml:1")
    parsed = parse_objects([obj])
    assert len(parsed.calico_policies) + len(parsed.errors) == 1
    for wrong in parsed.errors:
        assert isinstance(wrong.error, InputError)
        assert str(wrong.error).startswith("file.yaml:1: Calico GlobalNetworkPolicy x: spec.selector ")


words = st.sampled_from(["a", "b", ""])
atoms = st.one_of(
    st.tuples(
        st.sampled_from(["a", "b/c"]), st.sampled_from(["==", "!=", "contains", "starts with", "ends with"]), words
    ).map(lambda three: f"{three[0]} {three[1]} '{three[2]}'"),
    st.tuples(st.sampled_from(["in", "not in"]), st.lists(words, max_size=2)).map(
        lambda two: f"a {two[0]} {{{', '.join(repr(value) for value in two[1])}}}"
    ),
    st.sampled_from(["has(a)", "all()", "!has(b/c)"]),
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        inner.map(lambda one: f"!({one})"),
        st.lists(inner, min_size=2, max_size=3).map(" && ".join),
        st.lists(inner, min_size=2, max_size=3).map(" || ".join),
        inner.map(lambda one: f"({one})"),
    ),
    max_leaves=6,
)


@given(expressions, st.dictionaries(st.sampled_from(["a", "b/c"]), words))
def test_a_selector_means_what_another_reader_makes_of_it_also_when_written_again(
    text: str, labels: dict[str, str]
) -> None:
    expression = parse(text)
    assert holds(expression, labels) == selects(text, labels)
    assert holds(parse(str(expression)), labels) == holds(expression, labels)
