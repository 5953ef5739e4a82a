"""What holds for every request: names, methods, headers, who may see what, files of packs, probes and metrics, bounds."""

import re
import threading
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url
from starlette.testclient import TestClient

from evidence.errors import StoreError
from evidence.sample import TAKEN_AT
from evidence.service.web.access import Groups, ProxyAuthentication
from evidence.service.web.desk import Busy, Desk
from evidence.service.web.guard import HEADERS
from evidence.service.web.openapi import API
from evidence.service.web.site import Site
from evidence.service.web.views import VIEWS
from evidence.store import Store
from evidence.store.schema import VERSION_TABLE
from tests.conftest import ROOT
from tests.service.web.conftest import FOLDER, HOSTILE, NOW, OTHER_FOLDER, SHOP, Client
from tests.store.build import item, snapshot
from tests.store.rows import run

OPEN = {"/healthz", "/readyz", "/style.css"}
PROXY = ProxyAuthentication(
    (ip_network("192.0.2.0/28"),), "X-User", "X-Groups", Groups(frozenset({"owners"}), frozenset({"auditors"}))
)


def as_user(client_of: Client, *groups: str, address: str = "192.0.2.1") -> TestClient:
    client = client_of(PROXY, address)
    client.headers.update({"X-User": "alice", "X-Groups": ", ".join(groups)})
    return client


def addresses() -> list[str]:
    """Every address that there is, without what is open to everybody."""
    parts = {"{snapshot:int}": str(SHOP), "{fingerprint}": "0" * 16, "{folder}": FOLDER}
    found = []
    for view in VIEWS:
        path = view.path
        for name, value in parts.items():
            path = path.replace(name, value)
        found += [path, API + path]
    return [*found, "/", "/metrics", "/api/openapi.json", f"/packs/{FOLDER}/files/index.html"]


@pytest.mark.parametrize(
    "where", ["/clusters", "/nothing", "/healthz", "/snapshots?page=x", f"/packs/{FOLDER}", "/style.css"]
)
def test_every_answer_carries_the_headers(client: TestClient, where: str) -> None:
    answer = client.get(where)
    for name, value in HEADERS.items():
        assert answer.headers[name] == (
            "public, max-age=300" if (where, name) == ("/style.css", "cache-control") else value
        )
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_no_script_is_allowed_and_nothing_from_elsewhere(client: TestClient) -> None:
    policy = client.get("/clusters").headers["content-security-policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "script-src" not in rules
    assert rules["style-src"] == rules["form-action"] == "'self'"


def test_a_secure_server_says_so_and_another_does_not(client_of: Client) -> None:
    assert "strict-transport-security" in client_of(secure=True).get("/healthz").headers
    assert "strict-transport-security" not in client_of().get("/healthz").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("where", ["/clusters", "/api/v1/clusters", f"/packs/{FOLDER}/files/index.html", "/healthz"])
def test_nothing_can_be_changed(client: TestClient, method: str, where: str) -> None:
    assert client.request(method, where).status_code == 405


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1", 421),
        ("[::1]:80", 421),
        ("", 421),
    ],
)
def test_the_server_answers_to_its_own_names_alone(client: TestClient, host: str, code: int) -> None:
    assert client.get("/clusters", headers={"host": host}).status_code == code
    assert client.get("/healthz", headers={"host": host}).status_code == 200


def test_a_very_long_query_is_refused(client: TestClient) -> None:
    assert client.get("/snapshots?cluster=" + "a" * 5000).status_code == 400


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", addresses())
def test_whoever_does_not_come_by_the_proxy_sees_nothing_whatever_the_headers_say(
    client_of: Client, where: str
) -> None:
    answer = as_user(client_of, "owners", address="192.0.2.77").get(where)
    assert answer.status_code == 403
    assert "sample-shop" not in answer.text


@pytest.mark.parametrize("where", addresses())
def test_a_user_without_a_role_sees_nothing(client_of: Client, where: str) -> None:
    assert as_user(client_of, "everybody").get(where).status_code == 403


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.path)
def test_an_auditor_sees_packs_and_evidence_of_the_process_and_no_more(client_of: Client, view: object) -> None:
    allowed = {"/snapshots", "/snapshots/at", "/snapshots/{snapshot:int}", "/packs", "/packs/{folder}", "/log"}
    path = view.path  # type: ignore[attr-defined]
    where = path.replace("{snapshot:int}", str(SHOP)).replace("{fingerprint}", "0" * 16).replace("{folder}", FOLDER)
    query = (
        "?cluster=sample-shop&at=2026-09-20"
        if path.endswith("/at")
        else "?cluster=sample-shop"
        if path == "/snapshots"
        else ""
    )
    for prefix in ("", API):
        answer = as_user(client_of, "auditors").get(prefix + where + query)
        assert answer.status_code == (200 if path in allowed else 403)
        if path not in allowed:
            assert "for the owner" in answer.text


def test_an_auditor_reads_files_of_packs_and_no_metrics(client_of: Client) -> None:
    auditor = as_user(client_of, "auditors")
    assert auditor.get(f"/packs/{FOLDER}/files/data/findings.csv").status_code == 200
    assert auditor.get("/metrics").status_code == 403
    assert auditor.get("/").headers["location"] == "/packs"
    page = auditor.get("/packs").text
    assert "alice, auditor" in page
    assert 'href="/clusters"' not in page
    assert 'href="/timeline"' not in page


def test_an_owner_who_is_also_an_auditor_is_the_owner(client_of: Client) -> None:
    assert as_user(client_of, "auditors", "owners").get("/clusters").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("X-User", "alice"), ("X-User", "bob"), ("X-Groups", "owners")],
        [("X-User", "alice"), ("X-Groups", "none"), ("X-Groups", "owners")],
        [("X-User", " "), ("X-Groups", "owners")],
        [("X-Groups", "owners")],
        [("X-User", "alice")],
        [("X-User", "alice"), ("X-Groups", "ownersx, owner, OWNERS")],
    ],
)
def test_headers_that_are_missing_or_given_twice_let_nobody_in(
    client_of: Client, headers: list[tuple[str, str]]
) -> None:
    assert client_of(PROXY, "192.0.2.1").get("/clusters", headers=headers).status_code == 403


def test_probes_and_the_style_sheet_are_open_to_everybody(client_of: Client) -> None:
    stranger = client_of(PROXY, "203.0.113.9")
    assert {where: stranger.get(where).status_code for where in OPEN} == dict.fromkeys(OPEN, 200)


# -- files of packs ---------------------------------------------------------------------------------------------------


def files(name: str, folder: str = FOLDER) -> str:
    return f"/packs/{folder}/files/{name}"


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e%2f%2e%2e%2fevidence.db",
        "..%2f..%2fevidence.db",
        "%2e%2e/%2e%2e/evidence.db",
        "/etc/passwd",
        "data/%2e%2e/evidence.json",
        "data",
        "",
        "nothing.txt",
        "index.html%00.txt",
        "linked.txt",
    ],
)
def test_only_what_the_pack_names_is_given(client: TestClient, served: Path, name: str) -> None:
    link = served / "archive" / FOLDER / "linked.txt"
    if not link.is_symlink():
        link.symlink_to(served / "evidence.db")
    try:
        assert client.get(files(name)).status_code == 404
    finally:
        link.unlink()


@pytest.mark.parametrize("folder", ["..", "%2e%2e", ".", "pci_shop%2f..", "no", "pci_shop%00"])
def test_only_packs_of_the_archive_have_files(client: TestClient, folder: str) -> None:
    assert client.get(files("index.html", folder)).status_code == 404


def test_a_file_that_was_replaced_by_a_link_out_of_the_pack_is_not_given(client: TestClient, served: Path) -> None:
    where = served / "archive" / FOLDER / "data" / "findings.csv"
    body = where.read_bytes()
    outside = served / "outside.csv"
    outside.write_bytes(body)  # of the same size: the manifest would not tell
    where.unlink()
    where.symlink_to(outside)
    try:
        assert client.get(files("data/findings.csv")).status_code == 404
    finally:
        where.unlink()
        where.write_bytes(body)


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("index.html", "text/html; charset=utf-8", "inline"),
        ("report.pdf", "application/pdf", "inline"),
        ("evidence.json", "application/json", "inline"),
        ("HOW-TO-VERIFY.txt", "text/plain; charset=utf-8", "inline"),
        ("data/findings.csv", "text/csv; charset=utf-8", "attachment"),
        ("SHA256SUMS.p7s", "application/octet-stream", "attachment"),
        ("signer.pem", "application/octet-stream", "attachment"),
    ],
)
def test_files_come_as_what_they_are_each_in_a_cage(
    client: TestClient, served: Path, name: str, kind: str, disposition: str
) -> None:
    for folder in (FOLDER, OTHER_FOLDER):
        answer = client.get(f"/packs/{folder}/files/{name}")
        assert answer.content == (served / "archive" / folder / name).read_bytes()
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"].startswith(disposition)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert ("sandbox" in policy) is (name != "report.pdf")
        assert "allow-same-origin" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


# -- probes and metrics -----------------------------------------------------------------------------------------------


def elsewhere(site: Site, db: str) -> Site:
    return Site(replace(site.plan, db=db, archive=None))


def test_a_server_is_ready_while_its_store_can_be_read_and_is_of_this_version(
    client_of: Client, site: Site, tmp_path: Path
) -> None:
    db = str(tmp_path / "evidence.db")
    other = elsewhere(site, db)
    client = client_of(of=other)
    assert client.get("/readyz").status_code == 503
    assert client.get("/clusters").status_code == 503
    assert "evidence_store_up 0.0" in client.get("/metrics").text
    Store.open(db).close()
    assert client.get("/readyz").status_code == 200
    assert "The store holds no snapshot yet" in client.get("/clusters").text
    run(db, f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
    answer = client.get("/readyz")
    assert (answer.status_code, db in answer.text) == (503, False)
    page = client.get("/clusters")
    assert page.status_code == 503
    assert "evidence db migrate" in page.text
    assert client.get("/healthz").status_code == 200


def test_metrics_tell_age_counts_and_findings_of_each_cluster(client: TestClient) -> None:
    client.get("/snapshots/2")
    client.get("/anything/at/all")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    shop = ("cluster", "sample-shop")
    assert found["evidence_snapshots", shop] == 2
    assert found["evidence_failed_runs_total", shop] == 1
    assert found["evidence_last_snapshot_age_seconds", shop] == (NOW - TAKEN_AT[-1]).total_seconds()
    assert found["evidence_open_findings", shop, ("severity", "medium")] > 0
    assert found["evidence_snapshots", ("cluster", HOSTILE)] == 1
    route = ("route", "/snapshots/{snapshot:int}")
    assert found["evidence_http_requests_total", ("code", "200"), ("method", "GET"), route] == 1
    assert found["evidence_http_request_seconds_count", route] == 1
    assert found["evidence_http_requests_total", ("code", "404"), ("method", "GET"), ("route", "other")] == 1


def test_metrics_are_for_the_owner_and_for_addresses_that_were_named(client_of: Client) -> None:
    scraper = {"metrics_from": (ip_network("198.51.100.0/24"),)}
    assert client_of(PROXY, "198.51.100.7", **scraper).get("/metrics", headers={"host": "10.0.0.1"}).status_code == 200
    assert client_of(PROXY, "198.51.100.7", **scraper).get("/clusters").status_code == 403
    assert client_of(PROXY, "203.0.113.9", **scraper).get("/metrics").status_code == 403
    assert client_of(PROXY, "198.51.100.7").get("/metrics").status_code == 403
    assert as_user(client_of, "owners").get("/metrics").status_code == 200


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_the_desk_makes_each_result_once_and_keeps_it() -> None:
    numbers = iter(range(9))
    desk = Desk()
    assert [desk.get("a", 1, lambda: next(numbers)) for _ in range(3)] == [0, 0, 0]
    desk.close()


def test_the_desk_forgets_what_was_not_asked_for_longest_and_never_the_newest() -> None:
    desk, made = Desk(most_weight=10), []

    def ask(name: str, weight: int) -> None:
        desk.get(name, weight, lambda: made.append(name))

    for name, weight in (("a", 6), ("b", 4), ("a", 6), ("c", 5), ("a", 6), ("b", 4), ("huge", 99), ("huge", 99)):
        ask(name, weight)
    assert made == ["a", "b", "c", "a", "b", "huge"]
    desk.close()


def test_a_failure_is_told_and_made_again_when_asked_again() -> None:
    desk, tries = Desk(), []

    def fail() -> None:
        tries.append(1)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            desk.get("a", 1, fail)
    assert len(tries) == 2
    desk.close()


def test_who_waits_too_long_is_told_so_and_finds_the_result_later() -> None:
    go_on = threading.Event()
    desk = Desk(wait_seconds=0.01)
    with pytest.raises(Busy, match="still being computed"):
        desk.get("a", 1, lambda: go_on.wait() and "done")
    go_on.set()
    assert desk.get("a", 1, lambda: "never asked", 30) == "done"
    desk.close()


def test_more_than_the_desk_may_do_is_refused_at_once() -> None:
    go_on = threading.Event()
    desk = Desk(workers=1, waiting=1, wait_seconds=0)
    for name in ("a", "b"):
        with pytest.raises(Busy, match="still"):
            desk.get(name, 1, go_on.wait)
    with pytest.raises(Busy, match="as much as it may"):
        desk.get("c", 1, lambda: 1)
    go_on.set()
    assert desk.get("b", 1, lambda: None, 30) is True
    assert desk.get("c", 1, lambda: 1, 30) == 1
    desk.close()


# -- a database user that may only read -------------------------------------------------------------------------------


@pytest.mark.real
def test_a_user_with_the_rights_that_the_docs_grant_can_be_served_and_write_nothing(
    client_of: Client, site: Site, postgres_url: str
) -> None:
    (statements,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "serve.md").read_text(encoding="utf-8"), re.DOTALL)
    name = f"reader_{uuid4().hex[:8]}"
    reader = make_url(postgres_url).set(username=name, password="choose one").render_as_string(hide_password=False)
    with Store.open(postgres_url) as store:
        store.add_snapshot(snapshot(item("a"), cluster="prod"))
    try:
        for statement in statements.replace("evidence_reader", name).split(";"):
            if statement.strip():
                run(postgres_url, statement)
        client = client_of(of=elsewhere(site, reader))
        for where in (
            "/clusters",
            "/snapshots",
            "/snapshots/1",
            "/snapshots/1/findings",
            "/timeline",
            "/log",
            "/readyz",
            "/metrics",
        ):
            assert client.get(where).status_code == 200, where
        with pytest.raises(StoreError, match="denies this user"), Store.open(reader, read_only=True) as store:
            store.add_checkpoint("mine")
    finally:
        run(postgres_url, f"DROP OWNED BY {name}; DROP ROLE {name}")
