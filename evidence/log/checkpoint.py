"""Checkpoints: the signed head of a log, in the form of C2SP's tlog-checkpoint and signed-note (https://c2sp.org).

    evidence-log/5f1c…        the log's name, which holds the digest of its key: another key is another log
    8761                      its size, in decimal
    qINS1GRFXhXeQN8rVtlHTw==  its root, in base64

    — evidence-log/5f1c… Nt6T…

The last line is the Ed25519 signature of the text before the empty line, behind the first four bytes of SHA-256 over the name, a line feed,
the byte 1 and the public key. Its first character is an em dash, U+2014. A verifier key is `name+hash+key`, as in the note of that form.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evidence.errors import SealError
from evidence.log.entries import TreeHead

_ED25519 = b"\x01"
_PREFIX = "evidence-log/"
_NOTE = re.compile(
    r"(?P<text>(?P<name>[^\n]+)\n(?P<size>0|[1-9][0-9]*)\n(?P<root>[^\n]+)\n)\n(?P<signatures>(?:\u2014 [^\n]+\n)+)"
)
_LONGEST = 4096  # characters of a checkpoint


@dataclass(frozen=True, slots=True)
class LogVerifier:
    """The public key of a log (32 bytes), under the name that its checkpoints have."""

    name: str
    key: bytes

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"


def verifier_of(key: Ed25519PublicKey) -> LogVerifier:
    """The verifier of a log that is signed with this key; the log's name is made of the key."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return LogVerifier(_PREFIX + hashlib.sha256(raw).hexdigest()[:16], raw)


def parse_verifier(text: str) -> LogVerifier:
    """A verifier key as `str` writes it. Raises SealError."""
    name, _, rest = text.partition("+")
    stated, _, encoded = rest.partition("+")
    raw = _decoded(encoded)
    if raw is None:
        raise SealError("the log's verifier key is not in base64")
    found = LogVerifier(name, raw[1:])
    if raw[:1] != _ED25519 or len(raw) != 33 or stated != found.hash.hex():
        raise SealError("the log's verifier key is not one of an Ed25519 key with its hash")
    return found


def signed_checkpoint(head: TreeHead, key: Ed25519PrivateKey) -> str:
    """The note over a head."""
    verifier = verifier_of(key.public_key())
    text = f"{verifier.name}\n{head.size}\n{base64.b64encode(bytes.fromhex(head.root)).decode()}\n"
    signature = base64.b64encode(verifier.hash + key.sign(text.encode())).decode()
    return f"{text}\n\u2014 {verifier.name} {signature}\n"


def stated(note: str) -> tuple[str, TreeHead]:
    """The name and head that a note states, whoever signed it. Raises SealError for what is no such note."""
    found = _parsed(note)
    root = _decoded(found["root"])
    if root is None or len(root) != hashlib.sha256().digest_size:
        raise SealError("the checkpoint's root is not a SHA-256 in base64")
    return found["name"], TreeHead(int(found["size"]), root.hex())


def read_checkpoint(note: str, verifier: LogVerifier) -> TreeHead:
    """The head that a note states, when the verifier's key signed it. Other signatures of the note are passed over.

    Raises SealError, which says what is wrong.
    """
    name, head = stated(note)
    if name != verifier.name:
        raise SealError(f"the checkpoint is of the log {name}, not {verifier.name}")
    found = _parsed(note)
    signatures = [line.split(" ") for line in found["signatures"].splitlines()]
    ours = [line[2] for line in signatures if len(line) == 3 and line[1] == verifier.name]
    if not any(_signed(one, found["text"], verifier) for one in ours):
        raise SealError(f"the checkpoint is not signed by the key of {verifier.name}")
    return head


def _parsed(note: str) -> re.Match[str]:
    found = _NOTE.fullmatch(note) if len(note) <= _LONGEST else None
    if found is None:
        raise SealError("the checkpoint is not a signed note of a log's name, size and root")
    return found


def _signed(encoded: str, text: str, verifier: LogVerifier) -> bool:
    signature = _decoded(encoded)
    if signature is None or signature[:4] != verifier.hash:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(verifier.key).verify(signature[4:], text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # also for text that is not ASCII
        return None
