"""The docs cannot rot: generated pages are as committed, links lead somewhere, commands named in the README exist."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from evidence import pipeline
from evidence.cli.main import COMMANDS
from evidence.sample import intent_path, sample_dumps
from tests.cli.run import evidence
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]


def test_generated_pages_are_as_committed() -> None:
    """In an interpreter of its own, as `make docs` runs it: other tests use the same command objects and may leave traces in them."""
    code = "import json, runpy; print(json.dumps({str(p): t for p, t in runpy.run_path('docs/generate.py')['pages']().items()}))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVIDENCE_")}
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    for page, text in json.loads(ran.stdout).items():
        assert (ROOT / "docs" / page).read_text(encoding="utf-8") == text, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def headings(page: Path) -> set[str]:
    """The anchors of a page, as code hosts make them of headings: small letters, digits, underscores and hyphens."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    shown = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found).lower() for found in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in shown}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_pages_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    missing = [(link, anchor) for link, anchor in links if anchor not in headings(page.parent / link if link else page)]
    assert missing == []


def test_every_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"^\s+evidence ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= set(COMMANDS)
    assert named >= {"collect", "assess", "report", "verify"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    help_texts = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^## (evidence .*)$", help_texts, re.MULTILINE))
    groups = {name for name in known if any(other.startswith(f"{name} ") for other in known)}
    options = {"--debug", "--version", *re.findall(r"--[a-z-]+", help_texts)}
    missing = []
    named = re.findall(
        r"(?:`|^ {4}|\| )(evidence [a-z]+)(?: ([a-z]+(?:-[a-z]+)*))?(.*?)(?:`|$)",
        page.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    for command, below, rest in named:
        missing += [command] if command not in known else []
        missing += [f"{command} {below}"] if command in groups and below and f"{command} {below}" not in known else []
        missing += [option for option in re.findall(r"(?<![\w-])--[a-z-]+(?<!-)", rest) if option not in options]
    assert missing == []


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= set(re.findall(r"\bdocs/([a-z-]+\.md)", readme))


# Commands of the README that only read, with what of their output shows that they answered.
READ_ONLY = {"assess": "NET-", "reach": "production/postgres-0 TCP 5432: allowed", "cni": "enforced"}


@pytest.fixture(scope="module")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an evidence.db like the demo's: the sample's newest dump."""
    folder = tmp_path_factory.mktemp("store")
    dump = sample_dumps()[-1]
    pipeline.collect_snapshot(
        str(folder / "evidence.db"),
        pipeline.FileSource([str(dump.path)]),
        cluster="sample",
        taken_at=dump.taken_at,
        received_at=dump.taken_at,
        intent_path=intent_path(),
        keep_going=False,
    )
    return folder


@pytest.mark.parametrize("name", READ_ONLY)
def test_daily_commands_that_only_read_work_on_the_sample_as_written(
    name: str, sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample_store)
    for setting in [one for one in os.environ if one.startswith("EVIDENCE_")]:
        monkeypatch.delenv(setting)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (written,) = re.findall(rf"^    evidence ({name}\b.*)$", readme, re.MULTILINE)
    ran = evidence(*shlex.split(written, comments=True))
    told = re.sub(r"^snapshot 1 of sample, taken .*\n", "", ran.err)  # which one answered
    assert (ran.code in (0, 1), told) == (True, ""), ran.said  # 1: --fail-on found something
    assert READ_ONLY[name] in ran.out


# -- decision 3: libraries --------------------------------------------------------------------------------------------

IMPORTED_AS = {"pyyaml": "yaml", "prometheus-client": "prometheus_client"}
COME_WITH_ANOTHER = {"anyio", "fontTools", "joserfc", "markupsafe", "pydyf", "urllib3", "pyhanko_certvalidator"}


def imported_packages(*folders: str) -> set[str]:
    """Top-level packages that the code imports, ours and the standard library left out."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {name.partition(".")[0] for path in files for name in _imports(ast.parse(path.read_text(encoding="utf-8")))}
    return found - set(sys.stdlib_module_names) - {"evidence", "tests"}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_what_is_declared_is_imported_and_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    modules = module_names(project["dependencies"])
    extras = module_names(chain.from_iterable(project["optional-dependencies"].values()))
    imported = imported_packages("evidence", "migrations")
    assert modules - imported == set()
    assert imported - modules - extras - COME_WITH_ANOTHER == set()


def module_names(requirements: Iterable[str]) -> set[str]:
    names = {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in requirements}
    return {IMPORTED_AS.get(name, name) for name in names}


def test_every_dependency_is_in_the_decision_on_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    decision = (ROOT / "docs" / "decisions" / "0003-dependencies.md").read_text(encoding="utf-8").lower()
    names = [re.split(r"[\[<>=~ ]", requirement)[0] for requirement in requirements]
    assert [name for name in names if name not in decision] == []
