"""`evidence demo`: the real commands on the sample, and the line that verifies what they made."""

import csv
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from evidence.cli.demo import MARKER
from evidence.seal.logkey import load_or_create_log_key
from tests.cli.run import Ran, evidence


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as own:  # what its user has set for clusters of their own
        own.setenv("EVIDENCE_COLLECT_CONTEXT", "production")
        own.setenv("EVIDENCE_REPORT_REQUIRE_SIGNING", "true")
        own.setenv("XDG_CONFIG_HOME", str(folder.parent))
        load_or_create_log_key(folder.parent / "evidence" / "keys")
        return folder, evidence("demo", "--folder", folder)


@pytest.mark.slow
def test_it_ends_well_and_names_what_to_open(demo: tuple[Path, Ran]) -> None:
    folder, ran = demo
    assert ran.code == 0, ran.said
    named = re.findall(r"\S+/(?:index\.html|report\.pdf)", ran.out.split("Open:")[1])
    assert len(named) == 7
    assert all(Path(path.removeprefix("file://")).is_file() for path in named)
    assert "This is sample data: no real cluster was read." in ran.out
    assert (folder / "evidence.db").is_file()


@pytest.mark.slow
def test_it_runs_the_commands_that_it_prints(demo: tuple[Path, Ran]) -> None:
    names = re.findall(r"^\$ evidence (\w+)", demo[1].out, re.MULTILINE)
    assert names == ["collect"] * 5 + ["report"] + ["verify"] * 3


@pytest.mark.slow
def test_the_last_line_verifies_a_pack(demo: tuple[Path, Ran]) -> None:
    words = shlex.split(demo[1].out.splitlines()[-1])
    assert words[:3] == ["verify", "evidence", "verify"]
    assert evidence(*words[2:]).code == 0
    assert evidence(*words[2 : words.index("--trust")]).code == 1, "the demo's signer is not trusted by anybody else"


@pytest.mark.slow
def test_it_names_the_server_that_shows_what_it_made(demo: tuple[Path, Ran]) -> None:
    folder, ran = demo
    (line,) = re.findall(r"^  browse +(.+)$", ran.out, re.MULTILINE)
    made = ("--db", folder / "evidence.db", "--archive", folder / "archive", "--keys", folder / "keys")
    assert shlex.split(line) == ["evidence", "serve", *map(str, made)]
    assert all(path.exists() for path in made if isinstance(path, Path))


@pytest.mark.slow
def test_its_log_is_signed_by_its_own_key_and_not_by_its_users(demo: tuple[Path, Ran]) -> None:
    ran = evidence("db", "check", "--db", demo[0] / "evidence.db", "--keys", demo[0] / "keys")
    assert (ran.code, ran.err) == (0, ""), ran.out


@pytest.mark.slow
def test_everything_that_it_makes_is_labelled_as_sample_data(demo: tuple[Path, Ran]) -> None:
    archive = demo[0] / "archive"
    assert (archive / "index.html").read_text(encoding="utf-8").count("Sample data") == 3
    packs = sorted(path.parent for path in archive.glob("*/manifest.json"))
    assert len(packs) == 3
    for pack in packs:
        for page in ("index.html", "HOW-TO-VERIFY.txt"):
            assert "SAMPLE DATA" in (pack / page).read_text(encoding="utf-8")
        assert json.loads((pack / "evidence.json").read_bytes())["cover"]["sample"] is True


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_every_page_of_a_printed_report_is_labelled_as_sample_data(demo: tuple[Path, Ran]) -> None:
    for report in (demo[0] / "archive").glob("*/report.pdf"):
        text = subprocess.run(["pdftotext", report, "-"], capture_output=True, text=True, check=True).stdout
        pages = text.split("\f")[:-1]
        assert len(pages) > 5
        assert [number for number, page in enumerate(pages, 1) if "SAMPLE DATA" not in page] == []


@pytest.mark.slow
def test_the_drift_of_the_sample_is_in_the_report_as_found_and_closed(demo: tuple[Path, Ran]) -> None:
    (findings,) = (demo[0] / "archive").glob("pci_*/data/findings.csv")
    with findings.open(encoding="utf-8-sig", newline="") as file:
        crossings = {row["subject"]: row for row in csv.DictReader(file) if row["rule_id"] == "SEG-001"}
    drift = crossings["ZonePair batch -> card-data"]
    assert (drift["severity"], drift["state"]) == ("critical", "closed")
    assert "payments/card-vault" in drift["message"]


@pytest.mark.slow
def test_an_unchanged_snapshot_adds_few_objects(demo: tuple[Path, Ran]) -> None:
    new = [int(number) for number in re.findall(r"(\d+) new", demo[1].out)]
    assert new[0] > 100
    assert 0 < new[1] < 10


def test_it_replaces_an_earlier_demo_and_nothing_else(own_folder: Path) -> None:
    (own_folder / "mine").mkdir()
    (own_folder / "mine" / "thesis.txt").write_text("years of work")
    ran = evidence("demo", "--folder", "mine")
    assert ran.code == 2
    assert "not an earlier demo" in ran.err
    assert (own_folder / "mine" / "thesis.txt").read_text() == "years of work"
    assert not (own_folder / "mine" / MARKER).exists()


@pytest.mark.parametrize("folder", ["occupied", "/proc/nowhere/demo"])
def test_a_folder_that_cannot_be_made_is_named(own_folder: Path, folder: str) -> None:
    (own_folder / "occupied").write_text("a file")
    ran = evidence("demo", "--folder", folder)
    assert ran.code in (2, 3)
    assert folder in ran.err
    assert ran.err.count("\n") == 1
