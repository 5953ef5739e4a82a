"""Policy objects as collected over the period, each version once, with the file of the pack that holds it.

A file is the canonical JSON of the kept body, so its SHA-256 is the digest that findings and changes name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from evidence.cluster.objects import CollectedObject, ObjectKey
from evidence.report.view.inputs import SnapshotEvidence
from evidence.report.view.model import PolicyObject

FOLDER = "data/objects"
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one policy and the snapshots' times between which it was seen; `evaluated` as of the last of them."""

    object: CollectedObject
    first_seen: datetime
    last_seen: datetime
    current: bool
    evaluated: bool


def versions(snapshots: Sequence[SnapshotEvidence]) -> tuple[Version, ...]:
    """Every version of every policy of the period, sorted by key, the current one first, then newest first."""
    seen: dict[tuple[ObjectKey, str], Version] = {}
    for snapshot in snapshots:
        for policy in snapshot.policies:
            known = seen.get((policy.key, policy.digest))
            seen[policy.key, policy.digest] = Version(
                object=policy,
                first_seen=known.first_seen if known else snapshot.taken_at,
                last_seen=snapshot.taken_at,
                current=snapshot is snapshots[-1],
                evaluated=policy.key not in snapshot.unevaluated,
            )
    found = list(seen.values())
    found.sort(key=lambda version: (version.object.digest,))
    found.sort(key=lambda version: version.last_seen, reverse=True)
    return tuple(sorted(found, key=lambda version: (version.object.key, not version.current)))


def policy_objects(snapshots: Sequence[SnapshotEvidence]) -> tuple[PolicyObject, ...]:
    """The versions with their files, in the same order."""
    every = versions(snapshots)
    files = file_names((version.object.key, version.object.digest, version.current) for version in every)
    return tuple(
        PolicyObject(
            object=str(version.object.key),
            kind=version.object.key.kind,
            group=version.object.key.group,
            namespace=version.object.key.namespace,
            name=version.object.key.name,
            digest=version.object.digest,
            file=files[version.object.key, version.object.digest],
            current=version.current,
            evaluated=version.evaluated,
            first_seen=version.first_seen,
            last_seen=version.last_seen,
            body=version.object.body,
        )
        for version in every
    )


def file_names(identities: Iterable[tuple[ObjectKey, str, bool]]) -> Mapping[tuple[ObjectKey, str], str]:
    """A path in the pack for each (key, digest). Older versions, and names that would clash or had to be cleaned, end in a digest.

    Paths hold letters, digits, ".", "-", "_" only, and differ also where upper and lower case are the same.
    """
    taken: set[str] = set()
    paths: dict[tuple[ObjectKey, str], str] = {}
    for key, digest, current in identities:
        folder, folder_kept = _clean(f"{key.kind}.{key.group}" if key.group else key.kind)
        name, name_kept = _clean(f"{key.namespace}_{key.name}" if key.namespace else key.name)
        path = f"{FOLDER}/{folder}/{name}.json"
        if not (current and folder_kept and name_kept) or path.lower() in taken:
            path = f"{FOLDER}/{folder}/{name}.{digest[:16]}.json"
        if path.lower() in taken:  # the same content under two names that were cleaned to one
            path = f"{FOLDER}/{folder}/{name}.{digest[:16]}.{len(taken)}.json"
        taken.add(path.lower())
        paths[key, digest] = path
    return paths


def _clean(name: str) -> tuple[str, bool]:
    """A file name of harmless characters, at most 80 long, that is no device on Windows, and whether it is still the whole name."""
    clean = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:80].strip(".-") or "unnamed"
    if _DEVICE.fullmatch(clean):
        clean = f"_{clean}"
    return clean, clean == name
