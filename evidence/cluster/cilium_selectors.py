"""Selectors of Cilium's policies in the model's terms.

1. Label keys: "k8s:" and "any:" and no source are Kubernetes'. io.kubernetes.pod.namespace is the namespace's name, io.cilium.k8s.namespace.labels.X
   its label X. Without either, a namespaced policy means its own namespace, a clusterwide one every pod (getEndpointSelector in utils.go).
   The subject of a namespaced policy is always in its own namespace (ParseToCiliumRule).
2. "reserved:X" alone in a peer is the entity X. No pod has such a label, so that a subject that asks for one holds no pod.
3. Labels that are no part of an identity by default (pod-template-hash, kubernetes.io/…) cannot be matched unless Cilium was told so:
   a selector on one is not known (identity-relevant-labels.rst). Nor is one on the cluster.
4. io.cilium.k8s.policy.serviceaccount is the pod's service account, whatever label of this name the pod has (SanitizePodLabels).
"""

import re

from evidence.cluster.cilium import Endpoints, Entity, NoPods
from evidence.cluster.fields import Raw, inside
from evidence.cluster.parse_others import NAME_LABEL
from evidence.cluster.parse_policies import label_selector
from evidence.cluster.policies import Unknown
from evidence.cluster.selectors import SERVICE_ACCOUNT, LabelSelector, Operator, Requirement

_NAMESPACE = "io.kubernetes.pod.namespace"
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
_CILIUM = "io.cilium.k8s.policy."
_ACCOUNT = f"{_CILIUM}serviceaccount"
_NO_PART_OF_IDENTITY = re.compile(
    r"io\.kubernetes|kubernetes\.io|.*beta\.kubernetes\.io|k8s\.io|pod-template-(generation|hash)|controller-revision-hash|annotation|etcd_node"
    r"|statefulset\.kubernetes\.io/pod-name|apps\.kubernetes\.io/pod-index|batch\.kubernetes\.io/(job-completion-index|controller-uid)"
    r"|controller-uid"
)


def subject_of(raw: Raw, home: str, where: str, doubts: list[Unknown]) -> Endpoints | NoPods | Unknown:
    """The pods that a rule object at `where` in namespace `home` ("": clusterwide) is about. Adds to `doubts` what agents refuse."""
    endpoints, nodes = raw.get("endpointSelector"), raw.get("nodeSelector")
    if endpoints is not None and nodes is not None:
        doubts.append(Unknown(f"{where}: endpointSelector beside nodeSelector, which agents refuse"))
    elif home and nodes is not None:
        doubts.append(Unknown(f"{where}: nodeSelector in a policy of a namespace, which agents refuse"))
    if endpoints is None:
        if nodes is None:
            doubts.append(Unknown(f"{where} without endpointSelector, which agents refuse"))
            return doubts[-1]
        inside(raw, "nodeSelector", label_selector)
        return NoPods(f"{where}.nodeSelector (host firewall)")
    found = _Split(inside(raw, "endpointSelector", label_selector), f"{where}.endpointSelector")
    if found.unknown:
        return found.unknown[0]
    if any(need.operator in (Operator.IN, Operator.EXISTS) for need in found.reserved):
        return NoPods(f"{where}.endpointSelector {found.reserved[0]}")
    if not home:
        return Endpoints(LabelSelector(found.namespaces), LabelSelector(found.pods))
    if any(need.key != NAME_LABEL or not need.matches({NAME_LABEL: home}) for need in found.namespaces):
        return Unknown(f"{where}.endpointSelector by another namespace than the policy's own")
    return Endpoints(None, LabelSelector(found.pods))


class _Split:
    """The clauses of a selector by what they look at."""

    def __init__(self, selector: LabelSelector, where: str) -> None:
        pods: list[Requirement] = []
        namespaces: list[Requirement] = []
        reserved: list[Requirement] = []
        self.unknown: list[Unknown] = []
        for need in selector.requirements:
            source, joint, key = need.key.rpartition(":")
            here = Requirement(key, need.operator, need.values)
            if source == "reserved":
                reserved.append(here)
            elif key == _ACCOUNT and source in ("", "k8s", "any"):
                pods.append(Requirement(SERVICE_ACCOUNT, need.operator, need.values))
            elif (joint and source not in ("k8s", "any")) or key.startswith(("$", _CILIUM)):
                self.unknown.append(Unknown(f"{where} by {need.key}"))
            elif key == _NAMESPACE:
                namespaces.append(Requirement(NAME_LABEL, need.operator, need.values))
            elif key.startswith(_NAMESPACE_LABEL):
                namespaces.append(Requirement(key[len(_NAMESPACE_LABEL) :], need.operator, need.values))
            elif _NO_PART_OF_IDENTITY.match(key):
                self.unknown.append(Unknown(f"{where} by {need.key}, which is no part of an identity by default"))
            else:
                pods.append(here)
        self.pods, self.namespaces, self.reserved = tuple(sorted(pods)), tuple(sorted(namespaces)), tuple(reserved)


def endpoints_of(home: str, where: str, raw: Raw) -> Endpoints | Entity | Unknown:
    """What one selector in fromEndpoints or toEndpoints means."""
    found = _Split(label_selector(raw), where)
    if found.unknown:
        return found.unknown[0]
    if found.reserved:
        alone = len(found.reserved) == 1 and not found.pods and not found.namespaces
        need = found.reserved[0]
        named = need.operator is Operator.EXISTS or (need.operator is Operator.IN and need.values == ("",))
        if alone and named and need.key in set(Entity):
            return Entity(need.key)
        return Unknown(f"{where} by reserved:{need}")
    if found.namespaces or not home:
        return Endpoints(LabelSelector(found.namespaces), LabelSelector(found.pods))
    return Endpoints(None, LabelSelector(found.pods))


def service_selector(raw: Raw, where: str) -> LabelSelector | Unknown:
    """What a k8sServiceSelector asks of the labels of Services; their source is not looked at."""
    found = []
    for need in label_selector(raw).requirements:
        source, joint, key = need.key.rpartition(":")
        if joint and source not in ("k8s", "any"):
            return Unknown(f"{where} by {need.key}")
        found.append(Requirement(key, need.operator, need.values))
    return LabelSelector(tuple(sorted(found)))


def part_of_identity(key: str) -> bool:
    """True for a pod's label by which Cilium can select it without being told so."""
    return not (_NO_PART_OF_IDENTITY.match(key) or key.startswith(("$", _CILIUM, _NAMESPACE_LABEL)))
