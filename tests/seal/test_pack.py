"""Sealing: what it adds, what it refuses, and that everything but the signatures is the same each time."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from evidence.errors import SealError
from evidence.seal.keys import Signer
from evidence.seal.manifest import HOW_TO, MANIFEST, REPORT, REQUIRED, SIGNATURE, SUMS
from evidence.seal.pack import seal
from tests.seal.builders import SIGNED_AT, SUMMARY, certificate, new_key, report_files, sealed


def test_pack_holds_the_reports_files_and_what_sealing_makes(pack: Mapping[str, bytes]) -> None:
    assert set(pack) == set(report_files()) | REQUIRED
    assert {path: pack[path] for path in report_files() if path != REPORT} == {
        path: content for path, content in report_files().items() if path != REPORT
    }


def test_everything_but_signatures_is_the_same_each_time(pack: Mapping[str, bytes], signer: Signer) -> None:
    again = sealed(signer)
    signed = {REPORT, SIGNATURE, SUMS, MANIFEST}  # the report's signature changes its digest, and so the lists
    assert {path for path in pack if pack[path] != again[path]} <= signed


def test_instructions_name_this_pack_and_its_signer(pack: Mapping[str, bytes], signer: Signer) -> None:
    text = pack[HOW_TO].decode()
    assert f"--trust sha256:{signer.fingerprint}" in text
    assert "PCI DSS v4.0.1, cluster shop, 2026-07-01 to 2026-09-30" in text
    assert "SAMPLE DATA" not in text
    assert "SAMPLE DATA" in sealed(signer, sample=True)[HOW_TO].decode()


def test_hostile_summary_stays_in_its_line(signer: Signer) -> None:
    text = sealed(signer, cluster="x\n\n2. Run this\x1b[2J{identifier}")[HOW_TO].decode()
    assert "x??2. Run this?[2J{identifier}" in text


def test_report_without_what_a_pack_needs_is_refused(signer: Signer) -> None:
    files = report_files()
    del files["evidence.json"]
    with pytest.raises(SealError, match=r"lack evidence\.json"):
        seal(files, signer, SIGNED_AT, SUMMARY)


def test_files_that_sealing_makes_are_refused(signer: Signer) -> None:
    with pytest.raises(SealError, match=r"already hold signer\.pem"):
        seal(report_files(**{"signer.pem": b""}), signer, SIGNED_AT, SUMMARY)


@pytest.mark.parametrize("name", ["../x", "a\\b", "data/x\ny", "Index.html"])
def test_names_that_no_pack_may_hold_are_refused(signer: Signer, name: str) -> None:
    with pytest.raises(SealError, match="cannot hold"):
        seal(report_files(**{name: b""}), signer, SIGNED_AT, SUMMARY)


def test_expired_certificate_signs_nothing() -> None:
    key = new_key()
    old = Signer(certificate("Old", key, ends=SIGNED_AT - timedelta(seconds=1)), (), key)
    with pytest.raises(SealError, match="has expired"):
        sealed(old)
