"""Wrong input at the command line: one clear sentence on standard error, the documented exit code, no traceback, nothing stored.

Exit codes: 0 good, 1 findings or a failed check, 2 usage, 3 could not do it.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence.sample import intent_path, sample_dumps
from tests.cli.run import Ran, evidence

DUMP = sample_dumps()[0].path
DRIFT = sample_dumps()[3]

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {}
  ingress:
    - from:
        - ipBlock: {cidr: 10.0.0.0/8}
"""


def collect(*arguments: object, db: str = "evidence.db") -> Ran:
    return evidence("collect", "--cluster", "shop", "--db", db, *arguments)


def snapshots(db: str = "evidence.db") -> int:
    """How many snapshots the store holds; 0 without a store."""
    if not Path(db).exists():
        return 0
    with sqlite3.connect(db) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        table = next((name for name in ("snapshots", "snapshot") if name in tables), None)
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] if table else 0


def assert_one_sentence(ran: Ran, code: int, *parts: str) -> None:
    assert ran.code == code, ran.said
    assert "Traceback" not in ran.said
    assert ran.err.startswith("evidence: ")
    assert ran.err.count("\n") == 1, ran.err
    for part in parts:
        assert part in ran.err


def test_a_dump_cannot_have_been_taken_in_the_future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = collect("--from", DUMP, "--taken-at", "2999-01-01T00:00Z")
    assert (ran.code, snapshots()) == (2, 0)
    assert "--taken-at 2999-01-01T00:00Z is still to come" in ran.err


def test_an_archive_that_cannot_be_made_names_the_option(own_folder: Path) -> None:
    assert collect("--from", DUMP).code == 0
    (own_folder / "file").touch()
    ran = evidence("report", "--framework", "pci", "--period", "2026-07-01..2026-07-02", "--archive", "file/archive")
    assert_one_sentence(ran, 3, "file/archive: cannot be made: Not a directory; choose another --archive")


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ("manifest.yaml",)),
        (b"kind: [unclosed\n", ("manifest.yaml",)),
        (b"\x00\x01\x02", ("manifest.yaml",)),
        (b'{"apiVersion": "v1", "kind": "List", "items": [', ("manifest.yaml",)),
        (POLICY.replace("10.0.0.0/8", "10.0.0.0/33").encode(), ("manifest.yaml", "10.0.0.0/33")),
        (POLICY.replace("podSelector: {}", "podSelector: {matchExpressions: [{key: a, operator: Like}]}").encode(), ("Like",)),
        (POLICY.replace("  podSelector: {}", "  podSelector: {}\n  podSelector: {}").encode(), ("manifest.yaml:6", "podSelector")),
        (POLICY.replace("podSelector: {}", "podSelector: 3").encode(), ("podSelector",)),
        (f"{POLICY}---\n{POLICY}".encode(), ("web",)),
        (b"just text\n", ("manifest.yaml",)),
        (("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))).encode(), ("manifest.yaml",)),
    ],
    ids=["empty", "not yaml", "bytes", "truncated json", "cidr", "operator", "duplicate key", "type", "duplicate object", "text", "alias bomb"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["collect", "assess", "cni"])
def test_a_wrong_manifest_is_named_and_nothing_is_stored(command: str, content: bytes, parts: tuple[str, ...]) -> None:
    Path("manifest.yaml").write_bytes(content)
    more = ("--cluster", "shop") if command == "collect" else ()
    assert_one_sentence(evidence(command, "--from", "manifest.yaml", *more), 3, *parts)
    assert snapshots() == 0


@pytest.mark.parametrize("command", ["collect", "assess", "cni"])
def test_a_missing_file_is_named(command: str) -> None:
    more = ("--cluster", "shop") if command == "collect" else ()
    assert_one_sentence(evidence(command, "--from", "nowhere.yaml", *more), 3, "nowhere.yaml")


def test_with_keep_going_the_rest_is_stored_and_the_snapshot_is_partial() -> None:
    Path("manifest.yaml").write_text(
        f"{POLICY.replace('10.0.0.0/8', '10.0.0.0/33')}---\n{POLICY.replace('web', 'other')}"
    )
    ran = collect("--from", "manifest.yaml", "--keep-going")
    assert ran.code == 3
    assert "10.0.0.0/33" in ran.err
    assert snapshots() == 1
    assert collect("--from", "manifest.yaml", "--keep-going", "--allow-partial").code == 0


def test_a_wrong_intent_file_is_named() -> None:
    Path("segmentation.yaml").write_text("zones: 3\n")
    assert_one_sentence(collect("--from", DUMP, "--intent", "segmentation.yaml"), 3, "segmentation.yaml")
    assert_one_sentence(collect("--from", DUMP, "--intent", "nowhere.yaml"), 3, "nowhere.yaml")
    assert snapshots() == 0


def test_standard_input_that_is_empty_is_an_error() -> None:
    assert_one_sentence(evidence("cni", "--from", "-"), 3)


# -- the store --------------------------------------------------------------------------------------------------------


def test_a_store_in_no_folder_is_named() -> None:
    assert_one_sentence(collect("--from", DUMP, db="/proc/nowhere/evidence.db"), 3, "/proc/nowhere/evidence.db")


def test_a_file_that_is_no_database_is_named() -> None:
    Path("evidence.db").write_bytes(b"this is not a database " * 100)
    assert_one_sentence(collect("--from", DUMP), 3, "evidence.db")


def test_a_database_of_an_unknown_kind_is_named() -> None:
    assert_one_sentence(collect("--from", DUMP, db="oracle9://nowhere/x"), 3, "oracle9")


@pytest.mark.slow
def test_a_locked_database_is_named() -> None:
    assert collect("--from", DUMP).code == 0
    with sqlite3.connect("evidence.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        ran = collect("--from", DUMP)
        other.execute("ROLLBACK")
    assert_one_sentence(ran, 3, "evidence.db")
    assert snapshots() == 1


def test_an_empty_store_says_what_to_do() -> None:
    assert_one_sentence(evidence("assess"), 3, "evidence collect")


def test_an_unknown_cluster_is_named_beside_those_that_there_are() -> None:
    assert collect("--from", DUMP).code == 0
    assert_one_sentence(evidence("assess", "--cluster", "shopp"), 2, "shopp", "shop")
    assert_one_sentence(report("--cluster", "shopp"), 2, "shopp", "shop")


def test_among_several_clusters_one_must_be_named() -> None:
    for name in ("one", "two"):
        assert evidence("collect", "--cluster", name, "--from", DUMP).code == 0
    assert_one_sentence(evidence("assess"), 2, "--cluster", "one, two")


def test_a_time_before_the_first_snapshot_is_an_error() -> None:
    assert collect("--from", DUMP, "--taken-at", "2026-07-01").code == 0
    ran = evidence("assess", "--at", "2020-01-01")
    assert ran.code in (2, 3)
    assert_one_sentence(ran, ran.code, "2020-01-01")


# -- the report -------------------------------------------------------------------------------------------------------


def report(*arguments: object) -> Ran:
    return evidence("report", "--framework", "pci", "--period", "2026-07-01..2026-09-30", *arguments)


def test_a_period_without_snapshots_is_an_error() -> None:
    Path("old.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n")
    assert collect("--from", "old.yaml", "--taken-at", "2020-01-01").code == 0
    assert_one_sentence(report(), 2, "no snapshot")


def test_an_unknown_framework_is_named_beside_those_that_there_are() -> None:
    assert collect("--from", DUMP, "--taken-at", "2026-07-01").code == 0
    assert_one_sentence(report("--framework", "iso"), 2, "'iso'", "pci")


def test_a_key_without_its_certificate_is_an_error() -> None:
    assert collect("--from", DUMP, "--taken-at", "2026-07-01").code == 0
    assert_one_sentence(report("--key", "key.pem"), 2, "--certificate")


def test_required_signing_without_a_key_is_an_error() -> None:
    assert collect("--from", DUMP, "--taken-at", "2026-07-01").code == 0
    assert_one_sentence(report("--require-signing"), 3, "--key")


def test_an_archive_that_cannot_be_written_is_named() -> None:
    assert collect("--from", DUMP, "--taken-at", "2026-07-01").code == 0
    Path("occupied").write_text("a file")
    for archive, named in (("occupied", "occupied"), ("/proc/nowhere/archive", "/proc/nowhere")):
        assert_one_sentence(report("--archive", archive), 3, named)


@pytest.mark.parametrize("pack", ["nowhere", "empty", "file.zip"])
def test_what_is_no_pack_is_named(pack: str) -> None:
    Path("empty").mkdir()
    Path("file.zip").write_bytes(b"PK no zip")
    ran = evidence("verify", pack)
    assert ran.code in (1, 3)
    assert "Traceback" not in ran.said
    assert pack in ran.said


# -- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "nonsense"),
        (("cni", "--nonsense"), "--nonsense"),
        (("report", "--framework", "pci"), "--period"),
        (("report", "--framework", "pci", "--period", "2026-07"), "2026-07-01..2026-09-30"),
        (("report", "--framework", "pci", "--period", "2026-09-30..2026-07-01"), "ends before it starts"),
        (("report", "--framework", "pci", "--period", "2026-07-01..2026-09-31"), "2026-09-31"),
        (("report", "--framework", "pci", "--period", "2026-07-01..2026-07-31", "--expect-every", "0h"), "0h"),
        (
            ("report", "--framework", "pci", "--period", "2026-07-01..2026-07-31", "--expect-every", "9999999999d"),
            "9999999999d",
        ),
        (("assess", "--at", "0001-01-01T00:00+14:00"), "0001-01-01"),
        (("collect", "--from", "x.yaml"), "--cluster"),
        (("collect", "--from", "x.yaml", "--cluster", "c", "--context", "y"), "--context"),
        (("collect", "--cluster", "c", "--taken-at", "2026-07-01"), "--from"),
        (("collect", "--from", "x", "--cluster", "c", "--taken-at", "yesterday"), "yesterday"),
        (("assess", "--fail-on", "dreadful"), "dreadful"),
        (("reach", "nonsense"), "nonsense"),
        (("reach", "explain", "a/b"), "DESTINATION"),
        (("cni", "--from", "x", "--format", "xml"), "xml"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    ran = evidence(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "period", ["9999-12-31..9999-12-31", "0001-01-01..0001-01-02", "..", "a..b", "2026-07-01T00:00+25:00..2026-08-01"]
)
def test_no_period_ends_in_a_traceback(period: str) -> None:
    assert collect("--from", DUMP).code == 0
    ran = evidence("report", "--framework", "pci", "--period", period)
    assert ran.code == 2
    assert ran.err


# -- the good ways ----------------------------------------------------------------------------------------------------


def test_good_commands_exit_0_and_leave_standard_error_alone() -> None:
    for ran in (
        collect("--from", DRIFT.path, "--taken-at", "2026-08-20T06:00Z", "--intent", intent_path()),
        evidence("assess"),
        evidence("cni"),
    ):
        assert (ran.code, ran.err) == (0, ""), ran.said
        assert ran.out


@pytest.mark.parametrize(("limit", "code"), [("low", 1), (None, 0)])
def test_findings_at_the_asked_severity_exit_1(limit: str | None, code: int) -> None:
    ran = evidence("assess", "--from", DUMP, *(("--fail-on", limit) if limit else ()))
    assert ran.code == code
    assert "NET-" in ran.out


def test_no_findings_at_the_asked_severity_exits_0() -> None:
    Path("empty.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n")
    assert evidence("assess", "--from", "empty.yaml", "--fail-on", "critical").code == 0


def test_debug_shows_the_traceback() -> None:
    from evidence.errors import EvidenceError

    with pytest.raises(EvidenceError):
        evidence("--debug", "cni", "--from", "nowhere.yaml")


def test_a_fault_of_our_own_is_a_sentence_and_says_so(broken: Callable[[Exception], None]) -> None:
    broken(ZeroDivisionError("division by zero"))
    with pytest.raises(AssertionError, match=r"fault of evidence itself \(ZeroDivisionError: division by zero\)"):
        evidence("cni", "--from", DUMP)
    with pytest.raises(ZeroDivisionError):
        evidence("--debug", "cni", "--from", DUMP)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Makes the reading of files fail in a way that nobody foresaw."""

    def breaks(error: Exception) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("evidence.pipeline.load_cluster", fail)

    return breaks


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device", "evidence.db"), PermissionError(13, "Permission denied", "x.db")]
)
def test_an_operating_systems_error_is_a_sentence_too(broken: Callable[[Exception], None], error: OSError) -> None:
    broken(error)
    assert_one_sentence(evidence("cni", "--from", DUMP), 3, error.strerror or "", str(error.filename))
