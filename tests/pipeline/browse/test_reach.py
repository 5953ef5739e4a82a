"""Verdicts of the reachability explorer: "denied" only where nothing that is not known could let the connection pass."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evidence import pipeline
from evidence.cluster.model import Protocol
from evidence.errors import UsageError
from evidence.frameworks.model import Strength
from evidence.pipeline.browse.reach import PathVerdict, ReachVerdict, Towards, paths_view, peer_list, verdict_view
from evidence.pipeline.states import Assessed, assess, snapshot_state

AT = datetime(2026, 9, 1, tzinfo=UTC)


def meta(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": labels}


def pod(name: str, address: str = "", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    status = {"phase": "Running", **({"podIP": address, "podIPs": [{"ip": address}]} if address else {})}
    body = {"nodeName": "node-a", "containers": [{"name": "c", "image": spec.pop("image", "app:1")}], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, namespace, app=name),
        "spec": body,
        "status": status,
    }


def policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(name), "spec": spec}


SHUT = policy("shut", {"podSelector": {"matchLabels": {"app": "vault"}}, "policyTypes": ["Ingress"], "ingress": []})
UNREAD = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": meta("mesh"),
    "spec": {"action": "ALLOW"},
}
BLIND = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "kube-flannel-ds", "namespace": "kube-flannel", "labels": {"app": "flannel", "k8s-app": "flannel"}},
    "spec": {
        "selector": {"matchLabels": {"app": "flannel"}},
        "template": {
            "metadata": {"labels": {"app": "flannel", "k8s-app": "flannel"}},
            "spec": {"hostNetwork": True, "containers": [{"name": "kube-flannel", "image": "ghcr.io/flannel-io/flannel:v0.26.1"}]},
        },
    },
    "status": {"desiredNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1},
}  # fmt: skip

Look = Callable[..., Assessed]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    def looked(*objects: dict[str, Any]) -> Assessed:
        """A snapshot of two pods, web and vault, and these objects, assessed."""
        items = [pod("web", "10.0.0.1"), pod("vault", "10.0.0.2"), *objects]
        path, db = tmp_path / "dump.json", str(tmp_path / "evidence.db")
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        source = pipeline.FileSource([str(path)])
        stored = pipeline.collect_snapshot(
            db, source, cluster="shop", taken_at=AT, received_at=AT, intent_path=None, keep_going=False
        )
        return assess(snapshot_state(db, None, stored.info.id), AT)

    return looked


def verdict(found: Assessed, source: str = "shop/web", destination: str = "shop/vault") -> Any:
    return verdict_view(found, source, destination, Protocol.TCP, 5432)


def test_what_no_policy_lets_pass_is_denied_and_backed_by_the_computation_alone(look: Look) -> None:
    found = verdict(look(SHUT))
    assert (found.verdict, found.uncertain) == (ReachVerdict.DENIED, ())
    assert found.basis.strength is Strength.COMPUTED
    assert found.ingress.policies[0].policy == "NetworkPolicy shop/shut"
    assert found.ingress.change


def test_a_policy_that_is_not_evaluated_leaves_a_denial_undetermined_and_an_allowance_as_it_is(look: Look) -> None:
    found = look(SHUT, UNREAD)
    assert verdict(found).verdict is ReachVerdict.NOT_DETERMINED
    assert "AuthorizationPolicy" in verdict(found).uncertain[0]
    assert verdict(found, "shop/vault", "shop/web").verdict is ReachVerdict.ALLOWED
    paths = paths_view(found, "shop/web", "shop/vault")
    assert paths.verdict is PathVerdict.NOT_DETERMINED
    assert paths.doubts


def test_a_plugin_that_enforces_nothing_leaves_every_denial_undetermined(look: Look) -> None:
    found = look(SHUT, BLIND)
    assert found.cni.enforcement.value == "not enforced"
    assert verdict(found).verdict is ReachVerdict.NOT_DETERMINED
    assert "does not enforce" in verdict(found).uncertain[-1]
    assert paths_view(found, "shop/web", "shop/vault").verdict is PathVerdict.NOT_DETERMINED


def test_an_address_that_is_not_known_leaves_a_denial_undetermined(look: Look) -> None:
    rule = {"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}]}
    narrow = policy("narrow", {**SHUT["spec"], "ingress": [rule]})
    found = look(narrow, pod("unplaced"))
    assert verdict(found, "shop/unplaced").verdict is ReachVerdict.NOT_DETERMINED
    sources = peer_list(found, "shop/vault", Towards.SOURCES, Protocol.TCP, 0, 1)
    assert any("unplaced" in text for text in sources.doubtful)
    assert not any("unplaced" in name for row in sources.peers for name in row.names)


def test_who_can_reach_something_are_those_who_may_connect_to_it(look: Look) -> None:
    found = look(SHUT, pod("admin", "10.0.0.3"))
    for name in ("web", "vault", "admin"):
        for towards in Towards:
            listed = peer_list(found, f"shop/{name}", towards, Protocol.TCP, 5432, 1)
            there = {each.split("/")[-1].split(" ")[0] for row in listed.peers if not row.outside for each in row.names}
            for other in {"web", "vault", "admin"} - {name}:
                ends = (
                    (f"shop/{other}", f"shop/{name}")
                    if towards is Towards.SOURCES
                    else (f"shop/{name}", f"shop/{other}")
                )
                assert (other in there) is (verdict(found, *ends).verdict is ReachVerdict.ALLOWED), (
                    towards,
                    name,
                    other,
                )


def test_no_path_is_said_where_there_is_none(look: Look) -> None:
    assert paths_view(look(SHUT), "shop/web", "shop/vault").verdict is PathVerdict.NO_PATH
    assert paths_view(look(), "shop/web", "shop/vault").hops == 1


@pytest.mark.parametrize(("source", "words"), [("shop/nobody", "from: there is no pod"), ("nowhere", "neither")])
def test_an_end_that_is_not_there_is_named(look: Look, source: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        verdict(look(), source)
