"""Decisions about what is kept: prunes, legal holds and their release. Each is a row that is never changed, and an entry of the log.

    act      SHA-256 of "evidence/retention/v1", a newline, and the canonical JSON of the header below
    dropped  SHA-256 of "evidence/dropped/v1", a newline, and a line "<kind> <digest>" for each thing dropped, in the order of kinds and digests

The header names the kind of act, when it was made, the run (who, where, with what), and the statement. That of a prune says before which time it
dropped, by which policy, which holds stood, how many of each kind it dropped, and the digest over exactly these: so what is gone is told
apart from what somebody deleted. That of a hold says what it covers and why; that of a release names the hold's digest and why.
"""

import calendar
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select

from evidence.canonical import canonical_json
from evidence.errors import InputError, StoreError, UsageError
from evidence.log.entries import EntryKind
from evidence.store.content import timestamp
from evidence.store.log import append
from evidence.store.rows import run_info, storable, storable_run, utc
from evidence.store.tables import ClusterRow, DroppedRow, RetentionRow
from evidence.store.values import RunInfo

ACT_DOMAIN = b"evidence/retention/v1\n"
DROPPED_DOMAIN = b"evidence/dropped/v1\n"


class DroppedKind(StrEnum):
    """What a prune drops, in the order in which it is hashed: four kinds of bodies, and the snapshots and records that need them."""

    OBJECT = "object"
    INTENT = "intent"
    SOURCES = "sources"
    DOCUMENT = "document"
    SNAPSHOT = "snapshot"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Act:
    """What all decisions have. `digest` (hex) covers everything else but `id`."""

    id: int
    made_at: datetime
    run: RunInfo
    digest: str


@dataclass(frozen=True, slots=True)
class Term:
    """One framework's demand on a prune: how many calendar months it wants evidence kept, and why."""

    framework: str
    months: int
    source: str


@dataclass(frozen=True, slots=True)
class Prune:
    """One prune. `counts`: how much of each kind it dropped; `dropped`: the digest over these; `holds`: digests of the holds that stood."""

    act: Act
    before: datetime
    policy: tuple[Term, ...]
    holds: tuple[str, ...]
    counts: Mapping[str, int]
    dropped: str


@dataclass(frozen=True, slots=True)
class NewHold:
    """A legal hold to set: what was seen from `start` to before `end`, None for any time, of one cluster or of all (None)."""

    reason: str
    cluster: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The end of a hold."""

    act: Act
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold as it stands, or stood until its release. `cluster` is "" for all."""

    act: Act
    reason: str
    cluster: str
    start: datetime | None
    end: datetime | None
    release: Release | None

    def covers(self, cluster: str, start: datetime, end: datetime) -> bool:
        """Whether it covers any of the time from `start` to `end`, both included."""
        return (
            self.cluster in ("", cluster)
            and (self.start is None or end >= self.start)
            and (self.end is None or start < self.end)
        )


def months_before(moment: datetime, months: int) -> datetime:
    """The same day and time so many calendar months earlier, or the last day of that month where it has no such day."""
    number = moment.year * 12 + moment.month - 1 - months
    year, month = divmod(number, 12)
    if year < 1:
        raise UsageError(f"{months} months before {moment:%Y-%m-%d} is before the calendar begins")
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


def act_digest(kind: str, made_at: datetime, statement: bytes, run: RunInfo) -> str:
    """Hex digest of the act that has this header."""
    header = {
        "kind": kind,
        "made_at": timestamp(made_at),
        "run": {
            "software_version": run.software_version,
            "host": run.host,
            "identity": run.identity,
            "command": run.command,
            "configuration_digest": run.configuration_digest,
        },
        "statement": hashlib.sha256(statement).hexdigest(),
    }
    return hashlib.sha256(ACT_DOMAIN + canonical_json(header)).hexdigest()


def dropped_digest(things: Iterable[tuple[str, str]]) -> tuple[str, Mapping[str, int]]:
    """Hex digest over (kind, digest) in their order, and how many there are of each kind."""
    sha256, counts = hashlib.sha256(DROPPED_DOMAIN), Counter[str]()
    for kind, found in things:
        sha256.update(f"{kind} {found}\n".encode())
        counts[kind] += 1
    return sha256.hexdigest(), counts


# -- write ------------------------------------------------------------------------------------------------------------


def enter(
    connection: Connection, kind: EntryKind, made_at: datetime, statement: Mapping[str, Any], run: RunInfo
) -> Act:
    """Write an act and its entry of the log; the caller commits."""
    run, made_at = storable_run(run), utc(made_at)
    text = canonical_json(statement)
    found = act_digest(kind.value, made_at, text, run)
    number = connection.scalar(
        insert(RetentionRow)
        .values(
            kind=kind.value,
            made_at=made_at,
            statement=text.decode(),
            act_digest=found,
            software_version=run.software_version,
            host=run.host,
            identity=run.identity,
            command=run.command,
            configuration_digest=run.configuration_digest,
        )
        .returning(RetentionRow.id)
    )
    assert number is not None  # noqa: S101  (INSERT … RETURNING gives a row)
    append(connection, kind, None, number, found)
    return Act(number, made_at, run, found)


def add_hold(connection: Connection, new: NewHold, made_at: datetime, run: RunInfo) -> Hold:
    """Set a hold. Raises InputError without a reason or for no time at all, UsageError for a cluster that is not in the store."""
    reason, start, end = _reason(new.reason), *(utc(at) if at else None for at in (new.start, new.end))
    if start and end and end <= start:
        raise InputError(f"a hold from {timestamp(start)} cannot end before that, at {timestamp(end)}")
    if new.cluster is not None:
        names = list(connection.scalars(select(ClusterRow.name)))
        if new.cluster not in names:
            listed = ", ".join(sorted(names)) or "none"
            raise UsageError(f"there is no cluster {new.cluster!r} in the store: give one of {listed}, or none for all")
    statement = {
        "reason": reason,
        "cluster": new.cluster or "",
        "from": timestamp(start) if start else "",
        "to": timestamp(end) if end else "",
    }
    return Hold(enter(connection, EntryKind.HOLD, made_at, statement, run), reason, new.cluster or "", start, end, None)


def release_hold(connection: Connection, number: int, reason: str, made_at: datetime, run: RunInfo) -> Hold:
    """End a hold; what it says stays. Raises UsageError when there is none of that number, or when it was released."""
    found = next((hold for hold in holds(connection) if hold.act.id == number), None)
    if found is None:
        raise UsageError(f"there is no hold {number}; `evidence db hold list` names them")
    if found.release is not None:
        raise UsageError(f"hold {number} was released on {found.release.act.made_at:%Y-%m-%d %H:%M} UTC already")
    reason = _reason(reason)
    act = enter(connection, EntryKind.RELEASE, made_at, {"hold": found.act.digest, "reason": reason}, run)
    return Hold(found.act, found.reason, found.cluster, found.start, found.end, Release(act, reason))


def _reason(given: str) -> str:
    reason = storable(given.strip())
    if not reason:
        raise InputError("a hold and its release need a reason: say whose order it is, such as a case number")
    return reason


# -- read -------------------------------------------------------------------------------------------------------------


def acts(connection: Connection, *kinds: EntryKind) -> list[tuple[Act, Mapping[str, Any]]]:
    """Those of some kinds with their statements, oldest first. Raises StoreError where one is not what was stored."""
    query = select(*RetentionRow.__table__.columns).where(RetentionRow.kind.in_([kind.value for kind in kinds]))
    found = []
    for row in connection.execute(query.order_by(RetentionRow.id)):
        if digest_of(row) != row.act_digest:
            raise StoreError(f"{row.kind} {row.id}: its digest does not match what it says")
        found.append((Act(row.id, row.made_at, run_info(row), row.act_digest), orjson.loads(row.statement)))
    return found


def digest_of(row: Row[Any]) -> str:
    """The digest that a row of an act must have."""
    return act_digest(row.kind, row.made_at, row.statement.encode(), run_info(row))


def holds(connection: Connection) -> tuple[Hold, ...]:
    """All that ever stood, oldest first. Raises StoreError where one is not what was stored."""
    releases = {
        statement["hold"]: Release(act, statement["reason"])
        for act, statement in reversed(acts(connection, EntryKind.RELEASE))  # of two the first counts
    }
    return tuple(
        Hold(
            act,
            statement["reason"],
            statement["cluster"],
            _moment(statement["from"]),
            _moment(statement["to"]),
            releases.get(act.digest),
        )
        for act, statement in acts(connection, EntryKind.HOLD)
    )


def prunes(connection: Connection) -> tuple[Prune, ...]:
    """All prunes, oldest first. Raises StoreError where one is not what was stored."""
    return tuple(
        Prune(
            act,
            _required(statement["before"]),
            tuple(Term(**term) for term in statement["policy"]),
            tuple(statement["holds"]),
            dict(statement["counts"]),
            statement["dropped"],
        )
        for act, statement in acts(connection, EntryKind.PRUNE)
    )


def _moment(text: str) -> datetime | None:
    return _required(text) if text else None


def _required(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found


def refuse_dropped(connection: Connection, kind: DroppedKind, digest: str) -> None:
    """Raises StoreError, which names the prune, when one dropped the content of this snapshot or record."""
    found = connection.execute(
        select(RetentionRow.id, RetentionRow.made_at)
        .join_from(DroppedRow, RetentionRow, DroppedRow.prune_id == RetentionRow.id)
        .where(DroppedRow.kind == kind.value, DroppedRow.digest == digest)
    ).first()
    if found is not None:
        raise StoreError(
            f"it was pruned on {found.made_at:%Y-%m-%d %H:%M} UTC (prune {found.id}): its content is not available any more; "
            f"its digest {digest[:16]}… and its entry of the log are kept"
        )
