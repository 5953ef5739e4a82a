"""Calico's policies, tiers and network sets from their raw objects, in either API group.

1. `types` absent: Ingress, unless there are egress rules and no ingress rules; Egress when there are egress rules
   (GlobalNetworkPolicySpec.Types). Felix, given an object that nobody defaulted, isolates both directions; the documented default isolates
   less, and rules are the same in either reading.
2. In crd.projectcalico.org the labels of an object stand in its annotation `projectcalico.org/metadata`, beside its own
   (libcalico-go/lib/backend/k8s/resources).
3. What the API refuses is an error; a field or word that this program does not know is kept as `Unknown`. Rules: parse_calico_rules.py.
"""

import json
import math
from functools import partial

from evidence.cluster.calico import (
    DEFAULT_TIER,
    Action,
    CalicoPolicy,
    CalicoTier,
    NetworkSet,
    StagedPolicy,
)
from evidence.cluster.fields import (
    FieldError,
    Raw,
    boolean,
    each,
    labels,
    mapping,
    shown,
    strings,
    text,
)
from evidence.cluster.model import Direction, Labels, Protocol
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse_calico_rules import (
    PROTOCOLS,
    calico_rule,
    given_fields,
    nets_of,
    port_number,
    protocol_number,
    selector_of,
)
from evidence.cluster.policies import Unknown

METADATA_ANNOTATION = "projectcalico.org/metadata"

_POLICY_FIELDS = {
    "tier", "order", "ingress", "egress", "selector", "types", "serviceAccountSelector", "namespaceSelector",
    "doNotTrack", "preDNAT", "applyOnForward", "performanceHints",
}  # fmt: skip


def calico_policy(obj: CollectedObject) -> CalicoPolicy:
    """The NetworkPolicy or GlobalNetworkPolicy of one object."""
    spec = mapping(obj.body, "spec")
    try:
        return _policy(obj, spec)
    except FieldError as error:
        raise error.under("spec") from None


def _policy(obj: CollectedObject, spec: Raw) -> CalicoPolicy:
    ingress = each(spec, "ingress", partial(calico_rule, obj.key.namespace))
    egress = each(spec, "egress", partial(calico_rule, obj.key.namespace))
    only_global = {"namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"} if obj.key.namespace else set()
    return CalicoPolicy(
        key=obj.key,
        api_version=text(obj.body, "apiVersion"),
        tier=text(spec, "tier") or DEFAULT_TIER,
        order=_order(spec),
        selector=selector_of(spec, "selector"),
        namespace_selector=None if obj.key.namespace else selector_of(spec, "namespaceSelector"),
        account_selector=selector_of(spec, "serviceAccountSelector"),
        types=_types(spec, bool(ingress), bool(egress)),
        ingress=ingress,
        egress=egress,
        hosts_only=not obj.key.namespace and (boolean(spec, "doNotTrack") or boolean(spec, "preDNAT")),
        extra=tuple(Unknown(f"spec.{name}") for name in sorted(given_fields(spec) - (_POLICY_FIELDS - only_global))),
        origin=obj,
    )


def _order(spec: Raw) -> float | None:
    value = spec.get("order")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FieldError("order", f"must be a number, not {shown(value)}")
    return float(value)


def _types(spec: Raw, has_ingress: bool, has_egress: bool) -> frozenset[Direction]:
    given = strings(spec, "types")
    for index, value in enumerate(given):
        if value not in set(Direction):
            raise FieldError(f"types[{index}]", f"must be Ingress or Egress, not {shown(value)}")
    if given:
        return frozenset(Direction(value) for value in given)
    found = {Direction.EGRESS} if has_egress else {Direction.INGRESS}
    return frozenset(found | {Direction.INGRESS} if has_ingress else found)


def staged_policy(obj: CollectedObject) -> StagedPolicy:
    """The staged policy of one object. Its rules are not read: they decide nothing."""
    spec = mapping(obj.body, "spec")
    try:
        return StagedPolicy(obj.key, text(spec, "stagedAction") or "Set", text(spec, "tier") or DEFAULT_TIER, obj)
    except FieldError as error:
        raise error.under("spec") from None


def calico_tier(obj: CollectedObject) -> CalicoTier:
    """The tier of one object. Any default action but Pass is read as Deny, as Calico does."""
    spec = mapping(obj.body, "spec")
    try:
        return CalicoTier(obj.key.name, _order(spec), text(spec, "defaultAction") == Action.PASS.value)
    except FieldError as error:
        raise error.under("spec") from None


def network_set(obj: CollectedObject, metadata: Raw, annotations: Labels) -> NetworkSet:
    """The NetworkSet, GlobalNetworkSet or HostEndpoint of one object."""
    spec = mapping(obj.body, "spec")
    field = "expectedIPs" if obj.key.kind == "HostEndpoint" else "nets"
    try:
        nets, domains = nets_of(spec, field), strings(spec, "allowedEgressDomains")
        ports = tuple(filter(None, each(spec, "ports", _host_port)))
    except FieldError as error:
        raise error.under("spec") from None
    try:
        found = {**labels(metadata, "labels"), **_stored_labels(annotations.get(METADATA_ANNOTATION, ""))}
    except FieldError as error:
        raise error.under("metadata") from None
    return NetworkSet(obj.key, found, nets, domains, ports)


def _host_port(raw: Raw) -> tuple[str, Protocol, int] | None:
    """A named port of a host endpoint; None for a protocol without ports."""
    value = raw.get("protocol")
    number = value if isinstance(value, int) and not isinstance(value, bool) else protocol_number("protocol", value)
    protocol = PROTOCOLS.get(number) if number is not None else None
    return (text(raw, "name"), protocol, port_number("port", raw.get("port", 0))) if protocol else None


def _stored_labels(annotation: str) -> Labels:
    if not annotation:
        return {}
    where = f"annotations.{METADATA_ANNOTATION}"
    try:
        stored = json.loads(annotation)
    except (ValueError, RecursionError):
        raise FieldError(where, "is no JSON") from None
    if not isinstance(stored, dict):
        raise FieldError(where, f"must hold an object, not {shown(stored)}")
    try:
        return labels(stored, "labels")
    except FieldError as error:
        raise error.under(where) from None
