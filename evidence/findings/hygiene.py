"""Family hygiene: what the evidence itself lacks."""

from collections import defaultdict

from evidence.cluster.objects import ObjectKey
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.index import workload_names, workloads_of_pods
from evidence.findings.registry import Context, Hit, Looked, objects_read, rule


@rule(
    "EVD-002",
    title="Population incomplete",
    severity=Severity.MEDIUM,
    family="hygiene",
    why="The collector could not read everything. What was not read may hold the finding that matters, so nothing that hangs on it is called "
    "supported.",
    mend="Give the collector's identity the missing verbs (get, list) on the named kind, or mend the objects that could not be read, and collect "
    "again.",
    needs=(),
)
def population_incomplete(context: Context) -> Looked:
    """One finding for each kind that was not, or not wholly, read. Of kinds that files say nothing of it is not known whether any is missing."""
    unread = sorted(context.unread_kinds)
    hits = tuple(
        Hit(
            subject=THE_CLUSTER,
            message=f"{kind} objects were not read whole: {held} of an unknown number"
            if held
            else f"no {kind} object was read",
            discriminator=kind,
        )
        for kind in unread
        for held in [objects_read(context.cluster, kind)]
    )
    unseen = context.unseen
    says = f"the source says nothing of {count(len(unseen), 'kind')}, so whether any object is missing is not known: "
    return Looked(len(unread), hits, (says + shortened(unseen),) if unseen else ())


@rule(
    "EVD-004",
    title="Asset has no scope label",
    severity=Severity.LOW,
    family="hygiene",
    why="Pods that lie in no declared zone are in nobody's scope: whether they are regulated, connected-to or out of scope has not been decided.",
    mend="Add the namespace (or the pods' labels) to a zone of the intent file, be it out-of-scope.",
    needs=("Pod", "Namespace"),
    needs_intent=True,
)
def not_in_a_zone(context: Context) -> Looked:
    """Namespaces with pods of no zone; zones that match nothing or overlap are doubts about the declaration."""
    running = [pod for pod in context.cluster.pods if not pod.finished]
    loose = defaultdict(list)
    for pod in running:
        if not context.zones.of_pod(pod.key):
            loose[pod.namespace].append(pod)
    hits = []
    for name, pods in sorted(loose.items()):
        names = workload_names(workloads_of_pods(pods))
        space = context.cluster.namespaces[name]
        hits.append(
            Hit(
                subject=Subject("Namespace", "", name),
                message=f"{count(len(pods), 'pod')} of {count(len(names), 'workload')} lie in no declared zone: {shortened(names)}",
                evidence=(EvidenceRef(ObjectKey("", "Namespace", "", name), space.digest),),
                details=names,
            )
        )
    return Looked(len(running), tuple(hits), tuple(str(problem) for problem in context.zones.problems))
