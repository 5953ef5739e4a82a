"""Calico: flow logs as JSON lines, of Goldmane (its emitter's or its API's JSON) and of the file exporter (flows.log).

Goldmane: goldmane/proto/api.proto of projectcalico/calico, written by Go's JSON (snake_case, enumerations as numbers) or by protobuf's
(camelCase, names). File: the flow log data types of Calico's documentation. A line covers a span of time, both ways of the connections from the
end that began them, and at most levels of aggregation all pods with one beginning of a name; "pub" and "pvt" are addresses that were left out.
The last policy that is no "pass" decided.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evidence.collect.flowlogs.fields import address, from_epoch, json_line, number_of, port_number, text
from evidence.observe.model import Began, Outcome, Side
from evidence.observe.sighting import LeftOut, Line, SeenEnd, Sighting

NAME = "calico"
TITLE = "Calico flow logs"
NOTES = (
    "Calico gathers connections of a span of time into one line, mostly without addresses and by the beginning of pods' names.",
)
_ACTIONS = {"allow": Outcome.ALLOWED, "1": Outcome.ALLOWED, "deny": Outcome.DENIED, "2": Outcome.DENIED}
_SIDES = {"src": Side.SOURCE, "1": Side.SOURCE, "dst": Side.DESTINATION, "2": Side.DESTINATION, "fwd": Side.UNKNOWN}
_PODS = frozenset({"wep", "workloadendpoint", "1"})
_HOSTS = frozenset({"hep", "hostendpoint", "2"})
_KINDS = {
    "1": "CalicoNetworkPolicy",
    "2": "GlobalNetworkPolicy",
    "3": "StagedNetworkPolicy",
    "4": "StagedGlobalNetworkPolicy",
    "5": "StagedKubernetesNetworkPolicy",
    "6": "NetworkPolicy",
    "7": "ClusterNetworkPolicyAdminTier",
    "8": "ClusterNetworkPolicyBaselineTier",
    "9": "Profile",
    "10": "EndOfTier",
}


def read(line: bytes) -> Line:
    """Raises ValueError for a line that is no flow of Calico's."""
    outer = json_line(line)
    flow = outer.get("flow", outer)
    if not isinstance(flow, dict):
        raise ValueError("has a flow that is no object")  # noqa: TRY004  (of a value that was read)
    get = _getter(flow)
    if get("action") is None or get("reporter") is None:
        raise ValueError("is no flow of Calico's: action or reporter is missing")
    outcome = _ACTIONS.get(str(get("action")).lower())
    if outcome is None:
        return LeftOut(f"flows with the action {get('action')}")
    side = _SIDES.get(str(get("reporter")).lower(), Side.UNKNOWN)
    protocol = str(get("proto", "protocol") or "").upper()
    protocol = {"6": "TCP", "17": "UDP", "132": "SCTP", "1": "ICMP", "58": "ICMP", "ICMPV6": "ICMP"}.get(
        protocol, protocol
    )
    begun = get("num_connections_started", "num_flows_started")
    return Sighting(
        time=from_epoch(get("start_time")),
        source=_end(get, "source"),
        destination=_end(get, "dest"),
        protocol=protocol or "unknown",
        port=port_number(get("dest_port")),
        outcome=outcome,
        side=side,
        began=Began.EARLIER if begun is not None and not int(begun) else Began.HERE,
        policies=_policies(get("policies")),
        times=number_of(begun or get("num_flows") or 1),
        until=from_epoch(get("end_time")),
    )


def _getter(flow: Mapping[str, Any]) -> Any:
    key = flow.get("Key") or flow.get("key") or {}

    def get(*names: str) -> Any:
        for name in names:
            head, *rest = name.split("_")
            for spelling in (name, head + "".join(part.capitalize() for part in rest)):
                for part in (key, flow):
                    if spelling in part:
                        return part[spelling]
        return None

    return get


def _end(get: Any, which: str) -> SeenEnd:
    kind = str(get(f"{which}_type") or "").lower()
    full, aggregated = text(get(f"{which}_name")), text(get(f"{which}_name_aggr"))
    name = full if full not in ("", "-") else aggregated
    if kind in _PODS:
        return SeenEnd("", text(get(f"{which}_namespace")), name)
    if kind in _HOSTS:
        return SeenEnd(name=f"host {name}".strip())
    if where := get(f"{which}_ip"):
        return SeenEnd(address(where))
    return SeenEnd(
        name={"pub": "addresses outside (pub)", "pvt": "private addresses (pvt)"}.get(name, f"network {name}")
    )


def _policies(value: Any) -> tuple[str, ...]:
    """Policies that decided, as "tier/namespace/name" or as Goldmane's hits name them; those that passed on are left out."""
    if not isinstance(value, Mapping):
        return ()
    hits = value.get("enforced_policies", value.get("enforcedPolicies", value.get("enforced")))
    if hits is None:
        hits = value.get("all_policies", ())
    found = [_hit(hit) for hit in hits] if isinstance(hits, Sequence) else []
    return tuple(dict.fromkeys(name for name in found if name))


def _hit(hit: Any) -> str:
    if isinstance(hit, str):  # "0|tier|namespace/tier.name|allow|0"
        parts = hit.split("|")
        return parts[2] if len(parts) >= 4 and parts[3] != "pass" else ""
    if not isinstance(hit, Mapping):
        return ""
    if str(hit.get("action", "")).lower() in ("pass", "3"):
        return ""
    trigger = hit.get("trigger")
    if isinstance(trigger, Mapping) and not hit.get("name"):
        return f"end of tier after {_hit({**trigger, 'action': ''})}"
    where = f"{hit['namespace']}/" if hit.get("namespace") else ""
    return f"{_KINDS.get(str(hit.get('kind')), str(hit.get('kind', 'policy')))} {where}{hit.get('name', '')}"
