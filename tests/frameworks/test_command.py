"""`evidence controls` as its user sees it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evidence.cli.controls import command
from evidence.errors import UsageError
from evidence.findings.registry import RULES
from tests.frameworks.test_load import MINE


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert result.return_value == 0
    return result.output


def rows(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--format", "json"))


def test_it_lists_frameworks() -> None:
    listed = {row["name"]: row for row in rows()}
    assert set(listed) == {"pci", "hipaa", "fedramp"}
    assert (listed["pci"]["controls"], listed["hipaa"]["decided"]) == (66, 0)
    assert "pci-dss-4.0.1" in run()


def test_it_lists_the_controls_of_one_with_what_decides_them() -> None:
    listed = {row["control"]: row for row in rows("pci")}
    assert "SEG-001" in listed["1.3.1"]["decided_by"]
    assert listed["1.3.1"]["supported_takes"] == "enforced"
    assert listed["1.1.2"]["supported_takes"] == "not assessed here"
    assert listed["2.2.7"]["supported_takes"] == "evidence only"
    assert listed["1.4.4"]["supported_takes"] == "can only be refuted"
    assert listed["12.5.2"]["supported_takes"] == "enforced, and DOC-003, which no check feeds"
    assert "1.3.1" in run("pci")


def test_it_lists_the_controls_of_a_baseline() -> None:
    low = {row["control"] for row in rows("fedramp", "--baseline", "low")}
    assert "SC-7" in low
    assert not {"SC-7(5)", "AC-4"} & low


def test_it_shows_one_control_in_full() -> None:
    shown = rows("pci", "1.3.1")
    assert shown["zones"] == ["cde"]
    assert {"rule", "strength", "marks", "zones", "reason"} == set(shown["findings"][0])
    text = run("pci", "1.3.1")
    assert "ENF-003  direct, seen on the wire: " in text
    assert "TST-003  direct, no check feeds this: " in run("pci", "11.4.5")
    assert "tool cannot show: " in text


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_has_controls_that_it_bears_on(rule: str) -> None:
    assert rows("--rule", rule)


def test_what_a_rule_bears_on_is_told_in_lines_that_fit_a_narrow_window() -> None:
    text = run("--rule", "BYP-001")
    assert (
        "pci 1.3.1  Inbound traffic to the CDE\n    supporting, withholds support: no policy isolates these pods\n"
        in text
    )
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_folder_of_one_s_own_is_listed_too(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    assert "house" in {row["name"] for row in rows("--controls", str(tmp_path))}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gdpr"], "there is no framework 'gdpr'"),
        (["pci", "9.9.9"], "has no control '9.9.9'"),
        (["fedramp", "--baseline", "Middle"], "its baselines: LI-SaaS, Low"),
        (["pci", "--baseline", "Low"], "its baselines: none"),
        (["--rule", "SEG-999"], "there is no finding rule 'SEG-999'"),
    ],
)
def test_what_is_not_there_is_a_usage_error(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(*arguments)
