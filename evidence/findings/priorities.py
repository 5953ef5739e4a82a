"""Family plumbing, priorities: cluster-wide policies between which no order is defined."""

from collections import defaultdict

from evidence.cluster.objects import ObjectKey
from evidence.findings.finding import Severity, Subject, shortened
from evidence.findings.index import policy_evidence, workload_names, workloads_of_pods
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.reach.rules import priority_text
from evidence.reach.sides import Undecided


@rule(
    "NET-021",
    title="Policies of equal priority that decide differently",
    severity=Severity.MEDIUM,
    family="plumbing",
    why="Two policies of one tier and one priority select the same pods, and one of them accepts or passes where the other may deny. Which is "
    "asked first is left to the implementation and may change with a restart or a new version: what is closed today may be open tomorrow, with "
    "no change to any policy. Results here count such a connection as allowed.",
    mend="Give the two policies different priorities, in the order that is meant, or join them to one.",
    needs=("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"),
)
def equal_priorities(context: Context) -> Looked:
    """Pairs of policies; one finding for both directions, on the one whose name comes first."""
    pairs: dict[tuple[ObjectKey, ObjectKey], list[Undecided]] = defaultdict(list)
    for pair in context.reach.undecided:
        pairs[pair.first.key, pair.second.key].append(pair)
    policies = [form for form in context.reach.forms if not form.adds]
    return Looked(len({form.policy.key for form in policies}), tuple(_hit(context, found) for found in pairs.values()))


def _hit(context: Context, found: list[Undecided]) -> Hit:
    """The finding of one pair, in one direction or in both."""
    one = found[0]
    reach = context.reach
    classes = sorted({reach.peers.class_of[end] for pair in found for end in pair.subjects.tolist()})
    pods = tuple(pod for number in classes for pod in reach.classes[number].pods)
    names = workload_names(workloads_of_pods(pods))
    directions = " and ".join(sorted(pair.direction.value.lower() for pair in found))
    key = one.first.key
    return Hit(
        subject=Subject(key.kind, key.namespace, key.name),
        message=f"{key} and {one.second.key} both have {priority_text(one.priority)} in the {one.tier.name} tier and decide differently about "
        f"{directions} of the same pods ({shortened(names)}): which of them is asked first is undefined",
        evidence=(policy_evidence(one.first), policy_evidence(one.second)),
        pods=pods,
        discriminator=str(one.second.key),
        details=names,
    )
