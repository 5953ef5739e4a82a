"""index.html: self-contained, accessible, and inert whatever the cluster holds."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from evidence.report.document import evidence_json
from evidence.report.html import page
from evidence.report.presentation import SCREEN, data_files
from evidence.report.view import ReportView
from evidence.report.view.model import FindingState, KindView
from tests.report.builders import finding, poisoned, view
from tests.report.reading import Page, parsed

HOSTILE = "</code></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=x {{ 7*7 }}{% raw %}<!--\u202e]]>&lt;"


def rendered(report: ReportView) -> Page:
    evidence = evidence_json(report)
    return parsed(page(report, evidence, data_files({"evidence.json": evidence})))


def structure(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.tag, tuple(one.attributes)) for one in page.elements]


def test_the_page_carries_evidence_json_byte_for_byte(pack: Mapping[str, bytes]) -> None:
    page = parsed(pack["index.html"])

    assert page.texts["evidence"].encode() == pack["evidence.json"]
    (root,) = page.named("html")
    assert root.attributes["data-evidence"] == hashlib.sha256(pack["evidence.json"]).hexdigest()
    for digest, body in json.loads(page.texts["objects"]).items():
        assert hashlib.sha256(body.encode()).hexdigest() == digest


def test_its_policy_allows_its_own_style_and_script_and_nothing_else(pack: Mapping[str, bytes]) -> None:
    page = parsed(pack["index.html"])
    (policy,) = [one.attributes["content"] for one in page.named("meta") if "http-equiv" in one.attributes]

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    assert dict(part.strip().split(" ", 1) for part in policy.split(";")) == {
        "default-src": "'none'",
        "style-src": source(page.texts["style"]),
        "script-src": source(page.texts["script"]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [
        one for one in page.elements if any(name == "style" or name.startswith("on") for name in one.attributes)
    ]


def test_it_asks_for_no_other_file(pack: Mapping[str, bytes]) -> None:
    page = parsed(pack["index.html"])

    assert not [one.tag for one in page.elements if {"src", "srcset", "data", "action", "poster"} & set(one.attributes)]
    assert not page.named("link")
    assert not page.named("iframe")
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\(|eval\(|innerHTML", page.texts["script"])


def test_every_link_leads_to_a_place_in_the_page_or_a_file_of_the_pack(pack: Mapping[str, bytes]) -> None:
    page = parsed(pack["index.html"])

    assert len(page.ids) == len(set(page.ids))
    for link in (one.attributes["href"] for one in page.named("a")):
        assert link[1:] in page.ids if link.startswith("#") else link in pack, link


def test_it_can_be_read_without_eyes_or_mouse(pack: Mapping[str, bytes]) -> None:
    page = parsed(pack["index.html"])

    assert [one.attributes["lang"] for one in page.named("html")] == ["en"]
    assert page.texts["title"]
    assert len(page.named("main")) == len(page.named("h1")) == 1
    assert all(one.attributes.get("scope") in ("col", "row") for one in page.named("th"))
    assert len(page.named("caption")) == len(page.named("table")) > 10
    assert all(one.attributes.get("role") == "img" for one in page.named("svg"))
    labelled = {one.attributes.get("for") for one in page.named("label")}
    assert all(one.attributes["type"] == "checkbox" or one.attributes["id"] in labelled for one in page.named("input"))
    for one in page.elements:
        for name in filter(None, one.attributes.get("aria-labelledby", "").split()):
            assert name in page.ids, name


def test_headings_never_skip_a_level(pack: Mapping[str, bytes]) -> None:
    levels = [int(one.tag[1]) for one in parsed(pack["index.html"]).elements if re.fullmatch("h[1-6]", one.tag)]

    main = levels[levels.index(1) :]
    assert all(after <= before + 1 for before, after in pairwise(main))


def test_hostile_text_never_changes_the_markup() -> None:
    clean, hostile = rendered(view()), rendered(poisoned(view(), HOSTILE))

    assert structure(hostile) == structure(clean)
    assert hostile.texts["script"] == clean.texts["script"]


def test_hostile_text_is_shown_as_it_is_and_what_cannot_be_seen_is_spelled_out() -> None:
    hostile = poisoned(view(), HOSTILE)
    evidence = evidence_json(hostile)
    text = page(hostile, evidence, data_files({"evidence.json": evidence})).decode()

    assert "{{ 7*7 }}{% raw %}" in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text


def test_the_cover_says_who_told_which_cluster_it_is() -> None:
    def cover(method: str) -> str:
        report = view()
        newest = replace(report.population.snapshots[-1], method=method)
        report = replace(report, population=replace(report.population, snapshots=(newest,)))
        evidence = evidence_json(report)
        return page(report, evidence, data_files({"evidence.json": evidence})).decode()

    assert "(UID of namespace kube-system, as the API server gave it)" in cover("api")
    assert "(UID of namespace kube-system, as the dump claims)" in cover("files")


def test_kinds_that_were_passed_over_stand_apart_from_what_was_looked_at() -> None:
    report = view()
    secrets = KindView("Secret", "", "none", "not kept", 3, "", "it may hold secrets")
    report = replace(report, population=replace(report.population, kinds=(*report.population.kinds, secrets)))
    evidence = evidence_json(report)
    text = " ".join(page(report, evidence, data_files({"evidence.json": evidence})).decode().split())

    assert "passed over (1 kind; it may hold secrets): 3 × Secret.</p>" in text
    assert '<th scope="row">Secret</th>' not in text


def words(report: ReportView) -> str:
    """The page's markup with single spaces."""
    evidence = evidence_json(report)
    return " ".join(page(report, evidence, data_files({"evidence.json": evidence})).decode().split())


def test_the_summary_says_how_much_of_the_period_nobody_looked_at() -> None:
    report = view()
    coverage = replace(report.population.coverage, share=0.022)
    assert (
        "Snapshots cover 2.2 % of the period: nothing is known of 1 gap, and each supported control says so."
        in words(replace(report, population=replace(report.population, coverage=coverage)))
    )
    whole = replace(report.population, coverage=replace(coverage, share=1.0, gaps=()))
    assert "nothing is known of" not in words(replace(report, population=whole))


def test_kinds_of_which_the_files_say_nothing_are_counted_beside_what_was_refused() -> None:
    report = view()
    silent = [KindView(name, "", "every one in the files", "not in source", 0, "", "") for name in ("Service", "Node")]
    sentence = "say nothing of 2 kinds, listed below. Whether the cluster has any of them is not known."
    assert sentence in words(replace(report, population=replace(report.population, kinds=tuple(silent))))
    assert "Files can hold back" not in words(replace(report, population=replace(report.population, kinds=())))


def test_a_long_list_says_how_many_are_shown_and_where_the_rest_is() -> None:
    many = [finding(f"{number:016x}", state=FindingState.CLOSED) for number in range(SCREEN.rows + 5)]
    report = view(findings=many)
    evidence = evidence_json(report)

    text = page(report, evidence, data_files({"evidence.json": evidence})).decode()

    assert (
        f"{SCREEN.rows} of {SCREEN.rows + 5} findings are printed here; all rows are in <code>data/findings.csv</code>"
        in text
    )
