"""Which of the kinds that are kept a server serves, in which version, and what it offers to do with them."""

from collections.abc import Mapping
from dataclasses import dataclass

from evidence.cluster.objects import KindResult, KindStatus
from evidence.collect.connection import Connection, Refused
from evidence.collect.fields import Kind
from evidence.collect.kinds import KINDS
from evidence.errors import CollectError

_SAME_OBJECTS = {"projectcalico.org": "crd.projectcalico.org"}  # an aggregated view of the other group's objects


@dataclass(frozen=True, slots=True)
class Served:
    """A kind as this server serves it; `path` is where its list is."""

    kind: Kind
    api_version: str
    path: str
    watchable: bool


def discover(connection: Connection) -> tuple[list[Served], list[KindResult]]:
    """The kinds to list, and a result for each of the others (not served, or discovery failed).

    A group's kinds need not all be served in its preferred version, nor in the same one: each kind is looked for in all of them.
    """
    versions = _versions_by_group(connection)
    resources = _Resources(connection)
    served: list[Served] = []
    results: list[KindResult] = []
    for kind in KINDS:
        if kind.group in versions and _SAME_OBJECTS.get(kind.group) in versions:
            message = f"the same objects as those of {_SAME_OBJECTS[kind.group]}"
            results.append(KindResult(kind.group, kind.kind, KindStatus.NOT_KEPT, message=message))
            continue
        found = _served(kind, versions.get(kind.group, ()), resources)
        if isinstance(found, Served):
            served.append(found)
        else:
            results.append(found)
    return served, results


def _served(kind: Kind, versions: tuple[str, ...], resources: "_Resources") -> Served | KindResult:
    """The kind in the first of the group's versions that has it, else why it cannot be listed.

    Versions that are understood here come first, then the server's in its order: what is new in one of those is then found to be unknown.
    """
    failed = ""
    for version in dict.fromkeys((*(each for each in kind.versions if each in versions), *versions)):
        api_version = f"{kind.group}/{version}" if kind.group else version
        root = f"/apis/{api_version}" if kind.group else f"/api/{version}"
        verbs = resources.verbs(root)
        if isinstance(verbs, str):
            failed = failed or verbs
        elif kind.plural in verbs:
            if "list" in verbs[kind.plural]:
                return Served(kind, api_version, f"{root}/{kind.plural}", "watch" in verbs[kind.plural])
            failed = "the server offers no list of it"
    if failed:
        return KindResult(kind.group, kind.kind, KindStatus.FAILED, message=failed)
    return KindResult(kind.group, kind.kind, KindStatus.NOT_SERVED)


class _Resources:
    """What the server says of each group and version, asked once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Mapping[str, list[str]] | str] = {}

    def verbs(self, root: str) -> Mapping[str, list[str]] | str:
        """Verbs of each resource of a group and version, or why it could not be asked."""
        if root not in self._known:
            self._known[root] = self._ask(root)
        return self._known[root]

    def _ask(self, root: str) -> Mapping[str, list[str]] | str:
        try:
            answer = self._connection.get(root)
        except Refused as error:
            return f"discovery of {root} failed ({error.status}): {error.message}"
        return {entry["name"]: entry.get("verbs") or [] for entry in answer.get("resources") or []}


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
