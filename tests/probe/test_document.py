"""A run in the store is a run read back."""

import json
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime

import jsonschema
import pytest

from evidence.canonical import canonical_json
from evidence.errors import InputError
from evidence.probe import model
from evidence.probe.document import read_run, run_json
from evidence.probe.judge import Expected, judge
from evidence.probe.model import Coverage, Left, ProbeRun, Seen, Share
from evidence.probe.ran import STAND_IN, Ran, SourceRan
from evidence.resources import package_file
from tests.probe.shop import planned, tried


def run() -> ProbeRun:
    probes = [planned(1), planned(2, source="shop/web-1", allowed=True), planned(3, source="other/gone")]
    met = {
        1: tried(Seen.REJECTED, first=Seen.OPEN, at_ms=350, icmp="ICMP type 3 code 13 from 10.0.0.254"),
        2: tried(Seen.OPEN),
    }
    sources = {
        probe.source.name: SourceRan(
            STAND_IN, f"s-{probe.number}", "10.0.0.9", tried={k: v for k, v in met.items() if k == probe.number}
        )
        for probe in probes
    }
    expected = {p.number: Expected(p.allowed, p.egress, p.ingress) for p in probes}
    one = Share(1, 2)
    return ProbeRun(
        id="0a1b2c3d",
        cluster="lab",
        seed=7,
        started_at=datetime(2026, 9, 1, 12, 0, tzinfo=UTC),
        finished_at=datetime(2026, 9, 1, 12, 0, 30, 500, tzinfo=UTC),
        tool_version="0.1.0",
        identity="prober",
        image="localhost/evidence-probe:0.1.0",
        snapshot_root="ab" * 32,
        snapshot_taken_at=datetime(2026, 9, 1, 11, 59, tzinfo=UTC),
        policies="cd" * 32,
        coverage=Coverage(one, one, one, one, one, 1, 2, (Left("classes of pods", 1, "on the host network"),)),
        results=judge(probes, expected, Ran(sources, {}, {"vault/db-1": "10.0.0.2"})),
    )


def test_what_is_written_is_read_back_whole() -> None:
    assert read_run(json.loads(canonical_json(run_json(run()))), "record 1") == run()


def test_the_json_of_a_run_is_as_its_schema_says() -> None:
    schema = json.loads(package_file("probe", "run.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(canonical_json(run_json(run()))), schema)


@pytest.mark.parametrize("name", ["plan", "run"])
def test_a_schema_names_the_fields_of_every_value_with_what_the_code_says_of_it(name: str) -> None:
    schema = json.loads(package_file("probe", f"{name}.schema.json").read_bytes())
    for kind, described in schema["$defs"].items():
        value = getattr(model, kind, None)
        if value is not None and is_dataclass(value):
            assert list(described["properties"]) == [field.name for field in fields(value)], kind
            assert described["description"] == " ".join((value.__doc__ or "").split()), kind
    top = {"plan": model.Plan, "run": model.ProbeRun}[name]
    assert list(schema["properties"]) == ["format", *(field.name for field in fields(top))]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "evidence/probe-run/v2"}, "is no probe run that this version reads"),
        ({"seed": "seven"}, "is not a whole probe run"),
        ({"results": [{}]}, "is not a whole probe run"),
        ({"started_at": "yesterday"}, "is not a whole probe run"),
    ],
)
def test_anything_else_is_refused_with_its_place(change: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=f"^record 1: {reason}"):
        read_run({**run_json(run()), **change}, "record 1")


def test_a_run_counts_its_judgements() -> None:
    assert sum(run().tests.values()) == 3
    assert sum(replace(run(), results=()).tests.values()) == 0
