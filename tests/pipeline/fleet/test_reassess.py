"""History evaluated again: the same as in full, whoever did it and however often it was stopped, and what is said otherwise now is named."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from evidence import pipeline, resources
from evidence.errors import StoreError, UsageError
from evidence.frameworks.load import load_frameworks
from evidence.frameworks.model import Verdict
from evidence.pipeline.fleet.folder import SUMMARY, read_unit, unit_path
from evidence.pipeline.fleet.here import Outcome, run_here
from evidence.pipeline.fleet.results import moments_of
from evidence.pipeline.fleet.units import Rulebook, Unit
from evidence.pipeline.judging import Judging
from evidence.store import Store
from tests.cli.run import evidence
from tests.conftest import ROOT
from tests.pipeline.fleet.fleet import DRIFTED, EAST, MONTHS, PLAIN, SINCE, collect, damage, day, files, fleet, reassess
from tests.pipeline.periods import assessed_one_by_one


def test_each_snapshot_gives_what_assessing_it_in_full_gives(kept: str, whole: Path) -> None:
    framework = load_frameworks()["pci-dss-4.0.1"]
    moments = moments_of([read_unit(unit_path(whole, "east", f"2027-0{month}")) for month in (1, 2, 3)])
    with Store.open(kept, read_only=True) as store:
        assessed = list(assessed_one_by_one(store, "east", (SINCE, day(4, 1))))
    assert len(assessed) == len(EAST)
    for one in assessed:
        assert one.state.taken_at
        moment = [moment for moment in moments if moment.taken_at <= one.state.taken_at][-1]
        judged = Judging(framework, None, assessed[-1].state.collection.source).results(one)
        assert set(moment.findings) == {finding.fingerprint for finding in one.assessment.findings}
        assert {name: (found.verdict, found.strength) for name, found in moment.results[framework.id].items()} == {
            found.control_id: (found.verdict, found.strength) for found in judged
        }
    assert len(moments) == 4  # 20 January 07:00 says nothing that 06:00 did not


def test_the_summary_follows_its_schema_and_counts_months(kept: str, tmp_path: Path) -> None:
    found = reassess(kept, tmp_path / "r")
    assert (found.step.total, found.step.before, found.step.done, found.step.failed) == (MONTHS, 0, MONTHS, 0)
    body = json.loads((tmp_path / "r" / SUMMARY).read_bytes())
    schema = json.loads(resources.package_file("pipeline", "reassessment.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(body)
    assert [(each["cluster"], each["snapshots"], each["whole"]) for each in body["clusters"]] == [
        ("east", 5, True),
        ("west", 4, True),
    ]


def backwards(store: Store, rulebook: Rulebook, units: Sequence[Unit]) -> Iterator[Outcome]:
    return run_here(store, rulebook, list(reversed(units)))


def test_the_order_of_the_work_changes_no_byte(kept: str, whole: Path, tmp_path: Path) -> None:
    reassess(kept, tmp_path / "r", engine=backwards)
    assert files(tmp_path / "r") == files(whole)


@pytest.mark.real
def test_a_store_in_postgres_gives_the_bytes_of_one_in_sqlite(postgres_url: str, whole: Path, tmp_path: Path) -> None:
    reassess(fleet(postgres_url), tmp_path / "r")
    assert files(tmp_path / "r") == files(whole)


class Asked:
    """The in-process engine, and which units it was asked for."""

    def __init__(self) -> None:
        self.units: list[str] = []

    def __call__(self, store: Store, rulebook: Rulebook, units: Sequence[Unit]) -> Iterator[Outcome]:
        self.units = [str(unit) for unit in units]
        return run_here(store, rulebook, units)


def test_what_is_done_is_not_done_again(kept: str, tmp_path: Path) -> None:
    reassess(kept, tmp_path / "r")
    before, asked = files(tmp_path / "r"), Asked()
    again = reassess(kept, tmp_path / "r", engine=asked)
    assert (again.step.before, again.step.done, asked.units) == (MONTHS, 0, [])
    assert files(tmp_path / "r") == before


def test_a_month_whose_snapshots_changed_is_done_again_and_no_other(db: str, tmp_path: Path) -> None:
    reassess(db, tmp_path / "r")
    collect(db, "west", [(day(1, 9), DRIFTED)])
    asked = Asked()
    reassess(db, tmp_path / "r", engine=asked)
    assert asked.units == ["west 2027-01"]


def test_another_mapping_or_a_damaged_file_is_done_again(kept: str, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    reassess(kept, folder)
    path = unit_path(folder, "east", "2027-02")
    path.write_bytes(path.read_bytes()[:-9])
    asked = Asked()
    reassess(kept, folder, engine=asked)
    assert asked.units == ["east 2027-02"]
    reassess(kept, folder, engine=asked, controls_folders=[stricter(tmp_path)])
    assert len(asked.units) == MONTHS


def stricter(tmp_path: Path) -> Path:
    """A folder in which control 1.2.2, on which nothing decides as shipped, is refuted by NET-003."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own.yaml").write_text(
        "overrides: pci-dss-4.0.1\n"
        "controls:\n"
        '  - id: "1.2.2"\n'
        "    zones: []\n"
        "    support: {never: our standard says so}\n"
        "    findings: [{rule: NET-003, strength: direct, reason: our standard asks for it}]\n"
    )
    return folder


def test_a_changed_mapping_is_named_by_control_beside_an_earlier_reassessment(
    kept: str, whole: Path, tmp_path: Path
) -> None:
    found = reassess(kept, tmp_path / "r", against=whole, controls_folders=[stricter(tmp_path)])
    for cluster in found.clusters:
        (comparison,) = cluster.comparisons
        assert [change.control for change in comparison.controls] == ["1.2.2"]
        (change,) = comparison.controls
        assert change.before is not None
        assert change.now is not None
        assert (change.before[0], change.now[0]) == (Verdict.NOT_DETERMINED, Verdict.REFUTED)
        assert set(change.rules) == {"NET-003"}
        assert comparison.findings == ()


def test_findings_that_only_one_side_has_are_new_or_gone(db: str, whole: Path, tmp_path: Path) -> None:
    collect(db, "west", [(day(1, 9), DRIFTED)])
    collect(db, "east", [(day(3, 2), DRIFTED)])
    found = reassess(db, tmp_path / "r", against=whole, until=day(2, 1))
    east, west = found.clusters
    assert (east.comparisons[0].findings, east.comparisons[0].remarks) == ((), ())
    (beside,) = west.comparisons
    assert {"SEG-001", "CHG-004"} <= {rule.rule for rule in beside.findings if rule.new}
    assert beside.remarks == ("of 1 of its months the earlier reassessment had other snapshots",)
    assert not any(rule.gone for rule in beside.findings)


@pytest.mark.slow
def test_what_packs_said_is_said_again_until_a_mapping_changes(kept: str, tmp_path: Path) -> None:
    db = str(tmp_path / "evidence.db")
    collect(db, "east", EAST)
    pipeline.make_reports(
        db,
        cluster="east",
        frameworks=["pci"],
        period=(day(1, 1, 0), day(3, 1, 0)),
        archive=tmp_path / "archive",
        signing=pipeline.Signing(None, None, pipeline.Keeping(tmp_path / "keys")),
        generated_at=day(3, 2),
        expect_every=timedelta(days=20),
    )
    (cluster,) = reassess(db, tmp_path / "r", against=tmp_path / "archive").clusters
    (comparison,) = cluster.comparisons
    assert (comparison.controls, comparison.findings, comparison.remarks) == ((), (), ())
    assert comparison.compared > 60
    (cluster,) = reassess(
        db, tmp_path / "r", against=tmp_path / "archive", controls_folders=[stricter(tmp_path)]
    ).clusters
    assert [change.control for change in cluster.comparisons[0].controls] == ["1.2.2"]
    (pack,) = [path for path in (tmp_path / "archive").iterdir() if path.is_dir()]
    shorter = reassess(db, tmp_path / "r", against=pack, until=day(2, 25))
    ((name, why),) = shorter.left_out
    assert name == pack.name
    assert re.fullmatch(r"its period ends after --until: give 20[0-9-]{8}T00:00Z, or a later time", why)
    (pack / "evidence.json").write_bytes((pack / "evidence.json").read_bytes().replace(b"refuted", b"refutes"))
    changed = reassess(db, tmp_path / "r", against=tmp_path / "archive")
    assert changed.left_out == ((pack.name, "its evidence.json is not the file that its manifest.json names"),)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.pipeline.fleet.fleet import reassess

def at(step):
    if step.done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
reassess(sys.argv[1], Path(sys.argv[2]), progress=at)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(kept: str, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    killed = subprocess.run([sys.executable, "-c", KILLED, kept, str(folder)], cwd=ROOT, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / SUMMARY).exists()
    rest = reassess(kept, folder)
    assert (rest.step.before, rest.step.done) == (2, MONTHS - 2)
    assert files(folder) == files(whole)


def test_a_month_that_cannot_be_read_is_named_and_stops_no_other(db: str, tmp_path: Path) -> None:
    damage(db)
    found = reassess(db, tmp_path / "r")
    assert [str(unit) for unit, _ in found.failures] == ["east 2027-02", "west 2027-02"]
    assert all("NetworkPolicy payments/debug-allow does not match its digest" in why for _, why in found.failures)
    assert found.step.done == MONTHS - 2
    assert [(each.whole, each.results) for each in found.clusters] == [(False, {})] * 2  # with a hole nothing is said
    body = json.loads((tmp_path / "r" / SUMMARY).read_bytes())
    assert [(each["cluster"], each["month"]) for each in body["failed"]] == [("east", "2027-02"), ("west", "2027-02")]
    ran = evidence("reassess", "--db", db, "--since", "2027-01-01", "--to", tmp_path / "r", "--framework", "pci",
                   "--expect-every", "31d")  # fmt: skip
    assert ran.code == 3
    assert "3 done before, 0 now, 2 failed" in ran.out
    assert "  west 2027-02: snapshot" in ran.out


def test_a_store_that_goes_away_stops_the_run(db: str, tmp_path: Path) -> None:
    def then(step: object) -> None:
        Path(db).write_bytes(b"no database any more" * 400)
        for name in ("evidence.db-wal", "evidence.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)

    with pytest.raises(StoreError):
        reassess(db, tmp_path / "r", progress=then)


def test_the_command_says_what_it_did_and_what_changed(kept: str, whole: Path, tmp_path: Path) -> None:
    arguments = ("reassess", "--db", kept, "--since", "2027-01-01", "--to", tmp_path / "r", "--framework", "pci",
                 "--expect-every", "31d", "--cluster", "west", "--against", whole, "--controls", stricter(tmp_path))  # fmt: skip
    ran = evidence(*arguments)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == (
        "1 cluster, 2027-01-01 00:00 to 2027-02-05 06:00 UTC: 2 months of clusters, 0 done before, 2 now, 0 failed"
    )
    assert "  beside the earlier reassessment, pci: 1 of 66 controls changed" in lines
    assert any(line.startswith("  pci: ") for line in lines)
    assert any(line.startswith("    1.2.2: not determined -> refuted, by NET-003 (") for line in lines)
    assert "reassess: 2 of 2 months of clusters (100 %)" in ran.err
    as_json = evidence(*arguments, "--format", "json")
    assert as_json.out.encode() == (tmp_path / "r" / SUMMARY).read_bytes() + b"\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--cluster", "north"), "there is no cluster 'north' in the store: give --cluster, any of east, west"),
        (("--engine", "dask"), "--engine dask and --scheduler ADDRESS go together"),
        (("--against", "nowhere"), "--against nowhere: there is no such folder"),
        (("--since", "2028-01-01"), "nothing was collected since 2028-01-01 00:00 UTC"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    kept: str, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ran = evidence("reassess", "--db", kept, "--since", "2027-01-01", "--to", tmp_path / "r", *arguments)
    assert ran.code == 2
    assert sentence in ran.err


def test_a_folder_with_something_else_in_it_is_left_alone(kept: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("an archive", encoding="utf-8")
    with pytest.raises(UsageError, match="holds something else than a reassessment"):
        reassess(kept, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_folder_is_not_compared_with_itself(kept: str, whole: Path) -> None:
    with pytest.raises(UsageError, match="are the same folder"):
        reassess(kept, whole, against=whole)


def test_another_store_is_not_taken_for_the_one_that_was_planned(kept: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    collect(other, "east", [(day(1, 2), PLAIN)])

    def elsewhere(_: Store, rulebook: Rulebook, units: Sequence[Unit]) -> Iterator[Outcome]:
        with Store.open(other, read_only=True) as store:
            yield from run_here(store, rulebook, units)

    found = reassess(kept, tmp_path / "r", clusters=("east",), engine=elsewhere)
    assert len(found.failures) == 3
    assert all("does not hold the snapshots of east" in why for _, why in found.failures)
