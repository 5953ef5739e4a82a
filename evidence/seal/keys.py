"""Who signs: a private key with its certificate, made on first use or given by path.

The key made on first use is EC P-256 with a self-signed certificate for document signing (RFC 9336) and e-mail protection; the second
is what `openssl cms -verify` asks for by default. It is valid for ten years, because packs are kept for six (HIPAA 164.316(b)(2)) and a
self-signed certificate proves identity by its fingerprint alone, so that renewing it early gains nothing.

Key and certificate stand in one file, which appears in one step: two first runs at once end up with the same key. Nobody but the owner
may read it. No key material leaves this module except inside a `Signer`, which never prints it.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from evidence.errors import SealError
from evidence.seal.certificates import (
    DOCUMENT_SIGNING,
    MINIMUM_RSA_BITS,
    fingerprint,
    from_pem,
    self_issued,
    subject_name,
    unfit_for_signing,
)

KEY_FILE = "signing-key.pem"
CERTIFICATE_FILE = "certificate.pem"
VALIDITY = timedelta(days=3652)
_LONGEST_NAME = 64  # bytes of a common name or organisation (X.520, ub-common-name)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that can sign and the certificates that say whose it is.

    `chain` are the issuers as given, nearest first, often empty. `fingerprint` is the SHA-256 of the certificate, lower-case hex.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    private_key: SigningKey = field(repr=False)

    @property
    def name(self) -> str:
        return subject_name(self.certificate)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)

    @property
    def self_signed(self) -> bool:
        return self_issued(self.certificate)

    @property
    def certificates_pem(self) -> bytes:
        """Certificate and chain, the signer's own first: the content of signer.pem."""
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.chain))

    def check_valid(self, at: datetime) -> None:
        """Raises SealError unless the certificate is valid at that time."""
        first, last = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if not first <= at <= last:
            state = "has expired" if at > last else "is not valid yet"
            raise SealError(
                f"the certificate of {self.name!r} {state} ({first:%Y-%m-%d} to {last:%Y-%m-%d}, signing at {at:%Y-%m-%d}); "
                "sign with a valid one"
            )


# -- given by path ----------------------------------------------------------------------------------------------------


def load(key: Path, certificate: Path, password: bytes | None = None, *, now: datetime | None = None) -> Signer:
    """A key and its certificate from PEM files. The certificate file may hold the chain, in any order.

    Raises SealError for an unreadable or wrong file, a missing or wrong password, a key of a kind that verifiers lack, a certificate that
    belongs to another key or is not meant for signing, and, with `now`, one that is not valid then.
    """
    private_key = _private_key(read(key), str(key), password)
    signer = _signer(private_key, _certificates(read(certificate), str(certificate)), str(certificate), str(key))
    if now is not None:
        signer.check_valid(now)
    return signer


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SealError(f"{path}: cannot be read: {error.strerror}") from error


def _private_key(data: bytes, where: str, password: bytes | None) -> SigningKey:
    if b"PRIVATE KEY-----" not in data:
        raise SealError(f"{where}: holds no PEM private key")
    try:
        key = _parsed_key(data, password)
    except TypeError as error:  # cryptography's way to say that a password is missing, or given for nothing
        raise SealError(f"{where}: the key is encrypted; give its password in EVIDENCE_KEY_PASSWORD") from error
    except ValueError as error:
        reason = "the password is wrong or the key is damaged" if password else "the key is damaged"
        raise SealError(f"{where}: {reason}") from error
    match key:
        case rsa.RSAPrivateKey() if key.key_size < MINIMUM_RSA_BITS:
            raise SealError(f"{where}: an RSA key of {key.key_size} bits is too short; {MINIMUM_RSA_BITS} is the least")
        case rsa.RSAPrivateKey():
            return key
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            return key
        case _:
            raise SealError(f"{where}: not a key that every verifier knows; use EC P-256, P-384, P-521 or RSA")


def _parsed_key(data: bytes, password: bytes | None) -> PrivateKeyTypes:
    encrypted = b"ENCRYPTED" in data
    return serialization.load_pem_private_key(data, password if encrypted else None)


def _certificates(data: bytes, where: str) -> Sequence[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise SealError(f"{where}: holds no PEM certificate")
    try:
        return from_pem(data)
    except SealError as error:
        raise SealError(f"{where}: {error}") from error


def _signer(key: SigningKey, certificates: Sequence[x509.Certificate], certificate_name: str, key_name: str) -> Signer:
    public = key.public_key()
    own = [one for one in certificates if one.public_key() == public]
    if not own:
        raise SealError(f"{certificate_name}: no certificate in it belongs to the key {key_name}")
    problem = unfit_for_signing(own[0])
    if problem:
        raise SealError(f"{certificate_name}: {problem}")
    return Signer(own[0], _ordered_chain(own[0], [one for one in certificates if one is not own[0]]), key)


def _ordered_chain(certificate: x509.Certificate, others: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The issuers of a certificate, nearest first; what issues nothing in the chain is left out."""
    chain: list[x509.Certificate] = []
    last = certificate
    while not self_issued(last):
        issuers = [one for one in others if one.subject == last.issuer and one not in chain]
        if not issuers:
            break
        last = issuers[0]
        chain.append(last)
    return tuple(chain)


# -- made on first use ------------------------------------------------------------------------------------------------


def load_or_create(folder: Path, organisation: str, now: datetime) -> Signer:
    """The key in a folder of this user's, made first when there is none. `now` starts its validity.

    Raises SealError when the folder cannot be written, the key is damaged or expired, or strangers may read it.
    """
    path = folder / KEY_FILE
    if not path.exists():
        create(folder, organisation, now)
    signer = load_own(folder)
    signer.check_valid(now)
    return signer


def load_own(folder: Path) -> Signer:
    """The key that was made in a folder. Raises SealError when there is none."""
    path = folder / KEY_FILE
    if not path.exists():
        raise SealError(f"{folder}: there is no signing key here yet; `evidence keys create` makes one")
    data = read(path)
    # Group access may be the administrator's will (a pod's fsGroup sets it on every file of a volume); others' never is.
    if path.stat().st_mode & stat.S_IRWXO:
        raise SealError(
            f"{path}: other users can reach the key; run `chmod o-rwx {path}`, or make a new one if they may have read it"
        )
    return _signer(_private_key(data, str(path), None), _certificates(data, str(path)), str(path), str(path))


def own_fingerprint(folder: Path) -> str:
    """Fingerprint of the certificate made in a folder, hex. Raises SealError when there is none."""
    return load_own(folder).fingerprint


def create(folder: Path, organisation: str, now: datetime) -> bool:
    """Make a key and self-signed certificate; False when somebody else was first. Raises SealError when the folder cannot be written."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, _printable(organisation) or "evidence", now)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = write_once(folder / KEY_FILE, secret + public, 0o600)
        if made:
            write_once(folder / CERTIFICATE_FILE, public, 0o644)
    except OSError as error:
        raise SealError(
            f"{folder}: a signing key cannot be made here: {error.strerror}; choose another folder with --keys"
        ) from error
    return made


def write_once(path: Path, content: bytes, mode: int) -> bool:
    """Create a file whole or not at all; False when it is already there (a link, unlike a rename, does not replace).

    Some network file systems have no links: there the file is made in place, by one process still, but a crash can leave it cut.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:
            return _write_in_place(path, content, mode)
        return True
    finally:
        partial.unlink()


def _write_in_place(path: Path, content: bytes, mode: int) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return True


def _printable(text: str) -> str:
    """A name as a certificate may hold it: at most 64 bytes of UTF-8, nothing that moves a cursor."""
    plain = "".join(character for character in text if character.isprintable()).strip()
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore").strip()


def _self_signed(key: ec.EllipticCurvePrivateKey, organisation: str, now: datetime) -> x509.Certificate:
    start = now.astimezone(UTC).replace(microsecond=0)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "evidence packs"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
