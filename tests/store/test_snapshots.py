from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from evidence.cluster.objects import Problem
from evidence.errors import InputError, StoreError, UsageError
from evidence.store import RunInfo, Store
from tests.store.build import FORBIDDEN, LISTED, NOON, RUN, collection, hours, item, of, snapshot
from tests.store.rows import counts


def test_a_snapshot_is_read_back_as_it_was_stored(store: Store) -> None:
    content = collection(
        item("web", spec={"ports": [80, 8080], "host": False, "note": None}),
        item("db", source="pods.yaml:12"),
        kinds=[LISTED, FORBIDDEN],
        problems=[Problem("pods.yaml:40", "ipBlock.cidr '10.0.0.0/33' is not a network", "NetworkPolicy")],
    )
    info = store.add_snapshot(of(content, intent=b"zones: []\n"))
    found = store.read(info.id)
    assert found.collection == content
    assert [obj.digest for obj in found.collection.objects] == [obj.digest for obj in content.objects]
    assert found.intent == b"zones: []\n"
    assert found.info == info
    assert info.partial
    assert info.object_count == 2


def test_what_another_snapshot_held_as_it_was_is_not_read_again(store: Store) -> None:
    first = store.add_snapshot(snapshot(item("web"), item("db"), item("gone")))
    changed = collection(item("web"), item("db", note="new"), item("more"), item("moved", source="/other"))
    second = store.add_snapshot(of(changed, at=hours(1)))
    before = store.read(first.id).collection.objects
    found = store.read(second.id, before)
    assert found == store.read(second.id)
    kept = [obj for obj in found.collection.objects if any(obj is other for other in before)]
    assert [obj.key.name for obj in kept] == ["web"]


def test_an_object_that_was_read_in_another_place_is_given_with_its_own(store: Store) -> None:
    first = store.add_snapshot(snapshot(item("web"), item("db")))
    second = store.add_snapshot(snapshot(item("web", source="dump.yaml:1"), item("db"), at=hours(1)))
    found = store.read(second.id, store.read(first.id).collection.objects)
    assert found == store.read(second.id)


def test_a_snapshot_without_objects_and_intent_is_a_snapshot(store: Store) -> None:
    info = store.add_snapshot(snapshot())
    assert store.read(info.id).collection == collection()
    assert store.read(info.id).intent is None
    assert info.intent_digest == ""


def test_an_unchanged_snapshot_adds_its_own_row_and_its_log_entry_alone(store: Store, db: str) -> None:
    store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []"))
    before = counts(db)
    store.add_snapshot(snapshot(item("web"), item("db"), intent=b"zones: []", at=hours(1)))
    assert counts(db) == before | {"snapshots": 2, "log_entries": 2}


def test_a_change_costs_what_changed(store: Store, db: str) -> None:
    store.add_snapshot(snapshot(item("web"), item("db"), item("cache")))
    before = counts(db)
    store.add_snapshot(snapshot(item("web"), item("db", image="db:2"), at=hours(1)))  # one changed, one went
    after = counts(db)
    assert after["objects"] == before["objects"] + 1
    assert after["intervals"] == before["intervals"] + 1


def test_an_object_that_went_and_came_back_is_kept_once(store: Store) -> None:
    infos = [
        store.add_snapshot(snapshot(item("web"), item("db"))),
        store.add_snapshot(snapshot(item("web"), at=hours(1))),
        store.add_snapshot(snapshot(item("web"), item("db"), at=hours(2))),
    ]
    assert [len(store.read(info.id).collection.objects) for info in infos] == [2, 1, 2]
    assert store.object_count() == 2


def test_the_same_objects_from_another_file_cost_no_interval(store: Store, db: str) -> None:
    first = store.add_snapshot(snapshot(item("db", source="july.yaml:1"), item("web", source="july.yaml:9")))
    before = counts(db)
    second = store.add_snapshot(
        snapshot(item("db", source="august.yaml:1"), item("web", source="august.yaml:9"), at=hours(1))
    )
    assert [[obj.source for obj in store.read(info.id).collection.objects] for info in (first, second)] == [
        ["july.yaml:1", "july.yaml:9"],
        ["august.yaml:1", "august.yaml:9"],
    ]
    assert counts(db) == before | {"snapshots": 2, "log_entries": 2, "sources": 2}


def test_a_dump_taken_earlier_may_be_entered_later(store: Store) -> None:
    july = store.add_snapshot(snapshot(item("web", image="web:1"), at=NOON))
    september = store.add_snapshot(snapshot(item("web", image="web:3"), at=hours(1440)))
    august = store.add_snapshot(snapshot(item("web", image="web:2"), at=hours(720)))
    assert [store.read(info.id).collection.objects[0].body["image"] for info in (july, august, september)] == [
        "web:1",
        "web:2",
        "web:3",
    ]
    assert store.latest("prod") == september
    assert store.latest("prod", at=hours(1000)) == august
    assert store.snapshots("prod", NOON, hours(2000)) == (july, august, september)


def test_a_period_is_from_its_start_to_before_its_end(store: Store) -> None:
    first = store.add_snapshot(snapshot(item("web")))
    store.add_snapshot(snapshot(item("web"), at=hours(1)))
    assert store.snapshots("prod", NOON, hours(1)) == (first,)


def test_of_two_snapshots_of_one_time_the_later_entered_is_the_latest(store: Store) -> None:
    store.add_snapshot(snapshot(item("web")))
    mended = store.add_snapshot(snapshot(item("web", image="web:2")))
    assert store.latest("prod") == mended


def test_the_very_same_snapshot_twice_is_one(store: Store, db: str) -> None:
    new = snapshot(item("web"), intent=b"zones: []")
    first = store.add_snapshot(new)
    before = counts(db)
    again = store.add_snapshot(replace(new, received_at=hours(5), started_at=NOON, run=replace(RUN, host="host-2")))
    assert again == first
    assert counts(db) == before


@pytest.mark.parametrize(
    "other",
    [
        snapshot(item("web", image="web:2"), intent=b"zones: []"),
        snapshot(item("web"), intent=b"zones: [] # reviewed"),
        snapshot(item("web")),
        of(collection(item("web"), kinds=[LISTED, FORBIDDEN]), intent=b"zones: []"),
        snapshot(item("web"), intent=b"zones: []", at=NOON + timedelta(microseconds=1)),
        replace(snapshot(item("web"), intent=b"zones: []"), taken_at_claimed=True),
    ],
    ids=["object", "intent", "no intent", "kinds", "time", "claimed"],
)
def test_a_snapshot_that_differs_in_anything_is_another(store: Store, other: object) -> None:
    first = store.add_snapshot(snapshot(item("web"), intent=b"zones: []"))
    assert store.add_snapshot(other).id != first.id  # type: ignore[arg-type]


def test_clusters_do_not_see_each_other_and_share_bodies(store: Store) -> None:
    one = store.add_snapshot(snapshot(item("web"), item("db"), cluster="one"))
    two = store.add_snapshot(snapshot(item("web"), cluster="two", at=hours(1)))
    three = store.add_snapshot(snapshot(item("web"), item("db"), cluster="one", at=hours(2)))
    assert store.clusters() == ("one", "two")
    assert [len(store.read(info.id).collection.objects) for info in (one, two, three)] == [2, 1, 2]
    assert store.latest("one") == three
    assert store.object_count() == 2


def test_times_of_any_zone_come_back_in_utc(store: Store) -> None:
    in_kolkata = NOON.astimezone(timezone(timedelta(hours=5, minutes=30))) + timedelta(microseconds=123456)
    info = store.add_snapshot(snapshot(at=in_kolkata))
    found = store.latest("prod")
    assert found.taken_at == in_kolkata
    assert found.taken_at.utcoffset() == timedelta(0)
    assert found == info


def test_a_time_without_a_zone_is_a_mistake_of_the_caller(store: Store) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        store.add_snapshot(snapshot(at=NOON.replace(tzinfo=None)))


def test_runs_of_a_period_are_its_snapshots_and_its_failures(store: Store) -> None:
    before = store.add_snapshot(snapshot(item("web"), at=hours(-1)))
    partial = store.add_snapshot(of(collection(item("web"), kinds=[FORBIDDEN]), at=hours(2)))
    failure = RunInfo("0.1.0", "host-1", "alice", "schedule", "cd" * 32)
    store.add_failed_run(
        "prod", started_at=hours(1), finished_at=hours(1.1), message="no answer from the API server", run=failure
    )
    store.add_failed_run("prod", started_at=hours(9), finished_at=hours(9), message="too late", run=failure)
    store.add_failed_run("test", started_at=hours(1), finished_at=hours(1), message="another cluster", run=failure)
    runs = store.runs("prod", NOON, hours(3))
    assert [(run.outcome, run.message, run.snapshot_id) for run in runs] == [
        ("failed", "no answer from the API server", None),
        ("stored", "partial", partial.id),
    ]
    assert runs[0].run == failure
    assert (runs[0].started_at, runs[0].finished_at) == (hours(1), hours(1.1))
    assert store.runs("prod", hours(-1), NOON)[0].snapshot_id == before.id


def test_a_cluster_with_failed_runs_alone_has_no_snapshot(store: Store) -> None:
    store.add_failed_run("prod", started_at=NOON, finished_at=NOON, message="refused", run=RUN)
    assert store.clusters() == ()


def test_text_that_no_database_takes_is_kept_escaped_in_messages(store: Store) -> None:
    store.add_failed_run(
        "prod", started_at=NOON, finished_at=NOON, message="a\x00b\ud800", run=replace(RUN, host="h\x00")
    )
    run = store.runs("prod", NOON, hours(1))[0]
    assert run.message == "a\\x00b\\ud800"
    assert run.run.host == "h\\x00"


def test_problems_and_bodies_may_hold_a_zero_byte(store: Store) -> None:
    content = collection(item("web", note="a\x00b ☃"), problems=[Problem("stdin:1", "control character \x00")])
    assert store.read(store.add_snapshot(of(content)).id).collection == content


def test_a_zero_byte_in_a_name_is_refused_with_the_object_named(store: Store, db: str) -> None:
    with pytest.raises(InputError, match=r"pods.yaml:3: Pod shop/we\\x00b"):
        store.add_snapshot(snapshot(item("we\x00b", source="pods.yaml:3")))
    assert sum(counts(db).values()) == 0


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00"])
def test_a_cluster_needs_a_printable_name(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="is no name for a cluster"):
        store.add_snapshot(snapshot(cluster=name))


def test_what_is_not_there_is_said_so(store: Store) -> None:
    with pytest.raises(StoreError, match=r"snapshot 7 in the store \S+: there is none of that number"):
        store.read(7)
    with pytest.raises(UsageError, match="holds no snapshot of prod"):
        store.latest("prod")
    store.add_snapshot(snapshot(at=NOON))
    with pytest.raises(UsageError, match=r"no snapshot of prod at or before 2026-07-01 11:00:00 UTC"):
        store.latest("prod", at=hours(-1))


def test_an_object_that_is_not_cut_down_may_not_be_stored(store: Store) -> None:
    with pytest.raises(ValueError, match="not cut down"):
        store.add_snapshot(snapshot(replace(item("web"), kept=False)))


def test_an_object_changed_after_its_digest_was_taken_is_not_stored(store: Store) -> None:
    changed = item("web")
    assert changed.digest
    changed.body["metadata"]["labels"] = {"app": "web"}
    with pytest.raises(ValueError, match="was changed after its digest was taken"):
        store.add_snapshot(snapshot(changed))
    assert store.clusters() == ()
