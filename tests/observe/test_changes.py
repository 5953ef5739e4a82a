"""What became of objects, and what nobody can say about it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from evidence.cluster.objects import (
    CollectedObject,
    Collection,
    KindResult,
    KindStatus,
    ObjectKey,
    Problem,
    SourceInfo,
)
from evidence.observe.audit import AuditedChange, AuditLog, TakenAudit
from evidence.observe.changes import collection_changes, writes_between

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
PODS = KindResult("", "Pod", KindStatus.LISTED)
NODES = KindResult("", "Node", KindStatus.LISTED)


def item(name: str, kind: str = "Pod", **body: object) -> CollectedObject:
    return CollectedObject.of(ObjectKey("", kind, "shop", name), {"metadata": {"name": name}, **body}, "list")


def collection(
    *objects: CollectedObject, kinds: Sequence[KindResult] = (PODS, NODES), problems: Sequence[Problem] = ()
) -> Collection:
    return Collection(SourceInfo("api", ""), objects, tuple(kinds), tuple(problems))


def write(name: str, minutes: float, *, code: int = 200, number: str = "") -> AuditedChange:
    key = ObjectKey("", "Pod", "shop", name)
    at = NOON + timedelta(minutes=minutes)
    return AuditedChange(
        number or f"{name}{minutes}", at, "alice", "", (), "patch", key, code, ("10.0.0.9",), "kubectl"
    )


def taken(*changes: AuditedChange) -> TakenAudit:
    return TakenAudit(1, "ab" * 32, NOON, NOON, NOON, AuditLog((), len(changes), {}, changes))


def test_objects_that_are_as_they_were_are_not_told() -> None:
    assert collection_changes(collection(item("a")), collection(item("a"))) == ()


def test_what_came_went_and_changed_is_told_by_key() -> None:
    found = collection_changes(
        collection(item("gone"), item("kept", spec={"x": 1})), collection(item("kept", spec={"x": 2}), item("new"))
    )
    assert [(change.key.name, change.action, change.fields, change.doubts) for change in found] == [
        ("gone", "removed", (), ()),
        ("kept", "changed", ("spec.x",), ()),
        ("new", "added", (), ()),
    ]


def test_an_object_written_again_as_it_was_changed_in_no_field() -> None:
    (found,) = collection_changes(
        collection(CollectedObject.of(ObjectKey("", "Pod", "shop", "a"), {"metadata": {"uid": "1"}}, "list")),
        collection(CollectedObject.of(ObjectKey("", "Pod", "shop", "a"), {"metadata": {"uid": "2"}}, "list")),
    )
    assert (found.action, found.fields) == ("changed", ())


def test_a_kind_that_was_not_read_before_leaves_open_whether_its_objects_are_new() -> None:
    unread = (replace(PODS, status=KindStatus.FORBIDDEN), NODES)
    (new,) = collection_changes(collection(kinds=unread), collection(item("a")))
    assert new.doubts == ("may have been there before: Pod was forbidden",)
    (gone,) = collection_changes(collection(item("a")), collection(kinds=unread))
    assert gone.doubts == ("may still be there: Pod was forbidden",)


def test_a_kind_that_the_server_does_not_serve_has_no_objects() -> None:
    unserved = (replace(PODS, status=KindStatus.NOT_SERVED), NODES)
    (new,) = collection_changes(collection(kinds=unserved), collection(item("a")))
    assert new.doubts == ()


def test_an_object_that_was_left_out_may_be_any_of_its_kind() -> None:
    of_pods = collection(problems=[Problem("dump.yaml:7", "bad", "Pod")])
    of_any_kind = collection(problems=[Problem("dump.yaml:9", "no kind")])
    after = collection(item("a"), item("n", "Node"))
    assert [change.doubts for change in collection_changes(of_pods, after)] == [
        (),
        ("may have been there before: dump.yaml:7 was left out",),
    ]
    assert [len(change.doubts) for change in collection_changes(of_any_kind, after)] == [1, 1]


def test_writes_are_those_that_succeeded_in_between_each_once() -> None:
    before, first, last, after = write("a", 0), write("a", 1), write("b", 60), write("b", 61)
    refused = write("a", 2, code=403)
    logs = [taken(last, first, before), taken(first, refused, after)]
    assert writes_between(NOON, NOON + timedelta(hours=1), logs) == (first, last)


def test_a_change_has_the_writes_of_its_own_object() -> None:
    writes = (write("a", 1), write("b", 2), write("a", 3))
    changes = collection_changes(collection(), collection(item("a"), item("c")), writes)
    assert [(change.key.name, change.writes) for change in changes] == [("a", (writes[0], writes[2])), ("c", ())]
