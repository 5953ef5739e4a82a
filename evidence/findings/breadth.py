"""Family breadth: rules that admit everybody, or far more than anyone meant."""

from ipaddress import ip_address

from evidence.cluster.model import Direction, IpBlock, Protocol
from evidence.findings.addresses import covered
from evidence.findings.finding import Severity, count
from evidence.findings.index import RuleAt, is_every_namespace, names_port, pods_of, port_names
from evidence.findings.registry import Context, Hit, Looked, rule

NEEDS = ("NetworkPolicy", "Pod")
# Where the large clouds hand credentials to whoever asks from a node or pod (the second: AWS over IPv6).
METADATA_SERVICES = (ip_address("169.254.169.254"), ip_address("fd00:ec2::254"))


@rule(
    "NET-004",
    title="Allow-all inbound rule",
    severity=Severity.HIGH,
    family="breadth",
    why="An ingress rule with an empty (or absent) `from`, with the whole address space, or with every namespace and no ports admits every source. "
    "The policy still makes the pod look isolated.",
    mend="Name the sources: a podSelector, a namespaceSelector on kubernetes.io/metadata.name, or an ipBlock of the callers' range.",
    needs=NEEDS,
    reads_rules=True,
)
def allow_all_inbound(context: Context) -> Looked:
    """Ingress rules that admit every source; medium when the rule names its ports."""
    return _allow_all(context, Direction.INGRESS)


@rule(
    "NET-005",
    title="Allow-all outbound rule",
    severity=Severity.HIGH,
    family="breadth",
    why="An egress rule with an empty (or absent) `to`, with 0.0.0.0/0 or ::/0 without exceptions, or with every namespace and no ports lets the "
    "pod connect to everything: the internet, the nodes, the metadata service and every other pod.",
    mend="Name the destinations. For calls to the internet use an ipBlock with the cluster's own and all private and link-local ranges under "
    "`except`, and name the ports.",
    needs=NEEDS,
    reads_rules=True,
)
def allow_all_outbound(context: Context) -> Looked:
    """Egress rules that admit every destination; medium when the rule names its ports."""
    return _allow_all(context, Direction.EGRESS)


def _allow_all(context: Context, direction: Direction) -> Looked:
    rules = list(context.index.rules(direction))
    hits = []
    for at in rules:
        breadth = context.lasting.of(everyone, at)
        if breadth:
            pods = pods_of(context.index.selected(at.policy))
            ports = ", ".join(port_names(at.rule)) if at.rule.ports else "every port"
            side = "from" if direction is Direction.INGRESS else "to"
            verb = "connections" if direction is Direction.INGRESS else "connecting"
            hits.append(
                Hit(
                    subject=at.subject,
                    message=f"{at.where} allows {verb} {side} {breadth} on {ports}, for {count(len(pods), 'pod')}",
                    evidence=(at.evidence,),
                    pods=pods,
                    discriminator=at.content,
                    severity=Severity.MEDIUM if at.rule.ports else None,
                )
            )
    return Looked(len(rules), tuple(hits))


def everyone(at: RuleAt) -> str:
    """In words, how a rule admits everybody; "" when it does not."""
    if not at.rule.peers:
        return "any peer"
    whole = [
        f"all of {network}"
        for network in covered([p for p in at.rule.peers if isinstance(p, IpBlock)])
        if not network.prefixlen
    ]
    if whole:
        return " and ".join(whole)
    if not at.rule.ports and any(is_every_namespace(peer) for peer in at.rule.peers):
        return "every pod of every namespace"
    return ""


@rule(
    "NET-010",
    title="DNS egress too wide",
    severity=Severity.LOW,
    family="breadth",
    why="A rule that opens port 53 to any destination lets the pod talk to any resolver, and to anything else that listens on 53: DNS is the "
    "classic tunnel through a closed egress.",
    mend="Allow UDP and TCP 53 to the cluster's resolver only: namespaceSelector kubernetes.io/metadata.name: kube-system together with "
    "podSelector k8s-app: kube-dns.",
    needs=NEEDS,
    reads_rules=True,
)
def dns_too_wide(context: Context) -> Looked:
    """Egress rules that name port 53 and admit any destination, every namespace or the whole address space."""
    rules = [
        at
        for at in context.index.rules(Direction.EGRESS)
        if names_port(at.rule, 53, Protocol.UDP) or names_port(at.rule, 53, Protocol.TCP)
    ]
    hits = []
    for at in rules:
        breadth = everyone(at) or (
            "every pod of every namespace" if any(is_every_namespace(p) for p in at.rule.peers) else ""
        )
        if breadth:
            pods = pods_of(context.index.selected(at.policy))
            hits.append(
                Hit(
                    subject=at.subject,
                    message=f"{at.where} opens {', '.join(port_names(at.rule))} to {breadth}, not only to the cluster's resolver, "
                    f"for {count(len(pods), 'pod')}",
                    evidence=(at.evidence,),
                    pods=pods,
                    discriminator=at.content,
                )
            )
    return Looked(len(rules), tuple(hits))


@rule(
    "EXP-003",
    title="Control plane or metadata reachable from workloads",
    severity=Severity.MEDIUM,
    family="exposure",
    why="The cloud's metadata service (169.254.169.254) hands the node's credentials to whoever asks. An egress rule for the internet that excepts "
    "the private ranges and forgets the link-local one leaves it open.",
    mend="Add 169.254.0.0/16 (and fd00:ec2::254/128 where IPv6 is used) to the block's `except`.",
    needs=NEEDS,
    reads_rules=True,
)
def metadata_reachable(context: Context) -> Looked:
    """Egress rules that hold the metadata address, by an ipBlock or because they name no peer, on TCP 80.

    Pods that nothing isolates for egress reach it, too: they are NET-002's, and here a reason not to call the rest of the answer whole.
    """
    rules = list(context.index.rules(Direction.EGRESS))
    hits = []
    for at in rules:
        ways = context.lasting.of(_to_metadata, at)
        if ways and _http(at):
            pods = pods_of(context.index.selected(at.policy))
            hits.append(
                Hit(
                    subject=at.subject,
                    message=f"{at.where} reaches the metadata service on TCP 80 ({'; '.join(ways)}), for {count(len(pods), 'pod')}",
                    evidence=(at.evidence,),
                    pods=pods,
                    discriminator=at.content,
                )
            )
    free = [found for found in context.index.classes if not context.reach.isolated(found.id, Direction.EGRESS)]
    doubts = (
        (f"{count(len(pods_of(free)), 'pod')} not isolated for egress (NET-002) may reach it without any rule",)
        if free
        else ()
    )
    return Looked(len(rules), tuple(hits), doubts)


def _to_metadata(at: RuleAt) -> list[str]:
    """In words, by what the rule reaches a metadata address."""
    if not at.rule.peers:
        return ["any peer"]
    blocks = [peer for peer in at.rule.peers if isinstance(peer, IpBlock)]
    held = covered(blocks)
    return [
        f"{address} through {', '.join(str(block.cidr) for block in blocks if address in block.cidr)}"
        for address in METADATA_SERVICES
        if any(address in network for network in held)
    ]


def _http(at: RuleAt) -> bool:
    return (
        not at.rule.ports
        or names_port(at.rule, 80, Protocol.TCP)
        or any(port.port is None and port.protocol is Protocol.TCP for port in at.rule.ports)
    )
