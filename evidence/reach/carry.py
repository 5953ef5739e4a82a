"""An engine carried over to other peers or other policies: what it knows is kept where it stays true.

1. `onto` other peers: every end is a part of one before, so that what a policy's rules mean is known, and so are the flows.
2. `under` other policies, which must tell no ends apart: rules of policies that stay keep their place.
"""

from collections.abc import Collection, Sequence

import numpy as np

from evidence.cluster.model import Cluster
from evidence.reach.addresses import AddressSpace
from evidence.reach.engine import FlowTable, Reachability
from evidence.reach.mentions import port_bounds
from evidence.reach.peers import NOBODY, Ends, Peers, numbered, shown_ranges
from evidence.reach.portids import Ids
from evidence.reach.rules import PolicyForm
from evidence.reach.sides import Side
from evidence.reach.split import NEW, Split
from evidence.reach.spread import Keys, Spread, keys_of


def onto(reach: Reachability, cluster: Cluster, into: Split) -> tuple[Reachability, Ends]:
    """The same policies, with the answers for the pods that the new classes are parts of; and the peers that are parts of none.

    These no policy means or isolates yet, and there are no flows from or to them.
    """
    table = reach.flow_table  # first: it numbers sets of ports
    space_stays = into.space is reach.space
    if into.whole and space_stays and cluster.namespaces == reach.cluster.namespaces:
        return reach, NOBODY
    peers = Peers(into.classes, cluster.namespaces, into.space, into.address_matchers)
    if into.space is reach.space and cluster.pods is reach.cluster.pods:
        shown = (reach.peer_ids[reach.peers.pods :] >= 0).tolist()
    else:
        shown = shown_ranges(cluster.pods, into.space)
    external, peer_ids = numbered(peers, len(into.classes), shown)
    spread = Spread(_came_from(reach, into), reach.peers.count)
    port_ids = reach.port_ids.refined(port_bounds((), into.classes))
    known = {direction: side.moved(peers, port_ids, spread) for direction, side in reach.sides.items()}
    other = reach.replaced(
        address_matchers=into.address_matchers,
        classes=into.classes,
        external=external,
        peer_ids=peer_ids,
        peers=peers,
        port_ids=port_ids,
        port_names=into.port_names,
        sides=known,
        space=into.space,
    )
    came_from = _peers_before(reach, other, spread.came_from)
    other.flow_table = _in_parts(table, came_from)
    return other, np.flatnonzero(came_from == NEW).astype(np.int32)


def under(
    reach: Reachability, cluster: Cluster, forms: Sequence[PolicyForm], anew: Collection[PolicyForm] = ()
) -> Reachability:
    """The same peers under other policies. Those that stay are the same objects; `anew` are among them, and are placed anew all the same."""
    kept = set(map(id, forms))
    before = set(map(id, reach.forms))
    port_ids = reach.port_ids.refined(port_bounds((form for form in forms if id(form) not in before), ()))
    asked = set(map(id, anew))
    return reach.replaced(
        cluster=cluster,
        forms=forms,
        former=[*reach.former, *anew, *(form for form in reach.forms if id(form) not in kept)],
        port_ids=port_ids,
        sides={
            direction: Side(direction, forms, reach.peers, port_ids, side, asked)
            for direction, side in reach.sides.items()
        },
    )


def _came_from(reach: Reachability, into: Split) -> Ends:
    """For each end the one before that it is a part of."""
    found: list[int] = []
    numbers = {held: number for number, held in enumerate(reach.space.signatures)}
    matchers = len(reach.address_matchers)

    def before(signature: int | None) -> int | None:
        if signature is None or signature < len(numbers):
            return signature
        return numbers[frozenset(number for number in into.space.signatures[signature] if number < matchers)]

    first = reach.peers.first_end
    for one, origin in zip(into.classes, into.came_from, strict=True):
        if origin == NEW:
            found += [NEW] * len(one.ways)
            continue
        ways = reach.classes[origin].ways
        if ways == one.ways:
            found += range(first[origin], first[origin] + len(ways))
            continue
        for signature, families in one.ways:
            old = before(signature)
            place = next(n for n, (held, bits) in enumerate(ways) if held == old and families & ~bits == 0)
            found.append(first[origin] + place)
    if into.space is reach.space:
        found += range(reach.peers.pods, reach.peers.count)
    else:
        found += _ranges_before(reach.space, into.space, reach.peers.pods)
    return np.array(found, dtype=np.int32)


def _ranges_before(space: AddressSpace, finer: AddressSpace, offset: int) -> list[int]:
    return [offset + space.place(found.family, found.first) for found in finer.ranges]


def _peers_before(reach: Reachability, other: Reachability, came_from: Ends) -> Ends:
    """For each peer the one before that it is a part of, NEW where there is none (or it was not shown)."""
    peers = np.full(len(other.classes) + len(other.external), NEW, dtype=np.int32)
    known = (other.peer_ids >= 0) & (came_from >= 0)
    peers[other.peer_ids[known]] = reach.peer_ids[came_from[known]]
    return peers


def _in_parts(table: FlowTable, came_from: Ends) -> FlowTable:
    """The flows between the parts that peers were split into."""
    spread = Spread(came_from, int(max(table.sources.max(initial=0), table.destinations.max(initial=0))) + 1)
    if spread.stays:
        return table
    rows, first, second = spread.pairs(table.sources, table.destinations)
    keys: Keys = keys_of(first, second)
    order = np.argsort(keys, kind="stable")
    ports: Ids = table.ports[rows]
    return FlowTable(first[order], second[order], ports[order])
