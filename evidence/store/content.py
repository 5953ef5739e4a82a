"""What digests cover, and how values become bytes in a column.

An object's digest is the SHA-256 of its canonical JSON (RFC 8785) and nothing else, so that anybody can check it with `sha256sum`.
The intent file's digest is the SHA-256 of its bytes. A snapshot's root digest is taken in two steps:

    leaf     canonical JSON of [group, kind, namespace, name, digest] of one object, objects in the order of their keys
    content  RFC 9162 tree hash over the leaves (`evidence/log/merkle.py`)
    root     SHA-256 of "evidence/snapshot/v1", a newline, and the canonical JSON of the header below

The header names the cluster, the times and whether the first was claimed, the run, the source, the result of each kind, the
problems, the intent's digest, the number of objects, the content hash, and the digest of the list that says where each object was
read. So the root covers all that the store says about a snapshot except its number, which belongs to one database. The first line
keeps roots of other things and of later versions apart from these.

Where the objects were read is canonical JSON, objects in the order of their keys, so many in a row an entry:

    [source, count]        all of them were read there
    [root, plural, count]  each at its own API path: root/namespaces/NAMESPACE/plural/NAME, root/plural/NAME outside of namespaces

so that the list of a live cluster is a few lines, and not a line an object that would be kept again whenever a pod comes.

Bodies are kept deflated where that is smaller: a first byte of 0 means as they are, 1 means zlib.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from evidence.canonical import canonical_json
from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, ObjectKey, Problem, SourceInfo
from evidence.errors import StoreError
from evidence.log.merkle import leaf_hash, tree_hash
from evidence.store.values import RunInfo

ROOT_DOMAIN = b"evidence/snapshot/v1\n"

_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * 16
_PLAIN = b"\x00"
_ZLIB = b"\x01"


def pack(data: bytes) -> bytes:
    """Bytes for a column."""
    deflated = zlib.compress(data, 6)
    return _ZLIB + deflated if len(deflated) < len(data) else _PLAIN + data


def unpack(stored: bytes) -> bytes:
    """The bytes that `pack` was given. Raises StoreError for what it cannot have made."""
    try:
        match stored[:1]:
            case b"\x00":
                return stored[1:]
            case b"\x01":
                return zlib.decompress(stored[1:])
    except zlib.error as error:
        raise StoreError(f"it cannot be decompressed ({error})") from error
    raise StoreError("it is kept in a way that this version does not know")


def parse_body(body: bytes) -> Any:
    """The value whose canonical JSON this is.

    RFC 8785 writes a float such as 5e16 as an integer. Integers beyond 2^53 it does not know, so what looks like one was a float.
    """
    if _LONG_NUMBER in body.translate(_DIGITS_ALIKE):  # several times faster than a pattern
        return json.loads(body, parse_int=lambda digits: int(digits) if abs(int(digits)) < 2**53 else float(digits))
    return orjson.loads(body)


def object_leaf(key: ObjectKey, digest: str) -> bytes:
    """Hash of one object's leaf."""
    leaf = orjson.dumps((*key, digest))  # as canonical JSON has it while it is ASCII
    return leaf_hash(leaf if leaf.isascii() else canonical_json([*key, digest]))


def content_hash(leaves: Iterable[bytes]) -> bytes:
    """Hash over the leaves of a snapshot's objects, in the order of their keys."""
    return tree_hash(list(leaves))


def sources_json(objects: Iterable[CollectedObject]) -> bytes:
    """Where each object was read, objects in the order of their keys."""
    runs: list[list[Any]] = []
    place: tuple[str, ...] = ()  # of the run that goes on: [source] or [root, plural]
    namespace = None  # of the object before
    start = ""  # of the path of an object in this namespace
    for obj in objects:
        key, source = obj.key, obj.source
        if key.namespace != namespace and len(place) == 2:
            start = _path(place[0], place[1], key.namespace, "")
        namespace = key.namespace
        if runs and source == (start + key.name if len(place) == 2 else place[0]):
            runs[-1][-1] += 1
            continue
        place = _place(source, key)
        if len(place) == 2:
            start = _path(place[0], place[1], namespace, "")
        runs.append([*place, 1])
    return canonical_json(runs)


def _path(root: str, plural: str, namespace: str, name: str) -> str:
    return f"{root}/namespaces/{namespace}/{plural}/{name}" if namespace else f"{root}/{plural}/{name}"


def _place(source: str, key: ObjectKey) -> tuple[str, ...]:
    """The root and the plural of an object's own API path; of any other source, the source alone."""
    above, _, plural = source.removesuffix(f"/{key.name}").rpartition("/")
    root = above.removesuffix(f"/namespaces/{key.namespace}") if key.namespace else above
    return (root, plural) if _path(root, plural, key.namespace, key.name) == source else (source,)


def parse_sources(data: bytes, keys: Sequence[ObjectKey]) -> list[str]:
    """The source of each object. Raises StoreError for anything but what `sources_json` writes for objects with these keys."""
    found: list[str] = []
    try:
        for *place, count in orjson.loads(data):
            some = keys[len(found) : len(found) + count]
            match place:
                case [str() as source]:
                    found += [source] * len(some)
                case [str() as root, str() as plural]:
                    found += [_path(root, plural, key.namespace, key.name) for key in some]
                case _:
                    raise TypeError(place)
            if len(some) != count:
                break
        else:
            if len(found) == len(keys):
                return found
    except (ValueError, TypeError) as error:
        raise StoreError("where its objects were read cannot be read") from error
    raise StoreError(f"it has {len(keys)} objects, and sources of another number of objects")


def details_json(collection: Collection) -> bytes:
    """Everything of a collection but its objects and where they were read, as canonical JSON."""
    source = collection.source
    return canonical_json(
        {
            "source": {
                "method": source.method,
                "location": source.location,
                "identity": source.identity,
                "server_version": source.server_version,
                "cluster_uid": source.cluster_uid,
            },
            "kinds": [
                [kind.group, kind.kind, kind.status.value, kind.count, kind.resource_version, kind.message]
                for kind in collection.kinds
            ],
            "problems": [[problem.where, problem.message, problem.kind] for problem in collection.problems],
        }
    )


def parse_details(data: bytes) -> tuple[SourceInfo, tuple[KindResult, ...], tuple[Problem, ...]]:
    """What `details_json` wrote. Raises StoreError for anything else."""
    try:
        value: dict[str, Any] = orjson.loads(data)
        return (
            SourceInfo(**value["source"]),
            tuple(
                KindResult(group, kind, KindStatus(status), count, version, message)
                for group, kind, status, count, version, message in value["kinds"]
            ),
            tuple(Problem(*problem) for problem in value["problems"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("its source, kinds and problems cannot be read") from error


Texts = tuple[tuple[str, str, str], ...]


def parse_outline(data: bytes) -> tuple[Texts, Texts]:
    """Group, kind and status of each kind, and the problems, of what `details_json` wrote: the little that a year of snapshots is compared by.

    Raises StoreError for anything else.
    """
    try:
        value: dict[str, Any] = orjson.loads(data)
        kinds = tuple((group, kind, status) for group, kind, status, _, _, _ in value["kinds"])
        return kinds, tuple((where, message, kind) for where, message, kind in value["problems"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("its kinds and problems cannot be read") from error


def timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def root_digest(
    *,
    cluster: str,
    taken_at: datetime,
    taken_at_claimed: bool,
    received_at: datetime,
    started_at: datetime,
    finished_at: datetime,
    run: RunInfo,
    details: bytes,
    intent_digest: str,
    sources_digest: str,
    object_count: int,
    content: bytes,
) -> str:
    """Hex root digest of a snapshot. Times must be in UTC; `details` as `details_json` writes them; `content` from `content_hash`."""
    header: Mapping[str, Any] = {
        "cluster": cluster,
        "taken_at": timestamp(taken_at),
        "taken_at_claimed": taken_at_claimed,
        "received_at": timestamp(received_at),
        "started_at": timestamp(started_at),
        "finished_at": timestamp(finished_at),
        "run": {
            "software_version": run.software_version,
            "host": run.host,
            "identity": run.identity,
            "command": run.command,
            "configuration_digest": run.configuration_digest,
        },
        "details": hashlib.sha256(details).hexdigest(),
        "intent": intent_digest,
        "sources": sources_digest,
        "object_count": object_count,
        "content": content.hex(),
    }
    return hashlib.sha256(ROOT_DOMAIN + canonical_json(header)).hexdigest()
