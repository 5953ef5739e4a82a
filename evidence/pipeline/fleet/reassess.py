"""All of a period's history evaluated again by today's rules and mappings, and laid beside what was said before.

Whoever ran it, in whatever order and with however many workers: the same store, rules and mappings give the same files, byte for byte.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.errors import UsageError
from evidence.frameworks.coverage import Coverage, coverage_so_far
from evidence.frameworks.judge import baseline_of
from evidence.frameworks.load import load_frameworks
from evidence.pipeline.fleet.before import Before, earlier_moments, read_before
from evidence.pipeline.fleet.compare import (
    Comparison,
    came_since,
    control_changes,
    plain,
    rule_changes,
)
from evidence.pipeline.fleet.folder import SUMMARY, done, read_unit, refuse_another, unit_path, write_whole
from evidence.pipeline.fleet.here import Outcome, run_here
from evidence.pipeline.fleet.results import (
    Moment,
    moments_of,
    period_findings,
    period_results,
    within,
)
from evidence.pipeline.fleet.units import Rulebook, Unit, units_of
from evidence.pipeline.reports import chosen_frameworks
from evidence.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evidence.frameworks.model import ControlResult
    from evidence.pipeline.fleet.before import PackSaid
    from evidence.pipeline.fleet.results import Finding

Engine = Callable[[Store, Rulebook, Sequence[Unit]], Iterator[Outcome]]


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is, in units: `total` of them, `before` of these done by an earlier run, `done` and `failed` by this one."""

    total: int
    before: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class ClusterResult:
    """One cluster over the period. `whole`: every month of it was evaluated; otherwise nothing is said of its controls and findings.

    `results` are by framework, `findings` those that were open at any time, `changes` the snapshots at which something was otherwise.
    """

    cluster: str
    snapshots: int
    first: datetime | None
    last: datetime | None
    whole: bool
    changes: int
    results: "Mapping[str, Mapping[str, ControlResult]]"
    findings: "Mapping[str, Finding]"
    comparisons: tuple[Comparison, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reassessed:
    """A run's end. `against` is "", "packs" or "reassessment"; `left_out`: what of it was not compared, and why. The period's end is exclusive."""

    start: datetime
    end: datetime
    expected_every: timedelta
    rulebook: Rulebook
    step: Step
    failures: tuple[tuple[Unit, str], ...]
    clusters: tuple[ClusterResult, ...]
    against: str
    left_out: tuple[tuple[str, str], ...]


def reassess(
    db: str,
    *,
    clusters: Sequence[str],
    frameworks: Sequence[str],
    since: datetime,
    until: datetime | None,
    folder: Path,
    against: Path | None,
    expect_every: timedelta,
    baseline: str | None = None,
    controls_folders: Sequence[Path] = (),
    engine: Engine = run_here,
    progress: Callable[[Step], None] = lambda _: None,
) -> Reassessed:
    """Evaluate what is not in `folder` yet, write it there with a summary, and give that. `clusters`: none for all of the store.

    `until` None: up to the newest snapshot. A unit that fails is named in the result. Raises UsageError, and StoreError when the store is gone;
    what was done until then is kept.
    """
    from evidence.pipeline.fleet.summary import summary_bytes

    rulebook = Rulebook(chosen_frameworks(load_frameworks(controls_folders), frameworks), baseline)
    for framework in rulebook.frameworks:
        baseline_of(framework, None, baseline)  # raises for a baseline that it does not have
    if against is not None and against.resolve() == folder.resolve():
        raise UsageError(
            "--against and --to are the same folder: give another --to, so that there is something to compare"
        )
    refuse_another(folder)
    before = read_before(against) if against else None
    with Store.open(db, read_only=True) as store:
        names = _clusters(store, clusters)
        end = _end(store, names, since, until)
        rules = rulebook.described()
        units = [unit for name in names for unit in units_of(store, name, (since, end), rules)]
        if not units:
            raise UsageError(f"there is no snapshot between {since:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC")
        failures, step = _run(store, rulebook, units, folder, engine, progress)
        missing = {(unit.cluster, unit.month) for unit, _ in failures}
        found = tuple(
            _cluster_result(store, name, (since, end), until, expect_every, rulebook, units, missing, folder, before)
            for name in names
        )
    kind = "" if before is None else "reassessment" if before.entries is None else "packs"
    left_out = (*(before.left_out if before else ()), *(one for each in found for one in each.left_out))
    result = Reassessed(since, end, expect_every, rulebook, step, failures, found, kind, left_out)
    write_whole(folder / SUMMARY, summary_bytes(result))
    return result


def _clusters(store: Store, asked: Sequence[str]) -> tuple[str, ...]:
    known = store.clusters()
    if not known:
        raise UsageError(f"the store {store.url} holds no snapshot yet; run `evidence collect` first")
    for name in asked:
        if name not in known:
            raise UsageError(f"there is no cluster {name!r} in the store: give --cluster, any of {', '.join(known)}")
    return tuple(name for name in known if not asked or name in asked)


def _end(store: Store, clusters: Sequence[str], since: datetime, until: datetime | None) -> datetime:
    """The end of the period: not later than just after the newest snapshot, so that a run of today and one of tomorrow say the same."""
    newest = max(store.latest(name).taken_at for name in clusters) + timedelta(microseconds=1)
    end = min(until, newest) if until else newest
    if end <= since:
        raise UsageError(f"nothing was collected since {since:%Y-%m-%d %H:%M} UTC that is before the end of the period")
    return end


def _run(
    store: Store,
    rulebook: Rulebook,
    units: Sequence[Unit],
    folder: Path,
    engine: Engine,
    progress: Callable[[Step], None],
) -> tuple[tuple[tuple[Unit, str], ...], Step]:
    left = [unit for unit in units if not done(folder, unit)]
    step = Step(len(units), len(units) - len(left), 0, 0)
    progress(step)
    failures: list[tuple[Unit, str]] = []
    for outcome in engine(store, rulebook, left) if left else ():
        if outcome.failure:
            failures.append((outcome.unit, outcome.failure))
        else:
            write_whole(unit_path(folder, outcome.unit.cluster, outcome.unit.month), outcome.result)
        step = Step(len(units), step.before, step.done + (not outcome.failure), len(failures))
        progress(step)
    order = {(unit.cluster, unit.month): number for number, unit in enumerate(units)}
    failures.sort(key=lambda failure: order[failure[0].cluster, failure[0].month])
    return tuple(failures), step


# -- the end ----------------------------------------------------------------------------------------------------------


def _cluster_result(
    store: Store,
    cluster: str,
    period: tuple[datetime, datetime],
    until: datetime | None,
    expect_every: timedelta,
    rulebook: Rulebook,
    units: Sequence[Unit],
    missing: set[tuple[str, str]],
    folder: Path,
    before: Before | None,
) -> ClusterResult:
    own = [unit for unit in units if unit.cluster == cluster]
    infos = store.snapshots(cluster, *period)
    snapshots = [(info.taken_at, info.root_digest) for info in infos]
    times = [taken_at for taken_at, _ in snapshots]
    first, last = (times[0], times[-1]) if times else (None, None)
    if not own or any((unit.cluster, unit.month) in missing for unit in own):
        return ClusterResult(cluster, len(times), first, last, not own, 0, {}, {}, ())
    months = [read_unit(unit_path(folder, cluster, unit.month)) for unit in own]
    moments = moments_of(months)
    covered = coverage_so_far(times, *period, expect_every, period[1])
    results = {each.id: period_results(moments, each.id, covered) for each in rulebook.frameworks}
    comparisons: list[Comparison] = []
    left_out: list[tuple[str, str]] = []
    if before is not None and before.entries is None:
        comparisons = list(_beside_reassessment(before, own, months, snapshots, expect_every, rulebook))
        if not comparisons:
            left_out.append((cluster, "the earlier reassessment has no month of it"))
    elif before is not None:
        for pack in before.packs(cluster):
            if isinstance(pack, tuple):
                left_out.append(pack)
            elif why := _not_comparable(pack, period[0], until, rulebook):
                left_out.append((pack.name, why))
            else:
                comparisons.append(_beside_pack(pack, moments, snapshots))
    return ClusterResult(
        cluster=cluster,
        snapshots=len(times),
        first=first,
        last=last,
        whole=True,
        changes=len(moments),
        results=results,
        findings=period_findings(moments),
        comparisons=tuple(comparisons),
        left_out=tuple(left_out),
    )


def _not_comparable(pack: "PackSaid", since: datetime, until: datetime | None, rulebook: Rulebook) -> str:
    if pack.framework not in {each.id for each in rulebook.frameworks}:
        return f"it is about {pack.framework}, which was not asked for"
    if pack.start < since:
        return f"its period begins before --since: give {pack.start:%Y-%m-%dT%H:%MZ}, or an earlier time"
    if until is not None and pack.end > until:
        return f"its period ends after --until: give {pack.end:%Y-%m-%dT%H:%MZ}, or a later time"
    return ""


def _beside_pack(pack: "PackSaid", moments: Sequence[Moment], snapshots: Sequence[tuple[datetime, str]]) -> Comparison:
    inside = [(taken_at, root) for taken_at, root in snapshots if pack.start <= taken_at < pack.end]
    times = [taken_at for taken_at, _ in inside]
    told = within(moments, times[0], pack.end) if times else ()
    covered = (
        coverage_so_far(times, pack.start, pack.end, pack.expected_every, pack.generated_at)
        if times
        else Coverage(0.0, (), timedelta())
    )
    now, findings = period_results(told, pack.framework, covered), period_findings(told)
    return Comparison(
        cluster=pack.cluster,
        framework=pack.framework,
        source=pack.name,
        start=pack.start,
        end=pack.end,
        compared=len(now),
        controls=control_changes(pack.results, now, findings),
        findings=rule_changes(pack.findings, findings),
        remarks=came_since([root for _, root in inside], pack.roots),
    )


def _beside_reassessment(
    before: Before,
    units: Sequence[Unit],
    months: "Sequence[Mapping[str, object]]",
    snapshots: Sequence[tuple[datetime, str]],
    expect_every: timedelta,
    rulebook: Rulebook,
) -> Iterator[Comparison]:
    pairs = [
        (unit, month, earlier)
        for unit, month in zip(units, months, strict=True)
        if (earlier := before.month(unit.cluster, unit.month)) is not None
    ]
    if not pairs:
        return
    common = {unit.month for unit, _, _ in pairs}
    times = [taken_at for taken_at, _ in snapshots if f"{taken_at:%Y-%m}" in common]
    start, end = times[0], times[-1] + timedelta(microseconds=1)
    covered = coverage_so_far(times, start, end, expect_every, end)
    was, now = earlier_moments([earlier for _, _, earlier in pairs]), moments_of([month for _, month, _ in pairs])
    others = sum(earlier["inputs"].get("snapshots") != unit.inputs["snapshots"] for unit, _, earlier in pairs)
    remarks = (f"of {others} of its months the earlier reassessment had other snapshots",) if others else ()
    for framework in rulebook.frameworks:
        if not any(framework.id in moment.results for moment in was):
            continue
        results, findings = period_results(now, framework.id, covered), period_findings(now)
        yield Comparison(
            cluster=units[0].cluster,
            framework=framework.id,
            source="",
            start=start,
            end=end,
            compared=len(results),
            controls=control_changes(plain(period_results(was, framework.id, covered)), results, findings),
            findings=rule_changes(period_findings(was), findings),
            remarks=remarks,
        )
