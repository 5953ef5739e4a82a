"""What a report is made from: one value that the pipeline fills from the store and from analysis, snapshot by snapshot."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.cluster.objects import CollectedObject, KindResult, ObjectKey, Problem, SourceInfo
from evidence.cni.detect import CniReport
from evidence.findings.registry import Assessment
from evidence.frameworks.judge import ControlResult
from evidence.frameworks.load import Framework
from evidence.intent.model import Intent
from evidence.intent.zones import ZoneMap
from evidence.observe.audit import TakenAudit
from evidence.observe.document import TakenLog
from evidence.observe.tie import TiedFlow
from evidence.probe.standing import Standing
from evidence.reach.engine import Reachability


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """Who will sign the pack. `fingerprint`: SHA-256 of the certificate, hex."""

    name: str
    fingerprint: str
    self_signed: bool


@dataclass(frozen=True, slots=True)
class Custody:
    """How one snapshot came to be: software, host, identity, command, digest of the configuration."""

    software_version: str
    host: str
    identity: str
    command: str
    configuration_digest: str


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """One run of the collector in the period, also a failed one. `outcome` is "stored" or "failed"."""

    started_at: datetime
    finished_at: datetime
    outcome: str
    message: str
    snapshot_id: int | None


@dataclass(frozen=True, slots=True)
class SnapshotEvidence:
    """One snapshot of the period and what analysis said of it.

    `policies` are all objects of policy kinds as collected; `unevaluated` are the keys of those that the analysis could not evaluate.
    `beside` are objects whose change may change what policies mean or who may change them: namespaces, sets, tiers, roles and bindings.
    `intent_digest` is "" without an intent file.
    """

    id: int
    taken_at: datetime
    taken_at_claimed: bool
    received_at: datetime
    spooled: bool
    root_digest: str
    partial: bool
    object_count: int
    kinds: tuple[KindResult, ...]
    problems: tuple[Problem, ...]
    source: SourceInfo
    run: Custody
    assessment: Assessment
    results: tuple[ControlResult, ...]
    cni: CniReport
    policies: tuple[CollectedObject, ...]
    unevaluated: frozenset[ObjectKey]
    pod_count: int
    namespace_count: int
    intent_digest: str = ""
    beside: tuple[CollectedObject, ...] = ()


@dataclass(frozen=True, slots=True)
class CurrentState:
    """The newest snapshot in full, for the flow picture."""

    intent: Intent | None
    reach: Reachability
    zones: ZoneMap


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything one report says comes from here. Times are UTC; `period_end` is exclusive.

    `snapshots` are those taken in the period, oldest first, at least one; `newest` is the last of them. `results` is the worst of
    the period for each control, in the framework's order. `sample` marks shipped sample data. `logs` and `audits` were imported for any time of
    the period; `logged` are the connections in them, each tied to the snapshot of its time. `probed`: what probe runs say of the newest snapshot.
    `gone`: a sentence on snapshots of the period that retention dropped, "" for none.
    """

    framework: Framework
    cluster: str
    organisation: str
    period_start: datetime
    period_end: datetime
    expected_every: timedelta
    generated_at: datetime
    software_version: str
    sample: bool
    signer: SignerIdentity | None
    baseline: str | None
    snapshots: tuple[SnapshotEvidence, ...]
    runs: tuple[ScheduledRun, ...]
    results: tuple[ControlResult, ...]
    newest: CurrentState
    logs: tuple[TakenLog, ...] = ()
    audits: tuple[TakenAudit, ...] = ()
    logged: tuple[TiedFlow, ...] = ()
    probed: Standing | None = None
    gone: str = ""
