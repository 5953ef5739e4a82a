"""Keys: made once with owner-only permissions, or given by path; everything that is wrong with one is a sentence."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from evidence.errors import SealError
from evidence.seal import keys
from evidence.seal.certificates import DOCUMENT_SIGNING
from tests.seal.builders import SIGNED_AT, certificate, issued_signer, key_pem, new_key, pem, sealed


def test_first_use_makes_a_key_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    made = keys.load_or_create(folder, "Example Ltd", SIGNED_AT)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / keys.KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [keys.CERTIFICATE_FILE, keys.KEY_FILE]
    assert made.self_signed
    assert made.name == "Example Ltd"


def test_the_umask_does_not_open_the_key(tmp_path: Path) -> None:
    import os

    before = os.umask(0)
    try:
        keys.load_or_create(tmp_path / "keys", "Example Ltd", SIGNED_AT)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys" / keys.KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_second_use_finds_the_same_key(tmp_path: Path) -> None:
    first = keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)
    second = keys.load_or_create(tmp_path, "Somebody else", SIGNED_AT + timedelta(days=400))
    assert first.fingerprint == second.fingerprint == keys.own_fingerprint(tmp_path)


def test_many_first_uses_at_once_end_with_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT), range(16)))
    assert len({signer.fingerprint for signer in made}) == 1
    (own,) = x509.load_pem_x509_certificates((tmp_path / keys.CERTIFICATE_FILE).read_bytes())
    assert own == made[0].certificate
    assert sorted(path.name for path in tmp_path.iterdir()) == [keys.CERTIFICATE_FILE, keys.KEY_FILE]


def test_file_systems_without_links_hold_a_key_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    first = keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)
    assert not keys.create(tmp_path, "Somebody else", SIGNED_AT)
    assert keys.own_fingerprint(tmp_path) == first.fingerprint
    assert stat.S_IMODE((tmp_path / keys.KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [keys.CERTIFICATE_FILE, keys.KEY_FILE]


def test_certificate_is_for_signing_documents_and_valid_for_as_long_as_packs_are_kept(tmp_path: Path) -> None:
    made = keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT).certificate
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION}
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert made.not_valid_before_utc == SIGNED_AT
    assert made.not_valid_after_utc - SIGNED_AT > timedelta(days=6 * 366)


@pytest.mark.parametrize("organisation", ["", " \n\x1b[31m ", "株式会社" * 40, "Ünïcode & Sons <b>", "x" * 500])
def test_any_organisation_name_makes_a_certificate(tmp_path: Path, organisation: str) -> None:
    made = keys.load_or_create(tmp_path, organisation, SIGNED_AT)
    assert made.name
    assert made.name.isprintable()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)
    (tmp_path / keys.KEY_FILE).chmod(0o644)
    with pytest.raises(SealError, match="other users can reach the key"):
        keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)


def test_damaged_key_is_neither_used_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / keys.KEY_FILE).write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (tmp_path / keys.KEY_FILE).chmod(0o600)
    with pytest.raises(SealError, match="damaged"):
        keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)


def test_expired_own_key_is_refused_with_its_dates(tmp_path: Path) -> None:
    keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)
    with pytest.raises(SealError, match=r"has expired \(2026-10-01 to 2036-09-30"):
        keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT + timedelta(days=4000))


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SealError, match="a signing key cannot be made here"):
        keys.load_or_create(tmp_path / "file" / "keys", "Example Ltd", SIGNED_AT)


def test_folder_without_a_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="evidence keys create"):
        keys.own_fingerprint(tmp_path)


# -- given by path ----------------------------------------------------------------------------------------------------


def given(
    folder: Path, key: keys.SigningKey, *certificates: x509.Certificate, password: bytes | None = None
) -> tuple[Path, Path]:
    (folder / "key.pem").write_bytes(key_pem(key, password))
    (folder / "certificate.pem").write_bytes(pem(*certificates))
    return folder / "key.pem", folder / "certificate.pem"


def test_given_key_and_chain_in_any_order(tmp_path: Path) -> None:
    signer, root = issued_signer()
    key, chain = given(tmp_path, signer.private_key, root, signer.chain[0], signer.certificate)
    loaded = keys.load(key, chain, now=SIGNED_AT)
    assert loaded.certificate == signer.certificate
    assert loaded.chain == (signer.chain[0], root)
    assert not loaded.self_signed


def test_certificate_that_is_not_in_the_chain_is_left_out(tmp_path: Path) -> None:
    signer, _ = issued_signer()
    _, unrelated = issued_signer()
    key, chain = given(tmp_path, signer.private_key, signer.certificate, unrelated)
    assert keys.load(key, chain).chain == ()


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)], ids=["P-384", "RSA"]
)
def test_other_kinds_of_key_sign_too(tmp_path: Path, key: keys.SigningKey) -> None:
    from evidence.seal.trust import Trust
    from evidence.seal.verify import verify

    signer = keys.load(*given(tmp_path, key, certificate("Example", key)))
    assert verify(sealed(signer), Trust(fingerprints=frozenset({signer.fingerprint})), SIGNED_AT).good


def test_encrypted_key_takes_its_password(tmp_path: Path) -> None:
    key = new_key()
    paths = given(tmp_path, key, certificate("Example", key), password=b"secret")
    assert keys.load(*paths, b"secret").name == "Example"
    with pytest.raises(SealError, match="give its password in EVIDENCE_KEY_PASSWORD"):
        keys.load(*paths)
    with pytest.raises(SealError, match="the password is wrong or the key is damaged"):
        keys.load(*paths, b"wrong")


def test_password_for_a_key_without_one_does_no_harm(tmp_path: Path) -> None:
    key = new_key()
    assert keys.load(*given(tmp_path, key, certificate("Example", key)), b"secret").name == "Example"


def test_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SealError, match=r"no certificate in it belongs to the key .*key\.pem"):
        keys.load(*given(tmp_path, new_key(), certificate("Example", new_key())))


def test_expired_certificate_is_refused(tmp_path: Path) -> None:
    key = new_key()
    paths = given(tmp_path, key, certificate("Example", key, ends=SIGNED_AT - timedelta(days=1)))
    with pytest.raises(SealError, match="'Example' has expired"):
        keys.load(*paths, now=SIGNED_AT)


def test_certificate_of_a_web_server_is_refused(tmp_path: Path) -> None:
    key = new_key()
    paths = given(tmp_path, key, certificate("www", key, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)))
    with pytest.raises(SealError, match="not for signing documents"):
        keys.load(*paths)


def test_certificate_of_an_authority_is_refused(tmp_path: Path) -> None:
    key = new_key()
    with pytest.raises(SealError, match="key usage does not include digital signature"):
        keys.load(*given(tmp_path, key, certificate("Root", key, ca=True)))


def test_files_that_are_something_else(tmp_path: Path) -> None:
    key = new_key()
    key_path, certificate_path = given(tmp_path, key, certificate("Example", key))
    with pytest.raises(SealError, match="holds no PEM private key"):
        keys.load(certificate_path, certificate_path)
    with pytest.raises(SealError, match="holds no PEM certificate"):
        keys.load(key_path, key_path)
    with pytest.raises(SealError, match="cannot be read: No such file"):
        keys.load(tmp_path / "nowhere.pem", certificate_path)
    with pytest.raises(SealError, match="cannot be read: Is a directory"):
        keys.load(key_path, tmp_path)


def test_keys_that_not_every_verifier_knows_are_refused(tmp_path: Path) -> None:
    key = new_key()
    paths = given(tmp_path, key, certificate("Example", key))
    for odd in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())):
        paths[0].write_bytes(
            odd.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        with pytest.raises(SealError, match="not a key that every verifier knows"):
            keys.load(*paths)
    paths[0].write_bytes(key_pem(rsa.generate_private_key(65537, 1024)))
    with pytest.raises(SealError, match="RSA key of 1024 bits is too short"):
        keys.load(*paths)


def test_no_key_material_is_printed_or_packed(tmp_path: Path) -> None:
    signer = keys.load_or_create(tmp_path, "Example Ltd", SIGNED_AT)
    secret = signer.private_key.private_numbers().private_value  # type: ignore[union-attr]
    assert "private_key" not in repr(signer)
    together = b"".join(sealed(signer).values())
    assert b"PRIVATE KEY" not in together
    assert secret.to_bytes(32, "big") not in together
