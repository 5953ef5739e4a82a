"""Whether a plugin's enforcement is switched on, as far as arguments and images show. ConfigMaps and environment values are not collected."""

import json
from collections.abc import Iterable, Mapping

from evidence.cluster.model import Cluster
from evidence.cluster.objects import ObjectKey
from evidence.cni.capabilities import ModeRule, ModeSpec
from evidence.cni.signals import Agent
from evidence.cni.versions import split_image


def mode(spec: ModeSpec, cluster: Cluster, agents: Iterable[Agent]) -> tuple[str, str]:
    """Effect (on, off, unknown) and what showed it ("" when nothing needed showing)."""
    agents = tuple(agents)
    if spec.flags_annotation:
        arguments = _server_arguments(spec.flags_annotation, cluster)
    else:
        arguments = _arguments(spec.flags_of, cluster, {agent.key for agent in agents})
    given = flags(arguments or ())
    for rule in spec.rules:
        if _holds(rule, given, arguments is not None, agents):
            return rule.effect, rule.text
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


def _arguments(flags_of: frozenset[str], cluster: Cluster, agent_keys: set[ObjectKey]) -> tuple[str, ...] | None:
    """Arguments of the agents and of the workloads that carry the plugin's flags; None when no such workload was read."""
    namespaces = {key.namespace for key in agent_keys}
    carriers = [
        w
        for w in cluster.workloads
        if w.key in agent_keys or (w.key.name in flags_of and w.key.namespace in namespaces)
    ]
    return tuple(argument for workload in carriers for argument in workload.arguments) if carriers else None


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
