"""The project's own data on network plugins, `capabilities.yaml`, as typed values. Read once, checked by its schema in the tests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from evidence.cluster.plugins import CONFIG_MAPS
from evidence.cni.model import Support, Weight
from evidence.cni.versions import Version, parse_version
from evidence.errors import EvidenceError
from evidence.resources import package_file


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """How to know the DaemonSet that enforces. `embedded`: the code runs inside the node's own process, without any pod.

    `excluded` names DaemonSets that use the image and are another plugin. One that has the name counts only when it has an image of
    `with_image` and none of `without_image`, where these are given.
    """

    names: frozenset[str]
    excluded: frozenset[str]
    with_image: re.Pattern[str] | None
    without_image: re.Pattern[str] | None
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
class Condition:
    """One thing that may hold of a cluster, of which exactly one is asked. `equals` and `unless` are words of the flag or setting."""

    flag: str = ""
    setting: str = ""
    equals: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()
    without_image: re.Pattern[str] | None = None
    agent: frozenset[str] = frozenset()
    node_label: re.Pattern[str] | None = None
    crd: re.Pattern[str] | None = None
    arguments_read: bool | None = None
    settings_read: bool | None = None


@dataclass(frozen=True, slots=True)
class ModeRule:
    """What decides whether enforcement is on; `effect` is on, off or unknown."""

    condition: Condition
    effect: str
    text: str


@dataclass(frozen=True, slots=True)
class Softening:
    """What makes enforcement that is on weaker than the policies say."""

    condition: Condition
    text: str


@dataclass(frozen=True, slots=True)
class Trait:
    """How a plugin is set up, and what that does to its features; `ignores` are policy kinds of its maker that it then does not run."""

    condition: Condition
    text: str
    features: Mapping[str, Support]
    ignores: frozenset[str]


@dataclass(frozen=True, slots=True)
class SettingsSpec:
    """Where settings lie beside flags: a ConfigMap in the agent's namespace, a kind that overrides it for some nodes, further kinds, and
    environment variables with a prefix. `also` are kinds that a cluster need not have. `flags` are those settings that may be given as flags too."""

    config_map: str
    overrides: str
    kinds: tuple[str, ...]
    also: tuple[str, ...]
    environment: str
    flags: frozenset[str]


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
    """One plugin. `first` and `before` bound the versions that the data speaks of (None: it speaks of all). `own_kinds` are the policy kinds
    of its maker that it runs, as (group, kind), `optional_kinds` those that it may run. `delegates`: it calls another plugin, which may be any."""

    id: str
    name: str
    agent: AgentSpec
    version_images: tuple[re.Pattern[str], ...]
    version_from_kubelet: bool
    first: Version | None
    before: Version | None
    signals: tuple[SignalSpec, ...]
    mode: ModeSpec
    settings: SettingsSpec
    softened: tuple[Softening, ...]
    traits: tuple[Trait, ...]
    own_kinds: frozenset[tuple[str, str]]
    optional_kinds: frozenset[tuple[str, str]]
    delegates: bool
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
    data = yaml.load(package_file("cni", "capabilities.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    return tuple(_plugin(entry) for entry in data["plugins"])


def _plugin(entry: Mapping[str, Any]) -> PluginSpec:
    agent, mode, versions = entry["agent"], entry.get("mode", {}), entry.get("versions", {})
    settings = entry.get("settings", {})
    return PluginSpec(
        id=entry["id"],
        name=entry["name"],
        agent=AgentSpec(
            names=frozenset(agent.get("names", ())),
            excluded=frozenset(agent.get("except", ())),
            with_image=_pattern(agent, "with_image"),
            without_image=_pattern(agent, "without_image"),
            namespaces=frozenset(agent.get("namespaces", ())),
            images=_pattern(agent, "images"),
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
            rules=tuple(ModeRule(_condition(rule), rule["effect"], rule["text"]) for rule in mode.get("rules", ())),
        ),
        settings=SettingsSpec(
            config_map=settings.get("config_map", ""),
            overrides=settings.get("overrides", ""),
            kinds=tuple(settings.get("kinds", ())),
            also=tuple(settings.get("also", ())),
            environment=settings.get("environment", ""),
            flags=frozenset(CONFIG_MAPS.get(settings.get("config_map", ""), ())),
        ),
        softened=tuple(Softening(_condition(rule), rule["text"]) for rule in entry.get("softened", ())),
        traits=tuple(_trait(trait) for trait in entry.get("traits", ())),
        own_kinds=_kinds(entry, "own_kinds"),
        optional_kinds=_kinds(entry, "optional_kinds"),
        delegates=entry.get("delegates", False),
        features={name: _steps(value) for name, value in entry["features"].items()},
        caveats=tuple(entry.get("caveats", ())),
    )


def _kinds(entry: Mapping[str, Any], name: str) -> frozenset[tuple[str, str]]:
    return frozenset((group, kind) for group, kinds in entry.get(name, {}).items() for kind in kinds)


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


def _condition(entry: Mapping[str, Any]) -> Condition:
    return Condition(
        flag=entry.get("flag", ""),
        setting=entry.get("setting", ""),
        equals=frozenset(entry.get("equals", ())),
        unless=frozenset(entry.get("unless", ())),
        without_image=_pattern(entry, "without_image"),
        agent=frozenset(entry.get("agent", ())),
        node_label=_pattern(entry, "node_label"),
        crd=_pattern(entry, "crd"),
        arguments_read=entry.get("arguments_read"),
        settings_read=entry.get("settings_read"),
    )


def _trait(entry: Mapping[str, Any]) -> Trait:
    features = {name: Support(level) for name, level in entry.get("features", {}).items()}
    return Trait(_condition(entry), entry["text"], features, frozenset(entry.get("ignores", ())))


def _pattern(entry: Mapping[str, Any], name: str) -> re.Pattern[str] | None:
    return re.compile(entry[name]) if name in entry else None


def _steps(value: Mapping[str, Any]) -> tuple[Since, ...]:
    """Support that never changed (`is`), or steps in ascending order (`steps`)."""
    if "is" in value:
        return (Since((), Support(value["is"])),)
    return tuple(Since(parse_version(step["since"]) or (), Support(step["is"])) for step in value["steps"])
