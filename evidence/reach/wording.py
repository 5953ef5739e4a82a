"""What rules say, in words: peers with kubectl's selector notation, ports as a reader expects them."""

from collections.abc import Iterable
from itertools import islice

from evidence.cluster.model import IpBlock
from evidence.cluster.selectors import LabelSelector
from evidence.reach.addresses import networks_of
from evidence.reach.rules import (
    Addresses,
    Domains,
    Endpoints,
    Everything,
    HostPods,
    Matcher,
    Nodes,
    Pods,
    PortMatch,
    RuleForm,
    Unplaced,
    Within,
)

_SHOWN = 8  # networks that are named one by one
_EVERY_POD = Pods(None, None, None)


def peers_text(matchers: Iterable[Matcher]) -> str:
    """ "pods app=web of namespace shop; 10.0.0.0/8"; "nobody" without any."""
    return "; ".join(map(peer_text, matchers)) or "nobody"


def peer_text(matcher: Matcher) -> str:
    """One peer of a rule."""
    match matcher:
        case Everything():
            return "anyone"
        case Pods():
            who = f"pods {matcher.pods}" if matcher.pods and matcher.pods.requirements else "all pods"
            if matcher.namespace is not None:
                return f"{who} of namespace {matcher.namespace}"
            spaces = matcher.namespaces or LabelSelector()
            return f"{who} of namespaces {spaces}" if spaces.requirements else f"{who} of every namespace"
        case Endpoints():
            return f"what {matcher.selector} selects" + (
                f" in namespace {matcher.namespace}" if matcher.namespace else ""
            )
        case IpBlock() | Addresses():
            return _addresses_text(matcher)
        case Nodes():
            return f"nodes {matcher.nodes}"
        case Domains():
            return f"names {', '.join(matcher.names)}"
        case HostPods():
            return "pods on the host network"
        case Unplaced():
            return f"something not known here ({matcher.why})"
        case Within() if _EVERY_POD in matcher.none:
            where = "outside the cluster" if HostPods() in matcher.none else "outside the cluster or of nodes"
            return f"{' and '.join(peers_text(union) for union in matcher.every)} {where}"
        case Within():
            every = " and ".join(f"({peers_text(union)})" for union in matcher.every)
            return f"{every} but not ({peers_text(matcher.none)})" if matcher.none else every


def _addresses_text(matcher: IpBlock | Addresses) -> str:
    if isinstance(matcher, IpBlock):
        gaps = f" except {', '.join(map(str, matcher.excepts))}" if matcher.excepts else ""
        return f"{matcher.cidr}{gaps}"
    networks = [str(network) for network in islice(networks_of(matcher.intervals), _SHOWN + 1)]
    more = " and more" if len(networks) > _SHOWN else ""
    return f"{', '.join(networks[:_SHOWN]) or 'no address'}{more}"


def ports_text(rule: RuleForm) -> str:
    """ "TCP 80, UDP 5000-5010"; "every port"."""
    asked = ", ".join(map(port_text, rule.ports)) if rule.ports is not None else "every port"
    return f"{asked} but {', '.join(map(port_text, rule.but_ports))}" if rule.but_ports else asked or "no port"


def port_text(port: PortMatch) -> str:
    """One entry of a rule's ports."""
    protocol = port.protocol.value if port.protocol else "any protocol"
    if port.port is None:
        return f"every {protocol} port" if port.protocol else "every port"
    last = f"-{port.end_port}" if port.end_port not in (None, port.port) else ""
    return f"{protocol} {port.port}{last}"
