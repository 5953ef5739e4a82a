"""From the bytes of a file of assertions to values, or errors that name file:line and field (see docs/flows.md).

After the schema these are checked: ids are unique over the whole file; selectors are selectors; a port range does not run backwards; what must
be denied by any chain of connections names no ports, since a chain has none of its own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from evidence.cluster.fields import FieldError
from evidence.cluster.model import IPNetwork, Protocol
from evidence.cluster.parse_policies import label_selector
from evidence.cluster.selectors import LabelSelector
from evidence.documents import Document, Path, raise_all, read_document, schema_errors
from evidence.errors import InputError
from evidence.reach.groups import network_named
from evidence.reach.ports import PortSet
from evidence.resources import package_file


class Must(Enum):
    """What an assertion asks for."""

    ALLOW = "must-allow"
    DENY = "must-deny"


@dataclass(frozen=True, slots=True)
class Selected:
    """Pods by label. Empty `namespaces` and no `namespace_selector`: every namespace; no `pod_selector`: all pods there."""

    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector | None = None

    def __str__(self) -> str:
        where = ", ".join(self.namespaces) if self.namespaces else ""
        if self.namespace_selector is not None:
            where = f"namespaces {self.namespace_selector}"
        pods = "all pods" if self.pod_selector is None else f"pods {self.pod_selector}"
        return f"{pods} in {where or 'every namespace'}"


End = tuple[str | Selected, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """One assertion. `source` and `destination` are unions; `line` is where it stands in its file; `indirectly`: no chain of connections either."""

    id: str
    must: Must
    source: End
    destination: End
    ports: PortSet
    line: int
    indirectly: bool = False
    why: str = ""

    @property
    def text(self) -> str:
        """ "shop/web → shop/db TCP 5432"."""
        chain = " by any chain of connections" if self.indirectly else f" {self.ports}"
        return f"{', '.join(map(str, self.source))} → {', '.join(map(str, self.destination))}{chain}"


@dataclass(frozen=True, slots=True)
class FlowFile:
    """A file of assertions, in its order."""

    source: str
    assertions: tuple[Assertion, ...]

    @property
    def networks(self) -> tuple[IPNetwork, ...]:
        """The networks that are named, so that the outside is cut at their bounds."""
        named = (
            network_named(end)
            for assertion in self.assertions
            for end in (*assertion.source, *assertion.destination)
            if isinstance(end, str)
        )
        return tuple(dict.fromkeys(network for network in named if network is not None))


@cache
def flows_schema() -> Mapping[str, Any]:
    """The JSON Schema of the file."""
    schema: Mapping[str, Any] = json.loads(package_file("reach", "flows.schema.json").read_bytes())
    return schema


def parse_flows(data: bytes, source: str) -> FlowFile:
    """Raises InputError, or ManyInputsError with everything that is wrong."""
    document = read_document(data, source)
    raise_all(schema_errors(document, flows_schema()))
    reader = _Reader(document)
    found = [
        reader.assertion(must, entry, (field, number))
        for field, must in (("must_allow", Must.ALLOW), ("must_deny", Must.DENY))
        for number, entry in enumerate(document.value.get(field, ()))
    ]
    reader.unique(found)
    raise_all(reader.errors)
    return FlowFile(source, tuple(sorted(found, key=lambda assertion: assertion.line)))


class _Reader:
    """Builds the values and gathers what the schema cannot see."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.errors: list[InputError] = []

    def assertion(self, must: Must, entry: Mapping[str, Any], path: Path) -> Assertion:
        indirectly = bool(entry.get("indirectly"))
        if indirectly and entry.get("ports", "all") != "all":
            self._wrong(
                (*path, "ports"), "a chain of connections has no ports of its own; leave ports or indirectly out"
            )
        return Assertion(
            id=entry["id"],
            must=must,
            source=self._end(entry["from"], (*path, "from")),
            destination=self._end(entry["to"], (*path, "to")),
            ports=self._ports(entry.get("ports", "all"), (*path, "ports")),
            line=self.document.lines[path],
            indirectly=indirectly,
            why=entry.get("why", ""),
        )

    def unique(self, found: Iterable[Assertion]) -> None:
        first: dict[str, int] = {}
        for assertion in found:
            before = first.setdefault(assertion.id, assertion.line)
            if before != assertion.line:
                where = f"{self.document.source}:{assertion.line}"
                self.errors.append(
                    InputError(f"{where}: id {assertion.id!r} is used twice, first on line {before}; give each its own")
                )

    def _end(self, given: str | Mapping[str, Any] | Sequence[Any], path: Path) -> End:
        if isinstance(given, list):
            return tuple(self._one(each, (*path, number)) for number, each in enumerate(given))
        return (self._one(given, path),)

    def _one(self, given: Any, path: Path) -> str | Selected:
        if isinstance(given, str):
            return given
        if "namespaces" in given and "namespaceSelector" in given:
            self._wrong(path, "has both namespaces and namespaceSelector; write two ends, or keep one of the two")
        return Selected(
            tuple(given.get("namespaces", ())),
            self._selector(given, (*path, "namespaceSelector")),
            self._selector(given, (*path, "podSelector")),
        )

    def _selector(self, given: Mapping[str, Any], path: Path) -> LabelSelector | None:
        raw = given.get(str(path[-1]))
        if raw is None:
            return None
        try:
            return label_selector(raw)
        except FieldError as error:
            self._wrong(path, str(error))
            return None

    def _ports(self, given: str | Sequence[Mapping[str, Any]], path: Path) -> PortSet:
        if isinstance(given, str):
            return PortSet.all()
        found = PortSet.none()
        for number, port in enumerate(given):
            first, last = port["port"], port.get("endPort", port["port"])
            if last < first:
                self._wrong(
                    (*path, number, "endPort"), f"{last} is less than port {first}; write the smaller number first"
                )
            found = found | PortSet.of(Protocol(port.get("protocol", "TCP")), first, last)
        return found

    def _wrong(self, path: Path, message: str) -> None:
        self.errors.append(self.document.error(path, message))
