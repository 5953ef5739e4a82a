"""Whatever is in a file, it is read or refused in a sentence: random bytes, mutated manifests, odd values in every field."""

import io
import json
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.objects import Collection
from evidence.cluster.parse import build_cluster
from evidence.collect.files import collect_files, read_cluster
from evidence.errors import EvidenceError

MANIFESTS = """\
apiVersion: v1
kind: Namespace
metadata: {name: one, labels: {app: web}, annotations: {projectcalico.org/x: "y"}}
---
apiVersion: v1
kind: Node
metadata: {name: one}
spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24], providerID: kind://x}
status:
  addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: one}]
  conditions: [{type: Ready, status: "True"}]
  nodeInfo: {kubeletVersion: v1.34.2}
---
apiVersion: v1
kind: Pod
metadata:
  name: one
  labels: {app: web, pod-template-hash: abc}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, controller: true}]
spec:
  nodeName: one
  hostNetwork: false
  containers:
  - image: app:1
    ports: [{containerPort: 80, name: http, protocol: TCP, hostPort: 80, hostIP: 10.0.0.9}]
    securityContext: {privileged: true, capabilities: {add: [NET_RAW]}}
    command: [run]
    args: [--enable-np, x]
  initContainers: [{restartPolicy: Always}]
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}], hostIPs: [{ip: 10.0.0.9}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: kube-system}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{image: "agent:1", command: [run], args: [--enable-np=false]}]}}}
status: {desiredNumberScheduled: 1, numberReady: 1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
status: {readyReplicas: 1}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {}}}
status: {conditions: [{type: Complete, status: "True"}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 1 * * *", jobTemplate: {spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}}}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec: {replicas: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http, nodePort: 30080, protocol: TCP, name: http}]
  externalIPs: [203.0.113.1]
  loadBalancerSourceRanges: [10.0.0.0/8]
status: {loadBalancer: {ingress: [{ip: 203.0.113.2}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: web, port: {number: 80}}}
  rules: [{host: a.example, http: {paths: [{path: /, backend: {service: {name: web, port: {name: http}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, managedFields: [{manager: kubectl, operation: Update, time: "2026-01-01T00:00:00Z"}]}
spec:
  podSelector: {matchLabels: {app: web}, matchExpressions: [{key: app, operator: In, values: [web, "db"]}]}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: {}}], ports: [{protocol: TCP, port: 80, endPort: 90}]}]
  egress: [{to: [{namespaceSelector: {}, podSelector: {}}], ports: [{port: http}]}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: admin}
spec:
  priority: 1
  subject: {pods: {namespaceSelector: {}, podSelector: {}}}
  egress:
  - {name: r, action: Deny, to: [{networks: [10.0.0.0/8]}], ports: [{portRange: {start: 1, end: 2, protocol: TCP}}, {namedPort: x}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: cnp}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Pass, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 1, end: 2}}}}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: &m {name: cilium}
spec: {endpointSelector: {}, again: *m}
specs: [{}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]
ports: [{port: 80}]
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {key: a2V5}
"""
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFESTS))
DUMP = json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}, indent=1)

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "10.0.0.0/8", "fd00::/200", "In", "TCP", "\u0000", "🙂", "a/b"]),
    st.lists(st.none() | st.text(max_size=3) | st.just({}), max_size=2),
    st.dictionaries(
        st.sampled_from(["name", "labels", "matchLabels", "ip", "x"]),
        st.none() | st.integers() | st.just({}),
        max_size=2,
    ),
)


def outcome(read: Any, data: bytes, keep_going: bool) -> Any:
    """What was read, or the sentence that refuses it. Anything else than an EvidenceError fails the test by itself."""
    try:
        return read(["-"], stdin=io.BytesIO(data), keep_going=keep_going)
    except EvidenceError as error:
        return str(error)


def check(data: bytes, keep_going: bool) -> None:
    """Both readers end well, agree on whether the data is good, and what was collected can be stored and analysed."""
    collected, analysed = (outcome(read, data, keep_going) for read in (collect_files, read_cluster))
    assert collected != ""
    assert analysed != ""
    if isinstance(collected, Collection):
        cluster = build_cluster(collected)
        assert all(len(obj.digest) == 64 for obj in collected.objects)
        if not collected.problems:
            assert cluster.pods == analysed.pods


def test_the_manifests_that_are_mutated_here_are_good() -> None:
    collection = collect_files(["-"], stdin=io.BytesIO(MANIFESTS.encode()), keep_going=False)
    assert len(collection.objects) == len(OBJECTS) - 1
    assert outcome(collect_files, DUMP.encode(), keep_going=False).objects[0].body == collection.objects[0].body


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes(data: bytes, keep_going: bool) -> None:
    check(data, keep_going)


EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=6)), max_size=4)


@given(st.sampled_from([MANIFESTS.encode(), DUMP.encode()]), EDITS, st.booleans())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_mutated_bytes(data: bytes, edits: list[tuple[int, int, bytes]], keep_going: bool) -> None:
    for place, length, inserted in edits:
        at = place % (len(data) + 1)
        data = data[:at] + inserted + data[at + length :]
    check(data, keep_going)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def with_value(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = with_value(changed[path[0]], path[1:], odd)
    return changed


@given(st.data(), st.sampled_from(OBJECTS), ODD, st.booleans(), st.booleans())
@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_odd_values_in_any_field(
    data: st.DataObject, raw: dict[str, Any], odd: Any, keep_going: bool, as_yaml: bool
) -> None:
    changed = with_value(raw, data.draw(st.sampled_from(places(raw))), odd)
    check((yaml.safe_dump(changed, allow_unicode=True) if as_yaml else json.dumps(changed)).encode(), keep_going)
