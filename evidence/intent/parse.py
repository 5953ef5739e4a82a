"""From the bytes of `segmentation.yaml` to an `Intent`, or errors that name file:line and field (see docs/intent.md).

After the schema these are checked: zone names, flow, waiver and review ids are unique; flows name zones that exist; networks are
networks, with no host bits; a port range does not run backwards; dates exist; a selector's operator fits its values. A date in the
past is no error: whether a waiver has run out depends on the day one asks, and is a finding (PRT-004).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from ipaddress import ip_network
from typing import Any

from evidence.cluster.model import IPNetwork, Protocol
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.documents import Document, Path, did_you_mean, raise_all, read_document, schema_errors, shown
from evidence.errors import InputError
from evidence.intent.model import (
    ApprovedFlow,
    Classification,
    FlowPort,
    Intent,
    Review,
    System,
    Waiver,
    Zone,
    ZoneMember,
)
from evidence.resources import package_file


@cache
def intent_schema() -> Mapping[str, Any]:
    """The JSON Schema of the intent file."""
    schema: Mapping[str, Any] = json.loads(package_file("intent", "segmentation.schema.json").read_bytes())
    return schema


def parse_intent(data: bytes, source: str) -> Intent:
    """Raises InputError, or ManyInputsError with everything that is wrong."""
    document = read_document(data, source)
    raise_all(schema_errors(document, intent_schema()))
    reader = _Reader(document)
    intent = reader.intent(hashlib.sha256(data).hexdigest())
    raise_all(reader.errors)
    return intent


class _Reader:
    """Builds the values and gathers what the schema cannot see. What is wrong is left out of the value, which is then not used."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.errors: list[InputError] = []

    def intent(self, digest: str) -> Intent:
        content = self.document.value
        zones = tuple(self.zone(entry, ("zones", i)) for i, entry in enumerate(content["zones"]))
        self.unique("zones", (zone.name for zone in zones), "name")
        flows = tuple(self.flow(entry, ("flows", i)) for i, entry in enumerate(content.get("flows", ())))
        self.known_zones(flows, [zone.name for zone in zones])
        waivers = tuple(self.waiver(entry, ("waivers", i)) for i, entry in enumerate(content.get("waivers", ())))
        reviews = tuple(self.review(entry, ("reviews", i)) for i, entry in enumerate(content.get("reviews", ())))
        for kind, ids in (("flows", flows), ("waivers", waivers), ("reviews", reviews)):
            self.unique(kind, (entry.id for entry in ids), "id")
        return Intent(
            system=System(**content.get("system", {})),
            zones=zones,
            flows=flows,
            waivers=waivers,
            reviews=reviews,
            digest=digest,
            source=self.document.source,
        )

    # -- zones

    def zone(self, entry: Mapping[str, Any], path: Path) -> Zone:
        if not entry.get("members") and not entry.get("cidrs"):
            self.wrong(path, f"zone {entry['name']} has neither members nor cidrs; say which pods or addresses it is")
        return Zone(
            name=entry["name"],
            classification=Classification(entry["classification"]),
            description=entry.get("description", ""),
            members=tuple(
                self.member(member, (*path, "members", i)) for i, member in enumerate(entry.get("members", ()))
            ),
            cidrs=tuple(self.networks(entry.get("cidrs", ()), (*path, "cidrs"))),
        )

    def member(self, entry: Mapping[str, Any], path: Path) -> ZoneMember:
        if "namespaces" in entry and "namespaceSelector" in entry:
            self.wrong(path, "has both namespaces and namespaceSelector; write two members, or keep one of the two")
        return ZoneMember(
            namespaces=tuple(entry.get("namespaces", ())),
            namespace_selector=self.selector(entry, (*path, "namespaceSelector")),
            pod_selector=self.selector(entry, (*path, "podSelector")),
        )

    def selector(self, entry: Mapping[str, Any], path: Path) -> LabelSelector | None:
        given = entry.get(str(path[-1]))
        if given is None:
            return None
        found = [Requirement(key, Operator.IN, (value,)) for key, value in given.get("matchLabels", {}).items()]
        for i, expression in enumerate(given.get("matchExpressions", ())):
            operator, values = Operator(expression["operator"]), tuple(sorted(set(expression.get("values", ()))))
            needs_values = operator in (Operator.IN, Operator.NOT_IN)
            if needs_values != bool(values):
                said = "needs values" if needs_values else "takes no values"
                self.wrong((*path, "matchExpressions", i), f"operator {operator} {said}")
            found.append(Requirement(expression["key"], operator, values))
        return LabelSelector(tuple(sorted(found)))

    def networks(self, texts: Iterable[str], path: Path) -> Iterable[IPNetwork]:
        for i, text in enumerate(texts):
            try:
                yield ip_network(text)
            except ValueError:
                self.wrong((*path, i), f"{shown(text)} is not a network{_network_hint(text)}")

    # -- flows, waivers, reviews

    def flow(self, entry: Mapping[str, Any], path: Path) -> ApprovedFlow:
        ports = () if entry["ports"] == "all" else tuple(
            self.port(port, (*path, "ports", i)) for i, port in enumerate(entry["ports"])
        )  # fmt: skip
        return ApprovedFlow(
            id=entry["id"],
            source=entry["from"],
            destination=entry["to"],
            ports=ports,
            justification=entry["justification"],
            owner=entry["owner"],
            review_by=self.day(entry, (*path, "review_by")) if "review_by" in entry else None,
        )

    def port(self, entry: Mapping[str, Any], path: Path) -> FlowPort:
        first, last = entry["port"], entry.get("endPort", entry["port"])
        if last < first:
            self.wrong((*path, "endPort"), f"{last} is less than port {first}; write the smaller number first")
        return FlowPort(Protocol(entry.get("protocol", "TCP")), first, last)

    def waiver(self, entry: Mapping[str, Any], path: Path) -> Waiver:
        return Waiver(
            id=entry["id"],
            rule_id=entry["rule"],
            subject=entry["subject"],
            approver=entry["approver"],
            reason=entry["reason"],
            compensating_control=entry["compensating_control"],
            expires=self.day(entry, (*path, "expires")),
        )

    def review(self, entry: Mapping[str, Any], path: Path) -> Review:
        return Review(
            id=entry["id"],
            kind=entry["kind"],
            performed_on=self.day(entry, (*path, "performed_on")),
            performed_by=entry["performed_by"],
            covers=entry.get("covers", ""),
            reference=entry.get("reference", ""),
        )

    # -- checks

    def wrong(self, path: Path, message: str) -> None:
        self.errors.append(self.document.error(path, message))

    def day(self, entry: Mapping[str, Any], path: Path) -> date:
        text = entry[str(path[-1])]
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.wrong(path, f"{text} is no day of the calendar; write a date such as 2026-12-31")
            return date.max

    def unique(self, kind: str, names: Iterable[str], field: str) -> None:
        first: dict[str, int] = {}
        for i, name in enumerate(names):
            if first.setdefault(name, i) != i:
                line = self.document.lines[(kind, first[name], field)]
                self.wrong((kind, i, field), f"{name!r} is used twice, first on line {line}; give each its own")

    def known_zones(self, flows: Iterable[ApprovedFlow], names: list[str]) -> None:
        for i, flow in enumerate(flows):
            for field, name in (("from", flow.source), ("to", flow.destination)):
                if name not in names:
                    listed = f"; the zones are {', '.join(names)}" if names else "; no zone is declared"
                    self.wrong(("flows", i, field), f"there is no zone {name!r}{did_you_mean(name, names) or listed}")


def _network_hint(text: str) -> str:
    try:
        return f"; did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        return "; write one such as 203.0.113.0/28 or 2001:db8::/32"
