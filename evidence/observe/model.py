"""A connection that something saw: a flow log, or a probe.

An end is named as well as the source allows and never better: a pod only where the source names it or its address can have been nobody
else's at the time (`evidence/observe/places.py`), an address otherwise. Times are aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from evidence.cluster.objects import ObjectKey


class Outcome(StrEnum):
    """What the enforcement point did with it. Only ALLOWED and AUDITED passed; LOST was dropped for another reason than policy."""

    ALLOWED = "allowed"
    AUDITED = "passed, would be denied"  # a policy in audit mode, a staged policy
    DENIED = "denied"
    LOST = "lost"


class Side(StrEnum):
    """Whose policies were applied where it was seen. What was allowed at the source may still have been denied at the destination."""

    SOURCE = "source"
    DESTINATION = "destination"
    UNKNOWN = "unknown"


class Began(StrEnum):
    """Whether the source began the connection, and when. UNKNOWN: it may as well have answered."""

    HERE = "here"
    EARLIER = "earlier"  # a packet or a count of a connection that was there before
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One end of a flow: exactly one of `workload` (with its namespace), `pod`, `address` and `name` is set, or none: not known.

    `workload` is "Deployment/web", `pod` the name of a pod of which the workload is not known, or what its name begins with, then "*";
    `name` is what a source calls something that is no pod and has no single address ("reserved:world", "host node-1").
    """

    namespace: str = ""
    workload: str = ""
    pod: str = ""
    address: str = ""
    name: str = ""

    def __str__(self) -> str:
        if self.workload:
            kind, _, name = self.workload.partition("/")
            return f"{kind} {self.namespace}/{name}"
        if self.pod:
            return f"Pod {self.namespace}/{self.pod}"
        return self.address or self.name or "unknown"

    @classmethod
    def of_workload(cls, key: ObjectKey) -> "End":
        return cls(namespace=key.namespace, workload=f"{key.kind}/{key.name}")


@dataclass(frozen=True, slots=True)
class ObservedFlow:
    """Connections between the same ends that ended the same way, from `first` to `last`, `count` of them.

    `protocol` is in capitals ("TCP", "ICMP"); `port` is the destination's, 0 where the protocol has none or the source leaves it out.
    `policies` are those that the log itself names, as it names them. `source_kind` is the log's format.
    """

    source: End
    destination: End
    protocol: str
    port: int
    outcome: Outcome
    side: Side
    began: Began
    first: datetime
    last: datetime
    count: int
    source_kind: str
    policies: tuple[str, ...] = ()

    @property
    def port_text(self) -> str:
        """ "TCP 5432", "ICMP"."""
        return f"{self.protocol} {self.port}" if self.port else self.protocol


def flow_json(flow: ObservedFlow) -> dict[str, Any]:
    """A flow for a record's document; empty parts are left out."""
    value: dict[str, Any] = {
        "source": end_json(flow.source),
        "destination": end_json(flow.destination),
        "protocol": flow.protocol,
        "port": flow.port,
        "outcome": flow.outcome.value,
        "side": flow.side.value,
        "began": flow.began.value,
        "first": flow.first.isoformat(),
        "last": flow.last.isoformat(),
        "count": flow.count,
    }
    return value | ({"policies": list(flow.policies)} if flow.policies else {})


def end_json(end: End) -> dict[str, str]:
    fields = {
        "namespace": end.namespace,
        "workload": end.workload,
        "pod": end.pod,
        "address": end.address,
        "name": end.name,
    }
    return {name: text for name, text in fields.items() if text}


def flow_of(value: Mapping[str, Any], source_kind: str) -> ObservedFlow:
    """What `flow_json` wrote."""
    return ObservedFlow(
        source=End(**value["source"]),
        destination=End(**value["destination"]),
        protocol=value["protocol"],
        port=value["port"],
        outcome=Outcome(value["outcome"]),
        side=Side(value["side"]),
        began=Began(value["began"]),
        first=datetime.fromisoformat(value["first"]),
        last=datetime.fromisoformat(value["last"]),
        count=value["count"],
        source_kind=source_kind,
        policies=tuple(value.get("policies", ())),
    )
