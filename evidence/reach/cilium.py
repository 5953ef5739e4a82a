"""cilium.io/v2 (CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy) in the engine's form of rules.

1. Whatever allows adds up with Kubernetes NetworkPolicies, whatever denies comes first, over any of them (deny.rst): a rule object is one form
   among NetworkPolicies, and one in a tier right before theirs for its deny rules.
2. A pod is isolated in a direction when some rule object, or NetworkPolicy, puts it into default deny there. Deny rules without default
   deny only take away (intro.rst, EnableDefaultDeny).
3. No peers and ports: any peer. Neither peers nor ports ("- {}"): nothing. The documentation's example of default deny is written so, and
   Cilium's own connectivity tests all-ingress-deny and all-egress-deny hold every release to it.
4. Identity, not address: networks and names never mean pods of the cluster (layer3.rst, CIDR based). Nodes, with the pods on their network, are
   meant by the entities host and remote-node, and by a network only where policy-cidr-match-mode says so.
5. Ports are those of the destination after translation of Service ports (layer4.rst); ICMP has none. ANY is TCP, UDP and SCTP where it allows,
   TCP and UDP where it denies: not every version counts SCTP. A name is the pod's own port for ingress. For egress agents look it up once, over
   all pods or those that the rule means, and take the number for every peer; where pods differ they take none (GetNamedPort in pkg/endpoint).
   So one that allows means the number of any pod, and one that denies only a name of which all pods mean the same.

Where a version, a setting or something that is not in the source decides, what allows is read broadly and what denies narrowly, so that a
mistake shows more as reachable:

6. Allowing, a network means nodes too; denying, only the outside. `host` and `remote-node` mean every node when they allow. Denying egress they mean
   none, since which node is the pod's own differs from pod to pod; denying ingress remote-node means every node: the own one reaches its pods anyway.
7. `world` is the outside but for addresses that are known as a node's. kube-apiserver is what its Service leads to;
   where that was not read it is on nodes of the control plane, and perhaps elsewhere.
   `ingress` and `unmanaged` may be anything or any pod; `init` and `health` are nothing that is looked at here.
8. toServices means the pods that the Services select; for one without a selector the addresses of its endpoint slices, outside the cluster.
   Where these are not in the source, what it means is not known; nor is it for groups that are not in the source. Agents resolve
   Services where they allow only, so that one denied means nothing for certain (pkg/policy/k8s/service.go).
9. A rule that is not known whole allows what is known of it and perhaps everything, and denies nothing. A policy that may not be in
   force, or a rule object whose subject is not known, isolates nobody, denies nothing and perhaps allows everything.

Source: Documentation/security/policy (intro, layer3, layer4, deny) and pkg/policy of cilium/cilium.
"""

from collections.abc import Iterable, Iterator

from evidence.cluster.cilium import CiliumPolicy, CiliumPort, CiliumRule, CiliumSpec, NoPods
from evidence.cluster.model import Cluster, Direction, Protocol
from evidence.cluster.policies import Unknown
from evidence.reach.ciliumpeers import CiliumPeers, NamedPorts
from evidence.reach.rules import (
    NETWORK_POLICY,
    NETWORK_POLICY_ORDER,
    Action,
    Everything,
    Matcher,
    Pods,
    PolicyForm,
    PortMatch,
    RuleForm,
    Tier,
    Unplaced,
)

DENY = Tier(NETWORK_POLICY.order - 1, "Cilium deny")


def translate(policies: Iterable[CiliumPolicy], cluster: Cluster) -> Iterator[PolicyForm]:
    """Policies in the engine's form, one or two a rule object; none for one that is about no pod."""
    named = NamedPorts(cluster.pods)
    for policy in policies:
        yield from _forms(policy, cluster, named)


def _forms(policy: CiliumPolicy, cluster: Cluster, named: NamedPorts) -> Iterator[PolicyForm]:
    peers = CiliumPeers(policy.key.namespace, cluster)
    for spec in policy.specs:
        if isinstance(spec.subject, NoPods):
            continue
        if isinstance(spec.subject, Unknown) or policy.doubts:
            yield _doubtful(policy, spec)
            continue
        subject = peers.pods(spec.subject)
        yield PolicyForm(
            policy=policy,
            tier=NETWORK_POLICY,
            priority=NETWORK_POLICY_ORDER,
            subject=subject,
            rules={
                direction: tuple(form for rule in rules for form in _allowing(rule, direction, peers, named))
                for direction, rules in spec.allows.items()
                if rules or direction in spec.default_deny
            },
            isolates=spec.default_deny,
            adds=True,
            kept_by={
                direction: frozenset(rule.where for rule in (*spec.allows[direction], *spec.denies[direction]))
                for direction in spec.default_deny
            },
        )
        if any(spec.denies.values()):
            yield PolicyForm(
                policy=policy,
                tier=DENY,
                priority=0,
                subject=subject,
                rules={
                    direction: tuple(form for rule in rules for form in _denying(rule, direction, peers, named))
                    for direction, rules in spec.denies.items()
                    if rules
                },
                isolates=frozenset(),
            )


def _doubtful(policy: CiliumPolicy, spec: CiliumSpec) -> PolicyForm:
    """What a rule object allows of which nothing certain can be said."""
    why = next(iter((*policy.doubts, *spec.unknown()))).what
    text = f"whether this counts for the pod is not known ({why}), so it may be allowed"
    anything = Unplaced(text, outside=True, nodes=True, pods=True)
    home = policy.key.namespace or None
    return PolicyForm(
        policy=policy,
        tier=NETWORK_POLICY,
        priority=NETWORK_POLICY_ORDER,
        subject=Pods(home, None, None),
        rules={
            direction: tuple(RuleForm(Action.ACCEPT, (anything,), None, rule.where) for rule in rules)
            for direction, rules in spec.allows.items()
            if rules
        },
        isolates=frozenset(),
        adds=True,
    )


def _allowing(rule: CiliumRule, direction: Direction, peers: CiliumPeers, named: NamedPorts) -> Iterator[RuleForm]:
    if rule.peers is None:
        meant: tuple[Matcher, ...] = () if rule.ports is None else (Everything(),)
    else:
        meant = tuple(matcher for peer in rule.peers for matcher in peers.allowed(peer))
    ports = None if rule.ports is None else tuple(_allowed_ports(rule.ports, direction, named))
    yield RuleForm(Action.ACCEPT, meant, ports, rule.where, limits=rule.limits)
    for unknown in rule.unknown():
        anything = Unplaced(f"{unknown.what} is not known", outside=True, nodes=True, pods=True)
        yield RuleForm(Action.ACCEPT, (anything,), None, rule.where)


def _allowed_ports(
    ports: Iterable[CiliumPort | Unknown], direction: Direction, named: NamedPorts
) -> Iterator[PortMatch]:
    for port in ports:
        if isinstance(port, CiliumPort):
            for protocol in (port.protocol,) if port.protocol else tuple(Protocol):
                if isinstance(port.port, str) and direction is Direction.EGRESS:
                    yield from (PortMatch(protocol, number) for number in named.numbers(port.port, protocol))
                else:
                    yield PortMatch(protocol, port.port, port.end_port)


def _denying(rule: CiliumRule, direction: Direction, peers: CiliumPeers, named: NamedPorts) -> Iterator[RuleForm]:
    unknown = next(rule.unknown(), None)
    if unknown is not None:
        meant: tuple[Matcher, ...] = (Unplaced(f"{unknown.what} is not known"),)
    elif rule.peers is None:
        meant = () if rule.ports is None else (Everything(),)
    else:
        meant = tuple(matcher for peer in rule.peers for matcher in peers.denied(peer, direction))
    ports = [port for port in rule.ports or () if isinstance(port, CiliumPort)]
    certain = [port for port in ports if not isinstance(port.port, str) or _is_one(port.port, port, direction, named)]
    if len(certain) < len(ports):
        meant = (*meant, Unplaced("agents take a port's name for different numbers, or for none"))
    matches = tuple(
        PortMatch(protocol, port.port, port.end_port)
        for port in certain
        for protocol in ((port.protocol,) if port.protocol else (Protocol.TCP, Protocol.UDP))
    )
    yield RuleForm(Action.DENY, meant, None if rule.ports is None else matches, rule.where)


def _is_one(name: str, port: CiliumPort, direction: Direction, named: NamedPorts) -> bool:
    """True when every version of the agent takes a name for the same number on a pod that has it."""
    if port.protocol is None or name in named.repeated:
        return False
    return direction is Direction.INGRESS or len(named.numbers(name, port.protocol)) == 1
