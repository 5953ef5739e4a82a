"""One kind's list, page by page.

1. When a page's token has expired (410) the list starts again: half of an old list and half of a new one is no list.
2. A page's raw objects are checked, cut down to the kept fields and dropped before the next page is decoded. Several lists may be read at
   the same time, and one page at a time is decoded (`desk`), so that memory holds what is kept and one page's text for each list.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import orjson

from evidence.cluster.objects import CollectedObject, KindResult, KindStatus, ObjectKey
from evidence.collect.check import Flaw, checked
from evidence.collect.connection import Connection, Refused
from evidence.collect.discovery import Served
from evidence.collect.fields import Kind
from evidence.errors import CollectError, InputError

PAGE_SIZE = 500
_RESTARTS = 3
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_HEAVY = frozenset({"CustomResourceDefinition"})  # their schemas are large, and only names are kept


@dataclass(slots=True)
class Listed:
    """One kind's list as far as it has been read."""

    objects: dict[ObjectKey, CollectedObject] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class _Page:
    """What is kept of one page; `token` is "" on the last one."""

    objects: tuple[CollectedObject, ...]
    flaws: list[Flaw]
    resource_version: str
    token: str


def read_list(
    connection: Connection, served: Served, page_size: int, desk: AbstractContextManager[Any]
) -> tuple[Listed, KindResult]:
    """One kind's objects, or why there are none. Raises Unreachable, and CollectError when the credentials are taken back."""
    kind = served.kind
    try:
        for _ in range(_RESTARTS):
            try:
                listed = _pages(connection, served, page_size, desk)
            except Refused as error:
                if error.status != 410:
                    raise
            else:
                return listed, KindResult(
                    kind.group, kind.kind, KindStatus.LISTED, len(listed.objects), listed.resource_version
                )
        message = f"the list of {kind.name} expired {_RESTARTS} times before it was read whole"
        return Listed(), KindResult(kind.group, kind.kind, KindStatus.FAILED, message=message)
    except Refused as error:
        return Listed(), refusal(kind, error, connection)


def refusal(kind: Kind, error: Refused, connection: Connection, verb: str = "list") -> KindResult:
    """The result of a kind that the server does not give. Raises CollectError when the credentials are no longer taken."""
    match error.status:
        case 401:
            raise CollectError(
                f"{connection.url}: the server no longer takes the credentials: {error.message}"
            ) from error
        case 403:
            message = f"{connection.identity or 'this user'} lacks the verb {verb} on {kind.name}"
            return KindResult(kind.group, kind.kind, KindStatus.FORBIDDEN, message=message)
        case 404:
            return KindResult(kind.group, kind.kind, KindStatus.NOT_SERVED)
        case status:
            message = f"the list of {kind.name} failed ({status}): {error.message}"
            return KindResult(kind.group, kind.kind, KindStatus.FAILED, message=message)


def _pages(connection: Connection, served: Served, page_size: int, desk: AbstractContextManager[Any]) -> Listed:
    """All pages of one list; raises Refused."""

    def taken(data: bytes) -> _Page:
        with desk:
            return _page(orjson.loads(data), served)

    listed = Listed()
    token = ""
    accept = _METADATA_ONLY if served.kind.kind in _HEAVY else "application/json"
    while True:
        query = {"limit": str(page_size), **({"continue": token} if token else {})}
        page = connection.read(served.path, taken, query, accept)
        listed.resource_version = listed.resource_version or page.resource_version
        listed.objects.update((obj.key, obj) for obj in page.objects)
        listed.flaws += page.flaws
        token = page.token
        if not token:
            return listed


def _page(page: Any, served: Served) -> _Page:
    metadata = page.get("metadata") or {}
    objects, flaws = take(page.get("items") or [], served)
    return _Page(objects, flaws, str(metadata.get("resourceVersion") or ""), metadata.get("continue") or "")


def take(items: Iterable[Any], served: Served) -> tuple[tuple[CollectedObject, ...], list[Flaw]]:
    """Check objects as the server gives them and keep what is kept of them."""
    kind = served.kind
    raw: list[CollectedObject] = []
    nameless: list[Flaw] = []
    for item in items:
        try:
            raw.append(_named(item, served))
        except (KeyError, TypeError, AttributeError):
            nameless.append(Flaw(InputError(f"{served.path}: an item has no metadata with a name"), kind.kind))
    good, flaws = checked(raw, {(kind.group, kind.kind): kind})
    return good, [*nameless, *flaws]


def _named(item: Any, served: Served) -> CollectedObject:
    """An item of a list with its identity; items do not say their own kind."""
    kind = served.kind
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace") or ""
    item["apiVersion"], item["kind"] = served.api_version, kind.kind
    key = ObjectKey(kind.group, kind.kind, namespace, name)
    return CollectedObject(key, item, place_of(served, key), kept=False)


def place_of(served: Served, key: ObjectKey) -> str:
    """The API path of an object."""
    root, plural = served.path.rsplit("/", 1)
    return f"{root}/namespaces/{key.namespace}/{plural}/{key.name}" if key.namespace else f"{served.path}/{key.name}"
