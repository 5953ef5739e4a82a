"""`evidence verify` and `evidence keys` as their users run them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evidence.cli.main import cli
from evidence.seal import keys
from evidence.seal.keys import Signer
from tests.seal.builders import LATER, SIGNED_AT, listed_again, write

AT = ("--at", LATER.isoformat())


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, keys or trust of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("EVIDENCE_")]:
        monkeypatch.delenv(name)


def evidence(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False, auto_envvar_prefix="EVIDENCE")


@pytest.fixture
def folder(tmp_path: Path, pack: Mapping[str, bytes]) -> Path:
    return write(tmp_path / "pack", pack)


def test_intact_pack_by_a_trusted_signer_exits_0(folder: Path, signer: Signer) -> None:
    result = evidence("verify", folder, "--trust", f"sha256:{signer.fingerprint}", *AT)
    assert result.return_value == 0
    assert "Intact, and signed by Example Ltd, whom you trust." in result.output


def test_intact_pack_by_an_unknown_signer_says_so_shows_the_fingerprint_and_exits_1(
    folder: Path, signer: Signer
) -> None:
    result = evidence("verify", folder, *AT)
    assert result.return_value == 1
    assert "Intact, but not shown to be from whom you think" in result.output
    assert f"  sha256:{signer.fingerprint}\n" in result.output


def test_changed_pack_exits_1_and_names_the_file_in_a_line_of_its_own(folder: Path, signer: Signer) -> None:
    (folder / "data" / "findings.csv").write_text("nothing")
    result = evidence("verify", folder, "--trust", f"sha256:{signer.fingerprint}", *AT)
    assert result.return_value == 1
    assert "failed       files        data/findings.csv was changed\n" in result.output
    assert "Not as it was signed: 1 check failed." in result.output


def test_json_says_the_same(folder: Path, signer: Signer) -> None:
    result = evidence("verify", folder, "--trust", f"sha256:{signer.fingerprint}", "--format", "json", *AT)
    answer = json.loads(result.output)
    assert (answer["good"], answer["intact"], answer["trusted"]) == (True, True, True)
    assert answer["fingerprint"] == signer.fingerprint
    assert {check["outcome"] for check in answer["checks"]} == {"ok", "not checked"}


def test_trust_from_the_environment_and_from_the_settings_file(
    folder: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_VERIFY_TRUST", f"sha256:{'0' * 64} sha256:{signer.fingerprint}")
    assert evidence("verify", folder, *AT).return_value == 0
    monkeypatch.delenv("EVIDENCE_VERIFY_TRUST")
    Path("evidence.toml").write_text(f'[verify]\ntrust = ["sha256:{signer.fingerprint}"]\n')
    assert evidence("verify", folder, *AT).return_value == 0


def test_certificates_in_the_users_own_key_folder_are_trusted(folder: Path, signer: Signer) -> None:
    from evidence.cli.options import key_folder

    key_folder().mkdir(parents=True)
    (key_folder() / "signer.pem").write_bytes(signer.certificates_pem)
    assert evidence("verify", folder, *AT).return_value == 0


def test_hostile_signer_moves_no_cursor(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    from tests.seal.builders import certificate, new_key

    key = new_key()
    hostile = Signer(certificate("\x1b[2J\x1b[1;32mGood\u202e", key), (), key)
    write(tmp_path / "hostile", listed_again({**pack, "signer.pem": hostile.certificates_pem}, hostile))
    output = evidence("verify", tmp_path / "hostile", *AT).output
    assert "\x1b[2J" not in output
    assert "\u202e" not in output


def test_what_is_no_pack_is_an_error_rather_than_a_failed_check(tmp_path: Path) -> None:
    from evidence.errors import SealError

    result = evidence("verify", tmp_path)
    assert isinstance(result.exception, SealError)
    assert result.exception.exit_code == 3


# -- keys -------------------------------------------------------------------------------------------------------------


def test_keys_show_tells_everything_but_the_key(tmp_path: Path) -> None:
    made = keys.load_or_create(tmp_path / "k", "Example Ltd", SIGNED_AT)
    output = evidence("keys", "show", "--keys", tmp_path / "k").output
    for told in (f"sha256:{made.fingerprint}", "CN=Example Ltd", "2036-09-30", str(tmp_path / "k" / keys.KEY_FILE)):
        assert told in output
    assert "PRIVATE" not in output
    shown = json.loads(evidence("keys", "show", "--keys", tmp_path / "k", "--format", "json").output)
    assert shown["fingerprint"] == f"sha256:{made.fingerprint}"


def test_keys_create_makes_one_in_the_users_folder_and_never_replaces_it() -> None:
    from evidence.cli.options import key_folder
    from evidence.errors import SealError

    assert evidence("keys", "create", "--organisation", "Example Ltd").return_value == 0
    first = keys.own_fingerprint(key_folder())
    assert isinstance(evidence("keys", "create").exception, SealError)
    assert keys.own_fingerprint(key_folder()) == first
