"""The time that is claimed for a dump, and what the dump itself says against it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evidence import pipeline
from evidence.errors import InputError
from evidence.store import Store
from tests.manifests import body, pod_body

TAKEN = datetime(2026, 7, 1, 6, tzinfo=UTC)


def collect(folder: Path, *objects: dict[str, Any], taken_at: datetime | None = TAKEN) -> str:
    """The store after collecting these objects."""
    dump = folder / "dump.json"
    dump.write_text(json.dumps(objects))
    db = str(folder / "evidence.db")
    pipeline.collect_snapshot(
        db,
        pipeline.FileSource([str(dump)]),
        cluster="shop",
        taken_at=taken_at,
        received_at=TAKEN + timedelta(days=90),
        intent_path=None,
        keep_going=True,
    )
    return db


def made(at: str, name: str = "a") -> dict[str, Any]:
    return pod_body(name, metadata={"creationTimestamp": at})


def changed(at: str) -> dict[str, Any]:
    entry = {"manager": "kubectl", "operation": "Update", "apiVersion": "networking.k8s.io/v1", "time": at}
    metadata = {"creationTimestamp": "2026-06-01T00:00:00Z", "managedFields": [entry]}
    return body("networking.k8s.io/v1", "NetworkPolicy", metadata=metadata, spec={"podSelector": {}})


def test_an_object_made_after_the_claimed_time_is_refused_with_both_times(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        collect(tmp_path, made("2026-06-30T00:00:00Z"), made("2026-09-01T00:00:00Z", "b"))
    assert str(refused.value).endswith(
        "dump.json:1: Pod default/b was created at 2026-09-01T00:00:00Z, after the claimed time 2026-07-01T06:00:00Z: the dump was not "
        "taken then; give the time at which it was with --taken-at"
    )
    with Store.open(str(tmp_path / "evidence.db"), read_only=True) as store:
        assert store.clusters() == ()


def test_a_policy_changed_after_the_claimed_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NetworkPolicy default/a was changed at 2026-07-01T08:00:00Z"):
        collect(tmp_path, changed("2026-07-01T10:00:00+02:00"))


@pytest.mark.parametrize("at", ["2026-07-01T06:00:00Z", "2026-07-01T06:04:59Z", "2026-01-01T00:00:00", "yesterday"])
def test_a_time_before_one_that_clocks_explain_and_no_time_at_all_are_taken(at: str, tmp_path: Path) -> None:
    with Store.open(collect(tmp_path, made(at), changed("2026-07-01T05:59:59Z"))) as store:
        assert store.latest("shop").object_count == 2


def test_without_a_claim_nothing_is_compared(tmp_path: Path) -> None:
    with Store.open(collect(tmp_path, made("2027-01-01T00:00:00Z"), taken_at=None)) as store:
        assert store.latest("shop").object_count == 1
