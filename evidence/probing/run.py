"""A plan carried out: stand-ins that answer, then sources that try, then everything cleared away, whatever happened in between.

1. Stand-ins at the other end come first; when their nodes have reached them the sources start, so that nobody knocks before anybody listens.
2. A source is an ephemeral container in the real pod where that is asked for and allowed, else a stand-in beside it. The first source of every
   node is a stand-in in any case: a pod made moments ago shows whether policies are in force from a pod's first packet on.
3. What goes wrong with one pod (a quota, an admission rule, an image that is not there) is the reason of its probes and ends nothing else.
4. A pod that Services would send to although it is not Ready is not made.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from urllib3.exceptions import HTTPError

from evidence.collect.connection import Refused
from evidence.errors import CollectError
from evidence.probe.model import Plan, Planned
from evidence.probe.ran import EPHEMERAL, STAND_IN, Ran, SourceRan, StandInRan
from evidence.probing.api import Pods
from evidence.probing.output import Told, read_output
from evidence.probing.pods import (
    CONTAINER,
    CONTROL_PORT,
    Mark,
    ephemeral,
    publishes_unready,
    sidecar_between,
    stand_in,
)
from evidence.probing.progress import HOPELESS, Raw, answers, ended, failure

AT_ONCE = 8
START_SECONDS = 90  # an image may have to be pulled
PATIENCE_MS = 10_000  # agents of a busy node take seconds to load the rules of a new pod
POLL_SECONDS = 0.4
GONE_SECONDS = 30


class With(StrEnum):
    """What sends: AUTO is an ephemeral container where the user may add one."""

    AUTO = "auto"
    PODS = "pods"
    EPHEMERAL = "ephemeral"


@dataclass(slots=True)
class _Part:
    """One pod that stands in, or one source, as far as it has come. `name` is the pod's; `real` the pod that it stands for."""

    real: str
    name: str
    by: str
    token: str = ""
    ports: tuple[str, ...] = ()
    address: str = ""
    error: str = ""
    started: bool = False
    alive: bool = False
    told: Told = field(default_factory=Told)

    @property
    def namespace(self) -> str:
        return self.real.partition("/")[0]


def carry_out(pods: Pods, plan: Plan, mark: Mark, how: With, note: Callable[[str], None]) -> Ran:
    """Send every probe of a plan. `note` is told what is going on, a sentence each. Leaves no pod behind, also when it is interrupted.

    Raises CollectError when pods could not be removed, or the API server is gone.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool, _cleared_away(pods, mark, note):
        run = _Run(pods, plan, mark, how, pool)
        note(f"{len(run.answering)} stand-ins to answer")
        run.start_answering()
        note(f"{len(run.sending)} sources to send {len(plan.probes)} connections")
        run.start_sending()
        run.hear()
        return run.ran()


@contextmanager
def _cleared_away(pods: Pods, mark: Mark, note: Callable[[str], None]) -> Iterator[None]:
    """Remove every pod of the run at the end, and see that they are gone."""
    try:
        yield
    finally:
        until = time.monotonic() + GONE_SECONDS
        while left := pods.marked(mark.run):
            for pod in left:
                pods.delete(pod["metadata"]["namespace"], pod["metadata"]["name"])
            if time.monotonic() > until:
                names = ", ".join(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in left)
                raise CollectError(
                    f"pods of this probe run do not go: {names}; remove them with `evidence probe clean --all` or kubectl"
                )
            time.sleep(POLL_SECONDS)
        note("every pod of the run is gone")


class _Run:
    """The state of one run."""

    def __init__(self, pods: Pods, plan: Plan, mark: Mark, how: With, pool: ThreadPoolExecutor) -> None:
        self._pods, self._plan, self._mark, self._how, self._pool = pods, plan, mark, how, pool
        ends = {probe.source.name for probe in plan.probes}
        ends |= {probe.destination.name for probe in plan.probes if "/" in probe.destination.name}
        ordered = sorted(ends)
        self._real: dict[str, Raw | None] = dict(zip(ordered, pool.map(self._read, ordered), strict=True))
        spaces = sorted({name.partition("/")[0] for name in ends})
        self._services = dict(zip(spaces, pool.map(self._services_of, spaces), strict=True))
        self.answering = self._answering()
        self.sending = self._sending()

    def _read(self, name: str) -> Raw | None:
        namespace, _, pod = name.partition("/")
        return self._pods.read(namespace, pod)

    def _services_of(self, namespace: str) -> list[dict[str, Any]] | str:
        try:
            return self._pods.services(namespace)
        except Refused as error:
            return f"Services cannot be listed in {namespace} ({error.message}), and one may send to pods that are not Ready"

    # -- who takes part -------------------------------------------------------------------------------------------------

    def _answering(self) -> dict[str, _Part]:
        wanted: dict[str, set[str]] = {}
        for probe in self._plan.probes:
            if probe.stand_in:
                wanted.setdefault(probe.destination.name, set()).add(f"{probe.protocol.value}/{probe.port}")
        found = {}
        for number, (real, ports) in enumerate(sorted(wanted.items())):
            name = f"evidence-probe-{self._mark.run}-{number}d"
            part = _Part(real, name, STAND_IN, f"{self._mark.run}-{number}", tuple(sorted(ports)))
            part.error = self._hindrance(real)
            found[real] = part
        return found

    def _sending(self) -> dict[str, _Part]:
        found: dict[str, _Part] = {}
        fresh: set[str] = set()  # nodes that have a stand-in among their sources
        for number, real in enumerate(sorted({probe.source.name for probe in self._plan.probes})):
            pod = self._real[real]
            node = pod["spec"].get("nodeName", "") if pod else ""
            inside = pod is not None and node in fresh and self._goes_inside(real, pod)
            by = EPHEMERAL if inside else STAND_IN
            name = f"evidence-probe-{self._mark.run}" + ("" if inside else f"-{number}s")
            part = _Part(real, name, by)
            part.error = "" if inside else self._hindrance(real)
            if inside and pod:
                part.address = pod.get("status", {}).get("podIP", "")
            elif not part.error:
                fresh.add(node)
            found[real] = part
        return found

    def _goes_inside(self, real: str, pod: Raw) -> bool:
        if self._how is With.PODS or sidecar_between(pod["spec"]):
            return False
        return self._pods.may_add_ephemeral(real.partition("/")[0])

    def _hindrance(self, real: str) -> str:
        """Why no stand-in may be made for a pod; "" when one may."""
        pod = self._real[real]
        if pod is None:
            return f"pod {real} is gone"
        services = self._services[real.partition("/")[0]]
        if isinstance(services, str):
            return services
        labels = pod["metadata"].get("labels") or {}
        publishing = next((one["metadata"]["name"] for one in services if publishes_unready(one, labels)), "")
        return (
            f"Service {publishing} sends to pods that are not Ready, so a stand-in for {real} would get its traffic"
            if publishing
            else ""
        )

    # -- stand-ins that answer --------------------------------------------------------------------------------------------

    def start_answering(self) -> None:
        parts = [part for part in self.answering.values() if not part.error]
        list(self._pool.map(self._make_answering, parts))
        self._await(parts, answers, START_SECONDS, "did not start in time")
        for part in parts:
            part.started = not part.error
        list(self._pool.map(self._listen, [part for part in parts if part.started]))

    def _make_answering(self, part: _Part) -> None:
        tcp = next((int(port.partition("/")[2]) for port in part.ports if port.startswith("TCP/")), 0)
        ports = part.ports if tcp else (*part.ports, f"TCP/{CONTROL_PORT}")
        self._make(part, ["serve", part.token, ",".join(ports)], tcp or CONTROL_PORT)

    def _make(self, part: _Part, arguments: Sequence[str], control: int) -> None:
        pod = self._real[part.real]
        assert pod is not None  # noqa: S101  (otherwise it has an error)
        with _told(part):
            self._pods.create(stand_in(pod, part.name, self._mark, arguments, control))

    def _listen(self, part: _Part) -> None:
        with _told(part):
            part.told = read_output(self._pods.log(part.namespace, part.name, CONTAINER))

    # -- sources ----------------------------------------------------------------------------------------------------------

    def start_sending(self) -> None:
        parts = [part for part in self.sending.values() if not part.error]
        list(self._pool.map(self._make_sending, parts))
        seconds = START_SECONDS + self._plan.cost.seconds + PATIENCE_MS // 1000
        self._await([part for part in parts if part.by == STAND_IN], ended, seconds, "did not end in time")
        inside = [part for part in parts if part.by == EPHEMERAL and not part.error]
        until = time.monotonic() + seconds
        while inside and time.monotonic() < until:
            over = list(self._pool.map(self._ended_inside, inside))
            inside = [part for part, done in zip(inside, over, strict=True) if not done]
            if inside:
                time.sleep(POLL_SECONDS)
        for part in inside:
            part.error = "the ephemeral container did not end in time"

    def _make_sending(self, part: _Part) -> None:
        targets = [
            text for probe in self._plan.probes if probe.source.name == part.real and (text := self._target(probe))
        ]
        if not targets:
            part.error = "none of its destinations could be had"
            return
        if part.by == EPHEMERAL:
            namespace, _, name = part.real.partition("/")
            with _told(part):
                patch = ephemeral(part.name, self._mark, ["try", "0", str(PATIENCE_MS), *targets])
                self._pods.add_ephemeral(namespace, name, patch)
            return
        self._make(part, ["try", str(CONTROL_PORT), str(PATIENCE_MS), *targets], CONTROL_PORT)

    def _target(self, probe: Planned) -> str:
        """The probe as the program reads it; "" when its destination is not there."""
        address, token = self._destination(probe)
        want = "allow" if probe.allowed else "deny"
        return f"{probe.number},{probe.protocol.value},{address},{probe.port},{want},{token}" if address else ""

    def _destination(self, probe: Planned) -> tuple[str, str]:
        if probe.stand_in:
            part = self.answering[probe.destination.name]
            return ("", "") if part.error else (part.address, part.token)
        return self.address(probe.destination.name), ""

    def address(self, name: str) -> str:
        """Where a real destination is; "" for a pod that is gone."""
        if "/" not in name:
            return name
        pod = self._real[name]
        return str(pod.get("status", {}).get("podIP", "")) if pod else ""

    def _ended_inside(self, part: _Part) -> bool:
        pod = self._read(part.real)
        statuses = (pod or {}).get("status", {}).get("ephemeralContainerStatuses") or ()
        status: Raw = next((one for one in statuses if one["name"] == part.name), {})
        state = status.get("state") or {}
        reason = (state.get("waiting") or {}).get("reason", "")
        if pod is None or reason in HOPELESS:
            part.error = f"the ephemeral container does not start: {reason}" if pod else f"pod {part.real} is gone"
        return bool(part.error) or "terminated" in state

    # -- what they say ----------------------------------------------------------------------------------------------------

    def hear(self) -> None:
        running = {
            pod["metadata"]["name"]
            for pod in self._pods.marked(self._mark.run)
            if pod["status"].get("phase") == "Running"
        }
        for part in self.answering.values():
            part.alive = part.name in running
        list(self._pool.map(self._hear, self.sending.values()))

    def _hear(self, part: _Part) -> None:
        namespace, _, real = part.real.partition("/")
        made = part.name if part.by == STAND_IN else real
        before = part.error
        with _told(part):
            part.told = read_output(self._pods.log(namespace, made, CONTAINER if part.by == STAND_IN else part.name))
        part.error = before or part.error or part.told.failed

    def ran(self) -> Ran:
        """What the run came to."""
        return Ran(
            sources={
                real: SourceRan(part.by, part.name, part.address, part.error, part.told.reached_from, part.told.tried)
                for real, part in self.sending.items()
            },
            stand_ins={
                real: StandInRan(part.name, part.address, part.error, part.started, part.alive, part.told.not_served)
                for real, part in self.answering.items()
            },
            addresses={
                probe.destination.name: self.address(probe.destination.name)
                for probe in self._plan.probes
                if not probe.stand_in
            },
        )

    # -- waiting ----------------------------------------------------------------------------------------------------------

    def _await(self, parts: Sequence[_Part], over: Callable[[Raw], bool], seconds: float, late: str) -> None:
        """Until each pod is as it should be, or known not to become so."""
        until = time.monotonic() + seconds
        waiting = {part.name: part for part in parts if not part.error}
        while waiting:
            found = {pod["metadata"]["name"]: pod for pod in self._pods.marked(self._mark.run)}
            for name, part in list(waiting.items()):
                pod = found.get(name)
                part.error = "it was removed while the probes ran" if pod is None else failure(pod, over)
                part.address = (pod or {}).get("status", {}).get("podIP", "") or part.address
                if part.error or (pod is not None and over(pod)):
                    del waiting[name]
            if waiting and time.monotonic() > until:
                for part in waiting.values():
                    part.error = late
                return
            if waiting:
                time.sleep(POLL_SECONDS)


@contextmanager
def _told(part: _Part) -> Iterator[None]:
    """What the server refuses, or does not answer, becomes the part's reason."""
    try:
        yield
    except Refused as error:
        part.error = error.message
    except HTTPError as error:
        part.error = " ".join(str(error).split())
