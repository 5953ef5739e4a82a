"""Logs on their way: from a file into a record, into findings, into a report, by the commands that a user types."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from evidence.errors import CollectError, InputError, StoreError, UsageError
from evidence.findings.spells import Spells
from evidence.pipeline.asking import keys_of
from evidence.pipeline.assessing import assess_history
from evidence.pipeline.imports import ImportedFlows, import_audit, import_flows
from evidence.pipeline.observations import agreements, seen_in
from evidence.pipeline.snapshots import collect_snapshot
from evidence.pipeline.sources import FileSource
from evidence.pipeline.timeline import Timeline, period_timeline
from evidence.store import NewRecord, RecordKind, Store, Term
from tests.cli.run import evidence
from tests.pipeline.periods import assess_period, assessed_one_by_one

START = datetime(2026, 7, 1, tzinfo=UTC)
TAKEN_IN = START + timedelta(days=40)
OPEN_DAY = 20  # the day from which on anybody may reach the vault
INTENT = """\
zones:
  - {name: cde, classification: cde, members: [{namespaces: [pay]}]}
  - {name: web, classification: connected-to, members: [{namespaces: [web]}]}
"""


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def pod(name: str, namespace: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": name},
            "creationTimestamp": "2026-06-01T00:00:00Z",
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "c:1"}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }


def state(number: float) -> list[dict[str, Any]]:
    """The cluster on a day: the vault takes connections from web alone, later from everybody."""
    peers = (
        [] if number >= OPEN_DAY else [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}}}]
    )
    return [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("pay", "web", "batch")),
        pod("vault", "pay", "10.0.0.1"),
        pod("app", "web", "10.0.0.2"),
        pod("job", "batch", "10.0.0.3"),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "vault", "namespace": "pay", "creationTimestamp": "2026-06-01T00:00:00Z"},
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": peers, "ports": [{"port": 8443}]} if peers else {"ports": [{"port": 8443}]}],
            },
        },
    ]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a snapshot every ten days."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "intent.yaml").write_text(INTENT)
    for number in (0, 10, 20, 30):
        dump = folder / f"{number}.yaml"
        dump.write_text(yaml.safe_dump_all(state(number)))
        collect_snapshot(
            str(folder / "evidence.db"),
            FileSource([str(dump)]),
            cluster="prod",
            taken_at=day(number),
            received_at=TAKEN_IN,
            intent_path=folder / "intent.yaml",
            keep_going=False,
        )
    return folder / "evidence.db"


@pytest.fixture
def db(collected: Path, tmp_path: Path) -> str:
    copy = tmp_path / "evidence.db"
    copy.write_bytes(collected.read_bytes())
    return str(copy)


def line(number: float, source: str, *, outcome: str = "ACCEPT", port: int = 8443, direction: str = "ingress") -> str:
    """A line of a log that names addresses alone, of a day."""
    message = f"Flow Info: Src IP: {source} Src Port: 40000 Dest IP: 10.0.0.1 Dest Port: {port} Proto TCP Verdict {outcome} Direction {direction}"
    return json.dumps({"level": "info", "ts": day(number).isoformat(), "msg": message}) + "\n"


def take_in(db: str, tmp_path: Path, *lines: str, **given: Any) -> ImportedFlows:
    log = tmp_path / "agent.log"
    log.write_text("".join(lines))
    return take_file(db, str(log), **given)


def take_file(db: str, path: str, **given: Any) -> ImportedFlows:
    options: dict[str, Any] = {
        "format_name": "aws-vpc-cni",
        "cluster": None,
        "stdin": BytesIO(),
        "taken_in_at": TAKEN_IN,
        "keep_going": False,
    }
    return import_flows(db, [path], **{**options, **given})


def test_addresses_become_the_pods_that_had_them_and_the_record_covers_the_lines(db: str, tmp_path: Path) -> None:
    done = take_in(db, tmp_path, line(5, "10.0.0.2"), line(6, "10.0.0.2"), line(6, "10.0.0.99", outcome="DENY"))
    assert (done.info.starts_at, done.info.ends_at, done.info.cluster) == (day(5), day(6), "prod")
    assert sorted({(str(flow.source), str(flow.destination), flow.outcome.value) for flow in done.log.flows}) == [
        ("10.0.0.99", "Pod pay/vault", "denied"),
        ("Pod web/app", "Pod pay/vault", "allowed"),
    ]
    with Store.open(db) as store:
        assert store.check().problems == ()


def test_a_log_of_a_time_whose_snapshots_were_pruned_is_taken_in_and_names_no_pod(db: str, tmp_path: Path) -> None:
    with Store.open(db) as store:
        run = store.latest("prod").run
        store.retention.prune(day(41), timedelta(), (Term("pci", 1, "test"),), TAKEN_IN, run)
        assert len(store.retention.pruned("prod", START, TAKEN_IN)) == 3
    (flow,) = take_in(db, tmp_path, line(5, "10.0.0.2")).log.flows
    assert (str(flow.source), str(flow.destination)) == ("10.0.0.2", "10.0.0.1")


def test_the_same_file_again_is_the_same_record_also_compressed(db: str, tmp_path: Path) -> None:
    first = take_in(db, tmp_path, line(5, "10.0.0.2"))
    again = take_in(db, tmp_path, line(5, "10.0.0.2"), taken_in_at=TAKEN_IN + timedelta(days=1))
    assert again.info == first.info
    packed = tmp_path / "agent.log.gz"
    packed.write_bytes(gzip.compress(line(5, "10.0.0.2").encode()))
    unpacked = take_file(db, str(packed)).log
    assert (unpacked.flows, unpacked.files[0].size) == (first.log.flows, packed.stat().st_size)
    piped = take_file(db, "-", stdin=BytesIO(packed.read_bytes())).log
    assert (piped.flows, piped.files[0].name) == (first.log.flows, "standard input")


def test_lines_that_cannot_be_read_are_named_and_nothing_is_stored_unless_they_may_be_left_out(
    db: str, tmp_path: Path
) -> None:
    lines = (line(5, "10.0.0.2"), "{broken\n", "\n", line(6, "10.0.0.999"))
    with pytest.raises(InputError) as refused:
        take_in(db, tmp_path, *lines)
    first, second = str(refused.value).splitlines()[:2]
    assert "agent.log:2: is not JSON: " in first
    assert second.endswith("agent.log:4: '10.0.0.999' does not appear to be an IPv4 or IPv6 address")
    with Store.open(db) as store:
        assert store.records("prod", START, TAKEN_IN) == ()
    log = take_in(db, tmp_path, *lines, keep_going=True).log
    assert (log.lines, log.bad, log.sightings, len(log.files[0].named)) == (3, 2, 1, 2)
    assert "2 of 3 lines could not be read" in log.losses


def test_of_very_many_bad_lines_the_first_few_are_named(db: str, tmp_path: Path) -> None:
    many = ["nonsense\n"] * 5000
    with pytest.raises(InputError, match=r"agent\.log:10: is not JSON.*\nand 1 more\nnothing was stored"):
        take_in(db, tmp_path, *many)
    log = take_in(db, tmp_path, *many, line(5, "10.0.0.2"), keep_going=True).log
    assert (log.bad, len(log.files[0].named)) == (5000, 10)


def test_a_line_without_end_is_cut_and_counted(db: str, tmp_path: Path) -> None:
    log = take_in(db, tmp_path, "x" * (3 << 20) + "\n", line(5, "10.0.0.2"), keep_going=True).log
    assert (log.lines, log.bad, log.sightings) == (2, 1, 1)
    assert "longer than" in log.files[0].named[0]


def test_a_log_of_another_format_is_refused_and_says_what_it_holds(db: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds no connection in the form of OVN ACL logs \(only 1 other lines of ovn-controller\)"
    ):
        take_in(db, tmp_path, line(5, "10.0.0.2"), format_name="ovn")
    with pytest.raises(InputError, match=r"agent\.log: holds no line; nothing was stored"):
        take_in(db, tmp_path, "\n")
    with pytest.raises(CollectError, match=r"gone\.log: cannot be read: No such file"):
        take_file(db, str(tmp_path / "gone.log"))


def test_a_packed_file_that_is_cut_off_is_refused(db: str, tmp_path: Path) -> None:
    packed = tmp_path / "agent.log.gz"
    packed.write_bytes(gzip.compress((line(5, "10.0.0.2") * 1000).encode())[:-20])
    with pytest.raises(CollectError, match="cannot be read"):
        take_file(db, str(packed), keep_going=True)


def test_another_clusters_name_is_refused_once_there_are_snapshots(db: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no cluster 'prodd' in the store: give --cluster, one of prod"):
        take_in(db, tmp_path, line(5, "10.0.0.2"), cluster="prodd")


def test_a_store_without_snapshots_needs_the_clusters_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --cluster NAME"):
        take_in(str(tmp_path / "new.db"), tmp_path, line(5, "10.0.0.2"))
    assert take_in(str(tmp_path / "new.db"), tmp_path, line(5, "10.0.0.2"), cluster="prod").info.cluster == "prod"


def test_a_record_of_another_form_is_named_and_not_guessed_at(db: str) -> None:
    with Store.open(db) as store:
        run = store.latest("prod").run
        store.add_record(NewRecord("prod", RecordKind.FLOW_LOG, day(5), day(6), TAKEN_IN, {"version": 9}, run))
    with (
        Store.open(db, read_only=True) as store,
        pytest.raises(StoreError, match=r"record 1 .* in form 9, .* import the log again"),
    ):
        assess_period(store, "prod", EVERY_SNAPSHOT)


# -- findings of a period

EVERY_SNAPSHOT = (START, day(31))


def found(db: str, rule: str) -> Iterator[tuple[int, str]]:
    """Day of the snapshot and subject of each finding of a rule."""
    with Store.open(db, read_only=True) as store:
        for one in assess_period(store, "prod", EVERY_SNAPSHOT):
            for finding in one.assessment.findings:
                if finding.rule_id == rule:
                    assert one.state.taken_at is not None
                    yield (one.state.taken_at - START).days, str(finding.subject)


def test_a_contradiction_is_found_at_the_snapshots_of_its_time(db: str, tmp_path: Path) -> None:
    take_in(db, tmp_path, *hubble(5, "job"), format_name="hubble")
    assert list(found(db, "LOG-006")) == [(0, "Workload pay/vault"), (10, "Workload pay/vault")]


@pytest.mark.parametrize("number", [15, 25], ids=["before the change", "since it"])
def test_what_the_policies_of_one_neighbouring_snapshot_allow_is_none(db: str, tmp_path: Path, number: int) -> None:
    take_in(db, tmp_path, *hubble(number, "job"), format_name="hubble")
    assert list(found(db, "LOG-006")) == []


def hubble(number: float, source: str, verdict: str = "FORWARDED") -> tuple[str, ...]:
    flow = {
        "time": day(number).isoformat(),
        "verdict": verdict,
        "drop_reason_desc": "POLICY_DENIED",
        "IP": {"source": "10.0.0.3", "destination": "10.0.0.1"},
        "l4": {"TCP": {"destination_port": 8443, "flags": {"SYN": True}}},
        "source": {"namespace": "batch" if source == "job" else "web", "pod_name": source},
        "destination": {"namespace": "pay", "pod_name": "vault"},
        "traffic_direction": "INGRESS",
        "is_reply": False,
    }
    return (json.dumps({"flow": flow}) + "\n",)


def test_denials_back_the_zones_that_they_protect_near_their_time(db: str, tmp_path: Path) -> None:
    take_in(db, tmp_path, *hubble(5, "job", "DROPPED"), *hubble(5, "app"), format_name="hubble")
    with Store.open(db, read_only=True) as store:
        assessed = assess_period(store, "prod", EVERY_SNAPSHOT)
    assert [[(one.denied, sorted(one.zones)) for one in agreements(each)] for each in assessed] == [
        [(1, ["cde"])],
        [(1, ["cde"])],
        [],
        [],
    ]


def test_each_connection_of_a_period_is_tied_to_one_snapshot(db: str, tmp_path: Path) -> None:
    days = (-3, 5, 15, 25, 33, 45)
    take_in(db, tmp_path, *(each for number in days for each in hubble(number, "app")), format_name="hubble")
    with Store.open(db, read_only=True) as store:
        assessed = assess_period(store, "prod", EVERY_SNAPSHOT)
    seen = seen_in([(day(10 * number), one.observed) for number, one in enumerate(assessed)], EVERY_SNAPSHOT)
    assert [(tied.flow.first - START).days for tied in seen.logged] == [5, 15, 25]
    assert [taken.log.sightings for taken in seen.logs] == [6]


def test_logs_tell_of_each_snapshot_what_they_tell_of_it_alone(db: str, tmp_path: Path) -> None:
    flows = [each for number in (5, 15, 25) for each in (*hubble(number, "job"), *hubble(number, "app", "DROPPED"))]
    take_in(db, tmp_path, *flows, format_name="hubble")
    with Store.open(db, read_only=True) as store:
        shared, alone = assess_period(store, "prod", EVERY_SNAPSHOT), assessed_one_by_one(store, "prod", EVERY_SNAPSHOT)
        for one, other in zip(shared, alone, strict=True):
            assert one.assessment == other.assessment
            assert agreements(one) == agreements(other)


# -- audit logs


def event(number: float, verb: str = "patch", **changed: Any) -> str:
    value = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": f"id-{number}-{verb}",
        "stage": "ResponseComplete",
        "requestURI": "/apis/networking.k8s.io/v1/namespaces/pay/networkpolicies/vault",
        "verb": verb,
        "user": {"username": "alice", "groups": ["admins", "system:authenticated"]},
        "sourceIPs": ["10.0.0.9"],
        "userAgent": "kubectl/v1.36",
        "objectRef": {
            "resource": "networkpolicies",
            "namespace": "pay",
            "name": "vault",
            "apiGroup": "networking.k8s.io",
            "apiVersion": "v1",
        },
        "responseStatus": {"code": 200},
        "requestObject": {"spec": "s3cret"},
        "responseObject": {"spec": "s3cret"},
        "annotations": {"authorization.k8s.io/reason": "s3cret"},
        "stageTimestamp": day(number).isoformat(),
    }
    return json.dumps({**value, **changed})


def test_of_an_audit_log_only_who_wrote_what_is_kept(db: str, tmp_path: Path) -> None:
    namespaces = {"resource": "namespaces", "namespace": "pay", "name": "pay"}
    pods = {"resource": "pods", "namespace": "pay", "name": "vault"}
    secrets = {"resource": "secrets", "namespace": "pay", "name": "s3cret"}
    calico = {"resource": "globalnetworkpolicies", "apiGroup": "projectcalico.org", "name": "x"}
    events = [
        event(1),
        event(2, "update", objectRef=namespaces, impersonatedUser={"username": "root"}),
        event(3, "patch", objectRef=pods),
        event(3, "delete", objectRef=calico, responseStatus={"code": 403}),
        event(4, "get"),
        event(4, "create", objectRef=secrets),
        event(4, "create", objectRef=pods),
        event(4, "patch", objectRef=pods, user={"username": "system:node:n1"}),
        event(4, "patch", objectRef={**pods, "subresource": "status"}),
        event(4, "patch", requestURI="/x?dryRun=All"),
        event(4, "patch", stage="RequestReceived"),
    ]
    log = tmp_path / "audit.json"
    log.write_text("\n".join(events))
    done = import_audit(db, [str(log)], cluster=None, stdin=BytesIO(), taken_in_at=TAKEN_IN, keep_going=False)
    assert [(change.actor, change.verb, str(change.object), change.code) for change in done.log.changes] == [
        ("alice", "patch", "NetworkPolicy pay/vault", 200),
        ("alice as root", "update", "Namespace pay", 200),
        ("alice", "delete", "Calico GlobalNetworkPolicy x", 403),
        ("alice", "patch", "Pod pay/vault", 200),
    ]
    assert (done.log.events, sum(done.log.left_out.values())) == (11, 7)
    assert (done.info.starts_at, done.info.ends_at) == (day(1), day(4))
    assert done.log.changes[0].groups == ("admins",)
    with Store.open(db) as store:
        document = json.dumps(store.read_record(done.info.id).document)
    assert "s3cret" not in document
    assert "s3cret" not in Path(db).read_bytes().decode("latin-1")


def test_lists_of_events_are_read_too_and_what_is_no_event_is_refused(db: str, tmp_path: Path) -> None:
    log = tmp_path / "audit.json"
    log.write_text(json.dumps({"kind": "EventList", "items": [json.loads(event(1)), json.loads(event(2))]}))
    done = import_audit(db, [str(log)], cluster=None, stdin=BytesIO(), taken_in_at=TAKEN_IN, keep_going=False)
    assert len(done.log.changes) == 2
    log.write_text('{"kind": "Pod"}\n')
    with pytest.raises(InputError, match=r"audit\.json:1: is no event of an API server's audit log"):
        import_audit(db, [str(log)], cluster=None, stdin=BytesIO(), taken_in_at=TAKEN_IN, keep_going=False)


# -- the commands


def test_the_commands_say_what_was_taken_in_and_assess_looks_at_it(db: str, tmp_path: Path) -> None:
    log = tmp_path / "flows.json"
    log.write_text("".join((*hubble(29, "app"), '{"lost_events": {"num_events_lost": 3}}\n', "oops\n")))
    done = evidence("import", "flows", "--format", "hubble", str(log), "--db", db, "--keep-going")
    assert done.code == 0
    assert (
        "record 1 of prod: Cilium Hubble, 2026-07-30T00:00:00Z to 2026-07-30T00:00:00Z, 3 lines of 1 file" in done.out
    )
    assert "connections: 1 allowed" in done.out
    assert "lost: 3 events (source not said) lost by the source" in done.err
    assert "flows.json:3: is not JSON" in done.err
    assessed = evidence("assess", "--db", db, "--at", "2026-07-31")
    assert "LOG-001" in assessed.out
    agent = tmp_path / "agent.log"
    agent.write_text(line(5, "10.0.0.99") + line(5, "8.8.8.8"))
    done = evidence("import", "flows", "--format", "aws-vpc-cni", agent, "--db", db)
    assert "of 1 flow no snapshot around that time says which pod had the private address" in done.out
    audit = tmp_path / "audit.json"
    audit.write_text(event(1))
    assert (
        "1 write kept of 1 event: 1 done, 0 refused or failed"
        in evidence("import", "audit", str(audit), "--db", db).out
    )


def test_prefixes_are_for_netfilter_alone(db: str, tmp_path: Path) -> None:
    refused = evidence("import", "flows", "--format", "ovn", "x.log", "--denied-prefix", "DROP", "--db", db)
    assert (refused.code, "are for --format netfilter" in refused.err) == (2, True)


def test_a_history_tells_of_what_logs_show_as_every_snapshot_does(db: str, tmp_path: Path) -> None:
    take_in(db, tmp_path, *hubble(5, "job"), format_name="hubble")
    period = (START, day(40))
    told = period_timeline(db, cluster="prod", period=period, expect_every=timedelta(days=10), now=day(40))
    whole = Spells()
    with Store.open(db, read_only=True) as store:
        for one in assess_period(store, "prod", period):
            assert one.state.taken_at
            whole.look(one.state.taken_at, one.assessment)
    assert {history.finding.fingerprint: history.spells for history in told.findings} == {
        history.finding.fingerprint: history.spells for history in whole.histories()
    }
    (contradiction,) = [history for history in told.findings if history.finding.rule_id == "LOG-006"]
    assert [(spell.opened_at, spell.ended_at) for spell in contradiction.spells] == [
        (day(0), day(30))  # on day 20 the rule had no log to look at, so it closed nothing
    ]


def test_a_kept_assessment_stands_for_what_records_told_then(db: str, tmp_path: Path) -> None:
    period = (START, day(40))

    def told(*, afresh: bool) -> Timeline:
        return period_timeline(
            db, cluster="prod", period=period, expect_every=timedelta(days=10), now=day(40), frameworks=("pci",), afresh=afresh
        )  # fmt: skip

    assess_history(db, cluster="prod", since=None, processes=1, clock=lambda: TAKEN_IN)
    assert told(afresh=False).evaluated == 0
    take_in(db, tmp_path, *hubble(12, "job"), format_name="hubble")
    found, whole = told(afresh=False), told(afresh=True)
    assert (found.kept, found.evaluated) == (2, 2)  # the log tells of day 10, and of day 30, which looks back far
    assert (found.findings, found.moments, found.frameworks) == (whole.findings, whole.moments, whole.frameworks)
    assert (
        assess_history(db, cluster="prod", since=None, processes=1, clock=lambda: TAKEN_IN).kept == 1
    )  # with what it tells
    again = told(afresh=False)
    assert (again.kept, again.evaluated) == (3, 1)
    assert (again.findings, again.moments, again.frameworks) == (whole.findings, whole.moments, whole.frameworks)


def test_records_are_silent_of_a_snapshot_where_nothing_was_observed(db: str, tmp_path: Path) -> None:
    take_in(db, tmp_path, *hubble(12, "job"), format_name="hubble")
    audit = tmp_path / "audit.json"
    audit.write_text(event(25))
    import_audit(db, [str(audit)], cluster=None, stdin=BytesIO(), taken_in_at=TAKEN_IN, keep_going=False)
    period = (START, day(40))
    with Store.open(db, read_only=True) as store:
        told_of = [one.state.info for one in assessed_one_by_one(store, "prod", period) if one.observed]
        outlines = store.outlines("prod", *period)
        keys = keys_of(store, outlines, outlines[-1].info.id)
        assert [one.info for one in outlines if keys[one.info.id][2]] == told_of
    assert 0 < len(told_of) < len(outlines)
