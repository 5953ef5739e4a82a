"""What a pack carries of the log convinces a reader who has nothing else, and what was forged does not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from evidence.canonical import canonical_json
from evidence.errors import SealError
from evidence.log.entries import EntryKind, LogEntry, tree_head
from evidence.log.proof import CHECKPOINT_FILE, PROOFS_FILE, Previous, check_log, log_files, previous_of
from tests.log.build import CLUSTER, OTHER_KEY, VERIFIER, checkpoint, digest, log, places, tree

ROOTS = [digest(2), digest(5)]


def files(entries: list[LogEntry], previous: Previous | None = None, roots: list[str] = ROOTS) -> dict[str, bytes]:
    return log_files(tree(entries), places(entries), checkpoint(entries), VERIFIER, CLUSTER, roots, previous)


def earlier(entries: list[LogEntry]) -> Previous:
    found = previous_of("pci_before", files(entries))
    assert found is not None
    return found


def test_snapshots_are_shown_to_be_in_the_log() -> None:
    made = files(log(7))
    shown = check_log(made[CHECKPOINT_FILE], made[PROOFS_FILE], CLUSTER, ROOTS)
    assert (shown.head, shown.snapshots, shown.previous_head) == (tree_head(log(7)), 2, None)


def test_a_later_pack_shows_that_the_log_only_grew() -> None:
    made = files(log(9), earlier(log(7)))
    shown = check_log(made[CHECKPOINT_FILE], made[PROOFS_FILE], CLUSTER, ROOTS)
    assert (shown.previous, shown.previous_head) == ("pci_before", tree_head(log(7)))


def test_a_log_that_was_written_anew_makes_no_later_pack() -> None:
    forged = [*log(2), LogEntry(EntryKind.SNAPSHOT, CLUSTER, digest(99)), *log(9)[2:]]
    for anew in (forged, log(6), log(9)[1:]):
        with pytest.raises(SealError, match="no continuation of the one that the pack pci_before was made from"):
            files(anew, earlier(log(7)), roots=[digest(3)])


def test_a_snapshot_that_is_not_in_the_log_makes_no_pack() -> None:
    with pytest.raises(SealError, match="no entry for the snapshot with root 0000"):
        files(log(3), roots=[digest(7)])
    with pytest.raises(SealError, match="no entry"):
        log_files(tree(log(3)), places(log(3), "another"), checkpoint(log(3)), VERIFIER, "another", [digest(1)], None)


@pytest.mark.parametrize(
    ("cluster", "roots", "words"),
    [
        (CLUSTER, [*ROOTS, digest(3)], "no proof for the snapshot"),
        ("another", ROOTS, "is not in the log of the checkpoint"),
    ],
)
def test_evidence_that_names_other_snapshots_is_not_shown(cluster: str, roots: list[str], words: str) -> None:
    made = files(log(7))
    with pytest.raises(SealError, match=words):
        check_log(made[CHECKPOINT_FILE], made[PROOFS_FILE], cluster, roots)


def changed(made: dict[str, bytes], change: Callable[[dict[str, Any]], Any]) -> bytes:
    body = json.loads(made[PROOFS_FILE])
    change(body)
    return canonical_json(body)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another root": lambda body: body["snapshots"][0].update(root_digest=digest(3)),
    "another position": lambda body: body["snapshots"][0].update(position=1),
    "a position beyond": lambda body: body["snapshots"][0].update(position=99),
    "no position": lambda body: body["snapshots"][0].pop("position"),
    "a node changed": lambda body: body["snapshots"][0]["proof"].__setitem__(0, digest(1)),
    "a node cut": lambda body: body["snapshots"][0]["proof"].pop(),
    "a node too many": lambda body: body["snapshots"][0]["proof"].append(digest(1)),
    "a node that is no hash": lambda body: body["snapshots"][0]["proof"].append("ab"),
    "proofs of another shape": lambda body: body.update(snapshots={}),
    "another log's key": lambda body: body.update(verifier="x+00000000+AQ=="),
    "another earlier pack": lambda body: body["previous"].update(checkpoint=checkpoint(log(4))),
    "an earlier pack of a forger": lambda body: body["previous"].update(checkpoint=checkpoint(log(7), OTHER_KEY)),
    "an empty consistency proof": lambda body: body["previous"].update(proof=[]),
    "no list of nodes": lambda body: body["previous"].update(proof=None),
    "another format": lambda body: body.update(format="evidence-log-proofs/2"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_proofs_show_nothing(change: str) -> None:
    made = files(log(9), earlier(log(7)))
    with pytest.raises(SealError):
        check_log(made[CHECKPOINT_FILE], changed(made, CHANGES[change]), CLUSTER, ROOTS)


def test_a_checkpoint_of_another_size_of_the_same_log_shows_nothing() -> None:
    made = files(log(9))
    with pytest.raises(SealError, match="is not in the log of the checkpoint"):
        check_log(checkpoint(log(8)).encode(), made[PROOFS_FILE], CLUSTER, ROOTS)


def test_a_pack_without_a_log_has_nothing_to_continue() -> None:
    assert previous_of("old", {"index.html": b""}) is None
