"""What probes and logs saw is stored once, found by its period, and covered by digests like everything else."""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from evidence.canonical import canonical_json
from evidence.cli.main import main
from evidence.errors import InputError, StoreError
from evidence.store import NewRecord, RecordKind, Store, migrate_store
from evidence.store.database import connect, parse_url
from evidence.store.schema import migrate
from tests.store.build import NOON, RUN, hours, item, snapshot
from tests.store.rows import run

FLOWS = {"flows": [["shop/web", "shop/db", 5432]], "lost": 0}


def record(
    document: Any = FLOWS,
    *,
    kind: RecordKind = RecordKind.FLOW_LOG,
    starts: datetime = NOON,
    ends: datetime | None = None,
    cluster: str = "prod",
) -> NewRecord:
    return NewRecord(cluster, kind, starts, ends or starts, hours(9), document, RUN)


def test_a_record_is_read_back_as_it_was_given(store: Store) -> None:
    info = store.add_record(record({"flows": [1, 2.5, None, "é"]}, starts=hours(1), ends=hours(2)))
    stored = store.read_record(info.id)
    assert stored.info == info
    assert stored.document == {"flows": [1, 2.5, None, "é"]}
    assert (info.kind, info.starts_at, info.ends_at, info.taken_in_at) == ("flow-log", hours(1), hours(2), hours(9))
    assert info.run == RUN
    assert info.document_digest == hashlib.sha256(canonical_json(stored.document)).hexdigest()


def test_records_are_found_by_cluster_kind_and_any_of_their_time(store: Store) -> None:
    early = store.add_record(record(starts=hours(0), ends=hours(2)))
    late = store.add_record(record(starts=hours(3), ends=hours(5)))
    probe = store.add_record(record(kind=RecordKind.PROBE_RUN, starts=hours(1)))
    store.add_record(record(cluster="test", starts=hours(1)))
    assert store.records("prod", hours(0), hours(9)) == (early, probe, late)
    assert store.records("prod", hours(0), hours(9), RecordKind.PROBE_RUN) == (probe,)
    assert store.records("prod", hours(2), hours(3)) == (
        early,
    )  # its end is part of it, and before the end of the question
    assert store.records("prod", hours(2.5), hours(3)) == ()
    assert store.records("prod", hours(4), hours(4.5)) == (late,)
    assert store.records("nowhere", hours(0), hours(9)) == ()


def test_the_same_record_again_adds_nothing_and_another_period_does(store: Store) -> None:
    first = store.add_record(record())
    assert store.add_record(replace(record(), taken_in_at=hours(10), run=replace(RUN, host="other"))) == first
    assert store.add_record(record(ends=hours(1))).id != first.id
    assert len(store.records("prod", NOON, hours(9))) == 2


def test_a_record_needs_no_snapshot_and_makes_no_cluster_look_collected(store: Store) -> None:
    store.add_record(record(cluster="new"))
    assert store.clusters() == ()
    assert store.check().problems == ()


def test_a_period_that_ends_before_it_begins_and_a_document_without_canonical_form_are_refused(store: Store) -> None:
    with pytest.raises(InputError, match="cannot end before that"):
        store.add_record(record(starts=hours(1), ends=NOON))
    with pytest.raises(InputError, match="canonical JSON"):
        store.add_record(record({"rate": float("nan")}))
    with pytest.raises(StoreError, match=r"record 1 in the store \S+: there is none of that number"):
        store.read_record(1)


CHANGES = {
    "cluster_id": "UPDATE records SET cluster_id = (SELECT id FROM clusters WHERE name = 'test') WHERE id = 1",
    "kind": "UPDATE records SET kind = 'probe-run' WHERE id = 1",
    "starts_at": "UPDATE records SET starts_at = '2026-06-30 00:00:00.000000' WHERE id = 1",
    "ends_at": "UPDATE records SET ends_at = '2026-07-02 00:00:00.000000' WHERE id = 1",
    "taken_in_at": "UPDATE records SET taken_in_at = '2026-07-02 00:00:00.000000' WHERE id = 1",
    "document_digest": "UPDATE records SET document_digest = (SELECT document_digest FROM records WHERE id = 2) WHERE id = 1",
    "record_digest": "UPDATE records SET record_digest = document_digest WHERE id = 1",
    "software_version": "UPDATE records SET software_version = '9' WHERE id = 1",
    "host": "UPDATE records SET host = 'other' WHERE id = 1",
    "identity": "UPDATE records SET identity = 'mallory' WHERE id = 1",
    "command": "UPDATE records SET command = 'other' WHERE id = 1",
    "configuration_digest": "UPDATE records SET configuration_digest = '' WHERE id = 1",
    "body": "UPDATE documents SET body = (SELECT body FROM objects LIMIT 1)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_hand_is_found_and_not_handed_on(store: Store, db: str, change: str) -> None:
    store.add_snapshot(snapshot(item("web")))
    store.add_record(record())
    store.add_record(record({"flows": []}, cluster="test"))
    assert (store.check().records, store.check().problems) == (2, ())
    run(db, CHANGES[change])
    assert store.check().problems != ()
    with pytest.raises(StoreError, match="record 1 in the store "):
        store.read_record(1)


def test_a_document_that_no_record_uses_is_named(store: Store, db: str) -> None:
    store.add_record(record())
    run(db, "DELETE FROM records")
    assert [problem.split()[0] for problem in store.check().problems] == ["document", "record"]


def test_a_store_from_before_records_keeps_its_snapshots(db: str) -> None:
    with Store.open(db) as store:
        before = store.add_snapshot(snapshot(item("web"), intent=b"zones: []"))
    engine = connect(parse_url(db), 5)
    migrate(engine, db, 5, "0001")
    engine.dispose()
    assert migrate_store(db)[0] == "0001"
    with Store.open(db) as store:
        assert store.read(before.id).info == before
        store.add_record(record())
        assert store.check().problems == ()


def test_the_commands_count_records(store: Store, db: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.add_snapshot(snapshot(item("web")))
    store.add_record(record())
    for command, expected in (
        ("check", "1 snapshot, 1 object, 1 record, a log of 2 entries under 0 checkpoints: all as stored\n"),
        ("info", "1 snapshot (0 partial), 0 failed runs, 1 record; taken "),
    ):
        with pytest.raises(SystemExit):
            main(["db", command, "--db", db])
        assert expected in capsys.readouterr().out
