"""Laws of the store, over random histories of a small cluster."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, ObjectKey, Problem
from evidence.store import Store
from tests.store.build import SOURCE, hours, of
from tests.store.rows import counts

text = st.text(st.characters(codec="utf-8"), max_size=6)
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=3)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
keys = st.builds(ObjectKey, st.sampled_from(["", "apps"]), st.sampled_from(["Pod", "Node"]), st.just("") | names, names)
objects = st.builds(
    CollectedObject.of, keys, st.dictionaries(text, values, max_size=2), st.sampled_from(["a.yaml:1", "b.yaml:1"])
)
contents = st.builds(
    lambda found, kinds, problems: Collection(
        SOURCE, tuple(sorted(found, key=lambda obj: obj.key)), tuple(kinds), tuple(problems)
    ),
    st.lists(objects, max_size=5, unique_by=lambda obj: obj.key),
    st.lists(st.builds(KindResult, text, text, st.sampled_from(KindStatus), st.integers(0, 9), text, text), max_size=2),
    st.lists(st.builds(Problem, text, text, text), max_size=2),
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, Collection, bytes | None]]:
    """Time in hours, content and intent of each snapshot, in the order of entry; contents return, times jump."""
    pool = draw(st.lists(contents, min_size=1, max_size=3))
    intents = st.none() | st.sampled_from([b"", b"zones: []"])
    return draw(
        st.lists(
            st.tuples(st.integers(0, 50), st.sampled_from(pool), intents), max_size=7, unique_by=lambda one: one[0]
        )
    )


clusters = count()
both = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@both
@given(histories())
def test_every_snapshot_of_any_history_is_read_back_equal(
    store: Store, history: list[tuple[int, Collection, bytes | None]]
) -> None:
    name = f"cluster {next(clusters)}"
    infos = [
        store.add_snapshot(of(content, at=hours(hour), cluster=name, intent=intent))
        for hour, content, intent in history
    ]
    for info, (_, content, intent) in zip(infos, history, strict=True):
        found = store.read(info.id)
        assert (found.info, found.collection, found.intent) == (info, content, intent)
    by_time = tuple(sorted(infos, key=lambda info: info.taken_at))
    assert store.snapshots(name, hours(0), hours(51)) == by_time
    if by_time:
        assert store.latest(name) == by_time[-1]


@both
@given(contents)
def test_unchanged_content_adds_no_object_and_no_interval(db: str, store: Store, content: Collection) -> None:
    name = f"cluster {next(clusters)}"
    store.add_snapshot(of(content, cluster=name))
    before = counts(db)
    store.add_snapshot(of(content, cluster=name, at=hours(1)))
    assert counts(db) == before | {name: before[name] + 1 for name in ("snapshots", "log_entries")}


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(histories(), min_size=1, max_size=2))
def test_check_finds_nothing_wrong_with_any_history(
    store: Store, several: list[list[tuple[int, Collection, bytes | None]]]
) -> None:
    for history in several:
        name = f"cluster {next(clusters)}"
        for hour, content, intent in history:
            store.add_snapshot(of(content, at=hours(hour), cluster=name, intent=intent))
    assert store.check().problems == ()


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), histories())
def test_clusters_that_take_turns_do_not_disturb_each_other(
    store: Store, one: list[tuple[int, Collection, bytes | None]], two: list[tuple[int, Collection, bytes | None]]
) -> None:
    stored = []
    pair = (f"cluster {next(clusters)}", f"cluster {next(clusters)}")
    turns = [(pair[0], *entry) for entry in one] + [(pair[1], *entry) for entry in two]
    for name, hour, content, intent in sorted(turns, key=lambda turn: (turns.index(turn) % 3, turns.index(turn))):
        stored.append((store.add_snapshot(of(content, at=hours(hour), cluster=name, intent=intent)), content))
    for info, content in stored:
        assert store.read(info.id).collection == content
