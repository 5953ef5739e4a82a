"""What a pack carries of its store's log, and the check of it without the store.

`log/checkpoint`, the signed head, where asked for a timestamp of it (RFC 3161) in `log/checkpoint.tsr`, and `log/proofs.json`:

    format     evidence-log-proofs/1
    verifier   the log's verifier key, as in checkpoint.py
    snapshots  for each snapshot of the period: its root digest, its position in the log, and the inclusion proof to the head's root
    previous   the checkpoint of the pack before this one in the archive, and the consistency proof from it; null for the first

So the evidence is shown to have been in the log when the pack was made, and the log to have only grown since the pack before. That the
log was not written anew as a whole shows in the comparison with a checkpoint that somebody else kept: an earlier pack's, or a copy.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence.canonical import canonical_json
from evidence.errors import SealError
from evidence.log.checkpoint import LogVerifier, parse_verifier, read_checkpoint
from evidence.log.entries import EntryKind, LogEntry, TreeHead
from evidence.log.merkle import is_consistent, root_from_inclusion
from evidence.log.tree import Tree

CHECKPOINT_FILE = "log/checkpoint"
PROOFS_FILE = "log/proofs.json"
CHECKPOINT_STAMP_FILE = "log/checkpoint.tsr"
FORMAT = "evidence-log-proofs/1"


@dataclass(frozen=True, slots=True)
class Previous:
    """The checkpoint of an earlier pack, by the pack's name, and the key of its log."""

    pack: str
    checkpoint: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the files show: the head, the log's verifier key, how many snapshots are in it, and which earlier pack's log it continues."""

    verifier: LogVerifier
    head: TreeHead
    snapshots: int
    previous: str
    previous_head: TreeHead | None


def log_files(
    tree: Tree,
    places: Mapping[str, int],
    checkpoint: str,
    verifier: LogVerifier,
    cluster: str,
    root_digests: Sequence[str],
    previous: Previous | None,
) -> dict[str, bytes]:
    """The two files. `tree`: the whole log's; `places`: position of the cluster's snapshots by root digest; `checkpoint`: the signed head;
    `root_digests`: of the snapshots that the pack is about.

    Raises SealError when a snapshot is not in the log, when the log is no continuation of the previous pack's, and when the files would not
    convince whoever reads them.
    """
    missing = [digest for digest in root_digests if places.get(digest, tree.size) >= tree.size]
    if missing:
        raise SealError(
            f"the store's log has no entry for the snapshot with root {missing[0]}: check it with `evidence db check`"
        )
    body = {
        "format": FORMAT,
        "verifier": str(verifier),
        "snapshots": [
            {
                "root_digest": digest,
                "position": places[digest],
                "proof": [node.hex() for node in tree.inclusion_proof(places[digest])],
            }
            for digest in root_digests
        ],
        "previous": _since(tree, previous) if previous else None,
    }
    made = {CHECKPOINT_FILE: checkpoint.encode(), PROOFS_FILE: canonical_json(body) + b"\n"}
    try:
        check_log(made[CHECKPOINT_FILE], made[PROOFS_FILE], cluster, root_digests)
    except SealError as error:
        raise SealError(
            f"the store's log does not hold together: {error}; `evidence db check` says where it was changed"
        ) from error
    return made


def _since(tree: Tree, previous: Previous) -> dict[str, Any]:
    before = read_checkpoint(previous.checkpoint, parse_verifier(previous.verifier))
    if before.size > tree.size or tree.root(before.size).hex() != before.root:
        raise SealError(
            f"the store's log is no continuation of the one that the pack {previous.pack} was made from: entries were removed, "
            "changed or put in another order, or the archive is another store's. Find out which before you report; a new archive "
            "folder begins a new chain of packs"
        )
    return {
        "pack": previous.pack,
        "checkpoint": previous.checkpoint,
        "verifier": previous.verifier,
        "proof": [node.hex() for node in tree.consistency_proof(before.size)],
    }


def previous_of(pack: str, files: Mapping[str, bytes]) -> Previous | None:
    """What a later pack continues, from the files of an earlier one; None for one that carries no log. Raises SealError."""
    if CHECKPOINT_FILE not in files or PROOFS_FILE not in files:
        return None
    return Previous(pack, _text(files[CHECKPOINT_FILE]), _string(_loaded(files[PROOFS_FILE]), "verifier"))


def check_log(checkpoint: bytes, proofs: bytes, cluster: str, root_digests: Sequence[str]) -> Shown:
    """Check both files against the cluster and the root digests that the pack's evidence names. Raises SealError, which says what is wrong."""
    body = _loaded(proofs)
    verifier = parse_verifier(_string(body, "verifier"))
    head = read_checkpoint(_text(checkpoint), verifier)
    root = bytes.fromhex(head.root)
    given = _entries(body)
    for digest in root_digests:
        if digest not in given:
            raise SealError(f"{PROOFS_FILE} has no proof for the snapshot with root {digest}")
        position, proof = given[digest]
        leaf = LogEntry(EntryKind.SNAPSHOT, cluster, digest).hash
        if root_from_inclusion(leaf, position, head.size, proof) != root:
            raise SealError(f"the snapshot with root {digest} is not in the log of the checkpoint")
    earlier = body.get("previous")
    if earlier is None:
        return Shown(verifier, head, len(root_digests), "", None)
    if not isinstance(earlier, dict):
        raise SealError(f"{PROOFS_FILE}: previous must be an object")
    before = read_checkpoint(_string(earlier, "checkpoint"), parse_verifier(_string(earlier, "verifier")))
    proof = _hashes(earlier.get("proof"))
    if not is_consistent(before.size, bytes.fromhex(before.root), head.size, root, proof):
        raise SealError(f"the log is no continuation of the one of the pack {_string(earlier, 'pack')}")
    return Shown(verifier, head, len(root_digests), _string(earlier, "pack"), before)


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SealError(f"{PROOFS_FILE} is not JSON") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise SealError(f"{PROOFS_FILE} is not of the format {FORMAT}")
    return body


def _entries(body: Mapping[str, Any]) -> dict[str, tuple[int, list[bytes]]]:
    listed = body.get("snapshots")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise SealError(f"{PROOFS_FILE}: snapshots must be a list of objects")
    found = {}
    for one in listed:
        position = one.get("position")
        if type(position) is not int:
            raise SealError(f"{PROOFS_FILE}: position must be a whole number")
        found[_string(one, "root_digest")] = position, _hashes(one.get("proof"))
    return found


def _hashes(nodes: Any) -> list[bytes]:
    try:
        found = [bytes.fromhex(node) for node in nodes]
    except (TypeError, ValueError) as error:
        raise SealError(f"{PROOFS_FILE}: a proof must be a list of hashes in hex") from error
    if any(len(node) != 32 for node in found):
        raise SealError(f"{PROOFS_FILE}: a proof must be a list of SHA-256 hashes")
    return found


def _string(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise SealError(f"{PROOFS_FILE}: {key} must be text")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SealError(f"{CHECKPOINT_FILE} is not UTF-8") from error
