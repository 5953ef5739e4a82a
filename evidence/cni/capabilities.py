"""The project's own data on network plugins, `capabilities.yaml`, as typed values. Read once, checked by its schema in the tests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from evidence.cni.model import Support, Weight
from evidence.cni.versions import Version, parse_version
from evidence.errors import EvidenceError
from evidence.resources import package_file


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """How to know the DaemonSet that enforces. `embedded`: the code runs inside the node's own process, without any pod.

    `excluded` names DaemonSets that use the image and are another plugin.
    """

    names: frozenset[str]
    excluded: frozenset[str]
    namespaces: frozenset[str]
    images: re.Pattern[str] | None
    embedded: bool


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """Where else to look. `kind` and `namespaces` are for looks at workloads."""

    look: str
    match: re.Pattern[str]
    weight: Weight
    kind: str = ""
    namespaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModeRule:
    """A sign that decides whether enforcement is on: a flag with a value, an image that the agent lacks, or that its arguments were read."""

    effect: str  # on, off
    text: str
    flag: str = ""
    equals: frozenset[str] = frozenset()
    without_image: re.Pattern[str] | None = None
    arguments_read: bool = False


@dataclass(frozen=True, slots=True)
class ModeSpec:
    """`default` (on, unknown) holds when no rule matches. `flags_of` names further workloads whose flags count."""

    default: str
    default_text: str
    flags_of: frozenset[str]
    flags_annotation: str
    rules: tuple[ModeRule, ...]


@dataclass(frozen=True, slots=True)
class Since:
    """Support from a version on; an empty version is the beginning."""

    since: Version
    support: Support


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """One plugin. `first` and `before` bound the versions that the data speaks of (None: it speaks of all)."""

    id: str
    name: str
    agent: AgentSpec
    version_images: tuple[re.Pattern[str], ...]
    version_from_kubelet: bool
    first: Version | None
    before: Version | None
    signals: tuple[SignalSpec, ...]
    mode: ModeSpec
    features: Mapping[str, tuple[Since, ...]]
    caveats: tuple[str, ...]

    def knows(self, version: Version | None) -> bool:
        """Whether the data speaks of this version."""
        if self.first is None or self.before is None:
            return True
        return version is not None and self.first <= version < self.before

    def support(self, feature: str, version: Version | None) -> Support:
        """Unknown for a version that the data does not speak of."""
        if not self.knows(version):
            return Support.UNKNOWN
        steps = self.features[feature]
        return [step for step in steps if version is None or step.since <= version][-1].support


@cache
def plugin_specs() -> tuple[PluginSpec, ...]:
    """All plugins in the order of the file."""
    data = yaml.safe_load(package_file("cni", "capabilities.yaml").read_bytes())
    return tuple(_plugin(entry) for entry in data["plugins"])


def _plugin(entry: Mapping[str, Any]) -> PluginSpec:
    agent, mode, versions = entry["agent"], entry.get("mode", {}), entry.get("versions", {})
    return PluginSpec(
        id=entry["id"],
        name=entry["name"],
        agent=AgentSpec(
            names=frozenset(agent.get("names", ())),
            excluded=frozenset(agent.get("except", ())),
            namespaces=frozenset(agent.get("namespaces", ())),
            images=re.compile(agent["images"]) if "images" in agent else None,
            embedded=agent.get("embedded", False),
        ),
        version_images=tuple(re.compile(pattern) for pattern in versions.get("images", ())),
        version_from_kubelet=versions.get("kubelet", False),
        first=_bound(versions, "first"),
        before=_bound(versions, "before"),
        signals=tuple(_signal(signal) for signal in entry.get("signals", ())),
        mode=ModeSpec(
            default=mode.get("default", "on"),
            default_text=mode.get("default_text", ""),
            flags_of=frozenset(mode.get("flags_of", ())),
            flags_annotation=mode.get("flags_annotation", ""),
            rules=tuple(_mode_rule(rule) for rule in mode.get("rules", ())),
        ),
        features={name: _steps(value) for name, value in entry["features"].items()},
        caveats=tuple(entry.get("caveats", ())),
    )


def _bound(versions: Mapping[str, Any], name: str) -> Version | None:
    if name not in versions:
        return None
    bound = parse_version(versions[name])
    if bound is None:
        raise EvidenceError(f"cni/capabilities.yaml: {versions[name]!r} is not a version; install evidence again")
    return bound


def _signal(entry: Mapping[str, Any]) -> SignalSpec:
    return SignalSpec(
        look=entry["look"],
        match=re.compile(entry["match"]),
        weight=Weight(entry["weight"]),
        kind=entry.get("kind", ""),
        namespaces=frozenset(entry.get("namespaces", ())),
    )


def _mode_rule(entry: Mapping[str, Any]) -> ModeRule:
    return ModeRule(
        effect=entry["effect"],
        text=entry["text"],
        flag=entry.get("flag", ""),
        equals=frozenset(entry.get("equals", ())),
        without_image=re.compile(entry["without_image"]) if "without_image" in entry else None,
        arguments_read=entry.get("arguments_read", False),
    )


def _steps(value: Mapping[str, Any]) -> tuple[Since, ...]:
    """Support that never changed (`is`), or steps in ascending order (`steps`)."""
    if "is" in value:
        return (Since((), Support(value["is"])),)
    return tuple(Since(parse_version(step["since"]) or (), Support(step["is"])) for step in value["steps"])
