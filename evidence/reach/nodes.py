"""Addresses by which a node may be met beside those of its Node object.

A bridge or tunnel of the network plug-in has an address of its own, mostly the first or second of the node's pod network, or one that the
plug-in writes into an annotation: what the node sends to other nodes' pods may come from there, and what is sent there reaches the node.
"""

from collections.abc import Iterator

from evidence.cluster.cidr import parse_address
from evidence.cluster.model import IPAddress, Node


def beside(node: Node) -> Iterator[IPAddress]:
    """Every such address; one may be given twice."""
    for network in node.pod_cidrs:
        yield network[0]
        yield network[min(1, network.num_addresses - 1)]
    for value in node.annotations.values():
        try:
            yield parse_address(value.partition("/")[0])
        except ValueError:
            continue
