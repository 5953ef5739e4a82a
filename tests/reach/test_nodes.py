"""Nodes as ends of connections: by their addresses, and by the pods on their network."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from evidence.cluster.model import Node
from evidence.reach.engine import analyse
from tests.builders import block, cluster, pod, policy, rule
from tests.reach.build import answered

NODES = tuple(
    Node(name, {}, (ip_address(address),), True) for name, address in (("n1", "192.168.0.1"), ("n2", "192.168.0.2"))
)
WEB = pod("web", "shop", ip="10.0.0.1", node="n1")
AGENT = pod("agent", "shop", host_network=True, node="n2", ip="192.168.0.2")
OWN_AGENT = pod("own", "shop", host_network=True, node="n1", ip="192.168.0.1")
TO_N2 = policy("p", "shop", ingress=[], egress=[rule([block("192.168.0.2/32")])])


@pytest.mark.parametrize(
    ("source", "destination", "allowed"),
    [
        ("192.168.0.1", "shop/web", True),
        ("shop/own", "shop/web", True),
        ("192.168.0.2", "shop/web", False),
        ("shop/agent", "shop/web", False),
        ("shop/web", "192.168.0.2", True),
        ("shop/web", "shop/agent", True),
        ("shop/web", "192.168.0.1", False),
        ("shop/web", "shop/own", False),
        ("shop/agent", "192.168.0.1", True),
    ],
    ids=[
        "from its own node", "from a pod of its own node", "from another node", "from a pod of another node",
        "to a node that egress names", "to a pod of that node", "to its own node", "to a pod of its own node", "from node to node",
    ],
)  # fmt: skip
def test_nodes_are_named_by_their_addresses(source: str, destination: str, allowed: bool) -> None:
    state = replace(cluster([WEB, AGENT, OWN_AGENT], [TO_N2]), nodes=NODES)
    assert answered(state, source, destination).allowed is allowed


def test_an_address_that_several_pods_on_the_host_network_share_is_one_address() -> None:
    """Two pods with one address do not make up a range of two: the other address in it is an outside peer still."""
    agents = [replace(AGENT, name=name) for name in ("one", "two")]
    reach = analyse(cluster([WEB, *agents], [policy("p", "shop", ingress=[rule([block("192.168.0.2/31")])])]))
    assert [str(outside.first) for outside in reach.external].count("192.168.0.2") == 1
