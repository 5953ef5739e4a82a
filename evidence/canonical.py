"""Canonical JSON (RFC 8785) and its SHA-256: the identity of every stored object and of every file of evidence.

orjson writes the same bytes as RFC 8785 asks for when they are ASCII (keys then sort alike by bytes and by UTF-16 units), hold no float
(ECMAScript spells those its own way) and no null (orjson writes one for NaN); it refuses integers beyond 2^53 itself. Nearly every Kubernetes
object is such a value. Everything else is left to the rfc8785 package, which is some twenty times slower.
"""

import re
from typing import Any

import orjson

from evidence.errors import InputError

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
# What a float in a list or behind a key looks like, and some strings: most objects have neither, which this finds out several times faster.
_MAY_BE_FLOAT = re.compile(rb"[:\[,]-?[0-9]+[.eE][-+.0-9eE]*[,}\]]")
# A float or null after a key, in a list, or alone. Inside a string it may look the same: that costs time and is never wrong.
_LEFT_TO_RFC8785 = re.compile(rb'(?:^|":|[\[,])(?:-?[0-9]+[.eE]|null)')


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises InputError for what JSON cannot hold (NaN, integers beyond 2^53, non-string keys)."""
    try:
        written = orjson.dumps(value, option=_OPTIONS)
    except TypeError:  # not for orjson: too large, too deep, or no JSON at all; the other says which
        return _by_rfc8785(value)
    if not written.isascii() or (_may_be_left(written) and _LEFT_TO_RFC8785.search(written)):
        return _by_rfc8785(value)
    return written


def _may_be_left(written: bytes) -> bool:
    alone = written[:1] not in b'{["'
    return alone or b"null" in written or _MAY_BE_FLOAT.search(written) is not None


def _by_rfc8785(value: Any) -> bytes:
    import rfc8785  # rarely needed

    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InputError(f"a value cannot be written as canonical JSON (RFC 8785): {error}") from error


def digest(data: bytes) -> str:
    """Lower-case hex SHA-256."""
    import hashlib  # it loads OpenSSL, which a run that asks for no digest does without

    return hashlib.sha256(data).hexdigest()


def object_digest(value: Any) -> str:
    """SHA-256 over the canonical JSON of a value."""
    return digest(canonical_json(value))
