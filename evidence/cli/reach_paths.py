"""`evidence reach paths` and `evidence reach blast`: chains of allowed connections, and all that some pods can come to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evidence.cli.json_output import write_json
from evidence.cli.options import source_options
from evidence.cli.reach_source import Source, analysed, intent_option
from evidence.errors import InputError, UsageError

if TYPE_CHECKING:
    from evidence.reach.engine import Reachability
    from evidence.reach.groups import Group, Names
    from evidence.reach.paths import Contact, Hop, Paths, Stop

SHOWN = 10  # rows of one kind in the text; --all and JSON have every one
PRESUMES = "a hop through a pod presumes that the pod is taken over; outside ranges begin or end a path only"
OWN_NODE = "a pod's own node always reaches it; such hops are left out (--through-nodes)"

hop_options = [
    click.option("--max-hops", type=click.IntRange(1), help="Look no further than this."),
    click.option("--through-nodes", is_flag=True, help="Count that a pod's own node always reaches it."),
    click.option("--all", "show_all", is_flag=True, help=f"Every row of the text, not the first {SHOWN} of a kind."),
    click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True),
]


@click.command("paths")
@click.argument("source", metavar="FROM")
@click.argument("destination", metavar="TO")
@source_options
@intent_option
@hop_options[0]
@hop_options[1]
@click.option("--rules", is_flag=True, help="Name what decides on each side of every hop.")
@click.option("--fail-on-path", is_flag=True, help="Exit 1 unless it is certain that there is no path.")
@hop_options[2]
@hop_options[3]
def paths(
    source: str,
    destination: str,
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    max_hops: int | None,
    through_nodes: bool,
    rules: bool,
    fail_on_path: bool,
    show_all: bool,
    output: str,
) -> int:
    """Whether anything in FROM can come to TO through any chain of allowed connections, and by which shortest path.

    FROM and TO are a zone or a namespace (zone:NAME, namespace:NAME where both have the name), namespace/pod, namespace/workload, or a
    network or address outside the cluster. A hop through a pod presumes that the pod is taken over.
    """
    from evidence.reach import paths as search
    from evidence.reach.matrix import computed_on

    reach, named = _read(Source(from_paths, db, cluster, at, keep_going, intent), source, destination)
    start, end = _group(named, source, "FROM"), _group(named, destination, "TO")
    found = search.find(reach, start, end, max_hops=max_hops, through_nodes=through_nodes)
    doubts = _doubts(reach, start, end, found, through_nodes)
    by_node = _by_node(reach, start, end, found, max_hops, through_nodes)
    verdict = "reachable" if found.hops is not None else "not determined" if doubts else "no path"
    if output == "json":
        body = {
            "from": {"name": start.name, "stops": [_stop(stop) for stop in found.source]},
            "to": {"name": end.name, "stops": [_stop(stop) for stop in found.destination]},
            "verdict": verdict,
            "hops": found.hops,
            "max_hops": max_hops,
            "in_both": [_stop(stop) for stop in found.shared],
            "paths": [[_hop(reach, hop, rules) for hop in path] for path in found.shortest],
            "not_reached": [_stop(stop) for stop in found.unreached],
            "doubts": list(doubts),
            "through_nodes": through_nodes,
            "path_through_nodes": [_hop(reach, hop, rules) for hop in by_node],
            "computed_on": computed_on(reach),
        }
        _write_json(body)
    else:
        for line in _paths_text(reach, start, end, found, verdict, max_hops, rules, None if show_all else SHOWN):
            click.echo(line)
        for reason in doubts:
            click.echo(f"not certain: {_safe(reason)}")
        if by_node:
            click.echo("only as traffic of a pod's own node, which no policy governs:")
            for line in _path_text(reach, by_node, rules):
                click.echo(line)
        click.echo("; ".join([computed_on(reach), PRESUMES, *([] if through_nodes else [OWN_NODE])]))
    return 1 if fail_on_path and verdict != "no path" else 0


def _doubts(
    reach: "Reachability", start: "Group", end: "Group", found: "Paths", through_nodes: bool
) -> tuple[str, ...]:
    """Why the answer "no path" may be wrong; nothing when there is one."""
    from evidence.reach.possible import not_looked_at, path_doubts

    if found.hops is not None:
        return ()
    return (*path_doubts(reach, start, end, through_nodes=through_nodes), *not_looked_at(reach))


def _by_node(
    reach: "Reachability", start: "Group", end: "Group", found: "Paths", max_hops: int | None, through_nodes: bool
) -> "tuple[Hop, ...]":
    """A path that needs the exception for a pod's own node, where there is no other."""
    from evidence.reach import paths as search

    if through_nodes or found.hops is not None:
        return ()
    also = search.find(reach, start, end, max_hops=max_hops, through_nodes=True).shortest
    return also[0] if also else ()


@click.command("blast")
@click.argument("source", metavar="WORKLOAD")
@source_options
@intent_option
@hop_options[0]
@hop_options[1]
@hop_options[2]
@hop_options[3]
def blast(
    source: str,
    from_paths: tuple[str, ...],
    db: str,
    cluster: str | None,
    at: datetime | None,
    keep_going: bool,
    intent: Path | None,
    max_hops: int | None,
    through_nodes: bool,
    show_all: bool,
    output: str,
) -> None:
    """Everything that WORKLOAD can reach, directly and in several hops: what is lost with it when it is taken over.

    WORKLOAD is namespace/workload, namespace/pod, a zone, a namespace, or a network or address outside the cluster.
    """
    from evidence.reach import paths as search
    from evidence.reach.matrix import computed_on

    reach, named = _read(Source(from_paths, db, cluster, at, keep_going, intent), source)
    start = _group(named, source, "WORKLOAD")
    found = search.blast(reach, start, max_hops=max_hops, through_nodes=through_nodes)
    zones = _zones(named)
    if output == "json":
        body = {
            "from": start.name,
            "pods": sorted(key for keys in start.pods.values() for key in keys),
            "reached": [_contact(contact, zones) for contact in found],
            "through_nodes": through_nodes,
            "max_hops": max_hops,
            "computed_on": computed_on(reach),
        }
        _write_json(body)
        return
    for line in _blast_text(reach, start, found, zones, None if show_all else SHOWN):
        click.echo(line)
    click.echo("; ".join([computed_on(reach), PRESUMES, *([] if through_nodes else [OWN_NODE])]))


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(source: Source, *asked: str) -> "tuple[Reachability, Names]":
    from evidence.reach.groups import network_named

    networks = [network for name in asked if (network := network_named(name)) is not None]
    return analysed(source, networks)


def _group(named: "Names", name: str, argument: str) -> "Group":
    try:
        found = named.group(name)
    except InputError as error:
        raise UsageError(f"{argument}: {error}") from None
    if not found:
        raise UsageError(f"{argument}: {name} holds no pod that runs and no address outside the cluster")
    return found


# -- text -------------------------------------------------------------------------------------------------------------


def _safe(text: object) -> str:
    from evidence.cli.terminal import line

    return line(text)


def _title(group: "Group") -> str:
    pods, ranges = group.size, len(group.ranges)
    parts = [f"{pods} pod{'s' * (pods != 1)}"] if pods else []
    parts += [f"{ranges} outside range{'s' * (ranges != 1)}"] if ranges else []
    return f"{_safe(group.name)} ({', '.join(parts)})"


def _stop_name(stop: "Stop") -> str:
    names = stop.workloads
    more = f" and {len(names) - 1} more alike" if len(names) > 1 else ""
    return _safe(names[0] + more)


def _paths_text(
    reach: "Reachability",
    start: "Group",
    end: "Group",
    found: "Paths",
    verdict: str,
    max_hops: int | None,
    rules: bool,
    limit: int | None,
) -> Iterator[str]:
    within = f" within {max_hops} hop{'s' * (max_hops != 1)}" if max_hops else ""
    hops = {None: within, 0: ": some pods lie in both", 1: " in 1 hop"}.get(found.hops, f" in {found.hops} hops")
    yield f"{_title(start)} → {_title(end)}: {verdict}{hops}"
    for stop in found.shared[:limit]:
        yield f"  in both: {_stop_name(stop)}"
    for path in found.shortest[:limit]:
        yield from _path_text(reach, path, rules)
    yield from _rest(len(found.shared) + len(found.shortest), limit)
    if found.hops is not None:
        for stop in found.unreached[:limit]:
            yield f"not reached: {_stop_name(stop)}"
        yield from _rest(len(found.unreached), limit)


def _rest(total: int, limit: int | None) -> Iterator[str]:
    if limit is not None and total > limit:
        yield f"  and {total - limit} more (--all)"


def _path_text(reach: "Reachability", path: "Sequence[Hop]", rules: bool) -> Iterator[str]:
    yield f"  {_stop_name(path[-1].destination)} in {len(path)} hop{'s' * (len(path) != 1)}"
    for number, hop in enumerate(path, 1):
        ports = "every port, from its own node" if hop.own_node else str(hop.ports)
        yield f"    {number}. {_stop_name(hop.source)} → {_stop_name(hop.destination)}  {ports}"
        if rules:
            from evidence.reach.hops import reasons

            for reason in reasons(reach, hop):
                yield f"         {reason.ports}: egress {_safe(reason.explanation.egress.reason)}"
                yield f"         {' ' * len(str(reason.ports))}  ingress {_safe(reason.explanation.ingress.reason)}"


def _blast_text(
    reach: "Reachability",
    start: "Group",
    found: "Sequence[Contact]",
    zones: "Mapping[int | str, tuple[str, ...]]",
    limit: int | None,
) -> Iterator[str]:
    pods = {pod.key for contact in found for pod in contact.stop.pods}
    all_pods = sum(len(peer.pods) for peer in reach.classes)
    outside = sum(contact.stop.outside is not None for contact in found)
    yield f"{_title(start)} can reach {len(pods)} of {all_pods} pods and {outside} outside range{'s' * (outside != 1)}"
    for hops in sorted({contact.hops for contact in found}):
        yield "directly:" if hops == 1 else f"in {hops} hops:"
        rows = [row for contact in found if contact.hops == hops for row in _rows(contact, zones)]
        rows.sort()
        widths = [max(len(row[column]) for row in rows[:limit]) for column in range(2)]
        for zone, name, ports, via in rows[:limit]:
            yield f"  {zone:{widths[0]}}  {name:{widths[1]}}  {ports}{f'  via {via}' if hops > 1 else ''}"
        yield from _rest(len(rows), limit)


def _rows(contact: "Contact", zones: "Mapping[int | str, tuple[str, ...]]") -> Iterator[tuple[str, str, str, str]]:
    """A row for each zone and workload among the pods (or for the outside range) of a contact."""
    ports = "every port, from its own node" if contact.own_node else str(contact.ports)
    for zone, name, pods in _members(contact.stop, zones):
        size = f" ({pods} pods)" if pods > 1 else ""
        yield _safe(zone or "no zone"), _safe(f"{name}{size}"), ports, _stop_name(contact.via)


def _members(stop: "Stop", zones: "Mapping[int | str, tuple[str, ...]]") -> Iterator[tuple[str, str, int]]:
    """(zones, name, number of pods) of each workload in each combination of zones."""
    if stop.outside is not None:
        yield ", ".join(zones.get(stop.peer, ())), stop.workloads[0], 0
        return
    counted: dict[tuple[str, str], int] = {}
    for pod in stop.pods:
        key = pod.workload
        place = (", ".join(zones.get(pod.key, ())), f"{key.namespace}/{key.kind}/{key.name}")
        counted[place] = counted.get(place, 0) + 1
    for (zone, name), number in sorted(counted.items()):
        yield zone, name, number


def _zones(named: "Names") -> "dict[int | str, tuple[str, ...]]":
    """Names of the zones of each pod (by its key) and outside range (by its id)."""
    found: dict[int | str, tuple[str, ...]] = {}
    for zone in named.zones:
        group = named.group(f"zone:{zone}")
        inside: Iterable[int | str] = (*group.ranges, *(key for keys in group.pods.values() for key in keys))
        for member in inside:
            found[member] = (*found.get(member, ()), zone)
    return found


# -- JSON -------------------------------------------------------------------------------------------------------------


def _write_json(body: Mapping[str, Any]) -> None:

    write_json(body)


def _stop(stop: "Stop") -> dict[str, Any]:
    if stop.outside is not None:
        return {"outside": stop.workloads[0], "first": str(stop.outside.first), "last": str(stop.outside.last)}
    return {"workloads": list(stop.workloads), "pods": [pod.key for pod in stop.pods]}


def _hop(reach: "Reachability", hop: "Hop", rules: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"from": _stop(hop.source), "to": _stop(hop.destination), "ports": str(hop.ports)}
    if hop.own_node:
        body["own_node"] = True
    if rules:
        from evidence.reach.hops import reasons
        from evidence.reach.query import as_json

        body["rules"] = [{"ports": str(reason.ports), **as_json(reason.explanation)} for reason in reasons(reach, hop)]
    return body


def _contact(contact: "Contact", zones: "Mapping[int | str, tuple[str, ...]]") -> dict[str, Any]:
    body = {
        "hops": contact.hops,
        **_stop(contact.stop),
        "zones": sorted({zone for pod in contact.stop.pods for zone in zones.get(pod.key, ())})
        if contact.stop.pods
        else list(zones.get(contact.stop.peer, ())),
        "ports": str(contact.ports),
        "via": _stop(contact.via),
    }
    return {**body, "own_node": True} if contact.own_node else body
