"""Namespaces, nodes, services, ingresses, other makers' policies, and the cluster as a whole."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from evidence.cluster.model import IngressBackend, Protocol, ServicePort
from evidence.cluster.objects import Collection, KindResult, KindStatus, Problem, SourceInfo
from evidence.cluster.parse import MODELLED_KINDS, build_cluster
from evidence.cluster.rbac import KINDS as RBAC_KINDS
from evidence.errors import InputError, ManyInputsError
from tests.manifests import body, cluster_of, collected, pod_body, policy_body, workload_body

NAME_LABEL = "kubernetes.io/metadata.name"


def test_every_namespace_carries_the_name_label_that_the_server_sets() -> None:
    cluster = cluster_of(body("v1", "Namespace", "shop", metadata={"labels": {"team": "a", NAME_LABEL: "forged"}}))
    assert cluster.namespaces["shop"].labels == {"team": "a", NAME_LABEL: "shop"}
    assert cluster.namespaces["shop"].declared


def test_a_namespace_that_only_other_objects_name_is_there_undeclared() -> None:
    cluster = cluster_of(
        pod_body(namespace="pods"),
        policy_body({}, namespace="policies"),
        body("v1", "Service", namespace="services"),
        workload_body("Deployment", metadata={"namespace": "workloads"}),
        body("cilium.io/v2", "CiliumNetworkPolicy", namespace="others"),
    )
    assert list(cluster.namespaces) == ["others", "pods", "policies", "services", "workloads"]
    assert {space.declared for space in cluster.namespaces.values()} == {False}
    assert cluster.namespaces["pods"].labels == {NAME_LABEL: "pods"}


def test_a_node() -> None:
    raw = body(
        "v1",
        "Node",
        "n1",
        metadata={"labels": {"kubernetes.io/os": "windows"}, "annotations": {"k": "v"}},
        spec={"podCIDRs": ["10.1.0.0/24", "fd00::/64"], "podCIDR": "10.1.0.0/24", "providerID": "kind://x"},
        status={
            "addresses": [
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "Hostname", "address": "n1"},
                {"type": "ExternalIP", "address": "fd00::1"},
            ],
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "nodeInfo": {"kubeletVersion": "v1.34.2"},
        },
    )  # fmt: skip
    (node,) = cluster_of(raw).nodes
    assert node.addresses == (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert node.pod_cidrs == (ip_network("10.1.0.0/24"), ip_network("fd00::/64"))
    assert (node.ready, node.operating_system, node.kubelet_version, node.provider_id) == (
        False,
        "windows",
        "v1.34.2",
        "kind://x",
    )
    assert cluster_of(body("v1", "Node", "n2")).nodes[0].ready is None


def test_a_service() -> None:
    spec = {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "ports": [
            {"port": 80, "targetPort": "http", "nodePort": 30080},
            {"port": 53, "protocol": "UDP", "name": "dns"},
        ],
        "externalIPs": ["203.0.113.9"],
        "loadBalancerSourceRanges": ["198.51.100.0/24"],
        "externalTrafficPolicy": "Local",
    }
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"hostname": "lb.example.com"}]}}
    (service,) = cluster_of(body("v1", "Service", spec=spec, status=status)).services
    assert service.ports == (ServicePort("", Protocol.TCP, 80, "http", 30080), ServicePort("dns", Protocol.UDP, 53, 53))
    assert service.external_addresses == ("203.0.113.9", "203.0.113.1", "lb.example.com")
    assert service.load_balancer_source_ranges == (ip_network("198.51.100.0/24"),)
    assert (service.type, service.external_traffic_policy) == ("LoadBalancer", "Local")


@pytest.mark.parametrize("selector", [None, {}])
def test_a_service_that_selects_nothing_has_no_selector(selector: Any) -> None:
    assert cluster_of(body("v1", "Service", spec={"selector": selector})).services[0].selector is None


def test_a_service_has_its_own_labels() -> None:
    (service,) = cluster_of(body("v1", "Service", metadata={"labels": {"tier": "front"}}, spec={})).services
    assert service.labels == {"tier": "front"}


def test_an_ingress_of_today_and_one_of_old() -> None:
    path = {"path": "/", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
    bucket = {"path": "/files", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}
    spec = {
        "ingressClassName": "nginx",
        "defaultBackend": {"service": {"name": "fallback", "port": {"name": "http"}}},
        "rules": [{"host": "shop.example", "http": {"paths": [path, bucket]}}, {"host": "nothing.example"}],
    }
    (ingress,) = cluster_of(body("networking.k8s.io/v1", "Ingress", spec=spec)).ingresses
    assert ingress.backends == (IngressBackend("fallback", "http"), IngressBackend("web", 80, "shop.example", "/"))
    old = {"backend": {"serviceName": "web", "servicePort": 80}}
    (ingress,) = cluster_of(body("networking.k8s.io/v1", "Ingress", spec=old)).ingresses
    assert ingress.backends == (IngressBackend("web", 80),)


def test_other_makers_policies_are_named() -> None:
    cluster = cluster_of(
        body("security.istio.io/v1", "AuthorizationPolicy", spec={"anything": [1]}),
        body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "ippools.crd.projectcalico.org"),
    )
    assert [(policy.key.kind, policy.api_version) for policy in cluster.other_policies] == [
        ("AuthorizationPolicy", "security.istio.io/v1")
    ]
    assert cluster.crds == {"ippools.crd.projectcalico.org"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (body("v1", "Node", "n", status={"addresses": [{"type": "InternalIP", "address": "x"}]}), "addresses[0].address 'x' is not an IP address"),
        (body("v1", "Node", "n", spec={"podCIDR": "10.0.0.0"}), "Node n: spec.podCIDR[0] '10.0.0.0' is not a network"),
        (body("v1", "Service", spec={"ports": [{}]}), "Service default/a: spec.ports[0].port is missing"),
        (body("v1", "Service", spec={"type": "Balancer"}), "Service default/a: spec.type must be one of ClusterIP"),
        (body("v1", "Service", spec={"loadBalancerSourceRanges": ["x/8"]}), "spec.loadBalancerSourceRanges[0] 'x/8' is not a network"),
        (body("networking.k8s.io/v1", "Ingress", spec={"rules": [{"http": {"paths": [{"backend": []}]}}]}), "paths[0].backend must be an object"),
        (body("v1", "Namespace", "n", metadata={"labels": "x"}), "Namespace n: metadata.labels must be an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_field(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        cluster_of(raw)
    assert message in str(caught.value)


def test_everything_is_sorted_by_namespace_and_name() -> None:
    cluster = cluster_of(pod_body("b", "y"), pod_body("a", "y"), pod_body("z", "x"))
    assert [pod.key for pod in cluster.pods] == ["x/z", "y/a", "y/b"]


def collection(
    *bodies: dict[str, Any], kinds: tuple[KindResult, ...] = (), problems: tuple[Problem, ...] = ()
) -> Collection:
    return Collection(SourceInfo("files", "x"), tuple(collected(raw) for raw in bodies), kinds, problems)


def test_all_wrong_objects_are_named_in_one_pass() -> None:
    with pytest.raises(ManyInputsError) as caught:
        build_cluster(collection(pod_body("a", spec=[]), pod_body("fine"), policy_body([], "b")))
    assert len(caught.value.errors) == 2


def test_kinds_that_were_refused_failed_or_lost_objects_are_unread() -> None:
    kinds = (
        KindResult("", "Node", KindStatus.FORBIDDEN),
        KindResult("", "Service", KindStatus.FAILED),
        KindResult("", "Pod", KindStatus.LISTED),
        KindResult("apps", "DaemonSet", KindStatus.NOT_SERVED),
        KindResult("apps", "Deployment", KindStatus.NOT_IN_SOURCE),
    )
    found = build_cluster(collection(kinds=kinds, problems=(Problem("x.yaml:1", "is wrong", "NetworkPolicy"),)))
    assert set(found.unread_kinds) - set(RBAC_KINDS) == {"NetworkPolicy", "Node", "Service"}
    assert set(RBAC_KINDS) < set(found.unread_kinds)  # nobody asked for these


def test_what_was_left_out_of_an_unknown_kind_leaves_every_kind_in_doubt() -> None:
    assert build_cluster(collection(problems=(Problem("x.yaml", "is not YAML"),))).unread_kinds == MODELLED_KINDS


def test_digests_and_sources_come_from_the_object_when_they_are_asked_for() -> None:
    raw = pod_body()
    (pod,) = cluster_of(raw).pods
    assert pod.digest == ""  # the body is whole: read for analysis alone
    assert pod.origin is not None
    assert pod.origin.source == "test.yaml:1"
