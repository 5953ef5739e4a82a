"""What a framework, a control and a control result are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from evidence.intent.model import Classification


class Verdict(StrEnum):
    """What the evidence says of a control. Never "compliant", "in place" or "passed": an assessor decides that."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    NOT_DETERMINED = "not determined"
    NOT_APPLICABLE = "not applicable"
    NOT_ASSESSED = "not assessed here"

    @property
    def rank(self) -> int:
        """How bad it is over a period: the highest rank of its snapshots counts."""
        return _RANKS[self]


_RANKS: Mapping[Verdict, int] = {
    Verdict.NOT_ASSESSED: 0,
    Verdict.NOT_APPLICABLE: 1,
    Verdict.SUPPORTED: 2,
    Verdict.NOT_DETERMINED: 3,
    Verdict.REFUTED: 4,
}


class Strength(StrEnum):
    """How a supported result is backed; `rank` orders them, weakest 0."""

    DECLARED = "declared"  # somebody says so: a record in the intent file, a policy that exists
    COMPUTED = "computed"  # reachability over all policies
    ENFORCED = "enforced"  # and the plugin is known to run those policies on every node with pods
    OBSERVED = "observed"  # and a probe or a flow log agreed

    @property
    def rank(self) -> int:
        return tuple(Strength).index(self)


class FeedStrength(StrEnum):
    """How a finding bears on a control."""

    DIRECT = "direct"  # the finding by itself contradicts the control
    SUPPORTING = "supporting"  # evidence that matters and cannot decide
    INDIRECT = "indirect"  # context


class Condition(StrEnum):
    """Something about the whole system on which it depends whether a control applies."""

    SEGMENTATION = "segmentation"  # zones with regulated data and zones out of scope are both declared
    SERVICE_PROVIDER = "service-provider"
    MULTI_TENANT = "multi-tenant"
    DESIGNATED_ENTITY = "designated-entity"


@dataclass(frozen=True, slots=True)
class Feed:
    """One line of the mapping: findings of a rule bear on a control.

    `zones`: only findings that touch a zone of these classifications; empty: wherever they are. `withholds`: an open finding does
    not contradict the control, and still nothing may be called supported. `observation`: the check would see packets; without it a
    result rests on the computed model. `has_check` is False while no rule of that id exists here.
    """

    rule_id: str
    strength: FeedStrength
    reason: str
    zones: frozenset[Classification] = frozenset()
    withholds: bool = False
    observation: bool = False
    has_check: bool = True


@dataclass(frozen=True, slots=True)
class Control:
    """One requirement of a framework, in our own words.

    `needs` is the strength that "supported" takes, None when the tool never supports it (`why_never` says why). `zones` are the
    classifications that it is about, empty for the whole cluster. `also_needed` is what an assessor looks at beside this tool's
    evidence. `changed_by` names the user's file that changed it, "" as shipped.
    """

    id: str
    title: str
    summary: str
    cadence: str
    feeds: tuple[Feed, ...] = ()
    zones: frozenset[Classification] = frozenset()
    only_if: tuple[Condition, ...] = ()
    baselines: tuple[str, ...] = ()
    needs: Strength | None = None
    why_never: str = ""
    also_needed: tuple[str, ...] = ()
    tool_can_show: str = ""
    tool_cannot_show: str = ""
    obligation: str = ""
    parameters: tuple[str, ...] = ()
    notes: str = ""
    changed_by: str = ""

    @property
    def fed(self) -> bool:
        """True when some check gives evidence that matters, not context alone."""
        return any(feed.has_check and feed.strength is not FeedStrength.INDIRECT for feed in self.feeds)

    @property
    def direct(self) -> tuple[Feed, ...]:
        return tuple(feed for feed in self.feeds if feed.strength is FeedStrength.DIRECT)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a framework wants evidence kept, in calendar months, and which control asks for it.

    `at_once_months`: the last so many of them can be searched at once, 0 where nothing is said; a store answers at once for all that it
    keeps. `source` says where the period comes from; `changed_by` names the user's file that set it, "" as shipped.
    """

    months: int
    control: str
    source: str
    at_once_months: int = 0
    changed_by: str = ""


@dataclass(frozen=True, slots=True)
class Framework:
    """A catalogue with its mapping.

    `regulated`: it applies only where a zone of this classification is declared. `boundary`: when a zone of this classification is
    declared, findings wholly outside such zones do not decide. `evidence_only`: why evidence is listed and no verdict given, "" where
    verdicts are. `retention` is None where the framework says nothing of it.
    """

    id: str
    short: str
    title: str
    version: str
    controls: tuple[Control, ...]
    not_assessed: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    regulated: Classification | None = None
    boundary: Classification | None = None
    evidence_only: str = ""
    retention: Retention | None = None
    about: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ControlResult:
    """What the evidence of one snapshot, or of the worst of a period, says of a control.

    `strength` is set only when supported. `findings` are fingerprints that refute it, `related` those that bear on it otherwise.
    """

    control_id: str
    verdict: Verdict
    strength: Strength | None
    reasons: tuple[str, ...]
    findings: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    also_needed: tuple[str, ...] = ()
