"""`evidence reach … --at TIME`: the past is asked like the present, and which snapshot answered is said."""

import json
from pathlib import Path

import pytest

from evidence.sample import sample_dumps
from tests.cli.run import evidence

DUMPS = sample_dumps()[2:4]  # 1 August, and 20 August, when a policy more lets batch connect to the vault
RUNNER, VAULT = "batch/report-runner", "payments/card-vault"
COMMANDS = {
    "matrix": (),
    "explain": (RUNNER, VAULT, "5432"),
    "exposure": (),
    "paths": (RUNNER, VAULT),
    "blast": (RUNNER,),
    "unused": (),
    "why": (RUNNER, VAULT),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("at") / "evidence.db"
    for dump in DUMPS:
        taken = dump.taken_at.isoformat()
        ran = evidence("collect", "--from", dump.path, "--cluster", "shop", "--taken-at", taken, "--db", path)
        assert ran.code == 0, ran.err
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_newest_snapshot_at_the_time_answers_and_is_named(store: Path, command: str) -> None:
    ran = evidence("reach", command, *COMMANDS[command], "--db", store, "--at", "2026-08-02T12:00Z")
    assert ran.err.splitlines()[0] == "snapshot 1 of shop, taken 2026-08-01 06:00:00 UTC, as claimed"
    assert ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_time_before_the_first_snapshot_has_no_answer(store: Path, command: str) -> None:
    ran = evidence("reach", command, *COMMANDS[command], "--db", store, "--at", "2026-08-01T05:59Z")
    assert (ran.code, ran.out) == (2, "")
    assert (
        "holds no snapshot of shop at or before 2026-08-01 05:59:00 UTC; the oldest was taken 2026-08-01 06:00:00 UTC"
        in ran.err
    )


@pytest.mark.parametrize(("at", "verdict"), [("2026-08-20T05:59:59Z", "deny"), ("2026-08-20T06:00Z", "allow")])
def test_a_query_is_answered_as_of_its_time(store: Path, tmp_path: Path, at: str, verdict: str) -> None:
    queries = tmp_path / "queries.json"
    queries.write_text(json.dumps([{"from": RUNNER, "to": VAULT, "protocol": "TCP", "port": 5432}]))
    ran = evidence("reach", "query", "--queries", queries, "--db", store, "--at", at)
    assert [answer["verdict"] for answer in json.loads(ran.out)] == [verdict]


def test_both_sides_of_a_comparison_are_named(store: Path) -> None:
    ran = evidence("reach", "diff", "@2026-08-02", "@2", "--db", store)
    assert [line.partition(",")[0] for line in ran.err.splitlines()[:2]] == ["snapshot 1 of shop", "snapshot 2 of shop"]
