"""Objects from a live API server.

1. Only kinds that the server says it serves are asked for, each by a version that is understood here; discovery is by group and version.
2. A few lists are read at the same time, at a pace that all requests share (connection.py).
3. Of ConfigMaps only the few are read that hold settings of a plugin whose agent was found (pluginsettings.py).
4. A kind that may not be listed, or whose list fails, is said so with the verb that is missing; the others are collected all the same.
"""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, SourceInfo, cluster_uid
from evidence.collect.access import without_harmless
from evidence.collect.check import Flaw, settle
from evidence.collect.connection import Connection, Unreachable, connect
from evidence.collect.discovery import Served, discover
from evidence.collect.kinds import KINDS
from evidence.collect.lists import PAGE_SIZE, Listed, read_list
from evidence.collect.pluginmaps import read_settings
from evidence.collect.pluginsettings import CONFIG_MAP

__all__ = ["Connection", "collect_cluster", "connect"]

LISTS_AT_ONCE = 4
_SILENT_KINDS = 1  # after these the server is gone, and asking for the rest would only take long


def collect_cluster(connection: Connection, *, keep_going: bool, page_size: int = PAGE_SIZE) -> Collection:
    """Every kept kind that the server serves.

    Raises CollectError when the server cannot be reached or takes the credentials back, InputError (or ManyInputsError) for objects that
    cannot be read, which `keep_going` leaves out and lists.
    """
    served, results = discover(connection)
    objects: list[CollectedObject] = []
    flaws: list[Flaw] = []
    with without_cycle_search():
        for _, listed, result in read_lists(connection, served, page_size):
            objects += listed.objects.values()
            flaws += listed.flaws
            results.append(result)
    settings, about_settings = read_settings(connection, objects)
    return collection_of(connection, [*objects, *settings], [*results, *about_settings], flaws, keep_going=keep_going)


def collection_of(
    connection: Connection,
    objects: Iterable[CollectedObject],
    results: Iterable[KindResult],
    flaws: Iterable[Flaw],
    *,
    keep_going: bool,
) -> Collection:
    """What a visit to a server gave, in order. Raises InputError for flaws unless `keep_going`."""
    in_order = sorted(objects, key=lambda obj: (obj.key.group, obj.key.kind, obj.key.namespace, obj.key.name))
    order = {(kind.group, kind.kind): index for index, kind in enumerate((*KINDS, CONFIG_MAP))}
    in_turn = sorted(results, key=lambda result: order[result.group, result.kind])
    kept, kinds = without_harmless(in_order, in_turn)
    return Collection(
        source=SourceInfo(
            method="api",
            location=connection.url,
            identity=connection.identity,
            server_version=connection.server_version,
            cluster_uid=cluster_uid(in_order),
        ),
        objects=kept,
        kinds=kinds,
        problems=settle(flaws, keep_going=keep_going),
    )


def read_lists(
    connection: Connection, served: Sequence[Served], page_size: int
) -> Iterator[tuple[Served, Listed, KindResult]]:
    """The lists of kinds as they come in, LISTS_AT_ONCE at the same time. Raises as `collect_cluster` does.

    The threads are daemons: one that waits for a slow server must not hold up a process that has been told to stop.
    """
    desk = threading.Lock()
    answers: queue.SimpleQueue[tuple[Served, Listed, KindResult] | tuple[Served, Exception]] = queue.SimpleQueue()
    todo, stopped = iter(served), threading.Event()
    taking = threading.Lock()

    def work() -> None:
        while not stopped.is_set():
            with taking:
                one = next(todo, None)
            if one is None:
                return
            try:
                answers.put((one, *read_list(connection, one, page_size, desk)))
            except Exception as error:  # noqa: BLE001  (raised again below)
                answers.put((one, error))

    for _ in range(min(LISTS_AT_ONCE, len(served))):
        threading.Thread(target=work, name="list", daemon=True).start()
    try:
        silent = 0  # kinds in a row that got no answer at all
        for _ in served:
            answer = answers.get()
            if len(answer) == 3:
                silent = 0
                yield answer
                continue
            one, error = answer
            silent += 1
            if not isinstance(error, Unreachable) or silent > _SILENT_KINDS:
                raise error
            kind = one.kind
            yield one, Listed(), KindResult(kind.group, kind.kind, KindStatus.FAILED, message=str(error))
    finally:
        stopped.set()
