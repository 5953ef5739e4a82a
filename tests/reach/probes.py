"""Small clusters on which programs of this kind crash, differ from run to run, or keep silent about what they leave out.

Each has questions with the right answers, and words that must stand in what the result says about itself. `python -m tests.reach.probes` prints
everything that is said of all of them, for a comparison of bytes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence.cluster.model import Cluster, Protocol
from evidence.reach import exposed, matrix, told
from evidence.reach.engine import analyse
from evidence.reach.exposure import Exposures
from evidence.reach.query import Answering, Query
from tests.manifests import Body, body, owned_by, parsed_cluster, pod_body, policy_body

ALLOW, DENY, UNCERTAIN = "allow", "deny", "uncertain"
Question = tuple[str, str, str, str]  # from, to, port/protocol, answer


@dataclass(frozen=True)
class Probe:
    """`says`: words of the result's own account. `flows`, `doors`: lines that must be among the rows."""

    name: str
    bodies: Sequence[Body]
    asked: Sequence[Question] = ()
    says: Sequence[str] = ()
    flows: Sequence[str] = ()
    doors: Sequence[str] = ()

    @property
    def cluster(self) -> Cluster:
        return parsed_cluster(self.bodies)


def a_pod(
    name: str, labels: Mapping[str, str] | None = None, ip: str = "", namespace: str = "default", **more: Any
) -> Body:
    """A pod with a container; `ports`, `init`, `host` and `owner` as named, other fields go into its spec."""
    ports, init, owner, phase = (more.pop(key, None) for key in ("ports", "init", "owner", "phase"))
    spec = {"containers": [{"name": "c", "ports": ports or []}], "nodeName": "n1", **more}
    if init:
        spec["initContainers"] = init
    status = {"phase": phase or "Running", **({"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {})}
    metadata: dict[str, Any] = {"labels": dict(labels or {})}
    if owner:
        metadata |= owned_by(*owner)
    return pod_body(name, namespace, metadata=metadata, spec=spec, status=status)


def space(name: str, **labels: str) -> Body:
    return body("v1", "Namespace", name, metadata={"labels": {"kubernetes.io/metadata.name": name, **labels}})


def selects(labels: Mapping[str, str] | None = None, **rules: Any) -> Body:
    """A policy of namespace default; `types` are its policyTypes, left out when not given."""
    types = rules.pop("types", None)
    spec = {"podSelector": {"matchLabels": dict(labels or {})}, **rules, **({"policyTypes": types} if types else {})}
    return policy_body(spec, name=rules.get("name", "p"))


def pods(**labels: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


DENY_IN = selects(types=["Ingress"])
DENY_BOTH = selects(types=["Ingress", "Egress"])
WEB, DB = a_pod("web", {"app": "web"}, "10.0.0.1"), a_pod("db", {"app": "db"}, "10.0.0.2")
HERE = [space("default"), WEB, DB]


def wide(kind: str, version: str, spec: Any, group: str = "policy.networking.k8s.io") -> Body:
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": "default"}, "spec": spec}


def replicas(**changed: Mapping[str, str]) -> list[Body]:
    return [
        a_pod(
            name, {"app": "db", **changed.get(name.replace("-", "_"), {})}, f"10.0.1.{n}", owner=("StatefulSet", "db")
        )
        for n, name in enumerate(("db-0", "db-1"))
    ]


EVERY: Body = {"namespaces": {}}
TEMPLATE = {
    "replicas": 1,
    "selector": {"matchLabels": {"app": "web"}},
    "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}},
}
SERVICE = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}

PROBES = (
    Probe(
        "replicas whose labels differ, beside a peer with a namespaceSelector alone",
        [
            space("default"), WEB,
            *replicas(db_0={"statefulset.kubernetes.io/pod-name": "db-0"}, db_1={"statefulset.kubernetes.io/pod-name": "db-1"}),
            selects({"app": "db"}, ingress=[{"from": [{"namespaceSelector": {}}]}]),
        ],
        [("default/web", "default/db-0", "80/TCP", ALLOW), ("203.0.113.7", "default/db-1", "80/TCP", DENY)],
    ),
    Probe(
        "one replica relabelled, a policy asks for the value",
        [
            space("default"), WEB, *replicas(db_1={"quarantine": "true"}),
            selects({"quarantine": "true"}, types=["Ingress"]),
        ],
        [("default/web", "default/db-0", "80/TCP", ALLOW), ("default/web", "default/db-1", "80/TCP", DENY)],
        flows=["default/Pod/web,default/StatefulSet/db (1 of 2 pods: db-0),all ports"],
    ),
    Probe(
        "one replica relabelled, a policy asks whether the label is there",
        [
            space("default"), WEB, *replicas(db_1={"quarantine": "true"}),
            policy_body(
                {"podSelector": {"matchExpressions": [{"key": "quarantine", "operator": "Exists"}]}, "policyTypes": ["Ingress"]}
            ),
        ],
        [("default/web", "default/db-0", "80/TCP", ALLOW), ("default/web", "default/db-1", "80/TCP", DENY)],
    ),
    Probe(
        "an egress rule with a named port and no peers",
        [
            space("default"), WEB,
            a_pod("db", {"app": "db"}, "10.0.0.2", ports=[{"name": "sql", "containerPort": 5432}]),
            selects({"app": "web"}, types=["Egress"], egress=[{"ports": [{"port": "sql"}]}]),
        ],
        [
            ("default/web", "default/db", "5432/TCP", ALLOW), ("default/web", "default/db", "80/TCP", DENY),
            ("default/web", "203.0.113.7", "5432/TCP", DENY),
        ],
    ),
    Probe(
        "every IPv6 address, in a cluster of IPv4",
        [*HERE, selects({"app": "db"}, ingress=[{"from": [{"ipBlock": {"cidr": "::/0"}}]}])],
        [("default/web", "default/db", "80/TCP", DENY), ("203.0.113.7", "default/db", "80/TCP", DENY)],
    ),
    Probe(
        "a range of IPv6 addresses is none of IPv4",
        [*HERE, selects({"app": "db"}, ingress=[{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}])],
        [("253.0.0.1", "default/db", "80/TCP", DENY)],
    ),
    Probe(
        "a destination on the host network under a default deny",
        [*HERE, a_pod("node", ip="172.16.0.1", hostNetwork=True), DENY_IN],
        [("default/web", "default/node", "80/TCP", ALLOW)],
    ),
    Probe(
        "a source on the host network matched by its labels alone",
        [
            space("default"), a_pod("db", {"app": "db"}, "10.0.0.2"),
            a_pod("node", {"app": "web"}, "172.16.0.1", hostNetwork=True, nodeName="n2"),
            selects({"app": "db"}, ingress=[{"from": [pods(app="web")]}]),
        ],
        [("default/node", "default/db", "80/TCP", DENY)],
    ),
    Probe(
        "an ipBlock that covers pods",
        [*HERE, selects({"app": "db"}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/30"}}]}])],
        [("default/web", "default/db", "80/TCP", ALLOW), ("203.0.113.7", "default/db", "80/TCP", DENY)],
    ),
    Probe(
        "a named port of another protocol",
        [
            space("default"), WEB,
            a_pod("dns", {"app": "dns"}, "10.0.0.2", ports=[{"name": "dns", "containerPort": 53, "protocol": "UDP"}]),
            selects({"app": "dns"}, ingress=[{"ports": [{"port": "dns", "protocol": "TCP"}]}]),
        ],
        [("default/web", "default/dns", "53/TCP", DENY), ("default/web", "default/dns", "53/UDP", DENY)],
    ),
    Probe(
        "a named port of an init container that restarts",
        [
            space("default"), WEB,
            a_pod(
                "db", {"app": "db"}, "10.0.0.2",
                init=[
                    {"name": "side", "restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9090}]},
                    {"name": "once", "ports": [{"name": "metrics", "containerPort": 9091}]},
                ],
            ),
            selects({"app": "db"}, ingress=[{"ports": [{"port": "metrics"}]}]),
        ],
        [("default/web", "default/db", "9090/TCP", ALLOW), ("default/web", "default/db", "9091/TCP", DENY)],
    ),
    Probe(
        "a range of ports, of SCTP",
        [*HERE, selects({"app": "db"}, ingress=[{"ports": [{"port": 3868, "endPort": 3870, "protocol": "SCTP"}]}])],
        [
            ("default/web", "default/db", "3870/SCTP", ALLOW), ("default/web", "default/db", "3871/SCTP", DENY),
            ("default/web", "default/db", "3868/TCP", DENY),
        ],
    ),
    Probe(
        "a port that no container declares",
        [*HERE, selects({"app": "db"}, ingress=[{"ports": [{"port": 5432}]}])],
        [("default/web", "default/db", "5432/TCP", ALLOW)],
    ),
    Probe(
        "an empty list of egress rules without policyTypes",
        [*HERE, selects({"app": "web"}, egress=[])],
        [("default/web", "default/db", "80/TCP", ALLOW), ("default/db", "default/web", "80/TCP", DENY)],
    ),
    Probe(
        "pods of one workload to one another",
        [space("default"), *replicas()],
        [("default/db-0", "default/db-1", "80/TCP", ALLOW)],
        flows=["default/StatefulSet/db,default/StatefulSet/db,all ports"],
    ),
    Probe(
        "a pod that is pending under an ipBlock",
        [
            space("default"), WEB, a_pod("job", {"app": "job"}, phase="Pending"),
            selects({"app": "web"}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
        ],
        [("default/job", "default/web", "80/TCP", UNCERTAIN)],
        says=["the address of pod default/job is not known, so ipBlock 10.0.0.0/8 may cover it"],
    ),
    Probe(
        "a pod that has finished",
        [*HERE, a_pod("job", {"app": "job"}, "10.0.0.3", phase="Succeeded")],
        [("default/job", "default/web", "80/TCP", DENY), ("default/web", "default/job", "80/TCP", DENY)],
        says=["default/job is finished: it is no endpoint"],
    ),
    Probe(
        "a namespace of which there is no object",
        [
            *HERE, a_pod("web", {"app": "web"}, "10.0.0.9", namespace="other"),
            selects({"app": "db"}, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}]),
        ],
        [("other/web", "default/db", "80/TCP", UNCERTAIN), ("default/web", "default/db", "80/TCP", DENY)],
        says=["the labels of namespace other are not known"],
    ),
    Probe(
        "AdminNetworkPolicy and BaselineAdminNetworkPolicy",
        [
            *HERE,
            wide(
                "AdminNetworkPolicy", "v1alpha1",
                {
                    "priority": 5, "subject": EVERY,
                    "ingress": [{"action": "Allow", "from": [EVERY], "ports": [{"portNumber": {"port": 9090, "protocol": "TCP"}}]}],
                },
            ),
            wide("BaselineAdminNetworkPolicy", "v1alpha1", {"subject": EVERY, "ingress": [{"action": "Deny", "from": [EVERY]}]}),
        ],
        [("default/web", "default/db", "9090/TCP", ALLOW), ("default/web", "default/db", "80/TCP", DENY)],
        says=["computed on 2 of 2 policies"],
    ),
    Probe(
        "ClusterNetworkPolicy",
        [
            *HERE,
            wide(
                "ClusterNetworkPolicy", "v1alpha2",
                {
                    "tier": "Admin", "priority": 5, "subject": EVERY,
                    "ingress": [{"action": "Deny", "from": [EVERY], "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]}],
                },
            ),
        ],
        [("default/web", "default/db", "80/TCP", DENY), ("default/web", "default/db", "81/TCP", ALLOW)],
        says=["computed on 1 of 1 policies"],
    ),
    Probe(
        "a policy of a mesh, which nobody here evaluates",
        [*HERE, body("security.istio.io/v1", "AuthorizationPolicy", "deny", spec={"action": "DENY"})],
        [("default/web", "default/db", "80/TCP", ALLOW)],
        says=["computed on 0 of 1 policies; not evaluated: 1 AuthorizationPolicy"],
    ),
    Probe(
        "a CiliumNetworkPolicy",
        [
            *HERE,
            body(
                "cilium.io/v2", "CiliumNetworkPolicy", "db",
                spec={
                    "endpointSelector": {"matchLabels": {"app": "db"}},
                    "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "web"}}], "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}],
                },
            ),
        ],
        [("default/web", "default/db", "80/TCP", ALLOW), ("default/web", "default/db", "81/TCP", DENY)],
        says=["computed on 1 of 1 policies"],
    ),
    Probe(
        "a Service that is published on every node",
        [*HERE, body("v1", "Service", "web", spec={**SERVICE, "type": "NodePort"})],
        doors=["default/Pod/web"],
    ),
    Probe(
        "an Ingress",
        [
            *HERE,
            body("v1", "Service", "web", spec=SERVICE),
            body(
                "networking.k8s.io/v1", "Ingress", "web",
                spec={"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
            ),
        ],
        doors=["default/Pod/web"],
    ),
    Probe(
        "a route of the Gateway API",
        [
            *HERE,
            body("v1", "Service", "web", spec=SERVICE),
            body(
                "gateway.networking.k8s.io/v1", "Gateway", "edge",
                spec={"gatewayClassName": "c", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
            ),
            body(
                "gateway.networking.k8s.io/v1", "HTTPRoute", "web",
                spec={"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
            ),
        ],
        doors=["default/Pod/web"],
    ),
    Probe(
        "a dump with a workload, its ReplicaSet and its pods",
        [
            space("default"),
            body("apps/v1", "Deployment", "web", spec=TEMPLATE),
            body(
                "apps/v1", "ReplicaSet", "web-1",
                metadata=owned_by("Deployment", "web"),
                spec=TEMPLATE,
            ),
            a_pod("web-1-x", {"app": "web"}, "10.0.0.1", owner=("ReplicaSet", "web-1")),
        ],
        [("default/web", "203.0.113.7", "80/TCP", ALLOW)],
        flows=["default/Deployment/web,default/Deployment/web,all ports"],
    ),
    Probe(
        "egress and ingress that share no port",
        [
            *HERE,
            selects({"app": "web"}, types=["Egress"], egress=[{"ports": [{"port": 80}]}]),
            policy_body({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 5432}]}]}, name="q"),
        ],
        [("default/web", "default/db", "80/TCP", DENY), ("default/web", "default/db", "5432/TCP", DENY)],
    ),
    Probe(
        "a pod to itself under a deny of everything",
        [*HERE, DENY_BOTH],
        [("default/db", "default/db", "80/TCP", ALLOW), ("default/web", "default/db", "80/TCP", DENY)],
    ),
)  # fmt: skip


def everything_said(probe: Probe) -> Iterator[str]:
    """All that this program says of a probe: flows, doors, and the account of each question."""
    found = probe.cluster
    reach = analyse(found)
    yield "".join(matrix.csv(reach))
    yield json.dumps(matrix.document(reach, matrix.Unit.POD))
    yield "".join(exposed.csv(Exposures(reach)))
    answering = Answering(reach)
    for source, destination, port, _ in probe.asked:
        number, protocol = port.split("/")
        account = answering.explained(Query(source, destination, Protocol(protocol), int(number)))
        yield json.dumps(told.document(account))
        yield "\n".join(told.text(account))


if __name__ == "__main__":
    for each in PROBES:
        print(each.name, *everything_said(each), sep="\n")
