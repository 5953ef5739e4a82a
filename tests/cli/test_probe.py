"""`evidence probe`: the plan that is printed before anything runs, and what a run says."""

import json
from dataclasses import replace

import jsonschema

from evidence.cli.probe_plan import plan_lines
from evidence.cli.probe_run import exit_code, run_lines
from evidence.probe.model import Judgement
from evidence.probe.plan import plan
from evidence.resources import package_file
from evidence.sample import intent_path, sample_dumps
from tests.cli.run import evidence
from tests.probe.shop import analysed, probed

SAMPLE = ("--from", str(sample_dumps()[-1].path), "--intent", str(intent_path()))


def test_a_plan_begins_with_seed_cost_and_coverage() -> None:
    lines = list(plan_lines(plan(*analysed(), seed=7), most=2))
    assert lines[0] == "seed         7"
    assert lines[1].startswith("cost         ")
    assert "class pairs  9 of 9 (100 %)" in lines
    assert any(line.startswith("not covered  ") for line in lines)
    assert lines[-1].endswith(" more; --format json has all")


def test_a_plan_of_the_sample_is_json_as_its_schema_says_and_the_same_again() -> None:
    first, again = (evidence("probe", "plan", *SAMPLE, "--seed", "3", "--format", "json").out for _ in range(2))
    assert first == again
    schema = json.loads(package_file("probe", "plan.schema.json").read_bytes())
    jsonschema.validate(json.loads(first), schema)


def test_a_target_that_is_none_is_a_usage_error() -> None:
    ran = evidence("probe", "plan", *SAMPLE, "--target", "example.org:443")
    assert ran.code == 2
    assert "'example.org:443' is not a target such as" in ran.err


def test_a_run_tells_a_contradiction_with_both_its_sides() -> None:
    lines = list(run_lines(probed(passes=lambda probe: True)))
    assert "0 not determined (seed 1)" in lines[0]
    start = lines.index("CONTRADICTS  batch/batch-1 → vault/db-1 TCP 5432 (open)")
    computed, seen, controls = lines[start + 1 : start + 4]
    assert computed == (
        "  computed: it is stopped; source not isolated; "
        "destination isolated by NetworkPolicy vault/only-web, which does not allow it"
    )
    assert seen.startswith("  seen: 1 attempt from 10.0.9.1 to ")
    assert controls.startswith("  controls: source: its node reached it from 10.0.9.254; listener: ")


def test_a_run_exits_by_what_it_found() -> None:
    blind = tuple(replace(result, judgement=Judgement.NOT_DETERMINED) for result in probed().results)
    assert [
        exit_code(run) for run in (probed(), probed(passes=lambda probe: True), replace(probed(), results=blind))
    ] == [0, 1, 3]


def test_a_run_says_how_long_new_pods_were_open() -> None:
    assert any(
        line.endswith("denied connections passed for up to 420 ms after the start of a new pod")
        for line in run_lines(probed(late_ms=420))
    )
