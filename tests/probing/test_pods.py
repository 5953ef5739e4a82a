"""What a run makes in a cluster: pods that policies take for the real ones, and that nothing else does."""

from datetime import UTC, datetime
from typing import Any

import pytest

from evidence.probing.pods import LABEL, Mark, declared_ports, publishes_unready, sidecar_between, stand_in

MARK = Mark.of("0a1b2c3d", "host/1/2", "localhost/evidence-probe:test", datetime(2026, 9, 1, tzinfo=UTC), 200)
REAL: dict[str, Any] = {
    "metadata": {"name": "db-0", "namespace": "vault", "uid": "u-1", "labels": {"app": "db", "pod-template-hash": "x"}},
    "spec": {
        "nodeName": "node-b",
        "serviceAccountName": "db",
        "containers": [{"name": "db", "ports": [{"name": "sql", "containerPort": 5432}, {"containerPort": 5432}]}],
        "initContainers": [
            {"name": "once", "ports": [{"containerPort": 1}]},
            {
                "name": "side",
                "restartPolicy": "Always",
                "ports": [{"containerPort": 9, "hostPort": 9, "protocol": "UDP"}],
            },
        ],
    },
}
MADE = stand_in(REAL, "evidence-probe-0a1b2c3d-0d", MARK, ["serve", "t", "TCP/5432"], 5432)


def test_policies_mean_a_stand_in_as_they_mean_the_real_pod() -> None:
    assert MADE["metadata"]["labels"] == {**REAL["metadata"]["labels"], LABEL: "0a1b2c3d"}
    assert (MADE["spec"]["nodeName"], MADE["spec"]["serviceAccountName"]) == ("node-b", "db")
    assert MADE["spec"]["containers"][0]["ports"] == [
        {"protocol": "TCP", "containerPort": 5432, "name": "sql"},
        {"protocol": "UDP", "containerPort": 9},
    ]


def test_no_controller_takes_a_stand_in_for_its_own() -> None:
    (owner,) = MADE["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Pod", "u-1", True)


def test_a_stand_in_is_never_ready_and_dies_alone() -> None:
    spec = MADE["spec"]
    assert spec["readinessGates"] == [{"conditionType": "evidence-probe/never"}]
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 200)
    assert MADE["metadata"]["annotations"]["evidence-probe/expires"] == "2026-09-01T00:03:20+00:00"


def test_a_stand_in_satisfies_pod_security_restricted() -> None:
    spec, (container,) = MADE["spec"], MADE["spec"]["containers"]
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "volumes"} & spec.keys()
    assert not any("hostPort" in port for port in container["ports"])


def test_a_name_that_two_containers_give_to_a_port_counts_once() -> None:
    twice = {
        "containers": [{"ports": [{"name": "m", "containerPort": 1}]}, {"ports": [{"name": "m", "containerPort": 2}]}]
    }
    assert [port["containerPort"] for port in declared_ports(twice)] == [1]


@pytest.mark.parametrize(
    ("spec", "publishes"),
    [
        ({"selector": {"app": "db"}, "publishNotReadyAddresses": True}, True),
        ({"selector": {"app": "db"}}, False),
        ({"selector": {"app": "web"}, "publishNotReadyAddresses": True}, False),
        ({"publishNotReadyAddresses": True}, False),
    ],
)
def test_a_service_that_sends_to_pods_that_are_not_ready_is_known(spec: dict[str, Any], publishes: bool) -> None:
    assert publishes_unready({"spec": spec}, {"app": "db"}) is publishes


def test_a_mesh_proxy_is_known_by_its_name() -> None:
    assert sidecar_between({"containers": [{"name": "app"}, {"name": "istio-proxy"}]}) == "istio-proxy"
    assert sidecar_between(REAL["spec"]) == ""
