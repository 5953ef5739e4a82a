"""Settings: flag, then EVIDENCE_* variable, then evidence.toml, then the default; each by the name of the long option."""

import json
from pathlib import Path

import pytest

from evidence.sample import sample_dumps
from tests.cli.run import Ran, evidence

DUMP = sample_dumps()[0].path


def written(ran: Ran) -> str:
    """Which of the two formats came out."""
    assert ran.code == 0, ran.err
    try:
        json.loads(ran.out)
    except ValueError:
        return "table"
    return "json"


def test_default_holds_when_nothing_is_said() -> None:
    assert written(evidence("cni", "--from", DUMP)) == "table"


def test_file_wins_over_the_default(own_folder: Path) -> None:
    (own_folder / "evidence.toml").write_text('[cni]\nformat = "json"\n')
    assert written(evidence("cni", "--from", DUMP)) == "json"


def test_variable_wins_over_the_file(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_folder / "evidence.toml").write_text('[cni]\nformat = "json"\n')
    monkeypatch.setenv("EVIDENCE_CNI_FORMAT", "table")
    assert written(evidence("cni", "--from", DUMP)) == "table"


def test_flag_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIDENCE_CNI_FORMAT", "table")
    assert written(evidence("cni", "--from", DUMP, "--format", "json")) == "json"


def test_an_option_that_may_be_repeated_takes_one_value_or_a_list(own_folder: Path) -> None:
    for value in (json.dumps(str(DUMP)), json.dumps([str(DUMP)])):
        (own_folder / "evidence.toml").write_text(f"[cni]\nfrom = {value}\n")
        assert evidence("cni").out.startswith("enforced\n")


def test_keys_may_have_dashes_or_underscores(own_folder: Path) -> None:
    for key in ("require-enforced", "require_enforced"):
        (own_folder / "evidence.toml").write_text(f"[cni]\n{key} = true\n")
        (own_folder / "empty.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n")
        assert evidence("cni", "--from", "empty.yaml").code == 1


def test_the_store_is_named_by_flag_then_variable_then_file(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect = ("collect", "--from", DUMP, "--cluster", "shop")
    (own_folder / "evidence.toml").write_text('[collect]\ndb = "from-file.db"\n')
    assert evidence(*collect).code == 0
    monkeypatch.setenv("EVIDENCE_DATABASE_URL", "from-variable.db")
    assert evidence(*collect).code == 0
    assert evidence(*collect, "--db", "from-flag.db").code == 0
    assert {path.name for path in own_folder.glob("*.db")} == {"from-file.db", "from-variable.db", "from-flag.db"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[cni\n", "evidence.toml: not TOML"),
        ('[cni]\nformatt = "json"\n', "[cni] has no setting 'formatt'"),
        ('[cnii]\nformat = "json"\n', "there is no command 'cnii'"),
        ("cni = 3\n", "cni must be a table"),
    ],
)
def test_a_wrong_settings_file_is_one_clear_sentence(own_folder: Path, content: str, said: str) -> None:
    (own_folder / "evidence.toml").write_text(content)
    ran = evidence("cni", "--from", DUMP)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_a_wrong_value_in_the_file_names_the_option(own_folder: Path) -> None:
    (own_folder / "evidence.toml").write_text('[cni]\nformat = "xml"\n')
    ran = evidence("cni", "--from", DUMP)
    assert ran.code == 2
    assert "--format" in ran.err


def test_a_command_below_another_has_its_own_table_and_variables(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "evidence.toml").write_text('[reach.matrix]\nformat = "json"\n')
    assert written(evidence("reach", "matrix", "--from", DUMP)) == "json"
    monkeypatch.setenv("EVIDENCE_REACH_MATRIX_FORMAT", "table")
    assert written(evidence("reach", "matrix", "--from", DUMP)) == "table"
    (own_folder / "evidence.toml").write_text("[reach]\nmatrix = 3\n")
    assert "[reach.matrix]" in evidence("reach", "matrix", "--from", DUMP).err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("cluster = 5", 'cluster must be text in quotes, such as "5", not 5'),
        ("keep-going = 1", "keep-going must be true or false, not 1"),
        ('keep-going = "yes"', "keep-going must be true or false, not 'yes'"),
        ("from = [true]", "from must be text in quotes"),
        ('from = {path = "a"}', "from must be text in quotes"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_says_which_is_meant(
    setting: str, said: str, own_folder: Path
) -> None:
    (own_folder / "evidence.toml").write_text(f"[collect]\n{setting}\n")
    ran = evidence("collect")
    assert ran.code == 2
    assert f"evidence.toml: [collect] {said}" in ran.err


def test_a_number_and_a_date_may_stand_without_quotes(own_folder: Path) -> None:
    (own_folder / "evidence.toml").write_text("[assess]\nat = 2026-07-01\n[reach.paths]\nmax-hops = 2\n")
    assert evidence("assess", "--from", DUMP).code == 0
