"""Probes: a plan for a state of a cluster, its run, the record of that, and the clearing away of what killed runs left."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evidence import __version__
from evidence.canonical import digest
from evidence.cluster.model import Cluster
from evidence.pipeline.sources import LiveSource, run_info
from evidence.pipeline.states import State

if TYPE_CHECKING:
    from evidence.collect.connection import Connection
    from evidence.probe.model import Plan, ProbeRun, Target
    from evidence.probing.api import Pods
    from evidence.probing.run import With
    from evidence.reach.engine import Reachability

IMAGE = f"localhost/evidence-probe:{__version__}"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a plan may use, and which of several equal plans it is."""

    seed: int
    targets: "Sequence[Target]" = ()
    pods: int = 60
    connections: int = 2000
    not_in: Sequence[str] = ()


def plan_probes(state: State, wishes: Wishes) -> "Plan":
    """Which connections to try of a state, within a budget."""
    from evidence.intent.zones import assign
    from evidence.probe.model import Budget
    from evidence.probe.plan import plan

    return plan(
        _analysed(state, state.cluster),
        assign(state.intent, state.cluster),
        seed=wishes.seed,
        targets=wishes.targets,
        budget=Budget(wishes.pods, wishes.connections),
        not_in=frozenset(wishes.not_in),
    )


def _analysed(state: State, cluster: Cluster) -> "Reachability":
    """A cluster under the zones of a state, as `assess` reads it."""
    from evidence.cni.detect import detect
    from evidence.cni.support import heeded
    from evidence.reach.engine import analyse

    networks = [network for zone in (state.intent.zones if state.intent else ()) for network in zone.cidrs]
    return analyse(heeded(detect(cluster), cluster), extra_networks=networks)


def run_probes(
    db: str,
    source: LiveSource,
    wishes: Wishes,
    *,
    cluster: str | None,
    intent_path: Path | None,
    image: str,
    how: "With",
    clock: Callable[[], datetime],
    show: "Callable[[Plan], None]",
    note: Callable[[str], None],
) -> "ProbeRun":
    """Take a snapshot, plan on it, show the plan, carry it out, judge what was seen, and store that beside the snapshot.

    Raises CollectError when the cluster cannot be asked, UsageError when there is nothing to probe.
    """
    from evidence.cluster.parse import build_cluster
    from evidence.collect.cluster import collect_cluster
    from evidence.pipeline.snapshots import collect_snapshot
    from evidence.pipeline.states import load_state
    from evidence.probe.document import run_json
    from evidence.probe.expect import expect, with_stand_ins
    from evidence.probe.judge import judge
    from evidence.probe.model import ProbeRun
    from evidence.probing.api import Pods
    from evidence.probing.leftovers import this_process
    from evidence.probing.pods import Mark
    from evidence.probing.run import carry_out
    from evidence.store import NewRecord, RecordKind, Store

    started_at = clock()
    connection = _connected(source)
    pods = Pods(connection)
    _clear(pods, started_at, note)
    stored = collect_snapshot(
        db,
        source,
        cluster=cluster,
        taken_at=None,
        received_at=clock(),
        intent_path=intent_path,
        keep_going=True,
        command="probe run",
        clock=clock,
    )
    for shortfall in stored.shortfalls:
        note(f"partial: {shortfall}")
    name = stored.info.cluster
    state = load_state((), db=db, cluster=name, at=None)
    plan = plan_probes(state, wishes)
    show(plan)
    mark = Mark.of(secrets.token_hex(4), this_process(), image, clock(), 2 * plan.cost.seconds + 180)
    ran = carry_out(pods, plan, mark, how, note)
    after = build_cluster(collect_cluster(connection, keep_going=True))
    reaches = [_analysed(state, with_stand_ins(found, ran)) for found in (state.cluster, after)]
    run = ProbeRun(
        id=mark.run,
        cluster=name,
        seed=plan.seed,
        started_at=started_at,
        finished_at=clock(),
        tool_version=__version__,
        identity=connection.identity,
        image=image,
        snapshot_root=stored.info.root_digest,
        snapshot_taken_at=stored.info.taken_at,
        policies=policies_digest(state),
        coverage=plan.coverage,
        results=judge(plan.probes, expect(plan.probes, reaches[0], reaches[1], ran), ran),
    )
    with Store.open(db) as store:
        store.add_record(
            NewRecord(
                cluster=name,
                kind=RecordKind.PROBE_RUN,
                starts_at=run.started_at,
                ends_at=run.finished_at,
                taken_in_at=clock(),
                document=run_json(run),
                run=run_info("probe run", connection.url, connection.identity),
            )
        )
    return run


def clean_probes(source: LiveSource, *, everything: bool, now: datetime) -> tuple[str, ...]:
    """Remove pods that killed runs left; gives their names."""
    from evidence.probing.api import Pods
    from evidence.probing.leftovers import remove_leftovers

    return remove_leftovers(Pods(_connected(source)), now, everything=everything)


def policies_digest(state: State) -> str:
    """SHA-256 over all policies and namespaces of a state by name and content: while it stays, policies say the same."""
    from evidence.pipeline.states import policy_objects

    objects = [*policy_objects(state), *(obj for obj in state.collection.objects if obj.key.kind == "Namespace")]
    lines = sorted(f"{obj.key} {obj.digest}\n" for obj in objects)
    return digest("".join(lines).encode("utf-8", "surrogatepass"))


def _connected(source: LiveSource) -> "Connection":
    from evidence.collect.cluster import connect

    return connect(
        context=source.context,
        kubeconfig=source.kubeconfig,
        in_cluster=source.in_cluster,
        impersonate=source.impersonate,
    )


def _clear(pods: "Pods", now: datetime, note: Callable[[str], None]) -> None:
    from evidence.probing.leftovers import remove_leftovers

    removed = remove_leftovers(pods, now)
    if removed:
        note(f"removed what an earlier run left: {', '.join(removed)}")
