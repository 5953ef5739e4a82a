"""Names of files, SHA256SUMS and manifest.json."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import SealError
from evidence.seal.keys import Signer
from evidence.seal.manifest import (
    SIGNATURE,
    SUMS,
    bad_path,
    check_paths,
    clashes,
    pack_id,
    read_manifest,
    read_sums,
    sums,
)
from tests.seal.builders import SUMMARY, report_files, write

part = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}[A-Za-z0-9_]", fullmatch=True)
path = st.lists(part, min_size=1, max_size=3).map("/".join).filter(lambda name: not bad_path(name))
files = st.dictionaries(path, st.binary(max_size=20), min_size=1, max_size=8)


@given(files)
def test_list_reads_back_as_it_was_written(content: Mapping[str, bytes]) -> None:
    assert set(read_sums(sums(content))) == set(content) - {SUMS, SIGNATURE}


def test_sha256sum_reads_the_list(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path, pack)
    subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=tmp_path, check=True, capture_output=True)


@given(path)
def test_names_as_the_report_uses_them_are_fine(name: str) -> None:
    check_paths([name])


@pytest.mark.parametrize(
    "name",
    ["data/objects/NetworkPolicy_shop_allow-web.v1.json", "index.html", "data/a (1).csv", "x/COM10", "console.log"],
)
def test_ordinary_names_are_fine(name: str) -> None:
    assert bad_path(name) == ""


@given(st.text(max_size=30))
def test_whatever_is_allowed_stays_inside_the_pack_and_in_one_line(name: str) -> None:
    if not bad_path(name):
        assert not name.startswith(("/", "-", "."))
        assert ".." not in name.split("/")
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set('\\:*?"<>|')


def test_file_and_folder_of_one_name_clash() -> None:
    assert clashes(["data", "DATA/x"]) == [("data", "DATA/x")]
    assert clashes(["a/b", "a/c"]) == []
    with pytest.raises(SealError, match="some systems take them for one"):
        check_paths(["a.csv", "A.csv"])


def test_name_of_a_pack_follows_from_content_summary_and_signer(signer: Signer, stranger: Signer) -> None:
    one = pack_id(report_files(), signer, SUMMARY)
    assert one == pack_id(dict(reversed(list(report_files().items()))), signer, dict(SUMMARY))
    others = {
        pack_id(report_files(**{"index.html": b"other"}), signer, SUMMARY),
        pack_id(report_files(), stranger, SUMMARY),
        pack_id(report_files(), signer, {**SUMMARY, "cluster": "other"}),
    }
    assert len({one, *others}) == 4


def test_manifest_says_what_the_pack_is(pack: Mapping[str, bytes], signer: Signer) -> None:
    manifest = read_manifest(pack["manifest.json"])
    assert manifest["summary"] == dict(SUMMARY)
    assert manifest["signer"]["sha256"] == signer.fingerprint
    assert [file["path"] for file in manifest["files"]] == sorted(set(pack) - {SUMS, SIGNATURE, "manifest.json"})


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{}", b"[" * 100_000, b'{"format": "evidence-pack/2"}', b"\xff"]
)
def test_other_manifests_are_a_sentence(data: bytes) -> None:
    with pytest.raises(SealError):
        read_manifest(data)


def test_manifest_of_wrong_types_is_a_sentence(pack: Mapping[str, bytes]) -> None:
    whole = json.loads(pack["manifest.json"])
    for key in ("pack_id", "generated_at", "summary", "signer", "files"):
        with pytest.raises(SealError, match=f"{key} is missing or of the wrong type"):
            read_manifest(json.dumps({**whole, key: 7}).encode())
