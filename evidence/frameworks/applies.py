"""Whether a control applies, as far as the owner has declared what that hangs on. What was not declared is not taken for "no"."""

from evidence.findings.finding import count
from evidence.frameworks.facts import Evidence, Facts, any_of
from evidence.frameworks.model import Condition, Control
from evidence.intent.model import SENSITIVE, Classification, Intent


def conditions(control: Control, evidence: Evidence) -> tuple[list[str], list[str]]:
    """Why the control does not apply, and what must be declared before that can be said."""
    unmet: list[str] = []
    unknown: list[str] = []
    facts = evidence.facts
    for condition in control.only_if:
        met, sentence = _condition(condition, evidence)
        if met is False:
            unmet.append(sentence)
        elif met is None:
            unknown.append(sentence)
    regulated = evidence.framework.regulated
    for wanted in (frozenset({regulated}) if regulated else frozenset(), control.zones):
        if wanted and not wanted & evidence.declared:
            met, sentence = _undeclared(wanted, facts)
            (unknown if met is None else unmet).append(sentence)
    return list(dict.fromkeys(unmet)), list(dict.fromkeys(unknown))


def _undeclared(wanted: frozenset[Classification], facts: Facts) -> tuple[bool | None, str]:
    """None of the classifications was declared: False when everything else was, None when it may still be there."""
    names = any_of(sorted(wanted))
    if facts.intent is None or not facts.intent.zones:
        return None, f"scope was not declared: no intent file says which pods are {names}"
    if facts.ground.unassigned:
        pods = count(facts.ground.unassigned, "pod lies", "pods lie")
        return None, f"no zone is declared as {names}, but {pods} in no zone"
    return False, f"no zone is declared as {names}"


def _condition(condition: Condition, evidence: Evidence) -> tuple[bool | None, str]:
    """Whether it is met (None: not declared), and the sentence for when it is not."""
    intent = evidence.facts.intent
    match condition:
        case Condition.SEGMENTATION:
            if intent is None or not intent.zones:
                return None, "scope was not declared: whether segmentation sets anything apart is not known"
            used = bool(evidence.declared & SENSITIVE) and Classification.OUT_OF_SCOPE in evidence.declared
            return (
                used,
                "no zone is declared out-of-scope beside one with regulated data: segmentation is not relied on",
            )
        case Condition.SERVICE_PROVIDER:
            return _flag(intent, "service_provider", "a service provider")
        case Condition.MULTI_TENANT:
            return _flag(intent, "multi_tenant", "a multi-tenant service provider")
        case Condition.DESIGNATED_ENTITY:
            return _flag(intent, "designated_entity", "an entity that must meet Appendix A3")


def _flag(intent: Intent | None, name: str, what: str) -> tuple[bool | None, str]:
    said: bool | None = getattr(intent.system, name) if intent else None
    if said is None:
        return None, f"whether the organisation is {what} was not declared (system.{name} in the intent file)"
    return said, f"the intent file says that the organisation is not {what} (system.{name})"
