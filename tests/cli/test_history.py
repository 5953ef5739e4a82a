"""`evidence history`: the sample cluster's quarter."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from evidence import resources
from evidence.sample import intent_path, sample_dumps
from tests.cli.run import evidence

QUARTER = "2026-07-01..2026-08-31"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "evidence.db"
    for dump in sample_dumps()[1:4]:
        taken = dump.taken_at.isoformat()
        ran = evidence("collect", "--from", dump.path, "--cluster", "shop", "--taken-at", taken, "--intent", intent_path(),
                       "--db", path)  # fmt: skip
        assert ran.code == 0, ran.err
    return path


def test_json_follows_its_schema_and_tells_changes_findings_and_gaps(store: Path) -> None:
    ran = evidence("history", "--db", store, "--period", QUARTER, "--expect-every", "17d", "--format", "json")
    assert ran.code == 0, ran.err
    body = json.loads(ran.out)
    schema = json.loads(resources.package_file("pipeline", "history.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(body)
    assert (body["snapshots"], body["states_evaluated"], body["assessments_kept"]) == (3, 3, 0)
    first, _, drift = body["changes"]
    assert (first["first"], first["opened"], first["policies"]["added"]) == (True, [], 0)
    assert drift["objects"] == {"added": 2, "removed": 0, "changed": 0}
    assert drift["policies"] == {"added": 1, "removed": 0, "changed": 0}
    assert {"SEG-001", "CHG-004"} <= {finding["rule"] for finding in drift["opened"]}
    assert body["coverage"]["longest_gap"] == {
        "start": "2026-08-18T06:00:00+00:00",
        "end": "2026-08-20T06:00:00+00:00",
        "seconds": 172800.0,
    }
    opened = next(found for found in body["findings"] if found["subject"] == "ZonePair batch -> card-data")
    assert (opened["state"], opened["open_seconds"]) == ("open", 0.0)
    assert opened["spells"][0]["opened_at"] == "2026-08-20T06:00:00+00:00"
    closed = next(found for found in body["findings"] if found["state"] == "closed")
    assert closed["open_seconds"] == 17 * 86400


def test_the_table_says_the_same(store: Path) -> None:
    ran = evidence("history", "--db", store, "--period", QUARTER)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "shop, 2026-07-01 00:00 to 2026-09-01 00:00 UTC: 3 snapshots, 3 states evaluated"
    assert "2026-08-20 06:00  snapshot 3, time as claimed: objects +2 -0 ~0, policies +1 -0 ~0" in lines
    assert "2026-08-20 06:00  opened: critical SEG-001 ZonePair batch -> card-data" in lines
    assert "2026-07-16 06:00  gap of 16 d, until 2026-08-01 06:00" in lines
    times = [line[:16] for line in lines if line.startswith("2026-")]
    assert times == sorted(times)


def test_findings_of_the_same_name_are_counted_on_one_line(store: Path) -> None:
    lines = evidence("history", "--db", store, "--period", QUARTER).out.splitlines()
    told = [line for line in lines if re.match(r"2026-\S+ \S+  (opened|closed): ", line)]
    assert len(told) == len(set(told))
    numbers = [int(found[1]) if (found := re.search(r"\((\d+) findings\)$", line)) else 1 for line in told]
    body = json.loads(evidence("history", "--db", store, "--period", QUARTER, "--format", "json").out)
    assert sum(numbers) == sum(len(turn["opened"]) + len(turn["closed"]) for turn in body["changes"])
    assert max(numbers) > 1


def test_controls_are_told_at_the_start_at_their_worst_and_at_the_end(store: Path) -> None:
    asked = ("history", "--db", store, "--period", QUARTER, "--expect-every", "17d", "--framework", "pci")
    body = json.loads(evidence(*asked, "--format", "json").out)
    schema = json.loads(resources.package_file("pipeline", "history.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(body)
    ((segmented,),) = [
        [control for control in framework["controls"] if control["id"] == "1.3.1"] for framework in body["frameworks"]
    ]
    assert (segmented["at_start"], segmented["at_worst"], segmented["at_end"]) == ("supported", "refuted", "refuted")
    assert (segmented["verdict"], segmented["worst_seconds"]) == ("refuted", 0)
    assert [stretch["verdict"] for stretch in segmented["stretches"]] == ["supported", "refuted"]
    lines = evidence(*asked).out.splitlines()
    assert (
        "1.3.1     refuted         supported       refuted         refuted in the last snapshot, 2026-08-20 06:00"
        in lines
    )
    assert "1.2.5     refuted         refuted         refuted         refuted throughout" in lines


def test_what_was_assessed_once_is_taken_from_the_store_unless_it_is_asked_afresh(store: Path, tmp_path: Path) -> None:
    db = tmp_path / "evidence.db"
    db.write_bytes(store.read_bytes())
    ran = evidence("db", "assess", "--db", db)
    assert ran.out.splitlines() == ["shop: 3 snapshots, 3 states evaluated, 3 assessments kept"], ran.err
    ran = evidence("db", "assess", "--db", db, "--since", "2026-08-20")
    assert ran.out.splitlines() == ["shop: 2 snapshots, 0 states evaluated, 0 assessments kept"], ran.err  # of August
    kept, afresh = (
        evidence("history", "--db", db, "--period", QUARTER, *flag).out.splitlines() for flag in ((), ("--afresh",))
    )
    assert kept[0].endswith("3 snapshots, 0 states evaluated, 3 kept assessments")
    assert afresh[0].endswith("3 snapshots, 3 states evaluated")
    assert kept[1:] == afresh[1:]


def test_a_collection_may_assess_what_it_stored(store: Path, tmp_path: Path) -> None:
    db = tmp_path / "evidence.db"
    asked = ("collect", "--from", sample_dumps()[1].path, "--cluster", "shop", "--db", db)
    ran = evidence(*asked, "--assess")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "1 assessment kept"), ran.err
    assert "1 snapshot, 0 states evaluated, 1 kept assessment" in evidence("history", "--db", db).out
    refused = evidence("collect", "--watch", "--assess", "--db", db)
    assert (refused.code, "--assess is for single snapshots" in refused.err) == (2, True)


def test_an_unknown_framework_is_named(store: Path) -> None:
    ran = evidence("history", "--db", store, "--framework", "soc")
    assert (ran.code, "there is no framework 'soc': choose among" in ran.err) == (2, True)


def test_a_period_without_snapshots_is_one_sentence(store: Path) -> None:
    ran = evidence("history", "--db", store, "--period", "2020-01-01..2020-02-01")
    assert (ran.code, "there is no snapshot of shop between 2020-01-01 00:00" in ran.err) == (2, True)
