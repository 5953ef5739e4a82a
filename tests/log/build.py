"""A small log and its key."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.log.checkpoint import signed_checkpoint, verifier_of
from evidence.log.entries import EntryKind, LogEntry, tree_head
from evidence.log.tree import Tree, tree_of

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
VERIFIER = verifier_of(KEY.public_key())
CLUSTER = "shop"


def digest(number: int) -> str:
    return f"{number:064x}"


def log(count: int) -> list[LogEntry]:
    """So many snapshots of one cluster, with a record of another after each third."""
    found = []
    for number in range(count):
        found.append(LogEntry(EntryKind.SNAPSHOT, CLUSTER, digest(number)))
        if number % 3 == 2:
            found.append(LogEntry(EntryKind.RECORD, "test", digest(1000 + number)))
    return found


def tree(entries: list[LogEntry]) -> Tree:
    return tree_of([entry.hash for entry in entries])


def places(entries: list[LogEntry], cluster: str = CLUSTER) -> dict[str, int]:
    """Where a cluster's snapshots stand."""
    wanted = (EntryKind.SNAPSHOT, cluster)
    return {entry.digest: position for position, entry in enumerate(entries) if (entry.kind, entry.cluster) == wanted}


def checkpoint(entries: list[LogEntry], key: Ed25519PrivateKey = KEY) -> str:
    return signed_checkpoint(tree_head(entries), key)
