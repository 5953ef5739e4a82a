"""Reading folders and zips that somebody may have made with bad intent."""

import io
import os
import socket
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.errors import SealError
from evidence.seal import read
from evidence.seal.keys import Signer
from evidence.seal.read import read_pack
from evidence.seal.trust import Trust
from evidence.seal.verify import Outcome, verify
from tests.seal.builders import LATER, write

Pack = Mapping[str, bytes]


def zipped(path: Path, files: Mapping[str, bytes], top: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(top + name, content)
    return path


def failed(path: Path, signer: Signer) -> list[tuple[str, str]]:
    contents = read_pack(path)
    answer = verify(contents.files, Trust(fingerprints=frozenset({signer.fingerprint})), LATER, contents.problems)
    return [(check.path, check.words) for check in answer.checks if check.outcome is Outcome.FAILED]


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folder_reads_as_the_pack(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    assert read_pack(write(tmp_path, pack)).files == dict(pack)
    assert failed(tmp_path, signer) == []


def test_link_in_place_of_a_file_is_named_though_its_content_is_right(
    tmp_path: Path, pack: Pack, signer: Signer
) -> None:
    write(tmp_path / "pack", pack)
    (tmp_path / "pack" / "data" / "findings.csv").rename(tmp_path / "elsewhere.csv")
    (tmp_path / "pack" / "data" / "findings.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert ("data/findings.csv", "data/findings.csv is a link, not a file") in failed(tmp_path / "pack", signer)


def test_an_empty_folder_is_named_at_any_depth(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    write(tmp_path / "pack", pack)
    (tmp_path / "pack" / "data" / "more" / "hidden").mkdir(parents=True)
    assert failed(tmp_path / "pack", signer) == [
        ("data/more/hidden", "data/more/hidden is a folder without a file, which no pack has")
    ]


def test_an_empty_folder_of_a_zip_is_named_and_those_of_its_files_are_not(
    tmp_path: Path, pack: Pack, signer: Signer
) -> None:
    path = zipped(tmp_path / "pack.zip", {"data/": b"", "more/": b"", **pack})
    assert failed(path, signer) == [("more/", "more/ is a folder without a file, which no pack has")]


def test_linked_folder_is_named_and_not_followed(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    write(tmp_path / "pack", pack)
    (tmp_path / "pack" / "more").symlink_to(tmp_path)
    assert failed(tmp_path / "pack", signer) == [("more", "more is a link, not a file")]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_neither_file_nor_folder_is_named_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack, signer: Signer, kind: str
) -> None:
    monkeypatch.chdir(write(tmp_path, pack))
    if kind == "pipe":
        os.mkfifo("odd")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd")
    assert failed(Path(), signer) == [("odd", "odd is neither a file nor a folder")]


def test_name_that_is_no_text_is_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    write(tmp_path, pack)
    (tmp_path / os.fsdecode(b"bad\xff")).write_bytes(b"")
    assert any("has characters that some systems read differently" in words for _, words in failed(tmp_path, signer))


def test_pack_that_is_too_large_is_not_read_further(
    tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, pack)
    monkeypatch.setattr(read, "MOST_BYTES", 1000)
    with pytest.raises(SealError, match="not read further"):
        read_pack(tmp_path)
    monkeypatch.setattr(read, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(read, "MOST_FILES", 3)
    with pytest.raises(SealError, match="more than 3 files"):
        read_pack(tmp_path)


def test_what_is_no_pack_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for path, words in (
        (tmp_path / "nowhere", "there is no such pack"),
        (tmp_path / "file", "neither a folder nor a zip"),
        (tmp_path, "not an evidence pack"),
        (zipped(tmp_path / "other.zip", {"a": b""}), "not an evidence pack"),
    ):
        with pytest.raises(SealError, match=words):
            read_pack(path)


# -- zips -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["", "pci_shop_2026-07-01_2026-09-30/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_of_the_files_or_of_their_folder(
    tmp_path: Path, pack: Pack, signer: Signer, top: str, compression: int
) -> None:
    assert failed(zipped(tmp_path / "p.zip", pack, top, compression), signer) == []


def test_zip_that_was_written_to_a_stream(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    class Stream(io.RawIOBase):
        """Cannot seek, so that sizes follow the data."""

        def __init__(self) -> None:
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.content += bytes(data)
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pack.items():
            archive.writestr(name, content)
    (tmp_path / "p.zip").write_bytes(stream.content)
    assert failed(tmp_path / "p.zip", signer) == []


@pytest.mark.parametrize("name", ["../../outside", "/etc/cron.d/x", "..\\outside", "C:\\x", "data/./x"])
def test_zip_entry_that_leads_elsewhere_is_named(tmp_path: Path, pack: Pack, signer: Signer, name: str) -> None:
    found = failed(zipped(tmp_path / "p.zip", {**pack, name: b"x"}), signer)
    assert any(path == name and "the name" in words for path, words in found)


def test_zip_entry_twice_is_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    zipped(tmp_path / "p.zip", pack)
    with zipfile.ZipFile(tmp_path / "p.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("index.html", b"Everything is isolated.")
    assert ("index.html", "index.html is in the zip twice") in failed(tmp_path / "p.zip", signer)


def test_zip_entry_that_is_a_link_is_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    zipped(tmp_path / "p.zip", {path: content for path, content in pack.items() if path != "data/findings.csv"})
    link = zipfile.ZipInfo("data/findings.csv")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert ("data/findings.csv", "data/findings.csv is a link, not a file") in failed(tmp_path / "p.zip", signer)


def test_zip_names_that_differ_in_case_alone_are_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    found = failed(zipped(tmp_path / "p.zip", {**pack, "Index.html": b"Everything is isolated."}), signer)
    assert any("are one on some systems" in words for _, words in found)


def test_zip_folder_that_leads_elsewhere_is_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    path = zipped(tmp_path / "p.zip", pack)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside/", b"")
        archive.writestr("data/", b"")
    assert [name for name, _ in failed(path, signer)] == ["../../outside/"]


def test_zip_entry_with_a_second_name_is_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    path = zipped(tmp_path / "p.zip", {name: content for name, content in pack.items() if name != "index.html"})
    entry = zipfile.ZipInfo("index.html")
    entry.extra = b"\x75\x70\x09\x00\x01\0\0\0\0evil"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, pack["index.html"])
    assert any("has a second name" in words for _, words in failed(path, signer))


def before(data: bytes) -> bytes:
    return b"#!/bin/sh\n" + data


def behind(data: bytes) -> bytes:
    return data + b"more"


def with_a_comment(data: bytes) -> bytes:
    return data[:-2] + b"\x04\x00more"


@pytest.mark.parametrize("change", [before, behind, with_a_comment], ids=lambda one: one.__name__)
def test_zip_with_bytes_around_it_is_refused(
    tmp_path: Path, pack: Pack, signer: Signer, change: Callable[[bytes], bytes]
) -> None:
    path = zipped(tmp_path / "p.zip", pack)
    path.write_bytes(change(path.read_bytes()))
    assert any("bytes" in words for _, words in failed(path, signer))


def test_zip_entry_that_its_directory_hides_is_noticed(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    """A program that unpacks as it reads would find the hidden file; one that asks the directory would not."""
    path = zipped(tmp_path / "p.zip", {**pack, "hidden.html": b"x" * 500})
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
        entries = archive.infolist()
    data = path.read_bytes()
    hidden = data.rindex(b"PK\x01\x02")
    shorter = data[:hidden] + data[data.rindex(b"PK\x05\x06") :]
    end = bytearray(shorter[-22:])
    count, size = len(entries) - 1, hidden - start
    end[8:10] = end[10:12] = count.to_bytes(2, "little")
    end[12:16] = size.to_bytes(4, "little")
    path.write_bytes(shorter[:-22] + bytes(end))
    assert "hidden.html" not in zipfile.ZipFile(path).namelist()
    assert any(
        "bytes follow it that the zip's directory does not mention" in words for _, words in failed(path, signer)
    )


def test_zip_bomb_is_not_unpacked_beyond_the_bound(tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MOST_BYTES", 5_000_000)
    path = zipped(tmp_path / "p.zip", {**pack, "data/zeros": bytes(200_000_000)})
    assert path.stat().st_size < 500_000
    with pytest.raises(SealError, match="not read further"):
        read_pack(path)


def test_encrypted_and_oddly_packed_entries_are_named(tmp_path: Path, pack: Pack, signer: Signer) -> None:
    path = zipped(tmp_path / "bzip.zip", pack, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(SealError, match="packed in a way that not every program knows"):
        read_pack(path)
    path = zipped(tmp_path / "locked.zip", pack)
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02") + 8
    path.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    assert any("is encrypted" in words for _, words in failed(path, signer))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_flipped_byte_of_a_zip_is_a_failed_check_or_a_sentence_or_changes_nothing(
    tmp_path: Path, pack: Pack, signer: Signer, position: float, flip: int
) -> None:
    """Times and the like in a zip's headers are no part of the pack."""
    path = zipped(tmp_path / "p.zip", pack)
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= flip
    path.write_bytes(data)
    try:
        found = failed(path, signer)
    except SealError:
        return
    assert found or read_pack(path).files == dict(pack)
