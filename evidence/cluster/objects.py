"""Collected objects as every stage hands them on: raw but cut down to the kept fields, each with its source and digest.

A `Collection` is what one visit to one source gave: the objects, a result for each kind, and what could not be read.
It is what the store keeps and what `evidence.cluster.parse` turns into a `Cluster`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, NamedTuple

from evidence.canonical import object_digest
from evidence.errors import InputError
from evidence.values import value

_CALICO_GROUPS = ("crd.projectcalico.org", "projectcalico.org")


class ObjectKey(NamedTuple):
    """Identity of an object in a cluster. `group` is the API group ("" for core); `namespace` is "" when cluster-scoped.

    A tuple, because keys are made, hashed and sorted by the ten thousand.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        maker = "Calico " if self.group in _CALICO_GROUPS else ""  # which names some kinds as Kubernetes does
        return f"{maker}{self.kind} {where}"


@value()
class CollectedObject:
    """One object: `body` holds only kept fields (see collect/keep.py), `source` says where it was read ("file.yaml:12" or an API path).

    `kept` is False while the body is still whole, as read for analysis alone: such an object has no digest, is never stored and
    never shown. The digest is computed on first use, because most runs of the analysis never ask for it.
    """

    key: ObjectKey
    body: Mapping[str, Any] = field(repr=False)
    source: str
    kept: bool = True
    _digest: str = field(default="", repr=False, compare=False)

    @classmethod
    def of(cls, key: ObjectKey, body: Mapping[str, Any], source: str) -> "CollectedObject":
        return cls(key, body, source)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the kept body; "" for a whole one."""
        if not self._digest and self.kept:
            try:
                object.__setattr__(self, "_digest", object_digest(self.body))
            except InputError as error:
                raise InputError(f"{self.source}: {self.key}: {error}") from error
        return self._digest


class KindStatus(StrEnum):
    LISTED = "listed"
    NOT_SERVED = "not served"
    FORBIDDEN = "forbidden"
    FAILED = "failed"
    NOT_IN_SOURCE = "not in source"  # a file source cannot say whether the cluster has none or the dump left it out
    NOT_KEPT = "not kept"  # objects of this kind were in the source and were passed over, on purpose


@value()
class KindResult:
    """How the listing of one kind went. `message` is for a person: the missing verb, the error."""

    group: str
    kind: str
    status: KindStatus
    count: int = 0
    resource_version: str = ""
    message: str = ""


@value()
class Problem:
    """An object or document that was left out (with --keep-going), and why. `kind` is "" when it may be of any kind."""

    where: str
    message: str
    kind: str = ""


@value()
class SourceInfo:
    """Where a collection came from. `method` is "files" or "api"; the rest is as far as known."""

    method: str
    location: str  # paths, or the API server's URL
    identity: str = ""  # user as the API server names it
    server_version: str = ""
    cluster_uid: str = ""  # uid of the kube-system namespace; from files it is what they claim


def cluster_uid(objects: Iterable[CollectedObject]) -> str:
    """The uid of the kube-system namespace, which stands for the cluster's own; "" where it is not among the objects or has none."""
    wanted = ObjectKey("", "Namespace", "", "kube-system")
    uid = next((obj.body["metadata"].get("uid") for obj in objects if obj.key == wanted), "")
    return uid if isinstance(uid, str) else ""


@value()
class Collection:
    """What one visit to one source gave; `objects` are sorted by key and unique."""

    source: SourceInfo
    objects: tuple[CollectedObject, ...]
    kinds: tuple[KindResult, ...]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def partial(self) -> bool:
        """True when something that should be here is known to be missing."""
        return bool(self.problems) or any(k.status in (KindStatus.FORBIDDEN, KindStatus.FAILED) for k in self.kinds)
