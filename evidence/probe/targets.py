"""Targets outside the cluster as people write them: 203.0.113.7:443, [2001:db8::1]:53/UDP."""

from ipaddress import ip_address

from evidence.cluster.model import Protocol
from evidence.errors import UsageError
from evidence.probe.model import Target
from evidence.reach.ports import FIRST_PORT, LAST_PORT


def parse_target(text: str) -> Target:
    """Raises UsageError for anything but an address, a port and, where it is not TCP, a protocol."""
    where, slash, protocol = text.partition("/")
    host, _, port = where.rpartition(":")
    protocol = protocol.upper() if slash else Protocol.TCP.value
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    number = int(port) if port.isdecimal() and len(port) <= len(str(LAST_PORT)) else 0
    if address is None or protocol not in set(Protocol) or not FIRST_PORT <= number <= LAST_PORT:
        raise UsageError(f"{text!r} is not a target such as 203.0.113.7:443, 203.0.113.7:53/UDP or [2001:db8::1]:443")
    return Target(address, Protocol(protocol), number)
