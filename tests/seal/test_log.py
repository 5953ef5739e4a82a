"""The check of a pack's log: the snapshots that its evidence names have to be in the log that its checkpoint signs."""

import json
from pathlib import Path

import pytest

from evidence.log.proof import CHECKPOINT_FILE, PROOFS_FILE, log_files, previous_of
from evidence.seal.keys import Signer
from evidence.seal.logkey import LOG_KEY_FILE, load_log_key, load_or_create_log_key
from evidence.seal.trust import Trust
from evidence.seal.verify import Outcome, Verification, verify
from tests.log.build import CLUSTER, VERIFIER, checkpoint, digest, log, places, tree
from tests.seal.builders import LATER, own_signer, report_files, report_pdf, sealed


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return own_signer(tmp_path_factory.mktemp("keys"))


def evidence(*roots: str) -> bytes:
    body = {"cover": {"cluster": CLUSTER}, "population": {"snapshots": [{"root_digest": root} for root in roots]}}
    return json.dumps(body).encode()


def pack(signer: Signer, evidence: bytes, proofs: dict[str, bytes]) -> dict[str, bytes]:
    files = {
        "evidence.json": evidence,
        "index.html": b"<script>" + evidence + b"</script>",
        "report.pdf": report_pdf(attached=evidence),
    }
    return sealed(signer, report_files(**files) | proofs)


def proofs(count: int, *roots: str, after: int = 0) -> dict[str, bytes]:
    entries = log(count)
    previous = previous_of("pci_before", proofs(after, digest(1))) if after else None
    return log_files(tree(entries), places(entries), checkpoint(entries), VERIFIER, CLUSTER, list(roots), previous)


def answer(files: dict[str, bytes]) -> Verification:
    return verify(files, Trust(), LATER)


def words(files: dict[str, bytes]) -> list[tuple[Outcome, str]]:
    return [(check.outcome, check.words) for check in answer(files).checks if check.name == "log"]


def test_a_pack_whose_snapshots_are_in_the_log_is_intact(signer: Signer) -> None:
    made = pack(signer, evidence(digest(1), digest(4)), proofs(6, digest(1), digest(4), after=3))
    [(outcome, said)] = words(made)
    assert outcome is Outcome.OK
    assert f"every snapshot (2) is in the log {VERIFIER.name} of 8 entries" in said
    assert "it continues, unchanged, the log of the pack pci_before (4 entries)" in said
    assert answer(made).intact


def test_the_first_pack_of_an_archive_says_so(signer: Signer) -> None:
    [(outcome, said)] = words(pack(signer, evidence(digest(1)), proofs(6, digest(1))))
    assert (outcome, "no earlier pack stood beside it" in said) == (Outcome.OK, True)


def test_evidence_of_a_snapshot_that_is_not_in_the_log_fails_whoever_signed_it(signer: Signer) -> None:
    made = pack(signer, evidence(digest(1), digest(77)), proofs(6, digest(1)))
    assert [outcome for outcome, _ in words(made)] == [Outcome.FAILED]
    assert not answer(made).intact


@pytest.mark.parametrize("missing", [CHECKPOINT_FILE, PROOFS_FILE])
def test_half_a_log_fails(signer: Signer, missing: str) -> None:
    kept = {path: content for path, content in proofs(6, digest(1)).items() if path != missing}
    assert words(pack(signer, evidence(digest(1)), kept)) == [(Outcome.FAILED, f"{missing} is missing")]


def test_evidence_of_another_shape_fails_beside_a_log(signer: Signer) -> None:
    assert words(pack(signer, b'{"cover": []}\n', proofs(6, digest(1)))) == [
        (Outcome.FAILED, "evidence.json does not name a cluster and its snapshots")
    ]


def test_evidence_whose_cluster_has_no_name_in_utf_8_fails_beside_a_log(signer: Signer) -> None:
    odd = evidence(digest(1)).replace(CLUSTER.encode(), rb"\ud800")
    assert [outcome for outcome, _ in words(pack(signer, odd, proofs(6, digest(1))))] == [Outcome.FAILED]


def test_a_pack_without_a_log_is_said_to_have_none(signer: Signer) -> None:
    assert [outcome for outcome, _ in words(sealed(signer))] == [Outcome.NOT_CHECKED]


# -- the key ----------------------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert load_log_key(folder) is None
    made = load_or_create_log_key(folder).private_bytes_raw()
    assert load_or_create_log_key(folder).private_bytes_raw() == made
    assert (folder / LOG_KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_that_strangers_may_read_is_refused(tmp_path: Path) -> None:
    load_or_create_log_key(tmp_path)
    (tmp_path / LOG_KEY_FILE).chmod(0o604)
    with pytest.raises(Exception, match="other users can reach the key"):
        load_log_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOG_KEY_FILE).write_bytes(content)
    (tmp_path / LOG_KEY_FILE).chmod(0o600)
    with pytest.raises(Exception, match="the key is damaged"):
        load_log_key(tmp_path)
