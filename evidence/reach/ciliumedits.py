"""Edits of Cilium's policies: one entry put in, replaced or taken away, on a policy's values and as JSON Patch on its object.

A policy without an entry in a direction leaves its pods open there. Where the last entry goes, an empty one ("- {}"), which allows nothing,
takes its place.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evidence.cluster.cilium import (
    CidrGroupPeer,
    CiliumPeer,
    CiliumPolicy,
    CiliumPort,
    CiliumRule,
    CiliumSpec,
    Endpoints,
    Entity,
)
from evidence.cluster.model import Direction, IpBlock
from evidence.cluster.objects import ObjectKey
from evidence.cluster.selectors import LabelSelector, Requirement
from evidence.reach.manifests import NAMESPACE_NAME, selector_body


@dataclass(frozen=True, slots=True)
class CiliumEdit:
    """An entry of one rule object. At place `number` of its list: `rule` is put in before what stands there (`insert`), or replaces it; None
    takes it away. `spec` is the rule object's place among the policy's."""

    policy: CiliumPolicy
    direction: Direction
    number: int
    rule: CiliumRule | None
    insert: bool = False
    spec: int = 0
    denies: bool = False

    @property
    def place(self) -> tuple[int, Direction, bool, int]:
        """Its place in the policy."""
        return self.spec, self.direction, self.denies, self.number

    @property
    def section(self) -> str:
        """ "spec.ingress", "specs[1].egressDeny"."""
        return _section(self.policy.specs[self.spec], self.direction, self.denies)

    @property
    def where(self) -> str:
        return f"{self.section}[{self.number}]"


def _section(spec: CiliumSpec, direction: Direction, denies: bool) -> str:
    rules = (rule for part in (spec.allows, spec.denies) for listed in part.values() for rule in listed)
    place = next(rules).where.partition(".")[0]
    return f"{place}.{direction.value.lower()}{'Deny' if denies else ''}"


def kept_closed(edits: Iterable[CiliumEdit]) -> list[CiliumEdit]:
    """The edits, with an empty entry for each direction of a rule object of which no other entry would be left."""
    listed = list(edits)
    for edit in list(listed):
        alike = [each for each in listed if _one_direction(each, edit)]
        spec = edit.policy.specs[edit.spec]
        count = len(spec.allows[edit.direction]) + len(spec.denies[edit.direction])
        gone = sum(each.rule is None for each in alike)
        if gone == count and not any(each.insert for each in alike):
            empty = CiliumRule(None, None, "")
            listed.append(replace(edit, number=len(spec.allows[edit.direction]), rule=empty, insert=True, denies=False))
    return listed


def _one_direction(one: CiliumEdit, other: CiliumEdit) -> bool:
    return (one.policy.key, one.spec, one.direction) == (other.policy.key, other.spec, other.direction)


def by_policy(edits: Iterable[object]) -> Mapping[ObjectKey, Sequence[CiliumEdit]]:
    """Those of some edits that are of Cilium's policies."""
    found: dict[ObjectKey, list[CiliumEdit]] = defaultdict(list)
    for edit in edits:
        if isinstance(edit, CiliumEdit):
            found[edit.policy.key].append(edit)
    return found


def edited(policy: CiliumPolicy, edits: Iterable[CiliumEdit]) -> CiliumPolicy:
    """The policy after the edits."""
    specs = list(policy.specs)
    for edit in sorted(edits, key=lambda edit: (*edit.place[:3], -edit.number, edit.insert)):
        spec = specs[edit.spec]
        part = spec.denies if edit.denies else spec.allows
        rules: list[CiliumRule] = list(part[edit.direction])
        rules[edit.number : edit.number + (not edit.insert)] = [] if edit.rule is None else [edit.rule]
        section = _section(policy.specs[edit.spec], edit.direction, edit.denies)
        placed = tuple(replace(rule, where=f"{section}[{number}]") for number, rule in enumerate(rules))
        changed: Mapping[Direction, tuple[CiliumRule, ...]] = {**part, edit.direction: placed}
        specs[edit.spec] = replace(spec, denies=changed) if edit.denies else replace(spec, allows=changed)
    return replace(policy, specs=tuple(specs))


def patch(edits: Sequence[CiliumEdit]) -> list[dict[str, Any]]:
    """The edits of one policy as JSON Patch, in each list the highest place first."""
    by_list: dict[tuple[int, Direction, bool], list[CiliumEdit]] = defaultdict(list)
    for edit in edits:
        by_list[edit.place[:3]].append(edit)
    operations: list[dict[str, Any]] = []
    for (number, direction, denies), listed in sorted(by_list.items()):
        spec = edits[0].policy.specs[number]
        left = len((spec.denies if denies else spec.allows)[direction])
        path = "/" + listed[0].section.replace("[", "/").replace("]", "").replace(".", "/")
        for edit in sorted(listed, key=lambda edit: (-edit.number, edit.insert)):
            if edit.rule is None:
                operations.append({"op": "remove", "path": f"{path}/{edit.number}"})
                left -= 1
            elif edit.insert and not left:
                operations.append(
                    {"op": "add", "path": path, "value": [rule_body(edit)]}
                )  # there may be no list at all
                left += 1
            else:
                verb = "add" if edit.insert else "replace"
                operations.append({"op": verb, "path": f"{path}/{edit.number}", "value": rule_body(edit)})
                left += edit.insert
    return operations


# -- as the API writes it -----------------------------------------------------------------------------------------------


def rule_body(edit: CiliumEdit) -> dict[str, Any]:
    """The rule of an edit. Its peers are of the kinds that `evidence.reach.ciliumturning` names or keeps."""
    rule = edit.rule
    assert rule is not None  # noqa: S101  (asked for rules that are put in)
    side = "from" if edit.direction is Direction.INGRESS else "to"
    body: dict[str, Any] = {}
    for name, entry in (_peer(peer) for peer in rule.peers or ()):
        body.setdefault(f"{side}{name}", []).append(entry)
    ports = [_port(port) for port in rule.ports or () if isinstance(port, CiliumPort)]
    return {**body, **({"toPorts": [{"ports": ports}]} if ports else {})}


def _peer(peer: CiliumPeer) -> tuple[str, Any]:
    match peer:
        case Endpoints():
            needs = (
                *map(_of_namespace, peer.namespaces.requirements if peer.namespaces else ()),
                *peer.pods.requirements,
            )
            return "Endpoints", selector_body(LabelSelector(needs))
        case IpBlock():
            return "CIDRSet", {"cidr": str(peer.cidr), **_excepts(peer)}
        case CidrGroupPeer(selector=None):
            return "CIDRSet", {"cidrGroupRef": peer.name, **_excepts(peer)}
        case CidrGroupPeer(selector=LabelSelector() as selector):
            return "CIDRSet", {"cidrGroupSelector": selector_body(selector), **_excepts(peer)}
        case Entity():
            return "Entities", peer.value
    raise AssertionError(peer)  # no edit keeps another


def _of_namespace(need: Requirement) -> Requirement:
    named = need.key == NAMESPACE_NAME
    key = "io.kubernetes.pod.namespace" if named else f"io.cilium.k8s.namespace.labels.{need.key}"
    return replace(need, key=key)


def _excepts(peer: IpBlock | CidrGroupPeer) -> dict[str, Any]:
    return {"except": [str(network) for network in peer.excepts]} if peer.excepts else {}


def _port(port: CiliumPort) -> dict[str, Any]:
    protocol = port.protocol.value if port.protocol else "ANY"
    body: dict[str, Any] = {"port": "0" if port.port is None else str(port.port), "protocol": protocol}
    return {**body, **({"endPort": port.end_port} if port.end_port else {})}
