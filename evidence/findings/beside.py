"""Ways between pods beside the paths that NetworkPolicy rules: they make no finding by themselves, and leave a doubt where isolation is claimed.

1. Traffic between a node and its own pods always passes (Kubernetes, "Network Policies": whatever the addresses), and a pod on the host
   network is its node. So it passes to and from the pods beside it, whatever the policies say.
2. A privileged pod can write the node's own packet rules, in which most plugins hold the policies of the pods beside it. NET_ADMIN without the
   host network reaches the pod's own network namespace only.
3. A further interface (Multus) is a path of its own; NetworkPolicy holds on the first.
"""

from collections.abc import Iterable, Iterator

from evidence.cluster.model import Pod
from evidence.cni.nodes import FURTHER_NETWORKS, has_further_interfaces
from evidence.findings.finding import count, shortened


def on_the_node(outside: Iterable[Pod], inside: Iterable[Pod]) -> Iterator[str]:
    """A sentence when pods of `outside` on the host network share a node with pods of `inside`, and one when privileged pods do. A pod that
    is not placed may come to any."""
    agents = [pod for pod in outside if (pod.host_network or pod.privileged) and not pod.finished]
    nodes = {pod.node for pod in inside if not pod.finished and not pod.host_network} if agents else set()
    beside = [pod for pod in agents if nodes and (pod.node in nodes or not pod.node or "" in nodes)]
    if host := [pod.key for pod in beside if pod.host_network]:
        yield (
            f"{count(len(host), 'pod')} outside the scope on the host network ({shortened(host)}) may share a node with pods inside, and traffic "
            "between a node and its own pods always passes"
        )
    if privileged := [pod.key for pod in beside if pod.privileged]:
        yield (
            f"{count(len(privileged), 'privileged pod')} outside the scope ({shortened(privileged)}) may share a node with pods inside, and can "
            "change the rules by which that node holds the policies"
        )


def further_interfaces(pods: Iterable[Pod]) -> tuple[str, ...]:
    """One sentence when pods have interfaces beside the one on which NetworkPolicy holds."""
    found = [pod.key for pod in pods if not pod.finished and has_further_interfaces(pod)]
    if not found:
        return ()
    what = "has a further network interface" if len(found) == 1 else "have further network interfaces"
    return (f"{shortened(found)} {what} ({FURTHER_NETWORKS}), on which NetworkPolicy does not hold",)
