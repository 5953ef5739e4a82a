"""`evidence demo`: the real commands on the sample, and the line that verifies what they made."""

import re
import shlex
from pathlib import Path

import pytest

from evidence.cli.demo import MARKER
from tests.cli.run import Ran, evidence


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as own:  # what its user has set for clusters of their own
        own.setenv("EVIDENCE_COLLECT_CONTEXT", "production")
        own.setenv("EVIDENCE_REPORT_REQUIRE_SIGNING", "true")
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
