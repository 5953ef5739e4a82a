"""Family observation: what probes saw beside what was computed. `evidence.probe.standing` says which results still count."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from evidence.cluster.model import Pod
from evidence.cluster.objects import ObjectKey
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.registry import PROBE_RUN, Context, Hit, Looked, rule
from evidence.probe.model import ProbeRun, Result
from evidence.probe.standing import Held, Standing


def standing(context: Context) -> Standing:
    """What probe runs say, for rules that need one."""
    assert context.probed is not None  # noqa: S101  (needs_seen)
    return context.probed


def record_evidence(run: ProbeRun, probed: Standing) -> EvidenceRef:
    """A probe run, by its record's digest."""
    detail = f"probe run of {run.started_at:%Y-%m-%d %H:%M} UTC, seed {run.seed}"
    return EvidenceRef(ObjectKey("", "ProbeRun", "", run.id), probed.digest_of(run), detail)


@rule(
    "ENF-003",
    title="Probe passes where policy says deny",
    severity=Severity.CRITICAL,
    family="observation",
    why="A real connection got through although the policies deny it. Either they are not in force on these nodes, or they mean something else to "
    "the network plugin than to the Kubernetes API. What is computed here does not hold for these pods.",
    mend="Compare both sides' reasons with what the plugin has loaded on the nodes of the two pods; see whether its agent runs there. Probe again.",
    needs=("Pod", "Namespace", "NetworkPolicy"),
    needs_seen=PROBE_RUN,
)
def passes_although_denied(context: Context) -> Looked:
    """Results of the newest probe runs of the 92 days before the snapshot in which a connection was answered that was computed as denied then, and
    still is. One finding for each workload that was reached (or reached out, for a target outside the cluster); its details have all connections."""
    return _contradictions(context, allowed=False)


@rule(
    "ENF-004",
    title="Probe fails where policy says allow",
    severity=Severity.MEDIUM,
    family="observation",
    why="A real connection was stopped although the policies allow it, while its source worked and somebody listened. Something that is not computed "
    "here decides too (a policy of another kind, a firewall, a mesh), or the policies mean something else to the network plugin.",
    mend="Compare both sides' reasons with what the plugin has loaded on the nodes of the two pods, and look for what else filters between them.",
    needs=("Pod", "Namespace", "NetworkPolicy"),
    needs_seen=PROBE_RUN,
)
def fails_although_allowed(context: Context) -> Looked:
    """Results of the newest probe runs of the 92 days before the snapshot in which a connection was refused, rejected or not answered that was
    computed as allowed then and still is. Nothing is said where no control shows that the source works and somebody listens."""
    return _contradictions(context, allowed=True)


def _contradictions(context: Context, *, allowed: bool) -> Looked:
    probed = standing(context)
    groups: dict[Subject, list[Held]] = defaultdict(list)
    for held in probed.contradictions:
        if held.result.probe.allowed is allowed:
            groups[_subject(held)].append(held)
    looked = sum(held.result.probe.allowed is allowed for held in probed.held)
    return Looked(looked, tuple(_hit(subject, groups[subject], probed, allowed) for subject in sorted(groups)))


def _hit(subject: Subject, found: Sequence[Held], probed: Standing, allowed: bool) -> Hit:
    results = [held.result for held in found]
    what = "was stopped, though policy allows it" if allowed else "got through, though policy denies it"
    first = results[0].probe
    others = f" and {count(len(results) - 1, 'other connection')}" if len(results) > 1 else ""
    runs = {held.run.id: held.run for held in found}
    return Hit(
        subject=subject,
        message=f"{first}{others} {what}: computed: source {first.egress}; destination {first.ingress}; seen: {_seen(results[0])}",
        evidence=tuple(record_evidence(run, probed) for run in runs.values()),
        pods=tuple(_pods(found)),
        details=tuple(f"{result.probe}: {_seen(result)}" for result in results),
    )


def _seen(result: Result) -> str:
    """The packets in words: "open, 31 attempts from 10.0.0.9 to 10.0.0.2, the last answered after 1 ms …"."""
    tried = result.tried
    if tried is None:
        return result.outcome.value
    attempts = count(tried.attempts, "attempt")
    return f"{result.outcome.value}, {attempts} from {result.source_address} to {result.destination_address}, the last {tried.last}"


def _subject(held: Held) -> Subject:
    key = held.pods[-1].workload
    return Subject("Workload", key.namespace, key.name)


def _pods(found: Sequence[Held]) -> Iterator[Pod]:
    seen: set[str] = set()
    for held in found:
        for pod in held.pods:
            if pod.key not in seen:
                seen.add(pod.key)
                yield pod


@rule(
    "ENF-006",
    title="New pod is open until its policies are in force",
    severity=Severity.LOW,
    family="observation",
    why="A pod that had just been made got through to what policy denies, and was stopped only some time after its first packet. What starts in a "
    "regulated zone, or next to it, has that long for whatever it likes; a job that lives shorter is never restricted.",
    mend="See whether the plugin can hold a pod back until its rules are loaded (strict modes), or let an init container wait till then.",
    needs=("Pod", "Namespace", "NetworkPolicy"),
    needs_seen=PROBE_RUN,
)
def late(context: Context) -> Looked:
    """Connections of the newest probe runs that passed at first and were stopped before the run was over. One finding for the whole cluster."""
    probed = standing(context)
    denied = [held for held in probed.held if not held.result.probe.allowed]
    found = [held for held in denied if held.result.passed_ms]
    if not found:
        return Looked(len(denied), ())
    longest = max(held.result.passed_ms for held in found)
    nodes = sorted({held.result.probe.source.node for held in found})
    runs = {held.run.id: held.run for held in found}
    hit = Hit(
        subject=THE_CLUSTER,
        message=f"{len(found)} of {count(len(denied), 'denied connection')} passed for up to {longest} ms after the start of a new pod, on "
        f"{count(len(nodes), 'node')}: {shortened(nodes)}",
        evidence=tuple(record_evidence(run, probed) for run in runs.values()),
        details=tuple(f"{held.result.probe}: {held.result.reason}" for held in found),
    )
    return Looked(len(denied), (hit,))
