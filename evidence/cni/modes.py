"""Whether a plugin's enforcement is switched on, as far as arguments and images show. ConfigMaps and environment values are not collected."""

import json
from collections.abc import Iterable, Mapping

from evidence.cluster.model import Cluster
from evidence.cluster.objects import ObjectKey
from evidence.cni.capabilities import ModeRule, ModeSpec
from evidence.cni.signals import Agent
from evidence.cni.versions import split_image


def mode(spec: ModeSpec, cluster: Cluster, agents: Iterable[Agent], namespaces: frozenset[str]) -> tuple[str, str]:
    """Effect (on, off, unknown) and what showed it ("" when nothing needed showing).

    `namespaces` are where the plugin is known to be installed: of workloads elsewhere no arguments are kept. A plugin that flags can
    switch off is not "on" when its flags were not read.
    """
    agents = tuple(agents)
    if spec.flags_annotation:
        arguments = _server_arguments(spec.flags_annotation, cluster)
    else:
        arguments = _arguments(spec.flags_of, cluster, {agent.key for agent in agents}, namespaces)
    given = flags(arguments or ())
    for rule in spec.rules:
        if _holds(rule, given, arguments is not None, agents):
            return rule.effect, rule.text
    if spec.default == "on" and arguments is None and any(rule.flag for rule in spec.rules):
        carriers = " and ".join(sorted(spec.flags_of) or sorted(str(agent.key) for agent in agents))
        return "unknown", f"the arguments of {carriers} were not read, so that it may be switched off"
    return spec.default, spec.default_text


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


def _holds(rule: ModeRule, given: Mapping[str, str], arguments_read: bool, agents: tuple[Agent, ...]) -> bool:
    if rule.without_image:
        images = [split_image(image)[0] for agent in agents for image in agent.images]
        return bool(images) and not any(rule.without_image.search(image) for image in images)
    if rule.arguments_read:
        return arguments_read
    return given.get(rule.flag, "").lower() in rule.equals


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
