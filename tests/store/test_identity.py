"""Snapshots of two clusters do not get under one name."""

from dataclasses import replace

import pytest

from evidence.errors import InputError
from evidence.store import NewSnapshot, Store
from tests.store.build import NOON, SOURCE, collection, hours, item, of


def from_cluster(uid: str, *, at: float = 0, cluster: str = "prod") -> NewSnapshot:
    return of(replace(collection(item("web")), source=replace(SOURCE, cluster_uid=uid)), at=hours(at), cluster=cluster)


def test_another_cluster_under_the_same_name_is_refused_and_nothing_of_it_is_stored(store: Store) -> None:
    first = store.add_snapshot(from_cluster("uid-one"))
    with pytest.raises(
        InputError, match=r"is uid-two here and uid-one in snapshot 1; nothing was stored; .* --cluster"
    ):
        store.add_snapshot(from_cluster("uid-two", at=1))
    assert store.snapshots("prod", NOON, hours(9)) == (first,)


def test_it_is_refused_for_an_earlier_time_and_after_many_sources_that_tell_no_uid(store: Store) -> None:
    store.add_snapshot(from_cluster("uid-one"))
    for silent in range(6):
        store.add_snapshot(from_cluster("", at=1 + silent / 10))
    for at in (-1, 2):
        with pytest.raises(InputError, match="is not the cluster"):
            store.add_snapshot(from_cluster("uid-two", at=at))


def test_the_same_cluster_a_source_without_uid_and_another_name_are_stored(store: Store) -> None:
    store.add_snapshot(from_cluster(""))
    store.add_snapshot(from_cluster("uid-one", at=1))
    store.add_snapshot(from_cluster("uid-one", at=2))
    store.add_snapshot(from_cluster("uid-two", at=3, cluster="other"))
    assert store.clusters() == ("other", "prod")
