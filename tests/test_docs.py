"""The docs cannot rot: generated pages are as committed, links lead somewhere, commands named in the README exist."""

import ast
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.cli.main import COMMANDS
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_pages_are_as_committed() -> None:
    pages: dict[Path, str] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    stale = [str(path) for path, text in pages.items() if (ROOT / "docs" / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_every_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"^\s+evidence ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= set(COMMANDS)
    assert named >= {"collect", "assess", "report", "verify"}


# -- decision 3: libraries --------------------------------------------------------------------------------------------

IMPORTED_AS = {"pyyaml": "yaml"}
COME_WITH_ANOTHER = {"fontTools", "markupsafe", "pydyf", "urllib3", "pyhanko_certvalidator"}


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
    declared = {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in project["dependencies"]}
    modules = {IMPORTED_AS.get(name, name) for name in declared}
    imported = imported_packages("evidence", "migrations")
    assert modules - imported == set()
    assert imported - modules - COME_WITH_ANOTHER == set()


def test_every_dependency_is_in_the_decision_on_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    decision = (ROOT / "docs" / "decisions" / "0003-dependencies.md").read_text(encoding="utf-8").lower()
    names = [re.split(r"[\[<>=~ ]", requirement)[0] for requirement in requirements]
    assert [name for name in names if name not in decision] == []
