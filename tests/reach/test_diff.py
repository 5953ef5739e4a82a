"""What a change adds and takes away: parts of workloads that are alike before and after, never pairs of pods."""

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from evidence.cluster.model import Cluster, Direction, IPAddress, NetworkPolicy, Pod, Protocol
from evidence.cluster.objects import ObjectKey
from evidence.cluster.policies import Action, DomainNamesPeer
from evidence.reach.diff import Diff, Row
from evidence.reach.engine import analyse
from evidence.reach.ports import PortSet
from evidence.reach.refine import Part, Presence, Slice, incomparable, shown
from evidence.sample import sample_dumps
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.cli.run import evidence
from tests.oracle.naive import may_connect
from tests.oracle.strategies import OUTSIDE, clusters
from tests.reach.build import cluster_policy, does
from tests.reach.test_paths import EVERY_ATOM

RELAXED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

WEB, DB = pod("web", "shop", {"app": "web"}), pod("db", "shop", {"app": "db"})
SHUT = policy("db", "shop", {"app": "db"}, ingress=[])


def opened(*numbers: int) -> NetworkPolicy:
    return policy(
        "db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(number) for number in numbers])]
    )


def of(workload: str, *names: str, labels: dict[str, str] | None = None, ip: str = "") -> tuple[Pod, ...]:
    """Pods of a Deployment."""
    key = ObjectKey("apps", "Deployment", "shop", workload)
    return tuple(replace(pod(name, "shop", labels or {"app": workload}, ip=ip or ()), workload=key) for name in names)


def diff(before: Cluster, after: Cluster) -> Diff:
    return Diff(analyse(before), analyse(after))


def told(found: Diff) -> list[str]:
    return [shown_row(row) for row in found.rows()]


def shown_row(row: Row) -> str:
    added = f" +{row.added}" if row.added else ""
    removed = f" -{row.removed}" if row.removed else ""
    where = "" if row.presence is Presence.BOTH else f" ({row.presence.value})"
    return f"{row.source} {row.destination}{added}{removed}{where}"


def test_ports_that_a_rule_gains_and_loses_are_one_row() -> None:
    found = diff(cluster([WEB, DB], [opened(80, 443)]), cluster([WEB, DB], [opened(443, 5432)]))
    assert told(found) == ["shop/Pod/web shop/Pod/db +TCP 5432 -TCP 80"]
    assert found.added


def test_what_stays_is_no_change() -> None:
    known = cluster([WEB, DB], [opened(80)])
    found = diff(known, known)
    assert (found.changes, found.possible, found.added) == ((), (), False)


def test_pods_that_a_rollout_replaced_are_no_change() -> None:
    before = cluster([*of("web", "web-1-a", "web-1-b"), DB], [opened(80)])
    after = cluster([*of("web", "web-2-c", "web-2-d", "web-2-e"), DB], [opened(80)])
    assert told(diff(before, after)) == []


def test_a_rollout_does_not_hide_what_the_policies_change() -> None:
    before = cluster([*of("web", "web-1-a", "web-1-b"), DB], [SHUT])
    after = cluster([*of("web", "web-2-c", "web-2-d"), DB], [opened(80)])
    assert told(diff(before, after)) == ["shop/Deployment/web shop/Pod/db +TCP 80"]


def test_a_rollout_that_is_half_done_shows_what_the_new_pods_gain() -> None:
    old, new = of("web", "web-1-a", labels={"app": "old"}), of("web", "web-2-a", labels={"app": "web"})
    before, after = cluster([*old, DB], [opened(80)]), cluster([*old, *new, DB], [opened(80)])
    part = "shop/Deployment/web (1 of 2 pods: web-2-a) shop/Pod/db"
    assert told(diff(before, after)) == [f"{part} +TCP 80"]
    assert told(diff(after, before)) == [f"{part} -TCP 80"]


def by_label(**ports: int) -> NetworkPolicy:
    """Pods with these values of "app" may connect to db."""
    return policy(
        "db", "shop", {"app": "db"}, ingress=[rule([peer({"app": app})], [port(ports[app])]) for app in ports]
    )


def test_replaced_pods_that_are_like_no_other_are_compared_with_what_any_of_the_former_could_do() -> None:
    stays, *former = (of("web", f"web-{app}", labels={"app": app})[0] for app in "xab")
    now = of("web", "web-c", labels={"app": "c"})
    rules = by_label(x=1, a=80, b=443, c=443)
    found = diff(cluster([stays, *former, DB], [rules]), cluster([stays, *now, DB], [rules]))
    assert told(found) == ["shop/Deployment/web (1 of 2 pods: web-c) shop/Pod/db -TCP 80"]


def test_a_further_pod_that_is_like_no_other_can_only_add_and_one_that_goes_only_take() -> None:
    one, other = of("web", "web-a", labels={"app": "a"}), of("web", "web-b", labels={"app": "b"})
    few, many = (cluster([*pods, DB], [by_label(a=80, b=443)]) for pods in (one, one + other))
    part = "shop/Deployment/web (1 of 2 pods: web-b) shop/Pod/db"
    assert told(diff(few, many)) == [f"{part} +TCP 443"]
    assert told(diff(many, few)) == [f"{part} -TCP 443"]
    assert [row.removed for row in diff(few, many).rows()] == [PortSet.none()]
    assert [row.added for row in diff(many, few).rows()] == [PortSet.none()]


def test_pods_of_one_workload_have_changes_among_themselves_and_a_single_pod_has_none() -> None:
    several, single = of("web", "web-a", "web-b"), pod("alone", "shop", {"app": "web"})
    shut = policy("web", "shop", {"app": "web"}, ingress=[])
    some = policy("web", "shop", {"app": "web"}, ingress=[rule([peer({"app": "web"})], [port(80)])])
    web = "shop/Deployment/web"
    assert told(diff(cluster(several, [shut]), cluster(several, [some]))) == [f"{web} {web} +TCP 80"]
    assert told(diff(cluster([single], [shut]), cluster([single], [some]))) == []


def test_scaling_is_no_change() -> None:
    few, many = of("web", "web-a"), of("web", "web-a", "web-b", "web-c")
    assert told(diff(cluster([*few, DB], [opened(80)]), cluster([*many, DB], [opened(80)]))) == []
    assert told(diff(cluster([*many, DB], [opened(80)]), cluster([*few, DB], [opened(80)]))) == []


def test_a_pod_whose_labels_change_shows_in_its_part_alone() -> None:
    one, two = of("web", "web-a", "web-b", labels={"app": "other"})
    before = cluster([one, two, DB], [opened(80)])
    after = cluster([replace(one, labels={"app": "web"}), two, DB], [opened(80)])
    assert told(diff(before, after)) == ["shop/Deployment/web (1 of 2 pods: web-a) shop/Pod/db +TCP 80"]


def test_what_new_and_gone_workloads_bring_and_take_is_told_apart() -> None:
    job = pod("job", "batch")
    without, with_job = cluster([DB], [SHUT]), cluster([DB, job], [SHUT])
    rows = told(diff(without, with_job))
    assert "shop/Pod/db batch/Pod/job +all ports (new)" in rows
    assert "batch/Pod/job 0.0.0.0/0, ::/0 +all ports (new)" in rows
    assert all(row.endswith("(new)") for row in rows)
    assert "shop/Pod/db batch/Pod/job -all ports (gone)" in told(diff(with_job, without))


def test_the_outside_is_cut_at_the_bounds_of_both() -> None:
    near, far = (
        policy("db", "shop", {"app": "db"}, ingress=[rule([block(cidr)], [port(443)])])
        for cidr in ("203.0.113.0/25", "203.0.113.0/24")
    )
    placed = pod("db", "shop", {"app": "db"}, ip="10.0.0.1")
    assert told(diff(cluster([placed], [near]), cluster([placed], [far]))) == [
        "203.0.113.128/25 shop/Pod/db +TCP 443",
    ]


def test_slices_of_the_outside_with_one_change_are_one_row() -> None:
    hole = policy("db", "shop", {"app": "db"}, ingress=[rule([block("0.0.0.0/0", "10.0.0.0/8")], [port(443)])])
    placed = pod("db", "shop", {"app": "db"}, ip="10.0.0.1")
    assert told(diff(cluster([placed], [SHUT]), cluster([placed], [hole]))) == [
        "0.0.0.0-9.255.255.255, 11.0.0.0-255.255.255.255 shop/Pod/db +TCP 443"
    ]


def test_an_address_that_a_pod_left_was_open_before_and_is_no_change() -> None:
    """What policies say of an address does not depend on whether a pod has it today."""
    admits = policy("db", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.5/32")], [port(80)])], egress=[])
    db = pod("db", "shop", {"app": "db"}, ip="10.0.0.1")
    before = cluster([*of("web", "web-1", ip="10.0.0.5"), db], [admits])
    after = cluster([*of("web", "web-2", ip="10.0.0.6"), db], [admits])
    assert told(diff(before, after)) == ["shop/Deployment/web shop/Pod/db -TCP 80"]


def test_manifests_without_addresses_do_not_make_the_other_familys_outside_disappear() -> None:
    before, after = cluster([WEB]), cluster([replace(WEB, addresses=(ip_address("10.0.0.1"),))])
    assert told(diff(before, after)) == []


def test_an_added_flow_that_may_have_passed_before_says_so() -> None:
    by_address = policy("db", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.0/24")], [port(80)])])
    found = diff(cluster([WEB, DB], [by_address]), cluster([WEB, DB], [opened(80)]))
    (row,) = [row for row in found.rows() if row.source == "shop/Pod/web"]
    assert row.added == PortSet.of(Protocol.TCP, 80)
    (doubt,) = row.doubts
    assert doubt.startswith("may have passed before: ")
    assert "the address of pod shop/web is not known" in doubt
    (row,) = [row for row in diff(found.after.cluster, found.before.cluster).rows() if row.source == "shop/Pod/web"]
    assert row.doubts[0].startswith("may still pass: ")


BY_ADDRESS = policy("web", "shop", {"app": "web"}, egress=[rule([block("10.0.0.0/24")], [port(80)])])


def test_a_doubt_of_the_sending_side_counts_as_much() -> None:
    sends = policy("web", "shop", {"app": "web"}, egress=[rule([peer({"app": "db"})], [port(80)])])
    found = diff(cluster([WEB, DB], [BY_ADDRESS]), cluster([WEB, DB], [sends]))
    (row,) = [row for row in found.rows() if row.destination == "shop/Pod/db"]
    assert "the address of pod shop/db is not known" in " ".join(row.doubts)
    shut = policy("web", "shop", {"app": "web"}, egress=[])
    opened = diff(cluster([WEB, DB], [shut]), cluster([WEB, DB], [BY_ADDRESS]))
    pairs = {(one.source.members[0].name, one.destination.members[0].name) for one in opened.possible}
    assert ("shop/Pod/web", "shop/Pod/db") in pairs


def test_what_is_added_towards_the_outside_may_have_passed_by_a_name_before() -> None:
    names = cluster_policy("names", does(Action.ACCEPT, DomainNamesPeer(("a.example",))), direction=Direction.EGRESS)
    sends = policy("web", "shop", {"app": "web"}, egress=[rule([block("203.0.113.0/24")], [port(443)])])
    shut = policy("web", "shop", {"app": "web"}, egress=[])
    before, after = (replace(cluster([WEB], [each]), cluster_policies=(names,)) for each in (shut, sends))
    (row,) = diff(before, after).rows()
    assert (row.destination, str(row.added)) == ("203.0.113.0/24", "TCP 443")
    assert "the addresses of a.example are not known" in " ".join(row.doubts)
    assert [row.doubts for row in diff(*(replace(each, cluster_policies=()) for each in (before, after))).rows()] == [
        ()
    ]


def test_possible_pairs_beyond_the_most_that_are_looked_at_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    shut = policy("web", "shop", {"app": "web"}, egress=[])
    known = [cluster([WEB, DB], [each]) for each in (shut, BY_ADDRESS)]
    assert len(diff(*known).possible) > 1
    monkeypatch.setattr("evidence.reach.diff.MAX_PAIRS", 0)
    assert [one.reasons for one in diff(*known).possible] == [("the pairs after the first 0 were not looked at",)]


def test_what_a_new_rule_leaves_open_is_possible_and_not_added() -> None:
    by_address = policy("db", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.0/24")], [port(80)])])
    after = cluster([WEB, DB], [by_address])
    found = diff(cluster([WEB, DB], [SHUT]), after)
    assert not [row for row in found.rows() if row.source == "shop/Pod/web"]
    reasons = {(name.name) for one in found.possible for name in one.source.members}
    assert "shop/Pod/web" in reasons
    assert diff(after, after).possible == ()


# -- laws -------------------------------------------------------------------------------------------------------------


@RELAXED
@given(clusters())
def test_nothing_changes_between_a_cluster_and_itself(known: Cluster) -> None:
    found = diff(known, known)
    assert found.changes == ()
    assert found.possible == ()


@RELAXED
@given(clusters(), clusters())
def test_backwards_what_was_added_is_removed(one: Cluster, other: Cluster) -> None:
    forward, backward = diff(one, other), diff(other, one)
    assert {shown_row(swapped(row)) for row in backward.rows()} == {shown_row(row) for row in forward.rows()}


def swapped(row: Row) -> Row:
    presence = {Presence.NEW: Presence.GONE, Presence.GONE: Presence.NEW, Presence.BOTH: Presence.BOTH}
    return replace(row, added=row.removed, removed=row.added, presence=presence[row.presence])


@RELAXED
@given(clusters(), clusters())
def test_the_changes_are_those_of_an_evaluation_pod_by_pod(before: Cluster, after: Cluster) -> None:
    found = diff(before, after)
    rows = {(row.source, row.destination): row for row in found.rows()}
    nothing = PortSet.none()
    keys = sorted({pod.key for known in (before, after) for pod in known.pods})
    for source in keys:
        for destination in keys:
            if source == destination:
                continue
            row = rows.get((name(source), name(destination)))
            for atom in EVERY_ATOM:
                old, new = (passes(known, source, destination, atom) for known in (before, after))
                added, removed = (row.added, row.removed) if row else (nothing, nothing)
                assert added.contains(*atom) == (new and not old), (source, destination, atom)
                assert removed.contains(*atom) == (old and not new), (source, destination, atom)


def name(key: str) -> str:
    namespace, _, pod_name = key.partition("/")
    return f"{namespace}/Pod/{pod_name}"


def passes(known: Cluster, source: str, destination: str, atom: tuple[Protocol, int]) -> bool:
    pods = {pod.key: pod for pod in known.pods}
    if source not in pods or destination not in pods:
        return False
    return may_connect(known, pods[source], pods[destination], *atom, own_node=False)


@RELAXED
@given(clusters(), clusters())
def test_the_changes_with_the_outside_are_those_of_an_evaluation_by_address(before: Cluster, after: Cluster) -> None:
    found = diff(before, after)
    for address in OUTSIDE:
        if not compared(found, address):
            continue
        for key in sorted({one.key for known in (before, after) for one in known.pods}):
            for leaving in (True, False):
                ports = change_of(found, key, address, leaving)
                for atom in EVERY_ATOM:
                    old, new = (outside(known, key, address, leaving, atom) for known in (before, after))
                    assert ports[0].contains(*atom) == (new and not old), (key, address, leaving, atom)
                    assert ports[1].contains(*atom) == (old and not new), (key, address, leaving, atom)


def compared(found: Diff, address: IPAddress) -> bool:
    if incomparable(found.before, found.after, address.version):
        return False
    return any(shown(reach, reach.space.position(address)) for reach in (found.before, found.after))


def change_of(found: Diff, key: str, address: IPAddress, leaving: bool) -> tuple[PortSet, PortSet]:
    for change in found.changes:
        part, where = (change.source, change.destination) if leaving else (change.destination, change.source)
        if (
            isinstance(part, Part)
            and not isinstance(where, Part)
            and name(key) in [member.name for member in part.members]
            and any(holds(one, address) for one in where)
        ):
            return change.added, change.removed
    return PortSet.none(), PortSet.none()


def holds(one: Slice, address: IPAddress) -> bool:
    return one.family == address.version and one.first <= int(address) <= one.last


def outside(known: Cluster, key: str, address: IPAddress, leaving: bool, atom: tuple[Protocol, int]) -> bool:
    pods = {pod.key: pod for pod in known.pods}
    if key not in pods:
        return False
    source, destination = (pods[key], address) if leaving else (address, pods[key])
    return may_connect(known, source, destination, *atom, own_node=False)


@pytest.mark.slow
@settings(RELAXED, max_examples=80)
@given(clusters(), clusters())
def test_many_more_changes_are_those_of_an_evaluation_pod_by_pod(before: Cluster, after: Cluster) -> None:
    test_the_changes_are_those_of_an_evaluation_pod_by_pod.hypothesis.inner_test(before, after)  # type: ignore[attr-defined]


# -- the command ------------------------------------------------------------------------------------------------------

DEFAULT_DENY, DRIFTED, MENDED = (sample_dumps()[number].path for number in (2, 3, 4))


def test_the_drift_of_the_sample_is_one_added_flow() -> None:
    ran = evidence("reach", "diff", DEFAULT_DENY, DRIFTED, "--fail-on-new")
    assert ran.code == 1
    assert ran.out.splitlines()[:3] == [
        "+ batch/Deployment/report-runner  payments/StatefulSet/card-vault  TCP 5432",
        "1 added",
        "0 removed",
    ]
    assert evidence("reach", "diff", DRIFTED, DEFAULT_DENY, "--fail-on-new").code == 0
    assert evidence("reach", "diff", DEFAULT_DENY, DRIFTED).code == 0


def test_json_and_csv_say_the_same() -> None:
    body = json.loads(evidence("reach", "diff", DEFAULT_DENY, DRIFTED, "--format", "json").out)
    assert body["changes"] == [
        {
            "source": "batch/Deployment/report-runner",
            "destination": "payments/StatefulSet/card-vault",
            "added": "TCP 5432",
            "removed": None,
            "workloads": "both",
            "doubts": [],
        }
    ]
    ran = evidence("reach", "diff", DEFAULT_DENY, DRIFTED, "--format", "csv")
    assert ran.out.splitlines() == [
        "change,source,destination,ports,workloads,doubts",
        "added,batch/Deployment/report-runner,payments/StatefulSet/card-vault,TCP 5432,,",
    ]
    assert ran.err.startswith("1 added\n0 removed\nbefore: computed on ")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "evidence.db"
    for dump in sample_dumps()[2:4]:
        ran = evidence(
            "collect", "--from", dump.path, "--cluster", "shop", "--taken-at", dump.taken_at.isoformat(), "--db", path
        )
        assert ran.code == 0, ran.err
    return path


def test_snapshots_are_named_by_time_or_number(store: Path) -> None:
    by_time = evidence("reach", "diff", "@2026-08-10", "@newest", "--db", store)
    assert by_time.out.startswith("+ batch/Deployment/report-runner")
    assert evidence("reach", "diff", "@1", "@2", "--db", store).out == by_time.out
    assert evidence("reach", "diff", "@1", DRIFTED, "--db", store).out == by_time.out


def test_a_snapshot_that_is_none_is_one_sentence(store: Path) -> None:
    ran = evidence("reach", "diff", "@yesterday", "@newest", "--db", store)
    assert ran.code == 2
    assert "@yesterday" in ran.err
    assert evidence("reach", "diff", "@99", "@newest", "--db", store).code == 3
    other = evidence("reach", "diff", "@1", "@newest", "--db", store, "--cluster", "bank")
    assert (other.code, "is of cluster shop, not of bank" in other.err) == (2, True)


def test_existing_only_leaves_out_new_workloads(tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("one.yaml", "two.yaml"))
    web = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: []}\n"
    one.write_text(web)
    two.write_text(web + "---\n" + web.replace("web", "job"))
    ran = evidence("reach", "diff", one, two)
    assert "+ shop/Pod/job" in ran.out
    assert "(new workload)" in ran.out
    ran = evidence("reach", "diff", one, two, "--existing-only", "--fail-on-new")
    assert (ran.code, ran.out.splitlines()[:2]) == (0, ["0 added", "0 removed"])
