"""Who changed what, as the API server's audit log tells it: only what names the change, never what was in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evidence.cluster.objects import ObjectKey
from evidence.observe.document import VERSION, LogFile, files_json, files_of, known_version

SUCCESS = range(200, 300)
_CALICO = frozenset({"crd.projectcalico.org", "projectcalico.org"})


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """One write that the API server answered. `name` of the object is "" where many were meant (deletecollection).

    `user` is who asked, `as_user` whom they acted as ("" for themselves); `groups` leaves out those that everybody is in.
    """

    id: str
    at: datetime
    user: str
    as_user: str
    groups: tuple[str, ...]
    verb: str
    object: ObjectKey
    code: int
    source_ips: tuple[str, ...]
    user_agent: str

    @property
    def done(self) -> bool:
        """True when the write succeeded."""
        return self.code in SUCCESS

    @property
    def actor(self) -> str:
        """ "alice as system:admin"."""
        return f"{self.user} as {self.as_user}" if self.as_user else self.user

    def about(self, key: ObjectKey) -> bool:
        """True when it wrote the object of this key, also under the other group that Calico serves it by."""
        own = self.object
        if own.name not in ("", key.name) or (own.kind, own.namespace) != (key.kind, key.namespace):
            return False
        return own.group == key.group or {own.group, key.group} <= _CALICO


@dataclass(frozen=True, slots=True)
class AuditLog:
    """One import. `events` counts answered requests of any kind in it, `left_out` them and other lines by why; `changes` are the writes kept."""

    files: tuple[LogFile, ...]
    events: int
    left_out: Mapping[str, int]
    changes: tuple[AuditedChange, ...]


@dataclass(frozen=True, slots=True)
class TakenAudit:
    """An audit log in the store: its record's number and digest, the time that it covers, and when it was taken in."""

    record: int
    digest: str
    starts_at: datetime
    ends_at: datetime
    taken_in_at: datetime
    log: AuditLog


def audit_log_json(log: AuditLog) -> dict[str, Any]:
    """The document of a record."""
    return {
        "version": VERSION,
        "files": files_json(log.files),
        "events": log.events,
        "left_out": dict(log.left_out),
        "changes": [
            {
                "id": change.id,
                "at": change.at.isoformat(),
                "user": change.user,
                "as_user": change.as_user,
                "groups": list(change.groups),
                "verb": change.verb,
                "object": [change.object.group, change.object.kind, change.object.namespace, change.object.name],
                "code": change.code,
                "source_ips": list(change.source_ips),
                "user_agent": change.user_agent,
            }
            for change in log.changes
        ],
    }


def audit_log_of(value: Mapping[str, Any]) -> AuditLog:
    """What `audit_log_json` wrote. Raises InputError for a document of another version."""
    known_version(value, "audit log")
    return AuditLog(
        files=files_of(value["files"]),
        events=value["events"],
        left_out=value["left_out"],
        changes=tuple(
            AuditedChange(
                id=change["id"],
                at=datetime.fromisoformat(change["at"]),
                user=change["user"],
                as_user=change["as_user"],
                groups=tuple(change["groups"]),
                verb=change["verb"],
                object=ObjectKey(*change["object"]),
                code=change["code"],
                source_ips=tuple(change["source_ips"]),
                user_agent=change["user_agent"],
            )
            for change in value["changes"]
        ),
    )
