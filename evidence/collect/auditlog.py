"""The API server's audit log: events of audit.k8s.io/v1 as JSON lines (`--audit-log-path`), or lists of them (the webhook's EventList).

Kept is who wrote what, when and from where, of the kinds that segmentation hangs on: policies of every maker, namespaces, roles and bindings,
and pods (whose labels policies select by). Never kept: bodies, annotations, anything read. One request is one event: that of its answer
(stage ResponseComplete or Panic). Writes by the nodes themselves (pod status) and tries (dryRun) change nothing here and are left out.

Source: the API reference of audit.k8s.io/v1 Event.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from evidence.cluster.objects import ObjectKey
from evidence.cluster.rbac import GROUP as RBAC
from evidence.collect.flowlogs.fields import json_line, moment
from evidence.collect.kinds import KINDS
from evidence.collect.policies import POLICY_KINDS
from evidence.observe.audit import AuditedChange
from evidence.observe.sighting import LeftOut

_LAST_STATUS = 599
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_ANSWERED = frozenset({"ResponseComplete", "Panic"})
_POD_CHANGES = frozenset({"update", "patch"})  # making and ending pods is the daily business of controllers
_OF_A_POLICY = re.compile(r"(network|authorization|firewall)polic(y|ies)$")
_GROUPS_OF_EVERYBODY = frozenset({"system:authenticated", "system:unauthenticated", "system:serviceaccounts"})
_KIND_OF = {
    (kind.group, kind.plural): kind.kind
    for kind in KINDS
    if kind in POLICY_KINDS or kind.group == RBAC or (kind.group, kind.kind) in (("", "Namespace"), ("", "Pod"))
}
_KIND_OF |= {
    ("projectcalico.org", plural): kind
    for (group, plural), kind in _KIND_OF.items()
    if group.endswith("projectcalico.org")
}


def read(line: bytes) -> tuple[tuple[datetime, AuditedChange | LeftOut], ...]:
    """What each answered request in a line is, with the time of its answer. Raises ValueError for what is no audit event."""
    value = json_line(line)
    events = value.get("items", ()) if str(value.get("kind", "")).endswith("List") else (value,)
    return tuple(_events(events))


def _events(events: Any) -> Iterator[tuple[datetime, AuditedChange | LeftOut]]:
    for event in events:
        if "auditID" not in event or "verb" not in event:
            raise ValueError("is no event of an API server's audit log: auditID or verb is missing")
        at = moment(event.get("stageTimestamp") or event.get("requestReceivedTimestamp"))
        yield at, _event(event, at)


def _event(event: Mapping[str, Any], at: datetime) -> AuditedChange | LeftOut:
    if event.get("stage") not in _ANSWERED:
        return LeftOut("other stages of a request")
    verb = event["verb"]
    if verb not in _WRITES:
        return LeftOut("requests that write nothing")
    reference = event.get("objectRef") or {}
    group, resource = str(reference.get("apiGroup") or ""), str(reference.get("resource") or "")
    kind = _KIND_OF.get((group, resource)) or (resource if group and _OF_A_POLICY.search(resource) else "")
    if not kind or reference.get("subresource"):
        return LeftOut("writes to other kinds and to status")
    user = str((event.get("user") or {}).get("username", ""))
    if kind == "Pod" and (verb not in _POD_CHANGES or user.startswith("system:node:")):
        return LeftOut("pods made, ended, or kept up by their node")
    if "dryRun=" in event.get("requestURI", ""):
        return LeftOut("tries that were to change nothing (dryRun)")
    namespace, name = str(reference.get("namespace", "")), str(reference.get("name", ""))
    groups = (event.get("user") or {}).get("groups") or ()
    return AuditedChange(
        id=str(event["auditID"]),
        at=at,
        user=user,
        as_user=str((event.get("impersonatedUser") or {}).get("username", "")),
        groups=tuple(str(found) for found in groups if found not in _GROUPS_OF_EVERYBODY),
        verb=str(verb),
        object=ObjectKey(group, kind, "" if kind == "Namespace" else namespace, name),
        code=_code(event.get("responseStatus") or {}),
        source_ips=tuple(str(found) for found in event.get("sourceIPs") or ()),
        user_agent=str(event.get("userAgent", "")),
    )


def _code(status: Mapping[str, Any]) -> int:
    """The answer's HTTP status, 0 where it is not told."""
    code = int(status.get("code", 0))
    if not 0 <= code <= _LAST_STATUS:
        raise ValueError(f"has the status {code}")
    return code
