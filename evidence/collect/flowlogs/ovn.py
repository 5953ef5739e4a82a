"""OVN ACL logs: lines of ovn-controller, as OVN-Kubernetes and Kube-OVN have them written (acl-audit-log.log, ovn-controller.log).

Layout: OVN's lib/acl-log.c, then OVS's text of a flow. `direction=to-lport` is the destination's side, `from-lport` the source's. ACLs of an allow
rule are logged for the packet that makes the connection; a TCP packet counts when its flags are SYN alone. Lines come from several nodes
in UTC. OVS says when it held back messages; a meter on the ACL does not.
"""

import re

from evidence.collect.flowlogs.fields import address, moment, number_of, port_number
from evidence.observe.model import Began, Outcome, Side
from evidence.observe.sighting import LeftOut, Line, Lost, SeenEnd, Sighting

NAME = "ovn"
TITLE = "OVN ACL logs"
NOTES = (
    "Only ACLs with logging switched on (by namespace or policy) write lines.",
    "A meter may limit how many; what it drops is not said in the log.",
)
_LINE = re.compile(r'acl_log\([^)]*\)\|[A-Z]+\|name="?(?P<name>[^",]*)"?, verdict=(?P<verdict>[\w-]+), (?P<rest>.*)$')
_DROPPED = re.compile(r"Dropped (\d+) log messages")
_OUTCOMES = {
    "allow": Outcome.ALLOWED,
    "allow-related": Outcome.ALLOWED,
    "drop": Outcome.DENIED,
    "reject": Outcome.DENIED,
}
_SIDES = {"to-lport": Side.DESTINATION, "from-lport": Side.SOURCE}
_PROTOCOLS = {"tcp": "TCP", "tcp6": "TCP", "udp": "UDP", "udp6": "UDP", "sctp": "SCTP", "sctp6": "SCTP"}
_PROTOCOLS |= {"icmp": "ICMP", "icmp6": "ICMP"}


def read(line: bytes) -> Line:
    """Raises ValueError for an ACL's line that cannot be read."""
    text = line.decode("utf-8", "replace").rstrip()
    if "acl_log" not in text:
        return LeftOut("other lines of ovn-controller")
    if lost := _DROPPED.search(text):
        return Lost("messages of ovn-controller", number_of(lost[1]))
    found = _LINE.search(text)
    if found is None:
        raise ValueError("is a line of acl_log's without name and verdict")
    outcome = _OUTCOMES.get(found["verdict"])
    if outcome is None:
        return LeftOut(f"lines with the verdict {found['verdict']}")  # "pass": a later ACL decides
    settings, _, packet = found["rest"].partition(": ")
    first, *rest = packet.split(",")
    fields = dict(part.partition("=")[::2] for part in (*settings.split(", "), *rest))
    protocol = _PROTOCOLS.get(first, "")
    source, destination = (fields.get(f"nw_{end}") or fields.get(f"ipv6_{end}") for end in ("src", "dst"))
    if not protocol or source is None:
        return LeftOut("packets without a protocol above IP")
    if protocol == "TCP" and fields.get("tcp_flags", "syn") != "syn":
        return LeftOut("packets of connections that had begun")
    return Sighting(
        time=moment(text.partition("|")[0]),
        source=SeenEnd(address(source)),
        destination=SeenEnd(address(destination)),
        protocol=protocol,
        port=port_number(fields.get("tp_dst")),
        outcome=outcome,
        side=_SIDES.get(fields.get("direction", ""), Side.UNKNOWN),
        began=Began.HERE if protocol == "TCP" and "tcp_flags" in fields else Began.UNKNOWN,
        policies=(found["name"],) if found["name"] not in ("", "<unnamed>") else (),
    )
