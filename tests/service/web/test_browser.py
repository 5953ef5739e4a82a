"""The pages in a real browser: nothing is refused by their own policy, nothing is said on the console, and keys reach everything."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from evidence.report.document import evidence_json
from evidence.report.html import page
from evidence.report.presentation import data_files
from evidence.seal.keys import Signer
from tests.report.builders import view
from tests.seal.builders import report_files, sealed, write
from tests.service.web.chromium import Browser, running_browser
from tests.service.web.conftest import FOLDER, HOSTILE, HOSTILE_SNAPSHOT, NAME, SHOP
from tests.service.web.test_serve import running

pytestmark = [pytest.mark.real, pytest.mark.slow]

WHOLE = "whole_page"  # a pack with a report's own page
TELLTALE = "<script>document.title = [location.origin, self.origin].join(); fetch('/api/v1/log').then(() => document.title = 'read')</script>"


@pytest.fixture(scope="module")
def address(served: Path, signer: Signer) -> Iterator[str]:
    report = view()
    evidence = evidence_json(report)
    shown = page(report, evidence, data_files({"evidence.json": evidence}))
    write(served / "archive" / WHOLE, sealed(signer, report_files(**{"index.html": shown, "evidence.json": evidence})))
    spying = f"<!doctype html><title>spy</title>{TELLTALE}".encode()
    write(served / "archive" / "spying", sealed(signer, report_files(**{"index.html": spying})))
    with running(served) as (_, where):
        yield where


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as opened:
        yield opened


PAGES = {
    "/clusters": "Clusters",
    "/timeline": "Timeline",
    f"/timeline?cluster={quote(HOSTILE, safe='')}&framework=pci": f"Timeline of {HOSTILE}",
    f"/snapshots/{HOSTILE_SNAPSHOT}": f"Snapshot {HOSTILE_SNAPSHOT}",
    f"/snapshots/{HOSTILE_SNAPSHOT}/findings": "Findings",
    f"/snapshots/{HOSTILE_SNAPSHOT}/peers?name={quote(f'namespace:{NAME}', safe='')}": "Who can reach it",
    f"/snapshots/{SHOP}/zones": "Map of flows",
    f"/snapshots/{SHOP}/paths?source=shop&destination=card-data": "Paths",
    "/packs": "Packs",
    f"/packs/{FOLDER}": "PCI DSS v4.0.1",
    "/log": "Log",
}


@pytest.mark.parametrize("where", PAGES)
def test_a_page_shows_itself_and_the_console_stays_empty(browser: Browser, address: str, where: str) -> None:
    browser.said.clear()
    browser.open(address + where)
    assert browser.tell("document.querySelector('h1').textContent") == PAGES[where]
    assert browser.tell("document.scripts.length + document.images.length") == 0
    assert (
        browser.tell("getComputedStyle(document.querySelector('.top')).borderBottomStyle") == "solid"
    )  # the style sheet is there
    assert browser.tell("document.documentElement.scrollWidth <= innerWidth") is True
    assert browser.said == []


def test_a_policy_that_is_broken_would_be_heard(browser: Browser, address: str) -> None:
    browser.open(f"{address}/clusters")
    browser.said.clear()
    browser.tell(
        "void document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))"
    )
    browser.tell("new Promise((done) => setTimeout(done, 100))")
    assert any("Content Security Policy" in words for words in browser.said)
    assert browser.tell("document.title") != "1"


def test_every_link_and_field_is_reached_by_the_tab_key_in_its_order_and_is_seen_to_be(
    browser: Browser, address: str
) -> None:
    browser.open(f"{address}/snapshots/{SHOP}/connection")
    name = "(document.activeElement.textContent.trim() || document.activeElement.name)"
    expected = browser.tell(
        "[...document.querySelectorAll('a[href], input, select, button')].map((one) => one.textContent.trim() || one.name)"
    )
    reached = []
    for _ in expected:
        browser.press("Tab")
        reached.append(browser.tell(name))
        assert browser.tell("getComputedStyle(document.activeElement).outlineStyle") == "solid", reached
    assert reached == expected
    assert reached[0] == "Skip to the content"


def test_a_question_is_asked_and_answered_with_keys_alone(browser: Browser, address: str) -> None:
    browser.open(f"{address}/snapshots/{SHOP}/paths")
    for field, value in (("source", "shop"), ("destination", "card-data")):
        browser.tell(f"void (document.querySelector('[name={field}]').value = {value!r})")
    browser.tell("void document.querySelector('[name=destination]').focus()")
    browser.clear_events()
    browser.press("Enter")
    browser.wait_for("Page.loadEventFired")
    assert browser.tell("document.querySelector('.answer h2').textContent").startswith("Reachable")


def test_a_packs_own_page_checks_its_data_inside_its_sandbox(browser: Browser, address: str) -> None:
    browser.said.clear()
    browser.open(f"{address}/packs/{WHOLE}/files/index.html")
    for _ in range(100):
        said = browser.tell("document.getElementById('check-result').textContent")
        if said.startswith("The data of this page"):
            break
        browser.tell("new Promise((done) => setTimeout(done, 100))")
    assert said.startswith("The data of this page is whole")
    assert browser.said == []


def test_a_packs_page_has_no_origin_and_can_ask_this_server_for_nothing(browser: Browser, address: str) -> None:
    browser.open(f"{address}/packs/spying/files/index.html")
    browser.tell("new Promise((done) => setTimeout(done, 300))")
    assert browser.tell("document.title") == f"{address},null"
