"""Family change: who may change the rules."""

from dataclasses import replace

from evidence.cluster.model import Cluster
from evidence.findings.finding import Severity
from evidence.findings.registry import RunStatus
from evidence.intent.model import Classification, Intent
from tests.access.build import POLICIES, account, bound, group, role, rule, user
from tests.findings.looking import clean, finding, findings, hit, look, near_miss, zone
from tests.manifests import Body, body, cluster_of, pod_body
from tests.report.inputs import intent

WRITER = role("writer", rule(POLICIES))
ADMINS = bound("writer", group("net-admins"), name="admins")
CDE = zone("cardholder", Classification.CDE, "pay")


def shop(*bodies: Body) -> Cluster:
    """A cluster with an account for a pod that holds card data, and administrators as every cluster has them."""
    pods = [
        pod_body("api-1", "pay", spec={"serviceAccountName": "api", "containers": []}),
        pod_body("web-1", "web", spec={"serviceAccountName": "web", "containers": []}),
    ]
    return cluster_of(*(body("v1", "Namespace", name) for name in ("pay", "web")), *pods, WRITER, ADMINS, *bodies)


def declared() -> Intent:
    return replace(intent(), zones=(CDE, zone("front", Classification.CONNECTED_TO, "web")))


@hit("CHG-004")
def test_what_every_user_may_change_anybody_may() -> None:
    found = finding("CHG-004", shop(bound("writer", group("system:authenticated"), name="open")), declared())
    assert found.message == "Group system:authenticated (everybody in it) may change policies (everywhere)"
    assert found.severity is Severity.CRITICAL  # high, in a cluster with a zone of card data
    assert found.zones == ("cardholder", "front")
    assert [str(item.key) for item in found.evidence] == ["ClusterRole writer", "ClusterRoleBinding open"]
    assert found.details == (
        "ClusterRoleBinding open to ClusterRole writer: networkpolicies.networking.k8s.io: create, patch, update",
    )


@hit("CHG-004")
def test_all_service_accounts_of_a_namespace_are_everybody_in_it() -> None:
    found = finding("CHG-004", shop(bound("writer", group("system:serviceaccounts:web"), namespace="web")), declared())
    assert "may change policies (web)" in found.message
    assert (found.zones, found.severity) == (("front",), Severity.HIGH)


@hit("CHG-004")
def test_the_default_account_is_that_of_every_pod_that_names_none() -> None:
    found = finding("CHG-004", shop(bound("writer", account("default", "web"), namespace="web")))
    assert str(found.subject) == "ServiceAccount web/default"
    assert found.severity is Severity.MEDIUM


@hit("CHG-004")
def test_software_that_holds_card_data_may_not_open_its_own_walls() -> None:
    found = finding("CHG-004", shop(bound("writer", account("api", "pay"), namespace="pay", name="api")), declared())
    assert found.message == "ServiceAccount pay/api (api-1 in zone cardholder) may change policies (pay)"
    assert (found.zones, found.severity) == (("cardholder",), Severity.HIGH)


@near_miss("CHG-004")
def test_named_people_are_nobodys_business_but_the_owners() -> None:
    assert clean("CHG-004", shop(bound("writer", user("ann"), group("developers"), name="people")), declared())


@near_miss("CHG-004")
def test_an_account_outside_the_regulated_zones_is_listed_and_no_finding() -> None:
    assert clean("CHG-004", shop(bound("writer", account("web", "web"), name="deployer")), declared())


@near_miss("CHG-004")
def test_an_account_that_no_pod_of_the_zone_runs_as_is_no_finding() -> None:
    assert clean("CHG-004", shop(bound("writer", account("unused", "pay"), name="unused")), declared())


@near_miss("CHG-004")
def test_everybody_may_look() -> None:
    reader = role("reader", rule(POLICIES, verbs=("get", "list")))
    assert clean("CHG-004", shop(reader, bound("reader", group("system:authenticated"))), declared())


@near_miss("CHG-004")
def test_the_control_planes_own_groups_are_expected() -> None:
    assert clean("CHG-004", shop(bound("writer", group("system:masters"), name="masters")), declared())


def test_without_roles_in_the_source_nothing_counts_as_looked_at() -> None:
    run, found = look("CHG-004", cluster_of(body("v1", "Namespace", "pay")), declared())
    assert (run.status, run.population, found) == (RunStatus.PARTIAL, 0, [])
    assert run.reason == "roles and bindings that matter are not in the source"


def test_roles_that_may_not_be_read_stop_the_check() -> None:
    unread = replace(cluster_of(ADMINS), unread_kinds=("ClusterRole", "Role"))
    run, _ = look("CHG-004", unread)
    assert (run.status, run.reason) == (RunStatus.NOT_RUN, "could not be read: ClusterRole, Role")


def test_a_binding_whose_role_is_missing_leaves_a_doubt() -> None:
    run, _ = look("CHG-004", shop(bound("gone", user("ann"))))
    assert run.reason == "the roles of 1 binding are not in the source (ClusterRoleBinding gone)"


def test_one_subject_with_two_bindings_is_one_finding() -> None:
    everybody = group("system:authenticated")
    two = shop(bound("writer", everybody, name="a"), bound("writer", everybody, namespace="web", name="b"))
    assert len(findings("CHG-004", two)) == 1
