"""evidence.json and its schema."""

import json

import jsonschema
import pytest

from evidence.report.document import evidence_json, evidence_schema, schema_bytes
from evidence.report.templates import template_folder
from tests.report.builders import finding, poisoned, view

HOSTILE = "</script><script>alert(1)</script>&amp;\u202e\u2028"


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(evidence_schema())
    return jsonschema.Draft202012Validator(evidence_schema(), format_checker=jsonschema.FormatChecker())


def test_a_report_is_valid_against_its_schema() -> None:
    validator().validate(json.loads(evidence_json(view())))
    validator().validate(json.loads(evidence_json(view(findings=(), controls=(), zone_flows=None))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("controls", 0, "verdict"), "compliant"),
        (("cover", "period_start"), 4),
        (("findings", 0, "evidence", 0, "digest"), None),
        (("findings", 0, "note"), "an extra field"),
        (("summary",), {}),
    ],
)
def test_the_schema_refuses_what_is_not_a_report(path: tuple[str | int, ...], value: object) -> None:
    document = json.loads(evidence_json(view()))
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    place[last] = value

    assert not validator().is_valid(document)


def test_the_shipped_schema_is_the_one_that_follows_from_the_classes() -> None:
    """To renew it: write `schema_bytes()` to report_templates/evidence.schema.json."""
    assert (template_folder() / "evidence.schema.json").read_bytes() == schema_bytes()


def test_every_definition_of_the_schema_says_what_it_is() -> None:
    objects = {name: one for name, one in evidence_schema()["$defs"].items() if one["type"] == "object"}

    assert objects
    assert [
        name for name, one in objects.items() if len(one["description"]) < 15 or "(" in one["description"][:20]
    ] == []


def test_it_can_stand_inside_a_page_byte_for_byte_whatever_it_holds() -> None:
    written = evidence_json(poisoned(view(), HOSTILE))

    assert written.isascii()
    assert not set(b"<>&") & set(written)
    assert json.loads(written)["cover"]["organisation"].endswith(HOSTILE)


def test_full_rows_and_bodies_are_left_to_files_of_their_own() -> None:
    document = json.loads(evidence_json(view()))

    assert "class_flows" not in document
    assert "body" not in document["policies"][0]


def test_the_same_view_gives_the_same_bytes() -> None:
    assert evidence_json(view()) == evidence_json(view())
    assert evidence_json(view()) != evidence_json(view(findings=[finding(message="another")]))
