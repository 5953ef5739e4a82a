"""report.pdf before it is signed."""

import os
import subprocess
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest

from evidence.errors import ReportError
from evidence.report import pdf
from evidence.report.document import evidence_json
from evidence.report.presentation import data_files
from evidence.report.templates import template_folder
from tests.report.builders import finding, poisoned, view
from tests.report.reading import pdf_info, pdf_text, tool

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e=cmd() 株"


@pytest.fixture(scope="module")
def report(pack: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    path.write_bytes(pack["report.pdf"])
    return path


def test_a_reader_finds_every_chapter_and_page_numbers_in_the_contents(report: Path) -> None:
    text = pdf_text(report)
    cover = text.split("\f")[0]

    for number, title in enumerate(
        ("Summary", "Scope and method", "Population and completeness", "Results by control"), start=1
    ):
        assert title in cover
        assert f"{number}  {title}".replace(" ", "") in text.replace(" ", "")
    for said in (
        "SAMPLE DATA",
        "self-signed",
        "5c5c5c5c",
        "Example Shop a. s.",
        "3f2b1c9e-0000-4000-8000-6d1f0e2a9b77",
        "2026-07-01",
    ):
        assert said in cover


def test_the_summary_is_one_page(report: Path) -> None:
    pages = pdf_text(report).split("\f")

    assert "1 Summary" in " ".join(pages[1].split())
    assert "2 Scope and method" in " ".join(pages[2].split())


def test_metadata_and_dates_are_the_report_s_own(report: Path) -> None:
    info = pdf_info(report)

    assert info["Title"].startswith("PCI DSS 4.0.1: evidence of network segmentation, shop")
    assert info["Tagged"] == "yes"
    assert info["JavaScript"] == "no"
    assert "Oct  2 09:30:00 2026" in info["CreationDate"]


def test_it_carries_evidence_json_as_its_associated_file(pack: Mapping[str, bytes]) -> None:
    with pikepdf.open(BytesIO(pack["report.pdf"])) as document:
        (name,) = document.attachments
        assert name == "evidence.json"
        attached = document.attachments[name]
        assert attached.get_file().read_bytes() == pack["evidence.json"]
        assert str(attached.obj.AFRelationship) == "/Data"
        assert len(document.Root.AF) == 1


def test_it_has_one_empty_visible_signature_field_in_the_tag_tree_of_page_one(pack: Mapping[str, bytes]) -> None:
    with pikepdf.open(BytesIO(pack["report.pdf"])) as document:
        (field,) = document.Root.AcroForm.Fields
        assert (str(field.FT), str(field.T), "/V" in field) == ("/Sig", pdf.SIGNATURE_FIELD, False)
        assert field.objgen in [one.objgen for one in document.pages[0].Annots]
        left, bottom, right, top = (float(edge) for edge in field.Rect)
        assert 0 < left < right < 595.3
        assert 0 < bottom < top < 300
        numbers = list(document.Root.StructTreeRoot.ParentTree.Nums)
        tag = numbers[numbers.index(field.StructParent) + 1]
        assert (str(tag.S), str(tag.K[0].Type)) == ("/Form", "/OBJR")


def test_it_embeds_the_shipped_fonts_and_no_others(report: Path) -> None:
    output = subprocess.run(
        [tool("pdffonts"), str(report)], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    names = {line.split()[0].split("+")[-1] for line in output.splitlines()[2:]}

    assert names
    assert all(name.startswith(("Evidence-Sans", "Evidence-Mono")) for name in names)


def test_hostile_text_is_only_text_and_foreign_letters_are_spelled_out(tmp_path: Path) -> None:
    hostile = poisoned(view(), HOSTILE)
    evidence = evidence_json(hostile)
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf.document(hostile, evidence, data_files({"evidence.json": evidence})))

    text = pdf_text(path)
    joined = "".join(text.split())
    assert "<script>alert(1)</script>{{7*7}}⟨U+202E⟩=cmd()⟨U+682A⟩" in joined
    assert "\u202e" not in text
    assert pdf_info(path)["JavaScript"] == "no"


@pytest.mark.parametrize(
    "address",
    ["https://example.test/a.png", "file:///etc/hostname", "//host/a", "../../etc/hostname", "data:text/css,a{}"],
)
def test_the_renderer_fetches_nothing_but_the_template_folder(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pdf,
        "render",
        lambda *_: (
            f'<html lang="en"><title>x</title><link rel="stylesheet" href="{address}"><img src="{address}" alt="x">'
        ),
    )
    report = view()
    evidence = evidence_json(report)

    fetcher = pdf._fetcher(template_folder())
    with pytest.raises(ValueError, match="is not part of the report"):
        fetcher.fetch(address)
    if ":" in address:  # WeasyPrint itself drops addresses without a base
        with pytest.raises(ReportError, match="asks for"):
            pdf.document(report, evidence, data_files({"evidence.json": evidence}))


def test_a_large_report_stays_short_and_says_where_the_rest_is(tmp_path: Path) -> None:
    many = [finding(f"{number:016x}", subject=f"Workload payments/vault-{number}") for number in range(400)]
    report = view(findings=many)
    evidence = evidence_json(report)
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf.document(report, evidence, data_files({"evidence.json": evidence})))

    assert int(pdf_info(path)["Pages"]) < 24
    assert "20 of 394 findings are printed here" in " ".join(pdf_text(path).split())


@pytest.mark.real
@pytest.mark.parametrize("flavour", ["3a", "ua1"])
def test_vera_pdf_finds_it_conforming(report: Path, flavour: str) -> None:
    """Set EVIDENCE_VERAPDF_JAR to a greenfield-apps jar to run this."""
    jar = os.environ.get("EVIDENCE_VERAPDF_JAR", "")
    if not Path(jar).is_file():
        pytest.skip("EVIDENCE_VERAPDF_JAR names no veraPDF jar")
    command = [
        tool("java"),
        "-cp",
        jar,
        "org.verapdf.apps.GreenfieldCliWrapper",
        "--flavour",
        flavour,
        "--format",
        "text",
        str(report),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert result.stdout.startswith("PASS"), result.stdout + result.stderr
