"""What questions over time ask of a snapshot: a small value that can be kept, or come from another process, without the analysed cluster.

1. Findings stand in it without what they rest on (`evidence`, `details`): that is asked of the snapshot itself.
2. What is the same as in the answer before is the same value, down to the single finding: most snapshots that differ have the findings of the
   one before, and whoever goes from answer to answer sees that by identity.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evidence.findings.registry import Assessment
from evidence.frameworks.facts import Agreement, Ground, ground_of
from evidence.pipeline.observations import agreements
from evidence.pipeline.states import policy_objects
from evidence.pipeline.unseen import unseen_kinds

if TYPE_CHECKING:
    from evidence.pipeline.states import Assessed


@dataclass(frozen=True, slots=True)
class Policies:
    """How many policy objects there are, and of which kinds (group and kind), evaluated or not."""

    count: int
    kinds: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is asked of one snapshot beside its header. `unevaluated`, `unseen` and `agreements` as in `Facts`."""

    assessment: Assessment
    ground: Ground
    unevaluated: tuple[str, ...]
    unseen: tuple[str, ...]
    policies: Policies
    agreements: tuple[Agreement, ...] = ()


def answer_of(assessed: "Assessed") -> Answer:
    """With the findings whole."""
    state = assessed.state
    objects = policy_objects(state)
    return Answer(
        assessment=assessed.assessment,
        ground=ground_of(state.intent, assessed.cni, assessed.zones),
        unevaluated=tuple(str(policy.key) for policy in assessed.reach.unevaluated),
        unseen=unseen_kinds(state.collection),
        policies=Policies(len(objects), frozenset((obj.key.group, obj.key.kind) for obj in objects)),
        agreements=agreements(assessed),
    )


def alike(one: "Assessed", other: "Assessed") -> bool:
    """True when both have the same answer for the same findings of the same analysis; the cluster's state is the same, then, and so are the
    kinds that are not in the source."""
    return (
        one.assessment is other.assessment
        and one.reach is other.reach
        and one.cni is other.cni
        and one.zones is other.zones
        and one.state.intent is other.state.intent
        and agreements(one) == agreements(other)
    )


def without_evidence(answer: Answer, before: Answer | None) -> Answer:
    """Its findings without what they rest on; what is equal in `before` is taken from there."""
    old = before.assessment.findings if before else ()
    known = {finding: finding for finding in old}
    made = (replace(finding, evidence=(), details=()) for finding in answer.assessment.findings)
    bare = tuple(known.get(finding, finding) for finding in made)
    if bare == old:
        bare = old
    found = replace(answer, assessment=Assessment(bare, answer.assessment.runs))
    return before if before and found == before else found
