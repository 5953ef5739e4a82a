"""A period of snapshots, of which only what changed is evaluated: the same as every snapshot evaluated by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.objects import CollectedObject, Collection, KindResult, KindStatus, ObjectKey, SourceInfo
from evidence.findings.spells import History, Spells
from evidence.observe.changes import object_changes
from evidence.pipeline.states import Assessed
from evidence.pipeline.timeline import Counts, period_timeline
from evidence.store import NewSnapshot, RunInfo, Store
from tests.manifests import Body, body, pod_body, policy_body
from tests.pipeline.periods import assess_period, assessed_one_by_one

START = datetime(2026, 7, 1, tzinfo=UTC)
RUN = RunInfo("0.1.0", "host-1", "alice", "collect", "ab" * 32)
SPACES = ("pay", "web", "batch")
INTENTS = (
    None,
    (
        b"zones:\n  - {name: cde, classification: cde, members: [{namespaces: [pay]}]}\n"
        b"  - {name: web, classification: connected-to, members: [{namespaces: [web]}]}\n"
        b"reviews:\n  - {id: R-1, kind: rule-set, performed_on: 2026-01-02, performed_by: Ann, covers: all, reference: X}\n"
    ),
    (
        b"zones:\n  - {name: cde, classification: cde, members: [{namespaces: [pay, batch]}]}\n"
        b"  - {name: internet, classification: internet, cidrs: [0.0.0.0/0]}\n"
    ),
)
POLICIES: tuple[Mapping[str, Any], ...] = (
    {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"ports": [{"port": 80}]}]},
    {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"tier": "one"}}}]}]},
    {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/29"}}]}]},
    {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
)

# One step of a history: a thing, and what becomes of it (0 takes it away).
things = st.sampled_from(("pod 0", "pod 1", "pod 2", "policy 0", "policy 1", "space", "service", "partial", "intent"))
steps = st.lists(st.tuples(things, st.integers(0, 5)), max_size=2)
histories = st.lists(
    st.tuples(steps, st.integers(1, 30)), min_size=2, max_size=7
)  # what changed, and hours since the last


def pods(state: Mapping[str, int]) -> list[Body]:
    """Up to three pods; what becomes of one moves it, relabels it, puts it on the host network, or gives it another address."""
    found = []
    for number, name in enumerate(("a", "b", "c")):
        turn = state.get(f"pod {number}", 1)
        if turn:
            found.append(
                pod_body(
                    name,
                    SPACES[(number + turn // 4) % 3],
                    metadata={"labels": {"app": name if turn % 2 else "other"}},
                    spec={"nodeName": f"n{turn % 2}", "hostNetwork": turn == 5, "containers": [{"name": "c"}]},
                    status={"phase": "Running", "podIP": f"10.0.0.{4 * number + turn}"},
                )
            )
    return found


def collected(state: Mapping[str, int]) -> Collection:
    labels = {"tier": "one"} if state.get("space") else {}
    bodies = [*(body("v1", "Namespace", name, metadata={"labels": labels}) for name in SPACES), *pods(state)]
    for number, space in enumerate(("pay", "web")):
        if turn := state.get(f"policy {number}"):
            bodies.append(policy_body(dict(POLICIES[turn - 1]), f"p{number}", space))
    if turn := state.get("service"):
        spec = {"type": "LoadBalancer", "selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 80 + turn % 2}]}
        bodies.append(body("v1", "Service", "s", "pay", spec=spec))
    refused = KindResult("", "Node", KindStatus.FORBIDDEN, message="no right to list nodes")
    kinds = (KindResult("", "Pod", KindStatus.LISTED, 3, str(sum(state.values()))), refused)
    objects = tuple(sorted((as_collected(each) for each in bodies), key=lambda found: found.key))
    return Collection(
        SourceInfo("api", "https://x", "alice", "v1"), objects, kinds if state.get("partial") else kinds[:1]
    )


def as_collected(each: Body) -> CollectedObject:
    group = each["apiVersion"].rpartition("/")[0]
    metadata = each["metadata"]
    key = ObjectKey(group, each["kind"], metadata.get("namespace", ""), metadata["name"])
    return CollectedObject.of(key, each, f"list of {each['kind']}")


def fill(store: Store, history: Sequence[tuple[Sequence[tuple[str, int]], int]]) -> datetime:
    """A snapshot a step; gives the time after the last one."""
    state: dict[str, int] = {}
    at = START
    for changes, hours in history:
        state.update(changes)
        at += timedelta(hours=hours)
        intent = INTENTS[state.get("intent", 1) % len(INTENTS)]
        store.add_snapshot(NewSnapshot("prod", at, False, at, collected(state), intent, RUN))
    return at + timedelta(hours=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_what_is_shared_between_snapshots_changes_nothing(
    history: Sequence[tuple[Sequence[tuple[str, int]], int]],
) -> None:
    with TemporaryDirectory() as folder, Store.open(f"{folder}/evidence.db") as store:
        period = START, fill(store, history)
        shared = assess_period(store, "prod", period)
        alone = list(assessed_one_by_one(store, "prod", period))
        told = period_timeline(
            f"{folder}/evidence.db", cluster="prod", period=period, expect_every=timedelta(hours=1), now=period[1]
        )
    assert [one.state.info for one in shared] == [one.state.info for one in alone]
    for one, other in zip(shared, alone, strict=True):
        assert one.state == other.state
        assert one.assessment == other.assessment
        assert (one.cni, one.observed, one.probed) == (other.cni, other.observed, other.probed)
    spells = Spells()
    for one in alone:
        spells.look(one.state.taken_at or START, one.assessment)
    assert stretches(told.findings) == stretches(spells.histories())
    assert [(moment.info, moment.objects) for moment in told.moments[1:] if moment.objects != Counts(0, 0, 0)] == [
        (other.state.info, counts)
        for one, other in pairwise(alone)
        if (counts := counted(one, other)) != Counts(0, 0, 0)
    ]


def counted(one: Assessed, other: Assessed) -> Counts:
    """The objects that changed, by comparing them one by one."""
    actions = [change.action for change in object_changes(one.state.collection.objects, other.state.collection.objects)]
    return Counts(*(actions.count(action) for action in ("added", "removed", "changed")))


def stretches(found: Sequence[History]) -> list[object]:
    """Each finding as it was last seen but what it rests on, with when it was open; when it was last looked at apart."""
    return [
        (
            replace(history.finding, evidence=(), details=()),
            history.state,
            [(spell.opened_at, spell.since_before, spell.ended_at, spell.state) for spell in history.spells],
        )
        for history in found
    ]
