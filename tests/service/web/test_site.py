"""What is made once and kept, and what is made again: the watch over newest snapshots and packs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evidence import pipeline
from evidence.pipeline import verify_pack
from evidence.pipeline.observations import assess_stored
from evidence.pipeline.retention import prune, retention_policy
from evidence.pipeline.states import Assessed, State
from evidence.sample import TAKEN_AT, intent_path, sample_dumps
from evidence.seal.keys import Signer
from evidence.seal.verify import Verification
from evidence.service.web.site import Site
from evidence.store import NewRecord, RecordKind, Store
from tests.seal.builders import sealed, write
from tests.seal.conftest import signer
from tests.service.web.conftest import NOW, Client
from tests.store.build import RUN, item, snapshot
from tests.store.rows import run

__all__ = ["signer"]


@pytest.fixture
def own(site: Site, tmp_path: Path) -> Iterator[Site]:
    """A server of its own over an empty store and archive."""
    (tmp_path / "archive").mkdir()
    made = Site(replace(site.plan, db=str(tmp_path / "evidence.db"), archive=tmp_path / "archive"))
    Store.open(made.plan.db).close()
    yield made
    made.desk.close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was analysed or checked, in its order."""
    made: list[str] = []

    def analyse(state: State, *rest: Any) -> Assessed:
        assert state.info
        made.append(state.info.cluster)
        return assess_stored(state, *rest)

    def check(path: Path, *rest: Any) -> Verification:
        made.append(path.name)
        return verify_pack(path, *rest)

    monkeypatch.setattr("evidence.service.web.site.assess_stored", analyse)
    monkeypatch.setattr("evidence.service.web.site.verify_pack", check)
    return made


def add(own: Site, cluster: str, hours: int) -> None:
    with Store.open(own.plan.db) as store:
        store.add_snapshot(snapshot(item(f"pod-{hours}"), cluster=cluster, at=TAKEN_AT[0] + timedelta(hours=hours)))


def test_the_watch_analyses_what_is_new_and_nothing_again_even_when_the_desk_forgot(
    own: Site, counted: list[str], signer: Signer
) -> None:
    own.look()
    assert (own.outcomes, own.checks) == ({}, {})
    for cluster in ("a", "b"):
        add(own, cluster, 0)
    write(own.plan.archive / "pack", sealed(signer))  # type: ignore[operator]
    own.look()
    assert counted == ["a", "b", "pack"]
    own.desk._kept.clear()
    own.look()
    assert counted == ["a", "b", "pack"]
    add(own, "b", 1)
    own.look()
    assert counted == ["a", "b", "pack", "b"]
    assert {name: outcome.snapshot for name, outcome in own.outcomes.items()} == {"a": 1, "b": 3}


def test_a_record_that_comes_in_later_and_a_file_that_was_changed_are_looked_at_again(
    own: Site, counted: list[str], signer: Signer
) -> None:
    add(own, "a", 0)
    write(own.plan.archive / "pack", sealed(signer))  # type: ignore[operator]
    own.look()
    assert own.checks["pack"].intact
    with Store.open(own.plan.db) as store:
        document: dict[str, list[str]] = {"entries": []}
        store.add_record(NewRecord("a", RecordKind.AUDIT_LOG, TAKEN_AT[0], TAKEN_AT[0], NOW, document, RUN))
    (own.plan.archive / "pack" / "evidence.json").write_bytes(b"{}" + b" " * 49)  # type: ignore[operator]
    own.look()
    assert counted[:2] == ["a", "pack"]
    assert "a" in counted[2:]
    assert "pack" not in own.checks or not own.checks["pack"].intact


def test_a_snapshot_that_cannot_be_read_has_a_sentence_in_place_of_findings(own: Site) -> None:
    add(own, "a", 0)
    run(own.plan.db, "UPDATE objects SET body = NULL")
    own.look()
    assert own.outcomes["a"].open_findings == {}
    assert "snapshot 1" in own.outcomes["a"].problem


def test_a_server_sees_a_store_that_was_put_in_place_of_the_old_one(own: Site) -> None:
    dump = sample_dumps()[0]
    with own.store() as store:
        assert store.clusters() == ()
    for path in Path(own.plan.db).parent.glob("evidence.db*"):
        path.unlink()
    source = pipeline.FileSource([str(dump.path)])
    pipeline.collect_snapshot(
        own.plan.db, source, cluster="new", taken_at=dump.taken_at, received_at=NOW, intent_path=intent_path(), keep_going=False
    )  # fmt: skip
    own.look()
    assert own.outcomes["new"].open_findings


def test_a_pruned_snapshot_keeps_its_page_and_says_that_it_was_pruned(own: Site, client_of: Client) -> None:
    for hours in (-24 * 900, 0):
        add(own, "a", hours)
    moment = TAKEN_AT[0]
    assert prune(own.plan.db, retention_policy(["pci"], [], moment, None), moment) is not None
    client = client_of(of=own)
    assert client.get("/api/v1/snapshots/1").json()["pruned_at"] is not None
    assert "not kept any longer" in client.get("/snapshots/1").text
    assert client.get("/api/v1/snapshots").json()["pruned"] == [1]
    for end in ("findings", "zones", "peers?name=a"):
        answer = client.get(f"/snapshots/1/{end}")
        assert (answer.status_code, "was pruned on" in answer.text) == (404, True)
    assert "1 snapshot, taken" in client.get("/api/v1/timeline").json()["pruned"]
    first = client.get("/timeline?first=2024-01-01&last=2024-02-28")
    assert (first.status_code, "nothing can be said of this period" in first.text) == (404, True)
    assert client.get("/snapshots/2/findings").status_code == 200
