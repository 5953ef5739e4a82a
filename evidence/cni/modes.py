"""Whether a plugin's enforcement is switched on, what weakens it, and how it is set up, as far as the collected objects show."""

from collections.abc import Iterator

from evidence.cni.capabilities import PluginSpec, Trait
from evidence.cni.conditions import Seen, holds
from evidence.cni.model import Support


def mode(spec: PluginSpec, what: Seen) -> tuple[str, str]:
    """Effect (on, off, unknown) and what showed it ("" when nothing needed showing). The first rule that holds decides.

    A plugin that flags can switch off is not "on" when its flags were not read.
    """
    for rule in spec.mode.rules:
        match holds(rule.condition, what):
            case True:
                return rule.effect, rule.text
            case None:
                return (
                    "unknown",
                    f"{rule.condition.setting} is set differently in several places, or to a value that is not known here",
                )
    if spec.mode.default == "on" and not what.arguments_read and any(rule.condition.flag for rule in spec.mode.rules):
        carriers = " and ".join(sorted(spec.mode.flags_of) or sorted(str(agent.key) for agent in what.agents))
        return "unknown", f"the arguments of {carriers} were not read, so that it may be switched off"
    if spec.mode.default == "unknown" and what.unread and spec.settings.config_map:
        return "unknown", f"{spec.mode.default_text}: {what.unread}"
    return spec.mode.default, spec.mode.default_text


def softened(spec: PluginSpec, what: Seen) -> tuple[str, ...]:
    """What makes enforcement weaker than policies say though it is on; in doubt it is weaker."""
    return tuple(rule.text for rule in spec.softened if holds(rule.condition, what) is not False)


def traits(spec: PluginSpec, what: Seen) -> Iterator[Trait]:
    """How the plugin is set up, where that shows. In doubt a trait counts, unless it gives the plugin a feature."""
    for trait in spec.traits:
        found = holds(trait.condition, what)
        if found or (found is None and Support.FULL not in trait.features.values()):
            yield trait
