"""What goes into the store and what comes out. All times are aware datetimes and come back in UTC."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from evidence.cluster.objects import Collection, KindResult, Problem, SourceInfo


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Chain of custody of one execution. `configuration_digest`: hex SHA-256 of what the run was told to read."""

    software_version: str
    host: str
    identity: str
    command: str
    configuration_digest: str


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """One snapshot to store.

    `taken_at_claimed`: somebody said when it was taken, nobody saw it. `received_at`: when it came in, also the start and the end of
    the run unless these are given. `intent`: the owner's file as it is, None without one.
    """

    cluster: str
    taken_at: datetime
    taken_at_claimed: bool
    received_at: datetime
    collection: Collection
    intent: bytes | None
    run: RunInfo
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewFailedRun:
    """One execution that left no snapshot, to be recorded so that the gap has its reason."""

    cluster: str
    started_at: datetime
    finished_at: datetime
    message: str
    run: RunInfo


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A stored snapshot without its content.

    `id` grows in the order of entry. `root_digest` (hex) covers everything else here and the content, see `evidence/store/content.py`;
    `intent_digest` is the hex SHA-256 of the intent file, "" without one.
    """

    id: int
    cluster: str
    taken_at: datetime
    taken_at_claimed: bool
    received_at: datetime
    started_at: datetime
    finished_at: datetime
    root_digest: str
    partial: bool
    object_count: int
    intent_digest: str
    run: RunInfo

    @property
    def spooled(self) -> bool:
        """It waited on disk until the store took it in: it came in after its run had ended."""
        return self.received_at > self.finished_at


@dataclass(frozen=True, slots=True)
class SnapshotOutline:
    """A stored snapshot without its objects. `content` (hex) is the hash over them: snapshots with the same one hold the same objects; with the
    same `sources_digest` they were read in the same places, too.

    `kinds`: group, kind and status of each kind that was asked for; `problems`: where, what and kind of each, as in `Problem`. `details` holds all
    that was collected beside the objects, as it is kept (`collection_of` reads it).
    """

    info: SnapshotInfo
    content: str
    sources_digest: str
    kinds: tuple[tuple[str, str, str], ...]
    problems: tuple[tuple[str, str, str], ...]
    details: bytes


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """All of a stored snapshot but its objects and its intent file. `content` as in `SnapshotOutline`; retention never drops any of it."""

    info: SnapshotInfo
    content: str
    source: SourceInfo
    kinds: tuple[KindResult, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a thing stands in the log: `position` counts from 0, None when it is not in it; `size` is that of the whole log."""

    position: int | None
    size: int


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot read back: `collection` equals the one that was stored, `intent` are the file's own bytes."""

    info: SnapshotInfo
    collection: Collection
    intent: bytes | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One execution of the collector. `outcome` is "stored" or "failed"; a failed one has a message and no snapshot."""

    cluster: str
    started_at: datetime
    finished_at: datetime
    outcome: str
    message: str
    snapshot_id: int | None
    run: RunInfo


class RecordKind(StrEnum):
    """What a record holds: the attempts of one probe run, the flows of one imported log, the changes of one imported audit log, or what an
    assessment said of one snapshot."""

    PROBE_RUN = "probe-run"
    FLOW_LOG = "flow-log"
    AUDIT_LOG = "audit-log"
    ASSESSMENT = "assessment"


OBSERVED = (RecordKind.PROBE_RUN, RecordKind.FLOW_LOG, RecordKind.AUDIT_LOG)  # what somebody saw, not what was computed


@dataclass(frozen=True, slots=True)
class NewRecord:
    """One record to store. What it saw happened from `starts_at` to `ends_at`, both included; `document` is a JSON value."""

    cluster: str
    kind: RecordKind
    starts_at: datetime
    ends_at: datetime
    taken_in_at: datetime
    document: Any
    run: RunInfo


@dataclass(frozen=True, slots=True)
class RecordInfo:
    """A stored record without its document. `digest` (hex) covers everything else here but `id`, see `evidence/store/records.py`."""

    id: int
    cluster: str
    kind: RecordKind
    starts_at: datetime
    ends_at: datetime
    taken_in_at: datetime
    document_digest: str
    digest: str
    run: RunInfo


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record read back; `document` equals the one that was stored."""

    info: RecordInfo
    document: Any
