"""What is remembered from one state of a cluster to the next: by identity, and no longer than it is asked for."""

from collections.abc import Callable

from evidence.findings.lasting import Lasting


def counting() -> tuple[Callable[..., str], list[tuple[str, ...]]]:
    """A function of names, and what it was called with."""
    calls: list[tuple[str, ...]] = []

    def joined(*names: str) -> str:
        calls.append(names)
        return "+".join(names)

    return joined, calls


def name(text: str) -> str:
    """A string of its own, equal to others and the same as none."""
    return f"name {text}"


def test_what_stays_is_asked_once_over_all_states() -> None:
    lasting, (joined, calls), one, other = Lasting(), counting(), name("a"), name("b")
    for _ in range(4):
        lasting.begin()
        assert (lasting.of(joined, one, other), lasting.of(joined, one, other)) == ("name a+name b",) * 2
    assert calls == [(one, other)]


def test_an_equal_object_is_another_one() -> None:
    lasting, (joined, calls), one, like = Lasting(), counting(), name("a"), name("a")
    assert lasting.of(joined, one) == lasting.of(joined, like)
    assert len(calls) == 2


def test_order_and_function_tell_answers_apart() -> None:
    lasting, (joined, _), one, other = Lasting(), counting(), name("a"), name("b")
    assert lasting.of(joined, one, other) != lasting.of(joined, other, one)
    assert lasting.of(len, one) == len(one)


def test_what_one_state_did_not_ask_for_is_forgotten() -> None:
    lasting, (joined, calls), one = Lasting(), counting(), name("a")
    lasting.of(joined, one)
    lasting.begin()
    lasting.begin()
    lasting.of(joined, one)
    assert len(calls) == 2


def test_a_group_of_the_same_objects_is_the_same_tuple_as_before() -> None:
    lasting, one, other = Lasting(), name("a"), name("b")
    before = lasting.same([one, other])
    lasting.begin()
    assert lasting.same(iter((one, other))) is before
    assert lasting.same([one]) == (one,)
