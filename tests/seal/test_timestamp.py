"""Timestamps by a real authority (openssl's), read, asked for, and weighed in the check of a pack."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evidence.errors import SealError
from evidence.log.proof import CHECKPOINT_FILE, CHECKPOINT_STAMP_FILE
from evidence.seal import timestamp
from evidence.seal.keys import Signer
from evidence.seal.manifest import SUMS, SUMS_STAMP
from evidence.seal.pack import seal
from evidence.seal.trust import NOBODY, Trust, read_trust
from evidence.seal.verify import Check, Outcome, Verification, verify
from tests.seal.authority import Authority, make_authority, serving
from tests.seal.builders import SUMMARY, own_signer, report_files, sealed

CONTENT = b"evidence-log/5f1c\n8761\nqINS\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority") / "other")


@pytest.fixture(scope="module")
def answer(authority: Authority) -> bytes:
    return authority.stamp(CONTENT)


def test_a_timestamp_says_when_and_by_whom(answer: bytes) -> None:
    found = timestamp.read(answer, CONTENT)
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=5)
    assert [one.subject.rfc4514_string() for one in found.certificates] == ["CN=Example Time", "CN=Example Root"]


def test_a_timestamp_of_other_bytes_is_none_of_these(answer: bytes) -> None:
    with pytest.raises(SealError, match="of other bytes"):
        timestamp.read(answer, CONTENT + b" ")


def test_no_byte_of_a_timestamp_can_be_changed_so_that_it_says_another_time(answer: bytes) -> None:
    """Bytes that nobody signs (such as the order of certificates) may differ; what is read from the rest may not."""
    true = timestamp.read(answer, CONTENT)
    for position in range(len(answer)):
        changed = answer[:position] + bytes([answer[position] ^ 1]) + answer[position + 1 :]
        try:
            found = timestamp.read(changed, CONTENT)
        except SealError:
            continue
        assert (found.at, found.certificates[0]) == (true.at, true.certificates[0])


@pytest.mark.parametrize("cut", [0, 1, 40, 400, -1])
def test_a_cut_timestamp_is_refused(answer: bytes, cut: int) -> None:
    with pytest.raises(SealError):
        timestamp.read(answer[:cut], CONTENT)


def test_bytes_behind_a_timestamp_are_refused(answer: bytes) -> None:
    with pytest.raises(SealError):
        timestamp.read(answer + b"\0", CONTENT)


@pytest.mark.parametrize("usage", ["critical, timeStamping, emailProtection", "critical, emailProtection"])
def test_a_certificate_that_is_not_for_timestamps_alone_is_refused(tmp_path: Path, usage: str) -> None:
    """openssl refuses to sign with such a certificate, so the key signs under a proper one and the other takes its place."""
    made = make_authority(tmp_path / "tsa")
    with pytest.raises(subprocess.CalledProcessError):
        make_authority(tmp_path / "wrong", usage=usage).stamp(CONTENT)
    wrong = (tmp_path / "wrong" / "tsa.pem").read_bytes()
    with pytest.raises(SealError):
        timestamp.read(_with_certificate(made.stamp(CONTENT), wrong), CONTENT)


def _with_certificate(answer: bytes, pem: bytes) -> bytes:
    from asn1crypto import pem as asn1_pem
    from asn1crypto import tsp, x509

    response = tsp.TimeStampResp.load(answer)
    _, _, der = asn1_pem.unarmor(pem)
    response["time_stamp_token"]["content"]["certificates"] = [x509.Certificate.load(der)]
    return bytes(response.dump(force=True))


def test_an_authority_is_asked_with_the_digest_and_openssl_accepts_what_is_kept(
    authority: Authority, tmp_path: Path
) -> None:
    with serving(authority) as address:
        (tmp_path / "content.tsr").write_bytes(timestamp.ask(address, CONTENT))
    (tmp_path / "content").write_bytes(CONTENT)
    sent = (authority.folder / "query.tsq").read_bytes()
    assert CONTENT not in sent
    command = ["openssl", "ts", "-verify", "-data", "content", "-in", "content.tsr", "-CAfile", str(authority.root)]
    assert (
        "Verification: OK" in subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True).stdout
    )


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [(503, b"", "answered 503"), (200, b"<html>", "not a readable timestamp"), (200, b"0" * (1 << 21), "longer than")],
)
def test_what_is_no_answer_is_said(authority: Authority, status: int, body: bytes, words: str) -> None:
    with serving(authority, status, body) as address, pytest.raises(SealError, match=words):
        timestamp.ask(address, CONTENT)


def test_an_answer_to_somebody_elses_request_is_refused(authority: Authority, answer: bytes) -> None:
    """It is of the same bytes and intact, and yet an old one: the nonce tells."""
    with serving(authority, 200, answer) as address, pytest.raises(SealError, match="another request"):
        timestamp.ask(address, CONTENT)


def test_nobody_at_the_address_is_said() -> None:
    with pytest.raises(SealError, match="cannot be reached"):
        timestamp.ask("http://127.0.0.1:1/tsr", CONTENT)


# -- in a pack --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stamped(pack: Mapping[str, bytes], authority: Authority) -> Mapping[str, bytes]:
    return {**pack, SUMS_STAMP: authority.stamp(pack[SUMS])}


def check(
    files: Mapping[str, bytes], believed: Trust, at: datetime | None = None, trust: Trust = NOBODY
) -> Verification:
    return verify(files, trust, at or datetime.now(UTC), timestamp_trust=believed)


def about_timestamps(answer: Verification) -> list[Check]:
    return [one for one in answer.checks if one.name == "timestamp"]


def test_a_packs_timestamp_by_a_believed_authority_counts(stamped: Mapping[str, bytes], authority: Authority) -> None:
    for believed in (authority.root, authority.certificate):
        [found] = about_timestamps(check(stamped, read_trust([str(believed)])))
        assert found.outcome is Outcome.OK
        assert found.words.startswith("SHA256SUMS existed on ")


def test_whose_timestamps_are_believed_does_not_follow_from_who_may_sign(
    stamped: Mapping[str, bytes], authority: Authority, stranger: Authority
) -> None:
    for believed, trust in ((NOBODY, read_trust([str(authority.root)])), (read_trust([str(stranger.root)]), NOBODY)):
        answer = check(stamped, believed, trust=trust)
        [found] = about_timestamps(answer)
        assert (found.outcome, answer.intact) == (Outcome.NOT_CHECKED, True)
        assert "--trust-timestamps" in found.words


def test_a_timestamp_of_another_list_fails(pack: Mapping[str, bytes], authority: Authority) -> None:
    answer = check({**pack, SUMS_STAMP: authority.stamp(b"other")}, NOBODY)
    assert [one.outcome for one in about_timestamps(answer)] == [Outcome.FAILED]
    assert not answer.intact


def test_a_timestamp_that_lies_ahead_fails(stamped: Mapping[str, bytes], authority: Authority) -> None:
    answer = check(stamped, read_trust([str(authority.root)]), datetime.now(UTC) - timedelta(days=1))
    assert [one.outcome for one in about_timestamps(answer)] == [Outcome.FAILED]


def test_the_checkpoints_timestamp_is_checked_too(signer: Signer, authority: Authority) -> None:
    log = {CHECKPOINT_FILE: CONTENT, CHECKPOINT_STAMP_FILE: authority.stamp(CONTENT)}
    [found] = about_timestamps(check(sealed(signer, report_files() | log), read_trust([str(authority.root)])))
    assert (found.outcome, found.path) == (Outcome.OK, CHECKPOINT_STAMP_FILE)


def test_an_expired_signer_is_accepted_when_a_believed_timestamp_is_older(tmp_path: Path) -> None:
    """The signer's certificate runs out before the authority's does; only then a timestamp can help."""
    now = datetime.now(UTC)
    lasting = make_authority(tmp_path / "tsa", days=20 * 365)
    signer = own_signer(tmp_path / "keys", at=now)
    files = seal(report_files(), signer, now, SUMMARY, lasting.stamp)
    expired = signer.certificate.not_valid_after_utc + timedelta(days=1)
    trust = Trust(fingerprints=frozenset({signer.fingerprint}))
    assert not check(files, NOBODY, expired, trust).trusted
    assert check(files, read_trust([str(lasting.root)]), expired, trust).good


def test_a_time_of_signing_after_the_timestamp_of_what_was_signed_is_not_believed(tmp_path: Path) -> None:
    """The list was there already: somebody signed it anew later."""
    now = datetime.now(UTC)
    made = make_authority(tmp_path / "tsa")
    signer = own_signer(tmp_path / "keys", at=now)
    files = seal(report_files(), signer, now + timedelta(hours=1), SUMMARY, made.stamp)
    answer = check(
        files,
        read_trust([str(made.root)]),
        now + timedelta(hours=2),
        Trust(fingerprints=frozenset({signer.fingerprint})),
    )
    assert not answer.trusted
