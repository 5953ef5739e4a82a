"""Random clusters in which Calico's policies meet: broad subjects, rules with few limits, orders that tie, policies of every kind in the same tiers.

Where `calico_strategies` draws any object, most of which select nobody, here nearly every connection is decided by some rule.
"""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st

from evidence.cluster.calico import Calico, CalicoTier, NetworkSet
from evidence.cluster.model import Cluster, ContainerPort, IPAddress, Namespace, Pod, Protocol
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse_calico import calico_policy
from evidence.cluster.routes import Endpoint, EndpointPort, EndpointSlice
from tests.builders import NAME_LABEL
from tests.oracle.calico_strategies import ACCOUNTS, GROUP, fields, maybe, namespace_selectors, ports, selectors
from tests.oracle.strategies import KEYS, NETWORKS, NUMBERS, PORT_NAMES, cluster_policies, labels, network_policies

SPACES = ("east", "north", "west")
OUTSIDE = tuple(map(ip_address, ("203.0.113.7", "10.0.0.6", "2001:db8::1")))
BEHIND = tuple(map(ip_address, ("10.0.0.0", "10.0.0.1", "10.0.0.2", "fd00::2", "172.16.0.1", "203.0.113.7")))
SERVICES = ("sql", "web")
TIERS = {"early": (10, 999), "late": (2_000_000, None), "tied": (10, 1_000_000, None)}
HOSTS = ("172.16.0.1", "fd01::1")
ORDERS = (None, 5, 5, 1000)
NETS = tuple(str(network) for network in NETWORKS if network.prefixlen)

pod_keys = st.sampled_from((*KEYS, *KEYS, *KEYS, "pcns.app", "pcsa.app", "projectcalico.org/serviceaccount"))
broad = st.one_of(st.just(""), st.just("all()"), selectors(pod_keys))
spaces = st.one_of(st.sampled_from(("all()", "global()", "projectcalico.org/name != 'east'")), namespace_selectors)
accounts = st.one_of(st.sampled_from(("all()", "projectcalico.org/name == 'robot'")), selectors(st.sampled_from(KEYS)))
nets = st.lists(st.sampled_from(NETS), min_size=1, max_size=3, unique=True)


@st.composite
def pods(draw: st.DrawFn) -> tuple[Pod, ...]:
    """Four to six pods with addresses, some of both families; one may be on the host network."""
    found = []
    for number in range(draw(st.integers(4, 6))):
        space, host = draw(st.sampled_from(SPACES)), number == 5
        four, six = ip_address(f"10.0.0.{number}"), ip_address(f"fd00::{number}")
        given: tuple[IPAddress, ...] = draw(st.sampled_from([(four,), (four, six), (six,), (four, six)]))
        declared = draw(st.lists(st.tuples(st.sampled_from(PORT_NAMES), st.sampled_from(list(Protocol))), max_size=2))
        found.append(
            Pod(
                namespace=space,
                name=f"p{number}",
                labels=draw(labels),
                workload=ObjectKey("", "Pod", space, f"p{number}"),
                addresses=tuple(map(ip_address, HOSTS)) if host else given,
                host_network=host,
                ports=tuple(ContainerPort(*port, draw(st.sampled_from(NUMBERS))) for port in declared),
                service_account=draw(st.sampled_from(ACCOUNTS)),
            )
        )
    return tuple(sorted(found, key=lambda pod: (pod.namespace, pod.name)))


ends = st.one_of(
    st.just({}),
    fields(maybe("nets", nets, 2), maybe("notNets", nets, 3)),
    fields(maybe("selector", broad, 2), maybe("namespaceSelector", spaces, 2), maybe("notSelector", selectors(), 3)),
    fields(maybe("notSelector", selectors(), 1), maybe("nets", nets, 3)),
    fields(
        st.one_of(
            st.just({"serviceAccounts": {"names": ["robot"]}}),
            accounts.map(lambda text: {"serviceAccounts": {"selector": text}}),
        ),
        maybe("namespaceSelector", spaces, 2),
    ),
)


@st.composite
def slices(draw: st.DrawFn) -> tuple[EndpointSlice, ...]:
    """One or two of each Service, of addresses of pods, nodes and the outside; a slice may be empty, a port without a number."""
    port = st.builds(EndpointPort, st.just(""), st.sampled_from(list(Protocol)), st.none() | st.sampled_from(NUMBERS))
    addresses = st.lists(st.sampled_from(BEHIND), max_size=3, unique=True)
    return tuple(
        EndpointSlice(
            "west",
            f"{service}-{number}",
            service,
            tuple(Endpoint((address,)) for address in draw(addresses)),
            tuple(draw(st.lists(port, max_size=2))),
        )
        for service in SERVICES
        for number in range(draw(st.integers(1, 2)))
    )


services = st.sampled_from(SERVICES).map(lambda name: {"services": {"name": name, "namespace": "west"}})


@st.composite
def rules(draw: st.DrawFn, peer: str) -> dict[str, Any]:
    """The peer is limited most of the time, the policy's own end seldom."""
    rule: dict[str, Any] = {"action": draw(st.sampled_from(["Allow", "Allow", "Deny", "Deny", "Pass", "Log"]))}
    rule[peer] = draw(ends)
    own = "destination" if peer == "source" else "source"
    rule |= draw(maybe(own, ends, 5)) | draw(maybe("ipVersion", st.sampled_from([4, 6]), 6))
    if draw(st.integers(0, 2)):
        rule["protocol"] = draw(st.sampled_from(["TCP", "TCP", "udp", "SCTP", 6]))
        limits = draw(st.sampled_from([{"ports": ports}, {"notPorts": ports}, {"ports": ports, "notPorts": ports}, {}]))
        rule["destination"] = {**rule.get("destination", {}), **{name: draw(found) for name, found in limits.items()}}
    else:
        rule |= draw(maybe("notProtocol", st.sampled_from(["TCP", "UDP", 132]), 3))
        if draw(st.integers(0, 3)) == 0:
            rule[peer] = draw(services)
    return rule


@st.composite
def policies(draw: st.DrawFn, number: int) -> CollectedObject:
    tier = draw(st.sampled_from(("default", "default", *TIERS)))
    spec: dict[str, Any] = {
        "selector": draw(broad),
        "types": draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Ingress", "Egress"]])),
        "ingress": draw(st.lists(rules("source"), max_size=3)),
        "egress": draw(st.lists(rules("destination"), max_size=3)),
    }
    spec |= {"tier": tier} if tier != "default" or draw(st.booleans()) else {}
    order = draw(st.sampled_from(ORDERS))
    spec |= {} if order is None else {"order": order}
    name = draw(st.sampled_from(("", f"{tier}."))) + draw(st.sampled_from("abc")) + str(number)
    kind, home = "GlobalNetworkPolicy", ""
    if draw(st.integers(0, 2)) == 0:
        kind, home = "NetworkPolicy", draw(st.sampled_from(SPACES))
    else:
        spec |= draw(maybe("namespaceSelector", spaces.filter(lambda text: "global" not in text), 3))
    spec |= draw(maybe("serviceAccountSelector", accounts, 4))
    body = {"apiVersion": f"{GROUP}/v3", "kind": kind, "spec": spec}
    return CollectedObject.of(ObjectKey(GROUP, kind, home, name), body, "made up")


@st.composite
def network_sets(draw: st.DrawFn, number: int) -> NetworkSet:
    kind = draw(st.sampled_from(["GlobalNetworkSet", "NetworkSet", "NetworkSet", "HostEndpoint"]))
    home = draw(st.sampled_from(SPACES)) if kind == "NetworkSet" else ""
    chosen = draw(
        st.lists(st.sampled_from([network for network in NETWORKS if network.prefixlen]), min_size=1, max_size=3)
    )
    return NetworkSet(ObjectKey(GROUP, kind, home, f"s{number}"), draw(labels), tuple(dict.fromkeys(chosen)))


@st.composite
def with_gaps(draw: st.DrawFn) -> Cluster:
    """A crowded cluster in which addresses of some pods are not known, and labels of some namespaces."""
    cluster = draw(crowded_clusters())
    assert cluster.calico is not None
    unread = draw(st.sets(st.sampled_from(SPACES), max_size=2))
    nowhere = draw(st.sets(st.sampled_from([pod.name for pod in cluster.pods if not pod.host_network]), max_size=3))
    return replace(
        cluster,
        namespaces={
            name: Namespace(name, {NAME_LABEL: name}, declared=False) if name in unread else space
            for name, space in cluster.namespaces.items()
        },
        pods=tuple(replace(pod, addresses=()) if pod.name in nowhere else pod for pod in cluster.pods),
    )


@st.composite
def crowded_clusters(draw: st.DrawFn) -> Cluster:
    """A cluster in which everything is known."""
    robots = {account: draw(labels) for account in ACCOUNTS}
    names = {name: Namespace(name, {NAME_LABEL: name, **draw(labels)}) for name in SPACES}
    found = [draw(policies(number)) for number in range(draw(st.integers(2, 6)))]
    sets = [draw(network_sets(number)) for number in range(draw(st.integers(0, 3)))]
    return Cluster(
        namespaces=names,
        pods=tuple(replace(pod, account_labels=robots[pod.service_account]) for pod in draw(pods())),
        endpoint_slices=draw(slices()),
        policies=draw(network_policies()) if draw(st.booleans()) else (),
        cluster_policies=tuple(draw(cluster_policies())[:2]) if draw(st.integers(0, 2)) == 0 else (),
        calico=Calico(
            policies=tuple(sorted((calico_policy(obj) for obj in found), key=lambda policy: policy.key)),
            tiers=tuple(
                CalicoTier(name, draw(st.sampled_from(orders)), draw(st.booleans())) for name, orders in TIERS.items()
            ),
            sets=tuple(sorted(sets, key=lambda one: one.key)),
        ),
    )
