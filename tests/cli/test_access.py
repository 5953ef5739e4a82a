"""`evidence access`: the answer, and what it does not know."""

import json
from pathlib import Path

from tests.access.build import POLICIES, account, bound, group, role, rule
from tests.cli.run import evidence
from tests.manifests import Body, body


def written(folder: Path, *bodies: Body) -> str:
    path = folder / "dump.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)}))
    return str(path)


WRITER = role("writer", rule(POLICIES))
BOUND = bound("writer", group("net-admins"))
HERE = bound("writer", account("bot", "shop"), namespace="shop")


def test_each_subject_is_a_row_with_where_and_by_what(tmp_path: Path) -> None:
    ran = evidence("access", "--from", written(tmp_path, WRITER, BOUND, HERE))
    assert ran.code == 0, ran.said
    rows = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert (
        rows[1]
        == "Group net-admins user or group change policies everywhere ClusterRoleBinding writer (ClusterRole writer)"
    )
    assert rows[2].startswith("ServiceAccount shop/bot service account change policies shop RoleBinding shop/writer")
    assert "the source does not tell all of Role, so there may be others" in ran.out


def test_a_source_without_roles_says_that_nothing_is_known(tmp_path: Path) -> None:
    ran = evidence("access", "--from", written(tmp_path, body("v1", "Namespace", "shop")))
    assert ran.code == 0
    assert "does not tell all of ClusterRole, Role, ClusterRoleBinding, RoleBinding" in ran.out
    assert "RBAC lets nobody" not in ran.out


def test_json_holds_the_rights_themselves(tmp_path: Path) -> None:
    ran = evidence("access", "--from", written(tmp_path, WRITER, HERE), "--format", "json")
    (holder,) = json.loads(ran.out)["holders"]
    assert holder["subject"] == {"kind": "ServiceAccount", "namespace": "shop", "name": "bot"}
    assert holder["grants"] == [
        {
            "may": "change policies",
            "namespace": "shop",
            "binding": "RoleBinding shop/writer",
            "role": "ClusterRole writer",
            "rights": ["networkpolicies.networking.k8s.io: create, patch, update"],
            "only_objects": [],
        }
    ]


def test_a_binding_to_a_role_that_is_not_there_is_said(tmp_path: Path) -> None:
    ran = evidence("access", "--from", written(tmp_path, bound("gone", group("x"))))
    assert "ClusterRoleBinding gone names ClusterRole gone, which is not there or was not read" in ran.out
