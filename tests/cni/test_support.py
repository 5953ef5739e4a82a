"""Policies of a kind that only one plugin heeds count only where that plugin may be what enforces."""

from typing import Any

import pytest

from evidence.cluster.model import Cluster
from evidence.cni.detect import detect
from evidence.cni.support import dead_policies, heeded, unsupported_features
from tests.cni.clusters import agent, application, calico, cilium, cilium_config, nodes, read, weave
from tests.manifests import body

POLICY = body("cilium.io/v2", "CiliumNetworkPolicy", "guard", "shop", spec={"endpointSelector": {}, "ingress": [{}]})


def seen(*objects: Any) -> Cluster:
    found = read(nodes(), application(), POLICY, *objects)
    return heeded(detect(found), found)


@pytest.mark.parametrize("plugin", [[cilium()], [cilium(), calico()], []])
def test_cilium_policies_count_where_cilium_or_nobody_was_recognised(plugin: Any) -> None:
    found = seen(*plugin)
    assert [str(policy.key) for policy in found.cilium_policies] == ["CiliumNetworkPolicy shop/guard"]
    assert found.other_policies == ()


def test_cilium_policies_are_named_as_not_evaluated_under_another_plugin() -> None:
    found = seen(calico())
    assert found.cilium_policies == ()
    assert [str(policy.key) for policy in found.other_policies] == ["CiliumNetworkPolicy shop/guard"]


def test_a_kind_that_a_plugin_may_run_is_neither_dead_nor_evaluated() -> None:
    clusterwide = {**POLICY, "kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": "all"}}
    anetd = agent("kube-system", "anetd", "gke.gcr.io/cilium/cilium:v1.15.6-gke.13")
    whole = read(nodes(), application(), POLICY, clusterwide, anetd)
    report = detect(whole)
    assert [str(policy.key) for policy, _ in dead_policies(report, whole)] == ["CiliumNetworkPolicy shop/guard"]
    found = heeded(report, whole)
    assert (found.cilium_policies, len(found.other_policies)) == ((), 2)


ADMIN = body(
    "policy.networking.k8s.io/v1alpha2",
    "ClusterNetworkPolicy",
    "deny",
    spec={
        "tier": "Admin",
        "priority": 1,
        "subject": {"namespaces": {}},
        "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
    },
)


@pytest.mark.parametrize(
    ("plugin", "counts"),
    [(calico("v3.29.3"), False), (calico("v3.32.1"), True), (calico("v3.99.0"), True), ([], True)],
    ids=["does not run the kind", "runs it in part", "is of no known version", "is not there"],
)
def test_a_cluster_wide_policy_counts_unless_the_plugin_is_known_not_to_run_it(plugin: Any, counts: bool) -> None:
    whole = read(nodes(), application(), ADMIN, plugin)
    report = detect(whole)
    found = heeded(report, whole)
    assert bool(found.cluster_policies) is counts
    assert [str(policy.key) for policy in found.other_policies] == ([] if counts else ["ClusterNetworkPolicy deny"])
    for cluster in (whole, found):  # before and after
        assert bool(dead_policies(report, cluster)) is not counts


FIELDS = body(
    "policy.networking.k8s.io/v1alpha2",
    "ClusterNetworkPolicy",
    "fields",
    spec={
        "tier": "Admin",
        "priority": 2,
        "subject": {
            "pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"pod-template-hash": "x"}}},
        },
        "egress": [
            {
                "action": "Deny",
                "to": [{"networks": ["10.244.0.0/16", "fd00::/8"]}],
                "protocols": [
                    {"sctp": {"destinationPort": {"number": 5}}},
                    {"tcp": {"destinationPort": {"range": {"start": 1, "end": 2}}}},
                    {"destinationNamedPort": "web"},
                ],
            }
        ],
    },
)


def test_fields_of_cluster_wide_policies_are_checked_as_well() -> None:
    found = read(nodes(), application(), FIELDS, weave())
    report = detect(found)
    (policy,) = found.cluster_policies
    features = {field.feature for field in unsupported_features(report, policy)}
    assert features == {"sctp", "endPort", "namedPorts", "ipv6"}
    cilium_report = detect(read(nodes(), application(), cilium("v1.17.2", config=cilium_config())))
    seen_by_cilium = {field.feature for field in unsupported_features(cilium_report, policy)}
    assert seen_by_cilium == {"sctp", "ipBlockPods", "systemLabels"}


@pytest.mark.parametrize(
    ("label", "hidden"),
    [
        ("app", False),
        ("app.kubernetes.io/name", False),
        ("statefulset.kubernetes.io/pod-name", True),
        ("apps.kubernetes.io/pod-index", True),
        ("batch.kubernetes.io/job-completion-index", True),
        ("pod-template-hash", True),
        ("controller-revision-hash", True),
        ("topology.kubernetes.io/zone", False),
        ("kubernetes.io/os", True),
        ("beta.kubernetes.io/arch", True),
        ("security.istio.io/tlsMode", False),
    ],
)
def test_labels_that_cilium_leaves_out_of_what_it_knows_a_pod_by(label: str, hidden: bool) -> None:
    guard = body(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "guard",
        "shop",
        spec={"podSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]}, "policyTypes": ["Ingress"]},
    )
    found = read(nodes(), application(), guard, cilium("v1.17.2", config=cilium_config()))
    (policy,) = found.policies
    features = {field.feature for field in unsupported_features(detect(found), policy)}
    assert ("systemLabels" in features) is hidden
