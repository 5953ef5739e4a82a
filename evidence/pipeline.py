"""The use cases in order, one function each: snapshot, assess, report, archive, verify.

No logic of its own: each function asks the parts below for their step and hands the value on. The command line and the service call
these and nothing deeper. Time comes in as an argument. Heavy imports stay inside the function that needs them.
"""

import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evidence import __version__
from evidence.canonical import digest
from evidence.cluster.model import Cluster
from evidence.cluster.objects import CollectedObject, Collection
from evidence.errors import CollectError, EvidenceError, InputError, ReportError, UsageError

if TYPE_CHECKING:
    from evidence.cni.model import CniReport
    from evidence.findings.registry import Assessment
    from evidence.frameworks.load import Framework
    from evidence.intent.model import Intent
    from evidence.intent.zones import ZoneMap
    from evidence.reach.engine import Reachability
    from evidence.report.view.inputs import SnapshotEvidence
    from evidence.seal.keys import Signer
    from evidence.seal.verify import Verification
    from evidence.store import RunInfo, RunRecord, SnapshotInfo, Store


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
    command: str = "collect",
    clock: Callable[[], datetime] | None = None,
    record_failure: bool = False,
) -> Stored:
    """Read one source and store it whole, or raise and store nothing of it. `taken_at` None: taken now, by us.

    `clock` tells when the run ended. `record_failure`: a run that fails is recorded under `cluster`, so that the gap has its reason.
    """
    from evidence.store import NewSnapshot, Store

    with Store.open(db) as store:  # before the collection: a store that cannot be written fails at once
        try:
            intent = read_intent(intent_path)
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
                    run=run_info(command, collection.source.location, collection.source.identity),
                    finished_at=clock() if clock else None,
                )
            )
            return Stored(info, store.object_count() - before, shortfalls(collection))
        except BaseException as error:
            if record_failure and cluster:
                with suppress(EvidenceError):  # what went wrong first is what is said
                    message = str(error) or type(error).__name__
                    ended = clock() if clock else received_at
                    run = run_info(command, source_location(source))
                    store.add_failed_run(cluster, started_at=received_at, finished_at=ended, message=message, run=run)
            raise


def record_failed_run(
    db: str, *, cluster: str, command: str, started_at: datetime, finished_at: datetime, message: str
) -> None:
    """Record an execution that failed after its snapshot was stored, such as a report that could not be made."""
    from evidence.store import Store

    with Store.open(db) as store:
        run = run_info(command, store.url)
        store.add_failed_run(cluster, started_at=started_at, finished_at=finished_at, message=message, run=run)


def snapshot_counts(db: str, cluster: str, spans: Sequence[tuple[datetime, datetime]]) -> tuple[int, ...]:
    """How many snapshots the store holds of each span of time, its end exclusive."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        return tuple(len(store.snapshots(cluster, start, end)) for start, end in spans)


def check_plan(db: str, frameworks: Sequence[str], controls_folders: Sequence[Path]) -> None:
    """Raise now what every run of a schedule would raise: an unknown framework, a store that cannot be written."""
    from evidence.frameworks.load import load_frameworks
    from evidence.store import Store

    chosen_frameworks(load_frameworks(controls_folders), frameworks)
    Store.open(db).close()


def source_location(source: FileSource | LiveSource) -> str:
    """What a source was told to read, for the record of a run that never came to know more."""
    if isinstance(source, FileSource):
        return " ".join(source.paths)
    return "in-cluster" if source.in_cluster else source.context or "current context"


def read_intent(path: Path | None) -> bytes | None:
    """The intent file's bytes, checked; None without a path."""
    if path is None:
        return None
    from evidence.intent.parse import parse_intent

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give the intent file with --intent") from error
    parse_intent(data, str(path))
    return data


def run_info(command: str, location: str, identity: str = "") -> "RunInfo":
    """Chain of custody of one execution: software, host, identity (default this process's user), command, source."""
    from evidence.store import RunInfo

    return RunInfo(
        software_version=__version__,
        host=platform.node(),
        identity=identity or os.environ.get("USER", "") or f"uid {os.getuid()}",
        command=command,
        configuration_digest=digest(location.encode(errors="surrogateescape")),
    )


# -- one cluster at one time ------------------------------------------------------------------------------------------


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
        info = store.latest(only_cluster(store, cluster), at=at)
        snapshot = store.read(info.id)
    intent = parsed_intent(given or snapshot.intent, str(intent_path or f"intent of snapshot {info.id}"))
    return State(snapshot.collection, build_cluster(snapshot.collection), intent, info)


def parsed_intent(data: bytes | None, source: str) -> "Intent | None":
    from evidence.intent.parse import parse_intent

    return None if data is None else parse_intent(data, source)


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


# -- assess -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assessed:
    """What analysis says of one state."""

    state: State
    reach: "Reachability"
    zones: "ZoneMap"
    cni: "CniReport"
    assessment: "Assessment"


def assess(state: State, at: datetime) -> Assessed:
    """Findings of a state as of `at`; a pure function of both."""
    from evidence.cni.detect import detect
    from evidence.findings.registry import Context, evaluate
    from evidence.intent.zones import assign
    from evidence.reach.engine import analyse

    zone_networks = [network for zone in (state.intent.zones if state.intent else ()) for network in zone.cidrs]
    reach = analyse(state.cluster, extra_networks=zone_networks)
    zones = assign(state.intent, state.cluster)
    cni = detect(state.cluster)
    context = Context(
        cluster=state.cluster,
        reach=reach,
        cni=cni,
        intent=state.intent,
        zones=zones,
        at=at,
        taken_at=state.taken_at or at,
    )
    return Assessed(state, reach, zones, cni, evaluate(context))


# -- report -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signing:
    """Which key signs: the given files, or one made on first use in `folder`."""

    key: Path | None
    certificate: Path | None
    folder: Path
    required: bool = False


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack as written. `verdicts`: control results by verdict; `fingerprint`: SHA-256 of the signer's certificate."""

    folder: Path
    verdicts: Mapping[str, int]
    fingerprint: str


def signer(signing: Signing, organisation: str, now: datetime) -> "Signer":
    """The key that signs. Raises SealError for a half-given or missing key."""
    from evidence.errors import SealError
    from evidence.seal import keys

    if (signing.key is None) != (signing.certificate is None):
        raise UsageError("--key and --certificate go together")
    if signing.key and signing.certificate:
        password = os.environ.get("EVIDENCE_KEY_PASSWORD")
        return keys.load(signing.key, signing.certificate, password.encode() if password else None, now=now)
    if signing.required:
        raise SealError("no key is configured: give --key and --certificate, or leave out --require-signing")
    return keys.load_or_create(signing.folder, organisation, now)


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
    archive.mkdir(parents=True, exist_ok=True)
    with Store.open(db, read_only=True) as store:
        name = only_cluster(store, cluster)
        assessed = assess_period(store, name, period)
        runs = store.runs(name, *period)
    organisation = assessed[-1].state.intent.system.organisation if assessed[-1].state.intent else ""
    key = signer(signing, organisation or "evidence", generated_at)
    packs = tuple(
        make_pack(framework, name, assessed, runs, period, archive, key, generated_at, expect_every, baseline)
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
    """Every snapshot taken in the period, oldest first, each assessed as of its own time. Raises UsageError when there is none."""
    from evidence.cluster.parse import build_cluster

    infos = store.snapshots(cluster, *period)
    if not infos:
        raise UsageError(
            f"there is no snapshot of {cluster} between {period[0]:%Y-%m-%d %H:%M} and {period[1]:%Y-%m-%d %H:%M} UTC; "
            "collect first, or give another --period"
        )
    assessed = []
    for info in infos:
        snapshot = store.read(info.id)
        intent = parsed_intent(snapshot.intent, f"intent of snapshot {info.id}")
        state = State(snapshot.collection, build_cluster(snapshot.collection), intent, info)
        assessed.append(assess(state, info.taken_at))
    return tuple(assessed)


def make_pack(
    framework: "Framework",
    cluster: str,
    assessed: Sequence[Assessed],
    runs: "Sequence[RunRecord]",
    period: tuple[datetime, datetime],
    archive: Path,
    key: "Signer",
    generated_at: datetime,
    expect_every: timedelta,
    baseline: str | None,
) -> Pack:
    """Judge, render, sign and write one pack. The folder appears whole or not at all; an earlier one is never overwritten."""
    from evidence.frameworks.judge import baseline_of, worst
    from evidence.report.pack import pack_files
    from evidence.report.view.build import build_view
    from evidence.report.view.inputs import CurrentState, ReportInputs, ScheduledRun, SignerIdentity
    from evidence.sample import CLUSTER_NAME
    from evidence.seal.pack import seal

    newest = assessed[-1]
    organisation = newest.state.intent.system.organisation if newest.state.intent else ""
    judged = [judged_snapshot(framework, one, baseline) for one in assessed]
    results = worst([(snapshot.taken_at, snapshot.results) for snapshot in judged])
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
    files = seal(pack_files(view), key, generated_at, summary=summary)
    return Pack(write_pack(archive, view.cover.pack_id, files), verdicts, key.fingerprint)


def judged_snapshot(framework: "Framework", assessed: Assessed, baseline: str | None) -> "SnapshotEvidence":
    """One snapshot with its control results, as the report wants it."""
    from evidence.frameworks.judge import Facts, judge
    from evidence.report.view.inputs import Custody, SnapshotEvidence

    state = assessed.state
    info = state.info
    if info is None:
        raise ReportError("only snapshots of the store can be reported; collect first")
    facts = Facts(
        intent=state.intent,
        cni=assessed.cni,
        zones=assessed.zones,
        partial=shortfalls(state.collection),
        unevaluated=tuple(str(policy.key) for policy in assessed.reach.unevaluated),
        baseline=baseline,
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
    )


def policy_objects(state: State) -> "tuple[CollectedObject, ...]":
    """All policy objects as collected, evaluated or not."""
    cluster = state.cluster
    keys = {policy.key for policy in cluster.policies} | {policy.key for policy in cluster.cluster_policies}
    keys |= {policy.key for policy in cluster.other_policies}
    return tuple(obj for obj in state.collection.objects if obj.key in keys)


def write_pack(archive: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Write the files into a new folder below `archive`. A name that is taken gets a revision (`_r2`), so no pack is ever lost."""
    partial = archive / f".{name}.partial-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for path, content in files.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        folder, revision = archive / name, 1
        while folder.exists():
            revision += 1
            folder = archive / f"{name}_r{revision}"
        partial.rename(folder)
    except OSError as error:
        raise ReportError(
            f"{archive}: the pack cannot be written: {error.strerror}; choose another --archive"
        ) from error
    finally:  # also when the process is told to stop
        shutil.rmtree(partial, ignore_errors=True)
    return folder


# -- archive and verify -----------------------------------------------------------------------------------------------


def build_archive(archive: Path) -> Path:
    """The index page over all packs in a folder; gives its path."""
    from evidence.archive.site import write_site

    return write_site(archive)


def verify_pack(path: Path, trusted: Sequence[str], key_folder: Path, at: datetime) -> "Verification":
    """Every check of a pack's folder or zip, as of `at`. `trusted`: certificate files and `sha256:` fingerprints."""
    from evidence.seal.read import read_pack
    from evidence.seal.trust import read_trust
    from evidence.seal.verify import verify

    contents = read_pack(path)
    return verify(contents.files, read_trust(trusted, key_folder), at, contents.problems)
