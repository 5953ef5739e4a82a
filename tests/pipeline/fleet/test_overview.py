"""All clusters at a glance: which were not looked at lately, what is missing, what is open."""

import json
from datetime import timedelta
from typing import Any

import jsonschema

from evidence import resources
from evidence.frameworks.load import load_frameworks
from evidence.pipeline.browse.clusters import Overview
from evidence.pipeline.fleet.overview import fleet_overview
from evidence.report.document import definitions_of
from tests.cli.run import evidence
from tests.pipeline.fleet.fleet import DRIFTED, collect, damage, day


def overview(db: str, **others: Any) -> Overview:
    return fleet_overview(db, now=day(3, 2), expect_every=timedelta(days=2), **others)


def test_rows_alone_say_when_each_cluster_was_seen_last(kept: str) -> None:
    found = overview(kept)
    assert [(each.name, each.last.taken_at, each.outcome) for each in found.clusters] == [
        ("east", day(3, 1), None),
        ("west", day(2, 5), None),
    ]


def test_each_newest_snapshot_is_assessed_when_asked(kept: str) -> None:
    steps: list[tuple[int, int]] = []
    found = overview(
        kept, frameworks=tuple(load_frameworks().values()), progress=lambda done, total: steps.append((done, total))
    )
    east, west = (each.outcome for each in found.clusters)
    assert east
    assert west
    assert east.open_findings == west.open_findings  # both are as the policies were written
    assert east.open_findings["high"] > 0
    assert {each.framework for each in east.controls} == {"pci", "hipaa", "fedramp"}
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_cluster_whose_snapshot_is_damaged_says_so_and_hides_no_other(db: str) -> None:
    collect(db, "north", [(day(3, 1), DRIFTED)])
    damage(db)
    found = {each.name: each.outcome for each in overview(db, frameworks=()).clusters}
    north, west = found["north"], found["west"]
    assert north
    assert west
    assert "NetworkPolicy payments/debug-allow does not match its digest" in north.problem
    assert west.problem == ""


def test_the_command_lists_the_one_seen_longest_ago_first(kept: str) -> None:
    ran = evidence("clusters", "--db", kept, "--expect-every", "2d")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    named = [line.partition(":")[0] for line in lines[2:] if line and not line.startswith(" ")]
    assert named == ["west", "east"]
    assert lines[0].startswith("2 clusters: ")
    assessed = evidence("clusters", "--db", kept, "--assess")
    assert "assess: 2 of 2 clusters (100 %)" in assessed.err
    assert assessed.out.count("\n  open: ") == 2


def test_json_follows_its_schema_which_follows_the_classes(kept: str) -> None:
    """To renew it: write what is compared here to evidence/pipeline/clusters.schema.json."""
    schema = json.loads(resources.package_file("pipeline", "clusters.schema.json").read_text())
    definitions = definitions_of([Overview], "#/$defs/")
    assert {**definitions.pop("Overview"), "$defs": definitions} == {
        key: value for key, value in schema.items() if key not in ("$schema", "title")
    }
    jsonschema.Draft202012Validator(schema).validate(
        json.loads(evidence("clusters", "--db", kept, "--format", "json").out)
    )
