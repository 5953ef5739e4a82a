"""What is seen of a plugin's switches in one cluster, and whether a condition of `capabilities.yaml` holds of it.

1. A flag counts only when the workload that carries it was read, a setting only when every place where it may be set was read.
2. A setting may be given in several places: the agent's arguments and environment, its ConfigMap, objects that override that for some nodes.
   Which of them wins differs by plugin and version; where they disagree nothing is concluded from either.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from evidence.cluster.model import Cluster
from evidence.cluster.objects import ObjectKey
from evidence.cluster.plugins import ANOTHER, FROM_ELSEWHERE, SOURCES, PluginSettings
from evidence.cni.capabilities import Condition, PluginSpec, SettingsSpec
from evidence.cni.signals import Agent
from evidence.cni.versions import split_image


@dataclass(frozen=True, slots=True)
class Seen:
    """`settings` maps each name to every value that was seen, "" standing for a ConfigMap that leaves to its default what is overridden
    elsewhere. `unread` says what was not read, "" when everything was."""

    cluster: Cluster
    agents: tuple[Agent, ...]
    flags: Mapping[str, str] = field(default_factory=dict)
    arguments_read: bool = False
    settings: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unread: str = ""


def seen(spec: PluginSpec, cluster: Cluster, agents: tuple[Agent, ...]) -> Seen:
    """Everything that the conditions of one plugin may ask for."""
    mode = spec.mode
    if mode.flags_annotation:
        arguments = _server_arguments(mode.flags_annotation, cluster)
    else:
        arguments = _arguments(mode.flags_of, cluster, {agent.key for agent in agents}, spec.agent.namespaces)
    given = flags(arguments or ())
    return Seen(
        cluster=cluster,
        agents=agents,
        flags=given,
        arguments_read=arguments is not None,
        settings=_settings(spec.settings, cluster, agents, given),
        unread=_unread(spec.settings, cluster, agents, arguments is not None),
    )


def holds(condition: Condition, what: Seen) -> bool | None:
    """Whether it holds; None when places disagree, or the value is not one that means something here."""
    if condition.without_image:
        images = [split_image(image)[0] for agent in what.agents for image in agent.images]
        return bool(images) and not any(condition.without_image.search(image) for image in images)
    if condition.agent:
        return any(agent.key.name in condition.agent for agent in what.agents)
    if condition.node_label:
        return any(
            condition.node_label.search(f"{key}={value}")
            for node in what.cluster.nodes
            for key, value in node.labels.items()
        )
    if condition.crd:
        return any(condition.crd.search(name) for name in what.cluster.crds)
    if condition.arguments_read is not None:
        return what.arguments_read is condition.arguments_read
    if condition.settings_read is not None:
        return (what.unread == "") is condition.settings_read
    if condition.flag:
        given = what.flags.get(condition.flag, "").lower()
        return given not in condition.unless if condition.unless else given in condition.equals
    values = what.settings.get(condition.setting, frozenset())
    if condition.unless:
        return not values or not values <= condition.unless
    if values == {ANOTHER} == condition.equals:
        return True
    if ANOTHER in values or (values & condition.equals and not values <= condition.equals):
        return None
    return bool(values & condition.equals)


def flags(arguments: Iterable[str]) -> Mapping[str, str]:
    """Flags of a command line without their dashes; a flag without a value is "true"; the last of several wins."""
    found: dict[str, str] = {}
    pending = ""
    for argument in arguments:
        if argument.startswith("-"):
            name, separator, value = argument.lstrip("-").partition("=")
            found[name] = value if separator else "true"
            pending = "" if separator else name
        elif pending:
            found[pending] = argument
            pending = ""
    return found


def _arguments(
    flags_of: frozenset[str], cluster: Cluster, agent_keys: set[ObjectKey], namespaces: frozenset[str]
) -> tuple[str, ...] | None:
    """Arguments of the workloads that carry the plugin's flags: those in `flags_of`, else the agents. None when one was not read."""
    read = {
        w.key: w.arguments
        for w in cluster.workloads
        if w.key.namespace in namespaces and (w.key.name in flags_of if flags_of else w.key in agent_keys)
    }
    whole = {key.name for key in read} == flags_of if flags_of else read.keys() == agent_keys
    return tuple(argument for arguments in read.values() for argument in arguments) if whole else None


def _server_arguments(annotation: str, cluster: Cluster) -> tuple[str, ...] | None:
    """The argument list (JSON) that server nodes carry in an annotation; None when none is readable."""
    found: list[str] = []
    for node in cluster.nodes:
        try:
            words = json.loads(node.annotations.get(annotation, "null"))
        except ValueError:
            continue
        if isinstance(words, list) and words[:1] == ["server"]:
            found += [str(word) for word in words]
    return tuple(found) if found else None


def _settings(
    spec: SettingsSpec, cluster: Cluster, agents: tuple[Agent, ...], given: Mapping[str, str]
) -> Mapping[str, frozenset[str]]:
    values: dict[str, set[str]] = {}
    for environment in _environments(cluster, agents):
        for name, value in environment.items():
            values.setdefault(_setting_of(name, spec.environment), set()).add(value)
    maps = _config_maps(spec, cluster, agents)
    for found in maps:
        for name, value in found.values.items():
            values.setdefault(name, set()).add(value)
    for found in cluster.plugin_settings:
        if found.key.kind in (spec.overrides, *spec.kinds, *spec.also):
            for name, value in found.values.items():
                elsewhere = values.setdefault(name, set())
                if found.key.kind == spec.overrides and not elsewhere:
                    elsewhere.add("")
                elsewhere.add(value)
    for name, value in given.items():
        if name in values or name in spec.flags:
            values.setdefault(name, set()).add(value.lower())
    return {name: frozenset(found) for name, found in values.items()}


def _unread(spec: SettingsSpec, cluster: Cluster, agents: tuple[Agent, ...], arguments_read: bool) -> str:
    """The first thing that was not read and may set something; "" when there is none."""
    if not arguments_read:
        return f"the arguments of {' and '.join(sorted(str(agent.key) for agent in agents))} were not read"
    if any(FROM_ELSEWHERE in environment for environment in _environments(cluster, agents)):
        return "the agent takes environment values from an object that is not collected"
    if spec.config_map and any(SOURCES in environment for environment in _environments(cluster, agents)):
        return "the agent is told to read settings from further places (--source of an init container)"
    if spec.config_map and len(_config_maps(spec, cluster, agents)) < len({agent.key.namespace for agent in agents}):
        return f"ConfigMap {spec.config_map} was not read"
    if spec.overrides and (spec.overrides in cluster.unread_kinds or not cluster.crds):
        return f"whether a {spec.overrides} overrides it was not read"
    for kind in spec.kinds:
        if not any(found.key.kind == kind for found in cluster.plugin_settings):
            return f"no {kind} was read"
    return ""


def _config_maps(spec: SettingsSpec, cluster: Cluster, agents: tuple[Agent, ...]) -> list[PluginSettings]:
    homes = {agent.key.namespace for agent in agents}
    return [
        found
        for found in cluster.plugin_settings
        if found.key.kind == "ConfigMap" and found.key.name == spec.config_map and found.key.namespace in homes
    ]


def _environments(cluster: Cluster, agents: tuple[Agent, ...]) -> Iterator[Mapping[str, str]]:
    keys = {agent.key for agent in agents}
    return (workload.environment for workload in cluster.workloads if workload.key in keys)


def _setting_of(variable: str, prefix: str) -> str:
    """CILIUM_ENABLE_POLICY sets enable-policy; variables of other plugins are settings under their own names."""
    if prefix and variable.startswith(prefix):
        return variable.removeprefix(prefix).replace("_", "-").lower()
    return variable
