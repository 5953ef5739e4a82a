"""What the probe writes on standard output, a JSON object a line (deploy/probe/main.go).

Lines that are none of ours are passed over: a container's log may hold the runtime's own words. What cannot be understood is told as nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from evidence.probe.model import Attempt, Seen, Tried


@dataclass(slots=True)
class Told:
    """`tried` by the planned probe's number; `failed`: what kept the source from working, "" when nothing did."""

    tried: dict[int, Tried] = field(default_factory=dict)
    not_served: dict[str, str] = field(default_factory=dict)
    reached_from: str = ""
    failed: str = ""


def read_output(data: bytes) -> Told:
    """Everything that one container told."""
    told = Told()
    for text in data.splitlines():
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if not isinstance(line, dict):
            continue
        try:
            _take(line, told)
        except (KeyError, TypeError, ValueError):
            continue
    return told


def _take(line: Mapping[str, Any], told: Told) -> None:
    match line.get("kind"):
        case "tried":
            told.tried[int(line["id"])] = Tried(int(line["attempts"]), _attempt(line["first"]), _attempt(line["last"]))
        case "serving":
            told.not_served.update({str(port): str(why) for port, why in line["failed"].items()})
        case "reached":
            told.reached_from = str(line["from"])
        case "failed":
            told.failed = str(line["detail"])


def _attempt(raw: Mapping[str, Any]) -> Attempt:
    icmp = raw.get("icmp")
    text = f"ICMP type {icmp['type']} code {icmp['code']} from {icmp['from']}" if icmp else ""
    return Attempt(Seen(raw["seen"]), int(raw["at"]), int(raw["took"]), str(raw.get("detail", "")), text)
