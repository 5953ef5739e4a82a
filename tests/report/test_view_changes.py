"""What changed, which policies were seen, and the files that hold them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.canonical import digest
from evidence.cluster.objects import CollectedObject, KindResult, KindStatus, ObjectKey
from evidence.cluster.rbac import GROUP as RBAC
from evidence.cni.model import CniReport, Enforcement
from evidence.observe.changes import changed_fields
from evidence.report.view import build_view, pack_id
from evidence.report.view.access import access_view
from evidence.report.view.changes import changes
from evidence.report.view.model import AccessRow, Action
from evidence.report.view.objects import file_names, policy_objects
from evidence.seal.manifest import bad_path, clashes
from tests.access.build import POLICIES, bound, role, rule, user
from tests.manifests import cluster_of
from tests.report.inputs import DAYS, END, START, collected, inputs, snapshot


def test_added_changed_and_removed_policies_are_told_with_their_digests() -> None:
    before = (collected("a"), collected("b"), collected("same"))
    after = (collected("b", podSelector={"matchLabels": {"app": "x"}}), collected("c"), collected("same"))

    found = changes([snapshot(1, DAYS[0], policies=before), snapshot(2, DAYS[1], policies=after)])

    assert [(one.subject, one.action) for one in found] == [
        ("NetworkPolicy pay/a", Action.REMOVED),
        ("NetworkPolicy pay/b", Action.CHANGED),
        ("NetworkPolicy pay/c", Action.ADDED),
    ]
    removed, changed, added = found
    assert (removed.before, removed.after) == (before[0].digest, "")
    assert (changed.before, changed.after, changed.fields) == (
        before[1].digest,
        after[0].digest,
        ("spec.podSelector.matchLabels",),
    )
    assert (added.before, added.after) == ("", after[1].digest)
    assert {(one.not_before, one.not_after) for one in found} == {(DAYS[0], DAYS[1])}


def test_a_change_that_was_undone_between_two_snapshots_is_told_twice() -> None:
    opened = collected("a", podSelector={}, ingress=[{}])
    stages = [(collected("a"),), (opened,), (collected("a"),)]

    found = changes([snapshot(n, DAYS[n], policies=policies) for n, policies in enumerate(stages)])

    assert [one.fields for one in found] == [("spec.ingress",), ("spec.ingress",)]


def test_a_change_names_its_last_manager_and_time_where_the_cluster_kept_them() -> None:
    managed = collected("a", podSelector={"matchLabels": {"x": "y"}})
    entries = [
        {"manager": "helm", "time": "2026-07-02T00:00:00Z"},
        {"manager": "kubectl-edit", "time": "2026-07-09T16:20:00Z"},
        {"manager": "someone"},
    ]
    managed = replace(
        managed, body={**managed.body, "metadata": {**managed.body["metadata"], "managedFields": entries}}
    )

    (found,) = changes([snapshot(1, DAYS[0], policies=(collected("a"),)), snapshot(2, DAYS[1], policies=(managed,))])

    assert (found.manager, found.managed_at) == ("kubectl-edit", "2026-07-09T16:20:00Z")
    assert found.fields == ("spec.podSelector.matchLabels",)  # not managedFields themselves


def test_another_intent_file_or_network_plugin_is_a_change() -> None:
    before = snapshot(1, DAYS[0], intent_digest="")
    after = snapshot(2, DAYS[1], intent_digest="aa" * 32, cni=CniReport((), Enforcement.NOT_ENFORCED, ()))

    found = changes([before, after])

    assert [(one.subject, one.action) for one in found] == [
        ("Intent file", Action.ADDED),
        ("Network plug-in", Action.CHANGED),
    ]
    assert found[1].after == "nothing recognised: not enforced"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "uid", "spec"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_law_fields_differ_exactly_when_something_but_bookkeeping_differs(one: object, other: object) -> None:
    def plain(value: object) -> object:
        if isinstance(value, dict):  # a key that is missing says the same as null
            return {key: plain(item) for key, item in value.items() if key != "uid" and item is not None}
        return [plain(item) for item in value] if isinstance(value, list) else value

    assert changed_fields(one, one) == ()
    assert bool(changed_fields(one, other)) >= (plain(one) != plain(other) and not _only_nulls_differ(one, other))
    assert changed_fields(one, other) == changed_fields(other, one)


def _only_nulls_differ(one: object, other: object) -> bool:
    return type(one) is not type(other) and one == other  # True == 1


# -- policies and their files -----------------------------------------------------------------------------------------


def test_every_version_of_a_policy_is_listed_once_with_when_it_was_seen() -> None:
    old, new = collected("a"), collected("a", podSelector={}, ingress=[])
    stages = [(old,), (new, collected("b")), (new,)]

    found = policy_objects([snapshot(n, DAYS[n], policies=policies) for n, policies in enumerate(stages)])

    assert [(one.name, one.digest, one.current, one.first_seen, one.last_seen) for one in found] == [
        ("a", new.digest, True, DAYS[1], DAYS[2]),
        ("a", old.digest, False, DAYS[0], DAYS[0]),
        ("b", collected("b").digest, False, DAYS[1], DAYS[1]),
    ]
    assert found[0].file == "data/objects/NetworkPolicy.networking.k8s.io/pay_a.json"
    assert found[1].file == f"data/objects/NetworkPolicy.networking.k8s.io/pay_a.{old.digest[:16]}.json"


def test_a_policy_that_the_analysis_could_not_evaluate_is_listed_as_such_and_counted() -> None:
    foreign = collected("l7", kind="CiliumNetworkPolicy")
    view = build_view(
        inputs(snapshot(1, DAYS[0], policies=(collected(), foreign), unevaluated=frozenset({foreign.key})))
    )

    assert {one.kind: one.evaluated for one in view.policies} == {"CiliumNetworkPolicy": False, "NetworkPolicy": True}
    assert "Computed on 1 of 2 policies; 1 of kinds not evaluated." in view.summary.statements
    assert view.method.not_evaluated == ("CiliumNetworkPolicy pay/l7",)


NAMES = st.text(alphabet="aA.-_/é \n:", min_size=0, max_size=6) | st.sampled_from(
    ["con", "nul", "..", "x" * 250, "COM1"]
)


@given(
    st.lists(
        st.tuples(NAMES, NAMES, st.sampled_from(["NetworkPolicy", "networkpolicy", "K" * 200]), st.booleans()),
        max_size=12,
    )
)
def test_law_every_version_gets_a_file_of_its_own_that_any_system_can_hold(
    names: list[tuple[str, str, str, bool]],
) -> None:
    keys = [ObjectKey("networking.k8s.io", kind, namespace, name) for namespace, name, kind, _ in names]
    versions = {
        (key, digest(str(n % 3).encode())): current
        for n, (key, (*_, current)) in enumerate(zip(keys, names, strict=True))
    }

    files = file_names((key, one, current) for (key, one), current in versions.items())

    assert len(files) == len(versions)
    assert len({path.lower() for path in files.values()}) == len(versions)
    assert not [path for path in files.values() if bad_path(path) or not path.startswith("data/objects/")]
    assert clashes(files.values()) == []


def right(verb: str, time: str = "2026-07-02T09:00:00Z") -> CollectedObject:
    """A role, and who wrote it when."""
    managers = [{"manager": "kubectl", "operation": "Update", "time": time}]
    rules = [{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": [verb]}]
    key = ObjectKey(RBAC, "Role", "pay", "editor")
    return CollectedObject.of(key, {"metadata": {"name": "editor", "managedFields": managers}, "rules": rules}, "")


def test_a_right_to_change_policies_that_changed_is_told_with_who_changed_it() -> None:
    (found,) = changes(
        [snapshot(1, DAYS[0], beside=(right("patch"),)), snapshot(2, DAYS[1], beside=(right("update"),))]
    )
    assert (found.subject, found.action, found.fields) == ("Role pay/editor", Action.CHANGED, ("rules[0].verbs[0]",))
    assert (found.manager, found.managed_at) == ("kubectl", "2026-07-02T09:00:00Z")


def test_a_right_that_was_written_again_as_it_was_is_no_change() -> None:
    again = right("patch", "2026-07-03T09:00:00Z")
    assert not changes([snapshot(1, DAYS[0], beside=(right("patch"),)), snapshot(2, DAYS[1], beside=(again,))])


@pytest.mark.parametrize(
    ("cluster", "folder"),
    [
        ("prod", "pci_prod_2026-07-01_2026-09-30"),
        ("arn:aws:eks:eu/prod", "pci_arn-aws-eks-eu-prod_2026-07-01_2026-09-30"),
        ("../../etc", "pci_etc_2026-07-01_2026-09-30"),
        ("株", "pci_cluster_2026-07-01_2026-09-30"),
    ],
)
def test_the_name_of_a_pack_is_one_plain_folder_name(cluster: str, folder: str) -> None:
    assert pack_id("pci", cluster, START, END) == folder


def test_the_same_object_read_twice_is_one_version() -> None:
    one: CollectedObject = collected("a")

    assert len(policy_objects([snapshot(n, day, policies=(one,)) for n, day in enumerate(DAYS)])) == 1


def test_who_may_change_the_rules_is_listed_with_what_is_not_known() -> None:
    writer = role("writer", rule(POLICIES))
    state = cluster_of(writer, bound("writer", user("ann"), namespace="shop"), bound("gone", user("bob")))
    kinds = [KindResult(RBAC, kind, KindStatus.LISTED) for kind in ("ClusterRole", "ClusterRoleBinding", "RoleBinding")]
    found = access_view(state, None, [*kinds, KindResult(RBAC, "Role", KindStatus.FORBIDDEN)])
    by = ("RoleBinding shop/writer (ClusterRole writer)",)
    rights = ("networkpolicies.networking.k8s.io: create, patch, update",)
    assert found.rows == (AccessRow("User ann", "user or group", "change policies", ("shop",), by, rights),)
    assert found.unknown == (
        "the source does not tell all of Role, so there may be others",
        "ClusterRoleBinding gone names ClusterRole gone, which is not there or was not read",
    )
