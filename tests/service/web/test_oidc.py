"""Log-in by a small OpenID provider: the way that works, and every token and answer that must not let anybody in."""

import base64
import json
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from evidence.service.web import oidc
from evidence.service.web.access import Groups
from evidence.service.web.oidc import OidcAuthentication, groups_of, local
from evidence.service.web.oidc import Provider as Settings
from evidence.service.web.views import VIEWS
from tests.service.web.conftest import FOLDER, SHOP, Client
from tests.service.web.provider import CLIENT, SECRET, Provider, running_provider

GROUPS = Groups(frozenset({"owners"}), frozenset({"auditors"}))


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running.groups, running.change, running.sign, running.metadata = ["owners"], lambda _: None, running.signed, {}
    return running


def authentication(provider: Provider, public_url: str = "http://localhost", **settings: Any) -> OidcAuthentication:
    given = {
        "issuer": provider.issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "groups_claim": "groups",
        **settings,
    }
    return OidcAuthentication(Settings(public_url=public_url, **given), GROUPS, said.append)


said: list[str] = []


def logged_in(client: TestClient, where: str = "/clusters") -> Any:
    """The answer to the provider's answer, after a log-in that began at a page."""
    sent = client.get(where)
    assert sent.status_code == 303, sent.text
    begun = client.get(sent.headers["location"])
    assert begun.status_code == 302, begun.text
    back = httpx.get(begun.headers["location"], trust_env=False)
    return client.get(_here(back.headers["location"]))


def _here(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def test_an_owner_comes_in_and_back_to_what_was_asked_for(provider: Provider, client_of: Client) -> None:
    client = client_of(authentication(provider))
    answer = logged_in(client, "/snapshots/2/findings?severity=high")
    assert (answer.status_code, answer.headers["location"]) == (303, "/snapshots/2/findings?severity=high")
    page = client.get("/clusters")
    assert page.status_code == 200
    assert "alice@example.com, owner" in page.text
    assert client.get("/api/v1/clusters").status_code == 200
    assert {"openid", "profile", "email"} <= set(provider.asked[-1]["scope"].split())


def test_an_auditor_sees_packs_and_no_findings(provider: Provider, client_of: Client) -> None:
    provider.groups = "auditors, others"
    client = client_of(authentication(provider))
    logged_in(client, "/packs")
    assert client.get(f"/packs/{FOLDER}").status_code == 200
    assert client.get(f"/snapshots/{SHOP}/findings").status_code == 403
    assert client.get(f"/api/v1/snapshots/{SHOP}/findings").status_code == 403


@pytest.mark.parametrize("groups", [[], ["nobody"], None, 7, {"owners": True}])
def test_who_is_in_no_group_is_known_and_sees_nothing(provider: Provider, client_of: Client, groups: object) -> None:
    provider.groups = groups
    client = client_of(authentication(provider))
    logged_in(client)
    answer = client.get("/clusters")
    assert answer.status_code == 403
    assert "alice@example.com is in no group" in answer.text


def another_key(provider: Provider, claims: dict[str, Any]) -> str:
    return provider.signed(claims, key=RSAKey.generate_key(2048, {"kid": "one"}))


def without(name: str) -> Any:
    return lambda claims: claims.pop(name)


def with_(**changed: Any) -> Any:
    return lambda claims: claims.update(changed)


@pytest.mark.parametrize(
    "change",
    [
        with_(nonce="another"),
        without("nonce"),
        with_(aud="another-client"),
        with_(aud=["another-client"]),
        without("aud"),
        with_(iss="http://127.0.0.1:1"),
        without("iss"),
        with_(exp=int(time.time()) - 3600, iat=int(time.time()) - 7200),
        without("exp"),
        without("sub"),
        with_(nbf=int(time.time()) + 3600),
    ],
    ids=["nonce", "no nonce", "audience", "audiences", "no audience", "issuer", "no issuer", "expired", "no expiry", "no subject", "not yet"],
)  # fmt: skip
def test_a_token_with_a_wrong_claim_lets_nobody_in(provider: Provider, client_of: Client, change: Any) -> None:
    provider.change = change
    refused(provider, client_of)


@pytest.mark.parametrize("sign", ["another key", "unsigned", "public key as secret", "no token", "garbage", "cut"])
def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(
    provider: Provider, client_of: Client, sign: str
) -> None:
    ways: dict[str, Any] = {
        "another key": lambda claims: another_key(provider, claims),
        "unsigned": provider.unsigned,
        "public key as secret": provider.signed_with_the_public_key,
        "no token": lambda _: None,
        "garbage": lambda _: "a.b.c",
        "cut": lambda claims: provider.signed(claims)[:-10],
    }
    provider.sign = ways[sign]
    refused(provider, client_of)


def refused(provider: Provider, client_of: Client) -> None:
    said.clear()
    client = client_of(authentication(provider))
    answer = logged_in(client)
    assert answer.status_code == 403
    assert "did not succeed" in answer.text
    assert len(said) == 1
    assert client.get("/clusters").status_code == 303  # as if nobody had been here


def test_a_provider_of_another_name_is_not_asked(provider: Provider, client_of: Client) -> None:
    provider.metadata = {"issuer": "https://elsewhere.example"}
    client = client_of(authentication(provider))
    assert client.get("/login").status_code == 403
    provider.metadata = {}
    assert client.get("/login").status_code == 302  # once it is right, without a restart


def test_a_provider_that_is_away_is_a_sentence(client_of: Client, provider: Provider) -> None:
    client = client_of(authentication(provider, issuer="http://127.0.0.1:1"))
    answer = client.get("/login")
    assert answer.status_code == 403
    assert "did not succeed" in answer.text


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(provider: Provider, client_of: Client) -> None:
    begun = client_of(authentication(provider)).get("/login")
    back = _here(httpx.get(begun.headers["location"], trust_env=False).headers["location"])
    other = client_of(authentication(provider))
    assert other.get(back).status_code == 403
    other.get("/login")
    assert other.get(back).status_code == 403
    assert other.get("/clusters").status_code == 303


def test_an_answer_counts_once(provider: Provider, client_of: Client) -> None:
    client = client_of(authentication(provider))
    begun = client.get("/login")
    back = _here(httpx.get(begun.headers["location"], trust_env=False).headers["location"])
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 403


@pytest.mark.parametrize(
    "query", ["", "?error=access_denied&error_description=<b>no</b>", "?code=x", "?state=x", "?code=x&state=x"]
)
def test_an_answer_that_is_none_is_refused(provider: Provider, client_of: Client, query: str) -> None:
    client = client_of(authentication(provider))
    client.get("/login")
    answer = client.get(f"/login/done{query}")
    assert answer.status_code == 403
    assert "<b>" not in answer.text


def test_the_code_challenge_is_that_of_a_verifier_that_is_not_sent_along(provider: Provider, client_of: Client) -> None:
    begun = client_of(authentication(provider)).get("/login")
    query = parse_qs(urlsplit(begun.headers["location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert "code_verifier" not in query
    assert len({query[name][0] for name in ("state", "nonce", "code_challenge")}) == 3


# -- the session ------------------------------------------------------------------------------------------------------


def cookie_of(answer: Any) -> Any:
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return morsel


def test_the_cookie_is_for_this_host_by_https_and_for_no_script(provider: Provider, client_of: Client) -> None:
    client = client_of(authentication(provider, "https://localhost"), secure=True)
    cookie = cookie_of(client.get("/login"))
    assert cookie.key == "__Host-evidence"
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "lax", "/")
    assert cookie["domain"] == ""
    assert int(cookie["max-age"]) == oidc.SESSION_SECONDS


def test_a_session_ends_after_its_time_however_much_it_is_used(
    provider: Provider, client_of: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(authentication(provider))
    logged_in(client)
    now = time.time()
    for passed, code in (
        (oidc.SESSION_SECONDS / 2, 200),
        (oidc.SESSION_SECONDS - 5, 200),
        (oidc.SESSION_SECONDS + 5, 303),
    ):
        monkeypatch.setattr("evidence.service.web.oidc.time.time", lambda passed=passed: now + passed)
        assert client.get("/clusters").status_code == code


def test_a_cookie_that_was_changed_or_made_elsewhere_counts_for_nothing(provider: Provider, client_of: Client) -> None:
    client = client_of(authentication(provider))
    logged_in(client)
    value = client.cookies["evidence"]
    body, _, signature = value.partition(".")
    forged = base64.b64encode(json.dumps({"name": "x", "role": "owner", "until": 9e12}).encode()).decode()
    for other in (
        f"{forged}.{signature}",
        forged,
        body,
        "",
        value[:-9] + ("A" if value[-9] != "A" else "B") + value[-8:],
    ):
        client.cookies.clear()
        assert client.get("/clusters", headers={"cookie": f"evidence={other}"}).status_code == 303
    another = client_of(authentication(provider))  # a server with a key of its own
    assert another.get("/clusters", headers={"cookie": f"evidence={value}"}).status_code == 303


def test_logging_out_ends_the_session_and_takes_a_post(provider: Provider, client_of: Client) -> None:
    client = client_of(authentication(provider))
    logged_in(client)
    assert client.get("/logout").status_code == 405
    assert client.get("/clusters").status_code == 200
    out = client.post("/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/logged-out")
    assert "logged out" in client.get("/logged-out").text
    assert client.get("/clusters").status_code == 303


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.path)
def test_who_is_not_logged_in_is_sent_there_and_programs_are_told(
    provider: Provider, client_of: Client, view: Any
) -> None:
    client = client_of(authentication(provider))
    path = view.path.replace("{snapshot:int}", "2").replace("{fingerprint}", "0" * 16).replace("{folder}", FOLDER)
    assert client.get(path).headers["location"].startswith("/login?next=%2F")
    api = client.get(f"/api/v1{path}")
    assert (api.status_code, list(api.json())) == (401, ["error"])
    assert client.get("/metrics").status_code == 401
    assert client.get(f"/packs/{FOLDER}/files/index.html").status_code == 303


@pytest.mark.parametrize(
    ("given", "goes"),
    [
        ("/snapshots?page=2", "/snapshots?page=2"),
        ("", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nset-cookie: x=1", "/"),
        ("/\tevil", "/"),
    ],
)
def test_after_the_log_in_people_stay_on_this_server(given: str, goes: str) -> None:
    assert local(given) == goes


def test_groups_are_read_as_providers_write_them() -> None:
    assert groups_of(["a b", 7, "c"]) == ["a b", "c"]
    assert groups_of("a, b c") == ["a", "b", "c"]
    assert groups_of(None) == groups_of({"a": 1}) == []
