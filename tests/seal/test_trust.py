"""Trust is the verifier's own: fingerprints and certificates that they hold, and who such an authority vouches for."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from evidence.errors import SealError, UsageError
from evidence.seal import keys
from evidence.seal.certificates import fingerprint
from evidence.seal.keys import Signer
from evidence.seal.trust import Answer, judge, read_trust
from tests.seal.builders import LATER, SIGNED_AT, certificate, issued_signer, new_key, pem


def trusts(signer: Signer, *given: str, at: object = LATER, folder: Path | None = None) -> Answer:
    return judge(read_trust(given, folder), (signer.certificate, *signer.chain), at)  # type: ignore[arg-type]


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_fingerprint_of_the_signer_in_any_usual_spelling(signer: Signer) -> None:
    digits = signer.fingerprint
    colons = ":".join(digits[at : at + 2] for at in range(0, 64, 2)).upper()
    for spelling in (f"sha256:{digits}", f"SHA256:{digits.upper()}", f"sha256:{colons}", f"sha-256:{digits}"):
        assert trusts(signer, spelling).trusted


def test_fingerprint_of_somebody_else_gives_no_trust(signer: Signer, stranger: Signer) -> None:
    answer = trusts(signer, f"sha256:{stranger.fingerprint}")
    assert not answer.trusted
    assert signer.fingerprint in answer.words


@pytest.mark.parametrize(
    "text", ["sha256:", "sha256:12ab", "sha1:" + "0" * 40, "sha256:" + "g" * 64, "sha256:" + "0" * 66]
)
def test_what_is_no_fingerprint_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        read_trust([text])


def test_certificate_file_in_both_encodings(signer: Signer, tmp_path: Path) -> None:
    assert trusts(signer, written(tmp_path / "a.pem", pem(signer.certificate))).trusted
    der = signer.certificate.public_bytes(serialization.Encoding.DER)
    assert trusts(signer, written(tmp_path / "a.der", der)).trusted


def test_file_that_holds_no_certificate_is_one_sentence(tmp_path: Path) -> None:
    for content in (b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(SealError, match="no readable"):
            read_trust([written(tmp_path / "x", content)])
    with pytest.raises(SealError, match="cannot be read"):
        read_trust([str(tmp_path / "nowhere.pem")])


def test_certificates_in_the_users_own_key_folder_are_trusted(tmp_path: Path, stranger: Signer) -> None:
    own = keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)
    assert trusts(own, folder=tmp_path).trusted
    assert not trusts(stranger, folder=tmp_path).trusted
    (tmp_path / "auditor.crt").write_bytes(pem(stranger.certificate))
    assert trusts(stranger, folder=tmp_path).trusted


def test_odd_files_and_a_missing_key_folder_are_no_error(tmp_path: Path, signer: Signer) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    (tmp_path / "folder.pem").mkdir()
    assert not trusts(signer, folder=tmp_path).trusted
    assert not trusts(signer, folder=tmp_path / "nowhere").trusted


# -- authorities ------------------------------------------------------------------------------------------------------


def test_signer_that_a_trusted_root_vouches_for(tmp_path: Path) -> None:
    signer, root = issued_signer()
    answer = trusts(signer, written(tmp_path / "root.pem", pem(root)))
    assert answer.trusted
    assert answer.words == f"issued by Example Root CA, trusted by {tmp_path / 'root.pem'}"


def test_root_that_only_has_the_same_name_gives_no_trust(tmp_path: Path) -> None:
    signer, _ = issued_signer()
    _, other = issued_signer()
    assert not trusts(signer, written(tmp_path / "root.pem", pem(other))).trusted


def test_fingerprint_of_an_authority_that_the_pack_carries(tmp_path: Path) -> None:
    signer, _ = issued_signer()
    assert trusts(signer, f"sha256:{fingerprint(signer.chain[0])}").trusted


def test_missing_link_of_the_chain_gives_no_trust(tmp_path: Path) -> None:
    signer, root = issued_signer()
    alone = Signer(signer.certificate, (), signer.private_key)
    assert not trusts(alone, written(tmp_path / "root.pem", pem(root))).trusted


def test_trusted_signer_cannot_vouch_for_others(tmp_path: Path, signer: Signer) -> None:
    """A certificate that is no authority issues another one: whoever trusts the first does not trust the second."""
    key = new_key()
    child = Signer(certificate("Child", key, (signer.certificate, signer.private_key)), (signer.certificate,), key)
    assert not trusts(child, f"sha256:{signer.fingerprint}").trusted
    assert not trusts(child, written(tmp_path / "signer.pem", pem(signer.certificate))).trusted


def test_signer_below_another_signer_of_the_same_authority_gives_no_trust(tmp_path: Path) -> None:
    good, root = issued_signer()
    key = new_key()
    child = Signer(
        certificate("Child", key, (good.certificate, good.private_key)), (good.certificate, *good.chain), key
    )
    assert not trusts(child, written(tmp_path / "root.pem", pem(root))).trusted


def test_expired_authority_gives_no_trust(tmp_path: Path) -> None:
    root_key, key = new_key(), new_key()
    root = certificate("Root", root_key, ca=True, ends=SIGNED_AT + timedelta(days=3))
    signer = Signer(certificate("Signer", key, (root, root_key)), (), key)
    given = written(tmp_path / "root.pem", pem(root))
    assert trusts(signer, given, at=SIGNED_AT).trusted
    assert not trusts(signer, given, at=LATER).trusted


def test_expired_link_of_the_chain_gives_no_trust(tmp_path: Path) -> None:
    root_key, middle_key, key = new_key(), new_key(), new_key()
    root = certificate("Root", root_key, ca=True)
    middle = certificate("Middle", middle_key, (root, root_key), ca=True, ends=SIGNED_AT + timedelta(days=3))
    signer = Signer(certificate("Signer", key, (middle, middle_key)), (middle,), key)
    given = written(tmp_path / "root.pem", pem(root))
    assert trusts(signer, given, at=SIGNED_AT).trusted
    assert not trusts(signer, given, at=LATER).trusted
