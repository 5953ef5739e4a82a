"""Antrea: the audit log of policies (np.log of each node), and the flow aggregator's log (comma-separated records).

Audit log: docs/antrea-network-policy.md of antrea-io/antrea, from version 1.13 on with rule, direction and applied-to, before without. Flow
aggregator: pkg/flowaggregator/flowlogger/logger.go, 31 fields; actions and types as numbers or words. The audit log has the node's local
time without a zone: it is taken as UTC. A line may stand for several packets ("[3 packets in 1.0s]").
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from evidence.collect.flowlogs.fields import address, from_epoch, number_of, port_number
from evidence.observe.model import Began, Outcome, Side
from evidence.observe.sighting import LeftOut, Line, SeenEnd, Sighting

NAME = "antrea"
TITLE = "Antrea audit log or flow aggregator"
NOTES = (
    "The audit log has rules with logging switched on only, and the first packet of a connection; its times have no zone and are taken as UTC.",
)
_AUDIT = re.compile(
    r"^(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (?P<table>\S+) (?P<policy>\S+) (?:(?P<rule>\S+) (?P<direction>Ingress|Egress) )?"
    r"(?P<action>Allow|Drop|Reject|Redirect) (?P<rest>.*?)(?: \[(?P<packets>\d+) packets? in [^\]]*\])?$"
)
_OUTCOMES = {"Allow": Outcome.ALLOWED, "Redirect": Outcome.ALLOWED, "Drop": Outcome.DENIED, "Reject": Outcome.DENIED}
_OUTCOMES |= {"1": Outcome.ALLOWED, "2": Outcome.DENIED, "3": Outcome.DENIED}
_PROTOCOLS = {"6": "TCP", "17": "UDP", "132": "SCTP", "1": "ICMP", "58": "ICMP", "ICMPV6": "ICMP", "IPV6-ICMP": "ICMP"}
_FIELDS = 31
_KINDS = {"1": "K8sNetworkPolicy", "2": "AntreaNetworkPolicy", "3": "AntreaClusterNetworkPolicy"}


def read(line: bytes) -> Line:
    """Raises ValueError for a line of neither form."""
    text = line.decode("utf-8", "replace").rstrip()
    if found := _AUDIT.match(text):
        return _audit(found)
    fields = text.split(",")
    if len(fields) == _FIELDS and fields[0].isdecimal():
        return _record(fields)
    raise ValueError("is neither a line of Antrea's audit log nor a record of its flow aggregator")


def _audit(found: "re.Match[str]") -> Line:
    fields = found["rest"].split(" ")
    if found["direction"]:
        fields = fields[1:]  # applied-to
    _, source, _, destination, port, protocol = (fields if found["direction"] else ["", *fields[1:]])[:6]
    return Sighting(
        time=datetime.strptime(found["time"].partition(".")[0], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC),
        source=SeenEnd(address(source)),
        destination=SeenEnd(address(destination)),
        protocol=_PROTOCOLS.get(protocol.upper(), protocol.upper()),
        port=port_number(port),
        outcome=_OUTCOMES[found["action"]],
        side=_side(found["direction"] or found["table"]),
        began=Began.HERE,  # the first packet of a connection, says the documentation
        policies=(found["policy"] if found["rule"] in (None, "<nil>") else f"{found['policy']} {found['rule']}",),
        times=number_of(found["packets"] or 1),
    )


def _side(text: str) -> Side:
    if "Ingress" in text:
        return Side.DESTINATION
    return Side.SOURCE if "Egress" in text else Side.UNKNOWN


def _record(fields: Sequence[str]) -> Line:
    """Drops and rejections are of the side that names the action; without any action nothing denied it."""
    ingress, egress = fields[19], fields[24]
    actions = {side: _OUTCOMES.get(action) for side, action in ((Side.DESTINATION, ingress), (Side.SOURCE, egress))}
    denied = [side for side, outcome in actions.items() if outcome is Outcome.DENIED]
    if fields[6] in ("", "0"):
        return LeftOut("records without a protocol")
    return Sighting(
        time=from_epoch(fields[0]),
        source=_end(fields[2], fields[7], fields[8]),
        destination=_end(fields[3], fields[10], fields[11]),
        protocol=_PROTOCOLS.get(fields[6].upper(), fields[6].upper()),
        port=port_number(fields[5]),
        outcome=Outcome.DENIED if denied else Outcome.ALLOWED,
        side=denied[0] if denied else Side.DESTINATION,
        began=Began.HERE,  # connection tracking knows the original direction
        policies=tuple(
            f"{_KINDS.get(kind, kind)}:{f'{namespace}/' if namespace else ''}{name}"
            for name, namespace, kind in ((fields[16], fields[17], fields[20]), (fields[21], fields[22], fields[25]))
            if name
        ),
        until=from_epoch(fields[1]),
    )


def _end(where: str, pod: str, namespace: str) -> SeenEnd:
    return SeenEnd("", namespace, pod) if pod else SeenEnd(address(where))
