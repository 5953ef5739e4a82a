"""Who may change segmentation, by RBAC's own rules."""

from dataclasses import replace

import pytest

from evidence.access.holders import Access, Standing, who_may
from evidence.cluster.access import Power
from evidence.intent.model import Classification, Intent, Zone, ZoneMember
from tests.access.build import POLICIES, account, bound, group, role, rule, user
from tests.builders import selector
from tests.manifests import Body, body, cluster_of
from tests.report.inputs import intent

EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
WRITER = role("writer", rule(POLICIES))


def looked(*bodies: Body, declared: Intent | None = None) -> Access:
    return who_may(cluster_of(*bodies, *(body("v1", "Namespace", name) for name in ("shop", "pay"))), declared)


def held(found: Access) -> dict[str, list[tuple[Power, str]]]:
    """Powers with where they are held, by subject."""
    return {str(h.subject): [(grant.power, grant.namespace) for grant in h.grants] for h in found.holders}


def test_a_cluster_role_binding_gives_everywhere() -> None:
    found = looked(WRITER, bound("writer", group("net-admins")))
    assert held(found) == {"Group net-admins": [(Power.POLICIES, "")]}
    (grant,) = found.holders[0].grants
    assert grant.rights == ("networkpolicies.networking.k8s.io: create, patch, update",)
    assert (str(grant.binding), str(grant.role)) == ("ClusterRoleBinding writer", "ClusterRole writer")


def test_a_role_binding_gives_in_its_namespace() -> None:
    assert held(looked(WRITER, bound("writer", user("ann"), namespace="shop"))) == {
        "User ann": [(Power.POLICIES, "shop")]
    }


def test_a_role_of_another_namespace_is_not_the_one_that_is_bound() -> None:
    found = looked(
        role("writer", rule(POLICIES), namespace="pay"), bound("writer", user("ann"), namespace="shop", kind="Role")
    )
    assert held(found) == {}
    assert [str(binding.key) for binding in found.unresolved] == ["RoleBinding shop/writer"]


def test_reading_changes_nothing() -> None:
    assert (
        held(looked(role("reader", rule(POLICIES, verbs=("get", "list", "watch"))), bound("reader", user("ann")))) == {}
    )


def test_wildcards_give_every_power_but_labels_of_pods_where_no_zone_looks_at_them() -> None:
    (holder,) = looked(role("all", EVERYTHING), bound("all", user("ann"))).holders
    assert holder.powers == tuple(power for power in Power if power is not Power.POD_LABELS)
    assert holder.grants[-1].rights == ("every resource: impersonate",)


def test_labels_of_pods_count_where_they_tell_zones_apart() -> None:
    zone = Zone("cde", Classification.CDE, members=(ZoneMember(("pay",), None, selector({"tier": "card"})),))
    editor = role("editor", rule(("apps", "deployments"), verbs=("patch",)))
    bodies = (editor, bound("editor", user("ann"), namespace="pay"), bound("editor", user("bob"), namespace="shop"))
    assert held(looked(*bodies, declared=replace(intent(), zones=(zone,)))) == {"User ann": [(Power.POD_LABELS, "pay")]}
    assert held(looked(*bodies)) == {}


def test_cluster_wide_policies_are_out_of_a_role_bindings_reach() -> None:
    admin = role("anp", rule(("policy.networking.k8s.io", "adminnetworkpolicies")))
    assert held(looked(admin, bound("anp", user("ann"), namespace="shop"))) == {}
    assert held(looked(admin, bound("anp", user("ann")))) == {"User ann": [(Power.POLICIES, "")]}


def test_a_role_binding_reaches_the_labels_of_its_own_namespace_but_creates_none() -> None:
    labeller = role("labeller", rule(("", "namespaces"), verbs=("create", "patch")))
    (holder,) = looked(labeller, bound("labeller", user("ann"), namespace="shop")).holders
    assert holder.grants[0].rights == ("namespaces: patch",)
    assert holder.namespaces(Power.NAMESPACE_LABELS) == ("shop",)


@pytest.mark.parametrize("resource", ["namespaces/status", "namespaces/finalize", "*/status"])
def test_writes_to_a_subresource_that_take_labels_along_count(resource: str) -> None:
    found = looked(role("odd", rule(("", resource), verbs=("update",))), bound("odd", user("ann")))
    assert held(found) == {"User ann": [(Power.NAMESPACE_LABELS, "")]}


def test_the_scale_of_a_workload_carries_no_labels() -> None:
    scaler = role("scaler", rule(("apps", "deployments/scale"), ("networking.k8s.io", "networkpolicies/status")))
    assert held(looked(scaler, bound("scaler", user("ann")))) == {}


def test_binding_and_escalating_pass_on_rights_that_one_does_not_have() -> None:
    lender = role("lender", rule(("rbac.authorization.k8s.io", "clusterroles"), verbs=("bind", "escalate")))
    everywhere, here = bound("lender", user("ann")), bound("lender", user("bob"), namespace="shop")
    found = {str(holder.subject): holder.grants[0].rights for holder in looked(lender, everywhere, here).holders}
    assert found == {
        "User ann": ("clusterroles.rbac.authorization.k8s.io: bind, escalate",),
        "User bob": ("clusterroles.rbac.authorization.k8s.io: bind",),
    }


def test_writing_bindings_alone_gives_nobody_more_than_he_has() -> None:
    writer = role("binder", rule(("rbac.authorization.k8s.io", "rolebindings")))
    assert held(looked(writer, bound("binder", user("ann")))) == {}


def test_an_aggregated_role_takes_over_what_its_selectors_find_through_others_too() -> None:
    def taking(name: str, label: str, **more: str) -> Body:
        selectors = [{"matchLabels": {"into": label}}]
        return role(name, aggregationRule={"clusterRoleSelectors": selectors}, metadata={"labels": more})

    bodies = (
        taking("top", "top"),
        taking("middle", "middle", into="top"),
        role("leaf", rule(POLICIES), metadata={"labels": {"into": "middle"}}),
        taking("circle", "circle", into="circle"),
        bound("top", user("ann")),
        bound("circle", user("bob")),
    )
    assert held(looked(*bodies)) == {"User ann": [(Power.POLICIES, "")]}


def test_settings_by_which_a_plugin_stops_enforcing_are_guarded() -> None:
    felix = rule(("crd.projectcalico.org", "felixconfigurations"), verbs=("patch",))
    found = looked(role("tuner", felix), bound("tuner", user("ann")))
    assert held(found) == {"User ann": [(Power.ENFORCEMENT, "")]}


def test_a_policy_kind_nobody_has_heard_of_is_a_policy() -> None:
    odd = role("odd", rule(("net.example.com", "supernetworkpolicies")))
    assert held(looked(odd, bound("odd", user("ann")))) == {"User ann": [(Power.POLICIES, "")]}


def test_a_right_on_named_objects_says_which() -> None:
    named = role("named", rule(POLICIES, verbs=("patch",), names=("dns",)))
    (holder,) = looked(named, bound("named", user("ann"), namespace="shop")).holders
    assert holder.grants[0].names == ("dns",)


def test_standings_tell_people_workloads_everybody_and_the_control_plane_apart() -> None:
    name = "system:controller:namespace-controller"
    subjects = (
        user("ann"), group("admins"), group("system:masters"), group("system:authenticated"), user("system:anonymous"),
        group("system:serviceaccounts:shop"), account("deployer", "shop"), user("system:serviceaccount:shop:runner"),
        user("system:kube-controller-manager"), account("plugin", "kube-system"),
    )  # fmt: skip
    controller = account("namespace-controller", "kube-system")
    own = bound(name, controller, account("stowaway", "kube-system"))
    found = looked(WRITER, bound("writer", *subjects), role(name, EVERYTHING), own)
    assert {(h.standing, str(h.subject)) for h in found.holders} == {
        (Standing.EVERYBODY, "Group system:authenticated"),
        (Standing.EVERYBODY, "Group system:serviceaccounts:shop"),
        (Standing.EVERYBODY, "User system:anonymous"),
        (Standing.PERSON, "User ann"),
        (Standing.PERSON, "Group admins"),
        (Standing.WORKLOAD, "ServiceAccount shop/deployer"),
        (Standing.WORKLOAD, "ServiceAccount shop/runner"),
        (Standing.WORKLOAD, "ServiceAccount kube-system/plugin"),
        (Standing.WORKLOAD, "ServiceAccount kube-system/stowaway"),
        (Standing.CONTROL_PLANE, "Group system:masters"),
        (Standing.CONTROL_PLANE, "User system:kube-controller-manager"),
        (Standing.CONTROL_PLANE, "ServiceAccount kube-system/namespace-controller"),
    }
