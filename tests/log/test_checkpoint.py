"""Checkpoints are C2SP's signed notes: read by their definition, checked by openssl, and believed from the one key only."""

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evidence.errors import SealError
from evidence.log.checkpoint import parse_verifier, read_checkpoint, stated, verifier_of
from evidence.log.entries import tree_head
from tests.log.build import KEY, OTHER_KEY, VERIFIER, checkpoint, log


def test_a_checkpoint_is_a_signed_note_of_name_size_and_root() -> None:
    entries = log(5)
    text, _, signature = checkpoint(entries).partition("\n\n")
    name, size, root = text.split("\n")
    assert (name, int(size), base64.b64decode(root).hex()) == (VERIFIER.name, 6, tree_head(entries).root)
    dash, signer, encoded = signature.removesuffix("\n").split(" ")
    assert (dash, signer) == ("\N{EM DASH}", name)
    public = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert base64.b64decode(encoded)[:4] == hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def test_openssl_finds_the_signature_good(tmp_path: Path) -> None:
    text, _, signature = checkpoint(log(3)).partition("\n\n")
    (tmp_path / "text").write_text(text + "\n", encoding="utf-8")
    (tmp_path / "signature").write_bytes(base64.b64decode(signature.split(" ")[2])[4:])
    (tmp_path / "key.pem").write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        "key.pem",
        "-in",
        "text",
        "-sigfile",
        "signature",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully"), done.stderr


def test_what_was_signed_is_read_back() -> None:
    entries = log(5)
    assert read_checkpoint(checkpoint(entries), VERIFIER) == tree_head(entries)
    assert stated(checkpoint(entries)) == (VERIFIER.name, tree_head(entries))
    assert parse_verifier(str(VERIFIER)) == VERIFIER


def test_the_signatures_of_witnesses_are_passed_over() -> None:
    note = checkpoint(log(2)) + "\N{EM DASH} witness.example/w1 AAAAAAAA\n"
    assert read_checkpoint(note, VERIFIER) == tree_head(log(2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda note: note.replace("\n6\n", "\n7\n"), "not signed by the key"),
        (lambda note: note.replace("\n6\n", "\n06\n"), "not a signed note"),
        (lambda note: note.replace("\n\n", "\nextra\n\n"), "not a signed note"),
        (lambda note: note.split("\n\n")[0] + "\n", "not a signed note"),
        (lambda note: note.replace("\n\n", "\n\n\N{EM DASH} x y z\n")[:-3], "not a signed note"),
        (lambda note: "x" * 5000 + note, "not a signed note"),
        (lambda note: note.replace("\n6\n", "\n6\né"), "root is not a SHA-256"),
        (lambda note: note.removesuffix("\n") + "é\n", "not signed by the key"),
    ],
)
def test_a_changed_note_is_refused(change: object, words: str) -> None:
    note = change(checkpoint(log(5)))  # type: ignore[operator]
    with pytest.raises(SealError, match=words):
        read_checkpoint(note, VERIFIER)


def test_another_key_cannot_sign_for_this_log() -> None:
    other = checkpoint(log(5), OTHER_KEY)
    with pytest.raises(SealError, match="is of the log"):
        read_checkpoint(other, VERIFIER)
    renamed = other.replace(verifier_of(OTHER_KEY.public_key()).name, VERIFIER.name)
    with pytest.raises(SealError, match="not signed by the key"):
        read_checkpoint(renamed, VERIFIER)


@pytest.mark.parametrize(
    "text", ["", "name", "name+00000000+AQ==", "name+zz+%%", "name+00000000+é", str(VERIFIER).replace("+", "-", 1)]
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(SealError, match="verifier key"):
        parse_verifier(text)
