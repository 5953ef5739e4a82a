"""Clusters of any size for benchmarks, as a dump (JSON with pods) or as manifests (YAML with workloads). The same arguments give the same bytes.

    python benchmarks/clusters.py FOLDER --pods 10000 [--policies 2000] [--calico 0] [--closed 0.6] [--own-label] [--form dump|manifests]

A namespace is a product of some teams' components, each a Deployment of one to fifteen pods. A closed namespace denies everything that no
policy of its own allows, for both directions; in an open one only what has policies of its own is isolated, so that the fewer are closed,
the more pairs may connect. Policies allow what their authors usually allow: callers by label, the ingress controller, monitoring, name
resolution, port ranges, partners' networks with exceptions. `--own-label` gives every pod a label of its own. `--calico` adds as many policies of
Calico's (`calico.py`).
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.calico import calico

Object = dict[str, Any]

PODS_IN_NAMESPACE = 60
PODS_ON_NODE = 90
FIRST_POD_ADDRESS = int(IPv4Address("10.128.0.0"))
FIRST_NODE_ADDRESS = int(IPv4Address("172.20.0.0"))


@dataclass(frozen=True, slots=True)
class Component:
    """A kind of workload: its ports by name, and the components that call it."""

    name: str
    ports: tuple[tuple[str, int], ...]
    callers: tuple[str, ...] = ()
    public: bool = False


COMPONENTS = (
    Component("storefront", (("http", 8080),), public=True),
    Component("gateway", (("https", 8443), ("admin", 9901)), ("storefront",), public=True),
    Component("orders", (("http", 8080), ("grpc", 50051)), ("gateway", "storefront")),
    Component("payments", (("grpc", 50051),), ("orders", "gateway")),
    Component("ledger", (("grpc", 50052),), ("payments",)),
    Component("database", (("sql", 5432),), ("orders", "payments", "ledger")),
    Component("cache", (("resp", 6379),), ("orders", "gateway")),
    Component("queue", (("amqp", 5671), ("console", 15671)), ("orders", "mailer")),
    Component("mailer", (("metrics", 9102),)),
    Component("batch", (("metrics", 9102),), ("queue",)),
)
BY_NAME = {component.name: component for component in COMPONENTS}
TIERS = ("edge", "logic", "data")
STAGES = ("production", "staging", "test")
SCOPES = ("card-data", "connected", "none", "none", "none")


def equal(**labels: str) -> Object:
    return {"matchLabels": labels}


def one_of(key: str, values: list[str]) -> Object:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}


def by_name(namespace: str, pods: Object) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "podSelector": pods}


def tcp(*numbers: int | str) -> list[Object]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


RESOLVERS = {
    "to": [by_name("kube-system", equal(**{"k8s-app": "kube-dns"}))],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


class Generator:
    """One cluster; `objects` yields what it is made of."""

    def __init__(
        self, pods: int, policies: int, *, calico: int, closed: float, own_label: bool, seed: int, manifests: bool
    ) -> None:
        self._pods, self._policies, self._calico, self._closed = pods, policies, calico, closed
        self._seed = seed
        self._components: list[tuple[str, list[str]]] = []
        self._own_label, self._manifests = own_label, manifests
        self._random = random.Random(seed)
        self._nodes = max(1, pods // PODS_ON_NODE)
        self._made = 0

    def objects(self) -> Iterator[Object]:
        for number in range(self._nodes):
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": f"node-{number}", "labels": {"kubernetes.io/hostname": f"node-{number}"}},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": str(IPv4Address(FIRST_NODE_ADDRESS + number))}]
                },
            }
        for name, labels, ports in (
            ("kube-system", {"k8s-app": "kube-dns"}, (("dns-tcp", 53),)),
            ("ingress", {"app": "ingress"}, (("http", 80), ("https", 443))),
            ("monitoring", {"app": "prometheus"}, (("web", 9090),)),
        ):
            yield self._namespace(name, {})
            yield from self._workload(name, labels.get("app", "coredns"), labels, ports, 2)
        count = max(1, self._pods // PODS_IN_NAMESPACE)
        for number in range(count):
            have = self._pods * (number + 1) // count - self._pods * number // count
            allowed = self._policies * (number + 1) // count - self._policies * number // count
            yield from self._product(f"product-{number:05d}", have, allowed)
        if self._calico:
            yield from calico(self._components, self._calico, self._seed)

    def _product(self, name: str, pods: int, policies: int) -> Iterator[Object]:
        draw = self._random
        labels = {"stage": draw.choice(STAGES), "scope": draw.choice(SCOPES), "owner": f"team-{draw.randrange(12)}"}
        yield self._namespace(name, labels)
        chosen: list[Component] = []
        turn = 0
        while pods > 0:
            kind = (
                COMPONENTS[(turn + draw.randrange(2)) % len(COMPONENTS)]
                if turn < len(COMPONENTS)
                else draw.choice(COMPONENTS)
            )
            replicas = min(pods, draw.randint(1, 15))
            suffix = f"-{turn}" if kind in chosen else ""
            yield from self._workload(
                name,
                kind.name + suffix,
                {"app": kind.name, "tier": draw.choice(TIERS), "release": draw.choice(("blue", "green"))},
                kind.ports,
                replicas,
            )
            chosen.append(kind)
            pods -= replicas
            turn += 1
        self._components.append((name, sorted({kind.name for kind in chosen})))
        made = list(self._written(name, labels, list(dict.fromkeys(chosen)), policies))
        yield from made[:policies]

    # -- policies -----------------------------------------------------------------------------------------------------

    def _written(self, space: str, labels: dict[str, str], chosen: list[Component], wanted: int) -> Iterator[Object]:
        """Policies of one product, the usual ones first, then more until there are as many as wanted."""
        if self._random.random() < self._closed:
            yield self._policy(space, "deny-everything", {}, [], [])
            yield self._policy(space, "resolve-names", {}, None, [RESOLVERS])
            scraper = by_name("monitoring", equal(app="prometheus"))
            yield self._policy(space, "be-scraped", {}, [{"from": [scraper], "ports": tcp(9102, 8080)}], None)
            for kind in chosen:
                called = [other.name for other in chosen if kind.name in other.callers]
                if called:
                    allowed = {"to": [{"podSelector": one_of("app", called)}]}
                    yield self._policy(space, f"{kind.name}-calls", equal(app=kind.name), None, [allowed])
        for kind in chosen:
            callers = [caller for caller in kind.callers if BY_NAME[caller] in chosen]
            sources = [{"podSelector": one_of("app", callers)}] if callers else []
            if kind.public:
                sources.append(by_name("ingress", equal(app="ingress")))
            if sources:
                ports = tcp(*(name if self._random.random() < 0.25 else number for name, number in kind.ports))
                yield self._policy(
                    space, f"{kind.name}-callers", equal(app=kind.name), [{"from": sources, "ports": ports}], None
                )
        for number in range(wanted):
            yield self._special(space, f"special-{number}", labels, self._random.choice(chosen))

    def _special(self, space: str, name: str, labels: dict[str, str], kind: Component) -> Object:
        draw = self._random
        subject = equal(app=kind.name)
        match draw.randrange(5):
            case 0:
                block: Object = {"cidr": f"198.{18 + draw.randrange(2)}.{draw.randrange(256)}.0/24"}
                return self._policy(space, name, subject, [{"from": [{"ipBlock": block}], "ports": tcp(443)}], None)
            case 1:
                block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", f"172.{16 + draw.randrange(16)}.0.0/16"]}
                return self._policy(
                    space, name, subject, None, [{"to": [{"ipBlock": block}], "ports": tcp(443)}, RESOLVERS]
                )
            case 2:
                first = 20000 + 10 * draw.randrange(500)
                ports = [{"protocol": "TCP", "port": first, "endPort": first + draw.randrange(1, 200)}]
                return self._policy(space, name, subject, [{"from": [{"podSelector": {}}], "ports": ports}], None)
            case 3:
                peers = [
                    {
                        "namespaceSelector": equal(owner=labels["owner"], stage=labels["stage"]),
                        "podSelector": equal(tier="edge"),
                    }
                ]
                return self._policy(space, name, equal(app=kind.name, release="green"), [{"from": peers}], None)
            case _:
                others = {"matchExpressions": [{"key": "scope", "operator": "NotIn", "values": ["card-data"]}]}
                peers = [{"namespaceSelector": others, "podSelector": equal(app="gateway")}]
                return self._policy(space, name, subject, [{"from": peers, "ports": tcp(kind.ports[0][1])}], None)

    @staticmethod
    def _policy(
        space: str, name: str, subject: Object, ingress: list[Object] | None, egress: list[Object] | None
    ) -> Object:
        spec: Object = {"podSelector": subject, "policyTypes": []}
        for word, field, rules in (("Ingress", "ingress", ingress), ("Egress", "egress", egress)):
            if rules is not None:
                spec["policyTypes"].append(word)
                spec[field] = rules
        metadata: Object = {"name": name, "namespace": space}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}

    # -- workloads ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _namespace(name: str, labels: dict[str, str]) -> Object:
        labels = {"kubernetes.io/metadata.name": name, **labels}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}

    def _workload(
        self, space: str, name: str, labels: dict[str, str], ports: tuple[tuple[str, int], ...], replicas: int
    ) -> Iterator[Object]:
        declared = [{"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports]
        spec = {"containers": [{"name": "main", "image": f"registry.example/{name}:1.0", "ports": declared}]}
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": space},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
        if self._manifests:
            return
        version = f"{self._random.randrange(16**9):09x}"
        owner: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": f"{name}-{version}",
            "uid": f"{space}-{name}",
            "controller": True,
        }
        for _ in range(replicas):
            self._made += 1
            pod = f"{name}-{version}-{self._made:05x}"
            own = {"example.com/pod": pod} if self._own_label else {}
            node = self._random.randrange(self._nodes)
            ip, host = str(IPv4Address(FIRST_POD_ADDRESS + self._made)), str(IPv4Address(FIRST_NODE_ADDRESS + node))
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": pod,
                    "namespace": space,
                    "labels": {**labels, "pod-template-hash": version, **own},
                    "ownerReferences": [owner],
                },
                "spec": {**spec, "nodeName": f"node-{node}"},
                "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": host},
            }


def write(
    folder: Path,
    pods: int,
    policies: int | None = None,
    *,
    calico: int = 0,
    closed: float = 0.6,
    own_label: bool = False,
    seed: int = 1,
    manifests: bool = False,
) -> Path:
    """Write a cluster into a folder; by default one policy for five pods."""
    wanted = pods // 5 if policies is None else policies
    made = Generator(
        pods, wanted, calico=calico, closed=closed, own_label=own_label, seed=seed, manifests=manifests
    ).objects()
    folder.mkdir(parents=True, exist_ok=True)
    if not manifests:
        (folder / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(made)}))
        return folder
    import yaml

    by_file: dict[str, list[Object]] = defaultdict(list)
    for found in made:
        metadata = found["metadata"]
        by_file[metadata["name"] if found["kind"] == "Namespace" else metadata.get("namespace", "nodes")].append(found)
    for name, listed in by_file.items():
        text = yaml.dump_all(listed, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)
        (folder / f"{name}.yaml").write_text(text)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--policies", type=int)
    parser.add_argument("--calico", type=int, default=0, help="policies of Calico's beside the others")
    parser.add_argument(
        "--closed", type=float, default=0.6, help="share of namespaces that deny what they do not allow"
    )
    parser.add_argument("--own-label", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", choices=["dump", "manifests"], default="dump")
    arguments = parser.parse_args()
    write(
        arguments.folder,
        arguments.pods,
        arguments.policies,
        calico=arguments.calico,
        closed=arguments.closed,
        own_label=arguments.own_label,
        seed=arguments.seed,
        manifests=arguments.form == "manifests",
    )
    sys.stdout.write(f"{arguments.folder}\n")


if __name__ == "__main__":
    main()
