"""A cluster changed while an engine of it was loaded: the flows that this changes, and the engine for what comes next.

1. A policy's rules of a direction concern only the pods that it selects. What these may send or let in is asked again, the rest is kept.
2. Where a policy tells pods or addresses apart that were one peer so far (a label value, a network, a port name that no policy named
   before), that peer comes apart; its parts have the flows that it had, and are asked again only where 1 says so.
3. Peers that only a former policy tells apart stay apart: the flows of pods are the same, listed in more parts than a new analysis would
   give. After many such policies the peers are made anew.
4. Pods that come, go or change join and leave classes (`evidence.reach.split`). Where one starts a class of its own every policy is asked
   about it. Labels of a namespace concern the policies whose selectors mean it before or after, not both.
5. Other nodes, or much at once, are analysed anew.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np

from evidence.cluster.calico import Calico, CalicoPolicy
from evidence.cluster.calico_names import OF_NAMESPACE
from evidence.cluster.calico_selectors import tests
from evidence.cluster.model import Cluster, Direction, Namespace, NetworkPolicy
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import ClusterPolicy
from evidence.cluster.selectors import LabelSelector
from evidence.errors import InputError
from evidence.reach.carry import onto, under
from evidence.reach.classes import PeerId
from evidence.reach.diff import Diff
from evidence.reach.doubts import NAME_LABEL
from evidence.reach.engine import FlowTable, Reachability, analyse, in_order, policies_of, translated
from evidence.reach.mentions import matchers_of
from evidence.reach.peers import NOBODY, Ends
from evidence.reach.portids import ALL_PORTS, NO_PORTS, Ids
from evidence.reach.ports import PortSet
from evidence.reach.rules import Endpoints, Matcher, Pods, Policy, PolicyForm
from evidence.reach.split import split
from evidence.reach.spread import Keys, keys_of

_FORMER_KEPT = 64  # policies that are gone and may still tell peers apart
_MUCH = 4  # one in so many policies changed is analysed anew
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


def changed(reach: Reachability, before: "Policy | None", after: "Policy | None") -> Changed:
    """The effect of putting `after` in the place of `before`; None stands for no policy. The engine given stays as it is.

    Raises InputError when `before` is not in the cluster, or another policy has the name of `after`.
    """
    cluster = _with_policy(reach.cluster, before, after)
    reach = _with_few_former(reach)
    step = _step(reach, cluster, _change(reach, cluster))
    return Changed(step.after, tuple(_differences(step)))


def updated(reach: Reachability, cluster: Cluster) -> Diff:
    """What became of a cluster of which an engine is loaded: `reach` is of its state before, `cluster` its state now, whatever changed.

    The engine for what comes next is `after` of the result; flows that came and went are its `changes`, or `rows()` by the names of
    workloads (pods that a rollout replaced are no change). Both are computed when they are asked for. The engine given stays as it is, and
    the zones' networks that it was made with stay, too. The answers are those of a whole analysis of `cluster`; it is the time that differs.
    """
    if len(reach.former) >= _FORMER_KEPT or _nodes(reach.cluster) != _nodes(cluster):
        return Diff(reach, analyse(cluster, reach.extra_networks))
    change = _change(reach, cluster)
    if len(change.come) + len(change.anew) > max(_FORMER_KEPT, len(change.forms) // _MUCH):
        return Diff(reach, analyse(cluster, reach.extra_networks))
    step = _step(reach, cluster, change)
    return Diff(reach, step.after, step.rows if step.after.peer_ids is reach.peer_ids else None)


def _with_few_former(reach: Reachability) -> Reachability:
    if len(reach.former) < _FORMER_KEPT:
        return reach
    return Reachability(reach.cluster, reach.forms, reach.extra_networks)


# -- a policy in the place of another -----------------------------------------------------------------------------------


def _with_policy(cluster: Cluster, before: "Policy | None", after: "Policy | None") -> Cluster:
    """The cluster with the change made."""
    if before is not None:
        there = _listed(cluster, before)
        rest = [one for one in there if one is not before]
        if len(rest) == len(there):
            rest = [one for one in there if one.key != before.key]
        if len(rest) == len(there):
            raise InputError(f"{before.key} cannot be changed or removed: it is not in the cluster")
        cluster = _relisted(cluster, before, rest)
    if after is None:
        return cluster
    there = _listed(cluster, after)
    if (before is None or before.key != after.key) and any(one.key == after.key for one in there):
        raise InputError(f"{after.key} cannot be added: it is in the cluster already")
    rest = list(there)
    insort(rest, after, key=attrgetter("key"))
    cluster = _relisted(cluster, after, rest)
    home = after.key.namespace
    if home and home not in cluster.namespaces:
        spaces = {**cluster.namespaces, home: Namespace(home, {NAME_LABEL: home}, declared=False)}
        cluster = replace(cluster, namespaces={name: spaces[name] for name in sorted(spaces)})
    return cluster


def _listed(cluster: Cluster, like: Policy) -> Sequence[Policy]:
    """The cluster's policies of the kind of one."""
    if isinstance(like, NetworkPolicy):
        return cluster.policies
    if isinstance(like, ClusterPolicy):
        return cluster.cluster_policies
    return cluster.calico_policies if isinstance(like, CalicoPolicy) else cluster.cilium_policies


def _relisted(cluster: Cluster, like: Policy, policies: Iterable[Any]) -> Cluster:
    """The cluster with other policies of the kind of one."""
    if isinstance(like, NetworkPolicy):
        return replace(cluster, policies=tuple(policies))
    if isinstance(like, ClusterPolicy):
        return replace(cluster, cluster_policies=tuple(policies))
    if isinstance(like, CalicoPolicy):
        return replace(cluster, calico=replace(cluster.calico or Calico(), policies=tuple(policies)))
    return replace(cluster, cilium_policies=tuple(policies))


# -- what changed -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    """Policies in the engine's form: all after the change, and those that went, came, and stayed but mean other pods (`anew`)."""

    forms: Sequence[PolicyForm]
    gone: Sequence[PolicyForm]
    come: Sequence[PolicyForm]
    anew: Sequence[PolicyForm]


def _change(reach: Reachability, cluster: Cluster) -> _Change:
    others = _reread(reach.cluster, cluster)
    known, now = {id(form.policy) for form in reach.forms}, set(map(id, policies_of(cluster)))

    def settled(policy: Policy) -> bool:
        return id(policy) in now and id(policy) in known and type(policy) not in others

    unsure = [policy for policy in policies_of(cluster) if not settled(policy)]
    earlier = {policy.key: policy for policy in policies_of(reach.cluster) if not settled(policy)}
    forms: dict[ObjectKey, list[PolicyForm]] = defaultdict(list)
    for form in reach.forms:
        if not settled(form.policy):
            forms[form.policy.key].append(form)
    stay: set[int] = set()
    asked = []
    for policy in unsure:
        one = earlier.get(policy.key)
        if one is None or type(policy) in others or one != policy or one.origin != policy.origin:
            asked.append(policy)
        else:
            stay.update(map(id, forms[policy.key]))
    come: list[PolicyForm] = []
    for _, found in groupby(sorted(translated(asked, cluster), key=_key), key=_key):
        new = sorted(found, key=in_order)
        old = forms[new[0].policy.key]
        if new == old and new[0].policy.origin == old[0].policy.origin:
            stay.update(map(id, old))
        else:
            come += new
    gone = [form for each in forms.values() for form in each if id(form) not in stay]
    left = set(map(id, gone))
    listed = [form for form in reach.forms if id(form) not in left]
    anew = _meaning_others(listed, reach, cluster)
    for form in come:
        insort(listed, form, key=in_order)
    return _Change(listed, gone, come, anew)


def _key(form: PolicyForm) -> ObjectKey:
    return form.policy.key


_NO_MATTER = frozenset(
    (
        "pods", "policies", "cluster_policies", "calico", "cilium_policies", "workloads", "nodes", "ingresses", "ingress_classes",
        "gateway_classes", "gateways", "routes", "reference_grants", "other_policies", "access_roles", "access_bindings", "crds",
        "unread_kinds",
    )
)  # fmt: skip
_AROUND = tuple(field.name for field in fields(Cluster) if field.name not in _NO_MATTER)


def _reread(before: Cluster, after: Cluster) -> Collection[type]:
    """Kinds of policies that may say something else because of what else has changed in the cluster."""
    around = [name for name in _AROUND if getattr(before, name) != getattr(after, name)]
    calico = after.calico and (around or _around_calico(before) != _around_calico(after))
    cilium = after.cilium_policies and (around or _around_cilium(before) != _around_cilium(after))
    return {*([CalicoPolicy] if calico else ()), *(map(type, after.cilium_policies) if cilium else ())}


def _around_calico(cluster: Cluster) -> object:
    """Its tiers and sets, whether policies stand in tiers that others share, and what its policies may rest on."""
    from evidence.reach.calico import in_shared_tiers  # neither is read for clusters without it
    from evidence.reach.calicopeers import known_beside

    calico = cluster.calico or Calico()
    return replace(calico, policies=()), in_shared_tiers(cluster), known_beside(cluster, calico)


def _around_cilium(cluster: Cluster) -> object:
    """Whether nodes, and what else Cilium's peers are looked up in, were read, and what names of ports stand for."""
    names = {(port.name, port.protocol, port.number) for pod in cluster.pods if not pod.finished for port in pod.ports}
    return bool(cluster.nodes), cluster.unread_kinds, names


def _nodes(cluster: Cluster) -> object:
    """What nodes are to policies and to the pods on their network."""
    return [(node.name, node.labels, node.addresses) for node in cluster.nodes]


def _meaning_others(forms: Iterable[PolicyForm], reach: Reachability, cluster: Cluster) -> list[PolicyForm]:
    """Policies whose selectors mean other pods because of the labels of a namespace."""
    inhabited = {found.namespace for found in reach.classes}
    relabelled = [
        (space, cluster.namespaces[name])
        for name, space in reach.cluster.namespaces.items()
        if name in inhabited and name in cluster.namespaces and space.labels != cluster.namespaces[name].labels
    ]
    if not relabelled:
        return []
    return [form for form in forms if any(_means_others(matcher, relabelled) for matcher in matchers_of((form,)))]


def _means_others(matcher: Matcher, relabelled: Iterable[tuple[Namespace, Namespace]]) -> bool:
    match matcher:
        case Pods(namespaces=LabelSelector() as selector):
            return any(selector.matches(old.labels) != selector.matches(new.labels) for old, new in relabelled)
        case Endpoints():
            keys = {
                test.key.removeprefix(OF_NAMESPACE)
                for test in tests(matcher.selector)
                if test.key.startswith(OF_NAMESPACE)
            }
            return any(old.labels.get(key) != new.labels.get(key) for key in keys for old, new in relabelled)
        case _:
            return False


# -- from one engine to the next ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """The engines before and after, of the same peers and port numbers, and the rows of their flow tables that may differ, sorted."""

    before: Reachability
    after: Reachability
    old: tuple[Keys, Ids]
    new: tuple[Keys, Ids]

    @property
    def rows(self) -> tuple[FlowTable, FlowTable]:
        """The same rows, before and after."""
        return _table(*self.old), _table(*self.new)


def _table(keys: Keys, ports: Ids) -> FlowTable:
    return FlowTable((keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32), ports)


def _step(reach: Reachability, cluster: Cluster, change: _Change) -> _Step:
    """Ask again what the policies' subjects, and peers that are new, may send or let in."""
    before, fresh = onto(reach, cluster, split(reach, cluster, [*change.come, *change.anew]))
    table = before.flow_table  # first: it numbers sets of ports, and the engine after goes on from these numbers
    anew = change.forms if len(fresh) else change.anew
    after = under(before, cluster, change.forms, anew)
    sources, destinations = (
        np.array(
            sorted(
                _concerned(before, direction, [*change.gone, *change.anew])
                | _concerned(after, direction, [*change.come, *change.anew])
                | set(fresh.tolist())
            ),
            dtype=np.int32,
        )
        for direction in (Direction.EGRESS, Direction.INGRESS)
    )
    is_source, is_destination = np.zeros((2, len(after.classes) + len(after.external)), dtype=bool)
    is_source[sources] = is_destination[destinations] = True
    is_asked = is_source[table.sources] | is_destination[table.destinations]
    old = keys_of(table.sources[is_asked], table.destinations[is_asked]), table.ports[is_asked]
    new = _asked(after, sources, destinations)
    kept = ~is_asked
    keys = np.concatenate((keys_of(table.sources[kept], table.destinations[kept]), new[0]))
    order = np.argsort(keys, kind="stable")
    after.flow_table = _table(keys[order], np.concatenate((table.ports[kept], new[1]))[order])
    return _Step(before, after, old, new)


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
    return keys_of(first, second), ports


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


# -- differences -------------------------------------------------------------------------------------------------------


def _differences(step: _Step) -> Iterator[FlowChange]:
    """The pairs whose ports differ."""
    (old_keys, old_ports), (new_keys, new_ports) = step.old, step.new
    keys = np.sort(np.concatenate((old_keys, new_keys)))
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys
    old, new = (np.full(len(keys), NO_PORTS, dtype=np.int32) for _ in range(2))
    old[np.searchsorted(keys, old_keys)] = old_ports
    new[np.searchsorted(keys, new_keys)] = new_ports
    differ = np.flatnonzero(old != new)
    port_set = step.after.port_ids.port_set
    known: dict[tuple[int, int], tuple[PortSet, PortSet]] = {}
    for key, *numbers in zip(keys[differ].tolist(), old[differ].tolist(), new[differ].tolist(), strict=True):
        pair = numbers[0], numbers[1]
        if pair not in known:
            earlier, later = port_set(pair[0]), port_set(pair[1])
            known[pair] = later - earlier, earlier - later
        yield FlowChange(PeerId(key >> 32), PeerId(key & 0xFFFFFFFF), *known[pair])
