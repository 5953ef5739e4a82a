"""Reachability of one snapshot: one connection with its rules, who may connect to whom, the map of zones, and paths.

What is asked is what reports are made of: a policy of a kind that the network plug-in does not run counts as not evaluated. A denied
connection is called denied only where nothing that was not evaluated, read or known could let it pass, and the plug-in is not known to enforce
nothing; "not determined" otherwise. Whether the plug-in is shown to enforce is the strength of a denial.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evidence.cluster.model import Direction, Protocol
from evidence.cni.model import Enforcement
from evidence.errors import InputError, UsageError
from evidence.frameworks.model import Strength
from evidence.pipeline.browse.paging import Paging, page_of
from evidence.pipeline.browse.snapshots import SnapshotRow, snapshot_row
from evidence.pipeline.states import Assessed, names_in
from evidence.reach import paths as search
from evidence.reach.account import SideAccount
from evidence.reach.asked import PolicyAsked
from evidence.reach.changes import Change, manifest
from evidence.reach.classes import PeerId
from evidence.reach.engine import Reachability
from evidence.reach.groups import Group
from evidence.reach.hops import reasons
from evidence.reach.manifests import as_yaml
from evidence.reach.matrix import computed_on, peer_names
from evidence.reach.paths import Hop
from evidence.reach.ports import PortSet
from evidence.reach.possible import not_looked_at, path_doubts
from evidence.reach.query import Answering, Query
from evidence.report.view.flows import namespace_matrix, zone_matrix
from evidence.report.view.method import OWN_NODE
from evidence.report.view.model import FlowMatrix

SHOWN_PATHS = 20
MOST_NAMES = 1000  # that a form offers
MOST_DOUBTED = 20_000  # pairs asked about before the rest is assumed doubtful


class ReachVerdict(StrEnum):
    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_DETERMINED = "not determined"


class PathVerdict(StrEnum):
    REACHABLE = "reachable"
    NO_PATH = "no path"
    NOT_DETERMINED = "not determined"


class Towards(StrEnum):
    """Which end of the connections is asked for: those who can reach it, or those whom it can reach."""

    SOURCES = "sources"
    DESTINATIONS = "destinations"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a result of reachability rests on. `enforcement` is what is known of the network plug-in, with its reasons; `strength` how far a denial
    is backed: computed from policies, or enforced by the plug-in too. `qualifications` hold for every result; `doubts` say what could let pass
    what is denied here."""

    snapshot: SnapshotRow
    computed_on: str
    enforcement: str
    enforcement_reasons: tuple[str, ...]
    strength: Strength
    qualifications: tuple[str, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule of a policy before a connection; `why_not` is empty where it matches."""

    rule: str
    action: str
    matches: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class PolicyAskedView:
    """A policy that selects the pod, and its part in the decision. `pods`: how many it selects."""

    policy: str
    tier: str
    part: str
    isolates: bool
    pods: int
    rules: tuple[RuleView, ...]


@dataclass(frozen=True, slots=True)
class SideView:
    """One side of a connection. `policy` and `rule` decide, "" where none does. `change`: what would turn this side, in sentences, with `manifests`
    in YAML where it takes a new policy; `no_change`: why there is none."""

    allowed: bool
    reason: str
    policy: str
    rule: str
    policies: tuple[PolicyAskedView, ...]
    change: tuple[str, ...]
    manifests: tuple[str, ...]
    no_change: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """Whether one connection passes. `uncertain`: why a denied one may pass all the same."""

    basis: Basis
    source: str
    destination: str
    protocol: Protocol
    port: int
    verdict: ReachVerdict
    uncertain: tuple[str, ...]
    note: str
    egress: SideView
    ingress: SideView


@dataclass(frozen=True, slots=True)
class PeerRow:
    """Pods that no policy can tell apart, by their workloads, or a range of outside addresses (`outside`; no pods then)."""

    names: tuple[str, ...]
    outside: bool
    pods: int
    ports: str


@dataclass(frozen=True, slots=True)
class PeerList:
    """Who can reach something (`towards` sources), or whom it can reach (destinations), directly. `port` 0: on any port, of any protocol.
    `doubtful` are peers that are not in the list and may belong there, with the reason."""

    basis: Basis
    name: str
    towards: Towards
    protocol: Protocol
    port: int
    pods: int
    peers: tuple[PeerRow, ...]
    paging: Paging
    doubtful: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZonesView:
    """Flows between zones (null when none are declared) and between namespaces; pairs that are not listed have no computed flow."""

    basis: Basis
    zones: FlowMatrix | None
    namespaces: FlowMatrix


@dataclass(frozen=True, slots=True)
class HopView:
    """One connection of a path, with what decides on each side for the first of its ports. `own_node`: it passes as traffic of the
    destination's own node, whatever policies say."""

    source: tuple[str, ...]
    destination: tuple[str, ...]
    ports: str
    own_node: bool
    egress: str
    ingress: str


@dataclass(frozen=True, slots=True)
class PathsView:
    """Whether anything in one group can come to another through allowed connections. `hops`: the fewest, 0 when they share pods, null without a
    path. `paths`: a shortest one to each class of the destination, nearest first, at most 20 of `paths_total`."""

    basis: Basis
    source: str
    destination: str
    verdict: PathVerdict
    hops: int | None
    paths: tuple[tuple[HopView, ...], ...]
    paths_total: int
    not_reached: tuple[str, ...]
    doubts: tuple[str, ...]
    by_own_node: tuple[HopView, ...]


def basis(assessed: Assessed) -> Basis:
    info, cni = assessed.state.info, assessed.cni
    assert info is not None  # noqa: S101  (only snapshots of the store are looked at)
    doubts = not_looked_at(assessed.reach)
    if cni.enforcement is Enforcement.NOT_ENFORCED:
        doubts = (*doubts, f"the network plug-in does not enforce policies ({'; '.join(cni.reasons[:1])})")
    enforced = cni.enforcement is Enforcement.ENFORCED
    return Basis(
        snapshot=snapshot_row(info),
        computed_on=computed_on(assessed.reach),
        enforcement=cni.enforcement.value,
        enforcement_reasons=cni.reasons,
        strength=Strength.ENFORCED if enforced else Strength.COMPUTED,
        qualifications=(OWN_NODE,),
        doubts=doubts,
    )


def known_names(assessed: Assessed) -> tuple[str, ...]:
    """Zones, namespaces and workloads that may be asked about, at most MOST_NAMES; pods and addresses may be, too."""
    intent, cluster = assessed.state.intent, assessed.reach.cluster
    zones = [zone.name for zone in intent.zones] if intent else []
    workloads = {f"{pod.workload.namespace}/{pod.workload.name}" for pod in cluster.pods if not pod.finished}
    return tuple([*zones, *sorted(cluster.namespaces.keys() - set(zones)), *sorted(workloads)][:MOST_NAMES])


# -- one connection ---------------------------------------------------------------------------------------------------


def verdict_view(assessed: Assessed, source: str, destination: str, protocol: Protocol, port: int) -> VerdictView:
    """Raises UsageError when an end is neither in the cluster nor an address."""
    try:
        told = Answering(assessed.reach).explained(Query(source, destination, protocol, port))
    except InputError as error:
        raise UsageError(str(error).removeprefix("query: ")) from error
    rests, found = basis(assessed), told.explanation
    uncertain = () if found.allowed else (*found.uncertain, *rests.doubts)
    return VerdictView(
        basis=rests,
        source=source,
        destination=destination,
        protocol=protocol,
        port=port,
        verdict=ReachVerdict.ALLOWED
        if found.allowed
        else ReachVerdict.NOT_DETERMINED
        if uncertain
        else ReachVerdict.DENIED,
        uncertain=uncertain,
        note=found.note,
        egress=_side(told.egress),
        ingress=_side(told.ingress),
    )


def _side(side: SideAccount) -> SideView:
    change, reason = side.turned.change, side.reason
    return SideView(
        allowed=reason.allowed,
        reason=reason.reason,
        policy="" if reason.policy is None else str(reason.policy),
        rule=reason.rule,
        policies=tuple(_policy(asked) for asked in side.policies),
        change=() if change is None else _sentences(change),
        manifests=() if change is None else tuple(as_yaml(manifest(policy)) for policy in change.new),
        no_change=side.turned.reason,
    )


def _sentences(change: Change) -> tuple[str, ...]:
    return (*change.summary, change.beside) if change.beside else change.summary


def _policy(asked: PolicyAsked) -> PolicyAskedView:
    return PolicyAskedView(
        policy=str(asked.policy),
        tier=asked.tier,
        part=asked.part.value,
        isolates=asked.isolates,
        pods=asked.pods,
        rules=tuple(RuleView(rule.where, rule.action.value, rule.matches, rule.why) for rule in asked.rules),
    )


# -- who can reach whom -----------------------------------------------------------------------------------------------


def peer_list(assessed: Assessed, name: str, towards: Towards, protocol: Protocol, port: int, page: int) -> PeerList:
    """Raises UsageError when nothing in the cluster has the name, or for a page beyond the last one."""
    reach, group = assessed.reach, _group(assessed, name)
    members = np.array(sorted({*group.pods, *group.ranges}), dtype=np.int64)
    table = reach.flow_table
    here, there = (
        (table.destinations, table.sources) if towards is Towards.SOURCES else (table.sources, table.destinations)
    )
    rows = np.flatnonzero(np.isin(here, members))
    united: dict[int, int] = {}
    for peer, ports in zip(there[rows].tolist(), table.ports[rows].tolist(), strict=True):
        united[peer] = reach.port_ids.union(united.get(peer, 0), ports)
    wanted = PortSet.of(protocol, port) if port else PortSet.all()
    found: dict[int, PortSet] = {}
    for peer, number in united.items():
        ports_of_peer = reach.port_ids.port_set(number) & wanted
        if ports_of_peer:
            found[peer] = ports_of_peer
    names = peer_names(reach)
    listed, where = page_of(sorted(found), page)
    return PeerList(
        basis=basis(assessed),
        name=group.name,
        towards=towards,
        protocol=protocol,
        port=port,
        pods=group.size,
        peers=tuple(
            PeerRow(
                names=tuple(names[peer]),
                outside=peer >= len(reach.classes),
                pods=len(reach.classes[peer].pods) if peer < len(reach.classes) else 0,
                ports=str(found[peer]),
            )
            for peer in listed
        ),
        paging=where,
        doubtful=tuple(_doubtful(reach, members.tolist(), set(found), towards, wanted)),
    )


def _doubtful(
    reach: Reachability, members: Sequence[int], listed: set[int], towards: Towards, ports: PortSet
) -> Iterator[str]:
    """Peers that are not in the list and may belong there, each with its first reason; a sentence when there are too many to ask about."""
    senders, receivers = reach.doubtful(Direction.EGRESS), reach.doubtful(Direction.INGRESS)
    names = peer_names(reach)
    asked = 0
    for peer in (*(one.id for one in reach.classes), *(one.id for one in reach.external)):
        if peer in listed:
            continue
        for member in members:
            source, destination = (peer, member) if towards is Towards.SOURCES else (member, peer)
            if source not in senders and destination not in receivers:
                continue
            asked += 1
            if asked > MOST_DOUBTED:
                yield "more connections than were looked at hang on addresses or labels that are not known"
                return
            reason = next(iter(reach.uncertain(PeerId(source), PeerId(destination), ports)), "")
            if reason:
                yield f"{', '.join(names[peer])}: {reason}"
                break


# -- zones ------------------------------------------------------------------------------------------------------------


def zones_view(assessed: Assessed) -> ZonesView:
    intent = assessed.state.intent
    return ZonesView(
        basis=basis(assessed),
        zones=zone_matrix(assessed.reach, assessed.zones, intent) if intent and intent.zones else None,
        namespaces=namespace_matrix(assessed.reach),
    )


# -- paths ------------------------------------------------------------------------------------------------------------


def paths_view(assessed: Assessed, source: str, destination: str) -> PathsView:
    """Raises UsageError when nothing in the cluster has one of the names."""
    reach = assessed.reach
    start, end = _group(assessed, source), _group(assessed, destination)
    found = search.find(reach, start, end)
    rests = basis(assessed)
    doubts: tuple[str, ...] = ()
    by_node: Sequence[Hop] = ()
    if found.hops is None:
        doubts = (*path_doubts(reach, start, end), *rests.doubts)
        also = search.find(reach, start, end, through_nodes=True).shortest
        by_node = also[0] if also else ()
    nothing = PathVerdict.NOT_DETERMINED if doubts else PathVerdict.NO_PATH
    verdict = nothing if found.hops is None else PathVerdict.REACHABLE
    return PathsView(
        basis=rests,
        source=start.name,
        destination=end.name,
        verdict=verdict,
        hops=found.hops,
        paths=tuple(tuple(_hop(reach, hop) for hop in path) for path in found.shortest[:SHOWN_PATHS]),
        paths_total=len(found.shortest),
        not_reached=tuple(name for stop in found.unreached for name in stop.workloads),
        doubts=doubts,
        by_own_node=tuple(_hop(reach, hop) for hop in by_node),
    )


def _hop(reach: Reachability, hop: Hop) -> HopView:
    decided = next(reasons(reach, hop), None)
    return HopView(
        source=hop.source.workloads,
        destination=hop.destination.workloads,
        ports=str(hop.ports),
        own_node=hop.own_node,
        egress=decided.explanation.egress.reason if decided else "",
        ingress=decided.explanation.ingress.reason if decided else "",
    )


def _group(assessed: Assessed, name: str) -> Group:
    try:
        found = names_in(assessed.reach, assessed.zones, assessed.state.intent).group(name)
    except InputError as error:
        raise UsageError(str(error)) from error
    if not found:
        raise UsageError(f"{name} holds no pod that runs and no address outside the cluster")
    return found
