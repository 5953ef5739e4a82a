"""Control results of one cluster's snapshots, one after the other, and what they rest on beside the findings."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evidence.cluster.objects import Collection, SourceInfo
from evidence.cluster.rbac import GROUP as RBAC
from evidence.cluster.rbac import KINDS as RBAC_KINDS
from evidence.pipeline.answers import Answer, alike, answer_of
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed

if TYPE_CHECKING:
    from evidence.frameworks.judge import Judgement
    from evidence.frameworks.model import ControlResult, Framework
    from evidence.intent.model import Intent


@dataclass(frozen=True, slots=True)
class _Judged:
    answer: Answer
    intent: "Intent | None"
    partial: tuple[str, ...]
    judgement: "Judgement"


class Judging:
    """Results by one framework. What is judged from the very same as the snapshot before is not judged again, and is the same value."""

    def __init__(self, framework: "Framework", baseline: str | None, newest: SourceInfo) -> None:
        """`newest`: where the period's newest snapshot came from. One of another cluster than that supports nothing."""
        self.framework = framework
        self.baseline = baseline
        self._newest = newest
        self._answered: tuple[Assessed, Answer] | None = None
        self._last: _Judged | None = None

    def results(self, assessed: Assessed) -> "tuple[ControlResult, ...]":
        """A result for every control. Raises UsageError for a baseline that the framework does not have."""
        last = self._answered
        answer = last[1] if last and alike(last[0], assessed) else answer_of(assessed)
        self._answered = assessed, answer
        return self.judged(answer, assessed.state.intent, assessed.state.collection)

    def judged(self, answer: Answer, intent: "Intent | None", collection: Collection) -> "tuple[ControlResult, ...]":
        """Like `results`. Of the collection only what says how it was read."""
        from evidence.frameworks.judge import Facts, judge_after

        partial = (*shortfalls(without_rbac(collection)), *other_cluster(collection.source, self._newest))
        last = self._last
        if last and last.answer is answer and last.intent is intent and last.partial == partial:
            return last.judgement.results
        facts = Facts(
            intent=intent,
            ground=answer.ground,
            partial=partial,
            unevaluated=answer.unevaluated,
            unseen=answer.unseen,
            baseline=self.baseline,
            agreements=answer.agreements,
        )
        judgement = judge_after(last.judgement if last else None, self.framework, answer.assessment, facts)
        self._last = _Judged(answer, intent, partial, judgement)
        return judgement.results


def without_rbac(collection: Collection) -> Collection:
    """Without what was not read of roles and bindings: no flow hangs on it, and the check that looks at them says for itself that it could not."""
    return replace(
        collection,
        kinds=tuple(kind for kind in collection.kinds if kind.group != RBAC),
        problems=tuple(problem for problem in collection.problems if problem.kind not in RBAC_KINDS),
    )


def other_cluster(source: SourceInfo, newest: SourceInfo) -> tuple[str, ...]:
    """A sentence when two sources say that they are of different clusters: one name may have been given to both."""
    uid, expected = source.cluster_uid, newest.cluster_uid
    if not uid or not expected or uid == expected:
        return ()
    return (
        f"it is of another cluster than the newest snapshot: the UID of namespace kube-system is {uid}, not {expected}",
    )
