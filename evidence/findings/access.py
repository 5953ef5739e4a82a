"""Family change: who may change the rules."""

from collections.abc import Iterable, Iterator

from evidence.access.holders import Access, Grant, Holder, Standing
from evidence.cluster.model import Pod
from evidence.cluster.rbac import KINDS
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.intent.model import SENSITIVE, Zone

DEFAULT_ACCOUNT = "default"


@rule(
    "CHG-004",
    title="Too many can write policies",
    severity=Severity.MEDIUM,
    family="change",
    why="Segmentation is worth as much as the care about who may change it. A right that everybody holds is nobody's; and software that handles "
    "regulated data and may change the rules around it is confined only for as long as it is not taken over.",
    mend="Take the subject out of the binding, or bind it to a role without these verbs. Give rules to change to a named group of people, or to "
    "the one pipeline that applies reviewed changes, which runs outside the regulated zones.",
    needs=KINDS,
)
def too_many_may_change_the_rules(context: Context) -> Looked:
    """Subjects that RBAC lets change policies, labels that zones hang on, or rights, where nobody can have meant it:

    1. groups that everybody is in (all users, all service accounts, those of a namespace) and anonymous users;
    2. the service account `default` of a namespace, which every pod has that names no other;
    3. service accounts of pods that run in a zone with regulated data (cde, ephi, fedramp-boundary).

    No number of people is too many by itself: how many an organisation needs is its own decision, so named users and groups are listed in the
    report without a verdict, as are the control plane's own subjects and all other service accounts. What RBAC does not grant directly (a pod
    that is started to act as another account) is not followed.
    """
    found = context.access
    hits = [hit for holder in found.holders if (hit := _hit(context, holder))]
    return Looked(len(found.holders), tuple(hits), tuple(_doubts(found)))


def _doubts(found: Access) -> Iterator[str]:
    if not found.holders and not found.unresolved:  # in every cluster somebody may: its administrators
        yield "roles and bindings that matter are not in the source"
    if found.unresolved:
        names = shortened([str(binding.key) for binding in found.unresolved])
        yield f"the roles of {count(len(found.unresolved), 'binding')} are not in the source ({names})"


def _hit(context: Context, holder: Holder) -> Hit | None:
    who = holder.subject
    if holder.standing is Standing.EVERYBODY:
        return _made(context, holder, THE_CLUSTER, "everybody in it", Severity.HIGH)
    if who.kind != "ServiceAccount" or holder.standing is Standing.CONTROL_PLANE:
        return None
    subject = Subject("ServiceAccount", who.namespace, who.name)
    if who.name == DEFAULT_ACCOUNT:
        return _made(context, holder, subject, "every pod there that names no other account", None)
    pods = [pod for pod in context.cluster.pods if _runs_as(pod, who.namespace, who.name)]
    regulated = [zone for zone in context.zones_of(pods) if zone.classification in SENSITIVE]
    if not regulated:
        return None
    names = shortened(sorted({pod.workload.name for pod in pods}))
    where = shortened([zone.name for zone in regulated])
    return _made(context, holder, subject, f"{names} in zone {where}", None)


def _runs_as(pod: Pod, namespace: str, account: str) -> bool:
    return pod.namespace == namespace and pod.service_account == account and not pod.finished


def _made(context: Context, holder: Holder, subject: Subject, carried_by: str, severity: Severity | None) -> Hit:
    powers = ", ".join(
        f"{power.value} ({', '.join(holder.namespaces(power)) or 'everywhere'})" for power in holder.powers
    )
    return Hit(
        subject=subject,
        message=f"{holder.subject} ({carried_by}) may {powers}",
        evidence=tuple(_evidence(context, holder.grants)),
        zones=tuple(_zones(context, holder.grants)),
        discriminator=str(holder.subject),
        details=tuple(_detail(grant) for grant in holder.grants),
        severity=severity,
    )


def _detail(grant: Grant) -> str:
    only = f" (only {shortened(grant.names)})" if grant.names else ""
    return f"{grant.binding} to {grant.role}: {'; '.join(grant.rights)}{only}"


def _evidence(context: Context, grants: Iterable[Grant]) -> Iterator[EvidenceRef]:
    origins = {role.key: role.origin for role in context.cluster.access_roles}
    origins |= {binding.key: binding.origin for binding in context.cluster.access_bindings}
    for key in dict.fromkeys(key for grant in grants for key in (grant.binding, grant.role)):
        origin = origins.get(key)
        yield EvidenceRef(key, origin.digest if origin else "", "", origin.source if origin else "")


def _zones(context: Context, grants: Iterable[Grant]) -> tuple[Zone, ...]:
    """Zones whose rules are concerned: those with pods in the namespaces of the grants, all of them for a grant that holds everywhere."""
    spaces = {grant.namespace for grant in grants}
    return context.zones_of(pod for pod in context.cluster.pods if "" in spaces or pod.namespace in spaces)
