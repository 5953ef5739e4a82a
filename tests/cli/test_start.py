"""The command starts quickly because it imports what a command needs, and nothing more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evidence.cli.main import COMMANDS
from evidence.sample import sample_dumps
from tests.cli.run import evidence

HEAVY = (
    "alembic",
    "apscheduler",
    "cryptography",
    "jinja2",
    "kubernetes",
    "numpy",
    "pikepdf",
    "pyhanko",
    "rich",
    "sqlalchemy",
    "weasyprint",
    "yaml",
)
SCRIPT = """
import json, sys
from evidence.cli.main import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]), file=sys.stderr)
"""


def imported(*arguments: str, among: tuple[str, ...] = HEAVY) -> list[str]:
    """Which packages a fresh process has imported after one command."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments), json.dumps(among)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[str] = json.loads(run.stderr.splitlines()[-1])
    return found


def test_help_imports_nothing_heavy() -> None:
    assert imported("--help") == []


@pytest.mark.parametrize("command", ["cni", "assess", "collect", "report", "verify", "demo"])
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    assert imported(command, "--help", among=tuple(n for n in HEAVY if n not in ("numpy", "yaml"))) == []


@pytest.mark.parametrize("command", [("cni",), ("assess",), ("reach", "matrix")], ids=" ".join)
def test_reading_a_dump_needs_no_database_no_client_and_no_renderer(command: tuple[str, ...]) -> None:
    unneeded = (
        "alembic",
        "apscheduler",
        "cryptography",
        "jinja2",
        "kubernetes",
        "pikepdf",
        "pyhanko",
        "sqlalchemy",
        "weasyprint",
    )
    assert imported(*command, "--from", str(sample_dumps()[0].path), among=unneeded) == []


def test_every_command_can_be_loaded_and_has_help() -> None:
    for command in COMMANDS:
        ran = evidence(command, "--help")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"Usage: evidence {command}")


def test_help_lists_every_command() -> None:
    listed = evidence("--help").out
    assert all(f"\n  {command} " in listed for command in COMMANDS)


def test_version_is_the_installed_one(own_folder: Path) -> None:
    from evidence import __version__

    assert evidence("--version").out == f"evidence {__version__}\n"


def test_a_matrix_of_network_policies_alone_reads_no_module_of_other_kinds_of_policies(tmp_path: Path) -> None:
    objects = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": {}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "closed", "namespace": "shop"},
            "spec": {"podSelector": {}},
        },
    ]
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    others = (
        "evidence.cluster.calico",
        "evidence.cluster.calico_selectors",
        "evidence.cluster.cilium",
        "evidence.cluster.policies",
        "evidence.collect.keep",
        "evidence.reach.frames",
        "evidence.reach.otherkinds",
        "hashlib",
    )
    assert imported("reach", "matrix", "--from", str(dump), among=others) == []
