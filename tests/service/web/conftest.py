"""A store with the sample cluster and a hostile one, an archive with two packs, and the application over both."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from evidence import pipeline
from evidence.frameworks.load import load_frameworks
from evidence.sample import intent_path, sample_dumps
from evidence.seal.keys import Signer
from evidence.service.web.access import Authentication, NoAuthentication
from evidence.service.web.app import Door, build
from evidence.service.web.site import Plan, Site
from evidence.store import Store
from tests.seal.builders import LATER, sealed, write
from tests.seal.conftest import pack, signer
from tests.store.build import RUN

__all__ = ["pack", "signer"]

NOW = LATER
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"
NAME = HOSTILE.replace("/", "") + "\u202e"  # an object's name cannot hold a slash, a cluster's only what can be printed
HOSTILE_OBJECTS = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": {HOSTILE: HOSTILE}}},
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": NAME,
            "labels": {"app": HOSTILE},
            "annotations": {HOSTILE: HOSTILE},
        },
        "spec": {"nodeName": NAME, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "namespace": NAME},
        "spec": {"podSelector": {"matchLabels": {"app": HOSTILE}}, "policyTypes": ["Ingress"], "ingress": [{}]},
    },
]
SHOP, HOSTILE_SNAPSHOT = 2, 3  # numbers of snapshots
FOLDER, OTHER_FOLDER = "pci_shop", "h\u00e4lth <b>"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Path:
    """A folder with evidence.db and archive/."""
    folder = tmp_path_factory.mktemp("served")
    db = str(folder / "evidence.db")
    (folder / "hostile.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": HOSTILE_OBJECTS}))
    taken = [("sample-shop", str(dump.path), dump.taken_at) for dump in sample_dumps()[3:]]
    taken.append((HOSTILE, str(folder / "hostile.json"), datetime(2026, 9, 20, tzinfo=UTC)))
    for cluster, path, at in taken:
        pipeline.collect_snapshot(
            db,
            pipeline.FileSource([path]),
            cluster=cluster,
            taken_at=at,
            received_at=at,
            intent_path=intent_path() if cluster == "sample-shop" else None,
            keep_going=False,
        )
    with Store.open(db) as store:
        store.add_failed_run("sample-shop", started_at=NOW, finished_at=NOW, message=f"could not {HOSTILE}", run=RUN)
        store.add_checkpoint("a note that is none\n")
    write(folder / "archive" / FOLDER, sealed(signer))
    summary = dict.fromkeys(("framework_title", "cluster", "organisation"), HOSTILE)
    write(folder / "archive" / OTHER_FOLDER, sealed(signer, None, **summary))
    return folder


@pytest.fixture(scope="session")
def site(served: Path) -> Iterator[Site]:
    """With what the watch has found out."""
    plan = Plan(
        db=str(served / "evidence.db"),
        archive=served / "archive",
        expect_every=timedelta(days=31),
        frameworks=tuple(load_frameworks(()).values()),
        trusted=(),
        key_folder=served / "keys",
        controls_folders=(),
        clock=lambda: NOW,
    )
    made = Site(plan)
    made.look()
    yield made
    made.desk.close()


Client = Callable[..., TestClient]


@pytest.fixture
def client_of(site: Site) -> Client:
    def made(
        authentication: Authentication | None = None, address: str = "127.0.0.1", of: Site = site, **door: object
    ) -> TestClient:
        """A browser at an address, which follows no redirect."""
        names = {"names": {"localhost"}, **door}
        app = build(of, Door(authentication or NoAuthentication(), **names))  # type: ignore[arg-type]
        return TestClient(app, "http://localhost", client=(address, 50000), follow_redirects=False)

    return made


@pytest.fixture
def client(client_of: Client) -> TestClient:
    return client_of()
