"""What one imported flow log says, as the document of a record: its files, what was in them, what they admit to lack, and the flows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from evidence.errors import InputError
from evidence.observe.model import ObservedFlow, Outcome, flow_json, flow_of

VERSION = 1  # of the documents; another shape gets another number


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file. `sha256` (hex) and `size` are of its bytes as they lie there; `bad` counts lines that could not be read, `named` are the first."""

    name: str
    size: int
    sha256: str
    lines: int
    bad: int
    named: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowLog:
    """One import. `sightings` counts lines about connections, `left_out` other whole lines by why, `lost` what the source admits not to have
    recorded; `merged` connections were too many kinds to be told apart. `notes`: what such a log lacks by its nature."""

    format: str
    title: str
    files: tuple[LogFile, ...]
    sightings: int
    left_out: Mapping[str, int]
    lost: Mapping[str, int]
    merged: int
    notes: tuple[str, ...]
    flows: tuple[ObservedFlow, ...]

    @property
    def lines(self) -> int:
        return sum(file.lines for file in self.files)

    @property
    def bad(self) -> int:
        return sum(file.bad for file in self.files)

    def connections(self, *outcomes: Outcome) -> int:
        """How many connections ended in one of these ways."""
        return sum(flow.count for flow in self.flows if flow.outcome in outcomes)

    @property
    def nameless(self) -> int:
        """How many flows have an end that is a private address: no snapshot says whose it was."""
        addresses = ((flow.source.address, flow.destination.address) for flow in self.flows)
        return sum(any(end and not ip_address(end).is_global for end in ends) for ends in addresses)

    @property
    def losses(self) -> tuple[str, ...]:
        """One sentence part for each thing that is missing from it and known to be."""
        said = [f"{number} {what} lost by the source" for what, number in self.lost.items()]
        if self.bad:
            said.append(f"{self.bad} of {self.lines} lines could not be read")
        if self.merged:
            said.append(
                f"{self.merged} connections were of too many kinds and are counted without their addresses and ports"
            )
        return tuple(said)


def files_json(files: Sequence[LogFile]) -> list[dict[str, Any]]:
    """Files for a document."""
    return [
        {
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "lines": file.lines,
            "bad": file.bad,
            "named": list(file.named),
        }
        for file in files
    ]


def files_of(value: Sequence[Mapping[str, Any]]) -> tuple[LogFile, ...]:
    """What `files_json` wrote."""
    return tuple(LogFile(**{**file, "named": tuple(file["named"])}) for file in value)


def flow_log_json(log: FlowLog) -> dict[str, Any]:
    """The document of a record."""
    return {
        "version": VERSION,
        "format": log.format,
        "title": log.title,
        "files": files_json(log.files),
        "sightings": log.sightings,
        "left_out": dict(log.left_out),
        "lost": dict(log.lost),
        "merged": log.merged,
        "notes": list(log.notes),
        "flows": [flow_json(flow) for flow in log.flows],
    }


def flow_log_of(value: Mapping[str, Any]) -> FlowLog:
    """What `flow_log_json` wrote. Raises InputError for a document of another version."""
    known_version(value, "flow log")
    return FlowLog(
        format=value["format"],
        title=value["title"],
        files=files_of(value["files"]),
        sightings=value["sightings"],
        left_out=value["left_out"],
        lost=value["lost"],
        merged=value["merged"],
        notes=tuple(value["notes"]),
        flows=tuple(flow_of(flow, value["format"]) for flow in value["flows"]),
    )


def known_version(value: Mapping[str, Any], what: str) -> None:
    """Raises InputError for a document of another version than is written here."""
    if value.get("version") != VERSION:
        raise InputError(
            f"it is a {what} in form {value.get('version')}, and this version of evidence reads form {VERSION}: import the log again with it"
        )


@dataclass(frozen=True, slots=True)
class TakenLog:
    """A log in the store: its record's number and digest, the time that it covers, and when it was taken in."""

    record: int
    digest: str
    starts_at: datetime
    ends_at: datetime
    taken_in_at: datetime
    log: FlowLog


def covered(logs: Sequence[TakenLog]) -> tuple[tuple[datetime, datetime], ...]:
    """The stretches of time that the logs cover together, in order and apart."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted((log.starts_at, log.ends_at) for log in logs):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)
