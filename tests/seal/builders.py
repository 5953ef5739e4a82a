"""A small real pack: a one-page PDF with a signature field and an attached evidence.json, a page, a table, one policy."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from evidence.seal import cms, keys
from evidence.seal.certificates import DOCUMENT_SIGNING
from evidence.seal.keys import Signer, SigningKey
from evidence.seal.manifest import MANIFEST, SIGNATURE, SUMS, manifest, sums
from evidence.seal.pack import seal

SIGNED_AT = datetime(2026, 10, 1, 6, 30, tzinfo=UTC)
LATER = SIGNED_AT + timedelta(days=30)
EVIDENCE_JSON = b'{"cluster": "shop", "verdicts": {"supported": 3}}\n'
SUMMARY: Mapping[str, Any] = {
    "framework": "pci-dss-4.0.1",
    "framework_title": "PCI DSS v4.0.1",
    "cluster": "shop",
    "organisation": "Example Ltd",
    "period_start": "2026-07-01T00:00:00+00:00",
    "period_end": "2026-10-01T00:00:00+00:00",
    "generated_at": SIGNED_AT.isoformat(),
    "verdicts": {"supported": 3, "refuted": 1, "not determined": 2},
    "open_findings": {"critical": 0, "high": 1, "medium": 4},
    "sample": False,
}


def report_pdf(text: str = "Nothing here is isolated.", attached: bytes = EVIDENCE_JSON) -> bytes:
    """One page of text with one empty signature field; evidence.json attached."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    pdf.add_blank_page(page_size=(595, 842))
    page = pdf.pages[0]
    page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
    page.Contents = pdf.make_stream(f"BT /F1 20 Tf 60 700 Td ({text}) Tj ET".encode("ascii"))
    field = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot,
            Subtype=pikepdf.Name.Widget,
            FT=pikepdf.Name.Sig,
            T=pikepdf.String("Signature"),
            F=132,
            Rect=pikepdf.Array([60, 500, 400, 580]),
            P=page.obj,
        )
    )
    page.Annots = pikepdf.Array([field])
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]))
    pdf.attachments["evidence.json"] = pikepdf.AttachedFileSpec(pdf, attached, filename="evidence.json")
    out = io.BytesIO()
    pdf.save(out, deterministic_id=True)
    return out.getvalue()


def report_files(**changed: bytes) -> dict[str, bytes]:
    """The files of a report, before sealing."""
    files = {
        "index.html": b"<!doctype html><title>Evidence</title><script type='application/json'>"
        + EVIDENCE_JSON
        + b"</script>",
        "report.pdf": report_pdf(),
        "evidence.json": EVIDENCE_JSON,
        "data/findings.csv": b"rule,severity\nNET-001,high\n",
        "data/objects/production_default-deny.json": b'{"kind": "NetworkPolicy"}\n',
    }
    return {**files, **changed}


def own_signer(folder: Path, organisation: str = "Example Ltd", at: datetime = SIGNED_AT) -> Signer:
    return keys.load_or_create(folder, organisation, at)


def sealed(signer: Signer, files: Mapping[str, bytes] | None = None, **summary: Any) -> dict[str, bytes]:
    return seal(files or report_files(), signer, SIGNED_AT, {**SUMMARY, **summary})


# -- certificates as a company's own authority makes them -------------------------------------------------------------


def certificate(
    name: str,
    key: SigningKey,
    issuer: tuple[x509.Certificate, SigningKey] | None = None,
    *,
    ca: bool = False,
    starts: datetime = SIGNED_AT - timedelta(days=10),
    ends: datetime = SIGNED_AT + timedelta(days=400),
    usages: tuple[x509.ObjectIdentifier, ...] = (DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_certificate, issuer_key = issuer or (None, key)
    usage = {
        "digital_signature": not ca,
        "content_commitment": not ca,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": ca,
        "crl_sign": ca,
        "encipher_only": False,
        "decipher_only": False,
    }
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_certificate.subject if issuer_certificate else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: SigningKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def issued_signer(root_name: str = "Example Root CA") -> tuple[Signer, x509.Certificate]:
    """A signer that an issuing authority below a root vouches for, and the root's certificate."""
    root_key, middle_key, key = new_key(), new_key(), new_key()
    root = certificate(root_name, root_key, ca=True)
    middle = certificate("Example Issuing CA", middle_key, (root, root_key), ca=True)
    leaf = certificate("Evidence Signer", key, (middle, middle_key))
    return Signer(leaf, (middle,), key), root


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def listed_again(files: Mapping[str, bytes], signer: Signer) -> dict[str, bytes]:
    """The same files under a new manifest, list and signature: what is wrong with a file then shows in that file alone."""
    kept = {path: content for path, content in files.items() if path not in (MANIFEST, SUMS, SIGNATURE)}
    again = {**kept, MANIFEST: manifest(kept, signer, SIGNED_AT, SUMMARY, "0" * 32)}
    again[SUMS] = sums(again)
    again[SIGNATURE] = cms.sign(again[SUMS], signer, SIGNED_AT)
    return again
