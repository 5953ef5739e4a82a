"""A pack as the report really renders it: sealed, verified, and the signed PDF still PDF/A-3a and PDF/UA-1."""

import io
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pikepdf
import pytest

from evidence.report.pack import pack_files
from evidence.seal import pades
from evidence.seal.keys import Signer
from evidence.seal.trust import Trust
from evidence.seal.verify import Outcome, verify
from tests.report.builders import view
from tests.seal.builders import LATER, SIGNED_AT, certificate, new_key, sealed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rendered() -> Mapping[str, bytes]:
    return pack_files(view())


def test_rendered_report_seals_and_verifies(rendered: Mapping[str, bytes], signer: Signer) -> None:
    pack = sealed(signer, rendered)
    answer = verify(pack, Trust(fingerprints=frozenset({signer.fingerprint})), LATER)
    assert [check for check in answer.checks if check.outcome is Outcome.FAILED] == []
    assert answer.good


def test_signature_stays_in_the_tag_tree(rendered: Mapping[str, bytes], signer: Signer) -> None:
    pdf = pikepdf.open(io.BytesIO(pades.sign(rendered["report.pdf"], signer, SIGNED_AT)))
    (field,) = pdf.Root.AcroForm.Fields
    assert pikepdf.Name.Sig == field.FT
    assert field.V.Filter == pikepdf.Name("/Adobe.PPKLite")
    numbers = list(pdf.Root.StructTreeRoot.ParentTree.Nums)
    tag = numbers[numbers.index(field.StructParent) + 1]
    assert pikepdf.Name.Form == tag.S
    assert tag.K[0].Obj.objgen == field.objgen


def test_visible_signature_names_signer_time_and_fingerprint(
    tmp_path: Path, rendered: Mapping[str, bytes], signer: Signer
) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not on this machine")
    (tmp_path / "report.pdf").write_bytes(pades.sign(rendered["report.pdf"], signer, SIGNED_AT))
    words = ["pdftotext", "-f", "1", "-l", "1", str(tmp_path / "report.pdf"), "-"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Digitally signed by Example Ltd" in text
    assert "2026-10-01 06:30:00 UTC, self-signed certificate" in text
    assert signer.fingerprint in text.replace(" ", "").replace("\n", "")


@pytest.mark.real
@pytest.mark.parametrize("flavour", ["3a", "ua1"])
@pytest.mark.parametrize("name", ["Example Ltd", "株式会社 Ünïcode 100%"])
def test_vera_pdf_finds_the_signed_report_conforming(
    tmp_path: Path, rendered: Mapping[str, bytes], flavour: str, name: str
) -> None:
    """Set EVIDENCE_VERAPDF_JAR to a greenfield-apps jar to run this."""
    jar = os.environ.get("EVIDENCE_VERAPDF_JAR", "")
    if not Path(jar).is_file() or shutil.which("java") is None:
        pytest.skip("EVIDENCE_VERAPDF_JAR names no veraPDF jar")
    key = new_key()
    (tmp_path / "report.pdf").write_bytes(
        pades.sign(rendered["report.pdf"], Signer(certificate(name, key), (), key), SIGNED_AT)
    )
    words = ["java", "-cp", jar, "org.verapdf.apps.GreenfieldCliWrapper", "--flavour", flavour, "--format", "text"]
    run = subprocess.run(
        [*words, str(tmp_path / "report.pdf")], capture_output=True, text=True, check=False, timeout=240
    )
    assert run.stdout.startswith("PASS"), run.stdout + run.stderr
