"""Which doors policy leaves open, from where, and which rule admits: point by point, and against a naive check of single packets."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.model import (
    Cluster,
    ContainerPort,
    IPAddress,
    IpBlock,
    IPNetwork,
    NetworkPolicy,
    Pod,
    PodPeer,
    Protocol,
    Service,
    ServicePort,
)
from evidence.cluster.policies import Action
from evidence.cluster.routes import IngressClass
from evidence.reach.classes import ExternalRange, PeerId
from evidence.reach.controllers import RELEASE_LABEL
from evidence.reach.engine import Reachability, analyse
from evidence.reach.exposed import csv, document, rows
from evidence.reach.exposure import Exposures, SeenAs, node_addresses
from evidence.reach.outside import ANYWHERE, AddressKind, kinds_between, kinds_of, kinds_within
from tests.builders import block, namespace, peer, pod, policy, port, rule
from tests.oracle.naive import may_connect
from tests.oracle.strategies import KEYS, SPACES, VALUES, clusters
from tests.reach.build import cluster_policy, does
from tests.reach.doors import NODES, PROXY, WEB, exposures, gateway, ingress, published, route, seen, service

INTERNET, PRIVATE = frozenset({AddressKind.INTERNET}), frozenset({AddressKind.PRIVATE})
BALANCER = service(kind="LoadBalancer")
LOCAL = service(kind="LoadBalancer", external_traffic_policy="Local")
DENY = policy("deny", "shop", ingress=[])
PRIVATE_4 = (
    "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "240.0.0.0/4"
)  # fmt: skip


def admits(*peers: PodPeer | IpBlock, ports: int = 8080) -> NetworkPolicy:
    return policy("web", "shop", {"app": "web"}, ingress=[rule(peers, [port(ports)])])


# -- where from -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "kinds"),
    [
        ("10.1.2.0/24", PRIVATE), ("172.31.255.255/32", PRIVATE), ("172.32.0.0/32", INTERNET), ("100.64.0.0/10", PRIVATE),
        ("169.254.169.254/32", PRIVATE), ("192.168.0.0/16", PRIVATE), ("192.0.0.0/8", ANYWHERE), ("8.8.8.8/32", INTERNET),
        ("203.0.113.0/24", INTERNET), ("198.18.0.0/15", PRIVATE), ("240.0.0.0/4", PRIVATE), ("127.0.0.1/32", frozenset()),
        ("224.0.0.0/4", frozenset()), ("0.0.0.0/0", ANYWHERE), ("fd00::/8", PRIVATE), ("fe80::1/128", PRIVATE),
        ("2001:db8::/32", INTERNET), ("::/0", ANYWHERE), ("::1/128", frozenset()), ("ff02::1/128", frozenset()),
        ("::ffff:10.0.0.0/104", frozenset()), ("10.0.0.0/7", ANYWHERE),
    ],
)  # fmt: skip
def test_addresses_are_of_the_internet_or_of_private_ranges(network: str, kinds: frozenset[AddressKind]) -> None:
    found = ip_network(network, strict=False)
    assert kinds_of([found]) == kinds
    assert kinds_between(found[0], found[-1]) == kinds


def test_the_kinds_of_a_range_are_those_of_its_addresses() -> None:
    for first, last in [(0, 2**32 - 1), (10 << 24, 11 << 24), ((10 << 24) - 1, 10 << 24), (2**32 - 1, 2**32 - 1)]:
        ends = {kinds_between(ip_address(n), ip_address(n)) for n in (first, last)}
        assert frozenset().union(*ends) <= kinds_between(ip_address(first), ip_address(last))


def test_the_kinds_within_networks_are_those_of_the_overlap() -> None:
    first, last = ip_address("9.0.0.0"), ip_address("10.0.0.255")
    assert kinds_within(first, last, [ip_network("10.0.0.0/8")]) == PRIVATE
    assert kinds_within(first, last, [ip_network("9.9.9.0/24")]) == INTERNET
    assert kinds_within(first, last, [ip_network("11.0.0.0/8"), ip_network("::/0")]) == frozenset()
    assert kinds_within(first, last, [ip_network("10.0.0.0/8"), ip_network("9.9.9.0/24")]) == ANYWHERE
    assert kinds_within(last, last, [ip_network("10.0.0.255/32")]) == PRIVATE
    assert kinds_within(last, last, [ip_network("10.0.0.254/31")]) == PRIVATE
    assert kinds_within(first, last, [ip_network("10.0.0.255/32")]) == PRIVATE
    assert ExternalRange(PeerId(0), first, last).kinds == ANYWHERE


@pytest.mark.parametrize(
    ("admitted", "origin"),
    [
        (block("0.0.0.0/0"), "internet and private ranges"),
        (block("203.0.113.0/24"), "internet"),
        (block("172.16.0.0/12"), "private ranges"),
        (block("0.0.0.0/0", *PRIVATE_4), "internet"),
    ],
)  # fmt: skip
def test_a_door_is_open_to_the_addresses_that_policy_admits(admitted: IpBlock, origin: str) -> None:
    state = published(DENY, admits(admitted), services=(LOCAL,))
    assert seen(state) == [f"web-1 | LoadBalancer Service shop/web | {origin} | TCP 8080"]


def test_each_origin_has_its_own_ports() -> None:
    both = replace(LOCAL, ports=(*LOCAL.ports, ServicePort("admin", Protocol.TCP, 81, 9000)))
    wide = policy(
        "web", "shop", {"app": "web"}, ingress=[rule([block("8.8.8.0/24")], [port(8080)]), rule([block("10.0.0.0/8")])]
    )
    assert seen(published(DENY, wide, services=(both,))) == [
        "web-1 | LoadBalancer Service shop/web | internet | TCP 8080",
        "web-1 | LoadBalancer Service shop/web | private ranges | TCP 8080, TCP 9000",
    ]


def test_pods_that_no_policy_isolates_are_open_to_anywhere() -> None:
    assert seen(published(services=(LOCAL,))) == [
        "web-1 | LoadBalancer Service shop/web | internet and private ranges | TCP 8080"
    ]


@pytest.mark.parametrize("found", [BALANCER, LOCAL, service(kind="NodePort")])
def test_policy_that_admits_nobody_leaves_a_door_shut(found: Service) -> None:
    state = published(DENY, admits(block("0.0.0.0/0"), ports=9), services=(found,))
    assert seen(state) == []
    assert [way.door.of for way in exposures(state).shut] == [found]


def test_source_ranges_limit_whom_a_balancer_lets_in() -> None:
    def limited(*ranges: str) -> Service:
        return service(kind="LoadBalancer", external_traffic_policy="Local", ranges=ranges, node_port=0)

    wide = admits(block("0.0.0.0/0"))
    narrow = admits(block("8.8.8.0/24"))
    text = "web-1 | LoadBalancer Service shop/web (source ranges 10.0.0.0/8)"
    assert seen(published(DENY, wide, services=(limited("10.0.0.0/8"),))) == [f"{text} | private ranges | TCP 8080"]
    assert seen(published(DENY, narrow, services=(limited("10.0.0.0/8"),))) == []
    assert "| internet |" in seen(published(DENY, narrow, services=(limited("8.8.0.0/16"),)))[0]


# -- behind nodes -----------------------------------------------------------------------------------------------------------

NODE_ONLY = admits(block("192.168.0.2/32"))


@pytest.mark.parametrize("found", [BALANCER, service(kind="NodePort")])
def test_behind_a_node_everybody_may_hide(found: Service) -> None:
    assert any(
        "| internet, as a node | TCP 8080" in text for text in seen(published(DENY, NODE_ONLY, services=(found,)))
    )


def test_a_host_port_may_hide_its_client_too() -> None:
    mapped = replace(WEB, ports=(ContainerPort("http", Protocol.TCP, 8080, 80),))
    assert "web-1 | hostPort TCP 80 | internet, as a node | TCP 8080" in seen(
        published(DENY, NODE_ONLY, pods=(mapped,))
    )


def test_a_local_traffic_policy_keeps_the_clients_address() -> None:
    assert seen(published(DENY, NODE_ONLY, services=(LOCAL,))) == [
        "web-1 | LoadBalancer Service shop/web | private ranges | TCP 8080"
    ]


def test_what_clients_may_do_as_themselves_is_not_said_again_of_nodes() -> None:
    assert len(seen(published(DENY, admits(block("0.0.0.0/0")), services=(BALANCER,)))) == 1


def test_source_ranges_limit_who_hides_behind_a_node_of_a_balancer_and_not_of_its_node_ports() -> None:
    limited = service(kind="LoadBalancer", ranges=["8.8.8.0/24"])
    assert seen(published(DENY, NODE_ONLY, services=(limited,))) == [
        "web-1 | LoadBalancer Service shop/web (source ranges 8.8.8.0/24) | internet, as a node | TCP 8080",
        "web-1 | node ports of LoadBalancer Service shop/web | private ranges | TCP 8080",
        "web-1 | node ports of LoadBalancer Service shop/web | internet, as a node | TCP 8080",
    ]


def test_nodes_send_from_bridges_and_tunnels_too() -> None:
    (one, other) = NODES
    flannel = replace(one, pod_cidrs=(ip_network("10.244.1.0/24"),))
    calico = replace(
        other, annotations={"projectcalico.org/IPv4IPIPTunnelAddr": "10.245.7.1", "projectcalico.org/ASNumber": "x"}
    )
    state = published(nodes=(flannel, calico))
    expected = {"192.168.0.1", "192.168.0.2", "10.244.1.0", "10.244.1.1", "10.245.7.1"}
    assert node_addresses(analyse(state)) == set(map(ip_address, expected))
    tunnel = admits(block("10.245.7.0/24"))
    assert any("as a node" in text for text in seen(replace(state, services=(BALANCER,), policies=(DENY, tunnel))))


def test_where_no_node_is_known_an_admitted_private_address_may_be_a_nodes() -> None:
    state = published(DENY, NODE_ONLY, services=(BALANCER,), nodes=())
    (doubt,) = exposures(state).doubts
    assert doubt.startswith("no node's address is known")
    assert doubt.endswith("(shop/web-1)")
    assert exposures(published(DENY, NODE_ONLY, services=(LOCAL,), nodes=())).doubts == ()
    everywhere = admits(block("0.0.0.0/0"))
    assert exposures(published(DENY, everywhere, services=(BALANCER,), nodes=())).doubts == ()


def test_the_host_network_is_open_whatever_policy_says() -> None:
    agent = pod("agent-1", "shop", {"app": "web"}, host_network=True, ip="192.168.0.1")
    state = published(DENY, pods=(agent,))
    assert seen(state) == ["agent-1 | the host network | internet and private ranges | all ports"]
    (found,) = exposures(state).open
    assert exposures(state).admitted_by(found) == ("no policy is about the host network",)


# -- behind controllers -------------------------------------------------------------------------------------------------------

NGINX = replace(PROXY, images=("ingress-nginx/controller",))
CLASSES = (IngressClass("nginx", "k8s.io/ingress-nginx"),)
FROM_EDGE = admits(peer(namespaces={"kubernetes.io/metadata.name": "edge"}))


def behind_nginx(*policies: NetworkPolicy, front: Service | None = None) -> Cluster:
    own = front or service("proxy", "proxy", "LoadBalancer", "edge", target=8443)
    state = published(
        *policies, pods=(WEB, NGINX), services=(service(), own), ingresses=(ingress(("web", 80), of="nginx"),)
    )
    return replace(state, ingress_classes=CLASSES)


def through_ingress(state: Cluster) -> list[str]:
    return [text for text in seen(state) if "Ingress" in text]


def test_a_recognised_controller_is_the_source() -> None:
    assert through_ingress(behind_nginx(DENY, FROM_EDGE)) == [
        "web-1 | Ingress shop/shop | internet and private ranges, through edge/proxy-1 | TCP 8080"
    ]
    assert through_ingress(behind_nginx(DENY)) == []
    assert through_ingress(behind_nginx(DENY, admits(peer({"app": "web"})))) == []


def test_the_controllers_own_egress_counts() -> None:
    assert through_ingress(behind_nginx(DENY, FROM_EDGE, policy("out", "edge", egress=[]))) == []


def test_a_controller_lets_in_whoever_its_own_doors_let_in() -> None:
    narrow = policy("in", "edge", {"app": "proxy"}, ingress=[rule([block("10.0.0.0/8")])])
    local = service("proxy", "proxy", "LoadBalancer", "edge", target=8443, external_traffic_policy="Local")
    assert through_ingress(behind_nginx(DENY, FROM_EDGE, narrow, front=local)) == [
        "web-1 | Ingress shop/shop | private ranges, through edge/proxy-1 | TCP 8080"
    ]
    assert through_ingress(behind_nginx(DENY, FROM_EDGE, policy("in", "edge", ingress=[]), front=local)) == []


def test_a_controller_that_is_not_recognised_may_be_any_pod() -> None:
    text = "internet and private ranges, through a controller that is not recognised (ingress class nginx)"
    state = behind_nginx(DENY, FROM_EDGE)
    assert through_ingress(replace(state, ingress_classes=())) == [f"web-1 | Ingress shop/shop | {text} | TCP 8080"]
    assert through_ingress(replace(state, ingress_classes=(), policies=(DENY,))) == []


def test_a_balancer_outside_connects_from_its_own_addresses_or_through_nodes() -> None:
    alb = (IngressClass("nginx", "ingress.k8s.aws/alb"),)
    cases: list[tuple[PodPeer | IpBlock, bool]] = [
        (block("10.9.0.0/16"), True),
        (block("192.168.0.2/32"), True),
        (peer(namespaces={}), False),
    ]
    for admitted, open_ in cases:
        state = replace(behind_nginx(DENY, admits(admitted)), ingress_classes=alb)
        assert bool(through_ingress(state)) is open_, admitted


def test_labels_of_a_possible_controllers_namespace_that_are_not_known_are_a_doubt() -> None:
    state = replace(behind_nginx(DENY, admits(peer(namespaces={"team": "edge"}))), ingress_classes=())
    unread = replace(namespace("edge"), declared=False)
    (doubt,) = exposures(replace(state, namespaces={**state.namespaces, "edge": unread})).doubts
    assert "the labels of namespace edge are not known" in doubt
    assert exposures(state).doubts == ()


def test_the_address_of_a_node_that_is_not_known_is_a_doubt() -> None:
    agent = pod("agent-1", "edge", host_network=True)
    state = published(DENY, NODE_ONLY, pods=(WEB, agent), services=(BALANCER,), nodes=NODES[:1])
    (doubt,) = exposures(state).doubts
    assert "the address of pod edge/agent-1 is not known" in doubt
    assert exposures(replace(state, services=(LOCAL,))).doubts == ()
    assert exposures(replace(state, policies=(DENY, admits(block("0.0.0.0/0"))))).doubts == ()


def test_a_gateways_addresses_are_told() -> None:
    front = replace(gateway(), addresses=("203.0.113.8",))
    state = published(services=(service(),), gateways=(front,), routes=(route(),))
    (found,) = document(exposures(state))["open"]
    assert found["door"]["addresses"] == ["203.0.113.8"]
    assert found["seen_as"] == "controller"


# -- why ------------------------------------------------------------------------------------------------------------------------


def test_every_rule_that_admits_is_named() -> None:
    also = policy("also", "shop", ingress=[rule([block("10.0.0.0/8")]), rule([block("8.8.8.8/32")], [port(9)])])
    found = exposures(published(DENY, also, admits(block("0.0.0.0/0")), services=(LOCAL,)))
    names = {name for one in found.open for name in found.admitted_by(one)}
    assert names == {"NetworkPolicy shop/also spec.ingress[0]", "NetworkPolicy shop/web spec.ingress[0]"}


def test_a_cluster_wide_policy_that_admits_before_others_is_named() -> None:
    first = cluster_policy("first", does(Action.ACCEPT))
    found = exposures(published(DENY, services=(), cluster_policies=(first,), pods=(WEB, NGINX), ingresses=()))
    assert found.open == ()
    state = replace(behind_nginx(DENY), cluster_policies=(first,))
    found = exposures(state)
    (one,) = [one for one in found.open if one.seen_as is SeenAs.CONTROLLER]
    (name,) = found.admitted_by(one)
    assert name.startswith("ClusterNetworkPolicy first")


def test_rows_say_of_which_pods_they_are() -> None:
    def replica(number: int, **labels: str) -> Pod:
        return replace(pod(f"web-{number}", "shop", {"app": "web", **labels}), workload=WEB.workload)

    only = service(kind="NodePort", selector={"app": "web", "canary": "yes"})
    found = exposures(published(pods=(replica(1), replica(2, canary="yes"), replica(3)), services=(only,)))
    assert [row.name for row in rows(found)] == ["shop/Pod/web-1 (1 of 3 pods: web-2)"]
    assert list(csv(found))[1].startswith("shop/Pod/web-1 (1 of 3 pods: web-2),NodePort Service shop/web,")
    body = document(found)
    assert body["open"][0]["pods"] == ["shop/web-2"]
    assert body["open"][0]["admitted_by"] == ["not isolated"]
    assert body["shut"] == []


# -- against single packets -------------------------------------------------------------------------------------------------------


@st.composite
def services(draw: st.DrawFn) -> tuple[Service, ...]:
    numbers = st.sampled_from([53, 80, 81, 8080])
    names = st.sampled_from(["http", "dns"])
    return tuple(
        Service(
            draw(st.sampled_from(SPACES)),
            f"s{number}",
            draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"])),
            draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), min_size=1, max_size=2)),
            (ServicePort("main", draw(st.sampled_from(list(Protocol))), 80, draw(numbers | names), 30000),),
            load_balancer_source_ranges=draw(
                st.sampled_from([(), (ip_network("10.0.0.0/30"),), (ip_network("203.0.113.0/24"),)])
            ),
            external_traffic_policy=draw(st.sampled_from(["Cluster", "Local"])),
        )
        for number in range(draw(st.integers(1, 3)))
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters(), services())
def test_a_workload_is_exposed_where_a_packet_to_one_of_its_pods_passes(
    given_cluster: Cluster, given_services: tuple[Service, ...]
) -> None:
    state = replace(given_cluster, services=given_services)
    reach = analyse(state)
    listed: dict[SeenAs, set[Way]] = {seen_as: set() for seen_as in SeenAs}
    for open_ in Exposures(reach).open:
        if not open_.behind.peers.host_network:
            ports = [checked for checked in CHECKED if open_.ports.contains(*checked)]
            keys = [pod.key for pod in open_.behind.pods]
            listed[open_.seen_as] |= {(key, kind, *port) for key, kind, port in product(keys, open_.origins, ports)}
    direct, hidden = set[Way](), set[Way]()
    for one, (protocol, number) in product(state.pods, CHECKED):
        for found in public(state, one, protocol, number) if not one.host_network else ():
            for kind in ANYWHERE:
                way = (one.key, kind, protocol, number)
                if any_passes(state, outside(reach, kind, found), one, protocol, number):
                    direct.add(way)
                hides = found.external_traffic_policy == "Cluster" and kind in lets_in(found)
                if hides and any_passes(state, nodes(state), one, protocol, number):
                    hidden.add(way)
    assert listed[SeenAs.CLIENT] == direct
    assert listed[SeenAs.CLIENT] | listed[SeenAs.NODE] == direct | hidden


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters())
def test_a_workload_is_exposed_through_a_controller_where_one_of_its_pods_may_connect(given_cluster: Cluster) -> None:
    """The controller is every pod of namespace east, behind a node port of its own; every pod elsewhere is behind the Ingress."""
    release = {RELEASE_LABEL: "front"}
    pods = tuple(
        replace(one, labels={**one.labels, **release})
        if one.namespace == "east"
        else replace(one, labels={**one.labels, "back": "yes"})
        for one in given_cluster.pods
    )
    numbers = tuple(ServicePort("", Protocol.TCP, number, number, number) for number in (53, 80, 81, 8080))
    spaces = [space for space in SPACES if space != "east"]
    state = replace(
        given_cluster,
        pods=pods,
        services=(
            Service("east", "front", "NodePort", release, numbers),
            *(Service(space, "back", "ClusterIP", {"back": "yes"}, numbers) for space in spaces),
        ),
        ingress_classes=(IngressClass("own", "example.com/own", release),),
        ingresses=tuple(ingress(("back", 0), namespace=space, of="own") for space in spaces),
    )
    found = Exposures(analyse(state))
    controllers = [one for one in pods if one.namespace == "east" and not one.finished]
    fronts = {pod.key for one in found.open if one.behind.workload.namespace == "east" for pod in one.behind.pods}
    listed = {
        (pod.key, number)
        for one in found.open
        if one.seen_as is SeenAs.CONTROLLER
        for pod in one.behind.pods
        for number in (53, 80, 81, 8080)
        if one.ports.contains(Protocol.TCP, number)
    }
    expected = {
        (one.key, number)
        for one, number in product(pods, (53, 80, 81, 8080))
        if one.namespace != "east" and not one.finished and fronts
        if any_passes(state, controllers, one, Protocol.TCP, number)
    }
    assert listed == expected or not controllers  # without a controller anybody may be one


Way = tuple[str, AddressKind, Protocol, int]


def any_passes(
    state: Cluster, sources: Iterable[Pod | IPAddress], destination: Pod, protocol: Protocol, number: int
) -> bool:
    return any(may_connect(state, source, destination, protocol, number, own_node=False) for source in sources)


CHECKED = [(protocol, number) for protocol in (Protocol.TCP, Protocol.UDP) for number in (53, 80, 81, 8080)]


def public(state: Cluster, one: Pod, protocol: Protocol, number: int) -> Iterator[Service]:
    """Public Services that lead to this port of the pod; the node ports of one with source ranges as a Service of their own."""
    for found in state.services:
        selects = found.namespace == one.namespace and (found.selector or {}).items() <= dict(one.labels).items()
        if found.type == "ClusterIP" or not selects or found.ports[0].protocol is not protocol:
            continue
        target = found.ports[0].target_port
        if target == number or any((p.name, p.protocol, p.number) == (target, protocol, number) for p in one.ports):
            yield found
            if limits(found):
                yield replace(found, type="NodePort")


def limits(found: Service) -> tuple[IPNetwork, ...]:
    return found.load_balancer_source_ranges if found.type == "LoadBalancer" else ()


def lets_in(found: Service) -> frozenset[AddressKind]:
    return kinds_of(limits(found)) if limits(found) else ANYWHERE


def outside(reach: Reachability, kind: AddressKind, found: Service) -> Iterator[IPAddress]:
    """An address of every range in which the Service lets addresses of the kind in."""
    for one in reach.external:
        inside = kinds_within(one.first, one.last, limits(found)) if limits(found) else one.kinds
        if kind in inside:
            yield one.first


def nodes(state: Cluster) -> Iterator[Pod | IPAddress]:
    for node in state.nodes:
        yield from node.addresses
    for one in state.pods:
        if one.host_network:
            yield one
