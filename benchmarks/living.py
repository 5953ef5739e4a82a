"""A cluster that lives: what an API server would list of it, hour after hour. The same arguments give the same history.

It begins as `clusters.py` makes it, dressed as a server gives its objects (uid, resourceVersion, times, managedFields, conditions), with
ReplicaSets, Services, EndpointSlices and service accounts. Then its owners release, scale and edit, pods are evicted and nodes replaced, most
of it by day, until the day's share of the objects has a new version: a pod that is replaced comes with a new name, uid, node and address, and
takes its EndpointSlice along. Beside that, before anybody looks, what changes without anything having changed: all nodes' heartbeats, and the
resourceVersion of one object in a hundred.
"""

import copy
import random
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.clusters import FIRST_POD_ADDRESS, Generator

Object = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace, name

START = datetime(2026, 1, 1, tzinfo=UTC)
SHARE_BY_HOUR = [1] * 7 + [2] + [7] * 10 + [2] * 3 + [1] * 3  # of a day's changes; most are made while people work
ADDRESSES = 1 << 18
NODE_LIVES_DAYS = 365
EVENTS = {"release": 4, "evict": 40, "scale": 20, "edit_policy": 20, "label": 2}  # how often, beside one another
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # of which Kubernetes makes names


@dataclass(slots=True)
class Workload:
    """A Deployment, the template's hash that is in force, and its pods' names."""

    namespace: str
    name: str
    hash: str
    pods: list[str]
    release: int = 0


@dataclass(slots=True)
class Passed:
    """What happened in some hours: objects of which a watcher is told, those among them of which something is to be kept, and what went."""

    seen: set[Key] = field(default_factory=set)
    changed: set[Key] = field(default_factory=set)
    gone: set[Key] = field(default_factory=set)


class Living:
    """`objects`: as the server gives them now. None is ever changed in place."""

    def __init__(self, pods: int, share_a_day: float, seed: int = 1) -> None:
        self.objects: dict[Key, Object] = {}
        self.resource_version = 1_000
        self._random = random.Random(seed)
        self._now = START
        self._passed = Passed()
        self._used = pods + 100  # addresses that were given out
        self._workloads: list[Workload] = []
        self._begin(pods, seed)
        self._share_a_day = share_a_day
        self._owed = 0.0

    def pass_hours(self, count: int) -> Passed:
        """Let hours pass."""
        self._passed = Passed()
        for _ in range(count):
            self._now += timedelta(hours=1)
            self._owed += self._share_a_day * len(self.objects) * SHARE_BY_HOUR[self._now.hour] / sum(SHARE_BY_HOUR)
            before = len(self._passed.changed)
            nodes = self._of_kind("Node")
            if self._random.random() < len(nodes) / NODE_LIVES_DAYS / 24:
                self._replace_node(self._random.choice(nodes))
            while self._owed > len(self._passed.changed) - before:
                event = self._random.choices(list(EVENTS), list(EVENTS.values()))[0]
                getattr(self, f"_{event}")()
            self._owed -= len(self._passed.changed) - before
        self._stir()
        return self._passed

    # -- the beginning ------------------------------------------------------------------------------------------------

    def _begin(self, pods: int, seed: int) -> None:
        made = Generator(pods, pods // 5, calico=0, closed=0.6, own_label=False, seed=seed, manifests=False).objects()
        workload: Workload | None = None
        for obj in made:
            kind, metadata = obj["kind"], obj["metadata"]
            if kind == "Deployment":
                workload = Workload(metadata["namespace"], metadata["name"], "", [])
                self._workloads.append(workload)
            if kind == "Pod" and workload:
                workload.pods.append(metadata["name"])
                workload.hash = metadata["labels"]["pod-template-hash"]
            self._put(obj)
            if kind == "Namespace":
                self._put(_named("v1", "ServiceAccount", metadata["name"], "default"))
        for number, each in enumerate(self._workloads):
            self._put_replica_set(each)
            self._put_service(each, number)

    def _put_replica_set(self, workload: Workload) -> None:
        deployment = self.objects["Deployment", workload.namespace, workload.name]
        labels = {**deployment["spec"]["template"]["metadata"]["labels"], "pod-template-hash": workload.hash}
        made = _named("apps/v1", "ReplicaSet", workload.namespace, f"{workload.name}-{workload.hash}", labels)
        made["metadata"]["ownerReferences"] = [_owner(deployment)]
        template = {"metadata": {"labels": labels}, "spec": deployment["spec"]["template"]["spec"]}
        count = len(workload.pods)
        made["spec"] = {"replicas": count, "selector": {"matchLabels": labels}, "template": template}
        made["status"] = {"replicas": count, "readyReplicas": count}
        self._put(made)
        for name in workload.pods:
            pod = self._edit("Pod", workload.namespace, name)
            pod["metadata"]["ownerReferences"] = [_owner(made)]

    def _put_service(self, workload: Workload, number: int) -> None:
        spec = self.objects["Deployment", workload.namespace, workload.name]["spec"]
        made = _named("v1", "Service", workload.namespace, workload.name)
        ports = [
            {"name": p["name"], "protocol": "TCP", "port": p["containerPort"], "targetPort": p["name"]}
            for p in spec["template"]["spec"]["containers"][0]["ports"]
        ]
        address = str(IPv4Address("172.30.0.10") + number)
        made["spec"] = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports}
        made["spec"]["selector"] = spec["selector"]["matchLabels"]
        self._put(made)
        self._put_slice(workload)

    def _put_slice(self, workload: Workload) -> None:
        service = self.objects["Service", workload.namespace, workload.name]
        key = ("EndpointSlice", workload.namespace, f"{workload.name}-slice")
        made = copy.copy(self.objects.get(key)) or _named("discovery.k8s.io/v1", *key)
        made["metadata"] = {**made["metadata"], "labels": {"kubernetes.io/service-name": workload.name}}
        made["metadata"]["ownerReferences"] = [_owner(service)]
        made["addressType"], made["endpoints"] = "IPv4", []
        for name in workload.pods:
            pod = self.objects["Pod", workload.namespace, name]
            target = {"kind": "Pod", "namespace": workload.namespace, "name": name, "uid": pod["metadata"]["uid"]}
            made["endpoints"].append(
                {
                    "addresses": [pod["status"]["podIP"]],
                    "nodeName": pod["spec"]["nodeName"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": target,
                }
            )
        ports = service["spec"]["ports"]
        made["ports"] = [{"name": p["name"], "protocol": "TCP", "port": p["port"]} for p in ports]
        self._put(made)

    # -- what happens -------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """A new image: a new ReplicaSet, all pods replaced, the ReplicaSet of two releases ago removed."""
        workload = self._random.choice(self._workloads)
        deployment = self._edit("Deployment", workload.namespace, workload.name)
        workload.release += 1
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"registry.example/{workload.name}:1.{workload.release}"
        former = self._edit("ReplicaSet", workload.namespace, f"{workload.name}-{workload.hash}")
        former["spec"]["replicas"] = 0
        former["status"] = {"replicas": 0}
        ended = [
            key
            for key, found in self.objects.items()
            if key[:2] == ("ReplicaSet", workload.namespace)
            and found["metadata"]["ownerReferences"][0]["name"] == workload.name
            and key[2] != former["metadata"]["name"]
        ]
        for key in ended:
            self._remove(key)
        replicas, workload.hash = len(workload.pods), f"{self._random.randrange(16**9):09x}"
        old, workload.pods = list(workload.pods), []
        like = self.objects["Pod", workload.namespace, old[0]] if old else None
        self._put_replica_set(workload)
        made = self._edit("ReplicaSet", workload.namespace, f"{workload.name}-{workload.hash}")
        made["spec"]["replicas"], made["status"] = replicas, {"replicas": replicas, "readyReplicas": replicas}
        for name in old:
            self._remove(("Pod", workload.namespace, name))
        for _ in range(replicas if like else 0):
            self._add_pod(workload, like)
        self._put_slice(workload)

    def _evict(self) -> None:
        """One pod replaced by its like, on another node."""
        workload = self._random.choice(self._workloads)
        if workload.pods:
            self._replace_pod(workload, self._random.choice(workload.pods))
            self._put_slice(workload)

    def _scale(self) -> None:
        """Up to three pods more or fewer."""
        workload = self._random.choice(self._workloads)
        if not workload.pods:
            return
        wanted = max(1, len(workload.pods) + self._random.choice((-3, -2, -1, 1, 2, 3)))
        while len(workload.pods) > wanted:
            self._remove(("Pod", workload.namespace, workload.pods.pop()))
        while len(workload.pods) < wanted:
            self._add_pod(workload, self.objects["Pod", workload.namespace, workload.pods[0]])
        for kind, name in (("Deployment", workload.name), ("ReplicaSet", f"{workload.name}-{workload.hash}")):
            found = self._edit(kind, workload.namespace, name)
            found["spec"]["replicas"] = wanted
            found["status"] = {"replicas": wanted, "readyReplicas": wanted}
        self._put_slice(workload)

    def _edit_policy(self) -> None:
        """A policy with one port more."""
        _, namespace, name = self._random.choice(self._of_kind("NetworkPolicy"))
        policy = self._edit("NetworkPolicy", namespace, name)
        rules = [*(policy["spec"].get("ingress") or ()), *(policy["spec"].get("egress") or ())]
        for rule in rules[:1]:
            rule.setdefault("ports", []).append({"protocol": "TCP", "port": self._random.randrange(1024, 30_000)})
        policy["spec"]["policyTypes"] = sorted(policy["spec"]["policyTypes"])
        policy["metadata"]["generation"] = policy["metadata"].get("generation", 1) + 1
        policy["metadata"]["managedFields"] = [_manager("kubectl", self._now)]

    def _label(self) -> None:
        """A namespace that goes to another team."""
        _, _, name = self._random.choice(self._of_kind("Namespace"))
        space = self._edit("Namespace", "", name)
        space["metadata"]["labels"] = {**space["metadata"]["labels"], "owner": f"team-{self._random.randrange(12)}"}

    def _replace_node(self, key: Key) -> None:
        """A node that makes room for a new one, and its pods with it."""
        node = copy.deepcopy(self.objects[key])
        self._remove(key)
        name = f"node-{self._suffix(5)}"
        node["metadata"] = {"name": name, "labels": {**node["metadata"]["labels"], "kubernetes.io/hostname": name}}
        self._put(node)
        for workload in self._workloads:
            moved = [
                pod
                for pod in workload.pods
                if self.objects["Pod", workload.namespace, pod]["spec"]["nodeName"] == key[2]
            ]
            for pod in moved:
                self._replace_pod(workload, pod)
            if moved:
                self._put_slice(workload)

    def _stir(self) -> None:
        """What an API server gives another resourceVersion for, and the collector keeps nothing of."""
        for key in self._of_kind("Node"):
            node = self.objects[key]
            beats = [{**condition, "lastHeartbeatTime": _text(self._now)} for condition in node["status"]["conditions"]]
            self._write(key, {**node, "status": {**node["status"], "conditions": beats}}, changed=False)
        for key in self._random.sample(list(self.objects), len(self.objects) // 100):
            self._write(key, self.objects[key], changed=False)

    # -- objects ------------------------------------------------------------------------------------------------------

    def _replace_pod(self, workload: Workload, name: str) -> None:
        like = self.objects["Pod", workload.namespace, name]
        workload.pods.remove(name)
        self._remove(("Pod", workload.namespace, name))
        self._add_pod(workload, like)

    def _add_pod(self, workload: Workload, like: Object) -> None:
        """A pod like another one under the name, on the node and at the address that it happens to get."""
        pod = copy.deepcopy(like)
        set_name = f"{workload.name}-{workload.hash}"
        labels = {**pod["metadata"]["labels"], "pod-template-hash": workload.hash}
        pod["metadata"] = {"name": f"{set_name}-{self._suffix(5)}", "namespace": workload.namespace, "labels": labels}
        pod["metadata"]["ownerReferences"] = [_owner(self.objects["ReplicaSet", workload.namespace, set_name])]
        template = self.objects["Deployment", workload.namespace, workload.name]["spec"]["template"]
        _, _, node = self._random.choice(self._of_kind("Node"))
        self._used += 1
        address = str(IPv4Address(FIRST_POD_ADDRESS + self._used % ADDRESSES))
        pod["spec"] = {**pod["spec"], **copy.deepcopy(template["spec"]), "nodeName": node}
        host = self.objects["Node", "", node]["status"]["addresses"][0]["address"]
        pod["status"] = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": host}
        self._put(pod)
        workload.pods.append(pod["metadata"]["name"])

    def _put(self, obj: Object) -> None:
        """Take up an object: what the server itself gives every object is added."""
        metadata = obj["metadata"]
        key = (obj["kind"], metadata.get("namespace", ""), metadata["name"])
        metadata.setdefault("uid", str(UUID(int=self._random.getrandbits(128), version=4)))
        metadata.setdefault("creationTimestamp", _text(self._now))
        metadata.setdefault("managedFields", [_manager("kube-controller-manager", self._now)])
        if key[0] in CONDITIONS:
            obj["status"].setdefault(
                "conditions",
                [
                    {"type": name, "status": value, "lastTransitionTime": _text(self._now)}
                    for name, value in CONDITIONS[key[0]]
                ],
            )
        self._write(key, obj, changed=True)

    def _edit(self, kind: str, namespace: str, name: str) -> Object:
        """A copy of an object, to be changed, which is from now on what the server gives."""
        key = (kind, namespace, name)
        self._write(key, copy.deepcopy(self.objects[key]), changed=True)
        return self.objects[key]

    def _write(self, key: Key, obj: Object, *, changed: bool) -> None:
        self.resource_version += 1
        self.objects[key] = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.resource_version)}}
        self._passed.seen.add(key)
        if changed:
            self._passed.changed.add(key)

    def _remove(self, key: Key) -> None:
        del self.objects[key]
        self._passed.seen.discard(key)
        self._passed.changed.discard(key)
        self._passed.gone.add(key)

    def _of_kind(self, kind: str) -> list[Key]:
        return [key for key in self.objects if key[0] == kind]

    def _suffix(self, length: int) -> str:
        return "".join(self._random.choices(SUFFIX, k=length))


CONDITIONS = {
    "Node": [("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False")],
    "Pod": [("PodScheduled", "True"), ("Initialized", "True"), ("ContainersReady", "True"), ("Ready", "True")],
}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _manager(name: str, moment: datetime) -> Object:
    return {"manager": name, "operation": "Update", "time": _text(moment), "fieldsType": "FieldsV1", "fieldsV1": {}}


def _named(version: str, kind: str, namespace: str, name: str, labels: Object | None = None) -> Object:
    metadata: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _owner(obj: Object) -> Object:
    of = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "controller": True}
    return {**of, "name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
