"""The detached signature: what it says when it is right, and that its form leaves nothing open."""

import hashlib
from datetime import datetime, timedelta, timezone

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.errors import SealError
from evidence.seal import cms
from evidence.seal.keys import Signer
from tests.seal.builders import SIGNED_AT, issued_signer


def test_signature_says_what_who_and_when(signer: Signer) -> None:
    read = cms.read(cms.sign(b"content", signer, SIGNED_AT))
    assert read.message_digest == hashlib.sha256(b"content").digest()
    assert read.certificate == signer.certificate
    assert read.signed_at == SIGNED_AT


def test_time_of_signing_is_utc_whatever_zone_was_given(signer: Signer) -> None:
    there = SIGNED_AT.astimezone(timezone(timedelta(hours=-7)))
    assert cms.read(cms.sign(b"content", signer, there)).signed_at == SIGNED_AT


def test_time_beyond_2050_is_kept(signer: Signer) -> None:
    late = datetime(2061, 1, 2, tzinfo=SIGNED_AT.tzinfo)
    assert cms.read(cms.sign(b"content", signer, late)).signed_at == late


def test_chain_is_carried_with_the_signers_own_first() -> None:
    issued, root = issued_signer()
    whole = Signer(issued.certificate, (*issued.chain, root), issued.private_key)
    assert set(cms.read(cms.sign(b"content", whole, SIGNED_AT)).certificates) == {whole.certificate, *whole.chain}
    assert cms.read(cms.sign(b"content", whole, SIGNED_AT)).certificate == whole.certificate


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=200), where=st.integers(0, 1200))
def test_bytes_put_in_anywhere_are_refused(signer: Signer, junk: bytes, where: int) -> None:
    made = cms.sign(b"content", signer, SIGNED_AT)
    changed = made[:where] + junk + made[where:]
    if changed != made:
        with pytest.raises(SealError):
            cms.read(changed)


def test_unsigned_attributes_second_signers_and_extra_certificates_are_refused(
    signer: Signer, stranger: Signer
) -> None:
    def changed(how: str) -> bytes:
        whole = asn1_cms.ContentInfo.load(cms.sign(b"content", signer, SIGNED_AT))
        other = asn1_cms.ContentInfo.load(cms.sign(b"content", stranger, SIGNED_AT))
        signed = whole["content"]
        if how == "attribute":
            name = asn1_cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"x")]})
            signed["signer_infos"][0]["unsigned_attrs"] = asn1_cms.CMSAttributes([name])
        elif how == "signer":
            signed["signer_infos"].append(other["content"]["signer_infos"][0])
        elif how == "certificate":
            signed["certificates"].append(other["content"]["certificates"][0])
        else:
            signed["encap_content_info"] = {"content_type": "data", "content": b"content"}
        return bytes(whole.dump(force=True))

    for how, words in (
        ("attribute", "attributes that it does not cover"),
        ("signer", "2 signers instead of one"),
        ("content", "not detached"),
    ):
        with pytest.raises(SealError, match=words):
            cms.read(changed(how))
    assert len(cms.read(changed("certificate")).certificates) == 2  # signer.pem is compared with them by verify


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=300))
def test_junk_is_a_sentence(junk: bytes) -> None:
    with pytest.raises(SealError):
        cms.read(junk)
