"""Family observation: what logs say beside the policies, and what they lack."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest

from evidence.cluster.model import Cluster, NetworkPolicy
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import ApprovedFlow, Classification, FlowPort, Intent, Zone
from evidence.observe.audit import AuditedChange, AuditLog, TakenAudit
from evidence.observe.document import FlowLog, LogFile, TakenLog
from evidence.observe.model import Began, End, ObservedFlow, Outcome, Side
from evidence.observe.seen import LOOK_BACK, RECENT, Observations, observe
from evidence.observe.tie import Ties
from evidence.reach.engine import Reachability, analyse
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.findings.looking import NOON, clean, finding, findings, hit, look, near_miss, zone

FILE = LogFile("flows.log", 10, "ab" * 32, 10, 0, ())
WEB, DB, BATCH = (
    pod(name, "shop", {"app": name}, ip=f"10.0.0.{n}") for n, name in enumerate(("web", "db", "batch"), 1)
)
DB_POLICY = policy(
    "db",
    "shop",
    {"app": "db"},
    ingress=[rule([peer({"app": "web"})], [port(5432)]), rule([peer({"app": "batch"})], [port(9)])],
)
SHOP = cluster([WEB, DB, BATCH], [DB_POLICY])


def days(number: float) -> datetime:
    """So many days after the snapshot."""
    return NOON + timedelta(days=number)


def flow(
    source: str | End = "web", destination: str = "db", number: int = 5432, at: float = -1, **changed: object
) -> ObservedFlow:
    found = ObservedFlow(
        _end(source),
        _end(destination),
        "TCP",
        number,
        Outcome.ALLOWED,
        Side.DESTINATION,
        Began.HERE,
        days(at),
        days(at),
        2,
        "hubble",
    )
    return replace(found, **changed)  # type: ignore[arg-type]


def _end(name: str | End) -> End:
    if isinstance(name, End):
        return name
    return End(address=name) if name[0].isdigit() else End("shop", f"Pod/{name}")


DENIED = flow("batch", outcome=Outcome.DENIED)


def log(*flows: ObservedFlow, starts: float = -40, ends: float = 0, taken_in: float = 1) -> TakenLog:
    said = FlowLog("hubble", "Hubble", (FILE,), len(flows), {}, {}, 0, (), flows)
    return TakenLog(7, "cd" * 32, days(starts), days(ends), days(taken_in), said)


def seen(
    *logs: TakenLog,
    audits: Sequence[TakenAudit] = (),
    elsewhere: Callable[[ObservedFlow], Sequence[Reachability] | None] = lambda _: (),
    until: datetime | None = None,
) -> Callable[[Reachability], Observations]:
    def observed(reach: Reachability) -> Observations:
        since, recent = NOON - LOOK_BACK, NOON - RECENT
        return observe(Ties(reach), logs, audits, since=since, recent_from=recent, until=until, elsewhere=elsewhere)

    return observed


@pytest.mark.parametrize("name", ["LOG-001", "LOG-004", "LOG-005", "LOG-006", "LOG-007", "PRT-005"])
def test_without_a_log_these_rules_do_not_run_and_say_so(name: str) -> None:
    for observed in (None, seen(), seen(log(flow()))):
        run, _ = look(name, SHOP, Intent(zones=ZONES), observed=observed)
        if observed is None or (name == "LOG-004" or not observed(analyse(SHOP)).logs):
            assert run.status is RunStatus.NOT_RUN
            assert run.reason.endswith("log of that time was taken in")
        else:
            assert run.status is not RunStatus.NOT_RUN


# -- LOG-001


@hit("LOG-001")
def test_logs_without_any_denied_connection_are_found() -> None:
    found = finding("LOG-001", SHOP, observed=seen(log(flow()), log(flow("batch", number=9))))
    assert (str(found.subject), found.severity) == ("Cluster cluster", Severity.MEDIUM)
    assert found.message == "none of 4 connections in 2 flow logs (Hubble) is a denied one"
    assert (found.evidence[0].digest, found.evidence[0].detail) == ("cd" * 32, "flows.log")


@near_miss("LOG-001")
def test_one_denied_connection_in_one_of_the_logs_is_enough() -> None:
    assert clean("LOG-001", SHOP, observed=seen(log(flow()), log(DENIED)))


# -- LOG-004

CHANGED = datetime(2026, 7, 20, 9, 0, 0, tzinfo=NOON.tzinfo)


def changed_at(moment: datetime) -> Cluster:
    body = {
        "metadata": {
            "name": "db",
            "namespace": "shop",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [
                {"manager": "kubectl", "time": moment.isoformat()},
                {"manager": "controller", "time": days(0).isoformat(), "subresource": "status"},
            ],
        }
    }
    origin = CollectedObject.of(DB_POLICY.key, body, "api")
    return cluster([WEB, DB, BATCH], [replace(DB_POLICY, origin=origin)])


def audit(*changes: AuditedChange, starts: float = -20, ends: float = -1) -> TakenAudit:
    return TakenAudit(8, "ef" * 32, days(starts), days(ends), days(0), AuditLog((FILE,), 9, {}, changes))


def change(seconds: float = 0.4, *, key: ObjectKey = DB_POLICY.key, code: int = 200) -> AuditedChange:
    at = CHANGED + timedelta(seconds=seconds)
    return AuditedChange("a1", at, "alice", "", (), "patch", key, code, ("10.0.0.9",), "kubectl")


@hit("LOG-004")
@pytest.mark.parametrize(
    "logged",
    [
        (),
        (change(60),),
        (change(code=403),),
        (change(key=ObjectKey("networking.k8s.io", "NetworkPolicy", "shop", "web")),),
    ],
    ids=["nothing", "another time", "a refused write", "another policy"],
)
def test_a_change_in_the_audit_logs_time_without_a_write_in_it_is_found(logged: tuple[AuditedChange, ...]) -> None:
    found = finding("LOG-004", changed_at(CHANGED), observed=seen(audits=[audit(*logged)]))
    assert str(found.subject) == "NetworkPolicy shop/db"
    assert "changed at 2026-07-20 09:00:00 UTC by kubectl" in found.message


@near_miss("LOG-004")
def test_a_change_with_its_write_and_one_outside_the_logs_time_are_not() -> None:
    assert clean("LOG-004", changed_at(CHANGED), observed=seen(audits=[audit(change())]))
    assert findings("LOG-004", changed_at(CHANGED), observed=seen(audits=[audit(starts=-5)])) == []
    assert findings("LOG-004", cluster([WEB], [DB_POLICY]), observed=seen(audits=[audit()])) == []


# -- LOG-005


@hit("LOG-005")
def test_a_line_later_than_its_import_shows_a_clock_ahead() -> None:
    found = finding("LOG-005", SHOP, observed=seen(log(flow(), ends=0, taken_in=-0.5)))
    assert "the last line of flows.log is of 2026-08-01 12:00:00 UTC, 43200 s after it was taken in" in found.message


@near_miss("LOG-005")
def test_a_clock_may_be_a_minute_ahead() -> None:
    assert clean("LOG-005", SHOP, observed=seen(log(flow(), ends=0, taken_in=-60 / 86400)))


# -- LOG-006


@hit("LOG-006")
def test_a_connection_that_passed_though_every_snapshot_of_its_time_denies_it_is_critical() -> None:
    observed = seen(log(flow("batch"), flow("batch", at=-2)), elsewhere=lambda _: [analyse(SHOP)])
    found = finding("LOG-006", SHOP, observed=observed)
    assert (str(found.subject), found.severity) == ("Workload shop/db", Severity.CRITICAL)
    assert found.message.startswith(
        "Pod shop/batch → Pod shop/db TCP 5432 passed (4 connections, 2026-07-30 12:00:00 to "
    )
    assert found.message.endswith(
        "computed as denied: ingress: isolated by NetworkPolicy shop/db, which does not allow it"
    )


def test_two_kinds_of_connections_are_two_findings_and_their_zones_are_named() -> None:
    observed = seen(log(flow("batch"), flow("batch", number=22), flow("8.8.8.8", outcome=Outcome.AUDITED)))
    found = findings("LOG-006", SHOP, Intent(zones=ZONES), observed=observed)
    assert len({each.fingerprint for each in found}) == 3
    assert all("db" in each.zones for each in found)
    assert "in audit mode" in found[0].message


OPEN = analyse(cluster([WEB, DB, BATCH]))


@near_miss("LOG-006")
@pytest.mark.parametrize(
    "observed",
    [
        seen(log(flow())),
        seen(log(DENIED)),
        seen(log(flow("batch")), elsewhere=lambda _: [OPEN]),
        seen(log(flow("batch")), elsewhere=lambda _: None),
        seen(log(flow("batch", at=-8))),
        seen(log(flow("batch", at=1)), until=days(0.5)),
        seen(log(flow("batch", side=Side.SOURCE))),
        seen(log(flow("10.9.9.9"))),
    ],
    ids=[
        "allowed",
        "denied",
        "allowed by a neighbouring snapshot",
        "too many snapshots",
        "long ago",
        "after the next snapshot",
        "left the source only",
        "a private address",
    ],
)
def test_what_may_have_been_allowed_or_is_of_another_time_is_no_contradiction(
    observed: Callable[[Reachability], Observations],
) -> None:
    assert findings("LOG-006", SHOP, observed=observed) == []


# -- LOG-007 and PRT-005

ZONES = (
    zone("web", Classification.CONNECTED_TO, "shop", pods={"app": "web"}),
    zone("db", Classification.CDE, "shop", pods={"app": "db"}),
    Zone("world", Classification.INTERNET, cidrs=(ip_network("0.0.0.0/0"),)),
)


def approved(source: str = "web", destination: str = "db", *ports: int) -> Intent:
    listed = tuple(FlowPort(flow().protocol, number, number) for number in ports)  # type: ignore[arg-type]
    return Intent(zones=ZONES, flows=(ApprovedFlow("F1", source, destination, listed, "orders", "shop team"),))


@hit("LOG-007")
def test_an_approved_flow_that_nobody_used_is_found() -> None:
    found = finding("LOG-007", SHOP, approved("web", "db", 443), observed=seen(log(flow())))
    assert (str(found.subject), found.zones) == ("ApprovedFlow F1", ("db", "web"))
    assert found.message == "no connection web → db in 40 days of logs (owner shop team)"


@near_miss("LOG-007")
@pytest.mark.parametrize(
    ("intent", "line"),
    [
        (approved("web", "db", 443, 5432), flow()),
        (approved("web", "db"), flow(number=1)),
        (approved("world", "web", 443), flow("8.8.8.8", "web", 443)),
        (approved("world", "web", 443), flow("10.244.0.1", "web", 443)),
        (approved("web", "db", 443), flow(source=End(name="host"), number=443)),
        (approved("web", "db", 443), flow(number=0)),
    ],
    ids=["its port", "any port", "from outside", "an address that is in the zone", "an end not placed", "no port"],
)
def test_an_approved_flow_that_was_used_or_may_have_been_is_not(intent: Intent, line: ObservedFlow) -> None:
    assert clean("LOG-007", SHOP, intent, observed=seen(log(line, flow(number=5432))))


@hit("PRT-005")
def test_a_rule_that_no_connection_matched_in_a_month_is_named() -> None:
    found = finding("PRT-005", SHOP, observed=seen(log(flow())))
    assert (str(found.subject), found.severity) == ("NetworkPolicy shop/db", Severity.INFO)
    assert found.message == "no connection in 40 days of logs matched 1 rule: spec.ingress[1]"


@near_miss("PRT-005")
def test_a_rule_that_was_used_or_may_have_been_is_not() -> None:
    assert clean("PRT-005", SHOP, observed=seen(log(flow(), flow("batch", number=9))))
    assert clean("PRT-005", SHOP, observed=seen(log(flow(), flow(source=End(name="host"), number=9))))


def test_a_month_of_logs_is_needed_before_silence_means_anything() -> None:
    for name in ("PRT-005", "LOG-007"):
        run, found = look(name, SHOP, approved("web", "db", 443), observed=seen(log(flow(), starts=-29.9)))
        assert (run.status, found) == (RunStatus.PARTIAL, [])
        assert "cover 29.9 days" in run.reason


def test_time_that_two_logs_cover_counts_once_and_logs_of_denials_alone_not_at_all() -> None:
    run, _ = look("PRT-005", SHOP, observed=seen(log(flow(), starts=-20), log(flow(), starts=-20), log(DENIED)))
    assert "cover 20.0 days" in run.reason


def test_of_pods_that_no_line_is_about_nothing_is_said() -> None:
    other = policy("batch", "shop", {"app": "batch"}, ingress=[rule([peer({})])])
    run, found = look("PRT-005", cluster([WEB, DB, BATCH], [DB_POLICY, other]), observed=seen(log(flow())))
    assert [str(each.subject) for each in found] == ["NetworkPolicy shop/db"]
    assert "1 rule about pods of which no log says anything" in run.reason
    run, found = look("LOG-007", SHOP, approved("web", "db", 443), observed=seen(log(flow("batch", "batch", 1))))
    assert (run.status, found) == (RunStatus.PARTIAL, [])


def test_a_policy_that_changed_within_the_month_is_left_alone() -> None:
    assert clean("PRT-005", changed_at(CHANGED), observed=seen(log(flow())))
    found = finding("PRT-005", changed_at(days(-35)), observed=seen(log(flow())))
    assert str(found.subject) == "NetworkPolicy shop/db"


def test_a_rule_for_an_address_outside_is_used_by_it() -> None:
    narrow: NetworkPolicy = policy("web", "shop", {"app": "web"}, ingress=[rule([block("8.8.8.0/24")], [port(443)])])
    of = cluster([WEB, DB], [narrow])
    assert clean("PRT-005", of, observed=seen(log(flow("8.8.8.8", "web", 443))))
    assert findings("PRT-005", of, observed=seen(log(flow("9.9.9.9", "web", 443))))
