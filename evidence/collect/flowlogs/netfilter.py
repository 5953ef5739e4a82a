"""Netfilter: lines that the kernel writes for iptables' LOG target and nftables' `log` statement.

Layout as in the kernel's net/netfilter/nf_log_syslog.c: the rule's prefix, then IN= OUT= … SRC= DST= … PROTO= SPT= DPT= and TCP's flags as words.
The line does not say what became of the packet; only the prefix that the administrator chose does. A prefix that is named on the command
line decides, else its words (drop, deny, reject, block; allow, accept, pass), else the line is left out and counted. A time of the
old syslog form has no year and no zone: it is taken as UTC, in the last year in which it is not in the future.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from evidence.collect.flowlogs.fields import address, moment, number_of, port_number
from evidence.observe.model import Began, Outcome, Side
from evidence.observe.sighting import LeftOut, Line, Lost, SeenEnd, Sighting

NAME = "netfilter"
TITLE = "netfilter (iptables LOG, nftables log)"
NOTES = (
    "What became of a packet is taken from the prefix of the rule that logged it.",
    "A rule with a rate limit logs a part only, and the log does not say so.",
)
_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT\S+|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)\s.*?kernel:\s*(?:\[\s*[\d.]+\]\s*)?(?P<said>.*)$"
)
_SUPPRESSED = re.compile(r"(\d+) (?:callbacks|messages|printk messages) (?:suppressed|dropped)")
_DENIES = re.compile(r"drop|den[yi]|reject|block", re.IGNORECASE)
_ALLOWS = re.compile(r"allow|accept|pass", re.IGNORECASE)
_PROTOCOLS = {"ICMPV6": "ICMP", "6": "TCP", "17": "UDP", "132": "SCTP"}
_OLD_TIME = "%Y %b %d %H:%M:%S"


def read(line: bytes, now: datetime, allowed: Sequence[str] = (), denied: Sequence[str] = ()) -> Line:
    """`now`: when the log is taken in. `allowed` and `denied`: prefixes of rules that let packets pass or drop them. Raises ValueError."""
    found = _LINE.match(line.decode("utf-8", "replace").rstrip())
    if found is None:
        return LeftOut("lines that are not the kernel's")
    said = found["said"]
    if lost := _SUPPRESSED.search(said):
        return Lost("messages of the kernel", number_of(lost[1]))
    begin = said.find("IN=")
    if begin < 0 or "SRC=" not in said:
        return LeftOut("other lines of the kernel")
    prefix = said[:begin].strip()
    outcome = _outcome(prefix, allowed, denied)
    if outcome is None:
        return LeftOut("lines whose prefix says neither allowed nor denied")
    fields, flags = _fields(said[begin:])
    protocol = _PROTOCOLS.get(fields.get("PROTO", "").upper(), fields.get("PROTO", "").upper())
    if not protocol:
        raise ValueError("names no PROTO=, as if cut off")
    if protocol == "TCP" and ("SYN" not in flags or "ACK" in flags):
        return LeftOut("packets of connections that had begun")
    return Sighting(
        time=_time(found["time"], now),
        source=SeenEnd(address(fields.get("SRC"))),
        destination=SeenEnd(address(fields.get("DST"))),
        protocol=protocol,
        port=port_number(fields.get("DPT")),
        outcome=outcome,
        side=Side.UNKNOWN,
        began=Began.HERE if protocol == "TCP" else Began.UNKNOWN,
        policies=(prefix.rstrip(": "),) if prefix else (),
    )


def _outcome(prefix: str, allowed: Sequence[str], denied: Sequence[str]) -> Outcome | None:
    for prefixes, outcome in ((denied, Outcome.DENIED), (allowed, Outcome.ALLOWED)):
        if any(prefix.startswith(known.strip()) for known in prefixes):
            return outcome
    says = [
        outcome for words, outcome in ((_DENIES, Outcome.DENIED), (_ALLOWS, Outcome.ALLOWED)) if words.search(prefix)
    ]
    return says[0] if len(says) == 1 else None


def _fields(text: str) -> tuple[dict[str, str], set[str]]:
    """KEY=value pairs (the first of each: an ICMP error repeats the packet it is about in brackets) and bare words."""
    pairs: dict[str, str] = {}
    words = set()
    for part in text.partition("[")[0].split():
        key, equals, value = part.partition("=")
        if equals:
            pairs.setdefault(key, value)
        else:
            words.add(part)
    return pairs, words


def _time(text: str, now: datetime) -> datetime:
    if text[0].isdigit():
        return moment(text)
    for year in (now.year, now.year - 1):
        found = datetime.strptime(f"{year} {text}", _OLD_TIME).replace(tzinfo=UTC)
        if found <= now + timedelta(days=1):
            return found
    raise ValueError(f"has the time {text!r}, which lies ahead")
