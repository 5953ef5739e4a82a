"""Snapshots of one cluster assessed one after the other; what did not change is neither read nor evaluated again.

1. A snapshot with the same objects, the same things left out and the same intent file as one before is not read: the hash over its objects,
   which its root digest covers, says so.
2. The rules on findings ask for nothing but these, but for those that ask for the time or for records (`Rule.moves`).
3. Of the time these ask for the day (UTC), for which the dates in an intent file count, and for how far records look back. So with no record
   of its time a snapshot has the findings of the one before, of the same day and content.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from evidence.canonical import object_digest
from evidence.cluster.known import Known
from evidence.errors import StoreError, UsageError
from evidence.observe.seen import LOOK_BACK, RECENT
from evidence.pipeline.observations import Records
from evidence.pipeline.retention import gone_in
from evidence.pipeline.states import Assessed, assess, state_of

if TYPE_CHECKING:
    from datetime import date

    from evidence.findings.registry import Assessment
    from evidence.store import SnapshotInfo, SnapshotOutline, Store

Period = tuple[datetime, datetime]  # its start, and its end, which is exclusive

KEPT = 2  # analysed states: a change that is taken back is the commonest that comes again


@dataclass(frozen=True, slots=True)
class _Told:
    """Findings of a state on a day of which no record tells."""

    still: Assessed
    day: "date"
    assessment: "Assessment"


def outlines_of(store: "Store", cluster: str, period: Period) -> "tuple[SnapshotOutline, ...]":
    """All snapshots of a period that are still there, oldest first. Raises UsageError when there is none, and StoreError when there were some and a
    prune dropped them all: that is not the same."""
    gone = gone_in(store, cluster, period)
    found = tuple(one for one in store.outlines(cluster, *period) if not gone or one.info.id not in gone.numbers)
    if not found and gone:
        raise StoreError(
            f"nothing can be said of this period of {cluster} any more (not determined): {gone}; packs that were made before tell of it"
        )
    if not found:
        start, end = period
        raise UsageError(
            f"there is no snapshot of {cluster} between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC; "
            "collect first, or ask for another time"
        )
    return found


def assessed_snapshots(store: "Store", outlines: "Sequence[SnapshotOutline]", period: Period) -> Iterator[Assessed]:
    """Every snapshot of a period (`outlines_of`), each assessed as of its own time and beside the records around it.

    Neighbours that are alike share what they have alike: while nothing moved, the very same `assessment`.
    """
    from evidence.store import collection_of

    first, newest = outlines[0].info, outlines[-1]
    looks = Looks(store, first.cluster, places=True)
    recent = max(RECENT, first.taken_at - period[0])  # what the first one does not look back at belongs to no other
    for outline in outlines:
        found = looks.at(outline, LOOK_BACK if outline is newest else recent)
        collection = collection_of(outline, found.state.collection.objects)
        yield replace(found, state=replace(found.state, collection=collection))


def state_key(outline: "SnapshotOutline") -> tuple[object, ...]:
    """The same for snapshots of which the same cluster and intent are built; where their objects were read does not count."""
    return outline.content, outline.info.intent_digest, outline.kinds, outline.problems


def state_digest(outline: "SnapshotOutline") -> str:
    """Hex digest over `state_key`."""
    content, intent, kinds, problems = outline.content, outline.info.intent_digest, outline.kinds, outline.problems
    return object_digest([content, intent, [list(kind) for kind in kinds], [list(each) for each in problems]])


class Looks:
    """One cluster's snapshots. `places`: where an object was read counts, too; a report names it, a timeline does not."""

    def __init__(self, store: "Store", cluster: str, *, places: bool) -> None:
        from evidence.findings.registry import RULES

        self._known = Known()
        self._store = store
        self._places = places
        self._records = Records(store, cluster)
        self._seen_anything = self._records.any
        self._moving = [rule for rule in RULES.values() if rule.moves]
        self._still = [rule for rule in RULES.values() if not rule.moves]
        self._kept: OrderedDict[object, Assessed] = OrderedDict()  # by still rules alone
        self._told: _Told | None = None

    def at(self, outline: "SnapshotOutline", look_back: timedelta) -> Assessed:
        """A snapshot as of its own time. What is like the one before is shared with it, of its state everything but `info`."""
        still, day = self._analysed(outline), outline.info.taken_at.date()
        state = replace(still.state, info=outline.info)
        told = self._told if self._told and self._told.still is still and self._told.day == day else None
        if told and not self._seen_anything:
            return replace(still, state=state, assessment=told.assessment)
        moved = self._moved(still, outline.info, look_back)
        unseen = moved.observed is None and moved.probed is None
        if told and unseen:
            return replace(still, state=state, assessment=told.assessment)
        whole = replace(moved, assessment=_together(still.assessment, moved.assessment))
        self._told = _Told(still, day, whole.assessment) if unseen else None
        return whole

    def _key(self, outline: "SnapshotOutline") -> object:
        return state_key(outline), outline.sources_digest if self._places else ""

    def _analysed(self, outline: "SnapshotOutline") -> Assessed:
        key = self._key(outline)
        if key not in self._kept:
            before = next(reversed(self._kept.values()), None)
            like = before.state if before else None
            snapshot = self._store.read(outline.info.id, like.collection.objects if like else ())
            state = state_of(snapshot, like, self._known)
            self._kept[key] = assess(state, outline.info.taken_at, before, rules=self._still)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _moved(self, still: Assessed, info: "SnapshotInfo", look_back: timedelta) -> Assessed:
        """What time and records say of a state at one of its snapshots."""
        state = replace(still.state, info=info)
        if not self._seen_anything:
            return assess(state, info.taken_at, still, rules=self._moving)
        records = self._records
        return assess(
            state,
            info.taken_at,
            still,
            lambda state, reach: records.around(state, reach, look_back),
            records.probed,
            rules=self._moving,
        )


def _together(still: "Assessment", moving: "Assessment") -> "Assessment":
    from evidence.findings.registry import Assessment

    runs = sorted((*still.runs, *moving.runs), key=lambda run: run.rule_id)
    findings = sorted((*still.findings, *moving.findings), key=lambda finding: finding.place)
    return Assessment(tuple(findings), tuple(runs))
