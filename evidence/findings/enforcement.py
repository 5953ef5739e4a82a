"""Family enforcement: what the network plugin does with the policies."""

from collections import defaultdict
from collections.abc import Iterator

from evidence.cluster.model import Direction, IpBlock, NetworkPolicy, Pod
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import ClusterPolicy
from evidence.cni.model import DetectedPlugin, Enforcement, Support
from evidence.cni.support import VendorPolicy, dead_policies, not_handed_over, unsupported_features
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.index import RuleAt, pods_of, policy_evidence
from evidence.findings.registry import Context, Hit, Looked, rule

THE_CLUSTER = Subject("Cluster", "", "cluster")
SIGNS = ("DaemonSet", "Node", "Pod")  # the kinds from which a plugin is recognised


@rule(
    "ENF-001",
    title="Plugin does not enforce policies",
    severity=Severity.CRITICAL,
    family="enforcement",
    why="The network plugin that was recognised does not enforce NetworkPolicy. The API server stores policies all the same: everything is "
    "declared, nothing is in effect.",
    mend="Install a plugin that enforces NetworkPolicy (or the policy component of this one), then prove it with a probe.",
    needs=SIGNS,
)
def not_enforced(context: Context) -> Looked:
    """A recognised plugin that enforces nothing. Nothing recognised is no finding but a doubt: enforcement is then not shown."""
    if context.cni.enforcement is Enforcement.NOT_SHOWN:
        return Looked(
            1, (), (f"enforcement is not shown: {shortened(context.cni.reasons) or 'no plugin was recognised'}",)
        )
    if context.cni.enforcement is not Enforcement.NOT_ENFORCED:
        return Looked(1, ())
    names = ", ".join(plugin.title for plugin in context.cni.plugins)
    policies = count(len(context.cluster.policies), "NetworkPolicy", "NetworkPolicies")
    hit = Hit(
        subject=THE_CLUSTER,
        message=f"{names} does not enforce NetworkPolicy, so none of {policies} has any effect: {'; '.join(context.cni.reasons)}",
        evidence=agents(context.cni.plugins, context),
        pods=_running(context),
    )
    return Looked(1, (hit,))


def agents(plugins: tuple[DetectedPlugin, ...], context: Context) -> tuple[EvidenceRef, ...]:
    """The agents' DaemonSets by their digests."""
    keys = {plugin.agent for plugin in plugins if plugin.agent}
    digests = {workload.key: workload.digest for workload in context.cluster.workloads if workload.key in keys}
    return tuple(EvidenceRef(key, digests.get(key, "")) for key in sorted(keys))


@rule(
    "ENF-002",
    title="Enforcement agent failing on nodes",
    severity=Severity.HIGH,
    family="enforcement",
    why="Policies are programmed by an agent on each node. On a node without a ready agent new pods come up with stale rules or none, and changes "
    "do not arrive.",
    mend="Bring the agent back on the named nodes (kubectl describe its pods), or drain them.",
    needs=SIGNS,
)
def agent_failing(context: Context) -> Looked:
    """Nodes whose agent is not ready; the cluster as a whole when enforcement is partial for another reason."""
    nodes = {node.name: node for node in context.cluster.nodes}
    on_node: dict[str, list[Pod]] = defaultdict(list)
    for pod in _running(context):
        on_node[pod.node].append(pod)
    hits = [
        _failing(context, name, nodes[name].digest if name in nodes else "", tuple(on_node[name]))
        for name in context.cni.unhealthy_nodes
    ]
    if context.cni.enforcement is Enforcement.PARTIAL and not hits:
        message = f"enforced on some nodes only: {'; '.join(context.cni.reasons)}"
        hits.append(Hit(THE_CLUSTER, message, agents(context.cni.plugins, context), _running(context)))
    doubts = () if context.cni.enforcers else ("no enforcing plugin was recognised, so its agents are not known",)
    return Looked(len(nodes), tuple(hits), doubts)


def _failing(context: Context, node: str, digest: str, pods: tuple[Pod, ...]) -> Hit:
    return Hit(
        subject=Subject("Node", "", node),
        message=f"the agent is not ready, so policies may not be in effect for {count(len(pods), 'pod')} on the node",
        evidence=(EvidenceRef(ObjectKey("", "Node", "", node), digest), *agents(context.cni.plugins, context)),
        pods=pods,
    )


def _running(context: Context) -> tuple[Pod, ...]:
    return tuple(pod for pod in context.cluster.pods if not pod.finished)


@rule(
    "ENF-007",
    title="Plugin enforces less than policies say",
    severity=Severity.MEDIUM,
    family="enforcement",
    why="Enforcement is on, in a mode that leaves a gap: a new pod that is open until its policies are programmed, protocols that pass, or traffic "
    "that passes while the agent is down.",
    mend="Set the strict mode where the plugin has one (NETWORK_POLICY_ENFORCING_MODE=strict on the Amazon VPC CNI, np-enforcement=standard on "
    "Kube-OVN), or show by probes of fresh pods that the gap does not matter here.",
    needs=SIGNS,
)
def enforces_less(context: Context) -> Looked:
    """Modes of the plugins here that are weaker than policies say; what is off altogether is ENF-001's."""
    enforcers = context.cni.enforcers
    hits = tuple(
        Hit(
            subject=THE_CLUSTER,
            message=f"{plugin.title}: {weaker}",
            evidence=agents((plugin,), context),
            pods=_running(context),
            discriminator=f"{plugin.id}: {weaker}",
        )
        for plugin in enforcers
        for weaker in plugin.softened
    )
    doubts = () if enforcers else ("no enforcing plugin was recognised, so its mode is not known",)
    return Looked(len(enforcers), hits, doubts)


@rule(
    "NET-011",
    title="Policy feature not supported by the plugin",
    severity=Severity.HIGH,
    family="enforcement",
    why="The policy uses something that the recognised plugin does not heed, or heeds only in part, so what is enforced is not what is written.",
    mend="Write the policy without the feature, or move to a plugin or version that supports it.",
    needs=("NetworkPolicy", *SIGNS),
)
def feature_not_supported(context: Context) -> Looked:
    """Policies with a feature that the plugin lacks (high) or has in part (medium), policies of a kind that no plugin here runs (high), and
    policies with pods of which the plugin's controller handed nothing to its agents (high, Amazon VPC CNI).
    What is not known, or switched on by a setting that cannot be seen, is a doubt and no hit; so is a kind of cluster-wide policy that the
    plugin does not run whole."""
    if not context.cni.enforcers:
        return Looked(0, (), ("no enforcing plugin was recognised, so what it supports is not known",))
    hits = []
    doubtful: set[str] = set()
    dead = dead_policies(context.cni, context.cluster)
    keys = {policy.key for policy, _ in dead}
    policies: tuple[NetworkPolicy | ClusterPolicy, ...] = (
        *context.cluster.policies,
        *(p for p in context.cluster.cluster_policies if p.key not in keys),
    )
    for policy in policies:
        used = context.lasting.of(unsupported_features, context.cni, policy)
        short = [field for field in used if field.support in (Support.NONE, Support.PARTIAL)]
        doubtful.update(f"{field.feature} of {field.plugin}" for field in used if field not in short)
        if short:
            words = tuple(str(field) for field in short)
            hits.append(
                Hit(
                    subject=_subject(policy.key),
                    message=shortened(words),
                    evidence=(*(policy_evidence(policy, f.path) for f in short), *agents(context.cni.plugins, context)),
                    pods=pods_of(context.index.selected(policy))
                    if isinstance(policy, NetworkPolicy)
                    else _running(context),
                    details=words,
                    severity=None if any(field.support is Support.NONE for field in short) else Severity.MEDIUM,
                )
            )
    hits += [_dead(context, policy, maker) for policy, maker in dead]
    hits += _not_handed_over(context)
    doubts = [f"support is not known for {shortened(sorted(doubtful))}"] if doubtful else []
    doubts += _kinds_not_run(context)
    return Looked(len(policies) + len(dead), tuple(hits), tuple(doubts))


def _subject(key: ObjectKey) -> Subject:
    return Subject(key.kind, key.namespace, key.name)


def _not_handed_over(context: Context) -> Iterator[Hit]:
    for policy in not_handed_over(context.cni, context.cluster):
        if pods := pods_of(context.index.selected(policy)):
            yield Hit(
                subject=_subject(policy.key),
                message=f"no PolicyEndpoint carries {policy.key}, so no agent knows of it, though it selects {count(len(pods), 'pod')}",
                evidence=(policy_evidence(policy), *agents(context.cni.plugins, context)),
                pods=pods,
                discriminator="not handed over",
            )


def _dead(context: Context, policy: VendorPolicy, maker: str) -> Hit:
    """A policy that can be stored and that nothing here reads."""
    here = shortened([plugin.title for plugin in context.cni.enforcers])
    inside = [pod for pod in _running(context) if policy.key.namespace in ("", pod.namespace)]
    return Hit(
        subject=_subject(policy.key),
        message=f"{policy.key} has no effect: {f'its kind is for {maker}, and ' if maker else ''}{here} does not run {'it' if maker else 'its kind'}",
        evidence=(EvidenceRef(policy.key, policy.digest), *agents(context.cni.plugins, context)),
        pods=tuple(inside),
        discriminator=policy.key.group,
    )


def _kinds_not_run(context: Context) -> Iterator[str]:
    """Kinds of evaluated cluster-wide policies that an enforcer is not known to run: what they deny may pass."""
    for kind in sorted({policy.key.kind for policy in context.cluster.cluster_policies}):
        for plugin in context.cni.enforcers:
            support = plugin.features.get(kind, Support.UNKNOWN)
            if support is not Support.FULL:  # of several enforcers one may run it
                yield f"{plugin.title} is not known to run every {kind} (support: {support.value}), so what one denies may pass"


@rule(
    "NET-012",
    title="IPv6 or second family not covered",
    severity=Severity.MEDIUM,
    family="enforcement",
    why="The rule restricts addresses of one family by `except` and admits the whole of the other: on dual-stack pods the restriction is walked "
    "round over the other family.",
    mend="Write the same exceptions for both families: the cluster's own IPv6 ranges, fc00::/7 and fe80::/10 beside the private IPv4 ranges.",
    needs=("NetworkPolicy", "Pod"),
    reads_rules=True,
)
def second_family_open(context: Context) -> Looked:
    """Rules of dual-stack pods with exceptions under one family and the other family open without any."""
    hits = []
    population = 0
    for at in context.index.rules(Direction.INGRESS, Direction.EGRESS):
        if not any(isinstance(peer, IpBlock) for peer in at.rule.peers):
            continue
        pods = tuple(
            p for p in pods_of(context.index.selected(at.policy)) if len({a.version for a in p.addresses}) == 2
        )
        if not pods:
            continue
        population += 1
        open_families, cut_families = _families(at)
        if len(open_families) == len(cut_families) == 1 and open_families != cut_families:
            hits.append(
                Hit(
                    subject=at.subject,
                    message=f"{at.where} makes exceptions for IPv{min(cut_families)} and none for IPv{min(open_families)}, which it admits whole, "
                    f"for {count(len(pods), 'dual-stack pod')}",
                    evidence=(at.evidence,),
                    pods=pods,
                    discriminator=at.content,
                )
            )
    return Looked(population, tuple(hits))


def _families(at: RuleAt) -> tuple[set[int], set[int]]:
    """IP versions that the rule admits whole, and those under which it makes exceptions."""
    blocks = [peer for peer in at.rule.peers if isinstance(peer, IpBlock)]
    whole: set[int] = {block.cidr.version for block in blocks if not block.cidr.prefixlen and not block.excepts}
    cut: set[int] = {block.cidr.version for block in blocks if block.excepts}
    return whole, cut - whole
