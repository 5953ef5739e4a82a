"""A period assessed as the pipeline does, and the long way: every snapshot read, built, analysed and assessed by itself."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from evidence.observe.seen import RECENT
from evidence.pipeline.looks import assessed_snapshots, outlines_of
from evidence.pipeline.observations import Records
from evidence.pipeline.states import Assessed, assess, state_of
from evidence.store import Store


def assess_period(store: Store, cluster: str, period: tuple[datetime, datetime]) -> tuple[Assessed, ...]:
    return tuple(assessed_snapshots(store, outlines_of(store, cluster, period), period))


def assessed_one_by_one(store: Store, cluster: str, period: tuple[datetime, datetime]) -> Iterator[Assessed]:
    infos = store.snapshots(cluster, *period)
    recent = max(RECENT, infos[0].taken_at - period[0])
    for info in infos:
        records = Records(store, cluster)
        around = records.around if info is infos[-1] else partial(records.around, look_back=recent)
        yield assess(state_of(store.read(info.id)), info.taken_at, None, around, records.probed)
