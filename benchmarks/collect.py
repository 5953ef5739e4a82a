"""One collection of a large cluster over HTTP, process start to end: cpu, peak memory, requests.

    python benchmarks/collect.py --pods 10000                          # a local server that gives pods as an API server does
    python benchmarks/collect.py --pods 10000 --kubeconfig FILE        # a real API server; fills a TEST cluster with pods that never run

A pod is some 8 KB of JSON, as in production: environment, volumes, probes, conditions, managedFields.
"""

import argparse
import json
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from measure import run, table

PODS_A_NAMESPACE = 100
PODS_A_WORKLOAD = 5
ROOTS = {
    "/api/v1": ["namespaces", "serviceaccounts", "pods"],
    "/apis/apps/v1": ["replicasets"],
    "/apis/networking.k8s.io/v1": ["networkpolicies"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, nargs="+", default=[10_000])
    parser.add_argument("--kubeconfig", type=Path, help="a test cluster, which is filled with pods")
    options = parser.parse_args()
    rows = []
    for pods in options.pods:
        with tempfile.TemporaryDirectory() as folder:
            if options.kubeconfig:
                fill(options.kubeconfig, pods)
                cost = collect(Path(folder), options.kubeconfig)
            else:
                server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"pods": pods}))
                threading.Thread(target=server.serve_forever, daemon=True).start()
                kubeconfig = Path(folder) / "kubeconfig"
                kubeconfig.write_text(yaml.safe_dump(configuration(f"http://127.0.0.1:{server.server_port}")))
                cost = collect(Path(folder), kubeconfig)
                server.shutdown()
        rows.append([f"{pods:,}", f"{cost.cpu:.1f}", f"{cost.wall:.0f}", f"{cost.memory:.0f}"])
    print(table(["pods", "cpu s", "wall s", "MiB"], rows))


def collect(folder: Path, kubeconfig: Path) -> Any:
    command = [sys.executable, "-m", "evidence", "collect", "--cluster", "bench", "--db", str(folder / "store.db")]
    return run([*command, "--kubeconfig", str(kubeconfig)])


def configuration(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": url}}],
        "users": [{"name": "bench", "user": {"token": "none"}}],
    }


# -- what there is ----------------------------------------------------------------------------------------------------


def objects(plural: str, pods: int, start: int, end: int) -> tuple[list[dict[str, Any]], int]:
    """The objects of a kind from one number to before another, and how many there are."""
    make, count = {
        "pods": (pod, pods),
        "replicasets": (replica_set, pods // PODS_A_WORKLOAD),
        "namespaces": (namespace, -(-pods // PODS_A_NAMESPACE)),
        "serviceaccounts": (account, -(-pods // PODS_A_NAMESPACE)),
        "networkpolicies": (policy, pods // PODS_A_WORKLOAD),
    }[plural]
    return [make(number) for number in range(start, min(end, count))], count


def space_of(pod_number: int) -> str:
    return f"bench-{pod_number // PODS_A_NAMESPACE:04d}"


def labels(workload: int) -> dict[str, str]:
    return {
        "app": f"app-{workload:05d}",
        "tier": ("web", "api", "data")[workload % 3],
        "pod-template-hash": "5d4f8c7b9",
    }


def namespace(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"bench-{number:04d}", "uid": f"n-{number}", "labels": {"team": f"t{number % 7}"}}}


def account(number: int) -> dict[str, Any]:
    return {"metadata": {"name": "default", "namespace": f"bench-{number:04d}"}}


def policy(number: int) -> dict[str, Any]:
    spec = {
        "podSelector": {"matchLabels": {"app": f"app-{number:05d}"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "web"}}}], "ports": [{"port": 8080}]}],
    }
    return {"metadata": {"name": f"allow-{number:05d}", "namespace": space_of(number * PODS_A_WORKLOAD)}, "spec": spec}


def replica_set(number: int) -> dict[str, Any]:
    template = {"metadata": {"labels": labels(number)}, "spec": pod(number)["spec"] | {"nodeName": ""}}
    spec = {"replicas": PODS_A_WORKLOAD, "selector": {"matchLabels": labels(number)}, "template": template}
    name, space = f"app-{number:05d}-5d4f8c7b9", space_of(number * PODS_A_WORKLOAD)
    return {"metadata": {"name": name, "namespace": space, "labels": labels(number)}, "spec": spec}


def pod(number: int) -> dict[str, Any]:
    workload = number // PODS_A_WORKLOAD
    container = {
        "name": "app",
        "image": f"registry.example/team/app-{workload:05d}:1.{number % 9}.0",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": f"SETTING_{n}", "value": "v" * 40} for n in range(20)],
        "volumeMounts": [{"name": f"volume-{n}", "mountPath": f"/mnt/{n}", "readOnly": True} for n in range(4)],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    second, third = divmod(number % 62_500, 250)
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-07-01T08:00:00Z"}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {
        "metadata": {
            "name": f"app-{workload:05d}-5d4f8c7b9-{number % PODS_A_WORKLOAD}",
            "namespace": space_of(number),
            "uid": f"p-{number}",
            "creationTimestamp": "2026-07-01T08:00:00Z",
            "labels": labels(workload),
            "annotations": {"checksum/config": "a" * 64, "note": "x" * 200},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"app-{workload:05d}-5d4f8c7b9",
                    "uid": f"r-{workload}",
                    "controller": True,
                }
            ],
            "managedFields": [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": "2026-07-01T08:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {f"f:field-{n}": {f"f:inner-{m}": {} for m in range(6)} for n in range(20)},
                }
            ],
        },
        "spec": {
            "nodeName": f"node-{number % 200:03d}",
            "serviceAccountName": "default",
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": f"volume-{n}", "emptyDir": {}} for n in range(4)],
            "tolerations": [{"key": f"key-{n}", "operator": "Exists", "effect": "NoExecute"} for n in range(3)],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{20 + number // 62_500}.{second}.{third + 1}",
            "podIPs": [{"ip": f"10.{20 + number // 62_500}.{second}.{third + 1}"}],
            "hostIP": f"192.0.2.{number % 200 + 1}",
            "conditions": conditions,
        },
    }


# -- a local server ---------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers discovery and lists in pages, the objects made as they are asked for."""

    protocol_version = "HTTP/1.1"
    pods: int

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        data = json.dumps(self.answer(url.path, parse_qs(url.query))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        if path in ROOTS:
            return {"resources": [{"name": name, "verbs": ["get", "list", "watch"]} for name in ROOTS[path]]}
        root, _, plural = path.rpartition("/")
        if root not in ROOTS:  # the version, the groups, who asks
            groups = [each.split("/")[2] for each in ROOTS if each.startswith("/apis/")]
            return {"gitVersion": "v1", "groups": [{"name": g, "versions": [{"version": "v1"}]} for g in groups]}
        start, limit = int(query.get("continue", ["0"])[0]), int(query["limit"][0])
        items, count = objects(plural, self.pods, start, start + limit)
        more = {"continue": str(start + limit)} if start + limit < count else {}
        return {"metadata": {"resourceVersion": "1", **more}, "items": items}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Silent."""


# -- a real server ----------------------------------------------------------------------------------------------------


def fill(kubeconfig: Path, pods: int) -> None:
    """Create the objects in a test cluster, those that are not there yet."""
    from dataclasses import replace

    from evidence.collect.connection import Refused, connect
    from evidence.collect.pace import Pace

    made = connect(context=None, kubeconfig=str(kubeconfig), in_cluster=False, impersonate=None)
    connection = replace(made, pace=Pace(100_000, 100_000))

    def create(root: str, plural: str, kind: str, body: dict[str, Any]) -> None:
        space = body["metadata"].get("namespace")
        path = f"{root}/namespaces/{space}/{plural}" if space else f"{root}/{plural}"
        try:
            version = "/".join(root.split("/")[2:])
            connection.post(path, {"apiVersion": version, "kind": kind, **body})
        except Refused as error:
            if error.status != 409:
                raise

    kinds = {
        "namespaces": "Namespace",
        "serviceaccounts": "ServiceAccount",
        "networkpolicies": "NetworkPolicy",
        "replicasets": "ReplicaSet",
        "pods": "Pod",
    }
    with ThreadPoolExecutor(8) as pool:
        for plural, kind in kinds.items():
            root = next(root for root, plurals in ROOTS.items() if plural in plurals)
            found, _ = objects(plural, pods, 0, pods)
            for body in found:
                body["metadata"].pop("uid", None)
                body["metadata"].pop("managedFields", None)
                body.pop("status", None)
            for _ in pool.map(
                lambda body, root=root, plural=plural, kind=kind: create(root, plural, kind, body), found
            ):
                pass


if __name__ == "__main__":
    main()
