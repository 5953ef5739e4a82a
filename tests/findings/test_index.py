"""Look-ups of the index, against the plain question put to every class."""

from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, IpBlock, NetworkPolicy, Pod, PodPeer, Service, ServicePort
from evidence.findings.index import MAX_REASONS, labels_of
from evidence.reach.services import behind
from tests.builders import block, cluster, named_port, peer, pod, policy, port, rule
from tests.findings.looking import context

APPS, SPACES = st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])
ADDRESSES = st.sampled_from([(), ("10.0.0.1",), ("10.0.0.2", "fd00::2"), ("fd00::3",)])


@st.composite
def pods(draw: st.DrawFn) -> list[Pod]:
    return [
        pod(
            f"p{number}",
            draw(SPACES),
            {"app": draw(APPS)},
            ip=draw(ADDRESSES),
            ports=[named_port("http", draw(st.sampled_from([80, 8080])))],
            host_network=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@st.composite
def policies(draw: st.DrawFn) -> list[NetworkPolicy]:
    peers: st.SearchStrategy[PodPeer | IpBlock] = st.sampled_from(
        [peer({"app": "a"}), peer({}, namespaces={}), block("10.0.0.0/31"), block("fd00::/16")]
    )
    ports = st.sampled_from([[], [port("http")], [port(80, end_port=90)]])
    return [
        policy(
            f"n{number}",
            draw(SPACES),
            draw(st.sampled_from([{}, {"app": "a"}])),
            ingress=[rule([draw(peers)], draw(ports)) for _ in range(draw(st.integers(0, 2)))],
        )
        for number in range(draw(st.integers(0, 3)))
    ]


CLUSTERS = st.builds(cluster, pods(), policies())


@settings(deadline=None)
@given(CLUSTERS)
def test_what_the_engine_placed_is_what_the_selector_selects(state: Cluster) -> None:
    index = context(state).index
    for found in state.policies:
        plain = [c for c in index.in_namespace(found.namespace) if found.pod_selector.matches(labels_of(c))]
        assert list(index.selected(found)) == plain


@given(pods(), st.lists(st.dictionaries(st.sampled_from(["app", "tier"]), APPS, max_size=2), max_size=4))
def test_the_services_of_a_pod_are_those_that_select_it(given_pods: list[Pod], selectors: list[dict[str, str]]) -> None:
    ports: tuple[ServicePort, ...] = ()
    services = tuple(Service("x", f"s{number}", "ClusterIP", wanted, ports) for number, wanted in enumerate(selectors))
    state = cluster(given_pods)
    index = context(Cluster(state.namespaces, state.pods, services=services)).index
    for one in given_pods:
        assert index.services(one) == [service for service in services if behind(service, one)]


def test_many_reasons_for_doubt_are_a_few_and_the_word_others() -> None:
    nowhere = [pod(f"p{number}", "x", {"app": f"a{number}"}) for number in range(9)]
    blocks = [
        policy(f"n{number}", "x", {"app": f"a{number}"}, ingress=[rule([block("10.0.0.0/8")])]) for number in range(9)
    ]
    given_context = context(cluster(nowhere, blocks))
    everyone = [found.id for found in given_context.index.classes]
    reasons = given_context.index.uncertain(everyone, everyone)
    assert len(reasons) == MAX_REASONS + 1
    assert reasons[-1] == "others for the like reasons"
