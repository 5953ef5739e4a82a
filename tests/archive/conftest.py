"""The signer and pack of tests/seal, made once."""

from tests.seal.conftest import pack, signer

__all__ = ["pack", "signer"]
