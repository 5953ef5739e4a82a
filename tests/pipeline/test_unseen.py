"""What a source leaves open: kinds of which it does not say whether the cluster has any."""

import json
from pathlib import Path
from typing import Any

from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, ObjectKey, SourceInfo
from evidence.collect.files import collect_files
from evidence.pipeline.unseen import unseen_kinds

CALICO = "crd.projectcalico.org"


def items(kind: str, version: str = "v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": f"{kind}List", "items": []}


def definition(name: str) -> dict[str, Any]:
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}}


def unseen(tmp_path: Path, *documents: dict[str, Any]) -> tuple[str, ...]:
    file = tmp_path / "dump.json"
    file.write_text("\n".join(json.dumps(document) for document in documents))
    return unseen_kinds(collect_files([str(file)], stdin=None, keep_going=False))


def test_a_kind_that_no_file_holds_is_unseen(tmp_path: Path) -> None:
    found = unseen(tmp_path, items("Pod"))
    assert {"Service", "Ingress", "NetworkPolicy", "Node", "CustomResourceDefinition"} <= {*found}
    assert "Pod" not in found


def test_an_empty_list_of_the_kind_answers_for_it(tmp_path: Path) -> None:
    assert "Ingress" not in unseen(tmp_path, items("Ingress", "networking.k8s.io/v1"))


def test_a_definition_whose_objects_are_missing_leaves_its_kind_open(tmp_path: Path) -> None:
    name = f"globalnetworkpolicies.{CALICO}"
    assert name in unseen(tmp_path, definition(name))
    assert name not in unseen(tmp_path, definition(name), items("GlobalNetworkPolicy", f"{CALICO}/v1"))


def test_objects_served_in_two_groups_are_answered_for_by_either(tmp_path: Path) -> None:
    seen = unseen(
        tmp_path, definition(f"globalnetworkpolicies.{CALICO}"), items("GlobalNetworkPolicy", "projectcalico.org/v3")
    )
    assert not [name for name in seen if name.startswith("globalnetworkpolicies")]


def test_definitions_show_which_kinds_the_cluster_does_not_have(tmp_path: Path) -> None:
    assert not [name for name in unseen(tmp_path, definition(f"ippools.{CALICO}")) if "." in name]


def test_what_can_open_nothing_is_not_missed(tmp_path: Path) -> None:
    seen = unseen(tmp_path, definition(f"stagednetworkpolicies.{CALICO}"))
    assert not {"ServiceAccount", f"stagednetworkpolicies.{CALICO}"} & {*seen}


def live(*objects: str) -> Collection:
    """From an API server that has these definitions and serves none of the kinds known here."""
    group = "apiextensions.k8s.io"
    found = [CollectedObject(ObjectKey(group, "CustomResourceDefinition", "", name), {}, "/apis") for name in objects]
    kinds = (
        KindResult(group, "CustomResourceDefinition", KindStatus.LISTED, len(found)),
        KindResult(CALICO, "GlobalNetworkPolicy", KindStatus.NOT_SERVED),
    )
    return Collection(SourceInfo("api", "https://api"), tuple(found), kinds)


def test_a_live_server_leaves_nothing_open_but_policy_kinds_that_nobody_asked_for() -> None:
    assert unseen_kinds(live(f"globalnetworkpolicies.{CALICO}", "certificates.cert-manager.io")) == ()
    assert unseen_kinds(live("stagednetworkpolicies.crd.projectcalico.org")) == ()
    assert unseen_kinds(live("othernetworkpolicies.example.com")) == ("othernetworkpolicies.example.com",)
