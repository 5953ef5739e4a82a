"""Whom the verifier trusts, and whether a signer is one of them.

Trust never comes from the pack. It is a set of certificates that the verifier holds and of fingerprints that they were told:

- the signer's own certificate, as a file or as a fingerprint, pins that signer;
- the certificate of an authority, as a file, or as a fingerprint where the pack carries that authority's certificate, accepts whoever it
  vouches for (RFC 5280 path validation at the time of the check).

Only a certificate that says of itself that it is an authority (basicConstraints) can vouch for another, and only while it is valid:
RFC 5280 leaves a trust anchor's own dates to the verifier, and openssl looks at them too.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asn1crypto import x509 as asn1_x509
from cryptography import x509

from evidence.errors import SealError, UsageError
from evidence.seal.certificates import der, fingerprint, from_der, from_pem, is_authority, subject_name

_FINGERPRINT = re.compile(r"sha-?256:([0-9a-f]{2}(?::?[0-9a-f]{2}){31})", re.ASCII | re.IGNORECASE)
_CERTIFICATE_FILES = (".pem", ".crt", ".cer")


@dataclass(frozen=True, slots=True)
class Trust:
    """Certificates with the place they came from, by fingerprint, and bare fingerprints (lower-case hex)."""

    certificates: dict[str, tuple[x509.Certificate, str]] = field(default_factory=dict)
    fingerprints: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.certificates or self.fingerprints)


NOBODY = Trust()


def read_trust(given: Iterable[str], key_folder: Path | None = None, option: str = "--trust") -> Trust:
    """What an option gives (files and `sha256:FINGERPRINT`) and the certificates in the user's own key folder.

    Raises UsageError for a fingerprint that is none, SealError for a file that cannot be read or holds no certificate.
    """
    certificates: dict[str, tuple[x509.Certificate, str]] = {}
    fingerprints = set()
    for one in given:
        if re.match(r"sha-?(256|1|384|512):|md5:", one, re.IGNORECASE):
            fingerprints.add(_fingerprint(one, option))
        else:
            certificates |= _from_file(Path(one), option)
    for path in _own_files(key_folder):
        try:
            certificates |= _from_file(path, option)
        except SealError:
            continue  # a file of the user's that is no certificate, such as a bare key, grants no trust and is no fault of this pack
    return Trust(certificates, frozenset(fingerprints))


def _fingerprint(text: str, option: str) -> str:
    match = _FINGERPRINT.fullmatch(text.strip())
    if not match:
        raise UsageError(
            f"{option} {text}: not a fingerprint; give sha256: and 64 hexadecimal digits, or a certificate file"
        )
    return match[1].replace(":", "").lower()


def _own_files(folder: Path | None) -> list[Path]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _CERTIFICATE_FILES and path.is_file())


def _from_file(path: Path, option: str) -> dict[str, tuple[x509.Certificate, str]]:
    """All certificates of a PEM file, or the one of a DER file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SealError(f"{option} {path}: cannot be read: {error.strerror}") from error
    try:
        found = from_pem(data) if b"-----BEGIN" in data else (from_der(data),)
    except SealError as error:
        raise SealError(f"{option} {path}: {error}") from error
    return {fingerprint(one): (one, str(path)) for one in found}


# -- the question -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a signer is trusted, and one sentence that says why."""

    trusted: bool
    words: str


def judge(trust: Trust, certificates: Sequence[x509.Certificate], at: datetime) -> Answer:
    """Whether the signer (the first certificate; the rest may help to build a chain) is trusted at a time."""
    signer = certificates[0]
    own = fingerprint(signer)
    if own in trust.fingerprints:
        return Answer(True, "the signer's certificate has the fingerprint that you gave")
    if own in trust.certificates:
        return Answer(True, f"the signer's certificate is in {trust.certificates[own][1]}")
    roots = {key: one for key, (one, _) in trust.certificates.items() if _may_vouch(one, at)}
    roots |= {
        key: one for one in certificates[1:] if (key := fingerprint(one)) in trust.fingerprints and _may_vouch(one, at)
    }
    unknown = f"the signer is not one that you trust (sha256:{own})"
    if not trust:
        unknown = f"no trust was given, so nobody can say who signed (sha256:{own})"
    if not roots:
        return Answer(False, unknown)
    try:
        root = _issuing_root(signer, certificates[1:], list(roots.values()), at)
    except SealError as error:
        return Answer(False, f"{unknown}; no trusted authority vouches for it: {error}")
    where = (
        trust.certificates[fingerprint(root)][1]
        if fingerprint(root) in trust.certificates
        else "the fingerprint that you gave"
    )
    return Answer(True, f"issued by {subject_name(root)}, trusted by {where}")


def _may_vouch(certificate: x509.Certificate, at: datetime) -> bool:
    return is_authority(certificate) and certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _issuing_root(
    signer: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> x509.Certificate:
    """The trusted root from which a valid path leads to the signer. Raises SealError when there is none."""
    from pyhanko_certvalidator import CertificateValidator, ValidationContext
    from pyhanko_certvalidator.authority import CertTrustAnchor
    from pyhanko_certvalidator.errors import PathError, ValidationError

    context = ValidationContext(
        trust_roots=[_asn1(one) for one in roots],
        other_certs=[_asn1(one) for one in others],
        moment=at,
        allow_fetching=False,
        revocation_mode="soft-fail",
    )
    validator = CertificateValidator(_asn1(signer), validation_context=context)
    try:
        path = asyncio.run(validator.async_validate_path())
    except (PathError, ValidationError, ValueError) as error:
        raise SealError(" ".join(str(error).split())) from error
    anchor = path.trust_anchor
    if not isinstance(anchor, CertTrustAnchor):
        raise SealError("the path does not end at a certificate")
    return from_der(anchor.certificate.dump())


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(der(certificate))
