"""A watched cluster on record: what is stored at once, what later, and what is said of the time nobody saw."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.objects import CollectedObject, Collection, ObjectKey, SourceInfo
from evidence.collect.discovery import Served
from evidence.collect.kinds import BY_GROUP_KIND
from evidence.collect.watch import Seen
from evidence.errors import CollectError, SpooledError, StoreError
from evidence.pipeline import watching
from evidence.pipeline.log import Keeping
from evidence.pipeline.reports import Signing, make_reports
from evidence.pipeline.sources import LiveSource
from evidence.service import watch
from evidence.service.schedule import Stopped
from evidence.service.watch import SINGLY, Plan, run_watch, states
from evidence.store import RunRecord, Store
from tests.collect.api import Api, kubeconfig, serving
from tests.conftest import ROOT
from tests.manifests import body, pod_body, policy_body
from tests.store.build import beside

PODS, SPACES, POLICIES = "/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies"
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
DENY = policy_body({"podSelector": {}, "policyTypes": ["Ingress"]}, "deny", "shop")


# -- which states are judged ------------------------------------------------------------------------------------------


def seen(group: str, kind: str, name: str) -> Seen:
    served = Served(BY_GROUP_KIND[group, kind], "v1", f"/apis/{kind}", watchable=True)
    return Seen(EVER[0], served, ObjectKey(group, kind, "shop", name), None, "1")


def policy(name: str) -> Seen:
    return seen("networking.k8s.io", "NetworkPolicy", name)


def pod(name: str) -> Seen:
    return seen("", "Pod", name)


def names(*events: Seen) -> list[list[str]]:
    return [[event.key.name for event in group if isinstance(event, Seen)] for group in states(events)]


def test_pods_that_come_together_are_one_state() -> None:
    assert names(pod("a"), pod("b"), pod("c")) == [["a", "b", "c"]]


def test_an_object_that_changes_again_ends_a_state() -> None:
    assert names(pod("a"), pod("b"), pod("a")) == [["a", "b"], ["a"]]


def test_each_policy_and_each_namespace_is_a_state_of_its_own() -> None:
    found = names(pod("a"), policy("open"), policy("close"), seen("", "Namespace", "shop"), pod("b"))
    assert found == [["a"], ["open"], ["close"], ["shop"], ["b"]]


def test_many_policies_at_once_are_judged_together_unless_one_changes_twice() -> None:
    many = [policy(f"p{number}") for number in range(SINGLY)]
    assert [len(group) for group in names(*many, policy("q"))] == [SINGLY + 1]
    assert [len(group) for group in names(*many, policy("q"), policy("p0"))] == [SINGLY + 1, 1]
    assert [len(group) for group in names(*many)] == [1] * SINGLY


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_states_keep_every_event_in_its_objects_order_and_no_object_twice(made: list[tuple[bool, int]]) -> None:
    events = [policy(f"p{number}") if decides else pod(f"q{number}") for decides, number in made]
    groups = list(states(events))
    assert [event for group in groups for event in group] == events
    assert all(len({event.key for event in group if isinstance(event, Seen)}) == len(group) for group in groups)


# -- a watch of a test server -----------------------------------------------------------------------------------------


@pytest.fixture
def api() -> Api:
    found = Api()
    found.lists = {
        SPACES: [body("v1", "Namespace", "shop"), body("v1", "Namespace", "kube-system", metadata={"uid": "u-1"})],
        PODS: [pod_body("web", "shop", metadata={"labels": {"app": "web"}}), pod_body("db", "shop")],
        POLICIES: [DENY],
    }
    return found


@pytest.fixture
def watched(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Watched"]:
    monkeypatch.setattr(watch, "GATHER", timedelta(seconds=0.15))
    with serving(api) as url:
        yield Watched(tmp_path, kubeconfig(tmp_path, url))


class Watched:
    """`run_watch` on the test server, driven by what it says."""

    def __init__(self, folder: Path, kubeconfig: str) -> None:
        self.db, self.keys, self.kubeconfig = str(folder / "store.db"), folder / "keys", kubeconfig
        self.said: list[str] = []
        self.listener: Callable[[str], None] = lambda _: None

    def plan(self, every: float = 60) -> Plan:
        return Plan(
            self.db,
            beside(self.db),
            LiveSource(kubeconfig=self.kubeconfig),
            "prod",
            None,
            timedelta(seconds=every),
            Keeping(self.keys),
        )

    def run(self, *steps: Callable[[], object], every: float = 60) -> None:
        """Watch; after each snapshot the next step is done, and after the last step's snapshot the watch is stopped."""
        todo = list(steps)

        def say(line: str) -> None:
            self.said.append(line)
            self.listener(line)
            if line.startswith("snapshot"):
                if not todo:
                    raise Stopped("stopped by SIGTERM")
                todo.pop(0)()

        with pytest.raises(Stopped):
            run_watch(self.plan(every), clock=lambda: datetime.now(UTC), say=say, sleep=lambda _: time.sleep(0.01))

    def snapshots(self) -> list[list[str]]:
        """The policies of each snapshot."""
        with Store.open(self.db, read_only=True) as store:
            stored = [store.read(info.id) for info in store.snapshots("prod", *EVER)]
            assert store.check().problems == ()
        return [[obj.key.name for obj in each.collection.objects if obj.key.kind == "NetworkPolicy"] for each in stored]

    def gaps(self) -> list[RunRecord]:
        with Store.open(self.db, read_only=True) as store:
            return [run for run in store.runs("prod", *EVER) if run.outcome == "failed"]


def nothing() -> None:
    """A step that waits for the next snapshot."""


def opening(name: str = "open") -> dict[str, Any]:
    return policy_body({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}, name, "shop")


def test_a_policy_that_opens_something_for_a_moment_is_on_record_with_both_states(api: Api, watched: Watched) -> None:
    def open_and_close() -> None:
        api.changes(POLICIES, "ADDED", opening())
        api.changes(POLICIES, "DELETED", opening())

    watched.run(open_and_close, nothing)
    assert watched.snapshots() == [["deny"], ["deny", "open"], ["deny"]]
    assert [line.rsplit("; ", 1)[1] for line in watched.said] == [
        "the watch begins",
        "what is reachable changed",
        "what is reachable changed",
    ]


def test_what_changes_nothing_that_is_reachable_waits_for_the_next_regular_snapshot(api: Api, watched: Watched) -> None:
    def unimportant() -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        api.changes(PODS, "MODIFIED", pod_body("db", "shop", status=ready))
        same = policy_body({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}, "deny", "shop")
        api.changes(POLICIES, "MODIFIED", same)

    watched.run(unimportant, every=3)
    assert ": 5 objects, 2 new, root " in watched.said[1]
    assert watched.said[1].endswith("; regular")


def test_what_serves_a_service_is_looked_at_only_where_policies_name_services() -> None:
    key = ObjectKey("discovery.k8s.io", "EndpointSlice", "shop", "web")
    came = [(key, None, CollectedObject.of(key, {"endpoints": []}, ""))]
    cilium = body("cilium.io/v2", "CiliumNetworkPolicy", "a", "shop", spec={"endpointSelector": {}, "ingress": [{}]})
    assert not watching.Judge(collected(DENY)).bears(came)
    assert watching.Judge(collected(DENY, cilium)).bears(came)


def test_enforcement_that_is_switched_off_is_a_change_though_no_policy_is_another() -> None:
    def agent(*arguments: str) -> dict[str, Any]:
        container = {"name": "cilium-agent", "image": "quay.example/cilium/cilium:v1.17.0", "args": list(arguments)}
        spec = {"selector": {}, "template": {"metadata": {}, "spec": {"containers": [container]}}}
        status = {"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberReady": 1}
        return body("apps/v1", "DaemonSet", "cilium", "kube-system", spec=spec, status=status)

    judge = watching.Judge(collected(DENY, agent("--enable-policy=default")))
    assert not judge.changed(collected(DENY, agent("--enable-policy=default")))
    assert judge.changed(collected(DENY, agent("--enable-policy=never")))


def collected(*bodies: dict[str, Any]) -> Collection:
    objects = []
    for each in bodies:
        group = each["apiVersion"].rpartition("/")[0]
        key = ObjectKey(group, each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
        objects.append(CollectedObject.of(key, each, f"/{key}"))
    return Collection(SourceInfo("api", "https://lab"), tuple(objects), ())


def test_a_label_by_which_a_policy_selects_is_a_change_at_once(api: Api, watched: Watched) -> None:
    api.lists[POLICIES] = [DENY, opening()]
    relabelled = pod_body("db", "shop", metadata={"labels": {"app": "web"}})
    watched.run(lambda: api.changes(PODS, "MODIFIED", relabelled))
    assert watched.said[-1].endswith("what is reachable changed")


def test_labels_of_a_namespace_are_a_change_at_once(api: Api, watched: Watched) -> None:
    labelled = body("v1", "Namespace", "shop", metadata={"labels": {"zone": "cde"}})
    watched.run(lambda: api.changes(SPACES, "MODIFIED", labelled))
    assert watched.said[-1].endswith("what is reachable changed")


def test_the_time_before_a_watch_is_on_record_as_not_watched(watched: Watched) -> None:
    watched.run()
    watched.run()
    stopped, gap, stopped_again = watched.gaps()
    assert stopped.message == stopped_again.message == "stopped by SIGTERM"
    assert gap.message.startswith("not known to have been watched")
    assert gap.started_at == stopped.finished_at
    assert gap.run.command == "collect --watch"


def test_an_account_that_may_not_watch_is_told_so_at_once(api: Api, watched: Watched) -> None:
    api.may_watch = False
    with pytest.raises(
        CollectError, match=r"evidence:collector lacks the verb watch on networkpolicies\.networking\.k8s\.io"
    ):
        watched.run()
    assert (watched.said, api.seen[POLICIES]) == ([], 0)
    (failed,) = watched.gaps()
    assert "cannot be followed" in failed.message


def test_a_server_that_does_not_say_what_an_account_may_is_followed(api: Api, watched: Watched) -> None:
    api.trouble["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"] = [(404, {}, {"message": "not here"})]
    watched.run()
    assert len(watched.snapshots()) == 1


def test_a_list_read_again_puts_on_record_what_could_not_be_seen(api: Api, watched: Watched) -> None:
    def expire() -> None:
        api.watches[POLICIES].put("end")
        api.lists[POLICIES] = [DENY, opening()]
        api.watches[POLICIES].put((410, {}, {"message": "too old"}))

    watched.run(expire)
    assert watched.snapshots() == [["deny"], ["deny", "open"]]
    (gap,) = (gap for gap in watched.gaps() if "could not be seen" in gap.message)
    assert gap.message.startswith("changes of networkpolicies.networking.k8s.io")
    assert gap.started_at < gap.finished_at


class Away:
    """A store that refuses everything while `on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on, real = False, Store.open

        def opened(url: str, **options: Any) -> Store:
            if self.on:
                raise StoreError("the store is full")
            return real(url, **options)

        monkeypatch.setattr(Store, "open", opened)


def test_while_the_store_is_away_snapshots_wait_in_the_spool_and_the_watch_goes_on(
    api: Api, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(monkeypatch)
    monkeypatch.setattr(watch, "_ASK_AGAIN", timedelta(seconds=0.3))

    def open_and_close() -> None:
        away.on = True
        api.changes(POLICIES, "ADDED", opening())
        api.changes(POLICIES, "DELETED", opening())

    def back_after_the_second(line: str) -> None:
        if len([said for said in watched.said if said.startswith("not stored yet: the store is full")]) == 2:
            away.on = False

    watched.listener = back_after_the_second
    watched.run(open_and_close, nothing)
    assert watched.snapshots() == [["deny"], ["deny", "open"], ["deny"]]
    assert [line.split(", ")[0] for line in watched.said if "taken in from the spool" in line] == [
        "snapshot 2 of prod: taken in from the spool",
        "snapshot 3 of prod: taken in from the spool",
    ]
    with Store.open(watched.db, read_only=True) as store:
        assert [info.spooled for info in store.snapshots("prod", *EVER)] == [False, True, True]
    assert not beside(watched.db).folder.exists()


def test_where_nothing_can_be_spooled_either_the_watch_waits_and_nothing_is_lost(
    api: Api, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(monkeypatch)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("evidence.store.spool.deposit", full)

    def open_and_close() -> None:
        away.on = True
        api.changes(POLICIES, "ADDED", opening())
        api.changes(POLICIES, "DELETED", opening())

    def back(line: str) -> None:
        away.on = away.on and not line.startswith("not stored yet")

    watched.listener = back
    watched.run(open_and_close, nothing)
    assert watched.snapshots() == [["deny"], ["deny", "open"], ["deny"]]
    assert "could not be spooled either" in watched.said[1]
    assert watched.said[1].endswith("; next try in 2 s")


def test_a_watch_that_begins_while_the_store_is_away_leaves_a_snapshot_in_the_spool(
    api: Api, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.run()
    away = Away(monkeypatch)
    away.on = True
    api.lists[POLICIES] = [DENY, opening()]
    with pytest.raises(SpooledError, match=r"the store is full; the snapshot of prod taken .* waits in"):
        run_watch(watched.plan(), clock=lambda: datetime.now(UTC), say=watched.said.append)
    away.on, api.lists[POLICIES] = False, [DENY]
    watched.run(nothing)
    assert watched.snapshots() == [["deny"], ["deny", "open"], ["deny"]]
    assert [gap.message.split(":")[0] for gap in watched.gaps() if gap.message.startswith("the store is full")]


def test_credentials_that_end_are_read_anew_and_the_gap_is_on_record(api: Api, watched: Watched) -> None:
    def end() -> None:
        api.watches[POLICIES].put("end")
        api.watches[POLICIES].put((401, {}, {"message": "Unauthorized"}))
        api.lists[POLICIES] = [DENY, opening()]

    watched.run(end)
    assert watched.snapshots() == [["deny"], ["deny", "open"]]
    assert "the server no longer takes the credentials: Unauthorized" in watched.said[1]
    assert any(gap.message.startswith("not known to have been watched") for gap in watched.gaps())


def test_a_state_that_cannot_be_judged_is_stored(api: Api, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object, __: object) -> bool:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(watching.Judge, "changed", broken)
    watched.run(lambda: api.changes(PODS, "ADDED", pod_body("x", "shop")))
    assert watched.said[1] == "a change could not be judged, and is stored: ZeroDivisionError: odd"
    assert len(watched.snapshots()) == 2


SECRET = "hunter2-planted"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def with_secrets(body: dict[str, Any]) -> dict[str, Any]:
    """An object with secrets where people put them."""
    noted = {LAST_APPLIED: f'{{"data": "{SECRET}"}}', "note": SECRET}
    managed = [{"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {SECRET: {}}}]
    metadata = {**body["metadata"], "annotations": noted, "managedFields": managed, "finalizers": [SECRET]}
    return {**body, "metadata": metadata}


def pod_with_secrets(name: str, **more: Any) -> dict[str, Any]:
    container = {
        "name": "c",
        "env": [{"name": "PASSWORD", "value": SECRET}],
        "args": ["--token", SECRET],
        "command": ["sh", "-c", SECRET],
        "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": SECRET}]}},
    }
    spec = {"containers": [container], "imagePullSecrets": [{"name": SECRET}], "volumes": [{"name": SECRET}]}
    return with_secrets(pod_body(name, "shop", spec=spec, **more))


@pytest.mark.slow
def test_secrets_are_in_no_snapshot_no_pack_and_no_line_of_the_log(api: Api, watched: Watched, tmp_path: Path) -> None:
    """Those that were there at the list, and those that events of a watch brought."""
    api.served["/api/v1"] += ["configmaps", "secrets"]
    for plural, kind in (("configmaps", "ConfigMap"), ("secrets", "Secret")):
        api.lists[f"/api/v1/{plural}"] = [body("v1", kind, "one", "shop", data={"password": SECRET})]
    api.lists[PODS] = [pod_with_secrets("web", metadata={"labels": {"app": "web"}})]
    api.lists[POLICIES] = [with_secrets(DENY)]

    def pods() -> None:
        api.changes(PODS, "MODIFIED", pod_with_secrets("odd", status={"podIP": "no address"}))
        api.changes(
            PODS, "ADDED", pod_with_secrets("db")
        )  # after it in one stream, so what this one sets off knows of both

    watched.run(pods, lambda: api.changes(POLICIES, "ADDED", with_secrets(opening())))
    now = datetime.now(UTC)
    packs = make_reports(
        watched.db,
        cluster="prod",
        frameworks=("hipaa",),
        period=(now - timedelta(days=1), now),
        archive=tmp_path / "archive",
        signing=Signing(None, None, Keeping(tmp_path / "keys")),
        generated_at=now,
        expect_every=timedelta(hours=1),
    )
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert any(path.name.endswith(".html") for path in packs[0].folder.rglob("*"))
    with Store.open(watched.db, read_only=True) as store:
        kept = [str(store.read(info.id)) for info in store.snapshots("prod", *EVER)]
    assert len(kept) >= 2
    assert any("no address" in each for each in kept), "the object that could not be read is named"
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in str([kept, watched.gaps(), watched.said])
    assert not api.seen["/api/v1/secrets"] + api.seen["/api/v1/configmaps"]


# -- as a process -----------------------------------------------------------------------------------------------------


def process(watched: Watched) -> "subprocess.Popen[str]":
    command = ["collect", "--watch", "--kubeconfig", watched.kubeconfig, "--cluster", "prod", "--db", watched.db]
    started = subprocess.Popen(
        [sys.executable, "-m", "evidence", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert started.stdout is not None
    assert "the watch begins" in started.stdout.readline()
    return started


@pytest.mark.slow
def test_sigterm_ends_the_process_at_once_and_cleanly(watched: Watched) -> None:
    running = process(watched)
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert said.endswith("stopped by SIGTERM\n")
    assert [gap.message for gap in watched.gaps()] == ["stopped by SIGTERM"]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_whole_snapshots_and_the_next_one_says_what_is_not_known(
    api: Api, watched: Watched
) -> None:
    running = process(watched)
    for number in range(20):
        api.changes(POLICIES, "ADDED", opening(f"open-{number}"))
    time.sleep(0.5)
    running.kill()
    running.communicate(timeout=60)
    whole = watched.snapshots()
    assert all(names == [*(["deny"] if names else []), *sorted(names[1:])] for names in whole)
    watched.run()
    (gap, _) = watched.gaps()
    assert gap.message.startswith("not known to have been watched")
