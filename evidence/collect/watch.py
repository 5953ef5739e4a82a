"""A live cluster followed: a list of every kind, then a watch of each from where its list ended.

1. Events of a kind come in the server's order, and none is missed: a watch that ends goes on from its last resourceVersion, which bookmarks
   keep fresh (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
2. When the server no longer knows that version (410), the kind is listed again. What came and went in between nobody saw: that is told.
3. A watch that breaks is taken up again with back-off. What is held of a kind meanwhile may be old: its result then says so.
4. Only kept fields of objects are held, one version of each. Threads wait while events are not taken from them, so that memory is bounded.
"""

import queue
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, ObjectKey
from evidence.collect.check import Flaw
from evidence.collect.cluster import collection_of, read_lists
from evidence.collect.connection import Connection, Refused, Unreachable
from evidence.collect.discovery import Served, discover
from evidence.collect.lists import PAGE_SIZE, Listed, place_of, read_list, refusal, take
from evidence.collect.pluginmaps import read_settings
from evidence.errors import CollectError

EVENTS_WAITING = 1000
WATCH_SECONDS = (240, 300)  # a watch ends and goes on after a time between these
_SILENCE_SECONDS = 30.0  # beyond the end that was asked for
_POLL_SECONDS = 60.0  # between lists of a kind that cannot be watched
_LONGEST_PAUSE = 30.0
_NAP = 0.5

_KindName = tuple[str, str]


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


class _Expired(Exception):  # noqa: N818  (an answer)
    """The server no longer knows the version from which to go on."""


@dataclass(slots=True)
class _Held:
    """What is held of one kind."""

    served: Served
    objects: dict[ObjectKey, CollectedObject]
    flaws: list[Flaw]
    result: KindResult
    version: str
    trouble: KindResult | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What an event changed of what is held: the kept content of these objects, before and after; None where there is none."""

    objects: tuple[tuple[ObjectKey, CollectedObject | None, CollectedObject | None], ...] = ()
    unseen_since: datetime | None = None


@dataclass(slots=True)
class Follower:
    """The state of one cluster, taken forward event by event by its owner; the watches run in threads."""

    connection: Connection
    clock: Callable[[], datetime]
    page_size: int = PAGE_SIZE
    _kinds: dict[_KindName, _Held] = field(default_factory=dict)
    _not_followed: dict[_KindName, KindResult] = field(default_factory=dict)
    _settings: tuple[tuple[CollectedObject, ...], tuple[KindResult, ...]] = ((), ())
    _events: "queue.Queue[Event]" = field(default_factory=lambda: queue.Queue(EVENTS_WAITING))
    _stopped: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """End the watches, each when its stream next ends or gives an event."""
        self._stopped.set()

    def look_again(self) -> Applied:
        """List and follow the kinds that the server serves by now and that are not followed yet, and read what cannot be watched.

        Raises CollectError as `collect_cluster` does.
        """
        served, results = discover(self.connection)
        self._not_followed = {(result.group, result.kind): result for result in results}
        new = [one for one in served if _name(one) not in self._kinds]
        since = self.clock()
        found: list[tuple[ObjectKey, CollectedObject | None, CollectedObject | None]] = []
        with without_cycle_search():
            for one, listed, result in read_lists(self.connection, new, self.page_size):
                self._kinds[_name(one)] = _held(one, listed, result)
                found += [(key, None, obj) for key, obj in listed.objects.items()]
                version = listed.resource_version if result.status is KindStatus.LISTED and one.watchable else ""
                threading.Thread(
                    target=_Watch(self, one, version, since).run, name=f"watch {one.kind.name}", daemon=True
                ).start()
        self._settings = read_settings(self.connection, self._objects())
        return Applied(tuple(found))

    def next(self, seconds: float) -> Event | None:
        """The next event, or None when none comes within so many seconds."""
        try:
            return self._events.get(timeout=seconds) if seconds > 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def apply(self, event: Event) -> Applied:
        """Take what is held forward by one event. Raises CollectError when the watch cannot go on."""
        match event:
            case Ended(error=error):
                raise error
            case Stands(served=served, trouble=trouble):
                self._kinds[_name(served)].trouble = trouble
                return Applied()
            case Relisted(served=served, listed=listed, result=result):
                return self._relist(served, listed, result, event.unseen_since)
            case Seen(served=served, key=key, now=now):
                held = self._kinds[_name(served)]
                held.version = event.version
                before = held.objects.pop(key, None)
                if now is not None:
                    held.objects[key] = now
                if held.flaws or event.flaws:
                    place = f"{place_of(served, key)}: "
                    others = (flaw for flaw in held.flaws if not str(flaw.error).startswith(place))
                    held.flaws = [*others, *event.flaws]
                return Applied(((key, before, now),)) if _body(before) != _body(now) else Applied()

    def _relist(self, served: Served, listed: Listed, result: KindResult, unseen_since: datetime | None) -> Applied:
        before = self._kinds.pop(_name(served)).objects
        if result.status is KindStatus.LISTED:
            self._kinds[_name(served)] = _held(served, listed, result)
        else:  # no longer served
            self._not_followed[_name(served)] = result
        keys = dict.fromkeys((*before, *listed.objects))
        changes = ((key, before.get(key), listed.objects.get(key)) for key in keys)
        return Applied(tuple(each for each in changes if _body(each[1]) != _body(each[2])), unseen_since)

    def collection(self) -> Collection:
        """What is held, as a visit to the server would give it; objects that cannot be read are left out and listed."""
        settings, about_settings = self._settings
        flaws = (flaw for held in self._kinds.values() for flaw in held.flaws)
        results = [
            replace(held.trouble or held.result, count=len(held.objects), resource_version=held.version)
            for held in self._kinds.values()
        ]
        followed = {(result.group, result.kind) for result in results}
        others = [result for name, result in self._not_followed.items() if name not in followed]
        return collection_of(
            self.connection,
            [*self._objects(), *settings],
            [*results, *others, *about_settings],
            flaws,
            keep_going=True,
        )

    def _objects(self) -> Iterator[CollectedObject]:
        return (obj for held in self._kinds.values() for obj in held.objects.values())

    # -- for the watches

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


def _name(served: Served) -> _KindName:
    return served.kind.group, served.kind.kind


def _body(obj: CollectedObject | None) -> object:
    return None if obj is None else obj.body


def _held(served: Served, listed: Listed, result: KindResult) -> _Held:
    if not served.watchable and not result.message:
        result = replace(result, message="read once a minute, for the server offers no watch of it")
    return _Held(served, listed.objects, listed.flaws, result, listed.resource_version)


class _Watch:
    """The watch of one kind, in a thread of its own."""

    def __init__(self, owner: Follower, served: Served, version: str, since: datetime) -> None:
        self._owner, self._served = owner, served
        self._version = version  # from which to go on; "" when the kind has to be listed
        self._since = since  # until then everything was seen
        self._complete = bool(version)  # whether anything was seen at all
        self._pause = 0.0 if served.watchable else _POLL_SECONDS  # before the next try
        self._told: KindResult | None = None  # the trouble that was last told

    def run(self) -> None:
        """Follow the kind until the owner closes, the kind is no longer served, or the credentials are no longer taken."""
        try:
            while not self._owner.pause(self._pause):
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
            self._owner.tell(Ended(self._owner.clock(), error))

    def _list_again(self) -> bool:
        """List the kind; False when it is no longer served. Where the list is not to be had, `_version` stays empty."""
        owner = self._owner
        unseen = self._since if self._complete and self._served.watchable else None
        listed, result = read_list(owner.connection, self._served, owner.page_size, threading.Lock())
        if result.status in (KindStatus.LISTED, KindStatus.NOT_SERVED):
            self._since, self._complete, self._told = owner.clock(), True, None
            owner.tell(Relisted(self._since, self._served, listed, result, unseen))
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
            trouble = refusal(self._served.kind, error, self._owner.connection, "watch")
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
            self._owner.tell(Stands(self._owner.clock(), self._served, trouble))

    def _stream(self) -> None:
        """One watch from the last version on. Raises _Expired, Refused, Unreachable."""
        owner = self._owner
        seconds = random.randint(*WATCH_SECONDS)  # noqa: S311  (so that not all watches end together)
        query = {
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        with owner.connection.stream(self._served.path, query, seconds + _SILENCE_SECONDS) as lines:
            self._tell(None)
            self._pause = 0.0
            for line in lines:
                if owner.pause(0):
                    return
                self._take(orjson.loads(line))
        self._since = owner.clock()

    def _take(self, event: dict[str, Any]) -> None:
        owner, body = self._owner, event.get("object")
        if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
            raise _Expired  # not what a watch gives: begin anew
        if event.get("type") == "ERROR":
            if body.get("code") == 410:
                raise _Expired
            raise Refused(int(body.get("code") or 500), str(body.get("message") or "the server ended the watch"))
        at, version = owner.clock(), str(body["metadata"].get("resourceVersion") or "")
        if event.get("type") != "BOOKMARK":
            owner.tell(_seen(at, self._served, body, version, gone=event.get("type") == "DELETED"))
        self._since, self._version = at, version or self._version


def _seen(at: datetime, served: Served, body: dict[str, Any], version: str, *, gone: bool) -> Seen:
    metadata, kind = body["metadata"], served.kind
    key = ObjectKey(kind.group, kind.kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    good, flaws = ((), []) if gone else take([body], served)
    return Seen(at, served, key, good[0] if good else None, version, tuple(flaws))


def _longer(pause: float) -> float:
    return min(_LONGEST_PAUSE, max(0.5, 2 * pause)) * random.uniform(0.8, 1.2)  # noqa: S311  (spreads the load)
