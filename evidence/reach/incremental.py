"""One policy added, changed or removed: the flows that this changes, and the engine for what comes next, without a new analysis.

1. A policy's rules of a direction concern only the pods that it selects. What these may send or let in is asked again, the rest is kept.
2. A policy that tells pods or addresses apart that were one peer so far (a label value, a network, a port name that no policy named before)
   makes new peers: then everything is computed again, with peers that are parts of those before, so that flows can be compared. Port
   numbers that no policy named before cost nothing.
3. Peers that only a former policy tells apart stay apart: the flows of pods are the same, listed in more parts than a new analysis would
   give. After many such policies the peers are made anew.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evidence.cluster.model import Cluster, Direction, IpBlock, Namespace, NetworkPolicy
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import ClusterPolicy
from evidence.cluster.selectors import LabelSelector
from evidence.errors import InputError
from evidence.reach import clusterpolicy, networkpolicy
from evidence.reach.classes import PeerId
from evidence.reach.diff import Diff
from evidence.reach.doubts import NAME_LABEL
from evidence.reach.engine import FlowTable, Reachability, analyse, in_order
from evidence.reach.peers import NOBODY, Ends
from evidence.reach.portids import ALL_PORTS, NO_PORTS, Ids
from evidence.reach.ports import PortSet
from evidence.reach.rules import Domains, Everything, Matcher, Nodes, Pods, PolicyForm

Keys = npt.NDArray[np.int64]  # pairs of peers: the source's id in the upper half, the destination's in the lower

_FORMER_KEPT = 64  # policies that are gone and may still tell peers apart
_CELLS_AT_ONCE = 16_000_000


@dataclass(frozen=True, slots=True, eq=False)
class FlowChange:
    """Ports of the destination that were added to, and taken from, what a source may connect to. The ids are of the engine after."""

    source: PeerId
    destination: PeerId
    added: PortSet
    removed: PortSet


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """The engine after a change of policy, and every pair of peers whose flows it changed, sorted."""

    reach: Reachability
    flows: tuple[FlowChange, ...]


def changed(
    reach: Reachability, before: NetworkPolicy | ClusterPolicy | None, after: NetworkPolicy | ClusterPolicy | None
) -> Changed:
    """The effect of putting `after` in the place of `before`; None stands for no policy. The engine given stays as it is.

    Raises InputError when `before` is not in the cluster, or another policy has the name of `after`.
    """
    cluster = _cluster(reach.cluster, before, after)
    gone = [form for form in reach.forms if before is not None and form.policy.key == before.key]
    come = [form for form in (_translated(after),) if form is not None]
    if len(reach.also_split_by) + len(gone) > _FORMER_KEPT:
        reach = Reachability(reach.cluster, reach.forms, reach.extra_networks)
    left = set(map(id, gone))
    forms = [form for form in reach.forms if id(form) not in left]
    for form in come:
        insort(forms, form, key=in_order)
    if all(_fits(reach, form) for form in come):
        table = reach.flow_table  # first: it numbers sets of ports, and the engine after goes on from these numbers
        now = reach.with_forms(cluster, forms)
        return _in_place(reach, table, now, gone, come)
    return _on_new_peers(reach, Reachability(cluster, forms, reach.extra_networks, [*reach.also_split_by, *gone]))


def updated(reach: Reachability, cluster: Cluster) -> Diff:
    """What became of a cluster of which an engine is loaded: `reach` is of its state before, `cluster` its state now, whatever changed.

    The engine for what comes next is `after` of the result; flows that came and went are its `changes`, or `rows()` by the names of
    workloads (pods that a rollout replaced are no change). Both are computed when they are asked for. The engine given stays as it is, and
    the zones' networks that it was made with stay, too. The answers are those of a whole analysis of `cluster`; it is the time that differs.
    """
    return Diff(reach, analyse(cluster, reach.extra_networks))


def _translated(policy: NetworkPolicy | ClusterPolicy | None) -> PolicyForm | None:
    if isinstance(policy, NetworkPolicy):
        return networkpolicy.translate(policy)
    return None if policy is None else clusterpolicy.translate(policy)


def _cluster(
    cluster: Cluster, before: NetworkPolicy | ClusterPolicy | None, after: NetworkPolicy | ClusterPolicy | None
) -> Cluster:
    """The cluster with the change made."""
    policies: dict[ObjectKey, NetworkPolicy | ClusterPolicy] = {policy.key: policy for policy in cluster.policies}
    policies |= {policy.key: policy for policy in cluster.cluster_policies}
    if before is not None and policies.pop(before.key, None) is None:
        raise InputError(f"{before.key} cannot be changed or removed: it is not in the cluster")
    if after is not None:
        if after.key in policies:
            raise InputError(f"{after.key} cannot be added: it is in the cluster already")
        policies[after.key] = after
    namespaces = dict(cluster.namespaces)
    if isinstance(after, NetworkPolicy) and after.namespace not in namespaces:
        namespaces[after.namespace] = Namespace(after.namespace, {NAME_LABEL: after.namespace}, declared=False)
    listed = sorted(policies.values(), key=lambda policy: policy.key)
    return replace(
        cluster,
        namespaces={name: namespaces[name] for name in sorted(namespaces)},
        policies=tuple(policy for policy in listed if isinstance(policy, NetworkPolicy)),
        cluster_policies=tuple(policy for policy in listed if isinstance(policy, ClusterPolicy)),
    )


# -- the peers stay --------------------------------------------------------------------------------------------------


def _fits(reach: Reachability, form: PolicyForm) -> bool:
    """Whether a policy tells no pods and no addresses apart that are one peer."""
    rules = [rule for listed in form.rules.values() for rule in listed]
    names = {port.port for rule in rules for port in (*(rule.ports or ()), *rule.but_ports)}
    if any(isinstance(name, str) and name not in reach.port_names for name in names):
        return False
    matchers = {form.subject, *(matcher for rule in rules for matcher in rule.mentioned())}
    return all(_is_whole(reach, matcher) for matcher in matchers)


def _is_whole(reach: Reachability, matcher: Matcher) -> bool:
    """Whether a matcher means each peer wholly or not at all."""
    match matcher:
        case Everything() | Domains() | Pods(pods=None):
            return True
        case IpBlock() | Nodes():
            return matcher in reach.address_matchers
        case Pods(pods=LabelSelector() as selector):
            spaces = reach.cluster.namespaces
            chosen = {
                name: (
                    name == matcher.namespace
                    if matcher.namespace is not None
                    else matcher.namespaces is None or matcher.namespaces.matches(space.labels)
                )
                for name, space in spaces.items()
            }
            keys = selector.keys
            for found in reach.classes:
                if len(found.pods) > 1 and not found.host_network and chosen[found.namespace]:
                    seen = {tuple(map(pod.labels.get, keys)) for pod in found.pods}
                    if len(seen) > 1 and len({selector.matches(pod.labels) for pod in found.pods}) > 1:
                        return False
            return True
        case _:
            return False


def _in_place(
    before: Reachability, table: FlowTable, now: Reachability, gone: Sequence[PolicyForm], come: Sequence[PolicyForm]
) -> Changed:
    """Ask again what the policies' subjects may send or let in; both engines have the same peers, and port sets of the same numbers."""
    concerned = {
        direction: _concerned(before, direction, gone) | _concerned(now, direction, come) for direction in Direction
    }
    sources, destinations = (
        np.array(sorted(concerned[direction]), dtype=np.int32) for direction in (Direction.EGRESS, Direction.INGRESS)
    )
    is_asked = np.isin(table.sources, sources) | np.isin(table.destinations, destinations)
    old_keys, old_ports = _keys(table.sources[is_asked], table.destinations[is_asked]), table.ports[is_asked]
    new_keys, new_ports = _asked(now, sources, destinations)
    kept = ~is_asked
    keys = np.concatenate((_keys(table.sources[kept], table.destinations[kept]), new_keys))
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    now.flow_table = FlowTable(
        (keys >> 32).astype(np.int32),
        (keys & 0xFFFFFFFF).astype(np.int32),
        np.concatenate((table.ports[kept], new_ports))[order],
    )
    return Changed(now, tuple(_differences(now, old_keys, old_ports, new_keys, new_ports)))


def _concerned(reach: Reachability, direction: Direction, forms: Sequence[PolicyForm]) -> set[int]:
    """The peers that policies select, of those with the direction."""
    these = set(map(id, forms))
    return {
        reach.peers.class_of[end]
        for placed in reach.sides[direction].policies
        if id(placed.form) in these
        for end in placed.subjects.tolist()
    }


def _asked(reach: Reachability, sources: Ends, destinations: Ends) -> tuple[Keys, Ids]:
    """Flows from any of the sources or to any of the destinations (peers), sorted, each pair once."""
    ends = np.arange(reach.peers.count, dtype=np.int32)
    from_here = np.isin(reach.peer_ids, sources)
    pieces = [
        *_between(reach, ends[from_here], ends),
        *_between(reach, ends[~from_here], ends[np.isin(reach.peer_ids, destinations)]),
    ]
    if not pieces:
        return np.empty(0, dtype=np.int64), NOBODY
    first, second, ports = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    if len(first):
        first, second, ports = reach.merged(first, second, ports)
    return _keys(first, second), ports


def _between(reach: Reachability, sources: Ends, destinations: Ends) -> Iterator[tuple[Ends, Ends, Ids]]:
    """Flows from some ends to others, as columns of peers and ports; a pair of peers may occur once for each pair of ends."""
    step = max(1, _CELLS_AT_ONCE // max(1, len(destinations)))
    families, ids, ports = reach.peers.families, reach.peer_ids, reach.port_ids
    inner = int(np.searchsorted(destinations, reach.peers.pods))
    for first in range(0, len(sources) if len(destinations) else 0, step):
        here = sources[first : first + step]
        pods = int(np.searchsorted(here, reach.peers.pods))
        sent: Ids = np.full((len(here), len(destinations)), ALL_PORTS, dtype=np.int32)
        sent[pods:, inner:] = NO_PORTS  # from the outside to the outside
        sent[:pods] = reach.sides[Direction.EGRESS].among(here[:pods], destinations)
        let_in: Ids = np.full(sent.shape, ALL_PORTS, dtype=np.int32)
        let_in[:, :inner] = reach.sides[Direction.INGRESS].among(destinations[:inner], here).T
        possible = (families[here][:, None] & families[destinations]) != 0
        possible &= (ids[here] >= 0)[:, None] & (ids[destinations] >= 0)
        rows, columns = np.nonzero(possible & (sent != NO_PORTS) & (let_in != NO_PORTS))
        met = ports.pairwise(ports.meet, sent[rows, columns], let_in[rows, columns])
        some = met != NO_PORTS
        yield ids[here[rows[some]]], ids[destinations[columns[some]]], met[some]


# -- new peers ---------------------------------------------------------------------------------------------------------


def _on_new_peers(before: Reachability, now: Reachability) -> Changed:
    """Compare whole tables; every peer of `now` is a part of one of `before`."""
    came_from = np.array(
        [before.peer_of(found.pods[0].key) for found in now.classes]
        + [
            -1
            if (peer := before.peer_id_of_end(before.peers.pods + before.space.position(found.first))) is None
            else peer
            for found in now.external
        ],
        dtype=np.int64,
    )
    old_keys, old_ports = _in_parts(before, came_from)
    renumbered = np.array(
        [_number(now, before.port_ids.port_set(number)) for number in range(int(old_ports.max(initial=0)) + 1)],
        dtype=np.int32,
    )
    table = now.flow_table
    new_keys = _keys(table.sources, table.destinations)
    return Changed(now, tuple(_differences(now, old_keys, renumbered[old_ports], new_keys, table.ports)))


def _in_parts(reach: Reachability, came_from: npt.NDArray[np.int64]) -> tuple[Keys, Ids]:
    """The flows between the parts that peers were split into, sorted: `came_from` gives the peer of each part."""
    table = reach.flow_table
    parts = np.argsort(came_from, kind="stable")
    bounds = np.searchsorted(came_from[parts], np.arange(len(reach.classes) + len(reach.external) + 1))
    counts = np.diff(bounds)
    many = counts[table.destinations]
    times = counts[table.sources] * many
    rows = np.repeat(np.arange(len(times)), times)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
    first = parts[bounds[table.sources[rows]] + nth // many[rows]]
    second = parts[bounds[table.destinations[rows]] + nth % many[rows]]
    keys = first << 32 | second
    order = np.argsort(keys, kind="stable")
    return keys[order], table.ports[rows][order]


def _number(reach: Reachability, ports: PortSet) -> int:
    bits = 0
    for found in ports.ranges:
        bits |= reach.port_ids.bits(found.protocol, found.first, found.last)
    return reach.port_ids.number(bits)


# -- differences -------------------------------------------------------------------------------------------------------


def _keys(sources: Ends, destinations: Ends) -> Keys:
    return sources.astype(np.int64) << 32 | destinations


def _differences(
    reach: Reachability, old_keys: Keys, old_ports: Ids, new_keys: Keys, new_ports: Ids
) -> Iterator[FlowChange]:
    """The pairs whose ports differ; both lists are sorted and in the numbers of `reach`."""
    keys = np.sort(np.concatenate((old_keys, new_keys)))
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys
    old, new = (np.full(len(keys), NO_PORTS, dtype=np.int32) for _ in range(2))
    old[np.searchsorted(keys, old_keys)] = old_ports
    new[np.searchsorted(keys, new_keys)] = new_ports
    differ = np.flatnonzero(old != new)
    port_set = reach.port_ids.port_set
    known: dict[tuple[int, int], tuple[PortSet, PortSet]] = {}
    for key, *numbers in zip(keys[differ].tolist(), old[differ].tolist(), new[differ].tolist(), strict=True):
        pair = numbers[0], numbers[1]
        if pair not in known:
            earlier, later = port_set(pair[0]), port_set(pair[1])
            known[pair] = later - earlier, earlier - later
        yield FlowChange(PeerId(key >> 32), PeerId(key & 0xFFFFFFFF), *known[pair])
