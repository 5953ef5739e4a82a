"""Makes the dumps of the sample cluster: `python -m tests.data.make_sample` from the project's root.

Same code, same bytes: names, addresses, uids and times follow from what is written here. A dump is what
`kubectl get nodes,namespaces,pods,… --all-namespaces -o json` would print, one object a line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import yaml

from evidence.sample import TAKEN_AT

FOLDER = Path(__file__).resolve().parents[2] / "evidence" / "sample"
BEFORE_POLICIES, DEFAULT_DENY, AS_WRITTEN, DRIFT, MENDED = TAKEN_AT
BUILT = datetime.fromisoformat("2026-03-02T08:14:00+00:00")
NODES = {"node-a": "10.0.1.11", "node-b": "10.0.1.12", "node-c": "10.0.1.13"}
NAME_LABEL = "kubernetes.io/metadata.name"
REGISTRY = "registry.example.com/shop"

Body = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """One workload. `ports` are (name, number, protocol); `upgrades` are the times from which a newer image tag runs."""

    namespace: str
    name: str
    kind: str
    replicas: int
    image: str
    ports: tuple[tuple[str, int, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    host_network: bool = False
    headless: bool = False
    tags: tuple[tuple[datetime, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def pod_labels(self) -> dict[str, str]:
        return dict(self.labels) or {"app": self.name}


def tcp(*ports: tuple[str, int]) -> tuple[tuple[str, int, str], ...]:
    return tuple((name, number, "TCP") for name, number in ports)


def tagged(*tags: str) -> tuple[tuple[datetime, str], ...]:
    """One tag for the whole quarter, or a second one from August on."""
    return tuple(zip((BUILT, AS_WRITTEN), tags, strict=False))


LOADS = (
    Load("kube-system", "calico-node", "DaemonSet", 3, "docker.io/calico/node", (), (("k8s-app", "calico-node"),), True,
         tags=tagged("v3.29.3")),
    Load("kube-system", "calico-kube-controllers", "Deployment", 1, "docker.io/calico/kube-controllers", (),
         (("k8s-app", "calico-kube-controllers"),), tags=tagged("v3.29.3")),
    Load("kube-system", "coredns", "Deployment", 2, "registry.k8s.io/coredns/coredns",
         (("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP")), (("k8s-app", "kube-dns"),), tags=tagged("v1.11.3"),
         arguments=("-conf", "/etc/coredns/Corefile")),
    Load("kube-system", "kube-proxy", "DaemonSet", 3, "registry.k8s.io/kube-proxy", (), (("k8s-app", "kube-proxy"),), True, tags=tagged("v1.31.9")),
    Load("ingress-nginx", "ingress-nginx-controller", "Deployment", 2, "registry.k8s.io/ingress-nginx/controller",
         tcp(("http", 80), ("https", 443)), (("app.kubernetes.io/component", "controller"), ("app.kubernetes.io/name", "ingress-nginx")),
         tags=tagged("v1.12.1", "v1.12.3")),
    Load("monitoring", "prometheus", "StatefulSet", 1, "quay.io/prometheus/prometheus", tcp(("web", 9090)), tags=tagged("v3.2.1")),
    Load("monitoring", "node-exporter", "DaemonSet", 3, "quay.io/prometheus/node-exporter", tcp(("metrics", 9100)), host_network=True,
         tags=tagged("v1.9.0")),
    Load("production", "app", "Deployment", 3, f"{REGISTRY}/app", tcp(("http", 8080)), tags=tagged("4.11.0", "4.12.2"),
         environment=(("DATABASE_HOST", "postgres.production.svc"), ("LOG_LEVEL", "info"))),
    Load("production", "postgres", "StatefulSet", 1, "docker.io/library/postgres", tcp(("postgres", 5432)), headless=True, tags=tagged("16.8")),
    Load("production", "postgres-backup", "Deployment", 1, f"{REGISTRY}/postgres-backup", tags=tagged("1.6.0")),
    Load("production", "redis", "StatefulSet", 2, "docker.io/library/redis", tcp(("redis", 6379)), headless=True, tags=tagged("7.4.2")),
    Load("production", "redis-sentinel", "Deployment", 3, "docker.io/library/redis", tcp(("sentinel", 26379)), tags=tagged("7.4.2")),
    Load("production", "kafka", "StatefulSet", 3, "docker.io/apache/kafka", tcp(("plain", 9092), ("sasl", 9093), ("replication", 9094)),
         headless=True, tags=tagged("3.9.0")),
    Load("production", "zookeeper", "StatefulSet", 1, "docker.io/library/zookeeper", tcp(("client", 2181)), headless=True, tags=tagged("3.9.3")),
    Load("analytics", "data-pipeline", "Deployment", 2, f"{REGISTRY}/data-pipeline", tags=tagged("2.3.1")),
    Load("shared-services", "logging", "Deployment", 2, "docker.io/fluent/fluentd", tcp(("forward", 24224)), tags=tagged("v1.18-1")),
    Load("payments", "payment-api", "Deployment", 2, f"{REGISTRY}/payment-api", tcp(("https", 8443)), tags=tagged("7.0.3", "7.1.0")),
    Load("payments", "tokenizer", "Deployment", 2, f"{REGISTRY}/tokenizer", tcp(("https", 8443)), tags=tagged("2.2.0")),
    Load("payments", "card-vault", "StatefulSet", 1, "docker.io/library/postgres", tcp(("postgres", 5432)), headless=True, tags=tagged("16.8")),
    Load("batch", "report-runner", "Deployment", 1, f"{REGISTRY}/report-runner", tags=tagged("1.1.4")),
    Load("health-plan", "records-api", "Deployment", 2, f"{REGISTRY}/records-api", tcp(("https", 8443)), tags=tagged("3.4.0", "3.4.1")),
    Load("health-plan", "records-db", "StatefulSet", 1, "docker.io/library/postgres", tcp(("postgres", 5432)), headless=True, tags=tagged("16.8")),
)  # fmt: skip
NAMESPACES = ("default", *dict.fromkeys(load.namespace for load in LOADS))
SHARED_LABELS = {"shared-services": {"purpose": "shared-services"}}


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def token(text: str, length: int) -> str:
    """Letters and digits as the API server's name generator uses them."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(alphabet[byte % len(alphabet)] for byte in sha256(text.encode()).digest()[:length])


def metadata(kind: str, name: str, created: datetime, namespace: str = "", **more: Any) -> Body:
    where = {"namespace": namespace} if namespace else {}
    uid = str(uuid5(NAMESPACE_DNS, f"sample-shop/{kind}/{namespace}/{name}"))
    return {"name": name, **where, "uid": uid, "creationTimestamp": stamp(created), **more}


def owned_by(kind: str, api_version: str, owner: Body) -> Body:
    reference = {"apiVersion": api_version, "kind": kind, "name": owner["name"], "uid": owner["uid"]}
    return {"ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}]}


def tag_at(load: Load, taken: datetime) -> tuple[datetime, str]:
    return [entry for entry in load.tags if entry[0] <= taken][-1]


def nodes() -> Iterator[Body]:
    for index, (name, address) in enumerate(NODES.items()):
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        annotations = {
            "projectcalico.org/IPv4Address": f"{address}/24",
            "projectcalico.org/IPv4VXLANTunnelAddr": f"10.244.{index}.1",
        }
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata("Node", name, BUILT, labels=labels, annotations=annotations),
            "spec": {
                "podCIDR": f"10.244.{index}.0/24",
                "podCIDRs": [f"10.244.{index}.0/24"],
                "providerID": f"sample://{name}",
            },
            "status": {
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "nodeInfo": {"kubeletVersion": "v1.31.9", "operatingSystem": "linux", "architecture": "amd64"},
            },
        }


def namespaces() -> Iterator[Body]:
    for name in ("kube-system", *(n for n in NAMESPACES if n != "kube-system")):
        labels = {NAME_LABEL: name, **SHARED_LABELS.get(name, {})}
        notes: Body = (
            {"annotations": {"evidence.example/sample": "not a real cluster"}} if name == "kube-system" else {}
        )
        body = metadata("Namespace", name, BUILT, labels=labels, **notes)
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": body, "status": {"phase": "Active"}}


def custom_resource_definitions() -> Iterator[Body]:
    for plural, kind in (
        ("clusterinformations", "ClusterInformation"),
        ("felixconfigurations", "FelixConfiguration"),
        ("ippools", "IPPool"),
    ):
        group = "crd.projectcalico.org"
        spec = {"group": group, "names": {"kind": kind, "plural": plural}, "scope": "Cluster"}
        meta = metadata("CustomResourceDefinition", f"{plural}.{group}", BUILT)
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": meta,
            "spec": spec,
        }


def pod_spec(load: Load, taken: datetime) -> Body:
    container: Body = {"name": load.name, "image": f"{load.image}:{tag_at(load, taken)[1]}"}
    if load.ports:
        container["ports"] = [
            {"name": name, "containerPort": number, "protocol": protocol}
            | ({"hostPort": number} if load.host_network else {})
            for name, number, protocol in load.ports
        ]
    if load.environment:
        container["env"] = [{"name": name, "value": value} for name, value in load.environment]
    if load.arguments:
        container["args"] = list(load.arguments)
    if load.name in ("calico-node", "kube-proxy"):
        container["securityContext"] = {"privileged": True}
    spec: Body = {"containers": [container], "serviceAccountName": load.name}
    return {**spec, "hostNetwork": True} if load.host_network else spec


def workloads(taken: datetime) -> Iterator[Body]:
    """Each workload, its ReplicaSet where it has one, and its pods; addresses are handed out node by node in this order."""
    addresses = {name: count(10) for name in NODES}
    for load, shift in zip(LOADS, count()):
        yield from one_workload(load, taken, addresses, shift)


def one_workload(load: Load, taken: datetime, addresses: Mapping[str, Iterator[int]], shift: int) -> Iterator[Body]:
    spec, labels = pod_spec(load, taken), load.pod_labels
    template = {"metadata": {"labels": labels}, "spec": spec}
    meta = metadata(load.kind, load.name, BUILT, load.namespace, labels=labels)
    selector = {"matchLabels": labels}
    if load.kind == "DaemonSet":
        numbers = (
            "currentNumberScheduled",
            "desiredNumberScheduled",
            "numberAvailable",
            "numberReady",
            "updatedNumberScheduled",
        )
        body: Body = {
            "spec": {"selector": selector, "template": template},
            "status": dict.fromkeys(numbers, load.replicas),
        }
    else:
        status = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), load.replicas)
        body = {"spec": {"replicas": load.replicas, "selector": selector, "template": template}, "status": status}
    if load.kind == "StatefulSet":
        body["spec"]["serviceName"] = load.name
    yield {"apiVersion": "apps/v1", "kind": load.kind, "metadata": meta, **body}
    since, tag = tag_at(load, taken)
    owner, owner_kind = meta, load.kind
    if load.kind == "Deployment":
        template_hash = token(f"{load.namespace}/{load.name}:{tag}", 10)
        labels = {**labels, "pod-template-hash": template_hash}
        name = f"{load.name}-{template_hash}"
        owner = metadata(
            "ReplicaSet", name, since, load.namespace, labels=labels, **owned_by("Deployment", "apps/v1", meta)
        )
        owner_kind = "ReplicaSet"
        replica_spec = {"replicas": load.replicas, "selector": {"matchLabels": labels}}
        replica_spec["template"] = {"metadata": {"labels": labels}, "spec": spec}
        yield {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": owner,
            "spec": replica_spec,
            "status": body["status"],
        }
    for ordinal in range(load.replicas):
        node = list(NODES)[ordinal if load.kind == "DaemonSet" else (ordinal + shift) % len(NODES)]
        suffix = str(ordinal) if load.kind == "StatefulSet" else token(f"{owner['name']}/{ordinal}", 5)
        pod_meta = metadata(
            "Pod", f"{owner['name']}-{suffix}", since + timedelta(minutes=2), load.namespace,
            labels=labels, **owned_by(owner_kind, "apps/v1", owner),
        )  # fmt: skip
        address = NODES[node] if load.host_network else f"10.244.{list(NODES).index(node)}.{next(addresses[node])}"
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": pod_meta,
            "spec": {**spec, "nodeName": node},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "hostIP": NODES[node],
                "hostIPs": [{"ip": NODES[node]}],
                "podIP": address,
                "podIPs": [{"ip": address}],
            },
        }


def services(pods: Sequence[Body]) -> Iterator[Body]:
    """A Service and an EndpointSlice for each workload with ports (not for DaemonSets), and the Ingresses with their class."""
    for index, load in enumerate(LOADS):
        if not load.ports or load.kind == "DaemonSet":
            continue
        name = {"coredns": "kube-dns"}.get(load.name, load.name)
        ports = [{"name": n, "port": number, "protocol": p, "targetPort": n} for n, number, p in load.ports]
        spec: Body = {"type": "ClusterIP", "selector": load.pod_labels, "ports": ports}
        address = "None" if load.headless else "10.96.0.10" if name == "kube-dns" else f"10.96.1.{10 + index}"
        spec |= {"clusterIP": address, "clusterIPs": [address]}
        status: Body = {"loadBalancer": {}}
        if load.namespace == "ingress-nginx":
            spec |= {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
            for port, node_port in zip(ports, (30080, 30443), strict=True):
                port["nodePort"] = node_port
            status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.20"}]}}
        meta = metadata("Service", name, BUILT, load.namespace, labels=load.pod_labels)
        yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": status}
        yield endpoint_slice(load, meta, [pod for pod in pods if selected(pod, load)])
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": metadata("IngressClass", "nginx", BUILT),
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }
    yield ingress("production", "shop", "shop.example.com", "app", "http")
    yield ingress("health-plan", "records", "health-plan.example.com", "records-api", "https")


def selected(pod: Body, load: Load) -> bool:
    meta = pod["metadata"]
    return bool(meta["namespace"] == load.namespace and load.pod_labels.items() <= meta["labels"].items())


def endpoint_slice(load: Load, service: Body, pods: Sequence[Body]) -> Body:
    name = service["name"]
    more = {"labels": {"kubernetes.io/service-name": name}, **owned_by("Service", "v1", service)}
    meta = metadata("EndpointSlice", f"{name}-{token(name, 5)}", BUILT, load.namespace, **more)
    endpoints = [
        {
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": True},
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": {"kind": "Pod", "namespace": load.namespace, "name": pod["metadata"]["name"]},
        }
        for pod in pods
    ]
    ports = [{"name": n, "port": number, "protocol": p} for n, number, p in load.ports]
    head = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4"}
    return {**head, "endpoints": endpoints, "ports": ports}


def ingress(namespace: str, name: str, host: str, service: str, port: str) -> Body:
    """All paths of one host to one port of one Service."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"name": port}}}}
    rules = [{"host": host, "http": {"paths": [path]}}]
    meta = metadata("Ingress", name, BUILT, namespace)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta,
        "spec": {"ingressClassName": "nginx", "rules": rules},
    }


def manifests(file: str) -> dict[tuple[str, str], Body]:
    """Policies of one file by namespace and name."""
    documents = yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8"))
    return {(body["metadata"]["namespace"], body["metadata"]["name"]): body for body in documents}


def policies(taken: datetime) -> Iterator[Body]:
    """The policies in force, each created when it first appeared, with what kubectl leaves in its metadata."""
    guide, payments = manifests("guide-policies.yaml"), manifests("payments-policies.yaml")
    denials = {key: body for key, body in (guide | payments).items() if key[1] == "default-deny-all"}
    steps = (
        (DEFAULT_DENY, "platform-pipeline", denials),
        (AS_WRITTEN, "platform-pipeline", guide | payments),
        (
            DRIFT - timedelta(hours=4),
            "kubectl-client-side-apply",
            manifests("drift-policies.yaml") if taken < MENDED else {},
        ),
        (
            MENDED - timedelta(days=1),
            "platform-pipeline",
            manifests("mended-policies.yaml") | manifests("health-policies.yaml"),
        ),
    )
    in_force: dict[tuple[str, str], Body] = {}
    for since, manager, bodies in steps:
        if since > taken:
            break
        for key, body in bodies.items():
            before = in_force.get(key)
            if before is None or before["spec"] != body["spec"]:
                in_force[key] = applied(body, since, manager, before)
    yield from (in_force[key] for key in sorted(in_force))


def applied(body: Body, at: datetime, manager: str, before: Body | None) -> Body:
    """A manifest as the API server holds it."""
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    created = datetime.fromisoformat(before["metadata"]["creationTimestamp"]) if before else at
    last_applied = json.dumps(body, sort_keys=True, separators=(",", ":"))
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": last_applied}
    fields = [{"manager": manager, "operation": "Update", "apiVersion": body["apiVersion"], "time": stamp(at)}]
    generation = before["metadata"]["generation"] + 1 if before else 1
    meta = metadata(
        "NetworkPolicy", name, created, namespace, annotations=annotations, generation=generation, managedFields=fields
    )
    return {**body, "metadata": meta}


RBAC = "rbac.authorization.k8s.io"
WRITE = ("create", "delete", "patch", "update")
ROLES: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...]] = {
    "cluster-admin": ((("*",), ("*",), ("*",)),),
    "system:aggregate-to-edit": (
        (("",), ("configmaps", "pods", "secrets", "services"), WRITE),
        (("apps",), ("deployments", "statefulsets"), WRITE),
        (("networking.k8s.io",), ("ingresses", "networkpolicies"), WRITE),
    ),
    "system:controller:namespace-controller": ((("*",), ("*",), ("delete", "deletecollection", "get", "list")),),
    "calico-node": (
        (("",), ("pods/status",), ("patch",)),
        (("crd.projectcalico.org",), ("felixconfigurations",), WRITE),
    ),
    "policy-pipeline": ((("networking.k8s.io",), ("networkpolicies",), ("get", "list", *WRITE)),),
    "prometheus": ((("",), ("endpoints", "nodes", "pods", "services"), ("get", "list", "watch")),),
}
BINDINGS = (  # role, namespace, subjects
    ("cluster-admin", "", (("Group", "system:masters"),)),
    ("cluster-admin", "", (("Group", "shop:platform-team"),)),
    ("system:controller:namespace-controller", "", (("ServiceAccount", "namespace-controller", "kube-system"),)),
    ("calico-node", "", (("ServiceAccount", "calico-node", "kube-system"),)),
    ("policy-pipeline", "", (("User", "shop:platform-pipeline"),)),
    ("prometheus", "", (("ServiceAccount", "prometheus", "monitoring"),)),
    ("edit", "production", (("Group", "shop:developers"),)),
)
FOR_DEBUGGING = (
    "edit",
    "payments",
    (("ServiceAccount", "payment-api", "payments"),),
)  # left there in the month of the drift


def access(taken: datetime) -> Iterator[Body]:
    """Who may do what: administrators, the pipeline that applies policies, developers in production, machinery."""
    for name, rules in ROLES.items():
        labels = {f"{RBAC}/aggregate-to-edit": "true"} if "aggregate" in name else None
        listed = [{"apiGroups": list(g), "resources": list(r), "verbs": list(v)} for g, r, v in rules]
        yield rbac("ClusterRole", name, labels=labels, rules=listed)
    selectors = [{"matchLabels": {f"{RBAC}/aggregate-to-edit": "true"}}]
    yield rbac("ClusterRole", "edit", rules=[], aggregationRule={"clusterRoleSelectors": selectors})
    own_business = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]}]
    yield rbac("Role", "ingress-nginx-leader", "ingress-nginx", rules=own_business)
    for role, namespace, subjects in (*BINDINGS, *((FOR_DEBUGGING,) if taken == DRIFT else ())):
        found = [
            {"kind": kind, "name": name, **({"namespace": where[0]} if where else {"apiGroup": RBAC})}
            for kind, name, *where in subjects
        ]
        holder = subjects[0][1]
        own = role if holder == "system:masters" or role.startswith("system:") else holder.replace(":", "-")
        ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        yield rbac(kind, own, namespace, roleRef=ref, subjects=found)


def rbac(kind: str, name: str, namespace: str = "", labels: Mapping[str, str] | None = None, **fields: Any) -> Body:
    meta = metadata(kind, name, BUILT, namespace, **({"labels": dict(labels)} if labels else {}))
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, **fields}


def dump(taken: datetime) -> bytes:
    """One dump, an object a line."""
    running = list(workloads(taken))
    items = [*nodes(), *namespaces(), *custom_resource_definitions(), *running]
    items += [*services([body for body in running if body["kind"] == "Pod"]), *policies(taken), *access(taken)]
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
    return f'{{"apiVersion":"v1","kind":"List","items":[\n{lines}\n]}}\n'.encode()


def main() -> None:
    for taken in TAKEN_AT:
        (FOLDER / f"cluster-{taken:%Y-%m-%d}.json").write_bytes(dump(taken))


if __name__ == "__main__":
    main()
