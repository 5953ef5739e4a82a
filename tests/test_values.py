"""Values compare and hash by their fields, as frozen dataclasses do; that nobody changes one is for the type checker."""

from dataclasses import field, replace

import pytest

from evidence.values import value


@value()
class Box:
    """Something with a width; what it is called does not tell two apart."""

    width: int
    name: str = field(default="", compare=False)


@value(eq=False)
class Parcel:
    """One of a kind."""

    width: int


@value(order=True)
class Step:
    """Something with an order."""

    number: int
    name: str = ""


def test_values_with_equal_fields_are_equal_and_one_key() -> None:
    assert Box(3) == Box(3)
    assert {Box(3): "first"}[Box(3)] == "first"
    assert Box(3) != Box(4)


def test_a_field_that_is_not_compared_tells_nothing_apart() -> None:
    assert Box(3, "a") == Box(3, "b")
    assert hash(Box(3, "a")) == hash(Box(3, "b"))


def test_without_equality_each_value_is_its_own_key() -> None:
    one, other = Parcel(3), Parcel(3)
    assert one != other
    assert {one: 1, other: 2} == {other: 2, one: 1}
    assert len({one, other, one}) == 2


def test_values_with_order_sort_by_their_fields() -> None:
    assert sorted([Step(2, "b"), Step(1, "z"), Step(2, "a")]) == [Step(1, "z"), Step(2, "a"), Step(2, "b")]


def test_a_value_shows_the_fields_that_it_is_made_of() -> None:
    assert repr(Step(2, "b")) == "Step(number=2, name='b')"


def test_what_a_class_says_of_itself_stands() -> None:
    @value()
    class Word:
        text: str

        def __repr__(self) -> str:
            return self.text

    assert repr(Word("so")) == "so"
    assert Word("so") == Word("so")


def test_values_of_different_classes_have_no_order() -> None:
    with pytest.raises(TypeError):
        assert Step(2) < Box(3)  # type: ignore[operator]


def test_values_of_different_classes_are_never_equal() -> None:
    others: list[object] = [Step(3), 3]
    assert Box(3) not in others


def test_another_value_with_one_field_replaced() -> None:
    assert replace(Step(2, "a"), number=3) == Step(3, "a")


def test_a_value_has_no_room_for_other_fields() -> None:
    assert not hasattr(Box(3), "__dict__")
