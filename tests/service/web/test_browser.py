"""The pages in a real browser: nothing is refused by their own policy, nothing is said on the console, and keys reach everything."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.report.reading import tool
from tests.service.web.conftest import FOLDER, HOSTILE_SNAPSHOT, NAME, SHOP
from tests.service.web.test_serve import running

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(served: Path) -> Iterator[str]:
    with running(served) as (_, where):
        yield where


def opened(url: str) -> tuple[str, str]:
    """The document as the browser has it, and what its console said."""
    chromium = tool("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", url,
        ]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, "\n".join(line for line in run.stderr.splitlines() if "CONSOLE" in line)


PAGES = {
    "/clusters": "Clusters",
    f"/snapshots/{HOSTILE_SNAPSHOT}/peers?name={quote(f'namespace:{NAME}', safe='')}": "Who can reach it",
    f"/snapshots/{SHOP}/zones": "Map of flows",
    f"/packs/{FOLDER}": "PCI DSS v4.0.1",
}


@pytest.mark.parametrize("where", PAGES)
def test_a_page_shows_itself_and_the_console_stays_empty(address: str, where: str) -> None:
    document, console = opened(address + where)
    assert console == ""
    assert re.search(rf"<h1>{PAGES[where]}</h1>", document)
    assert "<script" not in document
    assert document.count("<main") == 1
