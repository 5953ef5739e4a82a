"""What detection says: the plugins, what each claims to enforce, where its agent runs, and the verdict over all.

A claim by name and version is a claim. Only a probe or a flow log shows that packets are stopped (strength `observed`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from evidence.cluster.model import IPNetwork
from evidence.cluster.objects import ObjectKey


class Enforcement(StrEnum):
    """What may be said of the whole cluster."""

    ENFORCED = "enforced"  # one recognised enforcer of a known version, its agent ready on every node that carries pods
    PARTIAL = "enforced on some nodes"
    NOT_ENFORCED = "not enforced"  # only plugins that do not enforce, or whose enforcement is switched off, are there
    NOT_SHOWN = "enforcement not shown"  # nothing recognised, contradictory, or a version or mode that is not known


class Weight(StrEnum):
    """How far one sign may be trusted: one strong sign or two medium ones name a plugin."""

    STRONG = "strong"
    MEDIUM = "medium"


class Support(StrEnum):
    """What a plugin makes of one policy feature. `optional`: only after it was switched on, which the cluster's objects do not show."""

    FULL = "full"
    PARTIAL = "partial"
    OPTIONAL = "optional"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Signal:
    """One sign of a plugin, such as "DaemonSet kube-system/calico-node"."""

    weight: Weight
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.weight.value})"


@dataclass(frozen=True, slots=True)
class DetectedPlugin:
    """A plugin that is there, or has left traces.

    `version` is the agent's, several joined by ", ", "" when not visible. `enforces` is None when that cannot be said (version or
    mode unknown, no agent found). `agent` is None for traces and for plugins inside the node's own process. `agent_desired` and
    `agent_ready` count nodes that must have and have a ready agent, None when nodes or pods were not read.
    """

    id: str
    name: str
    version: str
    mode: str
    enforces: bool | None
    signals: tuple[Signal, ...]
    features: Mapping[str, Support]
    agent: ObjectKey | None
    agent_desired: int | None
    agent_ready: int | None
    unready_nodes: tuple[str, ...]
    traits: tuple[str, ...] = ()  # how it is set up: the data plane, what it is chained to, whose build it is
    softened: tuple[str, ...] = ()  # what makes enforcement that is on weaker than the policies say
    ignored_kinds: frozenset[str] = frozenset()  # policy kinds of its maker that it was told to ignore
    delegates: bool = False  # it calls another plugin, which may be any
    found: bool = True  # False: only traces (a CRD, an annotation) and no running part
    caveats: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}" if self.version else f"{self.name} (version not visible)"


@dataclass(frozen=True, slots=True)
class CniReport:
    """`reasons` starts with what decided; `uncovered` names what no enforcer here covers, whatever the verdict."""

    plugins: tuple[DetectedPlugin, ...]
    enforcement: Enforcement
    reasons: tuple[str, ...]
    unhealthy_nodes: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    pod_networks: tuple[IPNetwork, ...] = ()  # what the nodes hand out to pods, as far as Node objects say

    @property
    def enforcers(self) -> tuple[DetectedPlugin, ...]:
        """Plugins that are running and enforce, or may."""
        return tuple(plugin for plugin in self.plugins if plugin.found and plugin.enforces is not False)
