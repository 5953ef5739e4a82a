"""Family plumbing, metrics."""

from dataclasses import replace

import pytest

from evidence.cluster.model import Cluster, NetworkPolicy
from tests.builders import cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, mended, near_miss

APP = pod("app-1", "shop", {"app": "app"}, ports=[named_port("http", 8080)])
PROMETHEUS = pod("prometheus-0", "monitoring", {"app": "prometheus"})
OTHER = pod("alerts-0", "monitoring", {"app": "alerts"})
DENY = policy("deny", "shop", ingress=[], egress=[])
TO_PROMETHEUS = policy("metrics", "shop", {"app": "app"},
                       egress=[rule([peer({"app": "prometheus"}, namespaces={})], [port(9090)])])  # fmt: skip


def shop(*policies: NetworkPolicy) -> Cluster:
    return cluster([APP, PROMETHEUS, OTHER], policies)


@hit("NET-019")
def test_an_egress_rule_to_a_collector_that_may_not_scrape_is_found_and_mended() -> None:
    before = shop(DENY, TO_PROMETHEUS)
    found = finding("NET-019", before)
    assert "opens connections from shop/app-1 to monitoring/prometheus-0; scraping goes the other way" in found.message
    assert findings("NET-019", mended(before, found)) == []


@near_miss("NET-019")
def test_a_pod_that_is_scraped_may_also_query_the_collector() -> None:
    scraped = policy("scrape", "shop", {"app": "app"},
                     ingress=[rule([peer({"app": "prometheus"}, namespaces={})], [port(8080)])])  # fmt: skip
    assert clean("NET-019", shop(DENY, TO_PROMETHEUS, scraped))


@near_miss("NET-019")
def test_egress_to_something_that_pulls_nothing_is_no_scraping() -> None:
    to_alerts = policy("alerts", "shop", {"app": "app"}, egress=[rule([peer({"app": "alerts"}, namespaces={})])])
    assert findings("NET-019", shop(DENY, to_alerts)) == []


def test_the_collector_is_recognised_behind_a_namespace_label_that_nobody_set() -> None:
    by_name = policy("metrics", "shop", {"app": "app"},
                     egress=[rule([peer({"app": "prometheus"}, namespaces={"name": "monitoring"})])])  # fmt: skip
    assert findings("NET-019", shop(DENY, by_name))


def test_a_collector_that_shares_its_class_with_other_pods_is_named_alone() -> None:
    role = {"role": "ops"}
    collector = replace(PROMETHEUS, labels={**role, "app.kubernetes.io/name": "prometheus"})
    other = replace(OTHER, labels={**role, "app.kubernetes.io/name": "alertmanager"})
    out = policy("metrics", "shop", {"app": "app"}, egress=[rule([peer(role, namespaces={})])])
    before = cluster([APP, collector, other], [DENY, out])
    found = finding("NET-019", before)
    assert "alerts-0" not in found.message
    assert findings("NET-019", mended(before, found)) == []


@pytest.mark.parametrize("ports", [[], [named_port("http", 8080), named_port("metrics", 9100)]])
def test_the_suggestion_opens_the_declared_ports_or_all(ports: list[object]) -> None:
    app = replace(APP, ports=tuple(ports))  # type: ignore[arg-type]
    found = finding("NET-019", cluster([app, PROMETHEUS], [DENY, TO_PROMETHEUS]))
    assert ("port: 9100" in found.suggestion) is bool(ports)
    assert ("ports:" in found.suggestion) is bool(ports)
