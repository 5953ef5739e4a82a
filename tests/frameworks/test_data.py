"""Every line of the shipped catalogues is read and held to what the rest of the project knows."""

import re
from collections import Counter

import pytest
import yaml

from evidence.findings.registry import RULES
from evidence.frameworks.listing import framework_rows
from evidence.frameworks.load import load_frameworks, planned_checks, schema
from evidence.frameworks.model import Condition, Control, FeedStrength, Framework, Strength
from evidence.intent.model import Classification
from evidence.resources import data_folder
from tests.conftest import ROOT

FRAMEWORKS = tuple(load_frameworks().values())
CONTROLS = [(framework, control) for framework in FRAMEWORKS for control in framework.controls]
EACH_CONTROL = pytest.mark.parametrize(
    ("framework", "control"), CONTROLS, ids=[f"{framework.short} {control.id}" for framework, control in CONTROLS]
)
ID_FORMS = {
    "pci": r"(A[123]\.)?\d{1,2}(\.\d{1,2}){1,3}",
    "hipaa": r"164\.3\d\d(\([a-z]\)(\(\d\)(\([ivx]+\)(\([A-Z]\))?)?)?)?",
    "fedramp": r"[A-Z]{2}-\d{1,2}(\(\d{1,2}\))?",
}


def test_the_three_frameworks_are_there_with_all_their_controls() -> None:
    assert {framework.short: len(framework.controls) for framework in FRAMEWORKS} == {
        "pci": 66,
        "hipaa": 34,
        "fedramp": 87,
    }


@EACH_CONTROL
def test_a_control_says_what_it_is_and_what_the_tool_shows(framework: Framework, control: Control) -> None:
    assert re.fullmatch(ID_FORMS[framework.short], control.id)
    assert control.summary.endswith(".")
    assert control.cadence
    assert bool(control.tool_can_show) == control.fed, "what no check feeds is not shown, and the other way round"
    assert control.also_needed or control.id == "164.310"
    for text in (control.summary, control.tool_can_show, control.tool_cannot_show, control.notes):
        assert not re.search(r"\b(compliant|in place|passed|certified)\b", text, re.IGNORECASE)


@EACH_CONTROL
def test_a_mapping_names_checks_that_exist_or_are_planned(framework: Framework, control: Control) -> None:
    rules = [feed.rule_id for feed in control.feeds]
    assert max(Counter(rules).values(), default=0) <= 1
    for feed in control.feeds:
        assert feed.has_check == (feed.rule_id in RULES)
        assert feed.has_check or feed.rule_id in planned_checks()
        assert feed.reason
        assert not feed.reason.endswith(".")
        assert not (feed.withholds and feed.strength is not FeedStrength.SUPPORTING)


@EACH_CONTROL
def test_what_is_decided_says_what_support_takes(framework: Framework, control: Control) -> None:
    if any(feed.has_check for feed in control.direct):
        assert (control.needs is None) == bool(control.why_never)
    if control.needs is not None and control.needs is not Strength.DECLARED:
        rules = {feed.rule_id for feed in control.feeds}
        assert rules >= {"ENF-001", "ENF-002", "BYP-001", "BYP-004"} or control.id in ("1.4.2", "AC-4(21)", "SC-7(21)")


@EACH_CONTROL
def test_baselines_are_nested(framework: Framework, control: Control) -> None:
    """What is in Low is in Moderate, what is in Moderate is in High; classes hold the same, less CA-5."""
    for lower, higher in (("LI-SaaS", "Low"), ("Low", "LI-SaaS"), ("Low", "Moderate"), ("Moderate", "High")):
        assert lower not in control.baselines or higher in control.baselines
    for level, letter in (("Low", "Class B"), ("Moderate", "Class C"), ("High", "Class D")):
        assert (level in control.baselines) == (letter in control.baselines) or control.id == "CA-5"


def test_hipaa_gives_evidence_and_decides_nothing_but_retention() -> None:
    hipaa = next(framework for framework in FRAMEWORKS if framework.short == "hipaa")
    assert hipaa.evidence_only
    assert [control.id for control in hipaa.controls if control.direct] == ["164.316(b)(2)(i)"]


def test_a_port_number_alone_never_refutes() -> None:
    decided = [control.id for _, control in CONTROLS for feed in control.direct if feed.rule_id == "PRT-001"]
    assert decided == []


def test_every_rule_bears_on_some_control() -> None:
    mapped = {feed.rule_id for _, control in CONTROLS for feed in control.feeds}
    assert set(RULES) - mapped == set()


def test_every_planned_check_is_named_by_a_mapping_and_has_no_rule() -> None:
    mapped = {feed.rule_id for _, control in CONTROLS for feed in control.feeds}
    assert set(planned_checks()) - mapped == set()
    assert set(planned_checks()) & set(RULES) == set(), "a rule was written: take its id out of planned-checks.yaml"


def test_no_line_of_the_files_is_lost_on_the_way() -> None:
    for framework in FRAMEWORKS:
        raw = yaml.safe_load((data_folder("controls") / f"{framework.id}.yaml").read_text(encoding="utf-8"))
        assert [str(entry["id"]) for entry in raw["controls"]] == [control.id for control in framework.controls]
        assert sum(len(entry.get("findings", ())) for entry in raw["controls"]) == sum(
            len(control.feeds) for control in framework.controls
        )
        assert tuple(raw["not_assessed"]) == framework.not_assessed


@pytest.mark.parametrize("kind", ["framework", "overrides"])
def test_the_schemas_list_what_the_model_knows(kind: str) -> None:
    definitions = schema(kind)["$defs"]
    assert definitions["zone"]["enum"] == [one.value for one in Classification]
    assert definitions["support"]["properties"]["strength"]["enum"] == [one.value for one in Strength]
    assert definitions["control"]["properties"]["only_if"]["items"]["enum"] == [one.value for one in Condition]
    none = ["none"] if kind == "overrides" else []
    strengths = [one.value for one in FeedStrength]
    assert definitions["finding"]["properties"]["strength"]["enum"] == strengths + none


def test_the_page_about_controls_counts_right() -> None:
    page = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    for row in framework_rows(FRAMEWORKS):
        assert f"| `{row['name']}` | {row['controls']} | {row['fed']} | {row['decided']} |" in page


def test_what_withholds_support_for_the_host_network_does_so_for_rights_over_the_node() -> None:
    def withheld(rule: str) -> set[str]:
        return {
            f"{framework.short} {control.id}"
            for framework in load_frameworks().values()
            for control in framework.controls
            for feed in control.feeds
            if feed.rule_id == rule and feed.withholds
        }

    assert withheld("BYP-003") == withheld("BYP-001") > {"pci 1.3.1", "pci 1.4.2", "fedramp AC-4", "fedramp SC-7(5)"}
