"""What the formats share: times, ports, addresses, and the frame that container runtimes put around a line."""

import re
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import orjson

_FRAME = re.compile(rb"^\S+ (?:stdout|stderr) [FP] ")  # CRI: time, stream, F for a full line (kubelet's container logs)
_LAST_PORT = 65535
_MOST = 10**12


def json_line(line: bytes) -> dict[str, Any]:
    """The object of a JSON line, also inside a container runtime's frame. Raises ValueError."""
    if not line.startswith(b"{"):
        line = _FRAME.sub(b"", line.lstrip(), count=1)
    value = orjson.loads(line)
    if not isinstance(value, dict):
        raise ValueError("is JSON, but no object")  # noqa: TRY004  (of a value that was read)
    return value


def moment(value: object) -> datetime:
    """A time as RFC 3339 with its zone, in UTC. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"has no time, but {value!r}")  # noqa: TRY004
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError(f"has the time {value!r} without a zone")
    return found.astimezone(UTC)


def from_epoch(value: object) -> datetime:
    """A time in seconds since 1970, also as text. Raises ValueError."""
    try:
        return datetime.fromtimestamp(int(value), UTC)  # type: ignore[call-overload]
    except (TypeError, OverflowError, OSError) as error:
        raise ValueError(f"has no time in seconds, but {value!r}") from error


def port_number(value: object) -> int:
    """A port, 0 where there is none. Raises ValueError."""
    if value in (None, "", "<nil>", "-"):
        return 0
    number = int(value)  # type: ignore[call-overload]
    if not 0 <= number <= _LAST_PORT:
        raise ValueError(f"has the port {number}")
    return int(number)


def text(value: object) -> str:
    """A name, "" for none. Raises ValueError for what is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"has a name that is no text: {str(value)[:40]!r}")  # noqa: TRY004
    return value


def number_of(value: object) -> int:
    """How many, at least 1. Raises ValueError for what nobody can have counted."""
    number = int(value)  # type: ignore[call-overload]
    if not 0 <= number <= _MOST:
        raise ValueError(f"counts {number}")
    return max(1, int(number))


def address(value: object) -> str:
    """An address in its usual spelling. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"has no address, but {value!r}")  # noqa: TRY004
    return str(ip_address(value))
