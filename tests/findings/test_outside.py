"""Family plumbing, the outside: `namespaceSelector: {}` read as "anywhere"."""

from dataclasses import replace

from evidence.cluster.model import Cluster, NetworkPolicy, Protocol, Service, ServicePort
from tests.builders import block, cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, mended, near_miss

PROXY = pod("proxy-1", "edge", {"app": "proxy"}, ports=[named_port("https", 8443)], ip="10.1.0.3")
WEB = pod("web-1", "shop", {"app": "web"}, ip="10.1.0.2")
EVERYWHERE = peer(namespaces={})
FRONT = Service("edge", "proxy", "LoadBalancer", {"app": "proxy"}, (ServicePort("https", Protocol.TCP, 443, "https"),))


def shop(*policies: NetworkPolicy, services: tuple[Service, ...] = ()) -> Cluster:
    return replace(cluster([PROXY, WEB], policies), services=services)


@hit("NET-015")
def test_https_from_every_namespace_lets_no_outside_address_in_and_the_suggestion_does() -> None:
    before = shop(policy("in", "edge", ingress=[rule([EVERYWHERE], [port(443)])]))
    found = finding("NET-015", before)
    assert "admits every pod of all 2 namespaces to edge/proxy-1 and no address outside the cluster" in found.message
    assert "namespaceSelector {} never matches the outside" in found.message
    assert findings("NET-015", mended(before, found)) == []


@hit("NET-015")
def test_https_to_every_namespace_reaches_no_outside_address_and_the_suggestion_does() -> None:
    before = shop(policy("out", "shop", egress=[rule([EVERYWHERE], [port(443)])]))
    found = finding("NET-015", before)
    assert (
        "lets shop/web-1 connect to every pod of all 2 namespaces and to no address outside the cluster"
        in found.message
    )
    assert "169.254.0.0/16" in found.suggestion
    assert findings("NET-015", mended(before, found)) == []


@hit("NET-015")
def test_a_public_service_in_front_shows_that_the_outside_is_meant_whatever_the_port() -> None:
    before = shop(policy("in", "edge", ingress=[rule([EVERYWHERE], [port("https")])]), services=(FRONT,))
    found = finding("NET-015", before)
    assert "(behind Service edge/proxy)" in found.message
    assert "Service edge/proxy" in {str(ref.key) for ref in found.evidence}


@near_miss("NET-015")
def test_another_rule_with_an_ip_block_shows_that_the_author_knows_the_difference() -> None:
    known = policy("in", "edge", ingress=[rule([EVERYWHERE], [port(443)]), rule([block("0.0.0.0/0")], [port(443)])])
    assert clean("NET-015", shop(known))


@near_miss("NET-015")
def test_every_namespace_on_a_port_that_nothing_publishes_is_meant_as_written() -> None:
    assert clean("NET-015", shop(policy("in", "edge", ingress=[rule([EVERYWHERE], [port(9090)])])))


def test_an_ip_block_on_other_ports_does_not_open_the_web_port() -> None:
    other = policy("in", "edge", ingress=[rule([EVERYWHERE], [port(443)]), rule([block("0.0.0.0/0")], [port(9090)])])
    assert findings("NET-015", shop(other))
