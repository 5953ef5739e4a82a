"""The guide's policies, applied to the sample shop as they are written: what their comments promise, and what is denied in truth.

Every finding is held against the engine's own verdict, so that the two can never disagree.
"""

import json
import re
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from evidence.cluster.model import Cluster, IPAddress, Protocol
from evidence.cluster.objects import Collection
from evidence.cluster.parse import build_cluster
from evidence.collect.files import collect_files
from evidence.findings.finding import Finding, Severity
from evidence.findings.registry import RULES, Assessment, Context, evaluate
from evidence.reach.classes import PeerId
from evidence.sample import sample_dumps
from tests.findings.looking import context, findings, mended

POLICIES = Path(__file__).parent / "shop" / "policies.yaml"
DUMP = sample_dumps()[2].path  # the shop with the guide's policies, and others of its own
OUTSIDE = "203.0.113.10"
DIGEST = re.compile("[0-9a-f]{64}")

# What the guide's comments promise and its policies deny: from, to (workloads of the shop), protocol, port, the rule that says so.
BROKEN_PROMISES = [
    ("production/kafka", "production/kafka", "TCP", 9094, "NET-013"),
    ("production/redis", "production/redis", "TCP", 6379, "NET-013"),
    ("production/app", "production/kafka", "TCP", 9093, "NET-013"),
    ("production/postgres-backup", "production/postgres", "TCP", 5432, "NET-013"),
    ("production/redis-sentinel", "production/redis", "TCP", 26379, "NET-013"),
    ("production/kafka", "production/zookeeper", "TCP", 2181, "NET-013"),
    ("production/zookeeper", "production/kafka", "TCP", 2181, "NET-013"),
]


@cache
def shop() -> Collection:
    """The sample shop with the guide's policies and no others."""
    body = json.loads(DUMP.read_bytes())
    body["items"] = [item for item in body["items"] if item["kind"] != "NetworkPolicy"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shop.json"
        path.write_text(json.dumps(body))
        return collect_files([str(path), str(POLICIES)], stdin=None, keep_going=False)


@cache
def state() -> Cluster:
    return build_cluster(shop())


@cache
def looked() -> Context:
    return context(state())


@cache
def assessment() -> Assessment:
    return evaluate(looked())


def found(rule_id: str, subject: str = "") -> list[Finding]:
    return [f for f in assessment().findings if f.rule_id == rule_id and (not subject or str(f.subject) == subject)]


def peers(name: str, within: Context) -> list[PeerId]:
    """The classes of a workload's pods, or the range of an outside address."""
    try:
        address: IPAddress = ip_address(name)
    except ValueError:
        found = [c.id for c in within.index.classes if any(f"{p.namespace}/{p.workload.name}" == name for p in c.pods)]
        assert found, name
        return found
    return [o.id for o in within.reach.external if o.first.version == address.version and o.first <= address <= o.last]  # type: ignore[operator]


def passes(source: str, destination: str, protocol: str, port: int, within: Context | None = None) -> bool:
    """The engine's verdict for any pair of pods, a pod and itself (which always passes) aside."""
    given = within or looked()
    return any(
        given.reach.ports(a, b).contains(Protocol(protocol), port)
        for a in peers(source, given)
        for b in peers(destination, given)
    )


def test_the_policies_are_the_guides(shared_folder: Path) -> None:
    assert list(yaml.safe_load_all(POLICIES.read_text())) == list(
        yaml.safe_load_all((shared_folder / "seed" / "policies.yaml").read_text())
    )


def test_the_sample_applies_the_guides_policies_as_written() -> None:
    items = [item for item in json.loads(DUMP.read_bytes())["items"] if item["kind"] == "NetworkPolicy"]
    sample = {(item["metadata"]["namespace"], item["metadata"]["name"]): item["spec"] for item in items}
    for written in yaml.safe_load_all(POLICIES.read_text()):
        key = written["metadata"]["namespace"], written["metadata"]["name"]
        assert sample[key]["podSelector"] == written["spec"]["podSelector"]
        assert len(sample[key].get("egress", ())) == len(written["spec"].get("egress", ()))


@pytest.mark.parametrize(("source", "destination", "protocol", "port", "rule_id"), BROKEN_PROMISES)
def test_a_promised_connection_that_is_denied_is_found_with_its_reason_and_its_mend(
    source: str, destination: str, protocol: str, port: int, rule_id: str
) -> None:
    assert not passes(source, destination, protocol, port)
    (one,) = [
        f for f in found(rule_id) if f"{source} → " in f.message and f"{destination} {protocol} {port} " in f.message
    ]
    assert one.severity is Severity.MEDIUM
    assert all(DIGEST.fullmatch(ref.digest) for ref in one.evidence)
    assert "NetworkPolicy production/default-deny-all" in {str(ref.key) for ref in one.evidence}
    assert passes(source, destination, protocol, port, context(mended(state(), one)))


def test_no_other_connection_between_two_workloads_is_called_broken() -> None:
    pairs = {
        (f.subject, f.message.split(" is allowed by")[0]) for f in found("NET-013") if " is allowed by" in f.message
    }
    assert len(pairs) == len(BROKEN_PROMISES), pairs


def test_every_refusal_that_is_found_is_the_engines_verdict() -> None:
    for source, destination, protocol, port, _ in BROKEN_PROMISES:
        assert not passes(source, destination, protocol, port)
    assert passes("production/app", "production/postgres", "TCP", 5432)
    assert passes("production/app", "production/redis", "TCP", 6379)
    assert passes("production/app", "production/kafka", "TCP", 9092)
    assert passes("production/app", "shared-services/logging", "TCP", 24224)


def test_scraping_is_a_pull_and_the_guide_opened_the_push() -> None:
    assert not passes("monitoring/prometheus", "production/app", "TCP", 8080)
    subjects = {str(f.subject) for f in found("NET-019")}
    assert subjects == {"NetworkPolicy production/app-access", "NetworkPolicy production/app-with-metrics"}
    after = context(mended(state(), found("NET-019")[0]))
    assert passes("monitoring/prometheus", "production/app", "TCP", 8080, after)


def test_every_namespace_is_never_the_outside() -> None:
    controller = "ingress-nginx/ingress-nginx-controller"
    assert not passes(OUTSIDE, controller, "TCP", 443)
    assert not passes("production/app", OUTSIDE, "TCP", 443)
    subjects = {str(f.subject): f for f in found("NET-015")}
    assert set(subjects) == {"NetworkPolicy ingress-nginx/nginx-ingress", "NetworkPolicy production/app-access"}
    inwards = context(mended(state(), subjects["NetworkPolicy ingress-nginx/nginx-ingress"]))
    outwards = context(mended(state(), subjects["NetworkPolicy production/app-access"]))
    assert passes(OUTSIDE, controller, "TCP", 443, inwards)
    assert passes("production/app", OUTSIDE, "TCP", 443, outwards)


def test_dns_goes_over_udp_only() -> None:
    assert passes("production/app", "kube-system/coredns", "UDP", 53)
    assert not passes("production/app", "kube-system/coredns", "TCP", 53)
    assert {str(f.subject).rpartition("/")[2] for f in found("NET-014")} == {
        "app-access", "kafka-access", "nginx-ingress", "postgres-access", "redis-access"
    }  # fmt: skip


def test_no_namespace_has_a_label_name() -> None:
    selectors = {
        (str(f.subject).rpartition("/")[2], f.message.split(" by ")[1].split(",")[0]) for f in found("NET-018")
    }
    assert selectors == {
        ("app-access", "name=ingress-nginx"), ("app-access", "name=monitoring"),
        ("app-with-metrics", "name=monitoring"), ("kafka-access", "name=analytics"),
    }  # fmt: skip
    assert not passes("ingress-nginx/ingress-nginx-controller", "production/app", "TCP", 8080)


def test_the_ingress_controllers_way_to_the_databases_is_refused_by_the_databases() -> None:
    (one,) = found("NET-013", "NetworkPolicy ingress-nginx/nginx-ingress")
    assert {"production/postgres TCP 5432", "production/redis TCP 6379"} <= set(one.details)
    for line in one.details:
        workload, _, ports = line.partition(" ")
        for protocol, port in (entry.split() for entry in ports.split(", ")):
            assert not passes("ingress-nginx/ingress-nginx-controller", workload, protocol, int(port))


def test_what_prometheus_may_send_and_nobody_takes_is_listed() -> None:
    (one,) = found("NET-013", "NetworkPolicy monitoring/prometheus-scrape")
    assert "production/app TCP 8080" in one.details


def test_every_finding_has_evidence_by_digest_and_says_why_and_how_to_mend_it() -> None:
    for one in assessment().findings:
        if one.rule_id == "EVD-001":
            continue
        assert one.evidence, one.message
        assert all(DIGEST.fullmatch(ref.digest) for ref in one.evidence), one
        assert RULES[one.rule_id].why
        assert RULES[one.rule_id].mend


def test_every_suggestion_is_a_policy_that_the_cluster_takes() -> None:
    with_suggestion = [one for one in assessment().findings if one.suggestion]
    assert len(with_suggestion) > 20
    for one in with_suggestion:
        assert len(mended(state(), one).policies) == len(state().policies) + 1


@pytest.mark.parametrize(
    "rule_id", ["NET-001", "NET-002", "NET-003", "NET-008", "NET-009", "NET-013", "NET-014", "NET-015", "NET-019"]
)
def test_applying_a_suggestion_removes_its_finding(rule_id: str) -> None:
    for one in found(rule_id):
        if one.suggestion:
            left = {f.fingerprint for f in findings(rule_id, mended(state(), one))}
            assert one.fingerprint not in left, one.message
