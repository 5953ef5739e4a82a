"""A folder of one's own adds frameworks and changes mappings; what is wrong in it is said with file, line and field."""

from pathlib import Path
from textwrap import dedent

import pytest

from evidence.errors import InputError
from evidence.frameworks.load import load_frameworks
from evidence.frameworks.model import Control, FeedStrength, Strength
from evidence.intent.model import Classification

MINE = """\
framework: {id: house-rules, short: house, title: House rules, version: "3"}
controls:
  - id: "H-1"
    title: No way in
    summary: Nobody comes in uninvited.
    cadence: always
    zones: [cde]
    support: {strength: computed}
    findings:
      - {rule: NET-001, strength: direct, reason: the door is open}
      - {rule: CHG-001, strength: supporting, reason: something changed, zones: []}
"""


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
    return tmp_path


def control(frameworks: object, framework: str, control_id: str) -> Control:
    assert isinstance(frameworks, dict)
    found: Control = next(one for one in frameworks[framework].controls if one.id == control_id)
    return found


def test_a_file_adds_a_framework(tmp_path: Path) -> None:
    known = load_frameworks([folder(tmp_path, mine=MINE)])
    assert len(known) == 4
    one = control(known, "house-rules", "H-1")
    assert one.needs is Strength.COMPUTED
    first, second = one.feeds
    assert (first.zones, first.has_check) == (frozenset({Classification.CDE}), True)
    assert (second.zones, second.has_check) == (frozenset(), False)


def test_a_file_changes_a_mapping_rule_by_rule_and_its_name_stays_with_the_control(tmp_path: Path) -> None:
    shipped = control(load_frameworks(), "pci-dss-4.0.1", "1.3.1")
    path = folder(
        tmp_path,
        mine="""\
        overrides: pci-dss-4.0.1
        controls:
          - id: "1.3.1"
            support: {strength: observed}
            findings:
              - {rule: SEG-001, strength: supporting, reason: seen elsewhere}
              - {rule: BYP-002, strength: none}
              - {rule: SEG-005, strength: indirect, reason: new}
        """,
    )
    one = control(load_frameworks([path]), "pci-dss-4.0.1", "1.3.1")
    feeds = {feed.rule_id: feed for feed in one.feeds}
    assert one.needs is Strength.OBSERVED
    assert feeds["SEG-001"].strength is FeedStrength.SUPPORTING
    assert "BYP-002" not in feeds
    assert feeds["SEG-005"].strength is FeedStrength.INDIRECT
    assert set(feeds) == {feed.rule_id for feed in shipped.feeds} - {"BYP-002"} | {"SEG-005"}
    assert (one.title, one.summary) == (shipped.title, shipped.summary)
    assert one.changed_by == str(path / "mine.yaml")
    assert control(load_frameworks([path]), "pci-dss-4.0.1", "1.3.2").changed_by == ""


def test_two_files_may_change_the_same_framework_in_the_order_of_their_names(tmp_path: Path) -> None:
    change = 'overrides: house-rules\ncontrols:\n  - {{id: "H-1", title: {}}}\n'
    path = folder(tmp_path, a=MINE, b=change.format("first"), c=change.format("second"))
    assert control(load_frameworks([path]), "house-rules", "H-1").title == "second"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("controls: []", "mine.yaml:1: must have one of the keys framework"),
        ("[1, 2]", "mine.yaml:1: must have one of the keys framework"),
        (MINE.replace("house-rules", "pci-dss-4.0.1"), "write `overrides: pci-dss-4.0.1`"),
        (MINE.replace("short: house", "short: pci"), "'pci' is already the short name of pci-dss-4.0.1"),
        (MINE.replace("NET-001", "NET-901"), "mine.yaml:10: controls[0].findings[0].rule: there is no check NET-901"),
        (MINE.replace("CHG-001", "NET-001"), "NET-001 is mapped twice to H-1"),
        (MINE.replace("[cde]", "[cd]"), "mine.yaml:7: controls[0].zones[0]: 'cd' is not one of"),
        (MINE.replace("direct", "decisive"), "mine.yaml:10: controls[0].findings[0].strength"),
        (MINE.replace("    support: {strength: computed}\n", ""), "mine.yaml:3: controls[0]: control H-1 has direct findings (NET-001)"),
        (MINE.replace("summary", "sumary"), "did you mean 'summary'?"),
        (MINE.replace('"H-1"', "1.1"), "put it in quotes"),
        (MINE + MINE[MINE.index("  - id") :], "'H-1' is given twice, first on line 3"),
        (MINE.replace("zones: [cde]", "baselines: [Low]"), "the framework has no baseline 'Low'"),
        ("overrides: pci-dss\ncontrols: [{id: '1.3.1'}]", "mine.yaml:1: overrides: there is no framework 'pci-dss'; did you mean 'pci-dss-4.0.1'?"),
        ("overrides: pci-dss-4.0.1\ncontrols: [{id: '1.3.9'}]", "mine.yaml:2: controls[0].id: pci-dss-4.0.1 has no control '1.3.9'; did you mean"),
        ("overrides: pci-dss-4.0.1\ncontrols: [{id: '1.3.1', findings: [{rule: X-1, strength: none}]}]", "controls[0].findings[0].rule"),
        ("overrides: pci-dss-4.0.1\ncontrols: [{id: '1.3.1'}, {id: '1.3.1'}]", "'1.3.1' is given twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        load_frameworks([folder(tmp_path, mine=text)])
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: is no folder"):
        load_frameworks([tmp_path / "nowhere"])


# -- retention --------------------------------------------------------------------------------------------------------


def test_frameworks_say_how_long_evidence_is_kept_and_why() -> None:
    kept = {framework.short: framework.retention for framework in load_frameworks().values()}
    assert {name: (one.months, one.at_once_months, one.control) for name, one in kept.items() if one} == {
        "pci": (12, 3, "10.5.1"),
        "hipaa": (72, 0, "164.316(b)(2)(i)"),
        "fedramp": (30, 12, "AU-11"),
    }


def test_a_file_sets_how_long_evidence_is_kept_and_nothing_else(tmp_path: Path) -> None:
    path = folder(
        tmp_path, mine='overrides: fedramp-rev5\nretention: {months: 18, source: "our schedule", at_once_months: 6}\n'
    )
    changed, shipped = load_frameworks([path])["fedramp-rev5"], load_frameworks()["fedramp-rev5"]
    assert changed.retention is not None
    assert (changed.retention.months, changed.retention.control) == (18, "AU-11")
    assert changed.retention.changed_by == str(path / "mine.yaml")
    assert changed.controls == shipped.controls


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ("{months: 0, source: ours}", "mine.yaml:2: retention.months"),
        ("{months: 3, at_once_months: 4, source: ours}", "cannot have more months at once than it keeps"),
        ('{months: 3, at_once_months: 1, source: ours, control: "AU-1l"}', "there is no control 'AU-1l'"),
        ("{months: 3, at_once_months: 1}", "source"),
    ],
)
def test_a_wrong_retention_is_named(tmp_path: Path, retention: str, said: str) -> None:
    with pytest.raises(InputError) as found:
        load_frameworks([folder(tmp_path, mine=f"overrides: fedramp-rev5\nretention: {retention}\n")])
    assert said in str(found.value)


def test_a_framework_without_retention_gets_one_with_its_control(tmp_path: Path) -> None:
    change = "overrides: house-rules\nretention: {months: 5, source: ours}\n"
    with pytest.raises(InputError, match="must name the control that asks for it"):
        load_frameworks([folder(tmp_path, a=MINE, b=change)])
    folder(tmp_path, b=change.replace("months: 5", 'months: 5, control: "H-1"'))
    found = load_frameworks([tmp_path])["house-rules"].retention
    assert found is not None
    assert found.months == 5
