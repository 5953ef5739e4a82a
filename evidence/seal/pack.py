"""Sealing a report's files into a pack: sign the PDF, add the signer, the instructions, the manifest and the signed list of digests."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from evidence.errors import SealError
from evidence.seal import cms, pades
from evidence.seal.instructions import how_to_verify
from evidence.seal.keys import Signer
from evidence.seal.manifest import (
    HOW_TO,
    MANIFEST,
    REPORT,
    REQUIRED,
    SIGNATURE,
    SIGNER,
    SUMS,
    SUMS_STAMP,
    check_paths,
    manifest,
    pack_id,
    sums,
)

_OURS = (HOW_TO, MANIFEST, SIGNATURE, SIGNER, SUMS, SUMS_STAMP)


def seal(
    files: Mapping[str, bytes],
    signer: Signer,
    at: datetime,
    summary: Mapping[str, Any],
    timestamp: Callable[[bytes], bytes | None] = lambda _: None,
) -> dict[str, bytes]:
    """All files of the finished pack by path, sorted. `at` is the time of signing; `summary` goes into the manifest as it is.

    `timestamp` gives an authority's answer about SHA256SUMS (RFC 3161), or None to leave the pack without one.

    Raises SealError when the certificate is not valid at that time, a name is not fit for a pack, or a file that it needs is missing.
    """
    signer.check_valid(at)
    check_paths([*files, *_OURS])
    taken = [path for path in _OURS if path in files]
    if taken:
        raise SealError(f"the report's files already hold {', '.join(taken)}, which sealing makes")
    missing = sorted(REQUIRED - set(_OURS) - set(files))
    if missing:
        raise SealError(f"the report's files lack {', '.join(missing)}")
    identifier = pack_id(files, signer, summary)
    sealed = {
        **files,
        REPORT: pades.sign(files[REPORT], signer, at),
        SIGNER: signer.certificates_pem,
        HOW_TO: how_to_verify(signer, at.astimezone(UTC), identifier, summary),
    }
    sealed[MANIFEST] = manifest(sealed, signer, at, summary, identifier)
    sealed[SUMS] = sums(sealed)
    sealed[SIGNATURE] = cms.sign(sealed[SUMS], signer, at)
    if stamp := timestamp(sealed[SUMS]):
        sealed[SUMS_STAMP] = stamp
    return dict(sorted(sealed.items()))
