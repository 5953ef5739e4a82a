"""Detached CMS signatures (RFC 5652) in one fixed form, made and read here.

The form is CAdES B-B: one signer, SHA-256, the certificates inside, and as signed attributes the content type, the time of signing, the
message digest and the signing certificate's own digest (ESS signing-certificate-v2, RFC 5035), so that no other certificate for the same
key can be put in its place. `openssl cms -verify` accepts it.

asn1crypto writes the structure and cryptography the signature. cryptography's own PKCS7SignatureBuilder was not taken: it reads the
clock itself and has no signing-certificate attribute. The form being fixed, a reader can build it again from its parts and compare the
bytes: what is not covered by the signature (versions, algorithm parameters, the order of certificates, unsigned attributes, bytes
after the end) cannot then be changed either.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from evidence.errors import SealError
from evidence.seal.certificates import der, from_der
from evidence.seal.keys import Signer

_DIGEST = "sha256"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a CMS signature that was made by its certificate says: over which SHA-256, by whom, and when by the signer's own clock.

    `certificates` are all that it carries, the signer's own first. `signed_at` is None where the signer left it out.
    """

    message_digest: bytes
    certificates: tuple[x509.Certificate, ...]
    signed_at: datetime | None

    @property
    def certificate(self) -> x509.Certificate:
        return self.certificates[0]


def sign(content: bytes, signer: Signer, at: datetime) -> bytes:
    """DER of a detached signature over `content`; `at` is its time of signing."""
    attributes = _attributes(hashlib.sha256(content).digest(), signer.certificate, at)
    match signer.private_key:
        case ec.EllipticCurvePrivateKey():
            value = signer.private_key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPrivateKey():
            value = signer.private_key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256())
    return _assemble((signer.certificate, *signer.chain), attributes.dump(), value)


def read(data: bytes) -> Signature:
    """Check a signature in the form that `sign` writes. Raises SealError that says what is wrong.

    The content is not looked at: compare its SHA-256 with `message_digest`.
    """
    signature, attributes, value = _checked(data)
    if _assemble(signature.certificates, attributes, value) != data:
        raise SealError("the signature carries bytes that it does not cover")
    return signature


def read_padded(data: bytes) -> Signature:
    """Check a signature made by pyHanko in a PDF, where zeros fill the place that was kept for it."""
    return _checked(data, padded=True)[0]


# -- writing ----------------------------------------------------------------------------------------------------------


def _attributes(message_digest: bytes, certificate: x509.Certificate, at: datetime) -> cms.CMSAttributes:
    identity = tsp.ESSCertIDv2({"cert_hash": hashlib.sha256(der(certificate)).digest()})
    moment = at.astimezone(UTC).replace(microsecond=0)
    values = {
        "content_type": "data",
        "signing_time": _time(moment),
        "message_digest": message_digest,
        "signing_certificate_v2": tsp.SigningCertificateV2({"certs": [identity]}),
    }
    return cms.CMSAttributes([cms.CMSAttribute({"type": name, "values": [value]}) for name, value in values.items()])


def _time(moment: datetime) -> cms.Time:
    """UTCTime as long as its two digits of the year reach, GeneralizedTime from then on (RFC 5652 11.3)."""
    if moment.year < 2050:
        return cms.Time({"utc_time": core.UTCTime(moment)})
    return cms.Time({"generalized_time": core.GeneralizedTime(moment)})


def _assemble(certificates: Sequence[x509.Certificate], attributes: bytes, value: bytes) -> bytes:
    """The one form of a signature, from its parts: certificates (the signer's first), DER of the signed attributes, signature value."""
    parsed = [asn1_x509.Certificate.load(der(one)) for one in certificates]
    algorithm = (
        "sha256_ecdsa" if isinstance(certificates[0].public_key(), ec.EllipticCurvePublicKey) else "rsassa_pkcs1v15"
    )
    mechanism: dict[str, object] = {"algorithm": algorithm}
    if algorithm == "rsassa_pkcs1v15":
        mechanism["parameters"] = core.Null()
    hashing = algos.DigestAlgorithm({"algorithm": _DIGEST})
    info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {"issuer": parsed[0].issuer, "serial_number": parsed[0].serial_number}
                    )
                }
            ),
            "digest_algorithm": hashing,
            "signed_attrs": cms.CMSAttributes.load(attributes),
            "signature_algorithm": algos.SignedDigestAlgorithm(mechanism),
            "signature": value,
        }
    )
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [hashing],
            "encap_content_info": {"content_type": "data"},
            "certificates": parsed,
            "signer_infos": [info],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())


# -- reading ----------------------------------------------------------------------------------------------------------


def _checked(data: bytes, *, padded: bool = False) -> tuple[Signature, bytes, bytes]:
    """The signature, and the DER of its signed attributes and its value. Raises SealError."""
    try:
        return _parsed(data, padded)
    except SealError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, AttributeError) as error:
        # asn1crypto decodes lazily and reports a broken structure by any of these, wherever it is first touched
        raise SealError("not a readable CMS signature") from error


def _parsed(data: bytes, padded: bool) -> tuple[Signature, bytes, bytes]:
    whole = cms.ContentInfo.load(data)
    if whole["content_type"].native != "signed_data":
        raise SealError("not a CMS signature")
    if data[len(whole.dump()) :].strip(b"\0" if padded else b""):
        raise SealError("bytes follow the signature")
    signed = whole["content"]
    if signed["encap_content_info"]["content"].native is not None:
        raise SealError("the signature is not detached")
    if len(signed["signer_infos"]) != 1:
        raise SealError(f"{len(signed['signer_infos'])} signers instead of one")
    info = signed["signer_infos"][0]
    if info["unsigned_attrs"].native:
        raise SealError("the signature carries attributes that it does not cover")
    if info["digest_algorithm"]["algorithm"].native != _DIGEST:
        raise SealError("the signature does not use SHA-256")
    attributes = info["signed_attrs"]
    named = _by_type(attributes)
    if named["content_type"][0].native != "data":
        raise SealError("the signature is of another content type")
    certificates = _certificates(signed, named)
    encoded = bytes(attributes.untag().dump())
    value = bytes(info["signature"].native)
    _check_value(certificates[0], value, encoded)
    times = named.get("signing_time")
    digest = bytes(named["message_digest"][0].native)
    return Signature(digest, certificates, times[0].native if times else None), encoded, value


def _by_type(attributes: cms.CMSAttributes) -> dict[str, cms.SetOf]:
    named = {}
    for attribute in attributes:
        name = attribute["type"].native
        if name in named or len(attribute["values"]) != 1:
            raise SealError(f"the signed attribute {name} is there more than once")
        named[name] = attribute["values"]
    for name in ("content_type", "message_digest", "signing_certificate_v2"):
        if name not in named:
            raise SealError(f"the signed attribute {name} is missing")
    return named


def _certificates(signed: cms.SignedData, named: dict[str, cms.SetOf]) -> tuple[x509.Certificate, ...]:
    """All certificates inside, the signer's first: it is the one that the signed attributes name by digest."""
    identity = named["signing_certificate_v2"][0]["certs"][0]
    if identity["hash_algorithm"]["algorithm"].native != "sha256":
        raise SealError("the signer's certificate is not named by its SHA-256")
    wanted = identity["cert_hash"].native
    encoded = [one.chosen.dump() for one in signed["certificates"]]
    own = [one for one in encoded if hashlib.sha256(one).digest() == wanted]
    if len(own) != 1:
        raise SealError("the certificate that the signature names is not inside")
    ordered = own + [one for one in encoded if one != own[0]]
    return tuple(from_der(one) for one in ordered)


def _check_value(certificate: x509.Certificate, value: bytes, attributes: bytes) -> None:
    public = certificate.public_key()
    try:
        match public:
            case ec.EllipticCurvePublicKey():
                public.verify(value, attributes, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPublicKey():
                public.verify(value, attributes, padding.PKCS1v15(), hashes.SHA256())
            case _:
                raise SealError("the signer's key is of a kind that this program does not know")
    except InvalidSignature as error:
        raise SealError("the signature was not made with the key of its certificate") from error
