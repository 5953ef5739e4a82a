"""What the log is a log of: one entry for each thing that was ever put into a store, in the order in which it came in.

An entry names a kind, a cluster and the digest of the thing; its leaf is the canonical JSON of [kind, cluster, digest]. The digests are the
store's own: a snapshot's root digest, a record's and a failed run's digest, and of a pack the SHA-256 of its SHA256SUMS, which is what
its signature signs. Prunes and legal holds concern the store as a whole: their cluster is "", which is no cluster's name. Waivers and
reviews stand in the owner's intent file, whose digest is part of a snapshot's root.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from evidence.canonical import canonical_json
from evidence.log.merkle import leaf_hash, tree_hash


class EntryKind(StrEnum):
    SNAPSHOT = "snapshot"
    FAILED_RUN = "failed-run"
    RECORD = "record"
    PACK = "pack"
    PRUNE = "prune"
    HOLD = "hold"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry. `digest` is lower-case hex; `kind` is text, because a newer version may write kinds that this one does not know."""

    kind: str
    cluster: str
    digest: str

    @property
    def hash(self) -> bytes:
        """The hash of the entry's leaf."""
        return leaf_hash(canonical_json([self.kind, self.cluster, self.digest]))


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The log at one size: `root` is the tree hash (hex) over its first `size` entries."""

    size: int
    root: str


def tree_head(entries: Iterable[LogEntry]) -> TreeHead:
    """The head of the log that consists of these."""
    hashes = [entry.hash for entry in entries]
    return TreeHead(len(hashes), tree_hash(hashes).hex())
