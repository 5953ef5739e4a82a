"""X.509 certificates as far as sealing needs them: reading them without trust in their bytes, and what they say of themselves."""

import contextlib
import warnings
from contextlib import AbstractContextManager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from evidence.errors import SealError

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
_USAGES = {DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
MINIMUM_RSA_BITS = 2048
_BROKEN = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def from_pem(data: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM text in order, at least one. Raises SealError."""
    with _quietly():
        try:
            found = tuple(x509.load_pem_x509_certificates(data))
        except _BROKEN as error:
            raise SealError("it holds no readable PEM certificate") from error
        return tuple(_readable(one) for one in found)


def from_der(data: bytes) -> x509.Certificate:
    """One certificate from its DER. Raises SealError."""
    with _quietly():
        try:
            return _readable(x509.load_der_x509_certificate(data))
        except _BROKEN as error:
            raise SealError("it is no readable certificate") from error


def _readable(certificate: x509.Certificate) -> x509.Certificate:
    """Reads every part once, since cryptography reads them only when asked and a broken part would raise later."""
    try:
        _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key())
        _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        if certificate.serial_number <= 0:  # RFC 5280 4.1.2.2
            raise SealError("a certificate in it has no serial number")
    except _BROKEN as error:
        raise SealError("a certificate in it is broken") from error
    return certificate


def _quietly() -> AbstractContextManager[object]:
    """cryptography warns of some broken certificates instead of refusing them; they are refused here."""
    return warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def subject_name(certificate: x509.Certificate) -> str:
    """The common name, else the organisation, else the whole subject."""
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            return str(attribute.value)
    return certificate.subject.rfc4514_string()


def self_issued(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate says of itself that it may vouch for others (RFC 5280 4.2.1.9)."""
    with contextlib.suppress(x509.ExtensionNotFound):
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    return False


def unfit_for_signing(certificate: x509.Certificate) -> str:
    """Why a certificate may not sign documents, by its key or its own extensions (RFC 5280 4.2.1.3, 4.2.1.12, RFC 9336); "" if it may."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MINIMUM_RSA_BITS:
        return f"the certificate's RSA key of {key.key_size} bits is too short"
    with contextlib.suppress(x509.ExtensionNotFound):
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature or usage.content_commitment):
            return "the certificate's key usage does not include digital signature"
    with contextlib.suppress(x509.ExtensionNotFound):
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if not _USAGES & set(extended):
            return "the certificate is not for signing documents (its extended key usage lacks document signing and e-mail)"
    return ""
