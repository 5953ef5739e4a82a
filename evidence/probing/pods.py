"""The pods and containers that a run makes, as manifests.

1. A stand-in has the labels, service account, node and declared ports of the pod that it stands for, so that every policy means it too.
2. It is never Ready: a readiness gate that nobody sets keeps every Service (that does not publish unready addresses) from sending to it.
3. It belongs to the pod that it stands for (controller reference), so no ReplicaSet or StatefulSet takes it for one of its own, and it goes
   when that pod goes.
4. It satisfies Pod Security `restricted`: no root, no capability, no volume, no service account token. To listen on low ports it asks for the
   safe sysctl net.ipv4.ip_unprivileged_port_start.
5. It dies alone: activeDeadlineSeconds, and an annotation that says from when on anybody may remove it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

LABEL = "evidence-probe/run"
EXPIRES = "evidence-probe/expires"
MADE_BY = "evidence-probe/made-by"
GATE = "evidence-probe/never"
CONTAINER = "evidence-probe"
CONTROL_PORT = 8086
NOBODY = 65532
_MESHES = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
_LOW_PORTS = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": NOBODY,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What every pod of a run bears. `made_by` names the process: "host/pid/start"."""

    run: str
    made_by: str
    expires: datetime
    image: str
    life_seconds: int

    @staticmethod
    def of(run: str, made_by: str, image: str, now: datetime, life_seconds: int) -> "Mark":
        return Mark(run, made_by, now + timedelta(seconds=life_seconds), image, life_seconds)


def stand_in(pod: Mapping[str, Any], name: str, mark: Mark, arguments: Sequence[str], control: int) -> dict[str, Any]:
    """A pod beside `pod` (as the API gives it) that runs the probe. `control`: the TCP port on which its node must reach it."""
    metadata, spec = pod["metadata"], pod["spec"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**(metadata.get("labels") or {}), LABEL: mark.run},
            "annotations": {
                **_MESHES,
                EXPIRES: mark.expires.astimezone(UTC).isoformat(timespec="seconds"),
                MADE_BY: mark.made_by,
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "nodeName": spec["nodeName"],
            "serviceAccountName": spec.get("serviceAccountName", "default"),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "dnsPolicy": "Default",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": mark.life_seconds,
            "tolerations": [{"operator": "Exists"}],
            "readinessGates": [{"conditionType": GATE}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": NOBODY,
                "runAsGroup": NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [_LOW_PORTS],
            },
            "containers": [
                {
                    "name": CONTAINER,
                    "image": mark.image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": list(arguments),
                    "ports": list(declared_ports(spec)),
                    "startupProbe": {"tcpSocket": {"port": control}, "periodSeconds": 1, "failureThreshold": 30},
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "16Mi"},
                        "limits": {"cpu": "500m", "memory": "64Mi"},
                    },
                    "securityContext": _CONTAINER_SECURITY,
                }
            ],
        },
    }


def ephemeral(name: str, mark: Mark, arguments: Sequence[str]) -> dict[str, Any]:
    """A patch of pods/ephemeralcontainers that runs the probe inside a pod that is there."""
    container = {
        "name": name,
        "image": mark.image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(arguments),
        "securityContext": _CONTAINER_SECURITY,
    }
    return {"spec": {"ephemeralContainers": [container]}}


def declared_ports(spec: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The ports that a pod's containers and sidecars declare, without the node's own (hostPort), each once."""
    seen: set[tuple[str, int]] = set()
    names: set[str] = set()
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            key = (port.get("protocol", "TCP"), port["containerPort"])
            name = port.get("name", "")
            if key in seen or (name and name in names):
                continue
            seen.add(key)
            names.add(name)
            yield {"protocol": key[0], "containerPort": key[1], **({"name": name} if name else {})}


def sidecar_between(spec: Mapping[str, Any]) -> str:
    """The name of a service mesh's proxy in a pod, which answers for every destination; "" without one."""
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return next((c["name"] for c in containers if c["name"] in ("istio-proxy", "linkerd-proxy")), "")


def publishes_unready(service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """True when a Service would send to a pod with these labels although it is not Ready."""
    spec = service.get("spec") or {}
    selector = spec.get("selector") or {}
    return bool(spec.get("publishNotReadyAddresses")) and bool(selector) and selector.items() <= labels.items()
