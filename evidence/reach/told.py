"""The account of a verdict as text and as JSON; `explanation.schema.json` beside this file describes the latter."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from evidence.reach.account import Account, SideAccount
from evidence.reach.asked import PolicyAsked, RuleAsked
from evidence.reach.changes import Change, body_of, manifest, patches
from evidence.reach.manifests import as_yaml
from evidence.reach.query import as_json, key_body

_SIDES = (("egress", "egress of the source"), ("ingress", "ingress of the destination"))


def document(told: Account) -> dict[str, Any]:
    """The whole account for JSON: the answer as queries have it, and on each side every policy asked and the change that turns it."""
    body = {
        "from": told.source,
        "to": told.destination,
        "protocol": told.protocol.value,
        "port": told.port,
        **as_json(told.explanation),
    }
    for name, _ in _SIDES:
        side: SideAccount = getattr(told, name)
        body[name]["selecting"] = [str(key) for key in side.reason.selecting]
        body[name]["policies"] = [_policy(asked) for asked in side.policies]
        body[name]["change"] = None if side.turned.change is None else _change(side.turned.change)
        body[name]["no_change"] = side.turned.reason or None
    return body


def _policy(asked: PolicyAsked) -> dict[str, Any]:
    return {
        "policy": key_body(asked.policy),
        "tier": asked.tier,
        "priority": asked.priority if isfinite(asked.priority) else None,
        "isolates": asked.isolates,
        "pods": asked.pods,
        "part": asked.part.value,
        "rules": [_rule(rule) for rule in asked.rules],
    }


def _rule(rule: RuleAsked) -> dict[str, Any]:
    return {
        "rule": rule.where,
        "action": rule.action.value,
        "matches": rule.matches,
        "names_peer": rule.peer,
        "names_port": rule.port,
        "why_not": rule.why or None,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "summary": list(change.summary),
        "beside": change.beside or None,
        "patches": [{"policy": key_body(policy.key), "patch": patch} for policy, patch in patches(change)],
        "manifests": [manifest(policy) for policy in change.new],
    }


def text(told: Account) -> Iterator[str]:
    """The account in lines. Names are as they were collected: a terminal's caller has to make them harmless."""
    found = told.explanation
    port = f"{told.protocol.value} {told.port}"
    yield f"{told.source} → {told.destination} {port}: {'allowed' if found.allowed else 'denied'}"
    for name, title in _SIDES:
        side: SideAccount = getattr(told, name)
        verdict, reason = "allowed" if side.reason.allowed else "denied", side.reason.reason
        yield f"  {title}: {reason if reason.startswith(f'{verdict} by ') else f'{verdict}, {reason}'}"
        if not side.policies:
            yield f"    selected by: {', '.join(map(str, side.reason.selecting)) or 'no policy'}"
        for asked in side.policies:
            yield f"    {asked.policy} ({asked.tier} tier): {asked.part}"
            for rule in asked.rules:
                yield f"      {rule.where} {rule.action.value}: {rule.why or 'matches'}"
    yield from (f"  not certain: {reason}" for reason in found.uncertain)
    if found.note:
        yield f"  note: {found.note}"
    yield from _ways(told)


def _ways(told: Account) -> Iterator[str]:
    allowed = told.explanation.allowed
    sides = [side for side in (told.egress, told.ingress) if side.reason.allowed is allowed]
    changes = [side.turned.change for side in sides if side.turned.change is not None]
    changes.sort(key=lambda change: len(change.new))  # an edit closes less than an isolation
    if changes:
        several = len(changes) > 1
        yield f"  to {'deny' if allowed else 'allow'} it{(', either of' if allowed else ', all of') if several else ''}:"
    for change in changes:
        yield from _told_change(change)
    yield from (f"  no change: {side.turned.reason}" for side in sides if side.turned.change is None)


def _told_change(change: Change) -> Iterator[str]:
    for sentence in change.summary:
        yield f"    - {sentence}"
    if change.beside:
        yield f"      {change.beside}"
    for edit in change.edits:
        if edit.rule is not None:
            yield f"      # {edit.policy.key}, {edit.section if edit.insert else edit.where}"
            yield from _block([body_of(edit)])
    for policy in change.new:
        yield from _block(manifest(policy))


def _block(body: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    return (f"      {line}" for line in as_yaml(body).splitlines())
