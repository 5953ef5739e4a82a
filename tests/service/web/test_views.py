"""Every view, as a page and as JSON: both say the same, JSON is as the API's description has it, hostile names are text, errors are sentences."""

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from evidence.report.document import as_json
from evidence.service.web import openapi
from evidence.service.web.asked import read
from evidence.service.web.site import Site
from evidence.service.web.views import VIEWS
from tests.service.web.conftest import FOLDER, HOSTILE, HOSTILE_SNAPSHOT, NAME, OTHER_FOLDER, SHOP

ASKED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {  # by the view's path: what stands in it, and the query
    "/clusters": ({}, {}),
    "/snapshots": ({}, {"cluster": HOSTILE}),
    "/snapshots/at": ({}, {"cluster": "sample-shop", "at": "2026-09-01"}),
    "/snapshots/{snapshot:int}": ({"snapshot": HOSTILE_SNAPSHOT}, {}),
    "/snapshots/{snapshot:int}/findings": ({"snapshot": HOSTILE_SNAPSHOT}, {}),
    "/snapshots/{snapshot:int}/findings/{fingerprint}": ({"snapshot": HOSTILE_SNAPSHOT}, {}),
    "/snapshots/{snapshot:int}/connection": (
        {"snapshot": HOSTILE_SNAPSHOT},
        {"source": "192.0.2.1", "destination": f"{NAME}/{NAME}", "port": "80"},
    ),
    "/snapshots/{snapshot:int}/peers": ({"snapshot": HOSTILE_SNAPSHOT}, {"name": f"namespace:{NAME}"}),
    "/snapshots/{snapshot:int}/zones": ({"snapshot": SHOP}, {}),
    "/snapshots/{snapshot:int}/paths": ({"snapshot": SHOP}, {"source": "shop", "destination": "card-data"}),
    "/timeline": ({}, {"cluster": HOSTILE, "framework": "pci"}),
    "/packs": ({}, {}),
    "/packs/{folder}": ({"folder": OTHER_FOLDER}, {}),
    "/log": ({}, {}),
}


def fingerprint(client: TestClient, snapshot: int) -> str:
    found: str = client.get(f"/api/v1/snapshots/{snapshot}/findings").json()["findings"][0]["fingerprint"]
    return found


def asked(client: TestClient, path: str) -> tuple[str, dict[str, str]]:
    """The address of a view, and its query."""
    parts, query = ASKED[path]
    if "{fingerprint}" in path:
        parts = {**parts, "fingerprint": fingerprint(client, parts["snapshot"])}
    return re.sub(r"\{(\w+)(?::int)?\}", lambda found: str(parts[found[1]]), path), query


class Page(HTMLParser):
    """Elements, handlers, links and text of a page, as a browser's parser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.handlers: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_every_view_has_an_example_here() -> None:
    assert {view.path for view in VIEWS} == ASKED.keys()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.path)
def test_json_is_what_the_description_says_and_what_the_page_is_made_of(
    client: TestClient, site: Site, view: Any
) -> None:
    where, query = asked(client, view.path)
    answer = client.get(openapi.API + where, params=query)
    assert answer.status_code == 200, answer.text
    document = openapi.document()
    operation = document["paths"][openapi.API + view.path.replace(":int}", "}")]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    found = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    assert [error.message for error in found.iter_errors(answer.json())] == []
    path_values = {**ASKED[view.path][0], "fingerprint": where.rsplit("/", 1)[-1]}
    value = view.make(site, read(view.parameters, list(query.items()), path_values))
    assert answer.json() == json.loads(json.dumps(as_json(value)))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.path)
def test_pages_show_hostile_names_as_text_and_nothing_else(client: TestClient, view: Any) -> None:
    where, query = asked(client, view.path)
    answer = client.get(where, params=query)
    assert answer.status_code == 200, answer.text
    page = Page(answer.text)
    assert not {"script", "img", "iframe", "object", "style"} & set(page.elements)
    assert page.handlers == []
    assert "\u202e" not in answer.text
    assert all(link.startswith(("/", "#", "data:,")) and not link.startswith("//") for link in page.links)
    if HOSTILE in query.values() or HOSTILE_SNAPSHOT in ASKED[view.path][0].values():
        assert "<img src=x onerror=alert(1)>{{7*7}}" in "".join(page.words)


def test_every_link_of_the_pages_leads_somewhere(client: TestClient) -> None:
    seen: set[str] = set()
    waiting, problems = ["/clusters"], []
    while waiting and len(seen) < 120:
        where = waiting.pop(0)
        answer = client.get(where)
        if answer.status_code != 200:
            problems.append((where, answer.status_code))
        if not answer.headers["content-type"].startswith("text/html") or "/files/" in where:
            continue
        fresh = {link.replace("&amp;", "&") for link in Page(answer.text).links if link.startswith("/")}
        fresh = {link for link in fresh if link not in ("/", "/style.css")} - seen
        waiting += sorted(fresh)
        seen |= fresh
    assert problems == []
    assert any("/files/report.pdf" in link for link in seen)
    assert any("/findings/" in link for link in seen)


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ("/snapshots/99", 404, "there is no snapshot 99"),
        ("/snapshots/99999999999999999999", 400, "snapshot is"),
        ("/snapshots?cluster=nobody", 404, "there is no cluster &#39;nobody&#39;"),
        ("/snapshots?cluster=sample-shop&page=2", 400, "there is no page 2"),
        ("/snapshots?cluster=sample-shop&page=0", 400, "a number from 1"),
        ("/snapshots?cluster=sample-shop&page=x", 400, "a number from 1"),
        ("/snapshots?cluster=sample-shop&cluster=b", 400, "is given twice"),
        ("/snapshots?color=red", 400, "there is no parameter"),
        ("/snapshots?cluster=%00", 400, "zero byte"),
        ("/snapshots/at?cluster=sample-shop&at=2020-01-01", 404, "at or before 2020-01-01"),
        ("/snapshots/at?cluster=sample-shop&at=yesterday", 400, "must be a time"),
        ("/timeline?cluster=sample-shop&first=2026-07-01", 400, "a period has two days"),
        ("/timeline?cluster=sample-shop&first=2026-07-02&last=2026-07-01", 400, "ends on 2026-07-01 before"),
        ("/timeline?cluster=sample-shop&first=2020-07-01&last=2020-07-02", 400, "there is no snapshot"),
        ("/timeline?cluster=sample-shop&framework=iso", 400, "there is no framework &#39;iso&#39;"),
        ("/snapshots/2/findings?severity=awful", 400, "must be one of critical"),
        ("/snapshots/2/findings/0000000000000000", 404, "has no finding"),
        ("/snapshots/2/connection?source=a/b&destination=shop/web&port=80", 400, "there is no pod or workload a/b"),
        ("/snapshots/2/connection?source=a/b", 400, "is missing"),
        ("/snapshots/2/connection?source=1.1.1.1&destination=payments/card-vault&port=70000", 400, "to 65535"),
        ("/snapshots/2/peers?name=nothing", 400, "there is no zone or namespace nothing"),
        ("/snapshots/2/paths?source=shop&destination=10.0.0.0/99", 400, "there is no"),
        ("/packs/nothing", 404, "there is no pack nothing here"),
        ("/nothing", 404, "There is nothing here"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(client: TestClient, where: str, code: int, words: str) -> None:
    page = client.get(where)
    assert page.status_code == code
    assert words in page.text
    assert "Traceback" not in page.text
    if where != "/nothing":
        api = client.get(openapi.API + where)
        assert api.status_code == code
        assert list(api.json()) == ["error"]


def test_a_form_asks_and_shows_again_what_was_asked_wrongly(client: TestClient) -> None:
    blank = client.get(f"/snapshots/{SHOP}/connection")
    assert blank.status_code == 200
    assert '<option value="payments/card-vault">' in blank.text
    wrong = client.get(f"/snapshots/{SHOP}/connection?source=nobody/here&destination=payments/card-vault&port=1")
    assert wrong.status_code == 400
    assert 'value="nobody/here"' in wrong.text
    assert 'role="alert"' in wrong.text


def test_findings_are_filtered_by_what_was_chosen(client: TestClient) -> None:
    every = client.get(f"/api/v1/snapshots/{SHOP}/findings").json()
    one = every["findings"][0]
    for name, wanted in (("rule", one["rule_id"]), ("severity", one["severity"]), ("zone", one["zones"][0])):
        found = client.get(f"/api/v1/snapshots/{SHOP}/findings", params={name: wanted}).json()
        assert found["by_severity"] == every["by_severity"]
        assert 0 < found["paging"]["total"] < every["paging"]["total"]
        assert all(wanted in (row["rule_id"], row["severity"], *row["zones"]) for row in found["findings"])


def test_pages_of_a_list_hold_every_row_once(client: TestClient) -> None:
    first = client.get(f"/api/v1/snapshots/{SHOP}/findings").json()
    pages = [
        client.get(f"/api/v1/snapshots/{SHOP}/findings?page={n + 1}").json() for n in range(first["paging"]["pages"])
    ]
    rows = [row["fingerprint"] for page in pages for row in page["findings"]]
    assert len(rows) == len(set(rows)) == first["paging"]["total"] > first["paging"]["size"]


def test_a_waived_finding_is_shown_with_its_waiver_and_stays_open(client: TestClient) -> None:
    pages = (client.get(f"/api/v1/snapshots/{SHOP}/findings?page={page}").json() for page in (1, 2))
    (row,) = (row for page in pages for row in page["findings"] if row["accepted"])
    found = client.get(f"/api/v1/snapshots/{SHOP}/findings/{row['fingerprint']}").json()
    assert found["waiver"]["id"] == row["accepted"]
    assert found["waiver"]["reason"] in html.unescape(
        client.get(f"/snapshots/{SHOP}/findings/{row['fingerprint']}").text
    )


def test_a_failed_run_stands_in_the_overview(client: TestClient) -> None:
    shop = next(each for each in client.get("/api/v1/clusters").json()["clusters"] if each["name"] == "sample-shop")
    assert (shop["failed_runs"], shop["snapshots"], shop["last"]["id"]) == (1, 2, SHOP)
    assert shop["outcome"]["open_findings"]["medium"] > 0
    assert {each["framework"] for each in shop["outcome"]["controls"]} >= {"pci", "hipaa", "fedramp"}


def test_packs_show_their_check_and_a_strange_signer_is_not_called_trusted(client: TestClient) -> None:
    found = client.get(f"/api/v1/packs/{FOLDER}").json()
    assert found["pack"]["checked"]["intact"] is True
    assert found["pack"]["checked"]["trusted"] is False
    assert "intact, signer not trusted here" in client.get("/packs").text


def test_a_control_is_told_at_the_start_at_its_worst_and_at_the_end(client: TestClient) -> None:
    found = client.get("/api/v1/timeline?cluster=sample-shop&framework=pci").json()
    (framework,) = found["frameworks"]
    turned = [one for one in framework["controls"] if one["start"] == one["worst"] == "refuted" != one["end"]]
    assert turned
    assert all(one["verdict"] == "refuted" and one["worst_seconds"] > 0 for one in turned)
    page = client.get("/timeline?cluster=sample-shop&framework=pci").text
    assert turned[0]["id"] in page
    assert client.get("/api/v1/timeline?cluster=sample-shop").json()["frameworks"] == []


def test_a_reader_is_asked_which_cluster_and_a_program_is_told_to_say_it(client: TestClient) -> None:
    for where in ("/snapshots", "/timeline?framework=pci", "/snapshots/at?at=2026-09-20"):
        page = client.get(where)
        assert page.status_code == 200
        (link,) = (link for link in Page(page.text).links if "cluster=sample-shop" in link)
        assert client.get(link).status_code == 200
        api = client.get(openapi.API + where)
        assert (api.status_code, "give cluster, one of" in api.json()["error"]) == (400, True)
