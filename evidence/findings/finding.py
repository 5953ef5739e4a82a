"""What a finding is: one hit of one rule on one subject, with the objects it rests on.

Severity is the rule's, moved by where the subject lies (`severity_in`):
1. In a zone with regulated data (cde, ephi, fedramp-boundary) it is one step higher, because the same opening is worth more there.
2. In out-of-scope zones alone it is one step lower, never below info.
3. Rules of the families plumbing, time and hygiene stay as they are: what is broken or overdue is not worse for its zone.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from evidence.cluster.objects import ObjectKey
from evidence.intent.model import SENSITIVE, Classification
from evidence.values import value

UNMOVED_FAMILIES = frozenset({"plumbing", "time", "hygiene"})
SHOWN_NAMES = 5  # names in a message; the whole list is in Finding.details or in the evidence


class Severity(StrEnum):
    """How urgent; `rank` orders them, critical highest."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        return 4 - _ORDER.index(self)


_ORDER = tuple(Severity)


class Subject(NamedTuple):
    """What a finding is about. `kind` is Workload, Namespace, NetworkPolicy, Service, ServiceAccount, Node, Zone, ZonePair,
    Cluster or Waiver."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class EvidenceRef(NamedTuple):
    """An object that the finding rests on: which part of it (`detail`, such as "spec.egress[1]"), and where it was read (`source`)."""

    key: ObjectKey
    digest: str
    detail: str = ""
    source: str = ""


@value()
class Finding:
    """One hit. `details` is the whole list behind a message that shows its first few; `zones` are those the subject lies in."""

    rule_id: str
    severity: Severity
    subject: Subject
    message: str
    evidence: tuple[EvidenceRef, ...] = ()
    suggestion: str = ""
    zones: tuple[str, ...] = ()
    classifications: frozenset[Classification] = frozenset()
    discriminator: str = ""
    details: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, Subject, str]:
        """What tells it from all others of an assessment, and what they are sorted by."""
        return self.rule_id, self.subject, self.discriminator

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stay the same across snapshots: rule, subject and what tells two findings on one subject apart."""
        return _fingerprint(self.rule_id, self.subject, self.discriminator)


@lru_cache(maxsize=1 << 16)  # asked for again and again, by rule, by control, by snapshot
def _fingerprint(rule_id: str, subject: Subject, discriminator: str) -> str:
    return hashlib.sha256(f"{rule_id}|{subject}|{discriminator}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def severity_in(base: Severity, family: str, classifications: Iterable[Classification]) -> Severity:
    """The severity of a rule's hit for a subject that lies in zones of these classifications (see the module's docstring)."""
    present = frozenset(classifications)
    if family in UNMOVED_FAMILIES or not present:
        return base
    if present & SENSITIVE:
        return _ORDER[max(_ORDER.index(base) - 1, 0)]
    if present == {Classification.OUT_OF_SCOPE}:
        return _ORDER[min(_ORDER.index(base) + 1, len(_ORDER) - 1)]
    return base


def shortened(names: Sequence[str]) -> str:
    """The first few names, and how many more there are: "a, b and 7 more"."""
    if len(names) <= SHOWN_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN_NAMES])} and {len(names) - SHOWN_NAMES} more"


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 pod", "3 pods"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
