"""`evidence diff`: two snapshots of the sample cluster, before and after a policy let batch jobs reach the card vault."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evidence import resources
from evidence.sample import intent_path, sample_dumps
from tests.cli.run import evidence

POLICY = {"resource": "networkpolicies", "namespace": "payments", "apiGroup": "networking.k8s.io", "apiVersion": "v1"}


def event(number: int, user: str, verb: str, name: str, at: str) -> dict[str, Any]:
    """A line of an API server's audit log."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "requestURI": f"/apis/networking.k8s.io/v1/namespaces/payments/networkpolicies/{name}",
        "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"]},
        "sourceIPs": ["10.0.0.9"],
        "userAgent": "kubectl/v1.36",
        "objectRef": {**POLICY, "name": name},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": at,
        "stageTimestamp": at,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diff")
    path = folder / "evidence.db"
    for dump in sample_dumps()[2:4]:
        taken = dump.taken_at.isoformat()
        ran = evidence("collect", "--from", dump.path, "--cluster", "shop", "--taken-at", taken, "--intent", intent_path(),
                       "--db", path)  # fmt: skip
        assert ran.code == 0, ran.err
    log = folder / "audit.log"
    events = [
        event(1, "mallory", "create", "debug-allow", "2026-08-20T02:00:00Z"),
        event(2, "bob", "patch", "dns", "2026-08-10T02:00:00Z"),
        event(3, "bob", "delete", "dns", "2026-09-10T02:00:00Z"),
    ]
    log.write_text("".join(json.dumps(one) + "\n" for one in events))
    ran = evidence("import", "audit", log, "--cluster", "shop", "--db", path)
    assert ran.code == 0, ran.err
    return path


def test_json_follows_its_schema_and_tells_objects_flows_findings_and_who(store: Path) -> None:
    ran = evidence("diff", "1", "2", "--db", store, "--format", "json")
    assert ran.code == 0, ran.err
    body = json.loads(ran.out)
    schema = json.loads(resources.package_file("pipeline", "diff.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(body)
    policy = next(change for change in body["objects"] if change["object"]["kind"] == "NetworkPolicy")
    assert (policy["change"], policy["object"]["name"], policy["doubts"]) == ("added", "debug-allow", [])
    assert policy["manager"] == "kubectl-client-side-apply"
    assert [(write["user"], write["verb"]) for write in policy["writes"]] == [("mallory", "create")]
    assert [(flow["source"], flow["destination"], flow["added"]) for flow in body["flows"]["changes"]] == [
        ("batch/Deployment/report-runner", "payments/StatefulSet/card-vault", "TCP 5432")
    ]
    came = {found["rule"] for found in body["findings"] if found["change"] == "came" and found["doubt"] is None}
    assert {"SEG-001", "CHG-004"} <= came
    assert not [found for found in body["findings"] if found["change"] == "went"]
    assert [(write["user"], write["object"]["name"]) for write in body["other_writes"]] == [("bob", "dns")]


def test_the_table_says_the_same(store: Path) -> None:
    ran = evidence("diff", "2026-08-01T07:00Z", "newest", "--db", store)
    assert ran.code == 0, ran.err
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0].startswith("from snapshot 1 of shop, taken 2026-08-01 06:00:00 UTC, as claimed, ")
    assert "Objects: 2 added" in lines
    assert "mallory: create at 2026-08-20 02:00:00 UTC from 10.0.0.9 (kubectl/v1.36)" in lines
    assert "+ batch/Deployment/report-runner payments/StatefulSet/card-vault TCP 5432" in lines
    assert any(line.startswith("+ critical SEG-001 ZonePair batch -> card-data") for line in lines)
    assert "Audit logs: 1, and 1 writes in them that left no difference" in lines


def test_a_snapshot_beside_itself_shows_no_change(store: Path) -> None:
    body = json.loads(evidence("diff", "2", "newest", "--db", store, "--format", "json").out)
    assert body["before"] == body["after"]
    assert [body[part] for part in ("remarks", "objects", "findings", "other_writes")] == [[], [], [], []]
    assert (body["flows"]["changes"], body["flows"]["possible"]) == ([], [])


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("2", "1"), 2, "give the earlier one first"),
        (("1", "99"), 3, "evidence: snapshot 99 in the store {store}: there is none of that number"),
        (("1", "yesterday"), 2, "'yesterday' is not a time"),
        (("2020-01-01", "newest"), 2, "holds no snapshot of shop at or before 2020-01-01"),
        (("1", "2", "--cluster", "bank"), 2, "there is no cluster 'bank' in the store"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_sentence(store: Path, asked: tuple[str, ...], code: int, said: str) -> None:
    ran = evidence("diff", *asked, "--db", store)
    assert (ran.code, said.replace("{store}", str(store)) in " ".join(ran.err.split())) == (code, True), ran.err


def test_two_clusters_are_not_compared(store: Path, tmp_path: Path) -> None:
    both = tmp_path / "evidence.db"
    both.write_bytes(store.read_bytes())
    assert evidence("collect", "--from", sample_dumps()[0].path, "--cluster", "bank", "--db", both).code == 0
    ran = evidence("diff", "1", "3", "--db", both)
    assert (ran.code, "snapshot 3 is of cluster bank, not of shop" in ran.err) == (2, True)
    assert evidence("diff", "1", "2", "--db", both).code == 0  # a number says which cluster is meant
    assert "the store holds several clusters" in evidence("diff", "2026-08-02", "newest", "--db", both).err


def test_another_intent_file_is_said(store: Path, tmp_path: Path) -> None:
    changed, other = tmp_path / "evidence.db", tmp_path / "segmentation.yaml"
    changed.write_bytes(store.read_bytes())
    other.write_text(intent_path().read_text() + "\n# another\n")
    dump = sample_dumps()[3]
    ran = evidence("collect", "--from", dump.path, "--cluster", "shop", "--taken-at", "2026-08-21", "--intent", other,
                   "--db", changed)  # fmt: skip
    assert ran.code == 0, ran.err
    body = json.loads(evidence("diff", "2", "3", "--db", changed, "--format", "json").out)
    assert [remark.split(":")[0] for remark in body["remarks"]] == ["intent file"]
