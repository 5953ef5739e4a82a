"""Following a live cluster: which changes change what is reachable, and what is put on record of them."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evidence.cluster.model import Cluster
from evidence.cluster.objects import CollectedObject, Collection, ObjectKey
from evidence.cluster.rbac import GROUP as RBAC
from evidence.pipeline.snapshots import Stored, shortfalls
from evidence.pipeline.sources import LiveSource, read_intent, run_info
from evidence.pipeline.spooling import enter

if TYPE_CHECKING:
    from evidence.cni.model import Enforcement
    from evidence.collect.follow import Follower
    from evidence.reach.engine import Reachability
    from evidence.store.spool import Spool

COMMAND = "collect --watch"

# Kinds that no policy and no pod hangs on. The rest is looked at: better once too often.
_NOT_ASKED = frozenset(
    {
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)
# Looked at for rules that name a Service alone, which only these makers' policies have; an EndpointSlice changes with every pod that is ready.
_OF_SERVICES = frozenset({("", "Service"), ("discovery.k8s.io", "EndpointSlice")})
_GROUPS_NOT_ASKED = frozenset({RBAC, "gateway.networking.k8s.io"})
# What changes by itself, or only says how something changed.
_RESTLESS = {"metadata": ("managedFields", "generation"), "status": ("conditions", "replicas", "readyReplicas")}

Changes = Iterable[tuple[ObjectKey, CollectedObject | None, CollectedObject | None]]


def follow(source: LiveSource, clock: Callable[[], datetime]) -> tuple["Follower", str]:
    """A follower of the cluster, everything listed once, and the name by which the source knows the cluster.

    Raises CollectError, also when the account may not watch.
    """
    from evidence.collect.connection import connect
    from evidence.collect.follow import Follower
    from evidence.collect.watch import Wire, require_watching

    connection = connect(
        context=source.context,
        kubeconfig=source.kubeconfig,
        in_cluster=source.in_cluster,
        impersonate=source.impersonate,
    )
    require_watching(connection)
    follower = Follower(Wire(connection, clock))
    try:
        follower.look_again()
    except BaseException:
        follower.wire.close()  # some kinds may be watched already
        raise
    return follower, connection.cluster_name


def _essence(obj: CollectedObject | None) -> Any:
    if obj is None:
        return None
    found = dict(obj.body)
    for part, names in _RESTLESS.items():
        if isinstance(found.get(part), dict):
            found[part] = {name: value for name, value in found[part].items() if name not in names}
    return found


class Judge:
    """Says of each state of a cluster whether it allows other connections than the one before."""

    def __init__(self, collection: Collection) -> None:
        from evidence.reach.engine import analyse

        self._cluster, self._enforcement = _as_enforced(collection)
        self._reach: Reachability = analyse(self._cluster)

    def bears(self, changes: Changes) -> bool:
        """Whether a change is of the kind that may change what is reachable: a status that only reports does not."""
        by_service = bool(self._cluster.calico_policies or self._cluster.cilium_policies)
        return any(
            key.group not in _GROUPS_NOT_ASKED
            and (key.group, key.kind) not in _NOT_ASKED
            and (by_service or (key.group, key.kind) not in _OF_SERVICES)
            and _essence(before) != _essence(after)
            for key, before, after in changes
        )

    def changed(self, collection: Collection) -> bool:
        """Whether more or less may connect in this state than in the last one, may do so, or nobody can say.

        A change of a policy that is not evaluated, of the labels of a namespace (zones hang on them), of whether policies are enforced, and
        of what could be read counts: where it is not known that nothing changed, the state is kept.
        """
        from evidence.reach.incremental import updated

        before = _beside_reach(self._cluster, self._enforcement)
        self._cluster, self._enforcement = _as_enforced(collection)
        diff = updated(self._reach, self._cluster)
        self._reach = diff.after
        return bool(diff.changes or diff.possible or before != _beside_reach(self._cluster, self._enforcement))


def _as_enforced(collection: Collection) -> "tuple[Cluster, Enforcement]":
    """The cluster with the policies that count in it, and whether they are enforced."""
    from evidence.cluster.parse import build_cluster
    from evidence.cni.detect import detect
    from evidence.cni.support import heeded

    cluster = build_cluster(collection)
    report = detect(cluster)
    return heeded(report, cluster), report.enforcement


def _beside_reach(cluster: Cluster, enforcement: "Enforcement") -> tuple[object, ...]:
    """What a state is known by beside its connections."""
    return (
        {name: space.labels for name, space in cluster.namespaces.items()},
        {policy.key: _essence(policy.origin) for policy in cluster.other_policies},
        cluster.unread_kinds,
        enforcement,
    )


def store_state(
    db: str,
    cluster: str,
    collection: Collection,
    taken_at: datetime,
    intent_path: Path | None,
    clock: Callable[[], datetime],
    spool: "Spool",
    note: Callable[[str], None],
) -> Stored:
    """Store a state of the watched cluster whole. Raises SpooledError when it waits in the spool; after any other error it is kept nowhere."""
    from evidence.store import NewSnapshot

    new = NewSnapshot(
        cluster=cluster,
        taken_at=taken_at,
        taken_at_claimed=False,
        received_at=taken_at,
        collection=collection,
        intent=read_intent(intent_path),
        run=run_info(COMMAND, collection.source.location, collection.source.identity),
        finished_at=max(clock(), taken_at),
    )
    entered = enter(db, spool, new, clock, note)
    return Stored(entered.info, entered.new_objects, shortfalls(collection), entered.log, entered.behind)


def last_on_record(db: str, cluster: str, now: datetime) -> datetime | None:
    """The end of the last run that the store knows of the cluster, whether it went well or not; None when it has no snapshot."""
    from evidence.store import Store

    with Store.open(db) as store:
        if cluster not in store.clusters():
            return None
        newest = store.latest(cluster).taken_at - timedelta(days=1)  # a run that failed may have begun before
        return max(run.finished_at for run in store.runs(cluster, newest, now + timedelta(seconds=1)))
