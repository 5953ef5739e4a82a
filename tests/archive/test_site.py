"""The archive's page: complete, inert, quiet, and the same each time."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from evidence.archive.site import link, write_site
from evidence.cli.main import cli
from evidence.seal.keys import Signer
from tests.seal.builders import sealed, write

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\u202e"


class Reader(HTMLParser):
    """Links, elements and text of a page, as a browser's parser would find them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.elements: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def page_of(folder: Path) -> str:
    return write_site(folder).read_text(encoding="utf-8")


def test_page_names_every_pack_with_links_that_lead_to_its_files(tmp_path: Path, signer: Signer) -> None:
    write(tmp_path / "pci_shop_2026-07-01_2026-09-30", sealed(signer))
    write(tmp_path / "hipaa", sealed(signer, framework="hipaa", framework_title="HIPAA Security Rule"))
    page = page_of(tmp_path)
    for words in (
        "PCI DSS v4.0.1",
        "HIPAA Security Rule",
        "shop",
        "2026-07-01",
        "2026-09-30",
        "3 supported",
        "1 refuted",
        "4 medium",
    ):
        assert words in page
    files = [one for one in Reader(page).links if not one.startswith("#")]
    assert len(files) == 8
    assert all((tmp_path / unquote(one)).is_file() for one in files)


def test_sample_data_is_marked_and_real_data_is_not(tmp_path: Path, signer: Signer) -> None:
    write(tmp_path / "a", sealed(signer))
    assert "Sample data" not in page_of(tmp_path)
    write(tmp_path / "a", sealed(signer, sample=True))
    assert "Sample data" in page_of(tmp_path)


def test_broken_folder_is_listed_with_its_reason(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path / "cut", {**pack, "report.pdf": b""})
    page = page_of(tmp_path)
    assert "1 folder is no whole pack" in page
    assert "report.pdf is not as large as its manifest.json says" in page


def test_empty_archive_says_so(tmp_path: Path) -> None:
    assert "There is no pack here yet" in page_of(tmp_path)


def test_same_packs_give_the_same_bytes_and_leave_nothing_else(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path / "pci", pack)
    assert page_of(tmp_path) == page_of(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "pci"]


def test_hostile_names_are_text_and_nothing_else(tmp_path: Path, signer: Signer) -> None:
    summary = dict.fromkeys(("framework", "framework_title", "cluster", "organisation"), HOSTILE)
    write(tmp_path / HOSTILE.replace("/", "\N{DIVISION SLASH}"), sealed(signer, None, **summary))
    (tmp_path / "javascript:alert(1)#?%2e%2e").mkdir()
    (tmp_path / "<b>broken").mkdir()
    page = page_of(tmp_path)
    read = Reader(page)
    assert read.elements.count("script") == 1
    assert "img" not in read.elements
    assert "b" not in read.elements
    assert read.handlers == []
    assert all(one.startswith(("./", "#")) for one in read.links)
    assert "\u202e" not in page
    assert all((tmp_path / unquote(one)).exists() for one in read.links if not one.startswith("#"))


def test_links_are_relative_and_name_one_folder_whatever_it_is_called() -> None:
    assert link("javascript:x", "index.html") == "./javascript%3Ax/index.html"
    assert link("..%2f", "a b#?") == "./..%252f/a%20b%23%3F"
    assert link("bad\udcff") == "./bad%FF"


def test_policy_forbids_everything_but_the_pages_own_style_and_script(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]+='", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]+='", rules["style-src"])
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)


def test_archive_command_builds_the_page(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path / "pci", pack)
    result = CliRunner().invoke(cli, ["archive", "--folder", str(tmp_path)], standalone_mode=False)
    assert result.return_value == 0
    assert result.output == f"archive: {tmp_path / 'index.html'}\n"


# -- in a browser -----------------------------------------------------------------------------------------------------


def in_browser(page: Path, folder: Path) -> str:
    """The page's document after its script has run, from a file: address."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    words = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}",
        "--virtual-time-budget=3000",
    ]
    run = subprocess.run([*words, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=90)
    return run.stdout


@pytest.mark.real
@pytest.mark.slow
def test_script_runs_under_the_policy_from_a_file_and_hides_earlier_issues(tmp_path: Path, signer: Signer) -> None:
    write(tmp_path / "archive" / "a", sealed(signer, cluster=HOSTILE))
    write(tmp_path / "archive" / "b", sealed(signer, cluster=HOSTILE))
    document = in_browser(write_site(tmp_path / "archive"), tmp_path / "browser")
    assert '<form id="filter" class="filters">' in document  # shown by the script
    assert "1 of 2 packs shown" in document
    assert document.count('class="away"') == 1
    assert json.dumps("alert(1)") not in document
