"""Family plumbing, selectors: policies and peers that select nothing, or something other than they say."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, Pod, PodPeer
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.findings.addresses import covered
from evidence.findings.finding import Severity, count, shortened
from evidence.findings.index import (
    ClusterIndex,
    RuleAt,
    is_every_namespace,
    peer_text,
    pod_evidence,
    pods_of,
    policy_evidence,
    policy_subject,
    port_names,
    port_set,
)
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.reach.classes import PodClass
from evidence.reach.manifests import NAMESPACE_NAME, peer_body, policy_port_bodies, policy_yaml, rule_body

NEEDS = ("NetworkPolicy", "Pod", "Namespace")
NO_PODS = "the source holds no pod and no workload, so whom a selector means was not looked at"


@rule(
    "NET-006",
    title="Policy selects no pod",
    severity=Severity.LOW,
    family="plumbing",
    why="The policy protects nothing: its pods are gone, renamed or labelled otherwise. Whoever reads it believes that they are covered.",
    mend="Correct the podSelector to the labels that the pods carry (kubectl get pods --show-labels), or delete the policy.",
    needs=("NetworkPolicy", "Pod"),
)
def selects_no_pod(context: Context) -> Looked:
    """Policies whose podSelector matches no pod. A workload that has none at the moment (scaled to zero, waiting for its schedule) stands
    for the pods of its template."""
    if not context.index.all_classes:
        return Looked(0, (), (NO_PODS,))
    hits = []
    for policy in context.cluster.policies:
        if context.index.selected(policy):
            continue
        hits.append(
            Hit(
                subject=policy_subject(policy),
                message=f"podSelector {policy.pod_selector} selects no pod of namespace {policy.namespace}"
                f"{_on_host_network(context.index, [policy.namespace], policy.pod_selector)}",
                evidence=(policy_evidence(policy, "spec.podSelector"),),
            )
        )
    return Looked(len(context.cluster.policies), tuple(hits))


def _on_host_network(index: ClusterIndex, namespaces: Sequence[str], selector: LabelSelector | None) -> str:
    found = sorted(
        pod.key
        for hosts in index.all_classes
        if hosts.host_network and hosts.namespace in namespaces
        for pod in hosts.pods
        if selector is None or selector.matches(pod.labels)
    )
    return (
        f"; {shortened(found)} would match but use the host network, where no pod selector reaches them"
        if found
        else ""
    )


@rule(
    "NET-007",
    title="Rule peer matches nothing or far too much",
    severity=Severity.MEDIUM,
    family="breadth",
    why="A peer that matches no pod opens nothing: the connection that it is meant for fails, or the rule is left over. A peer without any "
    "restriction matches every pod of every namespace, tenants and test namespaces included.",
    mend="Name the peers by labels that they carry: a namespaceSelector on kubernetes.io/metadata.name together with a podSelector.",
    needs=NEEDS,
    reads_rules=True,
)
def peer_out_of_proportion(context: Context) -> Looked:
    """Peers that match no pod (low), or every pod of the cluster on named ports (medium; without ports it is NET-004 or NET-005)."""
    hits = []
    populated = bool(context.index.all_classes)
    rules = [at for at in context.index.rules(Direction.INGRESS, Direction.EGRESS) if at.rule.peers]
    for at in rules:
        for peer in at.rule.peers:
            if at.rule.ports and is_every_namespace(peer):
                hits.append(_far_too_much(context, at))
            elif populated and (nothing := _matches_nothing(context.index, at.policy, peer)):
                hits.append(
                    Hit(
                        subject=at.subject,
                        message=f"{at.where} has a peer that matches nothing: {nothing}",
                        evidence=(at.evidence,),
                        pods=pods_of(context.index.selected(at.policy)),
                        discriminator=f"nothing: {at.direction.value} {peer_text(peer)}",
                        severity=Severity.LOW,
                    )
                )
    return Looked(len(rules), tuple(hits), () if populated else (NO_PODS,))


def _far_too_much(context: Context, at: RuleAt) -> Hit:
    side = "from" if at.direction is Direction.INGRESS else "to"
    pods = pods_of(context.index.selected(at.policy))
    ports = ", ".join(port_names(at.rule))
    return Hit(
        subject=at.subject,
        message=f"{at.where} opens {ports} {side} every pod of all {count(len(context.cluster.namespaces), 'namespace')}, "
        f"for {count(len(pods), 'pod')}",
        evidence=(at.evidence,),
        pods=pods,
        discriminator=f"everything: {at.content}",
    )


def _matches_nothing(index: ClusterIndex, policy: NetworkPolicy, peer: PodPeer | IpBlock) -> str:
    """In words, why a peer matches nothing; "" when it matches something or when NET-018 names the reason."""
    if isinstance(peer, IpBlock):
        return "" if covered([peer]) else f"ipBlock {peer.cidr} excepts all of itself"
    if index.matched(policy, peer):
        return ""
    names = [policy.namespace] if peer.namespace_selector is None else list(index.namespaces(peer.namespace_selector))
    if not names or may_match_unread(index, peer.namespace_selector):
        return ""
    where = (
        f"namespace {policy.namespace}" if peer.namespace_selector is None else f"namespaces {peer.namespace_selector}"
    )
    what = f"no pod with {peer.pod_selector}" if peer.pod_selector and peer.pod_selector.requirements else "no pod"
    return f"{what} in {where}{_on_host_network(index, names, peer.pod_selector)}"


@rule(
    "NET-018",
    title="Namespace selector that no namespace matches",
    severity=Severity.MEDIUM,
    family="plumbing",
    why="The rule selects namespaces by a label that none carries, so it admits nobody. The usual case is a label `name`: the API server sets "
    "kubernetes.io/metadata.name on every namespace, a plain `name` exists only where somebody has added it.",
    mend="Select by kubernetes.io/metadata.name, or put the label on the namespace (and make sure that nobody else can).",
    needs=NEEDS,
)
def no_such_namespace(context: Context) -> Looked:
    """Namespace selectors without a match; medium when a namespace of that name shows what is meant, low otherwise."""
    uses: dict[tuple[str, str, Direction, LabelSelector], list[tuple[RuleAt, PodPeer]]] = defaultdict(list)
    population = 0
    for at in context.index.rules(Direction.INGRESS, Direction.EGRESS):
        for peer in at.rule.peers:
            if isinstance(peer, PodPeer) and peer.namespace_selector is not None:
                population += 1
                if not context.index.namespaces(peer.namespace_selector):
                    uses[at.policy.namespace, at.policy.name, at.direction, peer.namespace_selector].append((at, peer))
    return Looked(population, tuple(_unlabelled(context, found) for found in uses.values()), labels_unread(context))


def may_match_unread(index: ClusterIndex, selector: LabelSelector | None) -> tuple[str, ...]:
    """Namespaces known by name only that a selector may match by the labels that were not read."""
    if selector is None or selector.keys <= {NAMESPACE_NAME}:
        return ()
    by_name = LabelSelector(tuple(need for need in selector.requirements if need.key == NAMESPACE_NAME))
    spaces = index.cluster.namespaces.items()
    return tuple(name for name, space in sorted(spaces) if not space.declared and by_name.matches(space.labels))


def labels_unread(context: Context) -> tuple[str, ...]:
    """One sentence when namespaces are known by name only: selectors may match them."""
    unread = [name for name, namespace in sorted(context.cluster.namespaces.items()) if not namespace.declared]
    return (
        (f"the labels of {count(len(unread), 'namespace')} are not in the source ({shortened(unread)})",)
        if unread
        else ()
    )


def _unlabelled(context: Context, found: Sequence[tuple[RuleAt, PodPeer]]) -> Hit:
    (at, peer), *_ = found
    selector = peer.namespace_selector
    assert selector is not None  # noqa: S101  (the caller keeps only such peers)
    meant = as_meant(context.index, selector)
    missing = [str(need) for need in selector.requirements if not _held(context.index, need)] or [str(selector)]
    unread = may_match_unread(context.index, selector)
    known = "is known to have" if unread else "has"
    caution = f" (the labels of {shortened(unread)} are not in the source)" if unread else ""
    hint = (
        f"; namespace {shortened(context.index.namespaces(meant))} exists{'' if unread else ' but has no such label'}: "
        f"{NAMESPACE_NAME} is the one that every namespace carries"
        if meant
        else ""
    )
    places = ", ".join(dict.fromkeys(place.where for place, _ in found))
    return Hit(
        subject=at.subject,
        message=f"{places} selects namespaces by {selector}, and no namespace {known} {' and '.join(missing)}{caution}, "
        f"so the rule admits nobody{hint}",
        evidence=tuple(place.evidence for place, _ in found),
        pods=pods_of(context.index.selected(at.policy)),
        suggestion=_by_name(found, meant) if meant else "",
        discriminator=f"{at.direction.value} {selector}",
        severity=None if meant and not unread else Severity.LOW,
    )


def _held(index: ClusterIndex, need: Requirement) -> bool:
    return any(need.matches(namespace.labels) for namespace in index.cluster.namespaces.values())


def as_meant(index: ClusterIndex, selector: LabelSelector) -> LabelSelector | None:
    """The selector with `label=value` turned into kubernetes.io/metadata.name=value where no namespace has the label and one has the name.

    None when that changes nothing or still matches no namespace.
    """
    needs = tuple(
        Requirement(NAMESPACE_NAME, Operator.IN, need.values)
        if need.operator is Operator.IN
        and not _held(index, need)
        and any(v in index.cluster.namespaces for v in need.values)
        else need
        for need in selector.requirements
    )
    meant = LabelSelector(tuple(sorted(needs)))
    return meant if meant != selector and index.namespaces(meant) else None


def _by_name(found: Sequence[tuple[RuleAt, PodPeer]], meant: LabelSelector) -> str:
    at = found[0][0]
    rules = [
        rule_body(place.direction, [peer_body(PodPeer(meant, peer.pod_selector))], policy_port_bodies(place.rule.ports))
        for place, peer in found
    ]
    name = f"{at.policy.name}-namespaces-by-name"
    if at.direction is Direction.INGRESS:
        return policy_yaml(name, at.policy.namespace, at.policy.pod_selector, ingress=rules)
    return policy_yaml(name, at.policy.namespace, at.policy.pod_selector, egress=rules)


@rule(
    "NET-016",
    title="Named port that no destination pod has",
    severity=Severity.LOW,
    family="plumbing",
    why="A named port is looked up among the container ports of each destination pod. Where no pod declares that name with that protocol the "
    "entry opens nothing.",
    mend="Declare the port with that name in the container (and protocol: names are looked up per protocol), or write the number.",
    needs=NEEDS,
)
def named_port_missing(context: Context) -> Looked:
    """Named ports that resolve on none of the pods that the rule is about; rules without such pods are NET-006's and NET-007's."""
    hits = []
    population = 0
    for at in context.index.rules(Direction.INGRESS, Direction.EGRESS):
        for port in at.rule.ports:
            if not isinstance(port.port, str):
                continue
            population += 1
            pods = pods_of(_destinations(context.index, at))
            if pods and not any(port_set(port, pod) for pod in pods):
                hits.append(
                    Hit(
                        subject=at.subject,
                        message=f"{at.where} names {port.protocol} port {port.port!r}, which none of its {count(len(pods), 'destination pod')} "
                        f"declares{_near_names(pods)}",
                        evidence=(at.evidence, *(pod_evidence(pod) for pod in pods)),
                        pods=pods_of(context.index.selected(at.policy)),
                        discriminator=f"{at.direction.value} {port.protocol} {port.port}",
                    )
                )
    return Looked(population, tuple(hits))


def _destinations(index: ClusterIndex, at: RuleAt) -> Iterable[PodClass]:
    if at.direction is Direction.INGRESS:
        return index.selected(at.policy)
    if not at.rule.peers:
        return index.classes
    peers = [peer for peer in at.rule.peers if isinstance(peer, PodPeer)]
    return {found.id: found for peer in peers for found in index.matched(at.policy, peer)}.values()


def _near_names(pods: Iterable[Pod]) -> str:
    declared = sorted(
        {f"{port.name} ({port.protocol} {port.number})" for pod in pods for port in pod.ports if port.name}
    )
    return f"; they declare {shortened(declared)}" if declared else "; they declare no named port"


@rule(
    "NET-020",
    title="Rules of a direction that policyTypes leaves out",
    severity=Severity.LOW,
    family="plumbing",
    why="Rules count only for the directions in policyTypes. Egress rules under policyTypes [Ingress] restrict nothing: the pods' egress stays "
    "as open as it was, and the file reads as if it were closed.",
    mend="Add the direction to policyTypes, or remove the rules.",
    needs=("NetworkPolicy",),
)
def rules_without_effect(context: Context) -> Looked:
    """Policies with rules of a direction that they do not isolate."""
    hits = [
        Hit(
            subject=policy_subject(policy),
            message=f"spec.{direction.value.lower()} has {count(len(policy.rules(direction)), 'rule')}, but policyTypes names only "
            f"{', '.join(sorted(policy.policy_types))}: the rules mean nothing",
            evidence=(policy_evidence(policy, f"spec.{direction.value.lower()}"),),
            pods=pods_of(context.index.selected(policy)),
            discriminator=direction.value,
        )
        for policy in context.cluster.policies
        for direction in Direction
        if policy.rules(direction) and direction not in policy.policy_types
    ]
    return Looked(len(context.cluster.policies), tuple(hits))
