import hashlib
import json
from dataclasses import fields, replace

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from evidence.cluster.objects import CollectedObject, ObjectKey, Problem
from evidence.errors import StoreError
from evidence.store import NewSnapshot, RunInfo, Store
from evidence.store.content import pack, parse_sources, sources_json, unpack
from evidence.store.write import prepare
from tests.store.build import FORBIDDEN, LISTED, RUN, SOURCE, collection, hours, item, of


@given(st.binary(max_size=200) | st.builds(lambda part: part * 50, st.binary(max_size=20)))
def test_packing_is_undone_by_unpacking(data: bytes) -> None:
    assert unpack(pack(data)) == data
    assert len(pack(data)) <= len(data) + 1


@pytest.mark.parametrize("stored", [b"", b"\x02abc", b"\x01not zlib"])
def test_bytes_that_packing_cannot_have_made_are_an_error(stored: bytes) -> None:
    with pytest.raises(StoreError):
        unpack(stored)


parts = st.text(st.sampled_from("ab/:1é"), max_size=3)
keys = st.builds(ObjectKey, parts, parts, parts, parts)


def own_path(root: str, plural: str, key: ObjectKey) -> str:
    return f"{root}/namespaces/{key.namespace}/{plural}/{key.name}" if key.namespace else f"{root}/{plural}/{key.name}"


@st.composite
def read_objects(draw: st.DrawFn) -> CollectedObject:
    key = draw(keys)
    here = st.builds(
        own_path, st.sampled_from(["/api/v1", "", "a"]), st.sampled_from(["pods", "", "a/b"]), st.just(key)
    )
    return CollectedObject.of(key, {}, draw(here | parts | st.sampled_from(["a.yaml:1", "a.yaml:2"])))


@given(st.lists(read_objects()))
def test_a_list_of_sources_is_read_back(objects: list[CollectedObject]) -> None:
    keys = [obj.key for obj in objects]
    assert parse_sources(sources_json(objects), keys) == [obj.source for obj in objects]


@given(st.lists(read_objects()), st.lists(keys))
def test_a_list_of_sources_fits_only_as_many_objects(objects: list[CollectedObject], others: list[ObjectKey]) -> None:
    assume(len(objects) != len(others))
    with pytest.raises(StoreError, match="another number of objects"):
        parse_sources(sources_json(objects), others)


def test_the_list_of_a_live_cluster_is_a_line_a_kind_and_stays_the_same_when_a_pod_is_replaced() -> None:
    def listed(*pods: str) -> bytes:
        nodes = [item(name, kind="Node", namespace="", source=f"/api/v1/nodes/{name}") for name in ("n1", "n2")]
        return sources_json([*nodes, *(item(name, source=f"/api/v1/namespaces/shop/pods/{name}") for name in pods)])

    assert listed("a", "b", "c") == b'[["/api/v1","nodes",2],["/api/v1","pods",3]]'
    assert listed("a", "b", "d") == listed("a", "b", "c")


def test_a_list_with_a_line_an_object_as_older_versions_wrote_it_is_read() -> None:
    key = ObjectKey("", "Pod", "shop", "a")
    assert parse_sources(b'[["/api/v1/namespaces/shop/pods/a",1]]', [key]) == ["/api/v1/namespaces/shop/pods/a"]


@pytest.mark.parametrize(
    "data", [b"", b"{}x", b"[1]", b'[["a", "b"]]', b"[[1]]", b'[["a", "b", "c", 1]]', b'[[1, "b", 1]]']
)
def test_a_list_of_sources_that_is_none_is_an_error(data: bytes) -> None:
    with pytest.raises(StoreError):
        parse_sources(data, [ObjectKey("", "Pod", "shop", "a")])


BASE = of(
    collection(item("web"), item("db"), kinds=[LISTED], problems=[Problem("a.yaml:1", "not YAML")]), intent=b"zones: []"
)


def test_the_root_can_be_computed_from_the_documented_rules_alone() -> None:
    web, db = (hashlib.sha256(rfc8785.dumps({"metadata": {"name": name}})).hexdigest() for name in ("web", "db"))
    leaves = [
        hashlib.sha256(b"\x00" + json.dumps(["", "Pod", "shop", name, digest], separators=(",", ":")).encode())
        for name, digest in (("db", db), ("web", web))
    ]
    details = {
        "kinds": [["", "Pod", "listed", 2, "1001", ""]],
        "problems": [["a.yaml:1", "not YAML", ""]],
        "source": {
            "cluster_uid": "0f0e",
            "identity": "alice",
            "location": "https://api.example:6443",
            "method": "api",
            "server_version": "v1.34.0",
        },
    }
    noon = "2026-07-01T12:00:00.000000+00:00"
    header = {
        "cluster": "prod",
        "content": hashlib.sha256(b"\x01" + leaves[0].digest() + leaves[1].digest()).hexdigest(),
        "details": hashlib.sha256(rfc8785.dumps(details)).hexdigest(),  # type: ignore[arg-type]
        "finished_at": noon,
        "intent": hashlib.sha256(b"zones: []").hexdigest(),
        "sources": hashlib.sha256(rfc8785.dumps([["/api/v1/pods", 2]])).hexdigest(),
        "object_count": 2,
        "received_at": noon,
        "run": {
            "command": "collect",
            "configuration_digest": "ab" * 32,
            "host": "host-1",
            "identity": "alice",
            "software_version": "0.1.0",
        },
        "started_at": noon,
        "taken_at": noon,
        "taken_at_claimed": False,
    }
    root = hashlib.sha256(b"evidence/snapshot/v1\n" + rfc8785.dumps(header)).hexdigest()  # type: ignore[arg-type]
    assert prepare(BASE).info.root_digest == root


def changed_in_every_field() -> dict[str, NewSnapshot]:
    content = BASE.collection
    variants = {
        "cluster": replace(BASE, cluster="test"),
        "taken_at": replace(BASE, taken_at=hours(1), finished_at=hours(1)),
        "taken_at_claimed": replace(BASE, taken_at_claimed=True),
        "received_at": replace(BASE, received_at=hours(1), started_at=hours(0), finished_at=hours(0)),
        "started_at": replace(BASE, started_at=hours(-1)),
        "finished_at": replace(BASE, finished_at=hours(1)),
        "intent": replace(BASE, intent=b"zones: [] "),
        "no intent": replace(BASE, intent=None),
        "one object fewer": replace(BASE, collection=replace(content, objects=content.objects[:1])),
        "another body": replace(BASE, collection=collection(item("web"), item("db", a=1), problems=content.problems)),
        "another source of an object": replace(
            BASE, collection=collection(item("web"), item("db", source="x"), problems=content.problems)
        ),
        "another kind": replace(BASE, collection=replace(content, kinds=(LISTED, FORBIDDEN))),
        "another count": replace(BASE, collection=replace(content, kinds=(replace(LISTED, count=3),))),
        "no problems": replace(BASE, collection=replace(content, problems=())),
    }
    for field in fields(RunInfo):
        variants[f"run.{field.name}"] = replace(BASE, run=replace(RUN, **{field.name: "x"}))
    for field in fields(SOURCE):
        source = replace(SOURCE, **{field.name: "x"})
        variants[f"source.{field.name}"] = replace(BASE, collection=replace(content, source=source))
    return variants


@pytest.mark.parametrize("field", changed_in_every_field())
def test_the_root_covers(field: str) -> None:
    assert prepare(changed_in_every_field()[field]).info.root_digest != prepare(BASE).info.root_digest


def test_no_two_snapshots_that_differ_have_one_root() -> None:
    """The time of taking moves with the end of the run, within which it has to lie: it is told from that end alone."""
    variants = changed_in_every_field().values()
    assert len({prepare(one).info.root_digest for one in variants}) == len(variants)


def test_roots_do_not_depend_on_the_database(store: Store) -> None:
    assert store.add_snapshot(BASE).root_digest == prepare(BASE).info.root_digest
