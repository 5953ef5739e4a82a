"""Pods, and the workloads whose templates stand for pods where none were read.

1. A pod's workload is its controller: a ReplicaSet's Deployment and a Job's CronJob where those are known, the pod itself without one.
2. A ReplicaSet that was not read is known to be a Deployment's when its name ends in the pod's own pod-template-hash label.
3. Ports of sidecars (init containers with restartPolicy Always) count; those of other init containers do not.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from evidence.cluster.cidr import parse_address
from evidence.cluster.fields import (
    FieldError,
    Raw,
    address,
    boolean,
    choice,
    each,
    inside,
    integer,
    labels,
    mapping,
    sequence,
    shown,
    strings,
    text,
)
from evidence.cluster.model import ContainerPort, IPAddress, Labels, Pod, Protocol, Workload
from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.cluster.plugins import environment

MAX_PORT = 65535
CONTROLLERS = frozenset(
    (group, kind)
    for group, kinds in {
        "apps": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
        "batch": ("Job", "CronJob"),
        "": ("ReplicationController",),
    }.items()
    for kind in kinds
)
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  (read, not bound to)


@lru_cache(maxsize=1 << 14)
def workload_key(version: str, kind: str, namespace: str, name: str) -> ObjectKey:
    """One key object for all pods of a workload; `version` is an apiVersion ("apps/v1")."""
    return ObjectKey(version.rpartition("/")[0], kind, namespace, name)


# Many pods name one node's address.
_node_address = lru_cache(maxsize=1 << 14)(parse_address)


def controller(metadata: Raw, namespace: str) -> ObjectKey | None:
    """The owner with `controller: true`; None without one, and for static pods, which a Node owns."""
    for index, owner in enumerate(sequence(metadata, "ownerReferences")):
        if not isinstance(owner, dict):
            raise FieldError(f"ownerReferences[{index}]", f"must be an object, not {shown(owner)}")
        if owner.get("controller") is True:
            kind, name, version = owner.get("kind"), owner.get("name"), owner.get("apiVersion", "")
            if not (isinstance(name, str) and name):
                raise FieldError(f"ownerReferences[{index}].name", "is missing")
            if kind is None:  # a cut-down dump: that something controls the pod is known, what does is not
                return workload_key("apps/v1", "ReplicaSet", namespace, name)
            if not (isinstance(kind, str) and isinstance(version, str)):
                raise FieldError(f"ownerReferences[{index}]", "must name apiVersion, kind and name as strings")
            if kind == "Node":
                return None
            return workload_key(version, kind, namespace, name)
    return None


def pod(
    obj: CollectedObject, namespace: str, name: str, metadata: Raw, owners: Callable[[ObjectKey], ObjectKey | None]
) -> Pod:
    """The pod of one object. `owners` gives the controller of a ReplicaSet or Job that was read."""
    body = obj.body
    try:
        found_labels = labels(metadata, "labels")
        workload = _workload(metadata, namespace, obj.key, found_labels, owners)
        created = text(metadata, "creationTimestamp")
    except FieldError as error:
        raise error.under("metadata") from None
    status = mapping(body, "status")
    try:
        phase = choice(status, "phase", _PHASES, "Running")
        addresses = _addresses(status, "podIPs", "podIP", parse_address)
        node_addresses = _addresses(status, "hostIPs", "hostIP", _node_address)
        ready = _ready(status)
    except FieldError as error:
        raise error.under("status") from None
    spec = mapping(body, "spec")
    try:
        host_network, ports, privileged, capabilities, images, _ = pod_spec(spec)
        node = text(spec, "nodeName")
        account = text(spec, "serviceAccountName") or "default"
    except FieldError as error:
        raise error.under("spec") from None
    return Pod(
        namespace,
        name,
        found_labels,
        workload,
        addresses,
        node,
        node_addresses,
        host_network,
        ports,
        phase,
        ready,
        False,
        privileged,
        capabilities,
        images,
        created,
        account,
        obj,
    )


def _workload(
    metadata: Raw, namespace: str, own: ObjectKey, pod_labels: Labels, owners: Callable[[ObjectKey], ObjectKey | None]
) -> ObjectKey:
    owner = controller(metadata, namespace)
    if owner is None:
        return own
    above = owners(owner)
    if above is not None:
        return above
    if owner.kind == "ReplicaSet" and owner.group == "apps":
        template_hash = pod_labels.get("pod-template-hash")
        if template_hash and owner.name.endswith(f"-{template_hash}"):
            return workload_key("apps/v1", "Deployment", namespace, owner.name[: -len(template_hash) - 1])
    return owner


def _addresses(status: Raw, many: str, one: str, parse: Callable[[str], IPAddress]) -> tuple[IPAddress, ...]:
    """status.podIPs, or status.podIP where the list is absent; empty texts are no addresses."""
    entries = status.get(many)
    if not entries:
        value = status.get(one)
        return (_address(value, parse, one),) if value else ()
    if type(entries) is list and len(entries) == 1 and type(entries[0]) is dict:  # one family, as nearly always
        value = entries[0].get("ip")
        return (_address(value, parse, many, 0),) if value else ()
    found = each(status, many, lambda entry: entry.get("ip"))
    return tuple(_address(value, parse, many, index) for index, value in enumerate(found) if value)


def _address(value: Any, parse: Callable[[str], IPAddress], field: str, index: int | None = None) -> IPAddress:
    if type(value) is str:
        try:
            return parse(value)
        except ValueError:
            pass  # said below, with the path
    return address(field if index is None else f"{field}[{index}].ip", value)


def _ready(status: Raw) -> bool:
    """The Ready condition; without conditions (a cut-down dump) whether the pod is said to run."""
    if not status.get("conditions"):
        sequence(status, "conditions")
        return status.get("phase") == "Running"
    return condition(status, "Ready") is True


def condition(status: Raw, name: str) -> bool | None:
    """Whether a condition of a status is True; None when it is not there."""
    found = each(status, "conditions", lambda entry: (entry.get("type"), entry.get("status")))
    return next((value == "True" for kind, value in found if kind == name), None)


PodSpec = tuple[bool, tuple[ContainerPort, ...], bool, frozenset[str], tuple[str, ...], tuple[str, ...]]


def pod_spec(spec: Raw) -> PodSpec:
    """host_network, ports, privileged, capabilities, images, arguments of all containers."""
    ports: list[ContainerPort] = []
    images: dict[str, None] = {}
    arguments: list[str] = []
    capabilities: set[str] = set()
    privileged = False
    for key in _CONTAINERS:
        if key not in spec:
            continue
        for index, container in enumerate(sequence(spec, key)):
            if not isinstance(container, dict):
                raise FieldError(f"{key}[{index}]", f"must be an object, not {shown(container)}")
            # It lives as long as the pod does.
            serves = key == "containers" or container.get("restartPolicy") == "Always"
            try:
                if serves and "ports" in container:
                    ports += each(container, "ports", _port)
                image = text(container, "image")
                if image:
                    images[image] = None
                if container.get("securityContext"):
                    context = mapping(container, "securityContext")
                    privileged = privileged or boolean(context, "privileged")
                    capabilities.update(strings(mapping(context, "capabilities"), "add"))
                if serves and ("command" in container or "args" in container):
                    arguments += strings(container, "command") + strings(container, "args")
            except FieldError as error:
                raise error.under(f"{key}[{index}]") from None
    found = frozenset(capabilities) if capabilities else frozenset()
    return boolean(spec, "hostNetwork"), tuple(ports), privileged, found, tuple(images), tuple(arguments)


def _port(raw: Raw) -> ContainerPort:
    values = raw.get("name"), raw.get("protocol"), raw.get("containerPort"), raw.get("hostPort"), raw.get("hostIP")
    try:
        return _known_port(*values)
    except TypeError:  # lists and objects, which no cache takes
        return _container_port(*values)


def _container_port(name: Any, protocol: Any, number: Any, host_port: Any, host_ip: Any) -> ContainerPort:
    """One entry of a container's ports, checked; most pods have the same few."""
    raw = {"name": name, "protocol": protocol, "containerPort": number, "hostPort": host_port, "hostIP": host_ip}
    found = integer(raw, "containerPort", 1, MAX_PORT)
    if found is None:
        raise FieldError("containerPort", "is missing")
    label, mapped = text(raw, "name"), integer(raw, "hostPort", 0, MAX_PORT) or 0
    bound = text(raw, "hostIP")
    protocol_named = _PROTOCOLS[choice(raw, "protocol", _PROTOCOLS, "TCP")]
    return ContainerPort(label, protocol_named, found, mapped, "" if bound in _EVERY_ADDRESS else bound)


# Most containers have the same few ports. Typed: 80.0 and true are no ports, though they equal some.
_known_port = lru_cache(maxsize=1 << 14, typed=True)(_container_port)


def workload(obj: CollectedObject, created: str) -> tuple[Workload, Pod]:
    """The workload of one object, and the pod that its template stands for."""
    key = obj.key
    outer = "spec.jobTemplate.spec" if key.kind == "CronJob" else "spec"
    spec = mapping(obj.body, "spec")
    try:
        replicas = integer(spec, "replicas")
    except FieldError as error:
        raise error.under("spec") from None
    if key.kind == "CronJob":
        spec = mapping(inside(obj.body, "spec", lambda raw: mapping(raw, "jobTemplate")), "spec")
    try:
        pod_labels, parsed, account = _template(spec, key.kind)
    except FieldError as error:
        raise error.under(outer) from None
    status = mapping(obj.body, "status")
    try:
        desired, ready = _counts(status, key.kind)
    except FieldError as error:
        raise error.under("status") from None
    host_network, ports, privileged, capabilities, images, arguments = parsed
    if replicas is None and key.kind in ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"):
        replicas = 1
    pod = Pod(
        namespace=key.namespace,
        name=key.name,
        labels=pod_labels,
        workload=key,
        host_network=host_network,
        ports=ports,
        ready=False,
        template=True,
        privileged=privileged,
        capabilities=capabilities,
        images=images,
        created=created,
        service_account=account,
        origin=obj,
    )
    set_here = _environment(spec) if key.kind == "DaemonSet" else {}
    return Workload(key, replicas, pod_labels, images, arguments, desired, ready, set_here, obj), pod


def _environment(spec: Raw) -> Labels:
    """What the template's containers say of plugin settings."""
    return environment(mapping(mapping(spec, "template"), "spec"))


def _template(spec: Raw, kind: str) -> tuple[Labels, PodSpec, str]:
    """Labels, specification and service account."""
    if spec.get("template") is None and kind != "ReplicationController":  # the one kind whose API lets it be absent
        raise FieldError("template", "is missing")
    template = mapping(spec, "template")
    try:
        pod_labels = inside(template, "metadata", lambda metadata: labels(metadata, "labels"))
        account = inside(template, "spec", lambda spec: text(spec, "serviceAccountName"))
        return pod_labels, inside(template, "spec", pod_spec), account or "default"
    except FieldError as error:
        raise error.under("template") from None


def _counts(status: Raw, kind: str) -> tuple[int | None, int | None]:
    if kind == "DaemonSet":
        return integer(status, "desiredNumberScheduled"), integer(status, "numberReady")
    return None, integer(status, "readyReplicas")


def finished_job(obj: CollectedObject) -> bool:
    """A Job that is Complete or Failed makes no more pods."""
    try:
        status = mapping(obj.body, "status")
        return any(condition(status, name) is True for name in ("Complete", "Failed"))
    except FieldError as error:
        raise error.under("status") from None
