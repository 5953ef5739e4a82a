"""Family enforcement, staged policies: what is written down as a policy, and enforces nothing."""

from evidence.cluster.calico import StagedPolicy
from evidence.cluster.calico_names import GROUPS, STAGED_KINDS
from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import EvidenceRef, Severity, Subject
from evidence.findings.registry import Context, Hit, Looked, rule

_WAITING = {
    "Set": "its rules are not in force",
    "Delete": "the policy of this name stays in force until the deletion is carried out",
}


@rule(
    "ENF-005",
    title="Staged policy, not enforced",
    severity=Severity.MEDIUM,
    family="enforcement",
    why="A staged policy of Calico's is a preview: it is evaluated for flow logs and lets everything pass. It looks like a policy in every list, so "
    "that whoever counts it takes for restricted what is open.",
    mend="Look at what it would have denied, then put it in force as a policy of the same name (and remove the staged one), or delete it.",
    needs=(*STAGED_KINDS, "NetworkPolicy", "GlobalNetworkPolicy"),
)
def staged(context: Context) -> Looked:
    """Every staged policy; medium where no policy of its name is in force, low where only a change of it waits."""
    in_force = _in_force(context)
    enforced = frozenset(map(_maker_and_name, in_force))
    policies = context.cluster.staged_policies
    return Looked(len(policies) + len(in_force), tuple(_hit(policy, enforced) for policy in policies))


def _in_force(context: Context) -> list[ObjectKey]:
    found = [policy.key for policy in context.cluster.policies]
    return found + [policy.key for policy in context.cluster.calico_policies]


def _maker_and_name(key: ObjectKey) -> tuple[bool, str, str, str]:
    """The same for a policy of Calico's in either of its groups; Kubernetes has a kind of the same name."""
    return key.group in GROUPS, key.kind, key.namespace, key.name


def _hit(policy: StagedPolicy, enforced: frozenset[tuple[bool, str, str, str]]) -> Hit:
    key = policy.key
    target = policy.enforced_key
    exists = _maker_and_name(target) in enforced
    what = _WAITING.get(policy.action, f"its action {policy.action} puts nothing in force")
    beside = f"; {target}, which is in force, may say otherwise" if exists and policy.action == "Set" else ""
    return Hit(
        subject=Subject(key.kind, key.namespace, key.name),
        message=f"{key} is staged (action {policy.action}, tier {policy.tier}) and enforces nothing: {what}{beside}",
        evidence=(EvidenceRef(key, policy.digest, "", policy.source),),
        severity=None if policy.action == "Set" and not exists else Severity.LOW,
    )
