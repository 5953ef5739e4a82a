"""Pods, their workloads, and the templates that stand for pods where none were read."""

from ipaddress import ip_address
from typing import Any

import pytest

from evidence.cluster.model import ContainerPort, Pod, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.errors import InputError
from tests.manifests import cluster_of, owned_by, pod_body, workload_body


def pod(**more: Any) -> Pod:
    return cluster_of(pod_body(**more)).pods[0]


def deployment(name: str = "web") -> ObjectKey:
    return ObjectKey("apps", "Deployment", "default", name)


def containers(*ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "app:1", "ports": list(ports), **more}]}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, []),
        ({"podIP": "", "podIPs": []}, []),
        ({"podIP": "10.0.0.1"}, ["10.0.0.1"]),
        ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}, ["10.0.0.1", "fd00::1"]),
    ],
)
def test_addresses(status: dict[str, Any], expected: list[str]) -> None:
    assert pod(status=status).addresses == tuple(ip_address(value) for value in expected)


def test_host_addresses_and_node() -> None:
    found = pod(
        spec={"nodeName": "n1", "hostNetwork": True},
        status={"hostIP": "10.0.0.9", "hostIPs": [{"ip": "10.0.0.9"}, {"ip": "fd00::9"}]},
    )
    assert (found.node, found.host_network) == ("n1", True)
    assert found.node_addresses == (ip_address("10.0.0.9"), ip_address("fd00::9"))


def test_ports_of_containers_and_sidecars_count_and_those_of_other_init_containers_do_not() -> None:
    def one(name: str, number: int, **more: Any) -> dict[str, Any]:
        return {"name": name, "ports": [{"name": name, "containerPort": number}], **more}

    found = pod(
        spec={
            "containers": [one("main", 1)],
            "initContainers": [one("sidecar", 2, restartPolicy="Always"), one("once", 3)],
        }
    )
    assert [port.name for port in found.ports] == ["main", "sidecar"]


def test_a_port_is_tcp_unless_it_says_otherwise() -> None:
    found = pod(
        spec=containers({"containerPort": 53, "protocol": "UDP", "hostPort": 53}, {"containerPort": 53, "name": "dns"})
    )
    assert found.ports == (ContainerPort("", Protocol.UDP, 53, 53), ContainerPort("dns", Protocol.TCP, 53))


@pytest.mark.parametrize(
    ("written", "kept"), [("10.0.0.9", "10.0.0.9"), ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", ""), ("::", ""), (None, "")]
)
def test_a_host_port_keeps_the_one_address_that_it_is_bound_to(written: str | None, kept: str) -> None:
    (found,) = pod(spec=containers({"containerPort": 80, "hostPort": 80, "hostIP": written})).ports
    assert found.host_ip == kept


def test_powers_of_any_container_are_powers_of_the_pod() -> None:
    found = pod(
        spec={
            "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "a:1"}],
            "initContainers": [{"name": "i", "image": "i:1", "securityContext": {"privileged": True}}],
            "ephemeralContainers": [
                {"name": "d", "image": "d:1", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}
            ],
        }
    )
    assert found.privileged
    assert found.capabilities == {"NET_ADMIN"}
    assert found.images == ("a:1", "i:1", "d:1")


@pytest.mark.parametrize(
    ("status", "phase", "ready"),
    [
        ({}, "Running", False),
        ({"phase": "Running"}, "Running", True),
        ({"phase": "Pending"}, "Pending", False),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, "Running", False),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, "Running", True),
        ({"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]}, "Running", False),
        ({"phase": "Succeeded"}, "Succeeded", False),
    ],
)
def test_phase_and_readiness(status: dict[str, Any], phase: str, ready: bool) -> None:
    found = pod(status=status)
    assert (found.phase, found.ready) == (phase, ready)


def test_a_pod_without_a_controller_is_its_own_workload() -> None:
    assert pod().workload == ObjectKey("", "Pod", "default", "a")
    static = {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "controller": True}]}
    assert pod(metadata=static).workload == ObjectKey("", "Pod", "default", "a")
    garbage_collected_with = {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}]}
    assert pod(metadata=garbage_collected_with).workload == ObjectKey("", "Pod", "default", "a")


def test_a_pod_that_another_pod_controls_counts_to_that_one_s_workload() -> None:
    bodies = [
        pod_body("stand-in", metadata=owned_by("Pod", "web-0", "v1")),
        pod_body("web-0", metadata=owned_by("StatefulSet", "web")),
        pod_body("orphan", metadata=owned_by("Pod", "gone", "v1")),
    ]
    found = {one.name: one.workload for one in cluster_of(*bodies).pods}
    assert found["stand-in"] == found["web-0"] == ObjectKey("apps", "StatefulSet", "default", "web")
    assert found["orphan"] == ObjectKey("", "Pod", "default", "gone")


def test_a_replica_sets_deployment_is_the_workload_whatever_the_order_of_objects() -> None:
    bodies = [
        pod_body(metadata=owned_by("ReplicaSet", "web-abc")),
        workload_body("ReplicaSet", "web-abc", metadata=owned_by("Deployment", "web")),
        workload_body("Deployment", "web"),
    ]
    for order in (bodies, bodies[::-1]):
        assert [pod.workload for pod in cluster_of(*order).pods] == [deployment()]


def test_a_jobs_cron_job_is_the_workload() -> None:
    cluster = cluster_of(
        pod_body(metadata=owned_by("Job", "nightly-1", "batch/v1")),
        workload_body("Job", "nightly-1", metadata=owned_by("CronJob", "nightly", "batch/v1")),
    )
    assert cluster.pods[0].workload == ObjectKey("batch", "CronJob", "default", "nightly")


def test_a_replica_set_that_was_not_read_is_known_by_the_template_hash() -> None:
    hashed = {**owned_by("ReplicaSet", "web-5d9c"), "labels": {"pod-template-hash": "5d9c"}}
    assert pod(metadata=hashed).workload == deployment()
    other = {**owned_by("ReplicaSet", "web-5d9c"), "labels": {"pod-template-hash": "else"}}
    assert pod(metadata=other).workload == ObjectKey("apps", "ReplicaSet", "default", "web-5d9c")


def test_a_controller_of_a_kind_that_nobody_reads_is_named_all_the_same() -> None:
    found = pod(metadata=owned_by("Rollout", "web", "argoproj.io/v1alpha1"))
    assert found.workload == ObjectKey("argoproj.io", "Rollout", "default", "web")


KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob")


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_without_pods_stands_for_pods_of_its_template(kind: str) -> None:
    cluster = cluster_of(workload_body(kind, labels={"app": "web"}))
    (found,) = cluster.pods
    assert (found.key, found.labels, found.template) == ("default/web", {"app": "web"}, True)
    assert found.workload == cluster.workloads[0].key
    assert found.addresses == ()
    assert cluster.workloads[0].pod_labels == {"app": "web"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_template_stands_beside_the_pods_themselves(kind: str) -> None:
    version = {"Job": "batch/v1", "CronJob": "batch/v1", "ReplicationController": "v1"}.get(kind, "apps/v1")
    cluster = cluster_of(workload_body(kind), pod_body("web-0", metadata=owned_by(kind, "web", version)))
    assert [pod.name for pod in cluster.pods] == ["web-0"]


def test_what_another_workload_made_does_not_count_again() -> None:
    cluster = cluster_of(
        workload_body("Deployment", "web"),
        workload_body("ReplicaSet", "web-1", metadata=owned_by("Deployment", "web")),
        workload_body("ReplicaSet", "web-2", metadata=owned_by("Deployment", "web")),
        workload_body("CronJob", "nightly"),
        workload_body("Job", "nightly-1", metadata=owned_by("CronJob", "nightly", "batch/v1")),
    )
    assert [(pod.workload.kind, pod.name) for pod in cluster.pods] == [("CronJob", "nightly"), ("Deployment", "web")]


def test_a_replica_set_whose_deployment_was_not_read_stands_for_itself() -> None:
    cluster = cluster_of(workload_body("ReplicaSet", "web-1", metadata=owned_by("Deployment", "web")))
    assert [pod.workload.kind for pod in cluster.pods] == ["ReplicaSet"]


def test_a_cron_job_between_two_runs_still_stands_for_its_next_pods_and_a_finished_job_for_none() -> None:
    done = {"phase": "Succeeded"}
    cron = cluster_of(
        workload_body("CronJob"), pod_body("web-1", metadata=owned_by("CronJob", "web", "batch/v1"), status=done)
    )
    assert [pod.name for pod in cron.pods if not pod.finished] == ["web"]
    job = cluster_of(workload_body("Job"), pod_body("web-1", metadata=owned_by("Job", "web", "batch/v1"), status=done))
    assert [pod.name for pod in job.pods if not pod.finished] == []
    complete = cluster_of(workload_body("Job", status={"conditions": [{"type": "Complete", "status": "True"}]}))
    assert complete.pods == ()


def test_counts_of_workloads() -> None:
    cluster = cluster_of(
        workload_body("DaemonSet", "agent", status={"desiredNumberScheduled": 3, "numberReady": 2}),
        workload_body("Deployment", "web", status={"readyReplicas": 1}),
    )
    counts = {w.key.name: (w.replicas, w.desired, w.ready) for w in cluster.workloads}
    assert counts == {"agent": (None, 3, 2), "web": (1, None, 1)}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a must be a string, not 1; put it in quotes"),
        ({"metadata": {"labels": ["a"]}}, "metadata.labels must be an object, not a list"),
        ({"metadata": {"ownerReferences": ["a"]}}, "metadata.ownerReferences[0] must be an object, not 'a'"),
        ({"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}}, "metadata.ownerReferences[0].name is missing"),
        ({"spec": []}, "spec must be an object, not a list"),
        ({"spec": {"hostNetwork": "yes"}}, "spec.hostNetwork must be true or false, not 'yes'"),
        ({"spec": {"containers": {}}}, "spec.containers must be a list, not an object"),
        ({"spec": {"containers": ["a"]}}, "spec.containers[0] must be an object, not 'a'"),
        ({"spec": containers({"containerPort": 0})}, "spec.containers[0].ports[0].containerPort must be 1 to 65535, not 0"),
        ({"spec": containers({"containerPort": "80"})}, "spec.containers[0].ports[0].containerPort must be a whole number, not '80'"),
        ({"spec": containers({"name": "a"})}, "spec.containers[0].ports[0].containerPort is missing"),
        ({"spec": containers({"containerPort": 80, "protocol": "tcp"})}, "protocol must be one of SCTP, TCP, UDP, not 'tcp'; did you mean TCP?"),
        ({"spec": containers({"containerPort": 80}, {"containerPort": 80.0})},
         "spec.containers[0].ports[1].containerPort must be a whole number, not 80.0"),
        ({"spec": containers({"containerPort": 1}, {"containerPort": True})},
         "spec.containers[0].ports[1].containerPort must be a whole number, not true"),
        ({"spec": containers({"containerPort": 80, "hostPort": [80]})}, "spec.containers[0].ports[0].hostPort must be a whole number, not a list"),
        ({"spec": containers({"containerPort": 80, "name": 5})}, "spec.containers[0].ports[0].name must be a string, not 5"),
        ({"status": {"phase": "running"}}, "status.phase must be one of Pending, Running, Succeeded, Failed, Unknown, not 'running'"),
        ({"status": {"podIP": "10.0.0"}}, "status.podIP '10.0.0' is not an IP address"),
        ({"status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "x"}]}}, "status.podIPs[1].ip 'x' is not an IP address"),
        ({"status": {"podIPs": "10.0.0.1"}}, "status.podIPs must be a list, not '10.0.0.1'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pod_is_named_with_its_field(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        pod(**more)
    assert str(caught.value).startswith(f"test.yaml:1: Pod default/a: {message}") or message in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ReplicationController"])
def test_a_workload_without_a_template_is_refused_with_the_path(kind: str) -> None:
    raw = workload_body(kind)
    raw["spec"] = {}
    path = "spec.jobTemplate.spec.template" if kind == "CronJob" else "spec.template"
    with pytest.raises(InputError, match=rf"{kind} default/web: {path} is missing"):
        cluster_of(raw)


def test_a_wrong_template_is_named_with_the_whole_path() -> None:
    raw = workload_body("CronJob")
    raw["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"] = [{"ports": [{"containerPort": 70000}]}]
    with pytest.raises(
        InputError,
        match=r"spec\.jobTemplate\.spec\.template\.spec\.containers\[0\]\.ports\[0\]\.containerPort must be 1 to 65535",
    ):
        cluster_of(raw)
