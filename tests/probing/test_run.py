"""A run against a cluster in memory: who is made, in which order, what goes wrong, and that nothing is left."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from evidence.collect.connection import Refused
from evidence.errors import CollectError
from evidence.probe.model import Plan, Seen
from evidence.probe.plan import plan
from evidence.probe.ran import EPHEMERAL, STAND_IN, Ran
from evidence.probing import run as running
from evidence.probing.pods import LABEL, Mark
from evidence.probing.run import With, carry_out
from tests.probe.shop import BATCH, DB, WEB, analysed

MARK = Mark.of("0a1b2c3d", "host/1/2", "image", datetime(2026, 9, 1, tzinfo=UTC), 200)
POD_NAMES = ("batch/batch-1", "shop/web-1", "vault/db-1")


class Kept:
    """Pods in memory, whose containers do at once what they are asked to: answer, or find every connection open."""

    def __init__(self, *, ephemeral: bool = False, refuse: Callable[[str], bool] = lambda name: False) -> None:
        self.real = {
            pod.key: raw(pod.namespace, pod.name, pod.node, str(pod.addresses[0]), pod.labels)
            for pod in (BATCH, DB, WEB)
        }
        self.made: dict[str, dict[str, Any]] = {}
        self.said: dict[tuple[str, str], bytes] = {}
        self.order: list[str] = []
        self.unready: dict[str, Mapping[str, str]] = {}
        self.ephemeral, self.refuse = ephemeral, refuse

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.real.get(f"{namespace}/{name}")

    def services(self, namespace: str) -> list[dict[str, Any]]:
        selector = self.unready.get(namespace)
        spec = {"selector": selector, "publishNotReadyAddresses": True}
        return [{"metadata": {"name": "headless"}, "spec": spec}] if selector else []

    def may_add_ephemeral(self, namespace: str) -> bool:
        return self.ephemeral

    def create(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        name = metadata["name"]
        if self.refuse(name):
            raise Refused(403, f"pods {name} is forbidden: exceeded quota")
        self.order.append(name)
        arguments = pod["spec"]["containers"][0]["args"]
        serves = arguments[0] == "serve"
        running_ = {"started": True, "state": {"running": {}}}
        status = {
            "podIP": f"10.0.7.{len(self.made) + 1}",
            "phase": "Running" if serves else "Succeeded",
            "containerStatuses": [running_],
        }
        self.made[name] = {"metadata": metadata, "spec": pod["spec"], "status": status}
        self.said[name, "evidence-probe"] = output(arguments)

    def add_ephemeral(self, namespace: str, name: str, patch: dict[str, Any]) -> None:
        (container,) = patch["spec"]["ephemeralContainers"]
        ended = {"name": container["name"], "state": {"terminated": {}}}
        self.real[f"{namespace}/{name}"]["status"]["ephemeralContainerStatuses"] = [ended]
        self.said[name, container["name"]] = output(container["args"])

    def log(self, namespace: str, name: str, container: str) -> bytes:
        if (name, container) not in self.said:
            raise Refused(404, f"pods {name} not found")
        return self.said[name, container]

    def marked(self, run: str | None = None) -> list[dict[str, Any]]:
        return [pod for pod in self.made.values() if pod["metadata"]["labels"][LABEL] == run]

    def delete(self, namespace: str, name: str) -> None:
        del self.made[name]


def raw(namespace: str, name: str, node: str, address: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}", "labels": dict(labels)},
        "spec": {"nodeName": node, "containers": [{"name": "main"}]},
        "status": {"podIP": address},
    }


def output(arguments: list[str]) -> bytes:
    if arguments[0] == "serve":
        return b'{"kind":"serving","failed":{}}\n'
    seen = {"seen": "open", "at": 1, "took": 1}
    lines: list[dict[str, Any]] = [{"kind": "reached", "from": "10.0.7.254", "ms": 1}]
    lines += [
        {"kind": "tried", "id": int(t.split(",")[0]), "attempts": 1, "first": seen, "last": seen} for t in arguments[3:]
    ]
    return "\n".join(map(json.dumps, lines)).encode()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "POLL_SECONDS", 0)


def chosen() -> Plan:
    return plan(*analysed(), seed=1)


def carried(pods: Kept, how: With = With.PODS, note: Callable[[str], None] = lambda text: None) -> Ran:
    return carry_out(pods, chosen(), MARK, how, note)  # type: ignore[arg-type]


def test_those_that_answer_are_there_before_anybody_asks_and_nothing_is_left() -> None:
    pods = Kept()
    ran = carried(pods)
    kinds = [name[-1] for name in pods.order]
    assert kinds == ["d"] * len(ran.stand_ins) + ["s"] * len(ran.sources)
    assert pods.made == {}


def test_every_planned_connection_is_told_of_by_its_source() -> None:
    ran = carried(Kept())
    for probe in chosen().probes:
        source = ran.sources[probe.source.name]
        assert source.reached_from == "10.0.7.254"
        assert source.tried is not None
        assert source.tried[probe.number].last.seen is Seen.OPEN
    assert all(found.started and found.alive for found in ran.stand_ins.values())
    assert ran.addresses["vault/db-1"] == "10.0.0.2"


def test_an_ephemeral_container_is_used_where_allowed_but_for_the_first_source_of_each_node() -> None:
    by = {name: source.by for name, source in carried(Kept(ephemeral=True), With.AUTO).sources.items()}
    assert by == {"batch/batch-1": STAND_IN, "shop/web-1": EPHEMERAL, "vault/db-1": STAND_IN}
    assert {source.by for source in carried(Kept(ephemeral=True), With.PODS).sources.values()} == {STAND_IN}
    assert {source.by for source in carried(Kept(ephemeral=False), With.AUTO).sources.values()} == {STAND_IN}


def test_a_pod_that_is_refused_is_the_reason_of_its_probes_and_of_no_others() -> None:
    ran = carried(Kept(refuse=lambda name: name.endswith("-0s")))
    assert "exceeded quota" in ran.sources["batch/batch-1"].error
    assert not any(ran.sources[name].error for name in POD_NAMES[1:])


def test_no_stand_in_is_made_that_a_service_would_send_to() -> None:
    pods = Kept()
    pods.unready = {"vault": {"app": "db"}}
    ran = carried(pods)
    assert "Service headless sends to pods that are not Ready" in ran.stand_ins["vault/db-1"].error
    assert "Service headless" in ran.sources["vault/db-1"].error
    assert not any("vault" in name for name in pods.order)


def test_a_pod_that_is_gone_says_so() -> None:
    pods = Kept()
    del pods.real["vault/db-1"]
    ran = carried(pods)
    assert ran.sources["vault/db-1"].error == "pod vault/db-1 is gone"
    assert ran.addresses["vault/db-1"] == ""


def test_an_interruption_leaves_nothing() -> None:
    pods = Kept()

    def interrupted(text: str) -> None:
        if "sources to send" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carried(pods, note=interrupted)
    assert (pods.order != [], pods.made) == (True, {})


def test_pods_that_do_not_go_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GONE_SECONDS", 0)
    pods = Kept()
    monkeypatch.setattr(pods, "delete", lambda namespace, name: None)
    with pytest.raises(CollectError, match=r"do not go: .*evidence-probe-0a1b2c3d-0d.*evidence probe clean --all"):
        carried(pods)
