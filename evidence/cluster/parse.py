"""Raw objects to the model: the one place that does so, and the one that checks objects.

1. Every object is parsed on its own; what is wrong with it is one `InputError` that starts with where it was read and which object it is.
2. A workload without pods in the source stands for the pods of its template; one whose controller was read does not count again.
3. Namespaces that objects name and that were not read are there too, undeclared.
4. A kind of the Gateway API whose definition is there and which the source was never asked for counts as unread; so do roles and bindings.

    parsed = parse(objects)
    parsed.errors            what is wrong, one entry an object
    parsed.cluster(unread)   the cluster of all other objects
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from evidence.cluster import calico_names as calico
from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.fields import FieldError, Raw, labels, mapping, text
from evidence.cluster.gatewayapi import GATEWAY_GROUP, GATEWAY_KINDS, ROUTE_KINDS
from evidence.cluster.known import Known, Owners, Said
from evidence.cluster.model import (
    Cluster,
    Ingress,
    Labels,
    Namespace,
    NetworkPolicy,
    Node,
    OtherPolicy,
    Pod,
    Service,
    Workload,
)
from evidence.cluster.objects import CollectedObject, Collection, KindStatus, ObjectKey
from evidence.cluster.parse_others import ingress, namespace, node, service, undeclared_namespace
from evidence.cluster.parse_pods import CONTROLLERS, controller, finished_job, pod, workload
from evidence.cluster.parse_policies import network_policy
from evidence.cluster.plugins import (
    DEFINED_BY,
    POLICY_ENDPOINT,
    SETTINGS_KINDS,
    PluginSettings,
    plugin_settings,
    policy_handed_over,
)
from evidence.cluster.rbac import BINDING_KINDS, ROLE_KINDS
from evidence.cluster.rbac import GROUP as RBAC
from evidence.cluster.rbac import KINDS as RBAC_KINDS
from evidence.errors import InputError, ManyInputsError
from evidence.values import value

if TYPE_CHECKING:
    from evidence.cluster.access import AccessBinding, AccessRole
    from evidence.cluster.calico import Calico, CalicoPolicy, CalicoTier, NetworkSet, StagedPolicy
    from evidence.cluster.cilium import CidrGroup, CiliumPolicy
    from evidence.cluster.policies import ClusterPolicy
    from evidence.cluster.routes import EndpointSlice, Gateway, GatewayClass, Grant, IngressClass, Route

# What the model is made of, and so what is in doubt when something could not be read at all.
MODELLED_KINDS = (
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "CiliumCIDRGroup",
    "CiliumClusterwideNetworkPolicy",
    "CiliumNetworkPolicy",
    "ClusterNetworkPolicy",
    "ClusterRole",
    "ClusterRoleBinding",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "GRPCRoute",
    "Gateway",
    "GatewayClass",
    "GlobalNetworkPolicy",
    "GlobalNetworkSet",
    "HTTPRoute",
    "HostEndpoint",
    "Ingress",
    "IngressClass",
    "Job",
    "Namespace",
    "NetworkPolicy",
    "NetworkSet",
    "Node",
    "Pod",
    "ReferenceGrant",
    "ReplicaSet",
    "ReplicationController",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
    "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "StagedNetworkPolicy",
    "StatefulSet",
    "TCPRoute",
    "TLSRoute",
    "Tier",
    "UDPRoute",
)
_UNREAD = (KindStatus.FORBIDDEN, KindStatus.FAILED)


@value()
class Wrong:
    """One object that cannot be read, and why; `str(error)` is the whole sentence."""

    object: CollectedObject
    error: InputError


@dataclass(slots=True, eq=False, repr=False)
class Parsed:
    """The parts of a cluster as they come out of the objects, in the objects' order."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    templates: list[Pod] = field(default_factory=list)
    policies: list[NetworkPolicy] = field(default_factory=list)
    workloads: list[Workload] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    service_accounts: dict[tuple[str, str], Labels] = field(default_factory=dict)
    ingresses: list[Ingress] = field(default_factory=list)
    endpoint_slices: list["EndpointSlice"] = field(default_factory=list)
    ingress_classes: list["IngressClass"] = field(default_factory=list)
    gateway_classes: list["GatewayClass"] = field(default_factory=list)
    gateways: list["Gateway"] = field(default_factory=list)
    routes: list["Route"] = field(default_factory=list)
    reference_grants: list["Grant"] = field(default_factory=list)
    cluster_policies: list["ClusterPolicy"] = field(default_factory=list)
    calico_policies: list["CalicoPolicy"] = field(default_factory=list)
    calico_tiers: list["CalicoTier"] = field(default_factory=list)
    network_sets: list["NetworkSet"] = field(default_factory=list)
    staged: list["StagedPolicy"] = field(default_factory=list)
    cilium_policies: list["CiliumPolicy"] = field(default_factory=list)
    cidr_groups: list["CidrGroup"] = field(default_factory=list)
    other_policies: list[OtherPolicy] = field(default_factory=list)
    access_roles: "list[AccessRole]" = field(default_factory=list)
    harmless_roles: set[ObjectKey] = field(default_factory=set)
    access_bindings: "list[AccessBinding]" = field(default_factory=list)
    crds: set[str] = field(default_factory=set)
    plugin_settings: list[PluginSettings] = field(default_factory=list)
    handed_over: set[tuple[str, str]] = field(default_factory=set)
    owners: dict[ObjectKey, ObjectKey] = field(default_factory=dict)  # controllers of ReplicaSets and Jobs
    errors: list[Wrong] = field(default_factory=list)

    def said(self) -> Said:
        """The parts that something was added to."""
        return tuple((each.name, found) for each in fields(self) if (found := getattr(self, each.name)))

    def add(self, said: Said) -> None:
        """Add parts of another one."""
        for name, found in said:
            mine = getattr(self, name)
            if isinstance(mine, list):
                mine += found
            else:
                mine.update(found)

    def cluster(self, unread_kinds: Iterable[str] = ()) -> Cluster:
        """The cluster of everything that could be read."""
        pods = [*self.pods, *self._stand_ins()]
        if self.calico_policies and self.service_accounts:
            pods = [replace(pod, account_labels=self._account_labels(pod)) for pod in pods]
        named = {pod.namespace for pod in pods} | {policy.namespace for policy in self.policies}
        named |= {service.namespace for service in self.services} | {ingress.namespace for ingress in self.ingresses}
        named |= {route.key.namespace for route in self.routes} | {gateway.namespace for gateway in self.gateways}
        named |= {w.key.namespace for w in self.workloads} | {policy.key.namespace for policy in self.other_policies}
        named |= {policy.key.namespace for policy in self.cilium_policies}
        named |= {policy.key.namespace for policy in self.calico_policies}
        named |= {policy.key.namespace for policy in self.staged}
        named |= {found.key.namespace for found in self.network_sets}
        for name in named - self.namespaces.keys() - {""}:
            self.namespaces[name] = undeclared_namespace(name)
        by_name, by_key = attrgetter("namespace", "name"), attrgetter("key")
        return Cluster(
            namespaces={name: self.namespaces[name] for name in sorted(self.namespaces)},
            pods=tuple(sorted(pods, key=by_name)),
            policies=tuple(sorted(self.policies, key=by_name)),
            workloads=tuple(sorted(self.workloads, key=by_key)),
            nodes=tuple(sorted(self.nodes, key=attrgetter("name"))),
            services=tuple(sorted(self.services, key=by_name)),
            ingresses=tuple(sorted(self.ingresses, key=by_name)),
            endpoint_slices=tuple(sorted(self.endpoint_slices, key=by_name)),
            ingress_classes=tuple(sorted(self.ingress_classes, key=attrgetter("name"))),
            gateway_classes=tuple(sorted(self.gateway_classes, key=attrgetter("name"))),
            gateways=tuple(sorted(self.gateways, key=by_name)),
            routes=tuple(sorted(self.routes, key=by_key)),
            reference_grants=tuple(self.reference_grants),
            cluster_policies=tuple(sorted(self.cluster_policies, key=by_key)),
            calico=self._calico(),
            staged_policies=tuple(sorted(self.staged, key=by_key)),
            cilium_policies=tuple(sorted(self.cilium_policies, key=by_key)),
            cidr_groups=tuple(sorted(self.cidr_groups, key=attrgetter("name"))),
            other_policies=tuple(sorted(self.other_policies, key=by_key)),
            access_roles=tuple(sorted(self.access_roles, key=by_key)),
            access_bindings=tuple(
                sorted((b for b in self.access_bindings if b.role not in self.harmless_roles), key=by_key)
            ),
            crds=frozenset(self.crds),
            plugin_settings=tuple(sorted(self.plugin_settings, key=by_key)),
            handed_over=frozenset(self.handed_over),
            unread_kinds=tuple(sorted(set(unread_kinds))),
        )

    def _account_labels(self, found: Pod) -> Labels | None:
        return self.service_accounts.get((found.namespace, found.service_account))

    def _calico(self) -> "Calico | None":
        if not (self.calico_policies or self.calico_tiers or self.network_sets):
            return None
        from evidence.cluster.calico import Calico

        by_key = attrgetter("key")
        return Calico(
            tuple(sorted(self.calico_policies, key=by_key)),
            tuple(sorted(self.calico_tiers, key=attrgetter("name"))),
            tuple(sorted(self.network_sets, key=by_key)),
        )

    def _stand_ins(self) -> list[Pod]:
        """Templates of workloads that have no pod of their own and that no workload in the source made.

        Finished pods are no endpoints, so that a CronJob between two runs still stands for its next pods; a Job does not run again.
        """
        present = {pod.workload for pod in self.pods if not pod.finished or pod.workload.kind == "Job"}
        known = {workload.key for workload in self.workloads}
        return [
            template
            for template in self.templates
            if template.workload not in present and self.owners.get(template.workload) not in known
        ]


def build_cluster(collection: Collection, known: Known | None = None) -> Cluster:
    """The cluster of a collection. Raises InputError (or ManyInputsError) naming every object that cannot be read.

    `known`: what collections of the same cluster before this one said.
    """
    with without_cycle_search():
        parsed = parse(collection.objects, known)
        refuse(wrong.error for wrong in parsed.errors)
        return parsed.cluster(unread_kinds(collection))


def refuse(errors: Iterable[InputError]) -> None:
    """Raise what there is to raise: nothing, the one error, or all of them as one."""
    found = tuple(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        raise ManyInputsError(found)


def unread_kinds(collection: Collection) -> frozenset[str]:
    """Kinds that were forbidden or failed, or of which objects were left out; all of the model's when it is unknown what was left out."""
    kinds = {kind.kind for kind in collection.kinds if kind.status in _UNREAD}
    for problem in collection.problems:
        kinds.update([problem.kind] if problem.kind else MODELLED_KINDS)
    defined = {obj.key.name for obj in collection.objects if obj.key.kind == "CustomResourceDefinition"}
    return frozenset(kinds | _never_asked_for(collection, defined) | _not_spoken_of(collection, defined))


def _never_asked_for(collection: Collection, defined: set[str]) -> set[str]:
    """Kinds of RBAC, and those of the Gateway API in a cluster that has it, which the collector did not know of yet."""
    served = any(name.endswith(f".{GATEWAY_GROUP}") for name in defined)
    asked = {kind.kind for kind in collection.kinds}
    expected = {*(GATEWAY_KINDS if served else ()), *(RBAC_KINDS if asked else ())}
    return expected - asked


def _not_spoken_of(collection: Collection, defined: set[str]) -> set[str]:
    """Kinds that say how a plugin stands to policies, whose definition is there and of which the source says nothing."""
    held = {(kind.group, kind.kind) for kind in collection.kinds if kind.status is not KindStatus.NOT_IN_SOURCE}
    return {kind for (group, kind), name in DEFINED_BY.items() if name in defined and (group, kind) not in held}


def parse(objects: Iterable[CollectedObject], known: Known | None = None) -> Parsed:
    """Parse every object; wrong ones are in `errors` and nowhere else. What is `known` already is not parsed again."""
    parsed = Parsed()
    pods = []
    if known is not None:
        known.begin()
    for obj in objects:
        key = obj.key
        if key.kind == "Pod" and key.group == "":
            pods.append(obj)
            continue
        try:
            if known is None:
                _take_in(parsed, obj)
            else:
                parsed.add(known.said(obj, _alone))
        except FieldError as error:
            parsed.errors.append(Wrong(obj, located(obj, error)))
    owners = parsed.owners.get
    for obj in pods:  # last, when their controllers are known
        try:
            parsed.pods.append(_pod(obj, owners) if known is None else known.pod(obj, owners, _pod))
        except FieldError as error:
            parsed.errors.append(Wrong(obj, located(obj, error)))
    parsed.pods = [_of_its_pod(found, parsed.pods) if found.workload.kind == "Pod" else found for found in parsed.pods]
    return parsed


def _take_in(parsed: Parsed, obj: CollectedObject) -> None:
    """Add what an object that is no pod says. It hangs on nothing that is there already."""
    _PARSERS.get((obj.key.group, obj.key.kind), _other)(parsed, obj, _metadata(obj))


def _alone(obj: CollectedObject) -> Said:
    parsed = Parsed()
    _take_in(parsed, obj)
    return parsed.said()


def _pod(obj: CollectedObject, owners: Owners) -> Pod:
    return pod(obj, obj.key.namespace, obj.key.name, _metadata(obj), owners)


def _of_its_pod(pod: Pod, pods: Iterable[Pod]) -> Pod:
    """A pod that another pod controls (a probe's stand-in) counts to that one's workload."""
    owner = f"{pod.workload.namespace}/{pod.workload.name}"
    if owner == pod.key:
        return pod
    return next((replace(pod, workload=other.workload) for other in pods if other.key == owner), pod)


def located(obj: CollectedObject, error: FieldError) -> InputError:
    """The error with the place and the object in front."""
    return InputError(f"{obj.source}: {obj.key}: {error}")


def _metadata(obj: CollectedObject) -> Raw:
    return mapping(obj.body, "metadata")


def _annotations(metadata: Raw) -> Labels:
    try:
        return labels(metadata, "annotations")
    except FieldError as error:
        raise error.under("metadata") from None


def _namespace(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    parsed.namespaces[obj.key.name] = namespace(obj, metadata)


def _network_policy(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    parsed.policies.append(network_policy(obj, obj.key.namespace, obj.key.name))


def _cluster_policy(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    # Here and below: a start without such objects need not read their modules.
    from evidence.cluster.parse_clusterpolicies import cluster_policy

    parsed.cluster_policies.append(cluster_policy(obj))


def _workload(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    key = obj.key
    try:
        owner = controller(metadata, key.namespace)
        created = text(metadata, "creationTimestamp")
    except FieldError as error:
        raise error.under("metadata") from None
    found, template = workload(obj, created)
    finished = key.kind == "Job" and finished_job(obj)
    if owner is not None:
        parsed.owners[key] = owner
    parsed.workloads.append(found)
    if not finished:
        parsed.templates.append(template)


def _node(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    parsed.nodes.append(node(obj, metadata, _annotations(metadata)))


def _service(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    parsed.services.append(service(obj))


def _ingress(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    parsed.ingresses.append(ingress(obj, _annotations(metadata)))


def _service_account(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    try:
        parsed.service_accounts[obj.key.namespace, obj.key.name] = labels(metadata, "labels")
    except FieldError as error:
        raise error.under("metadata") from None


def _endpoint_slice(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    from evidence.cluster.parse_routes import endpoint_slice

    parsed.endpoint_slices.append(endpoint_slice(obj, metadata))


def _ingress_class(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    from evidence.cluster.parse_routes import ingress_class

    parsed.ingress_classes.append(ingress_class(obj, metadata))


def _gateway_class(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    from evidence.cluster.parse_routes import gateway_class

    parsed.gateway_classes.append(gateway_class(obj, metadata))


def _gateway(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_routes import gateway

    parsed.gateways.append(gateway(obj))


def _route(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_routes import route

    parsed.routes.append(route(obj))


def _reference_grant(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_routes import grants

    parsed.reference_grants += grants(obj)


def _calico_policy(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_calico import calico_policy

    parsed.calico_policies.append(calico_policy(obj))


def _calico_tier(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_calico import calico_tier

    parsed.calico_tiers.append(calico_tier(obj))


def _network_set(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    from evidence.cluster.parse_calico import network_set

    parsed.network_sets.append(network_set(obj, metadata, _annotations(metadata)))


def _staged(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_calico import staged_policy

    parsed.staged.append(staged_policy(obj))


def _cilium_policy(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_cilium import cilium_policy  # most clusters have none

    parsed.cilium_policies.append(cilium_policy(obj))


def _cidr_group(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_cilium import cidr_group

    parsed.cidr_groups.append(cidr_group(obj))


def _access_role(parsed: Parsed, obj: CollectedObject, metadata: Raw) -> None:
    from evidence.cluster.parse_access import access_role

    found = access_role(obj, metadata)
    if found.matters:
        parsed.access_roles.append(found)
    else:
        parsed.harmless_roles.add(obj.key)


def _access_binding(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    from evidence.cluster.parse_access import access_binding

    parsed.access_bindings.append(access_binding(obj))


def _crd(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    parsed.crds.add(obj.key.name)


def _plugin_settings(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    parsed.plugin_settings.append(plugin_settings(obj))


def _policy_endpoint(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    parsed.handed_over.add(policy_handed_over(obj))


def _other(parsed: Parsed, obj: CollectedObject, _: Raw) -> None:
    """Every other kind that is kept is a policy of somebody else's."""
    version: Any = obj.body.get("apiVersion")
    parsed.other_policies.append(OtherPolicy(obj.key, version if isinstance(version, str) else "", obj))


_Parser = Callable[[Parsed, CollectedObject, Raw], None]
_PARSERS: Mapping[tuple[str, str], _Parser] = {
    ("", "Namespace"): _namespace,
    ("", "Node"): _node,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _crd,
    **{(group, kind): _calico_policy for group in calico.GROUPS for kind in calico.POLICY_KINDS},
    **{(group, kind): _network_set for group in calico.GROUPS for kind in calico.SET_KINDS},
    **{(group, kind): _staged for group in calico.GROUPS for kind in calico.STAGED_KINDS},
    **{(group, calico.TIER_KIND): _calico_tier for group in calico.GROUPS},
    ("cilium.io", "CiliumCIDRGroup"): _cidr_group,
    ("cilium.io", "CiliumClusterwideNetworkPolicy"): _cilium_policy,
    ("cilium.io", "CiliumNetworkPolicy"): _cilium_policy,
    ("", "ServiceAccount"): _service_account,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    (GATEWAY_GROUP, "Gateway"): _gateway,
    (GATEWAY_GROUP, "GatewayClass"): _gateway_class,
    (GATEWAY_GROUP, "ReferenceGrant"): _reference_grant,
    **{(GATEWAY_GROUP, kind): _route for kind in ROUTE_KINDS},
    ("networking.k8s.io", "Ingress"): _ingress,
    ("networking.k8s.io", "IngressClass"): _ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("policy.networking.k8s.io", "AdminNetworkPolicy"): _cluster_policy,
    ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"): _cluster_policy,
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"): _cluster_policy,
    **{(RBAC, kind): _access_role for kind in ROLE_KINDS},
    **{(RBAC, kind): _access_binding for kind in BINDING_KINDS},
    **dict.fromkeys(CONTROLLERS, _workload),
    **dict.fromkeys(SETTINGS_KINDS, _plugin_settings),
    POLICY_ENDPOINT: _policy_endpoint,
}
