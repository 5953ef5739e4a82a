"""Cilium Hubble: `hubble observe -o json` (or jsonpb), and the files of Hubble's exporter; one JSON object a line.

Shapes from Cilium's api/v1/flow/flow.proto, observer.proto and pkg/hubble/parser/threefour. `{"flow": …}` or, in the older form, the flow
itself. Forwarded flows of a policy verdict are first packets (is_reply false); of a drop it is not known whether it was a reply, so that a TCP
packet counts when it opens a connection (SYN without ACK). A forwarded packet is seen at several points: what left the source
(traffic_direction EGRESS) may still be dropped where it arrives.
"""

from collections.abc import Mapping
from typing import Any

from evidence.collect.flowlogs.fields import address, json_line, moment, number_of, port_number, text
from evidence.observe.model import Began, Outcome, Side
from evidence.observe.sighting import LeftOut, Line, Lost, SeenEnd, Sighting

NAME = "hubble"
TITLE = "Cilium Hubble"
NOTES = (
    "One connection may be in Hubble's log several times (the policy's verdict, leaving, arriving): numbers are of events.",
    "Hubble shows what its ring buffer or export filter let through; a filter is not said in the log.",
    "Traffic of a pod with its own node, and host-network pods, is seen as of the host, not of a pod.",
)
_PROTOCOLS = ("TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6")
_OUTCOMES = {
    "FORWARDED": Outcome.ALLOWED,
    "REDIRECTED": Outcome.ALLOWED,  # to the proxy that applies rules of layer 7
    "AUDIT": Outcome.AUDITED,
    "DROPPED": Outcome.LOST,
}
_BY_POLICY = frozenset({"POLICY_DENIED", "POLICY_DENY", "AUTH_REQUIRED"})
_OF_A_NODE = frozenset({"reserved:host", "reserved:remote-node", "reserved:health", "reserved:ingress"})
_AT_THE_BEGINNING = frozenset({"NEW", "TRACE_REASON_UNKNOWN"})
_SIDES = {"EGRESS": Side.SOURCE, "INGRESS": Side.DESTINATION}


def read(line: bytes) -> Line:
    """Raises ValueError for a line that is no event of Hubble's."""
    event = json_line(line)
    if (lost := event.get("lost_events")) is not None:
        return Lost(f"events ({lost.get('source', 'source not said')})", number_of(lost.get("num_events_lost", 1)))
    if (status := event.get("node_status")) is not None:
        names = ", ".join(status.get("node_names", [])) or "not named"
        return Lost(f"nodes that were {str(status.get('state_change', 'in doubt')).lower()} ({names})")
    if "agent_event" in event or "debug_event" in event:
        return LeftOut("events of the agent")
    flow = event.get("flow", event)
    if not isinstance(flow, dict) or "verdict" not in flow:
        raise ValueError("is no event of Hubble's: it has neither a flow with a verdict nor lost_events")
    return _flow(flow, event)


def _flow(flow: Mapping[str, Any], event: Mapping[str, Any]) -> Line:
    if flow.get("Type", flow.get("type")) in ("L7", "SOCK") or "l7" in flow:
        return LeftOut("requests of layer 7, and sockets")
    verdict = flow["verdict"]
    outcome = _OUTCOMES.get(verdict)
    if outcome is None:
        return LeftOut(f"events with the verdict {verdict}")
    if outcome is Outcome.LOST and flow.get("drop_reason_desc") in _BY_POLICY:
        outcome = Outcome.DENIED
    layer4 = flow.get("l4") or {}
    protocol = next((name for name in _PROTOCOLS if name in layer4), "")
    addresses = flow.get("IP") or flow.get("ip") or {}
    if not protocol or not addresses:
        return LeftOut("packets without a protocol above IP")
    ports = layer4[protocol]
    reply = flow.get("is_reply")
    if isinstance(reply, dict):  # as some writers spell a google.protobuf.BoolValue
        reply = reply.get("value", False)
    if reply is True:
        return LeftOut("replies")
    flags = ports.get("flags") or {}
    opens = bool(flags.get("SYN")) and not flags.get("ACK")
    if reply is None and protocol == "TCP":
        if not opens:
            return LeftOut("packets of connections that had begun")
        reply = False
    begins = flow.get("trace_reason", "NEW") in _AT_THE_BEGINNING and (opens or not flags)
    return Sighting(
        time=moment(flow.get("time") or event.get("time")),
        source=_end(flow.get("source") or {}, addresses.get("source", "")),
        destination=_end(flow.get("destination") or {}, addresses.get("destination", "")),
        protocol="ICMP" if protocol.startswith("ICMP") else protocol,
        port=port_number(ports.get("destination_port")),
        outcome=outcome,
        side=_SIDES.get(flow.get("traffic_direction", ""), Side.UNKNOWN),
        began=Began.UNKNOWN if reply is None else Began.HERE if begins else Began.EARLIER,
        policies=_policies(flow) if "_by" in "".join(flow) else (),
    )


def _end(end: Mapping[str, Any], where: object) -> SeenEnd:
    if pod := text(end.get("pod_name")):
        workloads = end.get("workloads")
        workload = f"{workloads[0].get('kind', '')}/{workloads[0].get('name', '')}" if workloads else ""
        return SeenEnd("", text(end.get("namespace")), pod, workload)
    reserved = [label for label in end.get("labels", ()) if label.startswith("reserved:")]
    if _OF_A_NODE.intersection(reserved):
        return SeenEnd(name=f"{reserved[0]} {text(where)}")
    return SeenEnd(address(where)) if where else SeenEnd(name=reserved[0] if reserved else "")


def _policies(flow: Mapping[str, Any]) -> tuple[str, ...]:
    """Policies that Cilium says decided; the field's name tells the side and the action."""
    found = []
    for field in ("egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by"):
        for policy in flow.get(field) or ():
            where = f"{policy['namespace']}/" if policy.get("namespace") else ""
            found.append(f"{policy.get('kind') or 'policy'} {where}{policy.get('name', '')}")
    return tuple(dict.fromkeys(found))
