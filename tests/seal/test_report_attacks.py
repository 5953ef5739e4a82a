"""Edits of the signed PDF after signing, those too that common viewers call valid. Each pack is listed and signed again with the
right key, so that only the check of the report itself can find them."""

# mypy: disable-error-code=no-untyped-call

import io
from collections.abc import Callable, Mapping

import pikepdf
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader

from evidence.errors import SealError
from evidence.seal import pades
from evidence.seal.keys import Signer
from evidence.seal.manifest import REPORT
from evidence.seal.trust import Trust
from evidence.seal.verify import Outcome, verify
from tests.seal.builders import EVIDENCE_JSON, LATER, SIGNED_AT, listed_again, report_pdf


def test_signed_report_is_read_with_its_signer_and_its_attachment(pack: Mapping[str, bytes], signer: Signer) -> None:
    read = pades.read(pack[REPORT])
    assert pades.same_signer(read, signer.certificate)
    assert read.attachments == {"evidence.json": EVIDENCE_JSON}


def later_revision(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """An incremental update: the signed bytes stay, something is appended."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def other_text(pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        text = generic.StreamObject(stream_data=b"BT /F1 20 Tf 60 700 Td (Everything is isolated.) Tj ET")
        page[pdf_name("/Contents")] = writer.add_object(text)
        writer.update_container(page)

    return later_revision(pdf, change)


def other_attachment(pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        specification = writer.root["/Names"]["/EmbeddedFiles"]["/Names"][1]
        embedded = specification["/EF"].raw_get("/F").get_object()
        embedded._data, embedded._encoded_data = b"{}", None
        writer.mark_update(specification["/EF"].raw_get("/F"))

    return later_revision(pdf, change)


def white_annotation(pdf: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        cover = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Annot"),
                pdf_name("/Subtype"): pdf_name("/Square"),
                pdf_name("/Rect"): generic.ArrayObject([generic.NumberObject(n) for n in (50, 690, 400, 720)]),
                pdf_name("/IC"): generic.ArrayObject([generic.NumberObject(1)] * 3),
            }
        )
        page["/Annots"].append(writer.add_object(cover))
        writer.update_container(page["/Annots"])
        writer.update_container(page)

    return later_revision(pdf, change)


def empty_update(pdf: bytes) -> bytes:
    return later_revision(pdf, lambda writer: writer.update_root())


def junk_after_the_end(pdf: bytes) -> bytes:
    return pdf + b"\n% nothing to see here\n"


def one_newline_after_the_end(pdf: bytes) -> bytes:
    return pdf + b"\n"


def saved_again(pdf: bytes) -> bytes:
    out = io.BytesIO()
    pikepdf.open(io.BytesIO(pdf)).save(out)
    return out.getvalue()


def cut_back_to_before_the_signature(pdf: bytes) -> bytes:
    return pdf[: pdf.index(b"%%EOF") + 6]


def one_byte_of_the_content(pdf: bytes) -> bytes:
    position = pdf.index(b"stream\n") + 20
    return pdf[:position] + bytes([pdf[position] ^ 1]) + pdf[position + 1 :]


def never_signed(pdf: bytes) -> bytes:
    return report_pdf()


def something_in_the_gap(pdf: bytes) -> bytes:
    """The zeros that fill the place kept for the signature are not covered by it."""
    end = pdf.rindex(b"00>")
    return pdf[:end] + b"01" + pdf[end + 2 :]


def white_space_in_the_gap(pdf: bytes) -> bytes:
    end = pdf.rindex(b"00>")
    return pdf[:end] + b"  " + pdf[end + 2 :]


def small_letters_in_the_gap(pdf: bytes) -> bytes:
    start = pdf.index(b"/Contents <3") + 10
    return pdf[:start] + pdf[start : start + 400].lower() + pdf[start + 400 :]


ATTACKS = [
    other_text,
    other_attachment,
    white_annotation,
    empty_update,
    junk_after_the_end,
    one_newline_after_the_end,
    saved_again,
    cut_back_to_before_the_signature,
    one_byte_of_the_content,
    never_signed,
    something_in_the_gap,
    white_space_in_the_gap,
    small_letters_in_the_gap,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_report_changed_after_signing_is_named(
    pack: Mapping[str, bytes], signer: Signer, attack: Callable[[bytes], bytes]
) -> None:
    changed = attack(pack[REPORT])
    assert changed != pack[REPORT]
    answer = verify(
        listed_again({**pack, REPORT: changed}, signer), Trust(fingerprints=frozenset({signer.fingerprint})), LATER
    )
    failed = [check for check in answer.checks if check.outcome is Outcome.FAILED]
    assert [(check.name, check.path) for check in failed] == [("report", REPORT)]


def test_the_attacks_really_show_something_else(pack: Mapping[str, bytes]) -> None:
    """Otherwise the tests above would find broken files rather than attacks."""
    shown = PdfFileReader(io.BytesIO(other_text(pack[REPORT]))).root["/Pages"]["/Kids"][0]["/Contents"].data
    assert b"Everything is isolated" in shown
    names = PdfFileReader(io.BytesIO(other_attachment(pack[REPORT]))).root["/Names"]["/EmbeddedFiles"]["/Names"]
    assert names[1]["/EF"]["/F"].data == b"{}"


def test_second_signature_by_somebody_else_is_refused(pack: Mapping[str, bytes], stranger: Signer) -> None:
    from pyhanko.sign.fields import SigFieldSpec, append_signature_field

    writer = IncrementalPdfFileWriter(io.BytesIO(pack[REPORT]))
    append_signature_field(writer, SigFieldSpec("Another"))
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(SealError):
        pades.read(out.getvalue())


def test_report_without_a_place_for_the_signature_cannot_be_signed(signer: Signer, pack: Mapping[str, bytes]) -> None:
    pdf = pikepdf.new()
    pdf.add_blank_page()
    out = io.BytesIO()
    pdf.save(out)
    with pytest.raises(SealError, match="0 empty signature fields"):
        pades.sign(out.getvalue(), signer, SIGNED_AT)
    with pytest.raises(SealError, match="0 empty signature fields"):
        pades.sign(pack[REPORT], signer, SIGNED_AT)  # its only field is filled


def test_what_is_no_pdf_cannot_be_signed(signer: Signer) -> None:
    with pytest.raises(SealError, match="cannot be signed"):
        pades.sign(b"<html>", signer, SIGNED_AT)


def test_signers_name_in_letters_that_the_font_lacks_can_be_printed() -> None:
    from tests.seal.builders import certificate, new_key

    key = new_key()
    foreign = Signer(certificate("株式会社 100% نمونه", key), (), key)
    read = pades.read(pades.sign(report_pdf(), foreign, SIGNED_AT))
    assert pades.same_signer(read, foreign.certificate)
