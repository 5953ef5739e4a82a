"""A period assessed, judged, rendered, signed and filed: one pack for each framework."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evidence import __version__
from evidence.cluster.objects import CollectedObject
from evidence.cluster.rbac import GROUP as RBAC
from evidence.errors import ReportError, SealError, StoreAwayError, UsageError
from evidence.pipeline.judging import Judging
from evidence.pipeline.log import STDOUT, Keeping, enter_pack, log_of_pack, timestamp
from evidence.pipeline.looks import Period, assessed_snapshots, outlines_of
from evidence.pipeline.observations import SeenInPeriod, seen_in
from evidence.pipeline.packs import build_archive
from evidence.pipeline.retention import Gone, gone_in
from evidence.pipeline.states import Assessed, State, only_cluster, policy_objects

if TYPE_CHECKING:
    from evidence.frameworks.load import Framework
    from evidence.report.view.inputs import SnapshotEvidence
    from evidence.seal.keys import Signer
    from evidence.store import RunRecord, Store


@dataclass(frozen=True, slots=True)
class Signing:
    """Which key signs: the given files, or one made on first use in the folder of the log's key."""

    key: Path | None
    certificate: Path | None
    keeping: Keeping
    required: bool = False


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack as written. `verdicts`: control results by verdict; `fingerprint`: SHA-256 of the signer's certificate; `problems`: one
    sentence for each timestamp or copy of a checkpoint that could not be had; `checkpoint`: the line of the checkpoint after it, where one is to
    be printed."""

    folder: Path
    verdicts: Mapping[str, int]
    fingerprint: str
    problems: tuple[str, ...] = ()
    checkpoint: str = ""


def signer(signing: Signing, organisation: str, now: datetime) -> "Signer":
    """The key that signs. Raises SealError for a half-given or missing key."""
    from evidence.seal import keys

    if (signing.key is None) != (signing.certificate is None):
        raise UsageError("--key and --certificate go together")
    if signing.key and signing.certificate:
        password = os.environ.get("EVIDENCE_KEY_PASSWORD")
        return keys.load(signing.key, signing.certificate, password.encode() if password else None, now=now)
    if signing.required:
        raise SealError("no key is configured: give --key and --certificate, or leave out --require-signing")
    return keys.load_or_create(signing.keeping.folder, organisation, now)


def check_plan(db: str, frameworks: Sequence[str], controls_folders: Sequence[Path]) -> None:
    """Raise now what every run of a schedule would raise: an unknown framework, a store that cannot be written.

    A store that is away is none: it may come back, and what is taken until then waits in the spool.
    """
    from evidence.frameworks.load import load_frameworks
    from evidence.store import Store

    chosen_frameworks(load_frameworks(controls_folders), frameworks)
    with suppress(StoreAwayError):
        Store.open(db).close()


def make_reports(
    db: str,
    *,
    cluster: str | None,
    frameworks: Sequence[str],
    period: Period,
    archive: Path,
    signing: Signing,
    generated_at: datetime,
    expect_every: timedelta,
    baseline: str | None = None,
    controls_folders: Sequence[Path] = (),
) -> tuple[Pack, ...]:
    """Assess every snapshot of a period once, then render, sign and file one pack for each framework, and build the archive again."""
    from evidence.frameworks.load import load_frameworks
    from evidence.store import Store

    chosen = chosen_frameworks(load_frameworks(controls_folders), frameworks)
    try:
        archive.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{archive}: cannot be made: {error.strerror}; choose another --archive") from error
    with Store.open(db, read_only=True) as store:
        name = only_cluster(store, cluster)
        judged = judge_period(store, name, period, chosen, baseline)
        gone = gone_in(store, name, period)
        runs = store.runs(name, *period)
    organisation = judged.newest.state.intent.system.organisation if judged.newest.state.intent else ""
    key = signer(signing, organisation or "evidence", generated_at)
    packs = tuple(
        make_pack(
            framework,
            name,
            judged,
            gone,
            runs,
            period,
            archive,
            db,
            signing.keeping,
            key,
            generated_at,
            expect_every,
            baseline,
        )
        for framework in chosen
    )
    build_archive(archive)
    return packs


def chosen_frameworks(known: "Mapping[str, Framework]", asked: Sequence[str]) -> "tuple[Framework, ...]":
    """Frameworks by id or short name; "all" is every one. Raises UsageError that lists them."""
    if "all" in asked:
        return tuple(known.values())
    chosen = []
    for name in asked:
        found = [framework for framework in known.values() if name in (framework.id, framework.short)]
        if not found:
            names = ", ".join(sorted(framework.short for framework in known.values()))
            raise UsageError(f"there is no framework {name!r}: choose among {names}, all")
        chosen += found
    return tuple(chosen)


@dataclass(frozen=True, slots=True)
class JudgedPeriod:
    """The snapshots of a period, oldest first, judged by each framework (its id); the newest in full. `seen`: what logs tell of the period."""

    snapshots: "Mapping[str, tuple[SnapshotEvidence, ...]]"
    seen: SeenInPeriod
    newest: Assessed


def judge_period(
    store: "Store", cluster: str, period: Period, frameworks: "Sequence[Framework]", baseline: str | None
) -> JudgedPeriod:
    """Assess every snapshot of a period, and judge it by each framework. Raises UsageError when there is none."""
    from evidence.store import collection_of

    outlines = outlines_of(store, cluster, period)
    newest = collection_of(outlines[-1], ()).source
    judgings = [Judging(framework, baseline, newest) for framework in frameworks]
    judged: dict[str, list[SnapshotEvidence]] = {framework.id: [] for framework in frameworks}
    seen = []
    before: tuple[Assessed, SnapshotEvidence] | None = None
    for one in assessed_snapshots(store, outlines, period):
        evidence = snapshot_evidence(one, before)
        for judging in judgings:
            judged[judging.framework.id].append(replace(evidence, results=judging.results(one)))
        seen.append((evidence.taken_at, one.observed))
        before = one, evidence
    assert before is not None  # noqa: S101  (there is a snapshot)
    snapshots = {name: tuple(found) for name, found in judged.items()}
    return JudgedPeriod(snapshots, seen_in(seen, period), before[0])


def make_pack(
    framework: "Framework",
    cluster: str,
    period_judged: JudgedPeriod,
    gone: Gone | None,
    runs: "Sequence[RunRecord]",
    period: tuple[datetime, datetime],
    archive: Path,
    db: str,
    keeping: Keeping,
    key: "Signer",
    generated_at: datetime,
    expect_every: timedelta,
    baseline: str | None,
) -> Pack:
    """Judge, render, prove from the log, sign and write one pack. The folder appears whole or not at all; an earlier one is never overwritten."""
    from evidence.archive.folder import write_pack
    from evidence.frameworks.coverage import coverage_so_far
    from evidence.frameworks.judge import baseline_of, worst
    from evidence.report.pack import pack_files
    from evidence.report.view.build import build_view
    from evidence.report.view.inputs import CurrentState, ReportInputs, ScheduledRun, SignerIdentity
    from evidence.sample import CLUSTER_NAME
    from evidence.seal.pack import seal

    newest, judged = period_judged.newest, period_judged.snapshots[framework.id]
    organisation = newest.state.intent.system.organisation if newest.state.intent else ""
    times = [snapshot.taken_at for snapshot in judged]
    results = worst(
        [(snapshot.taken_at, snapshot.results) for snapshot in judged],
        coverage_so_far(times, *period, expect_every, generated_at),
        [snapshot.intent_digest for snapshot in judged],
        str(gone or ""),
    )
    seen = period_judged.seen
    inputs = ReportInputs(
        framework=framework,
        cluster=cluster,
        organisation=organisation,
        period_start=period[0],
        period_end=period[1],
        expected_every=expect_every,
        generated_at=generated_at,
        software_version=__version__,
        sample=cluster == CLUSTER_NAME,
        signer=SignerIdentity(key.name, key.fingerprint, key.self_signed),
        baseline=baseline_of(framework, newest.state.intent, baseline) or None,
        snapshots=judged,
        runs=tuple(
            ScheduledRun(run.started_at, run.finished_at, run.outcome, run.message, run.snapshot_id) for run in runs
        ),
        results=results,
        newest=CurrentState(newest.state.intent, newest.reach, newest.zones),
        logs=seen.logs,
        audits=seen.audits,
        logged=seen.logged,
        probed=newest.probed,
        gone=str(gone or ""),
    )
    view = build_view(inputs)
    verdicts = dict(view.summary.verdicts)
    summary = {
        "framework": framework.id,
        "framework_title": f"{framework.title} {framework.version}",
        "cluster": cluster,
        "organisation": organisation,
        "period_start": period[0].isoformat(),
        "period_end": period[1].isoformat(),
        "generated_at": generated_at.isoformat(),
        "verdicts": verdicts,
        "open_findings": dict(view.summary.open_findings),
        "sample": inputs.sample,
    }
    roots = [snapshot.root_digest for snapshot in judged]
    proofs, problems = log_of_pack(db, cluster, roots, archive, framework.id, keeping)

    def stamp(sums: bytes) -> bytes | None:
        answer, missing = timestamp(keeping.authority, sums)
        problems.extend(missing)
        return answer

    files = seal({**pack_files(view), **proofs}, key, generated_at, summary, stamp)
    kept = enter_pack(db, cluster, files, keeping)
    problems.extend(kept.problems if kept else ())
    folder = write_pack(archive, view.cover.pack_id, files)
    line = kept.line if kept and STDOUT in keeping.copies else ""
    return Pack(folder, verdicts, key.fingerprint, tuple(dict.fromkeys(problems)), line)


def snapshot_evidence(
    assessed: Assessed, before: "tuple[Assessed, SnapshotEvidence] | None" = None
) -> "SnapshotEvidence":
    """One snapshot as the report wants it, not judged yet. `before` is another one: of the same objects and analysis it is shared."""
    from evidence.report.view.inputs import Custody, SnapshotEvidence

    state = assessed.state
    info = state.info
    if info is None:
        raise ReportError("only snapshots of the store can be reported; collect first")
    like = before[1] if before and _objects_alike(before[0], assessed) else None
    return SnapshotEvidence(
        id=info.id,
        taken_at=info.taken_at,
        taken_at_claimed=info.taken_at_claimed,
        received_at=info.received_at,
        spooled=info.spooled,
        root_digest=info.root_digest,
        partial=info.partial,
        object_count=info.object_count,
        kinds=state.collection.kinds,
        problems=state.collection.problems,
        source=state.collection.source,
        run=Custody(
            info.run.software_version,
            info.run.host,
            info.run.identity,
            info.run.command,
            info.run.configuration_digest,
        ),
        assessment=assessed.assessment,
        results=(),
        cni=assessed.cni,
        policies=like.policies if like else policy_objects(state),
        unevaluated=like.unevaluated if like else frozenset(policy.key for policy in assessed.reach.unevaluated),
        pod_count=len(state.cluster.pods),
        namespace_count=len(state.cluster.namespaces),
        intent_digest=state.intent.digest if state.intent else "",
        beside=like.beside if like else objects_beside(state),
    )


def _objects_alike(one: Assessed, other: Assessed) -> bool:
    return one.reach is other.reach and one.state.collection.objects is other.state.collection.objects


_BESIDE = frozenset({"CiliumCIDRGroup", "GlobalNetworkSet", "HostEndpoint", "Namespace", "NetworkSet", "Tier"})


def objects_beside(state: State) -> "tuple[CollectedObject, ...]":
    """What policies hang on, and the roles and bindings that let somebody change them, as collected."""
    return tuple(obj for obj in state.collection.objects if obj.key.kind in _BESIDE or obj.key.group == RBAC)
