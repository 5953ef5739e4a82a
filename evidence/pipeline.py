"""The use cases in order, one function each: snapshot, assess, report, archive, verify.

No logic of its own: each function asks the parts below for their step and hands the value on. The command line and the service call
these and nothing deeper. Time comes in as an argument. Heavy imports stay inside the function that needs them.
"""

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evidence import __version__
from evidence.canonical import digest
from evidence.cluster.model import Cluster
from evidence.cluster.objects import Collection
from evidence.errors import CollectError, EvidenceError, InputError, ReportError, UsageError

if TYPE_CHECKING:
    from evidence.cni.detect import CniReport
    from evidence.findings.registry import Assessment
    from evidence.frameworks.judge import ControlResult
    from evidence.frameworks.load import Framework
    from evidence.intent.model import Intent
    from evidence.intent.zones import ZoneMap
    from evidence.reach.engine import Reachability
    from evidence.seal.keys import Signer
    from evidence.seal.verify import Verification
    from evidence.store import SnapshotInfo, Store


# -- collect ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileSource:
    """Manifests or dumps; "-" among `paths` reads `stdin`."""

    paths: Sequence[str]
    stdin: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A live API server by kubeconfig context, or from inside a pod."""

    context: str | None = None
    kubeconfig: str | None = None
    in_cluster: bool = False
    impersonate: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What `collect_snapshot` left in the store. `shortfalls` names what is missing from it, one sentence each."""

    info: "SnapshotInfo"
    new_objects: int
    shortfalls: tuple[str, ...]


def read_source(source: FileSource | LiveSource, *, keep_going: bool) -> tuple[Collection, str]:
    """The collection and the name by which the source knows the cluster ("" for files)."""
    if isinstance(source, FileSource):
        from evidence.collect.files import collect_files

        return collect_files(source.paths, stdin=source.stdin, keep_going=keep_going), ""
    from evidence.collect.cluster import collect_cluster, connect

    connection = connect(
        context=source.context,
        kubeconfig=source.kubeconfig,
        in_cluster=source.in_cluster,
        impersonate=source.impersonate,
    )
    return collect_cluster(connection, keep_going=keep_going), connection.cluster_name


def shortfalls(collection: Collection) -> tuple[str, ...]:
    """One sentence for each thing that is known to be missing from a collection."""
    from evidence.cluster.objects import KindStatus

    kinds = tuple(
        f"{kind.kind}: {kind.status.value}{': ' + kind.message if kind.message else ''}"
        for kind in collection.kinds
        if kind.status in (KindStatus.FORBIDDEN, KindStatus.FAILED)
    )
    return kinds + tuple(f"{problem.where}: {problem.message}" for problem in collection.problems)


def collect_snapshot(
    db: str,
    source: FileSource | LiveSource,
    *,
    cluster: str | None,
    taken_at: datetime | None,
    received_at: datetime,
    intent_path: Path | None,
    keep_going: bool,
) -> Stored:
    """Read one source and store it whole, or raise and store nothing. `taken_at` None: taken now, by us."""
    from evidence.store import NewSnapshot, Store

    intent = read_intent(intent_path)
    with Store.open(db) as store:  # before the collection: a store that cannot be written fails at once
        collection, own_name = read_source(source, keep_going=keep_going)
        name = cluster or own_name
        if not name:
            raise CollectError("the cluster has no name here; give one with --cluster NAME")
        before = store.object_count()
        info = store.add_snapshot(
            NewSnapshot(
                cluster=name,
                taken_at=taken_at or received_at,
                taken_at_claimed=taken_at is not None,
                received_at=received_at,
                collection=collection,
                intent=intent,
                run=run_info(collection, "collect"),
            )
        )
        return Stored(info, store.object_count() - before, shortfalls(collection))
