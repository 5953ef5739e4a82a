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
            served.append(Served(kind, version, f"{root}/{kind.plural}", "watch" in verbs[kind.plural]))
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
