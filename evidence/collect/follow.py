"""A live cluster followed: a list of every kind, then what the watches say of it since.

Only kept fields of objects are held, one version of each. What is held of a kind whose watch is broken may be old: its result says so.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, ObjectKey
from evidence.collect.check import Flaw
from evidence.collect.cluster import collection_of, read_lists
from evidence.collect.discovery import Served, discover
from evidence.collect.lists import Listed, place_of
from evidence.collect.pluginmaps import read_settings
from evidence.collect.watch import Ended, Event, Relisted, Seen, Stands, Watch, Wire

_KindName = tuple[str, str]


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
    """The state of one cluster, taken forward by the events on its wire; the watches run in threads."""

    wire: Wire
    _kinds: dict[_KindName, _Held] = field(default_factory=dict)
    _not_followed: dict[_KindName, KindResult] = field(default_factory=dict)
    _settings: tuple[tuple[CollectedObject, ...], tuple[KindResult, ...]] = ((), ())

    def look_again(self) -> Applied:
        """List and follow the kinds that the server serves by now and that are not followed yet, and read what cannot be watched.

        Raises CollectError as `collect_cluster` does.
        """
        served, results = discover(self.wire.connection)
        self._not_followed = {(result.group, result.kind): result for result in results}
        new = [one for one in served if _name(one) not in self._kinds]
        since = self.wire.clock()
        found: list[tuple[ObjectKey, CollectedObject | None, CollectedObject | None]] = []
        with without_cycle_search():
            for one, listed, result in read_lists(self.wire.connection, new, self.wire.page_size):
                self._kinds[_name(one)] = _held(one, listed, result)
                found += [(key, None, obj) for key, obj in listed.objects.items()]
                version = listed.resource_version if result.status is KindStatus.LISTED and one.watchable else ""
                threading.Thread(
                    target=Watch(self.wire, one, version, since).run, name=f"watch {one.kind.name}", daemon=True
                ).start()
        self._settings = read_settings(self.wire.connection, self._objects())
        return Applied(tuple(found))

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
            self.wire.connection,
            [*self._objects(), *settings],
            [*results, *others, *about_settings],
            flaws,
            keep_going=True,
        )

    def _objects(self) -> Iterator[CollectedObject]:
        return (obj for held in self._kinds.values() for obj in held.objects.values())


def _name(served: Served) -> _KindName:
    return served.kind.group, served.kind.kind


def _body(obj: CollectedObject | None) -> object:
    return None if obj is None else obj.body


def _held(served: Served, listed: Listed, result: KindResult) -> _Held:
    if not served.watchable and not result.message:
        result = replace(result, message="read once a minute, for the server offers no watch of it")
    return _Held(served, listed.objects, listed.flaws, result, listed.resource_version)
