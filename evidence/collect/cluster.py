"""Objects from a live API server.

1. Only kinds that the server says it serves are asked for, each by a version that is understood here; discovery is by group and version.
2. Lists come in pages. When a page's token has expired (410) the list starts again: half of an old list and half of a new one is no list.
3. A page's raw objects are checked, cut down to the kept fields and dropped before the next page is read.
4. A kind that may not be listed, or whose list fails, is said so with the verb that is missing; the others are collected all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.objects import (
    CollectedObject,
    Collection,
    KindResult,
    KindStatus,
    ObjectKey,
    SourceInfo,
    cluster_uid,
)
from evidence.collect.access import without_harmless
from evidence.collect.check import Flaw, checked, settle
from evidence.collect.connection import Connection, Refused, Unreachable, connect
from evidence.collect.fields import Kind
from evidence.collect.kinds import KINDS
from evidence.errors import CollectError, InputError

__all__ = ["Connection", "collect_cluster", "connect"]

PAGE_SIZE = 500
_RESTARTS = 3
_SILENT_KINDS = 1  # after these the server is gone, and asking for the rest would only take long
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_HEAVY = frozenset({"CustomResourceDefinition"})  # their schemas are large, and only names are kept
_SAME_OBJECTS = {"projectcalico.org": "crd.projectcalico.org"}  # an aggregated view of the other group's objects


@dataclass(frozen=True, slots=True)
class Served:
    """A kind as this server serves it; `path` is where its list is."""

    kind: Kind
    api_version: str
    path: str


@dataclass(slots=True)
class _Listed:
    """One kind's list as far as it has been read."""

    objects: dict[ObjectKey, CollectedObject] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    resource_version: str = ""


def collect_cluster(connection: Connection, *, keep_going: bool, page_size: int = PAGE_SIZE) -> Collection:
    """Every kept kind that the server serves.

    Raises CollectError when the server cannot be reached or takes the credentials back, InputError (or ManyInputsError) for objects that
    cannot be read, which `keep_going` leaves out and lists.
    """
    served, results = discover(connection)
    objects: list[CollectedObject] = []
    flaws: list[Flaw] = []
    with without_cycle_search():
        silent = 0  # kinds in a row that got no answer at all
        for one in served:
            try:
                listed, result = _list(connection, one, page_size)
                silent = 0
            except Unreachable as error:
                silent += 1
                if silent > _SILENT_KINDS:
                    raise
                kind = one.kind
                listed, result = _Listed(), KindResult(kind.group, kind.kind, KindStatus.FAILED, message=str(error))
            objects += listed.objects.values()
            flaws += listed.flaws
            results.append(result)
    objects.sort(key=lambda obj: (obj.key.group, obj.key.kind, obj.key.namespace, obj.key.name))
    order = {(kind.group, kind.kind): index for index, kind in enumerate(KINDS)}
    results.sort(key=lambda result: order[result.group, result.kind])
    kept, kinds = without_harmless(objects, results)
    return Collection(
        source=SourceInfo(
            method="api",
            location=connection.url,
            identity=connection.identity,
            server_version=connection.server_version,
            cluster_uid=cluster_uid(objects),
        ),
        objects=kept,
        kinds=kinds,
        problems=settle(flaws, keep_going=keep_going),
    )


# -- discovery --------------------------------------------------------------------------------------------------------


def discover(connection: Connection) -> tuple[list[Served], list[KindResult]]:
    """The kinds to list, and a result for each of the others (not served, or discovery failed)."""
    versions = _versions_by_group(connection)
    served: list[Served] = []
    results: list[KindResult] = []
    resources: dict[tuple[str, str], Mapping[str, list[str]] | str] = {}
    for kind in KINDS:
        preferred = _version_to_ask(kind, versions.get(kind.group, ()))
        if not preferred:
            results.append(KindResult(kind.group, kind.kind, KindStatus.NOT_SERVED))
            continue
        if _SAME_OBJECTS.get(kind.group) in versions:
            message = f"the same objects as those of {_SAME_OBJECTS[kind.group]}"
            results.append(KindResult(kind.group, kind.kind, KindStatus.NOT_KEPT, message=message))
            continue
        root = f"/apis/{kind.group}/{preferred}" if kind.group else f"/api/{preferred}"
        if (kind.group, preferred) not in resources:
            resources[kind.group, preferred] = _resources(connection, root)
        verbs = resources[kind.group, preferred]
        if isinstance(verbs, str):
            results.append(KindResult(kind.group, kind.kind, KindStatus.FAILED, message=verbs))
        elif kind.plural not in verbs:
            results.append(KindResult(kind.group, kind.kind, KindStatus.NOT_SERVED))
        elif "list" not in verbs[kind.plural]:
            message = "the server offers no list of it"
            results.append(KindResult(kind.group, kind.kind, KindStatus.FAILED, message=message))
        else:
            version = f"{kind.group}/{preferred}" if kind.group else preferred
            served.append(Served(kind, version, f"{root}/{kind.plural}"))
    return served, results


def _versions_by_group(connection: Connection) -> Mapping[str, tuple[str, ...]]:
    """Served versions of each API group, the server's preferred one first."""
    try:
        answer = connection.get("/apis")
    except Refused as error:
        raise CollectError(f"{connection.url}: the server does not say what it serves: {error.message}") from error
    found: dict[str, tuple[str, ...]] = {"": ("v1",)}
    for group in answer.get("groups") or []:
        names = [version["version"] for version in group["versions"]]
        preferred = (group.get("preferredVersion") or {}).get("version", names[0])
        found[group["name"]] = (preferred, *(name for name in names if name != preferred))
    return found


def _version_to_ask(kind: Kind, served: tuple[str, ...]) -> str:
    """A version that is understood here, else the server's preferred one: what is new in it is then found to be unknown."""
    return next((version for version in kind.versions if version in served), served[0] if served else "")


def _resources(connection: Connection, root: str) -> Mapping[str, list[str]] | str:
    """Verbs of each resource of a group and version, or why it could not be asked."""
    try:
        answer = connection.get(root)
    except Refused as error:
        return f"discovery of {root} failed ({error.status}): {error.message}"
    return {entry["name"]: entry.get("verbs") or [] for entry in answer.get("resources") or []}


# -- lists ------------------------------------------------------------------------------------------------------------


def _list(connection: Connection, served: Served, page_size: int) -> tuple[_Listed, KindResult]:
    """One kind's objects, or why there are none."""
    kind = served.kind
    try:
        for _ in range(_RESTARTS):
            try:
                listed = _pages(connection, served, page_size)
            except Refused as error:
                if error.status != 410:
                    raise
            else:
                return listed, KindResult(
                    kind.group, kind.kind, KindStatus.LISTED, len(listed.objects), listed.resource_version
                )
        message = f"the list of {kind.name} expired {_RESTARTS} times before it was read whole"
        return _Listed(), KindResult(kind.group, kind.kind, KindStatus.FAILED, message=message)
    except Refused as error:
        return _Listed(), _refusal(kind, error, connection)


def _refusal(kind: Kind, error: Refused, connection: Connection) -> KindResult:
    match error.status:
        case 401:
            raise CollectError(
                f"{connection.url}: the server no longer takes the credentials: {error.message}"
            ) from error
        case 403:
            message = f"{connection.identity or 'this user'} lacks the verb list on {kind.name}"
            return KindResult(kind.group, kind.kind, KindStatus.FORBIDDEN, message=message)
        case 404:
            return KindResult(kind.group, kind.kind, KindStatus.NOT_SERVED)
        case status:
            message = f"the list of {kind.name} failed ({status}): {error.message}"
            return KindResult(kind.group, kind.kind, KindStatus.FAILED, message=message)


def _pages(connection: Connection, served: Served, page_size: int) -> _Listed:
    """All pages of one list; raises Refused."""
    listed = _Listed()
    token = ""
    accept = _METADATA_ONLY if served.kind.kind in _HEAVY else "application/json"
    while True:
        query = {"limit": str(page_size), **({"continue": token} if token else {})}
        page = connection.get(served.path, query, accept)
        metadata = page.get("metadata") or {}
        listed.resource_version = listed.resource_version or str(metadata.get("resourceVersion") or "")
        _take_page(page.get("items") or [], served, listed)
        token = metadata.get("continue") or ""
        if not token:
            return listed


def _take_page(items: list[Any], served: Served, listed: _Listed) -> None:
    """Check one page's objects and keep what is kept of them."""
    kind = served.kind
    raw: list[CollectedObject] = []
    for item in items:
        try:
            raw.append(_named(item, served))
        except (KeyError, TypeError, AttributeError):
            listed.flaws.append(Flaw(InputError(f"{served.path}: an item has no metadata with a name"), kind.kind))
    good, flaws = checked(raw, {(kind.group, kind.kind): kind})
    listed.flaws += flaws
    listed.objects.update((obj.key, obj) for obj in good)


def _named(item: Any, served: Served) -> CollectedObject:
    """An item of a list with its identity; items do not say their own kind."""
    kind = served.kind
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace") or ""
    item["apiVersion"], item["kind"] = served.api_version, kind.kind
    root, plural = served.path.rsplit("/", 1)
    place = f"{root}/namespaces/{namespace}/{plural}/{name}" if namespace else f"{served.path}/{name}"
    return CollectedObject(ObjectKey(kind.group, kind.kind, namespace, name), item, place, kept=False)
