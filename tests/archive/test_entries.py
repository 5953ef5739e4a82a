"""What the archive finds in a folder: packs by their manifests, newest first, and everything else with the reason."""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.archive.entries import Broken, read_archive
from evidence.errors import ReportError
from evidence.seal.keys import Signer
from evidence.seal.manifest import MANIFEST, REQUIRED
from evidence.seal.pack import seal
from tests.seal.builders import SIGNED_AT, SUMMARY, report_files, sealed, write


def test_pack_is_listed_with_what_its_manifest_says(tmp_path: Path, signer: Signer) -> None:
    write(tmp_path / "pci", sealed(signer))
    (entry,) = read_archive(tmp_path).entries
    assert (entry.folder, entry.framework_title, entry.cluster) == ("pci", "PCI DSS v4.0.1", "shop")
    assert f"{entry.period_start:%Y-%m-%d} {entry.last_day:%Y-%m-%d}" == "2026-07-01 2026-09-30"
    assert entry.verdicts["not determined"] == 2
    assert entry.open_findings == {"critical": 0, "high": 1, "medium": 4, "low": 0, "info": 0}
    assert entry.fingerprint == signer.fingerprint
    assert not entry.sample


def test_newest_comes_first_and_earlier_issues_of_the_same_report_are_marked(tmp_path: Path, signer: Signer) -> None:
    for name, hours, cluster in (("a", 1, "shop"), ("b", 3, "shop"), ("c", 2, "other")):
        made = seal(report_files(), signer, SIGNED_AT + timedelta(hours=hours), {**SUMMARY, "cluster": cluster})
        write(tmp_path / name, made)
    assert [(entry.folder, entry.superseded) for entry in read_archive(tmp_path).entries] == [
        ("b", False),
        ("c", False),
        ("a", True),
    ]


def test_files_and_packs_being_written_are_left_alone(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path / ".pci.partial-12", pack)
    (tmp_path / "index.html").write_text("the page itself")
    assert read_archive(tmp_path) == read_archive(tmp_path / ".pci.partial-12" / "data" / "objects")


@pytest.mark.parametrize("path", sorted(REQUIRED | {"data/findings.csv"}))
def test_pack_with_a_missing_file_is_broken_and_says_which(
    tmp_path: Path, pack: Mapping[str, bytes], path: str
) -> None:
    write(tmp_path / "pci", pack)
    (tmp_path / "pci" / path).unlink()
    (broken,) = read_archive(tmp_path).broken
    assert path in broken.reason
    assert read_archive(tmp_path).entries == ()


def test_pack_with_a_cut_file_is_broken(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path / "pci", {**pack, "report.pdf": b"%PDF"})
    assert read_archive(tmp_path).broken == (Broken("pci", f"report.pdf is not as large as its {MANIFEST} says"),)


def test_any_other_folder_is_listed_as_broken(tmp_path: Path) -> None:
    (tmp_path / "holiday pictures").mkdir()
    assert read_archive(tmp_path).broken == (Broken("holiday pictures", f"it has no {MANIFEST}"),)


def changes() -> st.SearchStrategy[Any]:
    """Values that a manifest should not have where it has something else."""
    simple = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.floats(allow_nan=False)
    return simple | st.lists(simple, max_size=2) | st.dictionaries(st.text(max_size=5), simple, max_size=2)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_manifest_stops_the_index(tmp_path: Path, pack: Mapping[str, bytes], data: st.DataObject) -> None:
    manifest = json.loads(pack[MANIFEST])
    within = data.draw(st.sampled_from([manifest, manifest["summary"], manifest["signer"], manifest["files"][0]]))
    within[data.draw(st.sampled_from(sorted(within)))] = data.draw(changes())
    write(tmp_path / "pci", {**pack, MANIFEST: json.dumps(manifest).encode()})
    archive = read_archive(tmp_path)
    assert len(archive.entries) + len(archive.broken) == 1


def test_pack_with_a_file_of_no_finite_size_is_broken(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    manifest = json.loads(pack[MANIFEST])
    manifest["files"][0]["size"] = float("inf")
    write(tmp_path / "pci", {**pack, MANIFEST: json.dumps(manifest).encode()})
    (broken,) = read_archive(tmp_path).broken
    assert "does not say what it must" in broken.reason


def test_manifest_that_names_files_elsewhere_reads_none_of_them(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    manifest = json.loads(pack[MANIFEST])
    manifest["files"].append({"path": "../../etc/passwd", "size": 1, "sha256": ""})
    write(tmp_path / "pci", {**pack, MANIFEST: json.dumps(manifest).encode()})
    (broken,) = read_archive(tmp_path).broken
    assert "that no pack may hold" in broken.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_pack_that_may_not_be_read_is_broken(tmp_path: Path, pack: Mapping[str, bytes]) -> None:
    write(tmp_path / "pci", pack)
    (tmp_path / "pci" / MANIFEST).chmod(0)
    (broken,) = read_archive(tmp_path).broken
    assert "Permission denied" in broken.reason


def test_missing_archive_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="the archive cannot be read: No such file"):
        read_archive(tmp_path / "nowhere")
