"""What is kept of RBAC: what can change segmentation, and the number of the rest."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.access import GUARDED, AccessRule, granted, reduced
from evidence.cluster.objects import Collection, KindResult
from evidence.cluster.parse import build_cluster, unread_kinds
from evidence.collect.files import collect_files, read_cluster
from tests.access.build import POLICIES, bound, role, rule, user

SECRETS = rule(("", "secrets"), verbs=("get", "update"))
BODIES = [
    role("writer", rule(POLICIES, ("", "secrets"), verbs=("get", "patch")), SECRETS),
    role("reader", rule(POLICIES, verbs=("get",))),
    role("clerk", SECRETS, namespace="shop"),
    role("taker", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}),
    bound("writer", user("ann")),
    bound("reader", user("bob")),
    bound("clerk", user("cid"), namespace="shop", kind="Role"),
    bound("gone", user("dan"), namespace="shop"),
]


def written(folder: Path) -> list[str]:
    path = folder / "rbac.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": BODIES}))
    return [str(path)]


def collected(folder: Path) -> Collection:
    return collect_files(written(folder), stdin=None, keep_going=False)


def result(collection: Collection, kind: str) -> KindResult:
    return next(found for found in collection.kinds if found.kind == kind)


def test_roles_that_can_change_nothing_and_their_bindings_are_counted_not_kept(tmp_path: Path) -> None:
    found = collected(tmp_path)
    assert [str(obj.key) for obj in found.objects] == [
        "ClusterRole taker", "ClusterRole writer", "ClusterRoleBinding writer", "RoleBinding shop/gone",
    ]  # fmt: skip
    assert result(found, "ClusterRole").count == 2
    assert result(found, "ClusterRole").message == "1 more cannot change segmentation and was not kept"
    assert (result(found, "Role").count, result(found, "RoleBinding").count) == (0, 1)


def test_of_a_role_only_the_rights_that_matter_are_kept(tmp_path: Path) -> None:
    writer = next(obj for obj in collected(tmp_path).objects if str(obj.key) == "ClusterRole writer")
    assert writer.body["rules"] == [
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["patch"]}
    ]


def test_the_model_of_what_is_kept_is_the_model_of_the_whole(tmp_path: Path) -> None:
    stored = build_cluster(collected(tmp_path))
    whole = read_cluster(written(tmp_path), stdin=None, keep_going=False)
    assert stored.access_roles == whole.access_roles
    assert stored.access_bindings == whole.access_bindings


def test_a_snapshot_that_was_taken_before_roles_were_asked_for_says_nothing_of_them(tmp_path: Path) -> None:
    found = collected(tmp_path)
    older = Collection(found.source, (), tuple(kind for kind in found.kinds if "Role" not in kind.kind))
    assert unread_kinds(older) == {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    assert unread_kinds(found) == frozenset()


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=4, unique=True).map(tuple)


RULES = st.builds(
    AccessRule,
    some("*", *sorted({guarded.group for guarded in GUARDED}), "net.example.com"),
    some("*", "*/status", "secrets", *sorted({guarded.resource for guarded in GUARDED}), "somenetworkpolicies"),
    some("*", "get", *sorted({verb for guarded in GUARDED for verb in guarded.verbs})),
)


@given(st.lists(RULES, max_size=3))
def test_reducing_rules_takes_no_right_that_matters_and_leaves_no_word_that_does_not(rules: list[AccessRule]) -> None:
    def rights(some_rules: Any) -> list[Any]:
        return [right for one in some_rules for right in granted(one)]

    small = reduced(rules)
    assert rights(small) == rights(rules)
    assert reduced(small) == small
    assert not any({"get", "secrets"} & {*one.verbs, *one.resources} for one in small)
