"""Timestamps of a third party (RFC 3161): asked of an authority, and checked without it.

A timestamp is kept as the authority's whole answer (`.tsr`, DER of a TimeStampResp), which `openssl ts -verify -data FILE -in FILE.tsr`
reads. It shows that the file's bytes existed at that time, as far as the authority is believed: whether it is, the verifier says.

What is checked here is RFC 3161's own: the answer was granted, its imprint is the file's digest under SHA-256 or stronger, and it is signed by
the certificate that its signed attributes name, which is for timestamps and nothing else (2.3: a critical extended key usage of that alone).
"""

from dataclasses import dataclass
from datetime import datetime

from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from evidence.errors import SealError
from evidence.seal.certificates import from_der

_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_LARGEST = 1 << 20  # bytes of an answer; real ones have a few thousand
_SECONDS = 20.0
_BROKEN = (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """What an answer says: the time, and the authority's certificates, its own first."""

    at: datetime
    certificates: tuple[x509.Certificate, ...]


def read(answer: bytes, content: bytes) -> Timestamp:
    """Check an authority's answer about `content`. Raises SealError that says what is wrong."""
    try:
        return _checked(answer, content)
    except SealError:
        raise
    except (
        _BROKEN
    ) as error:  # asn1crypto decodes lazily, wherever a part is first touched; pyHanko's errors are ValueErrors
        raise SealError("not a readable timestamp of RFC 3161, signed by the certificate that it names") from error


def _checked(answer: bytes, content: bytes) -> Timestamp:
    from pyhanko.sign.general import extract_signer_info
    from pyhanko.sign.validation.generic_cms import (
        extract_certs_for_validation,
        get_signing_cert_attr,
        validate_sig_integrity,
    )

    response = tsp.TimeStampResp.load(answer, strict=True)
    if response["status"]["status"].native not in ("granted", "granted_with_mods"):
        raise SealError("the authority did not grant the timestamp")
    signed = response["time_stamp_token"]["content"]
    info = signed["encap_content_info"]["content"].parsed
    if not isinstance(info, tsp.TSTInfo):
        raise SealError("it signs something else than a time")
    imprint = info["message_imprint"]
    if _digest(imprint["hash_algorithm"]["algorithm"].native, content) != imprint["hashed_message"].native:
        raise SealError("it is the timestamp of other bytes")
    signer = extract_signer_info(signed)
    if get_signing_cert_attr(signer["signed_attrs"]) is None:
        raise SealError("it does not name the certificate that signed it")
    if signer["signature_algorithm"]["algorithm"].native.startswith(("sha1", "md")):
        raise SealError("it is signed over a digest that is not accepted")
    found = extract_certs_for_validation(signed)
    intact, valid = validate_sig_integrity(
        signer,
        found.signer_cert,
        expected_content_type="tst_info",
        actual_digest=_digest(
            signer["digest_algorithm"]["algorithm"].native, bytes(signed["encap_content_info"]["content"])
        ),
    )
    if not (intact and valid):
        raise SealError("it was changed, or was not made with the key of its certificate")
    own = from_der(found.signer_cert.dump())
    if not _for_timestamps_alone(own):
        raise SealError("its certificate is not one for timestamps alone")
    return Timestamp(info["gen_time"].native, (own, *(from_der(one.dump()) for one in found.other_certs)))


def _digest(algorithm: str, content: bytes) -> bytes:
    if algorithm not in _DIGESTS:
        raise SealError(f"it uses {algorithm}, which is not accepted")
    digest = hashes.Hash(_DIGESTS[algorithm]())
    digest.update(content)
    return digest.finalize()


def _for_timestamps_alone(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return usage.critical and set(usage.value) == {ExtendedKeyUsageOID.TIME_STAMPING}


# -- asking -----------------------------------------------------------------------------------------------------------


def ask(authority: str, content: bytes) -> bytes:
    """An authority's answer about `content`, checked as `read` does. `authority`: its http or https address.

    Only the digest of the content is sent. Raises SealError: nobody answers, the answer is none, or it is not about this content.
    """
    from pyhanko.sign.timestamps import TimeStamper

    # pyHanko's part is the request's form and its nonce; how it is sent is ours: one try, bounded in time and size.
    nonce, request = TimeStamper().request_cms(_digest("sha256", content), "sha256")  # type: ignore[no-untyped-call]
    answer = _posted(authority, request.dump())
    read(answer, content)
    token = tsp.TimeStampResp.load(answer)["time_stamp_token"]
    if token["content"]["encap_content_info"]["content"].parsed["nonce"].native != nonce:
        raise SealError(f"{authority}: the answer is to another request")
    return answer


def _posted(authority: str, body: bytes) -> bytes:
    import urllib3

    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with urllib3.PoolManager(timeout=_SECONDS, retries=False) as pool:
            response = pool.request("POST", authority, body=body, headers=headers, preload_content=False)
            data = response.read(_LARGEST + 1)
            response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise SealError(f"{authority}: the timestamp authority cannot be reached: {error}") from error
    if response.status != 200:
        raise SealError(f"{authority}: the timestamp authority answered {response.status}")
    if len(data) > _LARGEST:
        raise SealError(f"{authority}: the timestamp authority's answer is longer than a timestamp")
    return bytes(data)
