"""All clusters of a store at a glance, with the newest snapshot of each assessed when that is asked for."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from evidence.errors import EvidenceError
from evidence.frameworks.model import Framework
from evidence.pipeline.browse.clusters import ClusterOutcome, Overview, no_outcome, outcome_of, overview
from evidence.pipeline.observations import assess_stored
from evidence.pipeline.states import state_of
from evidence.store import SnapshotInfo, Store


def fleet_overview(
    db: str,
    *,
    now: datetime,
    expect_every: timedelta,
    frameworks: Sequence[Framework] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Overview:
    """Rows alone, or, with frameworks, also what was found in each newest snapshot as of its own time. One that cannot be read says so."""
    outcomes: dict[str, ClusterOutcome] = {}
    with Store.open(db, read_only=True) as store:
        newest = [store.latest(name) for name in store.clusters()] if frameworks is not None else []
        for number, info in enumerate(newest):
            progress(number, len(newest))
            outcomes[info.cluster] = _outcome(store, db, info, frameworks or ())
        if newest:
            progress(len(newest), len(newest))
        return overview(store, now, expect_every, outcomes)


def _outcome(store: Store, db: str, info: SnapshotInfo, frameworks: Sequence[Framework]) -> ClusterOutcome:
    try:
        return outcome_of(assess_stored(state_of(store.read(info.id)), info.taken_at, db), frameworks)
    except EvidenceError as error:
        store.clusters()  # raises when it is no matter of this cluster
        return no_outcome(info.id, str(error))
