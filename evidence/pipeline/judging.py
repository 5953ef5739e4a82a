"""Control results of one cluster's snapshots, one after the other, and what they rest on beside the findings."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evidence.cluster.objects import Collection, SourceInfo
from evidence.cluster.rbac import GROUP as RBAC
from evidence.cluster.rbac import KINDS as RBAC_KINDS
from evidence.pipeline.observations import agreements
from evidence.pipeline.snapshots import shortfalls
from evidence.pipeline.states import Assessed

if TYPE_CHECKING:
    from evidence.frameworks.facts import Agreement
    from evidence.frameworks.model import ControlResult, Framework


@dataclass(frozen=True, slots=True)
class _Judged:
    assessed: Assessed
    partial: tuple[str, ...]
    agreements: "tuple[Agreement, ...]"
    results: "tuple[ControlResult, ...]"


class Judging:
    """Results by one framework. What is judged from the very same as the snapshot before is not judged again, and is the same value."""

    def __init__(self, framework: "Framework", baseline: str | None, newest: SourceInfo) -> None:
        """`newest`: where the period's newest snapshot came from. One of another cluster than that supports nothing."""
        self.framework = framework
        self.baseline = baseline
        self._newest = newest
        self._last: _Judged | None = None

    def results(self, assessed: Assessed) -> "tuple[ControlResult, ...]":
        """A result for every control. Raises UsageError for a baseline that the framework does not have."""
        from evidence.frameworks.facts import ground_of
        from evidence.frameworks.judge import Facts, judge
        from evidence.pipeline.unseen import unseen_kinds

        collection = assessed.state.collection
        partial = (*shortfalls(without_rbac(collection)), *other_cluster(collection.source, self._newest))
        agreed = agreements(assessed)
        last = self._last
        if last and (last.partial, last.agreements) == (partial, agreed) and _alike(last.assessed, assessed):
            return last.results
        facts = Facts(
            intent=assessed.state.intent,
            ground=ground_of(assessed.state.intent, assessed.cni, assessed.zones),
            partial=partial,
            unevaluated=tuple(str(policy.key) for policy in assessed.reach.unevaluated),
            unseen=unseen_kinds(collection),
            baseline=self.baseline,
            agreements=agreed,
        )
        self._last = _Judged(assessed, partial, agreed, judge(self.framework, assessed.assessment, facts))
        return self._last.results


def _alike(one: Assessed, other: Assessed) -> bool:
    """The same findings of the same analysis; the cluster's state is the same, then, and so are the kinds that are not in the source."""
    return (
        one.assessment is other.assessment
        and one.reach is other.reach
        and one.cni is other.cni
        and one.zones is other.zones
        and one.state.intent is other.state.intent
    )


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
