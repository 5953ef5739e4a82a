"""Random Calico objects, raw as somebody writes them, over the small clusters of `strategies`."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from evidence.cluster.calico import Calico, CalicoTier, NetworkSet
from evidence.cluster.model import Cluster
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.parse_calico import calico_policy
from tests.oracle.strategies import KEYS, NETWORKS, NUMBERS, PORT_NAMES, SPACES, VALUES, clusters, labels

GROUP = "projectcalico.org"
ACCOUNTS = ("default", "robot")
TIERS = ("early", "late")

values = st.sampled_from(VALUES)
pod_keys = st.sampled_from(
    (*KEYS, *KEYS, "pcns.app", "projectcalico.org/namespace", "projectcalico.org/serviceaccount")
)
nets = st.lists(st.sampled_from([str(network) for network in NETWORKS]), max_size=2, unique=True)


@st.composite
def tests_of_labels(draw: st.DrawFn, keys: st.SearchStrategy[str], texts: st.SearchStrategy[str]) -> str:
    key, quote = draw(keys), draw(st.sampled_from("'\""))
    one = f"{quote}{draw(texts)}{quote}"
    return draw(
        st.sampled_from(
            [
                f"{key} == {one}",
                f"{key} != {one}",
                f"{key} in {{{one}}}",
                f"{key} not in {{{one}, 'b'}}",
                f"{key} contains {one}",
                f"{key} starts with {one}",
                f"{key} ends with {one}",
                f"has({key})",
                "all()",
            ]
        )
    )


def selectors(
    keys: st.SearchStrategy[str] = pod_keys, texts: st.SearchStrategy[str] = values
) -> st.SearchStrategy[str]:
    """Selectors of a few tests."""
    texts = st.one_of(texts, st.sampled_from(("east", "robot", "default")))
    return st.recursive(
        tests_of_labels(keys, texts),
        lambda inner: st.one_of(
            inner.map(lambda one: f"!({one})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        ),
        max_leaves=3,
    )


namespace_selectors = st.one_of(
    st.sampled_from(("all()", "global()", "projectcalico.org/name == 'east'", "!global()")),
    selectors(st.sampled_from((*KEYS, "projectcalico.org/name"))),
)
account_selectors = st.sampled_from(("projectcalico.org/name == 'robot'", "projectcalico.org/name != 'robot'", "all()"))


def maybe(name: str, strategy: st.SearchStrategy[Any], one_in: int = 5) -> st.SearchStrategy[dict[str, Any]]:
    """The field now and then: rules with every limit match nothing."""
    absent: list[st.SearchStrategy[dict[str, Any]]] = [st.just({})] * (one_in - 1)
    return st.one_of(*absent, strategy.map(lambda value: {name: value} if value else {}))


def fields(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {name: value for part in found for name, value in part.items()})


entities = fields(
    maybe("nets", nets),
    maybe("notNets", nets),
    maybe("selector", selectors()),
    maybe("notSelector", selectors()),
    maybe("namespaceSelector", namespace_selectors),
    maybe(
        "serviceAccounts", st.sampled_from([{"names": ["robot"]}, {"selector": "projectcalico.org/name == 'robot'"}])
    ),
)
ports = st.lists(
    st.one_of(st.sampled_from(NUMBERS), st.sampled_from(PORT_NAMES), st.sampled_from(("80:81", "1:79", "53"))),
    max_size=2,
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": draw(st.sampled_from(["Allow", "Allow", "Deny", "Pass", "Log"]))}
    rule |= draw(maybe("ipVersion", st.sampled_from([4, 6])))
    rule |= draw(maybe("notProtocol", st.sampled_from(["TCP", "UDP", 132, "ICMP"])))
    rule |= draw(fields(maybe("source", entities), maybe("destination", entities)))
    if draw(st.booleans()):
        rule["protocol"] = draw(st.sampled_from(["TCP", "UDP", "SCTP", 6, "ICMP"]))
        destination = {**rule.get("destination", {}), **draw(fields(maybe("ports", ports), maybe("notPorts", ports)))}
        rule |= {"destination": destination}
    return rule


@st.composite
def policies(draw: st.DrawFn, number: int) -> CollectedObject:
    spec: dict[str, Any] = draw(
        fields(
            maybe("order", st.sampled_from([1, 999.5, 1000, 1000, 2000]), 2),
            maybe("tier", st.sampled_from(TIERS), 2),
            maybe("selector", selectors(), 3),
            maybe("serviceAccountSelector", account_selectors),
            maybe("types", st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]])),
            st.lists(rules(), max_size=3).map(lambda found: {"ingress": found}),
            st.lists(rules(), max_size=3).map(lambda found: {"egress": found}),
        )
    )
    wide = draw(st.booleans())
    if wide:
        spec |= draw(fields(maybe("namespaceSelector", namespace_selectors.filter(lambda s: "global" not in s))))
        spec |= draw(maybe("doNotTrack", st.just(draw(st.integers(0, 9)) == 0)))
    kind, home = ("GlobalNetworkPolicy", "") if wide else ("NetworkPolicy", draw(st.sampled_from(SPACES)))
    key = ObjectKey(GROUP, kind, home, f"k{number}")
    return CollectedObject.of(key, {"apiVersion": f"{GROUP}/v3", "kind": kind, "spec": spec}, "made up")


@st.composite
def network_sets(draw: st.DrawFn, number: int) -> NetworkSet:
    home = draw(st.sampled_from(("", *SPACES)))
    kind = "NetworkSet" if home else "GlobalNetworkSet"
    chosen = draw(st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True))
    return NetworkSet(ObjectKey(GROUP, kind, home, f"s{number}"), draw(labels), tuple(chosen))


@st.composite
def calico_clusters(draw: st.DrawFn) -> Cluster:
    """A random cluster with Calico's objects. Namespaces of which no object was read have no NetworkSet."""
    cluster = draw(clusters(admin=draw(st.integers(0, 2)) == 0))
    tiers = tuple(
        CalicoTier(name, draw(st.sampled_from([None, 10, 5000, 1_000_000, 2_000_000, 20_000_000])), draw(st.booleans()))
        for name in TIERS
    )
    sets = [draw(network_sets(number)) for number in range(draw(st.integers(0, 2)))]
    found = [draw(policies(number)) for number in range(draw(st.integers(1, 4)))]
    return replace(
        cluster,
        pods=tuple(replace(pod, service_account=draw(st.sampled_from(ACCOUNTS))) for pod in cluster.pods),
        calico=Calico(
            policies=tuple(sorted((calico_policy(obj) for obj in found), key=lambda policy: policy.key)),
            tiers=tiers,
            sets=tuple(s for s in sets if not s.key.namespace or cluster.namespaces[s.key.namespace].declared),
        ),
    )
