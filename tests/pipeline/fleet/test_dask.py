"""The same on the workers of a real Dask cluster: same bytes, lost workers, and a sentence for what it cannot use."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from distributed.protocol import pickle as dask_pickle

from evidence.errors import EngineError
from evidence.pipeline.fleet import dask as engine
from evidence.pipeline.fleet.dask import DATABASE, on_worker, run_on_dask, without_secrets
from evidence.pipeline.fleet.units import Rulebook, units_of
from evidence.store import Store
from tests.cli.run import evidence
from tests.pipeline.fleet.fleet import MONTHS, PLAIN, SINCE, collect, day, files, reassess

NOBODY = "tcp://127.0.0.1:9"  # the port of "discard", where no scheduler listens


def nannied(url: str) -> Any:
    """A cluster on the loopback address with two workers of one thread, each in a process that is started again when it dies."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None,
        silence_logs=50,
        env={DATABASE: url},
    )


@pytest.fixture(scope="module")
def cluster(kept: str) -> Iterator[Any]:
    with nannied(kept) as started:
        yield started


def pids(cluster: Any) -> list[int]:
    return [nanny.process.pid for nanny in cluster.workers.values() if nanny.process and nanny.process.pid]


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one_process(cluster: Any, kept: str, whole: Path, tmp_path: Path) -> None:
    found = reassess(kept, tmp_path / "r", engine=partial(run_on_dask, cluster.scheduler_address))
    assert (found.step.done, found.failures) == (MONTHS, ())
    assert files(tmp_path / "r") == files(whole)


def lose_workers(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have all workers killed as soon as one has something to do, of which it does nothing; gives the list to which their numbers are added."""
    lost: list[int] = []

    def kill() -> None:
        while not any(worker.processing for worker in cluster.scheduler.workers.values()):
            time.sleep(0.05)
        for number in lost:
            os.kill(number, signal.SIGKILL)

    def freeze(*arguments: Any) -> None:
        check(*arguments)
        lost.extend(pids(cluster))
        for number in lost:
            os.kill(number, signal.SIGSTOP)
        threading.Thread(target=kill, daemon=True).start()

    check = engine._check_workers
    monkeypatch.setattr(engine, "_check_workers", freeze)
    return lost


@pytest.mark.slow
def test_what_lost_workers_had_is_done_by_those_that_come(
    cluster: Any, kept: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_workers(cluster, monkeypatch)
    found = reassess(kept, tmp_path / "r", engine=partial(run_on_dask, cluster.scheduler_address))
    assert len(lost) == 2
    assert (found.step.done, found.failures) == (MONTHS, ())
    assert files(tmp_path / "r") == files(whole)


@pytest.mark.slow
def test_a_month_that_costs_every_worker_is_named_and_can_be_done_later(
    cluster: Any, kept: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with monkeypatch.context() as losing:
        lose_workers(cluster, losing)
        found = reassess(kept, tmp_path / "r", engine=partial(run_on_dask, cluster.scheduler_address))
    assert found.failures
    assert all("each worker that evaluated it was lost, the last of them tcp://" in why for _, why in found.failures)
    rest = reassess(kept, tmp_path / "r", engine=partial(run_on_dask, cluster.scheduler_address))
    assert rest.failures == ()
    assert rest.step.done == len(found.failures)
    assert files(tmp_path / "r") == files(whole)


@pytest.mark.slow
def test_workers_with_another_store_are_named_before_anything_is_sent(cluster: Any, kept: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    collect(other, "west", [(day(1, 9), PLAIN)])
    with pytest.raises(
        EngineError, match=r"2 of 2 workers cannot evaluate: worker tcp://.*its store is not the one given"
    ):
        reassess(other, tmp_path / "r", engine=partial(run_on_dask, cluster.scheduler_address))
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_a_scheduler_that_goes_away_ends_the_run(kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen([*command, "--no-dashboard", "--scheduler-file", told], stderr=subprocess.DEVNULL)
    try:
        while not told.exists():
            time.sleep(0.1)
        monkeypatch.setattr(engine, "_check_workers", lambda *_: threading.Timer(1, scheduler.kill).start())
        with pytest.raises(EngineError, match="the scheduler went away; what was done is kept"):
            reassess(kept, tmp_path / "r", engine=partial(run_on_dask, json.loads(told.read_text())["address"]))
    finally:
        scheduler.kill()
        scheduler.wait()


# -- without a cluster ------------------------------------------------------------------------------------------------


def test_nobody_at_the_address_is_one_sentence(kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.2)
    ran = evidence("reassess", "--db", kept, "--since", "2027-01-01", "--to", tmp_path / "r", "--engine", "dask",
                   "--scheduler", NOBODY)  # fmt: skip
    assert ran.code == 3
    assert f"--scheduler {NOBODY}: nobody answers as a Dask scheduler" in ran.err


def test_an_address_that_is_none_is_one_sentence(kept: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"--scheduler nonsense://here: .* give an address such as tcp://host:8786"):
        reassess(kept, tmp_path / "r", engine=partial(run_on_dask, "nonsense://here"))


def test_tls_without_a_certificate_is_one_sentence(kept: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"--scheduler tls://127.0.0.1:9: there is no certificate for TLS"):
        reassess(kept, tmp_path / "r", engine=partial(run_on_dask, "tls://127.0.0.1:9"))


def test_without_the_extra_it_says_what_to_install(kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EngineError, match=r"pip install 'evidence\[dask\]'"):
        reassess(kept, tmp_path / "r", engine=partial(run_on_dask, NOBODY))


def one_unit(db: str) -> tuple[Rulebook, Any]:
    rulebook = Rulebook(())
    with Store.open(db, read_only=True) as store:
        return rulebook, units_of(store, "west", (SINCE, day(4, 1)), rulebook.described())[0]


def test_a_worker_asks_its_environment_for_the_store(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rulebook, unit = one_unit(kept)
    monkeypatch.delenv(DATABASE, raising=False)
    assert on_worker(rulebook, unit) == (b"", f"{DATABASE} is not set")
    monkeypatch.setenv(DATABASE, kept)
    result, failure = on_worker(rulebook, unit)
    assert (bool(result), failure) == (True, "")


def test_a_worker_with_other_software_refuses(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rulebook, unit = one_unit(kept)
    monkeypatch.setenv(DATABASE, kept)
    monkeypatch.setattr(engine, "software_digest", lambda: "ab" * 32)
    result, failure = on_worker(rulebook, unit)
    assert (result, failure.startswith("it runs other software (evidence")) == (b"", True)


@pytest.mark.parametrize("password", ["s3cret", "p%40ss w/rd"])
def test_a_message_does_not_tell_the_password(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, f"postgresql://reader:{quote(password, safe='')}@db.example/evidence")
    for said in (password, quote(password, safe=""), os.environ[DATABASE]):
        assert password not in without_secrets(f"could not connect with {said}: refused")
        assert quote(password, safe="") not in without_secrets(f"could not connect with {said}: refused")


def test_nothing_that_is_sent_names_the_store(kept: str) -> None:
    rulebook, unit = one_unit(kept)
    sent = pickle.dumps(rulebook) + pickle.dumps(unit) + dask_pickle.dumps(engine._task())
    assert kept.encode() not in sent
    assert b"evidence.db" not in sent
