"""index.html in a real browser, opened as a file: it checks its data, asks for nothing, and filters."""

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from evidence.canonical import digest
from tests.report.reading import tool

SHOWN_VERDICT = '<span class="badge refuted"><span class="sign" aria-hidden="true">◆</span>refuted</span></span></div>'

pytestmark = [pytest.mark.real, pytest.mark.slow]


def opened(page: Path, hash_: str = "") -> tuple[str, str]:
    """The document after its script ran, and what the browser's console said."""
    chromium = tool("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", page.as_uri() + hash_,
        ]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, "\n".join(line for line in run.stderr.splitlines() if "CONSOLE" in line)


def result(document: str) -> str:
    found = re.search(r'id="check-result"[^>]*>([^<]*)<', document)
    assert found
    return found[1]


@pytest.fixture
def page(pack: Mapping[str, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "index.html"
    path.write_bytes(pack["index.html"])
    return path


def edited(page: Path, before: str, after: str) -> Path:
    text = page.read_text(encoding="utf-8")
    assert text.count(before) >= 1
    page.write_text(text.replace(before, after, 1), encoding="utf-8")
    return page


def test_an_untouched_page_finds_its_data_whole_and_the_console_stays_empty(page: Path) -> None:
    document, console = opened(page)

    assert result(document).startswith("The data of this page is whole")
    assert 'data-check="good"' in document
    assert document.count('<li class="">Good: ') == 4
    assert console == ""
    assert re.search(r'<form class="filters" id="filter-findings"[^>]*aria-label="Filter findings">', document)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"verdict": "refuted"', '"verdict": "supported"'),  # in evidence.json
(SHOWN_VERDICT, SHOWN_VERDICT.replace("refuted", "supported").replace("◆", "●")),  # beside a control
        ('data-state="open"', 'data-state="closed"'),  # of a finding
        ("default-deny\\\",\\\"namespace", "default-allow\\\",\\\"namespace"),  # in a policy
    ],
    ids=["evidence.json", "a shown verdict", "a shown state", "a policy"],
)  # fmt: skip
def test_a_page_whose_data_was_edited_says_so(page: Path, before: str, after: str) -> None:
    document, console = opened(edited(page, before, after))

    assert result(document) == "The data of this page was changed. Do not rely on it."
    assert 'data-check="bad"' in document
    assert console == ""


def test_a_script_that_somebody_puts_into_the_page_does_not_run(page: Path) -> None:
    document, console = opened(edited(page, "<main ", "<script>document.title = 'mine'</script><main "))

    assert "<title>mine</title>" not in document
    assert "Content Security Policy" in console


def driven(page: Path, script: str) -> str:
    """The document after a script of the test used it (the page's own policy would not let it run)."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    document, console = opened(page)
    assert console == ""
    return document


def test_search_and_filters_leave_what_was_asked_for(page: Path) -> None:
    document = driven(
        page,
        """
        const form = document.getElementById("filter-controls");
        form.querySelector("input[type=search]").value = "rule SETS";
        form.dispatchEvent(new Event("input"));
        const findings = document.getElementById("filter-findings");
        findings.querySelector("[value=open]").checked = false;
        findings.dispatchEvent(new Event("input"));
        """,
    )

    left = re.findall(r'<tr class="row-control" data-control="([^"]*)"', document)
    assert left == ["1.2.7"]
    assert "1 of 5 controls shown" in document
    assert "1 of 2 findings shown" in document
    assert re.search(r'<div class="rule away" id="rule-SEG-001">', document)


def test_a_link_to_what_a_filter_hides_shows_it(page: Path) -> None:
    document = driven(
        page,
        """
        const findings = document.getElementById("filter-findings");
        findings.querySelector("[value=high]").checked = false;
        findings.dispatchEvent(new Event("input"));
        location.hash = "#finding-00112233445566aa";
        """,
    )

    assert '<article class="finding is-high" id="finding-00112233445566aa"' in document
    assert '<div class="rule" id="rule-SEG-001">' in document


CHOOSE = """
const chosen = %s.map(([path, content]) => {
  const file = new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], path);
  Object.defineProperty(file, "webkitRelativePath", { value: "pack/" + path });
  return file;
});
const input = document.getElementById("check-files");
Object.defineProperty(input, "files", { value: chosen });
input.dispatchEvent(new Event("change"));
"""


def choosing(files: Mapping[str, bytes]) -> str:
    return CHOOSE % json.dumps([[path, base64.b64encode(content).decode()] for path, content in files.items()])


def folder_result(document: str) -> str:
    found = re.search(r'id="check-folder-result"[^>]*>([^<]*)<', document)
    assert found
    return found[1]


def chosen(page: Path, files: Mapping[str, bytes]) -> str:
    """The document after a folder was chosen. The browser's time stands still for scripts but not for files that it reads on the side, so that
    on a busy machine it may end before these are read; then the page is opened again."""
    document = driven(page, choosing(files))
    for _ in range(9):
        if folder_result(document):
            break
        document = opened(page)[0]
    return document


def test_the_page_checks_a_chosen_folder_against_its_list_of_digests(page: Path, pack: Mapping[str, bytes]) -> None:
    listed = {path: pack[path] for path in ("evidence.json", "data/findings.csv", "data/kinds.csv")}
    sums = "".join(f"{digest(content)}  {path}\n" for path, content in listed.items()).encode()

    document = chosen(page, {**listed, "SHA256SUMS": sums, "SHA256SUMS.p7s": b"signature"})

    assert folder_result(document).startswith("All 3 files agree with SHA256SUMS, and evidence.json is the one")


def test_a_changed_a_missing_and_a_foreign_file_of_the_folder_are_named(page: Path, pack: Mapping[str, bytes]) -> None:
    listed = {path: pack[path] for path in ("evidence.json", "data/findings.csv", "data/kinds.csv")}
    sums = "".join(f"{digest(content)}  {path}\n" for path, content in listed.items()).encode()
    changed = {
        "evidence.json": pack["evidence.json"] + b" ",
        "data/kinds.csv": pack["data/kinds.csv"],
        "extra.txt": b"",
    }

    document = chosen(page, {**changed, "SHA256SUMS": sums})

    assert folder_result(document) == "1 of 3 files agree with SHA256SUMS."
    for said in (
        "evidence.json was changed",
        "data/findings.csv is missing",
        "extra.txt is not listed",
        "evidence.json of the folder is not the one that this page carries",
    ):
        assert f"Wrong: {said}" in document
