"""One cluster at one time, from the store or straight from files, and what analysis says of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.model import Cluster
from evidence.cluster.objects import CollectedObject, Collection
from evidence.errors import UsageError
from evidence.pipeline.sources import FileSource, parsed_intent, read_intent, read_source

if TYPE_CHECKING:
    from evidence.cluster.known import Known
    from evidence.cni.model import CniReport
    from evidence.findings.lasting import Lasting
    from evidence.findings.registry import Assessment, Rule
    from evidence.intent.model import Intent
    from evidence.intent.zones import ZoneMap
    from evidence.observe.seen import Observations
    from evidence.probe.standing import Standing
    from evidence.reach.classes import ExternalRange
    from evidence.reach.engine import Reachability
    from evidence.reach.groups import Names
    from evidence.store import SnapshotInfo, Store, StoredSnapshot


@dataclass(frozen=True, slots=True)
class State:
    """One cluster at one time, from the store or straight from files. `info` is None for files, `taken_at` too when nobody said."""

    collection: Collection
    cluster: Cluster
    intent: "Intent | None"
    info: "SnapshotInfo | None" = None

    @property
    def taken_at(self) -> datetime | None:
        return self.info.taken_at if self.info else None


def load_cluster(
    from_paths: Sequence[str], db: str | None, cluster: str | None, at: datetime | None, keep_going: bool = False
) -> Cluster:
    """The cluster of a snapshot in the store, or of files; of files nothing has a digest, which analysis alone does not need."""
    if from_paths:
        import sys

        from evidence.collect.files import read_cluster

        return read_cluster(from_paths, stdin=sys.stdin.buffer, keep_going=keep_going)
    return load_state(from_paths, db=db, cluster=cluster, at=at, keep_going=keep_going).cluster


def load_state(
    from_paths: Sequence[str],
    *,
    db: str | None,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool = False,
    intent_path: Path | None = None,
) -> State:
    """A snapshot of the store (default the newest), or files; the intent is the given one, else the one kept with the snapshot."""
    from evidence.cluster.parse import build_cluster

    given = read_intent(intent_path)
    if from_paths:
        import sys

        collection, _ = read_source(FileSource(from_paths, sys.stdin.buffer), keep_going=keep_going)
        return State(collection, build_cluster(collection), parsed_intent(given, str(intent_path)))
    from evidence.store import Store

    if not db:
        raise UsageError("nothing to read: give --from PATH or --db URL")
    with Store.open(db, read_only=True) as store:
        snapshot = store.read(store.latest(only_cluster(store, cluster), at=at).id)
    state = state_of(snapshot)
    return replace(state, intent=parsed_intent(given, str(intent_path))) if given else state


def snapshot_state(db: str, cluster: str | None, number: int) -> State:
    """The state that one snapshot of the store holds, by its number. `cluster`: it has to be of this one."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        snapshot = store.read(number)
    if cluster is not None and snapshot.info.cluster != cluster:
        raise UsageError(f"snapshot {number} is of cluster {snapshot.info.cluster}, not of {cluster}")
    return state_of(snapshot)


def state_of(snapshot: "StoredSnapshot", before: State | None = None, known: "Known | None" = None) -> State:
    """The state that a snapshot of the store holds. What is the same as in `before`, a state of the same cluster, is shared with it; so is, with
    `known`, what was read of the cluster before."""
    from evidence.cluster.parse import build_cluster

    info, collection = snapshot.info, snapshot.collection
    if before is not None and before.info is not None and reads_alike(before.collection, collection):
        collection = replace(collection, objects=before.collection.objects)
        cluster = before.cluster
    else:
        cluster = build_cluster(collection, known)
    if before is not None and before.info is not None and before.info.intent_digest == info.intent_digest:
        intent = before.intent
    else:
        intent = parsed_intent(snapshot.intent, f"intent file {info.intent_digest[:16]} of the store")
    return State(collection, cluster, intent, info)


def reads_alike(one: Collection, other: Collection) -> bool:
    """True when the same cluster is built from both: the same objects, and the same things left out."""
    left_out = [[(kind.group, kind.kind, kind.status) for kind in each.kinds] for each in (one, other)]
    return left_out[0] == left_out[1] and (one.objects, one.problems) == (other.objects, other.problems)


def only_cluster(store: "Store", name: str | None) -> str:
    """The named cluster, or the only one. Raises UsageError that lists them."""
    names = store.clusters()
    if name is None and len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"the store {store.url} holds no snapshot yet; run `evidence collect` first")
    if name is None or name not in names:
        asked = f"there is no cluster {name!r} in the store" if name else "the store holds several clusters"
        raise UsageError(f"{asked}: give --cluster, one of {', '.join(names)}")
    return name


def policy_objects(state: State) -> tuple[CollectedObject, ...]:
    """All policy objects as collected, evaluated or not."""
    cluster = state.cluster
    keys = {policy.key for policy in cluster.policies} | {policy.key for policy in cluster.cluster_policies}
    keys |= {policy.key for policy in cluster.calico_policies} | {policy.key for policy in cluster.cilium_policies}
    keys |= {policy.key for policy in cluster.other_policies}
    return tuple(obj for obj in state.collection.objects if obj.key in keys)


@dataclass(frozen=True, slots=True)
class Assessed:
    """What analysis says of one state."""

    state: State
    reach: "Reachability"
    zones: "ZoneMap"
    cni: "CniReport"
    assessment: "Assessment"
    observed: "Observations | None" = None
    probed: "Standing | None" = None
    lasting: "Lasting | None" = None  # of the states of this cluster up to this one


@without_cycle_search()  # a quarter of the time, and an analysis leaves no cycle behind
def assess(
    state: State,
    at: datetime,
    before: Assessed | None = None,
    observed: "Callable[[State, Reachability], Observations | None] | None" = None,
    probed: "Callable[[State, Reachability, ZoneMap], Standing | None] | None" = None,
    rules: "Iterable[Rule] | None" = None,
) -> Assessed:
    """Findings of a state as of `at`; a pure function of its arguments. `before`: an assessment of the same cluster and intent, not computed
    again. `observed` tells what logs saw around a state, `probed` what probe runs say of it, None for nothing. `rules`: only these."""
    from evidence.findings.lasting import Lasting
    from evidence.findings.registry import Context, evaluate
    from evidence.intent.zones import assign
    from evidence.pipeline.unseen import unseen_kinds

    lasting = (before.lasting if before is not None else None) or Lasting()
    if before is not None and before.state.cluster is state.cluster and before.state.intent is state.intent:
        reach, zones, cni = before.reach, before.zones, before.cni
    else:
        lasting.begin()
        cni, reach = reach_of(state)
        if before is not None and before.cni == cni:
            cni = before.cni
        zones = assign(state.intent, state.cluster)
    seen = observed(state, reach) if observed else None
    standing = probed(state, reach, zones) if probed else None
    context = Context(
        cluster=reach.cluster,
        reach=reach,
        cni=cni,
        intent=state.intent,
        zones=zones,
        at=at,
        taken_at=state.taken_at or at,
        unseen=lasting.of(unseen_kinds, state.collection),
        observed=seen,
        probed=standing,
        lasting=lasting,
    )
    return Assessed(state, reach, zones, cni, evaluate(context, rules), seen, standing, lasting)


def reach_of(state: State) -> "tuple[CniReport, Reachability]":
    """What the plugin is, and who may connect to whom where it heeds the policies. Ranges of addresses are cut by the zones' networks, too."""
    from evidence.cni.detect import detect
    from evidence.cni.support import heeded
    from evidence.reach.engine import analyse

    networks = [network for zone in (state.intent.zones if state.intent else ()) for network in zone.cidrs]
    cni = detect(state.cluster)
    return cni, analyse(heeded(cni, state.cluster), extra_networks=networks)


def names_in(reach: "Reachability", zones: "ZoneMap", intent: "Intent | None") -> "Names":
    """What people may call groups of a cluster whose outside was cut by the zones' networks."""
    from evidence.reach.groups import Names

    def inside(name: str) -> "Callable[[ExternalRange], bool]":
        return lambda found: any(zone.name == name for zone in zones.of_address(found.first))

    declared = intent.zones if intent else ()
    return Names(reach, {zone.name: (zones.pods(zone.name), inside(zone.name)) for zone in declared})
