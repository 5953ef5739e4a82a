"""The signature inside report.pdf: PAdES B-B, certified as final, and the strict reading of it.

The report comes with one empty signature field, visible and tagged (a field added here would be outside the tag tree and break
PDF/UA-1). Signing certifies the document with DocMDP P=1, no changes allowed.

Common viewers accept a file whose visible content was replaced by a later revision, since the signature still covers the first one; some
only hint that "not the total document is signed". Reading here is therefore stricter than the standard: one signature, over every byte
of the file but its own place. A later revision of any kind fails.
"""

import asyncio
import hashlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from evidence.errors import SealError
from evidence.resources import data_folder
from evidence.seal import cms
from evidence.seal.certificates import der, fingerprint
from evidence.seal.keys import Signer

_FONT = ("fonts", "NotoSans-Regular.ttf")
_LONGEST_NAME = 48  # characters of the signer's name in the visible stamp


@dataclass(frozen=True, slots=True)
class SignedPdf:
    """A PDF whose one signature covers every byte. `attachments`: embedded files by name."""

    signature: cms.Signature
    attachments: dict[str, bytes]


# -- signing ----------------------------------------------------------------------------------------------------------


def sign(pdf: bytes, signer: Signer, at: datetime) -> bytes:
    """Fill the PDF's one empty signature field. `at` is the time of signing in it. Raises SealError without such a field."""
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter, enumerate_sig_fields
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=True)
        fields = [name for name, _, _ in enumerate_sig_fields(writer, filled_status=False)]
        if len(fields) != 1:
            raise SealError(f"report.pdf has {len(fields)} empty signature fields; it needs exactly one to be signed")
        metadata = PdfSignatureMetadata(
            field_name=fields[0],
            md_algorithm="sha256",
            subfilter=SigSeedSubFilter.PADES,
            name=signer.name,
            reason="Evidence pack issued",
            certify=True,
            docmdp_permissions=MDPPerm.NO_CHANGES,
        )
        pdf_signer = PdfSigner(metadata, signer=_pyhanko_signer(signer), stamp_style=_stamp(signer, at))
        return asyncio.run(_signed(pdf_signer, writer, at))
    except (PdfError, SigningError) as error:
        raise SealError(f"report.pdf cannot be signed: {error}") from error


async def _signed(pdf_signer: Any, writer: Any, at: datetime) -> bytes:
    """What PdfSigner.async_sign_pdf does for a signature without validation data, at a time that is given instead of the clock's."""
    from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

    session = pdf_signer.init_signing_session(writer, existing_fields_only=True)
    session.system_time = at.astimezone(UTC).replace(microsecond=0)
    reserved = await session.estimate_signature_container_size(None)
    document = session.prepare_tbs_document(None, bytes_reserved=reserved)
    prepared, output = document.digest_tbs_document()
    await document.perform_signature(
        document_digest=prepared.document_digest,
        pdf_cms_signed_attrs=PdfCMSSignedAttributes(signing_time=session.system_time),
    )
    return bytes(output.getvalue())


def _pyhanko_signer(signer: Signer) -> Any:
    from pyhanko.sign.signers import SimpleSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple([_asn1(one) for one in signer.chain])
    secret = signer.private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SimpleSigner(
        signing_cert=_asn1(signer.certificate),
        signing_key=asn1_keys.PrivateKeyInfo.load(secret),
        cert_registry=store,
        embed_roots=True,
    )


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(der(certificate))


def _stamp(signer: Signer, at: datetime) -> Any:
    """What a reader sees in the field: who, when, and the beginning of the fingerprint to compare."""
    from pyhanko.pdf_utils import layout
    from pyhanko.pdf_utils.font.opentype import GlyphAccumulatorFactory
    from pyhanko.pdf_utils.text import TextBoxStyle
    from pyhanko.stamp import TextStampStyle

    font = data_folder("report_templates").joinpath(*_FONT)
    if not font.is_file():
        raise SealError(f"{font}: the font of the signature is missing; install evidence again")
    name = signer.name if len(signer.name) <= _LONGEST_NAME else signer.name[: _LONGEST_NAME - 1] + "…"
    kind = "self-signed certificate" if signer.self_signed else "certificate"
    digits = signer.fingerprint
    lines = (
        f"Digitally signed by {name}",
        f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {kind}, SHA-256",
        " ".join(digits[start : start + 4] for start in range(0, 32, 4)),
        " ".join(digits[start : start + 4] for start in range(32, 64, 4)),
    )
    text = _only_known_glyphs("\n".join(lines), font.read_bytes())
    return TextStampStyle(
        stamp_text=text.replace("%", "%%"),
        background=None,
        border_width=0,  # the report draws the frame
        text_box_style=TextBoxStyle(font=GlyphAccumulatorFactory(str(font)), font_size=9, leading=13),
        inner_content_layout=layout.SimpleBoxLayoutRule(
            x_align=layout.AxisAlignment.ALIGN_MIN,
            y_align=layout.AxisAlignment.ALIGN_MID,
            margins=layout.Margins(6, 6, 4, 4),
        ),
    )


def _only_known_glyphs(text: str, font: bytes) -> str:
    """A letter that the font lacks would print as a box and break PDF/A (no .notdef); it becomes "?"."""
    from fontTools.ttLib import TTFont

    known = TTFont(io.BytesIO(font), lazy=True).getBestCmap()
    return "".join(one if one == "\n" or ord(one) in known else "?" for one in text)


# -- reading ----------------------------------------------------------------------------------------------------------


def read(pdf: bytes) -> SignedPdf:
    """The signature and attachments of a PDF. Raises SealError that says what is wrong."""
    import logging

    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader

    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)  # it reports a broken file on standard error as well
    try:
        reader = PdfFileReader(io.BytesIO(pdf), strict=True)
        signatures = reader.embedded_signatures
        if len(signatures) != 1:
            raise SealError(f"it carries {len(signatures)} signatures instead of one")
        signature = signatures[0]
        covered = _covered(pdf, [int(number) for number in signature.byte_range], signature.pkcs7_content)
        checked = cms.read_padded(signature.pkcs7_content)
        if hashlib.sha256(covered).digest() != checked.message_digest:
            raise SealError("its content is not what was signed")
        if reader.xrefs.total_revisions != signature.signed_revision + 1:
            raise SealError("it was edited after signing")
        _check_certified(reader)
        return SignedPdf(checked, _attachments(reader))
    except SealError:
        raise
    except (
        PdfError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        # a parser meets a broken PDF in any of these ways
        raise SealError("it cannot be read as a signed PDF") from error


def _covered(pdf: bytes, byte_range: list[int], contents: bytes) -> bytes:
    """The signed bytes: all of the file but the hexadecimal string of the signature itself. Raises SealError for any other range."""
    if len(byte_range) != 4 or byte_range[0] != 0 or min(byte_range) < 0:
        raise SealError("its signature covers an odd range of bytes")
    _, first, second, length = byte_range
    if second + length < len(pdf):
        raise SealError("it was edited after signing: bytes follow the signed part")
    # In exactly the form that signing writes: a reader skips white space and takes either case, so other bytes could stand here.
    if second + length != len(pdf) or pdf[first:second] != b"<%s>" % contents.hex().upper().encode("ascii"):
        raise SealError("its signature covers an odd range of bytes")
    return pdf[:first] + pdf[second:]


def _check_certified(reader: Any) -> None:
    from pyhanko.sign.fields import MDPPerm
    from pyhanko.sign.validation.pdf_embedded import read_certification_data

    certification = read_certification_data(reader)
    if certification is None or certification.permission != MDPPerm.NO_CHANGES:
        raise SealError("it is not certified as final")


def _attachments(reader: Any) -> dict[str, bytes]:
    """Embedded files by name, from the document's name tree. Raises SealError when a name is there twice."""
    try:
        pending = [reader.root["/Names"]["/EmbeddedFiles"]]
    except KeyError:
        return {}
    found: dict[str, bytes] = {}
    while pending:
        node = pending.pop()
        pending += [kid.get_object() for kid in node.get("/Kids", ())]
        for specification in list(node.get("/Names", ()))[1::2]:
            file = specification.get_object()
            name = str(file["/UF"] if "/UF" in file else file["/F"])
            if name in found:
                raise SealError(f"it carries two attachments named {name!r}")
            found[name] = bytes(file["/EF"]["/F"].data)
    return found


def same_signer(pdf: SignedPdf, certificate: x509.Certificate) -> bool:
    """Whether a PDF was signed with exactly this certificate."""
    return fingerprint(pdf.signature.certificate) == fingerprint(certificate)
