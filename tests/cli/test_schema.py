"""A program that is older than the store says so, whatever it was asked to do, and leaves the store alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from evidence.cli.main import cli
from evidence.sample import intent_path, sample_dumps
from evidence.store import Store
from evidence.store.schema import VERSION_TABLE
from tests.cli.run import evidence
from tests.store.build import item, snapshot
from tests.store.rows import everything, run

DUMP = str(sample_dumps()[-1].path)
NEWER = "is of schema 0999, newer than this version's"
PERIOD = ("--period", "2026-07-01..2026-07-31")

# What each command needs besides --db and --cluster, that opens a store.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "access": (),
    "assess": (),
    "clusters": (),
    "cni": (),
    "collect": ("--from", DUMP),
    "db check": (),
    "db checkpoint": ("--keys", "keys"),
    "db assess": (),
    "db export": ("--to", "new.zip", "--keys", "keys"),
    "db hold add": ("--reason", "a case"),
    "db hold list": (),
    "db hold release": ("1", "--reason", "over"),
    "db import": ("export.zip",),
    "db info": (),
    "db migrate": (),
    "db move": ("--to", "other.db"),
    "db prune": (),
    "db take-in": (),
    "diff": ("1", "2"),
    "history": PERIOD,
    "import audit": ("audit.log",),
    "import flows": ("flows.log", "--format", "hubble"),
    "probe plan": (),
    "reach blast": ("shop/web",),
    "reach check": ("checks.yaml",),
    "reach diff": ("@1", "@2"),
    "reach explain": ("shop/web", "shop/db", "80"),
    "reach exposure": (),
    "reach matrix": (),
    "reach paths": ("shop/web", "shop/db"),
    "reach query": ("--queries", "queries.json"),
    "reach unused": (),
    "reach why": ("shop/web", "shop/db"),
    "reassess": ("--since", "2026-07-01", "--to", "reassessed"),
    "report": ("--framework", "pci", *PERIOD, "--keys", "keys"),
    "schedule": ("--every", "1h", "--from", DUMP, "--keys", "keys"),
    "serve": (),
}
NEEDS_A_CLUSTER = {"probe run"}  # which it asks first; it stores by way of `collect`


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    """Every command that takes --db."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        elif command and any("--db" in option.opts for option in command.params):
            yield f"{path}{name}"


def test_no_command_is_left_out() -> None:
    assert set(commands(cli)) == {*ARGUMENTS, *NEEDS_A_CLUSTER}


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that a later version wrote, and a working folder with what commands read besides it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("EVIDENCE_")]:
        monkeypatch.delenv(name)
    for name in ("audit.log", "flows.log"):
        Path(name).write_text("{}\n")
    Path("queries.json").write_text("[]")
    Path("checks.yaml").write_text("must_deny: []\n")
    Path("segmentation.yaml").write_bytes(intent_path().read_bytes())
    with Store.open("evidence.db") as store:
        store.add_snapshot(snapshot(item("web")))
    assert evidence("db", "export", "--to", "export.zip", "--db", "evidence.db").code == 0
    run("evidence.db", f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    return "evidence.db"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_store_of_a_newer_schema_is_refused_with_exit_code_3_and_left_alone(name: str, newer: str) -> None:
    before = everything(newer)
    context = click.Context(cli)
    command: click.Command | None = cli
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.get_command(context, word)
    assert command is not None
    cluster = ("--cluster", "prod") if any("--cluster" in option.opts for option in command.params) else ()
    ran = evidence(*name.split(), *ARGUMENTS[name], *cluster, "--db", newer)
    assert (ran.code, ran.err.count("\n")) == (3, 1), ran.said
    assert NEWER in ran.err
    assert "use the newer version of evidence that wrote it" in ran.err
    assert everything(newer) == before
