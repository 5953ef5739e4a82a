"""Objects from files, folders and standard input: manifests, `kubectl get … -o json` lists, cluster dumps.

1. A folder is read whole: every .yaml, .yml and .json file below it, but for hidden ones. Other files given by name are read as what they hold.
2. Whatever cannot be read, is no Kubernetes object or stands twice is an error that names file and line. With `keep_going` it is left
   out and listed; where it is unknown which kind was left out, every kind counts as not read whole.
3. Without a namespace an object is in `default`, as for kubectl. One object read twice (same uid and resourceVersion, as in dumps
   that hold a pod both in a list and in a file of its own) is one.
4. `collect_files` cuts objects down to the kept fields, for the store; `read_cluster` only looks at them, for analysis.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.fields import shown
from evidence.cluster.model import Cluster
from evidence.cluster.objects import (
    CollectedObject,
    Collection,
    KindResult,
    KindStatus,
    ObjectKey,
    SourceInfo,
    cluster_uid,
)
from evidence.cluster.parse import parse, unread_kinds
from evidence.collect import json
from evidence.collect.check import Flaw, checked, settle
from evidence.collect.fields import Kind
from evidence.collect.kinds import BY_GROUP_KIND, KINDS, kind_of, why_not_kept
from evidence.collect.pluginsettings import settings_map
from evidence.errors import CollectError, InputError

STANDARD_INPUT = "standard input"
_ENDINGS = (".yaml", ".yml", ".json")
_MAX_NESTED_LISTS = 4
_MAX_NAME = 253  # characters (Kubernetes, "Object Names and IDs": DNS subdomain names)
_LOOKS_LIKE_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*[\[{\]])')


def collect_files(paths: Sequence[str], *, stdin: BinaryIO | None, keep_going: bool) -> Collection:
    """Everything in the given files, checked, cut down to the kept fields.

    Raises CollectError for what cannot be opened, InputError (or ManyInputsError) for what is wrong in it.
    """
    with without_cycle_search():
        found = _read(paths, stdin)
        from evidence.collect.access import without_harmless  # for the store; analysis alone does without

        objects, flaws = checked(found.sorted(), found.kinds)
        objects, kinds = without_harmless(objects, _kind_results(found, objects))
        return Collection(
            source=SourceInfo(
                method="files",
                location=", ".join(STANDARD_INPUT if path == "-" else path for path in paths),
                cluster_uid=cluster_uid(objects),
            ),
            objects=objects,
            kinds=kinds,
            problems=settle([*found.flaws, *flaws], keep_going=keep_going),
        )


def read_cluster(paths: Sequence[str], *, stdin: BinaryIO | None, keep_going: bool) -> Cluster:
    """The cluster of the given files, with the same checks and for analysis alone: nothing in it has a digest.

    Raises CollectError and InputError as `collect_files` does.
    """
    with without_cycle_search():
        found = _read(paths, stdin)
        parsed = parse(found.objects.values())
        flaws = [Flaw(wrong.error, wrong.object.key.kind) for wrong in parsed.errors]
        problems = settle([*found.flaws, *flaws], keep_going=keep_going)
        seen = Collection(SourceInfo("files", ""), tuple(found.objects.values()), _kind_results(found, ()), problems)
        return parsed.cluster(unread_kinds(seen))


def _kind_results(found: "_Found", objects: Iterable[CollectedObject]) -> tuple[KindResult, ...]:
    counts = Counter((obj.key.group, obj.key.kind) for obj in objects)
    known = {(kind.group, kind.kind): kind for kind in KINDS} | found.kinds
    results = [
        KindResult(
            group,
            kind,
            KindStatus.LISTED if (group, kind) in found.kinds else KindStatus.NOT_IN_SOURCE,
            counts[group, kind],
        )
        for group, kind in known
    ]
    results += [
        KindResult(group, kind, KindStatus.NOT_KEPT, count, message=why_not_kept(group, kind))
        for (group, kind), count in sorted(found.passed_over.items())
        if (group, kind) not in found.kinds  # of some ConfigMaps a few settings are kept
    ]
    return tuple(results)


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False, repr=False)
class _Found:
    """What has been read so far. `kinds` are those seen, were it as an empty list; `others` says where each object that is not kept was read."""

    objects: dict[ObjectKey, CollectedObject] = field(default_factory=dict)
    kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    others: dict[ObjectKey, str] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def sorted(self) -> list[CollectedObject]:
        return [self.objects[key] for key in sorted(self.objects, key=lambda k: (k.group, k.kind, k.namespace, k.name))]

    def wrong(self, error: InputError, kind: str = "") -> None:
        self.flaws.append(Flaw(error, kind))


def _read(paths: Sequence[str], stdin: BinaryIO | None) -> _Found:
    if not paths:
        raise CollectError("no file or folder is given; name one with --from PATH")
    found = _Found()
    for path in paths:
        if path == "-":
            if stdin is None:
                raise CollectError("standard input cannot be read here; give a file or folder")
            _read_data(stdin.read(), STANDARD_INPUT, found)
            continue
        for file in _files(path):
            try:
                data = file.read_bytes()
            except OSError as error:
                raise CollectError(f"{file}: cannot be read: {error.strerror}") from error
            _read_data(data, str(file), found)
    return found


def _files(path: str) -> list[Path]:
    """The file itself, or all files of a folder that may hold objects, sorted."""
    given = Path(path)
    if not given.is_dir():
        if not given.exists():
            raise CollectError(f"{path}: there is no such file or folder")
        return [given]
    files = []
    for folder, subfolders, names in os.walk(given, onerror=_unreadable):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        files += [Path(folder, name) for name in sorted(names) if _may_hold_objects(name)]
    if not files:
        raise CollectError(f"{path}: no file in this folder ends in {', '.join(_ENDINGS)}")
    return files


def _unreadable(error: OSError) -> None:
    raise CollectError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _may_hold_objects(name: str) -> bool:
    return name.lower().endswith(_ENDINGS) and not name.startswith(".")


def _read_data(data: bytes, name: str, found: _Found) -> None:
    """Read one file; what is wrong goes to `found.flaws`."""
    try:
        some = False
        for value, line, lines in _documents(data, name):
            some = True
            _read_value(value, f"{name}:{line}", lines, name, found)
        if not some:
            found.wrong(InputError(f"{name}: is empty: it holds no Kubernetes object"))
    except InputError as error:
        found.wrong(error)


def _documents(data: bytes, name: str) -> Iterator[tuple[Any, int, Sequence[int]]]:
    """Each document with its line and, for a list, the lines of its items (empty where unknown)."""
    whole = json.loaded(data) if _LOOKS_LIKE_JSON.match(data) else None
    if whole or _is_broken_json(data, name):
        for value, line in json.load_all(data, name, whole):
            items = value.get("items") if isinstance(value, dict) else value
            count = len(items) if isinstance(items, list) else 0
            yield value, line, json.item_lines(data, count) if line == 1 and count else ()
        return
    from evidence.collect import yaml  # only where there is YAML: a dump in JSON is read without it

    for document in yaml.documents(data, name):
        yield document.value, document.line, document.item_lines


def _is_broken_json(data: bytes, name: str) -> bool:
    """Whether what is not one JSON text is meant as JSON: a YAML file may begin like it (a flow mapping, a template)."""
    if not _LOOKS_LIKE_JSON.match(data):
        return name.lower().endswith(".json") and data.strip() != b""
    return not name.lower().endswith((".yaml", ".yml"))


def _read_value(value: Any, where: str, lines: Sequence[int], name: str, found: _Found) -> None:
    """One document: an object, a list of objects, or something that is neither."""
    if isinstance(value, list):
        value = {"apiVersion": "v1", "kind": "List", "items": value}
    if not isinstance(value, dict):
        found.wrong(InputError(f"{where}: is not a Kubernetes object but {shown(value)}"))
        return
    _read_object(value, where, lines, name, found, ("", ""), 0)


def _read_object(
    body: dict[str, Any],
    where: str,
    lines: Sequence[int],
    name: str,
    found: _Found,
    default: tuple[str, str],
    depth: int,
) -> None:
    """One object, or the items of a list; `default` are apiVersion and kind of items that do not say."""
    api_version, kind = body.get("apiVersion") or default[0], body.get("kind") or default[1]
    if not isinstance(api_version, str) or not isinstance(kind, str) or not api_version or not kind:
        found.wrong(InputError(f"{where}: is not a Kubernetes object: apiVersion and kind must both be given as text"))
        return
    if kind.endswith("List") and ("items" in body or kind == "List"):
        items = body.get("items")
        if items is None:
            items = []
        if not isinstance(items, list) or depth >= _MAX_NESTED_LISTS:
            found.wrong(InputError(f"{where}: {kind}: items must be a list of objects, not {shown(items)}"))
            return
        inner = (api_version, kind[: -len("List")])
        if inner[1]:
            _note_kind(api_version, inner[1], found)
        line, place = 0, name
        for index, item in enumerate(items):
            if lines and lines[index] != line:  # a dump without line feeds has them all on one
                line = lines[index]
                place = f"{name}:{line}"
            if not isinstance(item, dict):
                found.wrong(InputError(f"{place}: items[{index}] is not a Kubernetes object but {shown(item)}"))
                continue
            _read_object(item, place, (), name, found, inner, depth + 1)
        return
    try:
        _take(body, api_version, kind, where, found)
    except InputError as error:
        group = api_version.rpartition("/")[0]
        found.wrong(error, kind if kind_of(group, kind) else "")


def _note_kind(api_version: str, kind: str, found: _Found) -> None:
    """An empty list of a kind says that the kind was listed."""
    known = kind_of(api_version.rpartition("/")[0], kind)
    if known is not None:
        found.kinds.setdefault((known.group, known.kind), known)


def _take(body: dict[str, Any], api_version: str, kind: str, where: str, found: _Found) -> None:
    """One object into `found`; raises InputError when it has no name, stands twice or is of a kind that cannot be."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise InputError(f"{where}: {kind}: metadata must be an object, not {shown(metadata)}")
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: {kind}: metadata.name is missing or not text ({shown(name)})")
    if namespace is not None and not isinstance(namespace, str):
        raise InputError(f"{where}: {kind} {name}: metadata.namespace must be text, not {shown(namespace)}")
    if "/" in name or "/" in (namespace or ""):
        raise InputError(f"{where}: {kind} {name}: a name cannot hold a slash")
    if flaw := _unstorable(name) or (namespace and _unstorable(namespace)):
        raise InputError(f"{where}: {kind} {shown(name)}: {flaw}")
    group, known = _group_and_kind(api_version, kind)
    known = known or settings_map(group, kind, namespace or "default", name)
    if known is None:
        _refuse_misspelt(group, kind, f"{where}: {kind} {name}")
        key = ObjectKey(group, kind, namespace or "default", name)
        if key in found.others:
            raise InputError(f"{where}: {key} stands twice; first in {found.others[key]}")
        found.others[key] = where
        found.passed_over[group, kind] += 1
        return
    key = ObjectKey(known.group, kind, (namespace or "default") if known.namespaced else "", name)
    if body.get("apiVersion") != api_version or body.get("kind") != kind:
        body = {**body, "apiVersion": api_version, "kind": kind}
    here = CollectedObject(key, body, where, kept=False)
    first = found.objects.setdefault(key, here)
    if first is not here:
        if _one_object(first.body["metadata"], metadata):
            return
        raise InputError(f"{where}: {key} stands twice; first in {first.source}")
    if (known.group, kind) not in found.kinds:
        found.kinds[known.group, kind] = known


@lru_cache(maxsize=1 << 10)
def _group_and_kind(api_version: str, kind: str) -> tuple[str, Kind | None]:
    """The API group, and the kind as it is collected; None for one that is passed over. A dump has few of them and thousands of objects."""
    group = api_version.rpartition("/")[0]
    return group, kind_of(group, kind)


def _unstorable(name: str) -> str:
    """Why a name can be no object's: the API server takes none such, and a database may not either. "" for one that can."""
    if len(name) > _MAX_NAME:
        return f"a name has at most {_MAX_NAME} characters, not {len(name)}"
    return "a name cannot hold a zero byte" if "\x00" in name else ""


def _one_object(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two readings are of one object in one state."""
    names = ("uid", "resourceVersion")
    return all(first.get(name) and first.get(name) == second.get(name) for name in names)


def _refuse_misspelt(group: str, kind: str, what: str) -> None:
    """A kind that is passed over must not be one of ours, misspelt: kubectl would refuse it, and a policy would be lost in silence."""
    for known in BY_GROUP_KIND.values():
        if known.kind.lower() == kind.lower() and (known.group == group or "." not in group):
            version = f"{known.group}/v1" if known.group else "v1"
            raise InputError(
                f"{what}: there is no such kind in API group {group!r}; did you mean {known.kind} of {version}?"
            )
    if group in ("networking.k8s.io", "policy.networking.k8s.io") and kind.endswith("Policy"):
        raise InputError(f"{what}: API group {group} has no such kind")
