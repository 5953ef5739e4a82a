"""Selectors evaluate as the API machinery does."""

import pytest

from evidence.cluster.selectors import LabelSelector, Operator, Requirement

CASES = [
    (Operator.IN, ("a", "b"), {"k": "a"}, True),
    (Operator.IN, ("a", "b"), {"k": "c"}, False),
    (Operator.IN, ("a", "b"), {}, False),
    (Operator.NOT_IN, ("a",), {"k": "a"}, False),
    (Operator.NOT_IN, ("a",), {"k": "b"}, True),
    (Operator.NOT_IN, ("a",), {}, True),
    (Operator.EXISTS, (), {"k": ""}, True),
    (Operator.EXISTS, (), {}, False),
    (Operator.DOES_NOT_EXIST, (), {"k": ""}, False),
    (Operator.DOES_NOT_EXIST, (), {}, True),
]


@pytest.mark.parametrize(("operator", "values", "labels", "expected"), CASES)
def test_requirement(operator: Operator, values: tuple[str, ...], labels: dict[str, str], expected: bool) -> None:
    assert LabelSelector((Requirement("k", operator, values),)).matches(labels) is expected


def test_empty_selector_matches_everything() -> None:
    assert LabelSelector().matches({}) is True


def test_all_clauses_must_hold() -> None:
    both = LabelSelector((Requirement("a", Operator.EXISTS), Requirement("b", Operator.IN, ("1",))))
    assert both.matches({"a": "", "b": "1"}) is True
    assert both.matches({"a": ""}) is False


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ((), "(everything)"),
        ((Requirement("k", Operator.IN, ("a",)),), "k=a"),
        ((Requirement("k", Operator.IN, ("a", "b")),), "k in (a,b)"),
        ((Requirement("k", Operator.NOT_IN, ("a",)),), "k notin (a)"),
        ((Requirement("k", Operator.NOT_IN, ("a", "b")),), "k notin (a,b)"),
        ((Requirement("a", Operator.EXISTS), Requirement("b", Operator.DOES_NOT_EXIST)), "a,!b"),
    ],
)
def test_selectors_are_written_as_for_kubectl(requirements: tuple[Requirement, ...], words: str) -> None:
    assert str(LabelSelector(requirements)) == words


def test_keys_are_those_that_are_asked_for() -> None:
    found = LabelSelector((Requirement("a", Operator.EXISTS), Requirement("b", Operator.IN, ("1",))))
    assert found.keys == {"a", "b"}
