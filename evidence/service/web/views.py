"""Every view that there is, in one table: where it is, what it takes, who may see it, and which function makes its value.

The page lies at the path, the JSON at the same path below /api/v1. Both are made from the value that `make` gives.

Who sees what: the owner all of it. The auditor packs, their files and checks, the log, and of snapshots what stands in packs as evidence of the
process: when they were taken, what was read and what was refused, custody, digests. No findings, no timeline and no reachability: what the
auditor relies on of these is what was signed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evidence.cluster.model import Protocol
from evidence.errors import NotThereError, UsageError
from evidence.findings.finding import Severity
from evidence.pipeline.browse import findings, reach
from evidence.pipeline.browse.clusters import Overview, overview
from evidence.pipeline.browse.packs import LogView, PackList, PackView, log_view, pack_list, pack_view
from evidence.pipeline.browse.snapshots import (
    SnapshotList,
    SnapshotView,
    cluster_named,
    snapshot_list,
    snapshot_view,
)
from evidence.pipeline.browse.timeline import TimelineView, timeline_view
from evidence.pipeline.retention import gone_in
from evidence.report.charts import heat_map, verdict_bar
from evidence.report.templates import colours
from evidence.report.zonediagram import arrows, drawn_arrows, zone_diagram
from evidence.service.web.access import BOTH, OWNER, Role
from evidence.service.web.asked import Asked, Kind, Parameter, period
from evidence.service.web.desk import Busy
from evidence.service.web.site import ALL_TIME, LIGHT, Site


@dataclass(frozen=True, slots=True)
class View:
    """`answer` is the type of what `make` gives; `template` the page's; `pictures` are drawn of the value; `beside` is what the page shows also
    where nothing was asked yet."""

    path: str
    title: str
    summary: str
    parameters: tuple[Parameter, ...]
    roles: frozenset[Role]
    answer: type
    make: Callable[[Site, Asked], Any]
    template: str
    pictures: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    beside: Callable[[Site, Asked], Mapping[str, Any]] = lambda *_: {}

    @property
    def is_form(self) -> bool:
        """Something has to be asked before there is an answer."""
        return any(each.required and not each.in_path for each in self.parameters)

    @property
    def operation(self) -> str:
        """The name in the API's description: "get_snapshots_snapshot_findings"."""
        words = re.findall(r"[a-z]+", self.path.replace(":int", ""))
        return "_".join(("get", *words))


CLUSTER = Parameter("cluster", "a cluster of the store; needed when there are several")
PAGE = Parameter("page", "which page of the list", Kind.NUMBER, least=1, most=1_000_000, default=1)
SNAPSHOT = Parameter("snapshot", "the snapshot's number", Kind.NUMBER, required=True, in_path=True)
PROTOCOL = Parameter("protocol", "TCP, UDP or SCTP", choices=tuple(Protocol), default=Protocol.TCP.value)
FOLDER = Parameter("folder", "the pack's folder in the archive", required=True, in_path=True)
_END = "namespace/pod, namespace/workload, or an address outside the cluster"
_GROUP = "a zone or namespace (zone:NAME, namespace:NAME where both have the name), namespace/pod, namespace/workload, or a network outside"


# -- how each is made -------------------------------------------------------------------------------------------------


def _overview(site: Site, _asked: Asked) -> Overview:
    with site.store() as store:
        return overview(store, site.now(), site.plan.expect_every, site.outcomes)


def _snapshots(site: Site, asked: Asked) -> SnapshotList:
    with site.store() as store:
        return snapshot_list(store, asked["cluster"], asked["page"])


def _snapshot(site: Site, asked: Asked) -> SnapshotView:
    with site.store() as store:
        return snapshot_view(store, asked["snapshot"])


def _snapshot_at(site: Site, asked: Asked) -> SnapshotView:
    with site.store() as store:
        name = cluster_named(store, asked["cluster"])
        try:
            found = store.latest(name, at=asked["at"])
        except UsageError as error:
            raise NotThereError(
                f"there is no snapshot of {name} at or before {asked['at']:%Y-%m-%d %H:%M} UTC"
            ) from error
        return snapshot_view(store, found.id)


def _findings(site: Site, asked: Asked) -> findings.FindingList:
    wanted = findings.FindingFilter(asked["rule"], asked["severity"], asked["namespace"], asked["zone"])
    return findings.finding_list(site.assessed(asked["snapshot"]), wanted, asked["page"])


def _finding(site: Site, asked: Asked) -> findings.FindingView:
    return findings.finding_view(site.assessed(asked["snapshot"]), asked["fingerprint"])


def _timeline(site: Site, asked: Asked) -> TimelineView:
    days = period(asked["first"], asked["last"])
    with site.store() as store:
        name = cluster_named(store, asked["cluster"])
        gone = gone_in(store, name, days or ALL_TIME)
        if gone and len(gone.numbers) == len(store.snapshots(name, *(days or ALL_TIME))):
            raise NotThereError(
                f"nothing can be said of this period any more: {gone}; packs that were made before tell of it"
            )
    frameworks = (asked["framework"],) if asked["framework"] else ()
    return timeline_view(site.timeline(name, days, frameworks), gone, asked["page"])


def _connection(site: Site, asked: Asked) -> reach.VerdictView:
    wanted = (asked["source"], asked["destination"], Protocol(asked["protocol"]), asked["port"])
    return site.about(asked["snapshot"], ("connection", wanted), lambda found: reach.verdict_view(found, *wanted))


def _peers(site: Site, asked: Asked) -> reach.PeerList:
    wanted = (asked["name"], reach.Towards(asked["towards"]), Protocol(asked["protocol"]), asked["port"], asked["page"])
    return site.about(asked["snapshot"], ("peers", wanted), lambda found: reach.peer_list(found, *wanted))


def _zones(site: Site, asked: Asked) -> reach.ZonesView:
    return site.about(asked["snapshot"], "zones", reach.zones_view)


def _paths(site: Site, asked: Asked) -> reach.PathsView:
    wanted = (asked["source"], asked["destination"])
    return site.about(asked["snapshot"], ("paths", wanted), lambda found: reach.paths_view(found, *wanted))


def _packs(site: Site, _asked: Asked) -> PackList:
    return pack_list(site.plan.archive, site.checks)


def _pack(site: Site, asked: Asked) -> PackView:
    return pack_view(site.plan.archive, asked["folder"], site.check_pack(asked["folder"]))


def _log(site: Site, _asked: Asked) -> LogView:
    with site.store() as store:
        key = ("log", store.log_size(), store.newest_checkpoint())

    def read() -> LogView:
        with site.store() as store:
            return log_view(store)

    return site.desk.get(key, LIGHT, read)


def _frameworks(site: Site, _asked: Asked) -> Mapping[str, Any]:
    return {"known": [(each.short, f"{each.title} {each.version}") for each in site.plan.frameworks]}


def _names(site: Site, asked: Asked) -> Mapping[str, Any]:
    """What the form offers to choose from; nothing while the snapshot is still being analysed."""
    try:
        return {"names": site.about(asked["snapshot"], "names", reach.known_names)}
    except Busy:
        return {"names": ()}


# -- pictures ---------------------------------------------------------------------------------------------------------


def _zone_pictures(view: reach.ZonesView) -> Mapping[str, Any]:
    paints = colours()
    here = "the JSON of this page"
    return {
        "diagram": zone_diagram(view.zones, paints) if view.zones else None,
        "zone_heat": heat_map(view.zones, paints, here) if view.zones else None,
        "arrows": arrows(view.zones) if view.zones else (),
        "drawn": len(drawn_arrows(view.zones)) if view.zones else 0,
        "heat": heat_map(view.namespaces, paints, here) if view.namespaces.groups else None,
    }


def _overview_pictures(view: Overview) -> Mapping[str, Any]:
    paints = colours()
    return {
        "bars": {
            (cluster.name, counts.framework): verdict_bar(counts.verdicts, paints)
            for cluster in view.clusters
            if cluster.outcome
            for counts in cluster.outcome.controls
        }
    }


def _pack_pictures(view: PackList) -> Mapping[str, Any]:
    paints = colours()
    bars: dict[str, Markup] = {pack.folder: verdict_bar(pack.verdicts, paints) for pack in view.packs}
    return {"bars": bars}


# -- the table --------------------------------------------------------------------------------------------------------

VIEWS = (
    View("/clusters", "Clusters", "All clusters: last snapshot, age, what it lacks, coverage, open findings, control results", (),
         OWNER, Overview, _overview, "clusters.html.j2", _overview_pictures),
    View("/snapshots", "Snapshots", "Snapshots of a cluster, newest first", (CLUSTER, PAGE), BOTH, SnapshotList, _snapshots,
         "snapshots.html.j2"),
    View("/snapshots/at", "Snapshot", "The newest snapshot of a cluster at a time",
         (CLUSTER, Parameter("at", "a time in ISO 8601; without a zone it is UTC", Kind.TIME, required=True)),
         BOTH, SnapshotView, _snapshot_at, "snapshot.html.j2"),
    View("/snapshots/{snapshot:int}", "Snapshot", "One snapshot: population, what was refused, custody, digests, place in the log", (SNAPSHOT,),
         BOTH, SnapshotView, _snapshot, "snapshot.html.j2"),
    View("/snapshots/{snapshot:int}/findings", "Findings", "Findings of a snapshot as of the time it was taken, most severe first",
         (SNAPSHOT, Parameter("rule", "of this rule, such as NET-001"),
          Parameter("severity", "of this severity", choices=tuple(Severity)),
          Parameter("namespace", "about something in this namespace"), Parameter("zone", "in this zone"), PAGE),
         OWNER, findings.FindingList, _findings, "findings.html.j2"),
    View("/snapshots/{snapshot:int}/findings/{fingerprint}", "Finding", "One finding: why it matters, what mends it, what it rests on",
         (SNAPSHOT, Parameter("fingerprint", "the finding's fingerprint", required=True, in_path=True)),
         OWNER, findings.FindingView, _finding, "finding.html.j2"),
    View("/snapshots/{snapshot:int}/connection", "Connection", "Whether one connection passes, and the rule on each side",
         (SNAPSHOT, Parameter("source", _END, required=True), Parameter("destination", _END, required=True), PROTOCOL,
          Parameter("port", "the destination's port", Kind.NUMBER, required=True, least=1, most=65535)),
         OWNER, reach.VerdictView, _connection, "connection.html.j2", beside=_names),
    View("/snapshots/{snapshot:int}/peers", "Who can reach it", "Who can reach something, or whom it can reach, directly",
         (SNAPSHOT, Parameter("name", _GROUP, required=True),
          Parameter("towards", "sources: who can reach it; destinations: whom it can reach", choices=tuple(reach.Towards), default="sources"),
          PROTOCOL, Parameter("port", "on this port; 0 for any port of any protocol", Kind.NUMBER, most=65535, default=0), PAGE),
         OWNER, reach.PeerList, _peers, "peers.html.j2", beside=_names),
    View("/snapshots/{snapshot:int}/zones", "Map of flows", "Computed flows between zones and between namespaces", (SNAPSHOT,),
         OWNER, reach.ZonesView, _zones, "zones.html.j2", _zone_pictures),
    View("/snapshots/{snapshot:int}/paths", "Paths", "Whether anything in one group can come to another through allowed connections",
         (SNAPSHOT, Parameter("source", _GROUP, required=True), Parameter("destination", _GROUP, required=True)),
         OWNER, reach.PathsView, _paths, "paths.html.j2", beside=_names),
    View("/timeline", "Timeline", "A period of a cluster's history: changes, findings that opened and closed, failed runs, gaps",
         (CLUSTER, Parameter("first", "first day of the period", Kind.DAY), Parameter("last", "last day of the period", Kind.DAY),
          Parameter("framework", "also each control at the start, at its worst and at the end: pci, hipaa, fedramp or one of yours"), PAGE),
         OWNER, TimelineView, _timeline, "timeline.html.j2", beside=_frameworks),
    View("/packs", "Packs", "Packs of the archive, newest first", (), BOTH, PackList, _packs, "packs.html.j2", _pack_pictures),
    View("/packs/{folder}", "Pack", "One pack: every check of it, and its files", (FOLDER,), BOTH, PackView, _pack, "pack.html.j2"),
    View("/log", "Log", "The store's Merkle log: its head, and the newest signed checkpoint", (), BOTH, LogView, _log, "log.html.j2"),
)  # fmt: skip
