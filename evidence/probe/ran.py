"""What the cluster did with a plan, before it is judged: who sent, who answered, and what each attempt met with."""

from collections.abc import Mapping
from dataclasses import dataclass

from evidence.probe.model import Tried

STAND_IN = "stand-in pod"
EPHEMERAL = "ephemeral container"


@dataclass(frozen=True, slots=True)
class SourceRan:
    """One source. `error` says why it sent nothing, or not everything; `reached_from`: who connected to its control port (its node's kubelet,
    since every enforcer lets a pod's own node through), "" when nobody did. `tried` is by the number of the planned probe."""

    by: str
    pod: str
    address: str
    error: str = ""
    reached_from: str = ""
    tried: Mapping[int, Tried] | None = None


@dataclass(frozen=True, slots=True)
class StandInRan:
    """One stand-in at the other end. `started`: the kubelet reached it by its address; `alive`: it still ran when all sources were done.
    `failed` are ports ("TCP/80") on which it could not listen, with the reason."""

    pod: str
    address: str
    error: str = ""
    started: bool = False
    alive: bool = False
    failed: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """Sources and stand-ins by the pod they stand for ("namespace/name"), and the addresses of real destinations ("" for one that is gone)."""

    sources: Mapping[str, SourceRan]
    stand_ins: Mapping[str, StandInRan]
    addresses: Mapping[str, str]
