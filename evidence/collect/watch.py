"""The watch of one kind: its events in the server's order, from where its list ended.

1. None is missed: a watch that ends goes on from its last resourceVersion, which bookmarks keep fresh
   (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
2. When the server no longer knows that version (410), the kind is listed again. What came and went in between nobody saw: that is told.
3. A watch that breaks is taken up again with back-off, and one that stays broken is told.
4. Watches wait while the reader is behind, so that memory is bounded.
"""

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from evidence.cluster.objects import CollectedObject, KindResult, KindStatus, ObjectKey
from evidence.collect.check import Flaw
from evidence.collect.connection import Connection, Refused, Unreachable
from evidence.collect.discovery import Served
from evidence.collect.lists import PAGE_SIZE, Listed, read_list, refusal, take
from evidence.errors import CollectError

EVENTS_WAITING = 1000
WATCH_SECONDS = (240, 300)  # a watch ends and goes on after a time between these
_SILENCE_SECONDS = 30.0  # beyond the end that was asked for
_POLL_SECONDS = 60.0  # between lists of a kind that cannot be watched
_LONGEST_PAUSE = 30.0
_NAP = 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it now is, or (None) that it is gone. `flaws`: it is there and cannot be read."""

    at: datetime
    served: Served
    key: ObjectKey
    now: CollectedObject | None
    version: str
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class Relisted:
    """A kind was listed again. `unseen_since`: what came and went from then on was not seen; None when nothing can have been missed."""

    at: datetime
    served: Served
    listed: Listed
    result: KindResult
    unseen_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stands:
    """How the watch of a kind stands: `trouble` is None when it runs."""

    at: datetime
    served: Served
    trouble: KindResult | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A watch that cannot go on with this connection: the credentials are no longer taken."""

    at: datetime
    error: CollectError


Event = Seen | Relisted | Stands | Ended


@dataclass(frozen=True, slots=True)
class Wire:
    """What the watches of a cluster share: the connection, and the queue on which they hand over events to one reader."""

    connection: Connection
    clock: Callable[[], datetime]
    page_size: int = PAGE_SIZE
    _events: "queue.Queue[Event]" = field(default_factory=lambda: queue.Queue(EVENTS_WAITING))
    _stopped: threading.Event = field(default_factory=threading.Event)

    def next(self, seconds: float) -> Event | None:
        """The next event, or None when none comes within so many seconds."""
        try:
            return self._events.get(timeout=seconds) if seconds > 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def tell(self, event: Event) -> None:
        """Hand an event over; waits while many are waiting."""
        while not self._stopped.is_set():
            try:
                self._events.put(event, timeout=_NAP)
            except queue.Full:
                continue
            return

    def pause(self, seconds: float) -> bool:
        """Wait; True when it is time to end."""
        return self._stopped.wait(seconds)

    def close(self) -> None:
        """End the watches, each when its stream next ends or gives an event."""
        self._stopped.set()


class _Expired(Exception):  # noqa: N818  (an answer)
    """The server no longer knows the version from which to go on."""


class Watch:
    """The watch of one kind, in a thread of its own."""

    def __init__(self, wire: Wire, served: Served, version: str, since: datetime) -> None:
        self._wire, self._served = wire, served
        self._version = version  # from which to go on; "" when the kind has to be listed
        self._since = since  # until then everything was seen
        self._complete = bool(version)  # whether anything was seen at all
        self._pause = 0.0 if served.watchable else _POLL_SECONDS  # before the next try
        self._told: KindResult | None = None  # the trouble that was last told

    def run(self) -> None:
        """Follow the kind until the wire is closed, the kind is no longer served, or the credentials are no longer taken."""
        try:
            while not self._wire.pause(self._pause):
                try:
                    if not self._version and not self._list_again():
                        return
                    if self._version:
                        self._stream()
                except _Expired:
                    self._pause, self._version = 0.0, ""
                except Refused as error:
                    self._refused(error)
                except Unreachable as error:
                    self._fail(str(error), None)
        except CollectError as error:
            self._wire.tell(Ended(self._wire.clock(), error))

    def _list_again(self) -> bool:
        """List the kind; False when it is no longer served. Where the list is not to be had, `_version` stays empty."""
        wire = self._wire
        unseen = self._since if self._complete and self._served.watchable else None
        listed, result = read_list(wire.connection, self._served, wire.page_size, threading.Lock())
        if result.status in (KindStatus.LISTED, KindStatus.NOT_SERVED):
            self._since, self._complete, self._told = wire.clock(), True, None
            wire.tell(Relisted(self._since, self._served, listed, result, unseen))
        else:
            self._tell(result)
        follow = result.status is KindStatus.LISTED and self._served.watchable
        self._version = listed.resource_version if follow else ""
        self._pause = 0.0 if follow else _POLL_SECONDS
        return result.status is not KindStatus.NOT_SERVED

    def _refused(self, error: Refused) -> None:
        """What to do after a refusal. Raises CollectError when the credentials are no longer taken."""
        if error.status == 410:
            self._pause, self._version = 0.0, ""
        elif error.status in (
            401,
            403,
            404,
            405,
        ):  # 403, 405: not to be watched; 404: the list says whether it is still served
            trouble = refusal(self._served.kind, error, self._wire.connection, "watch")
            if error.status != 404:
                self._tell(trouble)
            self._version, self._pause = "", 0.5 if error.status == 404 else _POLL_SECONDS
        else:
            self._fail(f"{error.status}: {error.message}", error.retry_after)

    def _fail(self, why: str, retry_after: float | None) -> None:
        """Wait before the next try; what goes on failing is told."""
        if self._pause:
            self._tell(self._failed(why))
        self._pause = retry_after or _longer(self._pause)

    def _failed(self, why: str) -> KindResult:
        kind = self._served.kind
        message = f"the watch of {kind.name} has been broken since {self._since:%Y-%m-%d %H:%M:%S} UTC: {why}"
        return KindResult(kind.group, kind.kind, KindStatus.FAILED, message=message)

    def _tell(self, trouble: KindResult | None) -> None:
        if trouble != self._told:
            self._told = trouble
            self._wire.tell(Stands(self._wire.clock(), self._served, trouble))

    def _stream(self) -> None:
        """One watch from the last version on. Raises _Expired, Refused, Unreachable."""
        wire = self._wire
        seconds = random.randint(*WATCH_SECONDS)  # noqa: S311  (so that not all watches end together)
        query = {
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        with wire.connection.stream(self._served.path, query, seconds + _SILENCE_SECONDS) as lines:
            self._tell(None)
            self._pause = 0.0
            for line in lines:
                if wire.pause(0):
                    return
                self._take(orjson.loads(line))
        self._since = wire.clock()

    def _take(self, event: dict[str, Any]) -> None:
        wire, body = self._wire, event.get("object")
        if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
            raise _Expired  # not what a watch gives: begin anew
        if event.get("type") == "ERROR":
            if body.get("code") == 410:
                raise _Expired
            raise Refused(int(body.get("code") or 500), str(body.get("message") or "the server ended the watch"))
        at, version = wire.clock(), str(body["metadata"].get("resourceVersion") or "")
        if event.get("type") != "BOOKMARK":
            wire.tell(_seen(at, self._served, body, version, gone=event.get("type") == "DELETED"))
        self._since, self._version = at, version or self._version


def require_watching(connection: Connection) -> None:
    """Raises CollectError when the account may not watch NetworkPolicies, without which nothing is followed.

    A server that does not say what the account may is not asked again: each watch then finds out for itself.
    """
    asked = {"verb": "watch", "group": "networking.k8s.io", "resource": "networkpolicies"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    try:
        answer = connection.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    except Refused:
        return
    status = answer.get("status") if isinstance(answer, dict) else None
    if isinstance(status, dict) and status.get("allowed") is False:
        raise CollectError(
            f"{connection.url}: {connection.identity or 'this user'} lacks the verb watch on networkpolicies.networking.k8s.io, so the cluster "
            "cannot be followed: grant it (docs/operate.md), or take single snapshots without --watch"
        )


def _seen(at: datetime, served: Served, body: dict[str, Any], version: str, *, gone: bool) -> Seen:
    metadata, kind = body["metadata"], served.kind
    key = ObjectKey(kind.group, kind.kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    good, flaws = ((), []) if gone else take([body], served)
    return Seen(at, served, key, good[0] if good else None, version, tuple(flaws))


def _longer(pause: float) -> float:
    return min(_LONGEST_PAUSE, max(0.5, 2 * pause)) * random.uniform(0.8, 1.2)  # noqa: S311  (spreads the load)
