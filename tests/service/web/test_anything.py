"""Whatever is asked, the answer is a value or a sentence: never a fault of the server's own."""

import json
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from evidence.service.web import openapi
from evidence.service.web.access import NoAuthentication
from evidence.service.web.app import Door, build
from evidence.service.web.asked import Kind
from evidence.service.web.site import Site
from evidence.service.web.views import VIEWS, View
from tests.service.web.conftest import FOLDER, HOSTILE, NAME, SHOP

WORDS = st.sampled_from(
    [
        "sample-shop", HOSTILE, NAME, f"namespace:{NAME}", "zone:shop", "shop", "card-data", "payments/card-vault", "zone:", "/", "a/b/c",
        "0.0.0.0/0", "::/0", "10.0.0.0/99", "192.0.2.1", "::ffff:10.0.0.1", "fe80::1%eth0", "2026-09-01", "0001-01-01", "9999-12-31", "2026-02-30",
        "2026-09-01T12:00+23:59", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "-1", "0", "1", "80", "65536", "\u0661", "1e3", "NaN",
        "null", "\U0001f512", "\ud7ff", "..", "%00", "'; DROP TABLE snapshots; --", "pci", "all",
    ]
)  # fmt: skip
VALUES = WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def questions(draw: st.DrawFn) -> tuple[View, dict[str, Any], list[tuple[str, str]]]:
    """A view, what stands in its path, and a query that mostly has the right names."""
    view: View = draw(st.sampled_from(VIEWS))
    inside = {
        "snapshot": draw(st.sampled_from(["1", str(SHOP), "3", "99", "2147483648", "99999999999999999999999"])),
        "fingerprint": draw(st.sampled_from(["0" * 16, "x"])),
        "folder": draw(st.sampled_from([FOLDER, "nothing", ".hidden"])),
    }
    names = [each.name for each in view.parameters if not each.in_path] or ["x"]
    choices = {
        each.name: st.sampled_from(each.choices) | VALUES if each.choices else VALUES for each in view.parameters
    }
    numbers = {each.name for each in view.parameters if each.kind is Kind.NUMBER}
    query = []
    for name in draw(st.lists(st.sampled_from(names), max_size=6, unique=draw(st.booleans()))):
        usual = st.integers(0, 70000).map(str) if name in numbers else choices.get(name, VALUES)
        query.append((name, draw(usual | VALUES)))
    return view, inside, query


SOME: dict[str, Any] = {"snapshot": "2", "fingerprint": "x", "folder": "x"}
BY_PATH = {view.path: view for view in VIEWS}


@settings(max_examples=100, deadline=None)
@given(asked=questions())
@example(asked=(BY_PATH["/snapshots/at"], SOME, [("cluster", "sample-shop"), ("at", "0001-01-01T00:00+14:00")]))
@example(
    asked=(BY_PATH["/timeline"], SOME, [("cluster", "sample-shop"), ("first", "0001-01-01"), ("last", "9999-12-31")])
)
@example(
    asked=(BY_PATH["/timeline"], SOME, [("cluster", "sample-shop"), ("first", "0001-01-01"), ("last", "9999-12-30")])
)
@example(asked=(BY_PATH["/snapshots/{snapshot:int}/peers"], SOME, [("name", "::/0"), ("port", "0")]))
def test_any_question_gets_an_answer(site: Site, asked: tuple[View, dict[str, Any], list[tuple[str, str]]]) -> None:
    view, inside, query = asked
    client = TestClient(
        build(site, Door(NoAuthentication(), {"localhost"})), "http://localhost", follow_redirects=False
    )
    where = re.sub(r"\{(\w+)(?::int)?\}", lambda found: inside[found[1]], view.path)
    page = client.get(where, params=query)
    assert page.status_code in (200, 400, 404), page.text
    assert page.headers["content-type"].startswith("text/html")
    api = client.get(openapi.API + where, params=query)
    assert api.status_code in (200, 400, 404), api.text
    assert (list(api.json()) == ["error"]) is (api.status_code != 200)


def test_the_description_names_each_operation_once_and_every_reference_leads_somewhere() -> None:
    document = openapi.document()
    operations = [each["get"]["operationId"] for each in document["paths"].values()]
    assert len(operations) == len(set(operations)) == len(VIEWS)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names == document["components"]["schemas"].keys()
    for path, item in document["paths"].items():
        inside = {each["name"] for each in item["get"]["parameters"] if each["in"] == "path"}
        assert inside == set(re.findall(r"\{(\w+)\}", path))
