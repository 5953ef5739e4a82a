"""A period assessed, judged, rendered, signed and filed: one pack for each framework."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evidence import __version__
from evidence.cluster.objects import CollectedObject, Collection
from evidence.cluster.rbac import GROUP as RBAC
from evidence.cluster.rbac import KINDS as RBAC_KINDS
from evidence.errors import ReportError, SealError, UsageError
from evidence.pipeline.log import Keeping, enter_pack, log_of_pack, timestamp
from evidence.pipeline.looks import assessed_snapshots
from evidence.pipeline.observations import agreements, seen_in
from evidence.pipeline.packs import build_archive
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed, State, only_cluster

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
    sentence for each timestamp or copy of a checkpoint that could not be had."""

    folder: Path
    verdicts: Mapping[str, int]
    fingerprint: str
    problems: tuple[str, ...] = ()


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
    """Raise now what every run of a schedule would raise: an unknown framework, a store that cannot be written."""
    from evidence.frameworks.load import load_frameworks
    from evidence.store import Store

    chosen_frameworks(load_frameworks(controls_folders), frameworks)
    Store.open(db).close()


def make_reports(
    db: str,
    *,
    cluster: str | None,
    frameworks: Sequence[str],
    period: tuple[datetime, datetime],
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
        assessed = assess_period(store, name, period)
        runs = store.runs(name, *period)
    organisation = assessed[-1].state.intent.system.organisation if assessed[-1].state.intent else ""
    key = signer(signing, organisation or "evidence", generated_at)
    packs = tuple(
        make_pack(
            framework,
            name,
            assessed,
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


def assess_period(store: "Store", cluster: str, period: tuple[datetime, datetime]) -> tuple[Assessed, ...]:
    """Every snapshot taken in the period, oldest first (`assessed_snapshots`). Raises UsageError when there is none."""
    return tuple(assessed_snapshots(store, cluster, period))


def make_pack(
    framework: "Framework",
    cluster: str,
    assessed: Sequence[Assessed],
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

    newest = assessed[-1]
    organisation = newest.state.intent.system.organisation if newest.state.intent else ""
    judged = [judged_snapshot(framework, one, baseline, newest) for one in assessed]
    times = [snapshot.taken_at for snapshot in judged]
    results = worst(
        [(snapshot.taken_at, snapshot.results) for snapshot in judged],
        coverage_so_far(times, *period, expect_every, generated_at),
        [snapshot.intent_digest for snapshot in judged],
    )
    seen = seen_in(assessed, period)
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
        snapshots=tuple(judged),
        runs=tuple(
            ScheduledRun(run.started_at, run.finished_at, run.outcome, run.message, run.snapshot_id) for run in runs
        ),
        results=results,
        newest=CurrentState(newest.state.intent, newest.reach, newest.zones),
        logs=seen.logs,
        audits=seen.audits,
        logged=seen.logged,
        probed=newest.probed,
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
    problems.extend(enter_pack(db, cluster, files, keeping))
    folder = write_pack(archive, view.cover.pack_id, files)
    return Pack(folder, verdicts, key.fingerprint, tuple(dict.fromkeys(problems)))


def judged_snapshot(
    framework: "Framework", assessed: Assessed, baseline: str | None, newest: Assessed
) -> "SnapshotEvidence":
    """One snapshot with its control results, as the report wants it. One of another cluster than the newest supports nothing."""
    from evidence.frameworks.judge import Facts, judge
    from evidence.pipeline.unseen import unseen_kinds
    from evidence.report.view.inputs import Custody, SnapshotEvidence

    state = assessed.state
    info = state.info
    if info is None:
        raise ReportError("only snapshots of the store can be reported; collect first")
    facts = Facts(
        intent=state.intent,
        cni=assessed.cni,
        zones=assessed.zones,
        partial=(*shortfalls(without_rbac(state.collection)), *other_cluster(state, newest.state)),
        unevaluated=tuple(str(policy.key) for policy in assessed.reach.unevaluated),
        unseen=unseen_kinds(state.collection),
        baseline=baseline,
        agreements=agreements(assessed),
    )
    return SnapshotEvidence(
        id=info.id,
        taken_at=info.taken_at,
        taken_at_claimed=info.taken_at_claimed,
        received_at=info.received_at,
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
        results=judge(framework, assessed.assessment, facts),
        cni=assessed.cni,
        policies=policy_objects(state),
        unevaluated=frozenset(policy.key for policy in assessed.reach.unevaluated),
        pod_count=len(state.cluster.pods),
        namespace_count=len(state.cluster.namespaces),
        intent_digest=state.intent.digest if state.intent else "",
        beside=objects_beside(state),
    )


def without_rbac(collection: Collection) -> Collection:
    """Without what was not read of roles and bindings: no flow hangs on it, and the check that looks at them says for itself that it could not."""
    return replace(
        collection,
        kinds=tuple(kind for kind in collection.kinds if kind.group != RBAC),
        problems=tuple(problem for problem in collection.problems if problem.kind not in RBAC_KINDS),
    )


def other_cluster(state: State, newest: State) -> tuple[str, ...]:
    """A sentence when the sources of two snapshots say that they are of different clusters: one name may have been given to both."""
    uid, expected = state.collection.source.cluster_uid, newest.collection.source.cluster_uid
    if not uid or not expected or uid == expected:
        return ()
    return (
        f"it is of another cluster than the newest snapshot: the UID of namespace kube-system is {uid}, not {expected}",
    )


_BESIDE = frozenset({"CiliumCIDRGroup", "GlobalNetworkSet", "HostEndpoint", "Namespace", "NetworkSet", "Tier"})


def objects_beside(state: State) -> "tuple[CollectedObject, ...]":
    """What policies hang on, and the roles and bindings that let somebody change them, as collected."""
    return tuple(obj for obj in state.collection.objects if obj.key.kind in _BESIDE or obj.key.group == RBAC)


def policy_objects(state: State) -> "tuple[CollectedObject, ...]":
    """All policy objects as collected, evaluated or not."""
    cluster = state.cluster
    keys = {policy.key for policy in cluster.policies} | {policy.key for policy in cluster.cluster_policies}
    keys |= {policy.key for policy in cluster.calico_policies} | {policy.key for policy in cluster.cilium_policies}
    keys |= {policy.key for policy in cluster.other_policies}
    return tuple(obj for obj in state.collection.objects if obj.key in keys)
