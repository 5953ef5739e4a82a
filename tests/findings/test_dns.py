"""Family plumbing, DNS."""

from dataclasses import replace

import pytest

from evidence.cluster.model import Cluster, NetworkPolicy, Protocol, Rule, Service, ServicePort
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from tests.builders import block, cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, look, mended, near_miss

WEB = pod("web-1", "shop", {"app": "web"})
DB = pod("db-1", "shop", {"app": "db"})
COREDNS = pod("coredns-1", "kube-system", {"k8s-app": "kube-dns"})
RESOLVER = peer({"k8s-app": "kube-dns"}, namespaces={})
TO_DB = rule([peer({"app": "db"})], [port(5432)])


def dns(*protocols: str) -> Rule:
    return rule([RESOLVER], [port(53, protocol) for protocol in protocols])


def shop(*rules: Rule) -> Cluster:
    return cluster([WEB, DB, COREDNS], [web(*rules)])


def web(*rules: Rule) -> NetworkPolicy:
    return policy("web", "shop", {"app": "web"}, egress=rules)


@hit("NET-009")
def test_a_pod_that_may_connect_and_not_resolve_is_found_and_the_suggestion_mends_it() -> None:
    before = shop(TO_DB)
    found = finding("NET-009", before)
    assert "may open connections, but none to kube-system/coredns-1 on UDP 53" in found.message
    assert found.severity is Severity.LOW
    assert "NetworkPolicy shop/web" in {str(ref.key) for ref in found.evidence}
    assert findings("NET-009", mended(before, found)) == []


@near_miss("NET-009")
@pytest.mark.parametrize("opened", [dns("UDP"), rule([peer(namespaces={})]), rule()])
def test_any_way_to_the_resolver_will_do(opened: Rule) -> None:
    assert clean("NET-009", shop(TO_DB, opened))


@near_miss("NET-009")
def test_a_pod_that_may_open_nothing_needs_no_names() -> None:
    run, found = look("NET-009", shop())
    assert (run.status, found) == (RunStatus.RAN, [])


def test_a_resolver_whose_ingress_refuses_is_the_resolvers_fault() -> None:
    walled = shop(TO_DB, dns("UDP", "TCP"))
    walled = replace(walled, policies=(policy("deny", "kube-system", ingress=[]), *walled.policies))
    assert findings("NET-009", walled) == []


def test_without_a_recognised_resolver_the_rule_says_so_and_takes_any_port_53() -> None:
    run, found = look("NET-009", cluster([WEB, DB], [web(TO_DB, dns("UDP"))]))
    assert found == []
    assert "no cluster resolver was recognised" in run.reason
    run, found = look("NET-009", cluster([WEB, DB], [web(TO_DB)]))
    assert len(found) == 1
    assert found[0].suggestion == ""


def test_a_resolver_is_recognised_among_pods_that_no_policy_tells_apart() -> None:
    first = pod("a-metrics-1", "kube-system", {"k8s-app": "metrics-server"})
    found = finding("NET-009", cluster([WEB, DB, first, COREDNS], [web(TO_DB)]))
    assert "none to kube-system/coredns-1 on UDP 53" in found.message
    assert "k8s-app: kube-dns" in found.suggestion


def test_the_port_behind_the_resolvers_service_counts() -> None:
    openshift = replace(COREDNS, ports=(named_port("dns", 5353, "UDP"), named_port("dns-tcp", 5353)))
    front = Service("kube-system", "dns", "ClusterIP", {"k8s-app": "kube-dns"},
                    (ServicePort("dns", Protocol.UDP, 53, "dns"), ServicePort("dns-tcp", Protocol.TCP, 53, "dns-tcp")))  # fmt: skip
    before = replace(cluster([WEB, DB, openshift], [web(TO_DB, dns("UDP"))]), services=(front,))
    found = finding("NET-009", before)
    assert "port: 5353" in found.suggestion
    assert findings("NET-009", mended(before, found)) == []


def test_a_node_local_cache_leaves_a_doubt() -> None:
    cache = pod("cache-1", "kube-system", {"k8s-app": "node-local-dns"}, host_network=True, ip="10.0.0.9")
    run, _ = look("NET-009", cluster([WEB, DB, COREDNS, cache], [web(TO_DB, dns("UDP"))]))
    assert "a node-local DNS cache is present" in run.reason


def test_a_resolver_without_a_known_address_under_an_ip_block_is_no_hit_but_a_doubt() -> None:
    run, found = look(
        "NET-009", cluster([WEB, DB, COREDNS], [web(TO_DB, rule([block("10.0.0.0/8")], [port(53, "UDP")]))])
    )
    assert found == []
    assert run.status is RunStatus.PARTIAL


@hit("NET-014")
def test_dns_over_udp_alone_is_found_and_the_suggestion_mends_it() -> None:
    before = shop(dns("UDP"))
    found = finding("NET-014", before)
    assert found.message == (
        "spec.egress[0] opens UDP 53 to kube-system/coredns-1 and nothing opens TCP 53, for shop/web-1"
    )
    assert findings("NET-014", mended(before, found)) == []


@near_miss("NET-014")
def test_tcp_from_another_policy_is_as_good() -> None:
    more = policy("tcp", "shop", egress=[dns("TCP")])
    udp = shop(dns("UDP"))
    assert clean("NET-014", replace(udp, policies=(more, *udp.policies)))


def test_a_rule_for_every_port_is_not_about_dns_over_udp_only() -> None:
    assert findings("NET-014", shop(rule([RESOLVER]))) == []
