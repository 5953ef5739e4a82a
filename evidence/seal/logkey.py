"""The key that signs a log's checkpoints: Ed25519, in the folder of the other key, made on first use.

It is a key of its own because C2SP's checkpoints know Ed25519 and no certificates, and because what signs each hour need not be what signs a
report. Its name in checkpoints holds a digest of the key (evidence/log/checkpoint.py).
"""

import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.errors import SealError
from evidence.seal.keys import read, write_once

LOG_KEY_FILE = "log-key.pem"


def load_log_key(folder: Path) -> Ed25519PrivateKey | None:
    """The key in a folder of this user's; None when there is none. Raises SealError when it is damaged or strangers may read it."""
    path = folder / LOG_KEY_FILE
    if not path.exists():
        return None
    data = read(path)
    if path.stat().st_mode & stat.S_IRWXO:
        raise SealError(
            f"{path}: other users can reach the key; run `chmod o-rwx {path}`, or make a new one if they may have read it"
        )
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise SealError(f"{path}: the key is damaged") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SealError(f"{path}: not an Ed25519 key, which is what a log's checkpoints are signed with")
    return key


def load_or_create_log_key(folder: Path) -> Ed25519PrivateKey:
    """The same, made first when there is none. Raises SealError also when the folder cannot be written."""
    found = load_log_key(folder)
    if found is not None:
        return found
    secret = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_once(folder / LOG_KEY_FILE, secret, 0o600)
    except OSError as error:
        raise SealError(
            f"{folder}: the log's key cannot be made here: {error.strerror}; choose another folder"
        ) from error
    made = load_log_key(folder)
    assert made is not None  # noqa: S101  (written above, or by somebody who was first)
    return made
