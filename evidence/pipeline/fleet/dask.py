"""Units evaluated by the workers of a Dask cluster that is there already (https://distributed.dask.org).

1. The store's address is no part of what is sent: a worker takes it from EVIDENCE_DATABASE_URL in its own environment, so that no password
   passes through the scheduler, its dashboard, its logs or anybody's results; and a worker may know the database by another name.
2. A worker says for each unit whether its software is this one and its store holds the unit's snapshots; all that are there are asked before
   anything is sent. Nothing is evaluated by other rules unseen.
3. What a unit raises is its result, not an exception of Dask's: it is not tried again, and no worker logs its arguments.
4. A unit whose worker was lost goes to another one, as often as the scheduler allows (`distributed.scheduler.allowed-failures`).
5. The rules and mappings are sent once and copied between workers. The scheduler needs no evidence of its own: what passes through it are bytes,
   and a function that imports this module where it runs.
6. For tls:// addresses the certificates are those of Dask's own configuration
   (`distributed.comm.tls`, or DASK_DISTRIBUTED__COMM__TLS__CA_FILE and so on).
"""

import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from evidence import __version__
from evidence.errors import EngineError, EvidenceError, StoreError
from evidence.pipeline.fleet.here import Outcome, outcome_of
from evidence.pipeline.fleet.units import Rulebook, Unit
from evidence.pipeline.software import software_digest
from evidence.store import Store

if TYPE_CHECKING:
    from distributed import Client, Future

DATABASE = "EVIDENCE_DATABASE_URL"
CONNECT_SECONDS = 15
WORKER_SECONDS = 60  # how long to wait for the first worker, and for another one when all are gone
LOOK_EVERY = 5  # seconds without a result, after which the scheduler is asked whether anybody works
COMPARED = ("python", "dask", "distributed")  # what has to be the same everywhere, for values are pickled between them


@dataclass(frozen=True, slots=True)
class Place:
    """A snapshot by which a worker can tell that its store is the one that was planned from."""

    cluster: str
    at: datetime
    root: str


def run_on_dask(address: str, store: Store, rulebook: Rulebook, units: Sequence[Unit]) -> Iterator[Outcome]:
    """One outcome a unit, in the order in which they come. Raises EngineError when the cluster cannot be used, or goes away."""
    client = _connect(address)
    try:
        _check_versions(client)
        _check_workers(client, address, _place(store, units[-1].cluster))
        yield from _outcomes(client, address, store, rulebook, units)
    finally:
        client.close()


def _connect(address: str) -> "Client":
    try:
        from distributed import Client, Security
    except ModuleNotFoundError as error:
        raise EngineError(
            f"--engine dask needs a package that is not installed ({error.name}): pip install 'evidence[dask]'"
        ) from error
    security = Security()
    if address.startswith("tls://") and security.get_connection_args("client").get("ssl_context") is None:
        raise EngineError(
            f"--scheduler {address}: there is no certificate for TLS; name one in Dask's configuration (distributed.comm.tls), such as by "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, __CLIENT__CERT and __CLIENT__KEY"
        )
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said once, by us
    try:
        return Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False, name="evidence")
    except (OSError, TimeoutError) as error:
        raise EngineError(
            f"--scheduler {address}: nobody answers as a Dask scheduler within {CONNECT_SECONDS} s ({_first_line(error)}); start one with "
            "`dask scheduler`, or leave --engine out"
        ) from error
    except (ValueError, TypeError, RuntimeError) as error:
        raise EngineError(
            f"--scheduler {address}: {_first_line(error)}; give an address such as tcp://host:8786 or tls://host:8786"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


# -- before anything is sent ------------------------------------------------------------------------------------------


def _check_versions(client: "Client") -> None:
    found: Any = client.get_versions()
    here = _versions(found["client"])
    others = {"the scheduler": found["scheduler"], **{f"worker {name}": one for name, one in found["workers"].items()}}
    for who, versions in others.items():
        differing = [
            f"{name} {there} there, {here[name]} here"
            for name, there in _versions(versions).items()
            if there != here[name]
        ]
        if differing:
            raise EngineError(f"{who} runs other versions: {', '.join(differing)}; install the same ones everywhere")


def _versions(of: Any) -> dict[str, str]:
    packages = of["packages"]
    found = {name: str(packages[name]) for name in COMPARED}
    return {**found, "python": ".".join(found["python"].split(".")[:2])}


def _check_workers(client: "Client", address: str, place: Place) -> None:
    said = _asked(client, address, place)
    wrong = {
        worker: _not_installed(_first_line(why)) if isinstance(why, BaseException) else why
        for worker, why in said.items()
        if why
    }
    if wrong:
        listed = "; ".join(f"worker {worker}: {why}" for worker, why in sorted(wrong.items()))
        raise EngineError(f"{len(wrong)} of {len(said)} workers cannot evaluate: {listed}")


def _asked(client: "Client", address: str, place: Place) -> Mapping[str, str | BaseException]:
    """What each worker answers. One that is lost while it is asked says nothing: another may come, or it may come again."""
    for _ in range(WORKER_SECONDS // LOOK_EVERY):
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=LOOK_EVERY)
            said: Mapping[str, str | BaseException] = client.run(why_not, software_digest(), place, on_error="return")
            answered = {worker: answer for worker, answer in said.items() if not isinstance(answer, OSError)}
            if answered:
                return answered
            time.sleep(1)
    raise EngineError(
        f"--scheduler {address}: no worker has joined within {WORKER_SECONDS} s; start some with `dask worker {address}`"
    )


def _not_installed(why: str) -> str:
    return f"evidence {__version__} cannot be run there ({why}); install it on every worker"


def _place(store: Store, cluster: str) -> Place:
    newest = store.latest(cluster)
    return Place(cluster, newest.taken_at, newest.root_digest)


# -- on a worker ------------------------------------------------------------------------------------------------------


def why_not(software: str, place: Place) -> str:
    """Why the worker that runs this cannot evaluate; "" when it can."""
    if why := _other_software(software):
        return why
    try:
        with Store.open(_database(), read_only=True) as store:
            if store.latest(place.cluster, at=place.at).root_digest != place.root:
                raise StoreError(f"the store {store.url} has another newest snapshot of {place.cluster}")
    except EvidenceError as error:
        return (
            f"its store is not the one given with --db: {without_secrets(str(error))}; {DATABASE} in the worker's environment has to name the same "
            "database (workers on another host cannot read an SQLite file)"
        )
    return ""


def on_worker(rulebook: Rulebook, unit: Unit) -> tuple[bytes, str]:
    """A unit's result, and why there is none."""
    if why := _other_software(unit.inputs["software"]["digest"]):
        return b"", why
    try:
        with Store.open(_database(), read_only=True) as store:
            outcome = outcome_of(store, rulebook, unit)
    except EvidenceError as error:
        return b"", without_secrets(str(error))
    return outcome.result, without_secrets(outcome.failure)


def _other_software(digest: str) -> str:
    if software_digest() == digest:
        return ""
    return f"it runs other software (evidence {__version__}, digest {software_digest()[:16]}…, not {digest[:16]}…); install the same on every worker"


def _database() -> str:
    url = os.environ.get(DATABASE, "")
    if not url:
        raise StoreError(f"{DATABASE} is not set")
    return url


def without_secrets(text: str) -> str:
    """A message without this process's own database password, were a driver to spell it out."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    url = os.environ.get(DATABASE, "")
    try:
        password = make_url(url).password if "://" in url else None
    except (ArgumentError, ValueError):
        return text.replace(url, f"${DATABASE}")
    for secret in (url, str(password), quote(str(password), safe="")) if password else ():
        text = text.replace(secret, "***")
    return text


# -- the run ----------------------------------------------------------------------------------------------------------


def _task() -> Callable[[bytes, bytes], tuple[bytes, str]]:
    """The function of a task. It is made here so that it is sent by value: the scheduler unpickles it, and may not have this module."""

    def evaluate_month(rulebook: bytes, unit: bytes) -> tuple[bytes, str]:
        import pickle

        from evidence.pipeline.fleet.dask import on_worker

        return on_worker(pickle.loads(rulebook), pickle.loads(unit))  # noqa: S301

    return evaluate_month


def _outcomes(
    client: "Client", address: str, store: Store, rulebook: Rulebook, units: Sequence[Unit]
) -> Iterator[Outcome]:
    run = uuid4().hex  # names of tasks say nothing of clusters: they stand on the scheduler's page
    task = _task()
    rules = client.submit(bytes, pickle.dumps(rulebook), key=f"evidence-rules-{run}")
    pending: dict[Future[Any], Unit] = {
        client.submit(task, rules, pickle.dumps(unit), key=f"evidence-month-{run}-{number}"): unit
        for number, unit in enumerate(units)
    }
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in pending:
        future.add_done_callback(ended.put)
    try:
        yield from _as_they_come(client, address, store, pending, ended)
    finally:
        if pending and client.status == "running":
            client.cancel(list(pending))


def _as_they_come(
    client: "Client",
    address: str,
    store: Store,
    pending: "dict[Future[Any], Unit]",
    ended: "SimpleQueue[Future[Any]]",
) -> Iterator[Outcome]:
    alone = 0  # seconds without any worker
    while pending:
        try:
            future = ended.get(timeout=LOOK_EVERY)
            outcome = _outcome(address, pending[future], future)
        except Empty:
            outcome = None
        except TimeoutError:  # its worker was lost with the result, so it is being done again
            ended.put(future)
            outcome = None
        if outcome is None:
            alone = 0 if _workers(client, address) else alone + LOOK_EVERY
            if alone >= WORKER_SECONDS:
                raise EngineError(
                    f"--scheduler {address}: no worker is left for {alone} s, and {len(pending)} months wait; start workers and run the same again"
                )
            continue
        alone = 0
        del pending[future]
        future.release()
        if outcome.failure:
            store.clusters()  # raises when it is no matter of this unit
        yield outcome


def _outcome(address: str, unit: Unit, future: "Future[Any]") -> Outcome:
    """What a task that ended gives. Raises TimeoutError while its result is being made again, EngineError when the scheduler is gone."""
    from distributed import CancelledError, KilledWorker

    try:
        return Outcome(unit, *future.result(timeout=LOOK_EVERY))
    except KilledWorker as error:
        worker = getattr(error.last_worker, "address", error.last_worker)
        return Outcome(
            unit, b"", f"each worker that evaluated it was lost, the last of them {worker}: was there memory enough?"
        )
    except CancelledError as error:
        raise EngineError(_gone(address)) from error
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  (what Dask itself makes of one task, such as a value that cannot be unpickled)
        return Outcome(unit, b"", f"Dask could not run it ({type(error).__name__}: {_first_line(error)})")


def _workers(client: "Client", address: str) -> Mapping[str, int]:
    """Workers that are there. Raises EngineError when the scheduler is not."""
    try:
        found: Mapping[str, int] = client.nthreads() if client.status == "running" else {}
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineError(_gone(address)) from error
    if client.status != "running":
        raise EngineError(_gone(address))
    return found


def _gone(address: str) -> str:
    return f"--scheduler {address}: the scheduler went away; what was done is kept: run the same again to go on"
