"""The flow picture: what may flow between zones and namespaces, and how certain that is."""

from dataclasses import replace
from ipaddress import ip_network

from evidence.cluster.model import Cluster, OtherPolicy, Protocol, Service, ServicePort
from evidence.cluster.objects import ObjectKey
from evidence.intent.model import ApprovedFlow, Classification, Intent, Zone
from evidence.intent.zones import assign
from evidence.reach.engine import analyse
from evidence.report.view.exposure import exposure
from evidence.report.view.flows import NO_ZONE, OUTSIDE, class_flows, namespace_matrix, zone_matrix
from evidence.report.view.model import CellState, Exposure, FlowCell, FlowMatrix, OpenDoor
from tests.builders import cluster, namespace, pod, policy, rule
from tests.report.inputs import intent, small_cluster


def cells(matrix: FlowMatrix) -> dict[tuple[str, str], FlowCell]:
    return {(cell.source, cell.destination): cell for cell in matrix.cells}


def zones_of(analysed: Cluster, declared: Intent) -> FlowMatrix:
    networks = [network for zone in declared.zones for network in zone.cidrs]
    return zone_matrix(analyse(analysed, extra_networks=networks), assign(declared, analysed), declared)


def test_a_pair_that_policies_close_has_no_cell_and_an_open_one_says_how_much() -> None:
    found = cells(namespace_matrix(analyse(small_cluster())))

    assert ("batch", "pay") not in found
    assert (found["web", "pay"].state, found["web", "pay"].share, found["web", "pay"].ports) == (
        CellState.PARTLY,
        0.5,
        "TCP 8443",
    )
    assert (found["batch", "web"].state, found["batch", "web"].ports) == (CellState.OPEN, "all ports")
    assert ("pay", OUTSIDE) not in found
    assert found["batch", OUTSIDE].share == 1.0


def test_what_no_approved_flow_covers_is_named_and_what_one_covers_is_not() -> None:
    found = cells(zones_of(small_cluster(), intent()))

    assert found["shop", "cde"].uncovered == ""
    assert found["jobs", "shop"].uncovered == "all ports"
    assert found["shop", "shop"].uncovered == ""  # inside one zone nothing needs approval


def test_an_approval_of_other_ports_leaves_the_rest_uncovered() -> None:
    unlimited = replace(intent().flows[0], ports=())
    none: tuple[ApprovedFlow, ...] = ()

    assert cells(zones_of(small_cluster(), intent(flows=(unlimited,))))["shop", "cde"].uncovered == ""
    assert cells(zones_of(small_cluster(), intent(flows=none)))["shop", "cde"].uncovered == "TCP 8443"


def test_pods_of_no_zone_and_the_outside_stand_last_under_names_of_their_own() -> None:
    declared = intent(zones=intent().zones[:1])

    matrix = zones_of(small_cluster(), declared)

    assert [(group.name, group.pods) for group in matrix.groups] == [("cde", 1), (NO_ZONE, 3), (OUTSIDE, 0)]


def test_a_zone_of_addresses_takes_its_part_of_the_outside() -> None:
    bank = Zone("bank", Classification.THIRD_PARTY, cidrs=(ip_network("203.0.113.0/28"),))

    matrix = zones_of(small_cluster(), intent(zones=(*intent().zones, bank)))

    assert [group.pods for group in matrix.groups if group.name == "bank"] == [0]
    assert cells(matrix)["jobs", "bank"].state is CellState.OPEN
    assert cells(matrix)["bank", OUTSIDE].state is CellState.NOT_COMPUTED


def test_a_zone_without_pods_is_not_computed_rather_than_closed() -> None:
    empty = Zone("empty", Classification.CDE)

    found = cells(zones_of(small_cluster(), intent(zones=(*intent().zones, empty))))

    assert found["jobs", "empty"].state is found["empty", "shop"].state is CellState.NOT_COMPUTED


def test_a_policy_of_a_kind_that_is_not_evaluated_makes_a_closed_pair_uncertain() -> None:
    foreign = OtherPolicy(ObjectKey("cilium.io", "CiliumNetworkPolicy", "pay", "l7"), "cilium.io/v2")
    doubtful = replace(small_cluster(), other_policies=(foreign,))

    found = cells(namespace_matrix(analyse(doubtful)))

    assert found["batch", "pay"].state is CellState.UNCERTAIN
    assert found["batch", "pay"].reason == "CiliumNetworkPolicy pay/l7 was not evaluated and could allow it"
    assert found["batch", "pay"].share == 0.0
    assert found["pay", OUTSIDE].state is CellState.UNCERTAIN


def test_a_policy_that_was_not_evaluated_casts_doubt_on_its_own_namespace_alone_unless_it_is_cluster_wide() -> None:
    closed = replace(
        small_cluster(), policies=(*small_cluster().policies, policy("none", "web", {}, ingress=[], egress=[]))
    )

    def doubted(namespace: str) -> set[tuple[str, str]]:
        foreign = OtherPolicy(ObjectKey("projectcalico.org", "Policy", namespace, "x"), "projectcalico.org/v3")
        found = namespace_matrix(analyse(replace(closed, other_policies=(foreign,)))).cells
        return {(cell.source, cell.destination) for cell in found if cell.state is CellState.UNCERTAIN}

    assert ("web", "pay") in doubted("web") & doubted("pay")
    assert ("web", "pay") not in doubted("batch")
    assert ("web", "pay") in doubted("")


def test_the_share_counts_pods_and_not_classes() -> None:
    many = cluster(
        pods=[pod(f"a-{n}", "a", {"app": "a"}, ip=f"10.0.1.{n}") for n in range(1, 10)]
        + [pod("b", "a", {"app": "b"}, ip="10.0.1.99"), pod("c", "c", ip="10.0.2.1")],
        policies=[policy("open", "c", {}, ingress=[]), policy("b", "a", {"app": "b"}, egress=[rule()])],
        namespaces=[namespace("a"), namespace("c")],
    )

    assert ("a", "c") not in cells(namespace_matrix(analyse(many)))
    opened = replace(many, policies=(policy("open", "a", {"app": "b"}, egress=[]),))
    assert cells(namespace_matrix(analyse(opened)))["a", "c"].share == 0.9


def test_every_computed_flow_between_classes_is_a_row() -> None:
    reach = analyse(small_cluster())

    rows = class_flows(reach)

    assert len(rows) == len(list(reach.flows()))
    to_vault = [row for row in rows if row.destination_namespace == "pay"]
    assert [(row.source_namespace, row.source_pods, row.ports) for row in to_vault] == [("web", 1, "TCP 8443")]


def test_doors_that_policy_leaves_open_are_rows_and_shut_ones_are_counted() -> None:
    def published(name: str, kind: str, space: str) -> Service:
        return Service(space, name, kind, {"app": name}, (ServicePort("", Protocol.TCP, 80, 8080),))

    state = cluster(
        pods=[pod("web-1", "web", {"app": "web"}, ip="10.0.0.1"), pod("db-1", "pay", {"app": "db"}, ip="10.0.0.2")],
        policies=[policy("none", "pay", {}, ingress=[])],
    )
    doors = (published("web", "NodePort", "web"), published("db", "LoadBalancer", "pay"))
    found = exposure(analyse(replace(state, services=doors, crds=frozenset({"ingressroutes.traefik.io"}))))

    web = OpenDoor(
        "web/Pod/web-1", 1, "NodePort Service web/web", "internet and private ranges", "TCP 8080", ("not isolated",)
    )
    assert found == Exposure((web,), 1, ("ways in of kinds that are not read may exist: Traefik IngressRoute",))
