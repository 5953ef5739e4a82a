"""What a prune takes and what it leaves, and that a hold is heeded. On both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import InputError, StoreError, UsageError
from evidence.store import NewHold, NewRecord, NewSnapshot, RecordKind, Store, Term
from evidence.store.database import writing
from evidence.store.prune import runs
from evidence.store.retention import Prune
from tests.store.build import NOON, RUN, hours, item, snapshot
from tests.store.rows import counts, everything, run
from tests.store.test_crash import failing_at

POLICY = [Term("own", 0, "our own")]  # nothing has to be kept
NO_TIME = timedelta()


def prune(store: Store, before: datetime, look_back: timedelta = NO_TIME) -> Prune | None:
    return store.retention.prune(before, look_back, POLICY, hours(100), RUN)


def readable(store: Store, *numbers: int) -> list[int]:
    """Those that can be read back, whole."""
    found = []
    for number in numbers:
        try:
            store.read(number)
        except StoreError as error:
            if "it was pruned on 2026-07-05 16:00 UTC (prune " not in str(error):
                raise
        else:
            found.append(number)
    return found


def bodies(db: str, table: str) -> int:
    return int(run(db, f"SELECT count(*) FROM {table} WHERE body IS NOT NULL")[0][0])


def fill(store: Store, cluster: str = "prod") -> None:
    """Four snapshots: "web" is in all of them, "db" changes with each, the intent file once."""
    for number in range(4):
        intent = b"zones: []" if number < 2 else b"zones: [ ]"
        store.add_snapshot(
            snapshot(item("web"), item("db", image=f"db:{number}"), at=hours(number), cluster=cluster, intent=intent)
        )


def test_bodies_that_only_older_snapshots_use_are_dropped_and_nothing_else(store: Store, db: str) -> None:
    fill(store)
    rows, before = counts(db), everything(db)
    made = prune(store, hours(2))
    assert made is not None
    assert dict(made.counts) == {"object": 2, "intent": 1, "snapshot": 2}
    assert readable(store, 1, 2, 3, 4) == [3, 4]
    assert (bodies(db, "objects"), bodies(db, "intents"), bodies(db, "sources")) == (3, 1, 1)
    assert counts(db) == rows | {"retention_acts": 1, "dropped": 5, "log_entries": 5}
    same = ("snapshots", "intervals", "sources", "clusters")
    assert all(everything(db)[table] == before[table] for table in same)
    found = store.check()
    assert found.problems == ()
    assert [(summary.prune.act.id, summary.missing) for summary in found.prunes] == [(1, 3)]
    assert store.log_entries()[-1].kind == "prune"
    assert store.log_entries()[-1].digest == made.act.digest


def test_a_plan_is_what_the_prune_then_does_and_writes_nothing(store: Store, db: str) -> None:
    fill(store)
    before = everything(db)
    plan = store.retention.plan(hours(2), NO_TIME)
    assert everything(db) == before
    assert plan.size > 0
    made = prune(store, hours(2))
    assert made is not None
    assert {kind: number for kind, number in plan.counts.items() if number} == dict(made.counts)
    [cluster] = plan.clusters
    assert (cluster.snapshots, cluster.first_taken_at, cluster.last_taken_at) == (2, hours(0), hours(1))


def test_a_prune_with_nothing_to_drop_is_none(store: Store, db: str) -> None:
    fill(store)
    before = everything(db)
    assert prune(store, hours(0)) is None
    assert everything(db) == before
    prune(store, hours(2))
    assert prune(store, hours(2)) is None


def test_the_newest_snapshot_stays_whatever_its_age_and_what_comes_next_is_whole(store: Store) -> None:
    fill(store)
    prune(store, hours(90))
    assert readable(store, 1, 2, 3, 4) == [4]
    store.add_snapshot(snapshot(item("web"), item("db", image="db:0"), at=hours(91)))
    assert readable(store, 4, 5) == [4, 5]
    assert [len(store.read(number).collection.objects) for number in (4, 5)] == [2, 2]
    assert store.check().problems == ()
    prune(store, hours(90.5))
    assert readable(store, 1, 2, 3, 4, 5) == [5]
    assert store.check().problems == ()


def test_an_object_that_another_cluster_still_needs_stays(store: Store) -> None:
    fill(store)
    store.add_snapshot(snapshot(item("db", image="db:0"), at=hours(5), cluster="test"))
    prune(store, hours(3))
    assert readable(store, 1, 2, 3, 4, 5) == [4, 5]
    assert store.read(5).collection.objects[0].body["image"] == "db:0"
    assert store.check().problems == ()


def test_a_late_dump_is_kept_as_long_as_others(store: Store) -> None:
    fill(store)
    late = snapshot(item("old"), at=hours(-50))
    store.add_snapshot(NewSnapshot(late.cluster, late.taken_at, True, hours(5), late.collection, None, RUN))
    store.add_snapshot(snapshot(item("new"), at=hours(6)))
    prune(store, hours(4))
    assert readable(store, 1, 2, 3, 4, 5, 6) == [5, 6]
    prune(store, hours(5.5))
    assert readable(store, 5, 6) == [6]
    assert store.check().problems == ()


def test_a_prune_can_follow_another(store: Store, db: str) -> None:
    fill(store)
    prune(store, hours(1))
    prune(store, hours(3))
    assert readable(store, 1, 2, 3, 4) == [4]
    assert [one.before for one in store.retention.prunes()] == [hours(1), hours(3)]
    assert [summary.missing for summary in store.check().prunes] == [1, 3]
    assert store.check().problems == ()
    gone = store.retention.pruned("prod", hours(0), hours(2))
    assert [(one.id, one.taken_at, one.pruned_at) for one in gone] == [
        (1, hours(0), hours(100)),
        (2, hours(1), hours(100)),
    ]


# -- records ----------------------------------------------------------------------------------------------------------


def record(number: float, *, cluster: str = "prod") -> NewRecord:
    return NewRecord(cluster, RecordKind.FLOW_LOG, hours(number), hours(number), hours(number), {"hour": number}, RUN)


def test_records_stay_as_long_as_a_snapshot_that_stays_looks_back_at_them(store: Store, db: str) -> None:
    fill(store)
    for number in range(4):
        store.add_record(record(number))
    made = prune(store, hours(3), timedelta(hours=1))
    assert made is not None
    assert (made.counts["record"], made.counts["document"]) == (2, 2)
    assert [info.id for info in store.records("prod", hours(-9), hours(9))] == [3, 4]
    with pytest.raises(StoreError, match=r"record 1 in the store .*it was pruned on"):
        store.read_record(1)
    assert store.check().problems == ()


# -- holds ------------------------------------------------------------------------------------------------------------


def test_a_hold_keeps_what_was_taken_in_its_period_and_the_state_in_which_that_began(store: Store) -> None:
    fill(store)
    for number in range(4):
        store.add_record(record(number))
    store.retention.add_hold(NewHold("case 12", "prod", hours(1.5), hours(2.5)), hours(10), RUN)
    prune(store, hours(90))
    assert readable(store, 1, 2, 3, 4) == [2, 3, 4]
    assert [info.id for info in store.records("prod", hours(-9), hours(9))] == [2, 3, 4]
    assert store.check().problems == ()


def test_what_the_state_in_which_a_held_period_began_looks_back_at_stays(store: Store) -> None:
    """The record is further before the hold's period than a snapshot of it looks back, and not than the last one before that does."""
    fill(store)
    store.add_record(NewRecord("prod", RecordKind.PROBE_RUN, hours(-1), hours(-1), hours(0), {"open": 1}, RUN))
    store.retention.add_hold(NewHold("case 12", "prod", hours(2.9), None), hours(10), RUN)
    store.add_snapshot(snapshot(item("web"), at=hours(9)))
    made = prune(store, hours(3.5), timedelta(hours=3.5))
    assert made is not None
    assert dict(made.counts)["snapshot"] == 2
    assert [one.id for one in store.records("prod", hours(-2), hours(9))] == [1]


def test_a_hold_of_one_cluster_keeps_nothing_of_another(store: Store) -> None:
    fill(store)
    fill(store, "test")
    store.retention.add_hold(NewHold("case 12", "test"), hours(10), RUN)
    prune(store, hours(90))
    assert readable(store, *range(1, 9)) == [4, 5, 6, 7, 8]


def test_a_hold_of_all_clusters_for_all_times_keeps_everything_until_it_is_released(store: Store) -> None:
    fill(store)
    held = store.retention.add_hold(NewHold("case 12"), hours(10), RUN)
    assert prune(store, hours(90)) is None
    store.retention.release_hold(held.act.id, "the court says so", hours(20), RUN)
    assert prune(store, hours(90)) is not None
    [hold] = store.retention.holds()
    assert hold.release is not None
    assert (hold.reason, hold.release.reason, hold.release.act.made_at) == ("case 12", "the court says so", hours(20))
    assert [entry.kind for entry in store.log_entries()[-3:]] == ["hold", "release", "prune"]
    assert store.check().problems == ()


def test_a_hold_that_makes_no_sense_is_refused(store: Store) -> None:
    fill(store)
    retention = store.retention
    with pytest.raises(InputError, match="need a reason"):
        retention.add_hold(NewHold("  "), NOON, RUN)
    with pytest.raises(InputError, match="cannot end before"):
        retention.add_hold(NewHold("x", None, hours(1), hours(1)), NOON, RUN)
    with pytest.raises(UsageError, match="no cluster 'pord' in the store: give one of prod"):
        retention.add_hold(NewHold("x", "pord"), NOON, RUN)
    with pytest.raises(UsageError, match="there is no hold 1"):
        retention.release_hold(1, "x", NOON, RUN)
    retention.add_hold(NewHold("x"), NOON, RUN)
    retention.release_hold(1, "y", NOON, RUN)
    with pytest.raises(UsageError, match="hold 1 was released on 2026-07-01"):
        retention.release_hold(1, "y", NOON, RUN)


# -- told apart -------------------------------------------------------------------------------------------------------


def test_a_body_that_was_pruned_and_came_again_may_not_be_removed_by_hand(store: Store, db: str) -> None:
    fill(store)
    prune(store, hours(3))
    store.add_snapshot(snapshot(item("db", image="db:0"), at=hours(5)))
    digest = bytes.fromhex(store.read(5).collection.objects[0].digest)
    assert [summary.missing for summary in store.check().prunes] == [3]
    run(db, "UPDATE objects SET body = NULL WHERE digest = :digest", {"digest": digest})
    assert store.check().problems == (
        f"object {digest.hex()}: its body was removed, and what no prune dropped needs it",
    )


def test_nothing_can_be_added_to_what_a_prune_dropped(store: Store, db: str) -> None:
    fill(store)
    prune(store, hours(2))
    run(db, "UPDATE objects SET body = NULL")
    run(
        db,
        "INSERT INTO dropped (digest, kind, prune_id) SELECT digest, 'object', 1 FROM objects WHERE digest NOT IN (SELECT digest FROM dropped)",
    )
    run(
        db, "INSERT INTO dropped (digest, kind, prune_id) SELECT root_digest, 'snapshot', 1 FROM snapshots WHERE id > 2"
    )
    assert any(
        "prune 1: what is listed as dropped by it is not what it dropped" in one for one in store.check().problems
    )


def test_a_prune_that_heeded_no_hold_or_took_what_is_younger_shows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody with a program of their own could make it, log entry and all."""
    fill(store)
    store.retention.add_hold(NewHold("case 12", "prod", hours(0), hours(1)), hours(10), RUN)
    monkeypatch.setattr("evidence.store.prune.held_by", lambda *_: set())
    prune(store, hours(2))
    assert "prune 2: snapshot 1 of prod was under hold 1" in store.check().problems


@given(st.lists(st.booleans(), max_size=30))
def test_runs_hold_what_is_not_gone_and_nothing_that_is(gone: list[bool]) -> None:
    numbers = [3 * number + 1 for number in range(len(gone))]
    taken = {number for number, went in zip(numbers, gone, strict=True) if went}
    found = runs(numbers, taken)
    assert [number for number in numbers if any(first <= number <= last for first, last in found)] == [
        number for number in numbers if number not in taken
    ]
    assert len(found) == sum(not went and (number == 0 or gone[number - 1]) for number, went in enumerate(gone))


def test_a_prune_says_who_when_and_by_which_policy(store: Store) -> None:
    fill(store)
    prune(store, hours(2))
    [made] = store.retention.prunes()
    assert (made.act.made_at, made.act.run, made.policy) == (hours(100), RUN, tuple(POLICY))
    assert made.before == datetime(2026, 7, 1, 14, tzinfo=UTC)


# -- crashes and others at work ---------------------------------------------------------------------------------------


def test_an_error_at_any_statement_of_a_prune_leaves_the_store_as_before(store: Store, db: str) -> None:
    fill(store)
    store.add_record(record(0))
    before = everything(db)
    for statement in range(100):
        with failing_at(store, statement) as done:
            try:
                made = prune(store, hours(3))
                break
            except RuntimeError:
                pass
        assert everything(db) == before
    assert len(done) >= 20
    assert made is not None
    assert readable(store, 1, 2, 3, 4) == [4]
    assert store.check().problems == ()


def test_no_prune_goes_on_beside_a_writer_and_none_writes_beside_a_prune(store: Store, db: str) -> None:
    """What a snapshot that is being written needs may be just what a prune drops."""
    fill(store)
    with Store.open(db, wait_seconds=0.3) as other:
        with (
            writing(store._engine, store.url, "cluster/prod", 30),
            pytest.raises(StoreError, match="is locked"),
        ):
            prune(other, hours(3))
        with (
            writing(store._engine, store.url, "retention", 30, alone=True),
            pytest.raises(StoreError, match="is locked"),
        ):
            other.add_snapshot(snapshot(item("web"), at=hours(9), cluster="another"))
    assert prune(store, hours(3)) is not None
