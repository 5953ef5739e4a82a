"""Canonical JSON (RFC 8785) and its SHA-256: the identity of every stored object and of every file of evidence."""

import hashlib
from typing import Any

import rfc8785

from evidence.errors import InputError


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises InputError for what JSON cannot hold (NaN, integers beyond 2^53, non-string keys)."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InputError(f"a value cannot be written as canonical JSON (RFC 8785): {error}") from error


def digest(data: bytes) -> str:
    """Lower-case hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def object_digest(value: Any) -> str:
    """SHA-256 over the canonical JSON of a value."""
    return digest(canonical_json(value))
