"""AWS VPC CNI: the network policy agent's log (network-policy-agent.log), one JSON object a line.

Three forms, from aws/aws-network-policy-agent's pkg/ebpf/events: fields of their own ("Src IP": …, until 1.2.1), one sentence in `msg` (from
1.2.2; for IPv6 with colons), and the sentence that goes to CloudWatch. From 1.2.2 on allowed flows are written at level debug only. Addresses
only: no pod is named. Whether a packet began a connection is not said.
"""

import re
from typing import Any

from evidence.collect.flowlogs.fields import address, json_line, moment, port_number
from evidence.observe.model import Began, Outcome, Side
from evidence.observe.sighting import LeftOut, Line, SeenEnd, Sighting

NAME = "aws-vpc-cni"
TITLE = "AWS VPC CNI network policy agent"
NOTES = (
    "Only flows of pods that a policy selects are written, and allowed ones only where the agent's log level asks for them.",
    "The log names addresses, not pods, and does not say which end began a connection.",
)
_SENTENCE = re.compile(
    r"Src IP: (?P<source>\S+) Src Port: (?P<sport>\d+) Dest IP: (?P<destination>\S+) Dest Port: (?P<port>\d+) "
    r"Proto:? (?P<protocol>\S+) Verdict:? (?P<verdict>\S+)(?: Direction:? (?P<direction>\w+))?"
)
_CLOUDWATCH = re.compile(
    r"^(?P<time>\S+)\s+Node: [^;]*;SIP: (?P<source>[^;]+);SPORT: \d+;DIP: (?P<destination>[^;]+);DPORT: (?P<port>\d+);"
    r"PROTOCOL: (?P<protocol>[^;]+);PolicyVerdict: (?P<verdict>\w+)"
)
_OUTCOMES = {"ACCEPT": Outcome.ALLOWED, "DENY": Outcome.DENIED}
_SIDES = {"egress": Side.SOURCE, "ingress": Side.DESTINATION}


def read(line: bytes) -> Line:
    """Raises ValueError for a line of flows that cannot be read."""
    if cloudwatch := _CLOUDWATCH.match(line.decode("utf-8", "replace")):
        return _sighting(cloudwatch["time"], {**cloudwatch.groupdict(), "direction": ""})
    entry = json_line(line)
    said = entry.get("msg")
    if not isinstance(said, str) or not said.startswith("Flow Info"):
        return LeftOut("other lines of the agent")
    time = entry.get("ts", entry.get("timestamp"))
    if "Src IP" in entry:
        fields = {
            "source": entry.get("Src IP"),
            "destination": entry.get("Dest IP"),
            "port": entry.get("Dest Port"),
            "protocol": entry.get("Proto"),
            "verdict": entry.get("Verdict"),
            "direction": entry.get("Direction", ""),
        }
        return _sighting(time, fields)
    found = _SENTENCE.search(said)
    if found is None:
        raise ValueError(f"says {said[:60]!r}, which is no flow as the agent writes it")
    return _sighting(time, found.groupdict())


def _sighting(time: object, fields: dict[str, Any]) -> Line:
    outcome = _OUTCOMES.get(str(fields["verdict"]))
    if outcome is None:
        return LeftOut(f"lines with the verdict {fields['verdict']}")
    protocol = str(fields["protocol"]).upper()
    return Sighting(
        time=moment(time),
        source=SeenEnd(address(fields["source"])),
        destination=SeenEnd(address(fields["destination"])),
        protocol="ICMP" if protocol.startswith("ICMP") else protocol,
        port=port_number(fields["port"]),
        outcome=outcome,
        side=_SIDES.get(fields["direction"] or "", Side.UNKNOWN),
        began=Began.UNKNOWN,
    )
