"""What every request asks: the store by its URL, the archive, and the analyses that are made and kept.

The store is opened for each use and closed again, so that a database that was away, restored or migrated needs no restart.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from evidence.archive.entries import read_archive
from evidence.errors import EvidenceError, NotThereError, StoreError
from evidence.frameworks.load import Framework
from evidence.pipeline import Timeline, period_timeline, verify_pack
from evidence.pipeline.browse.clusters import ClusterOutcome, no_outcome, outcome_of
from evidence.pipeline.browse.packs import Checked, checked, pack_folder
from evidence.pipeline.browse.snapshots import header_of, pruned_at
from evidence.pipeline.observations import assess_stored
from evidence.pipeline.states import Assessed, state_of
from evidence.service.web.desk import Desk
from evidence.store import SnapshotInfo, Store

STORE_WAIT_SECONDS = 5.0
LIGHT = 200  # weight of a result that is no analysed snapshot
ALL_TIME = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
T = TypeVar("T")

_PATIENT_SECONDS = 3600.0  # of the watch, which nobody waits for


class Unavailable(Exception):  # noqa: N818  (an answer)
    """The store cannot be reached or is of another version; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is served. `trusted`: certificates and fingerprints as for `evidence verify`; `expect_every`: how often a snapshot is due."""

    db: str
    archive: Path | None
    expect_every: timedelta
    frameworks: Sequence[Framework]
    trusted: Sequence[str]
    key_folder: Path
    controls_folders: Sequence[Path]
    clock: Callable[[], datetime]


@dataclass(slots=True)
class Site:
    """One server's state: the plan, the desk, and what the watch found out. `outcomes` by cluster, `checks` of packs by folder."""

    plan: Plan
    desk: Desk = field(default_factory=Desk)
    outcomes: Mapping[str, ClusterOutcome] = field(default_factory=dict)
    checks: Mapping[str, Checked] = field(default_factory=dict)
    _looked: dict[str, Hashable] = field(default_factory=dict)  # the keys under which the outcomes were made
    _checked: dict[str, Hashable] = field(default_factory=dict)  # and those of the checks

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Raises Unavailable when the store cannot be opened."""
        try:
            opened = Store.open(self.plan.db, read_only=True, wait_seconds=STORE_WAIT_SECONDS)
        except StoreError as error:
            raise Unavailable(str(error)) from error
        with opened:
            yield opened

    def now(self) -> datetime:
        return self.plan.clock()

    # -- analyses

    def assessed(self, snapshot: int, wait_seconds: float | None = None) -> Assessed:
        """A snapshot as of its own time, with what records say around it. Raises NotThereError, StoreError, Busy."""
        with self.store() as store:
            info = header_of(store, snapshot).info
            if gone := pruned_at(store, info):
                raise NotThereError(
                    f"snapshot {snapshot} was pruned on {gone:%Y-%m-%d %H:%M} UTC: its objects are not kept any longer, its custody and digests are"
                )
            key = _key(store, info)
        return self.desk.get(key, info.object_count + LIGHT, lambda: self._assess(info), wait_seconds)

    def _assess(self, info: SnapshotInfo) -> Assessed:
        with self.store() as store:
            state = state_of(store.read(info.id))
        return assess_stored(state, info.taken_at, self.plan.db)

    def about(self, snapshot: int, asked: Hashable, view: Callable[[Assessed], T]) -> T:
        """A view of an analysed snapshot, made at the desk too: it may take long. `asked` tells apart what is asked of it."""
        found = self.assessed(snapshot)
        info = found.state.info
        assert info is not None  # noqa: S101  (it is of the store)
        return self.desk.get(("view", info.root_digest, asked), LIGHT, lambda: view(found))

    def timeline(self, cluster: str, period: tuple[datetime, datetime] | None, frameworks: tuple[str, ...]) -> Timeline:
        """A period of the history, None for all of it, with the controls of some frameworks. Raises UsageError when there is no snapshot, Busy."""
        minute = self.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
        with self.store() as store:
            (newest,) = store.newest(cluster, 1)
            state = _key(store, newest)
        key = ("timeline", cluster, period, frameworks, state, minute)
        return self.desk.get(
            key,
            LIGHT,
            lambda: period_timeline(
                self.plan.db,
                cluster=cluster,
                period=period,
                expect_every=self.plan.expect_every,
                now=minute,
                frameworks=frameworks,
                controls_folders=self.plan.controls_folders,
            ),
        )

    def check_pack(self, folder: str, wait_seconds: float | None = None) -> Checked:
        """Check a pack as `evidence verify` does, once for each day and state of its folder. Raises NotThereError, SealError, Busy."""
        where, now = pack_folder(self.plan.archive, folder), self.now()
        return self.desk.get(
            self._pack_key(folder),
            LIGHT,
            lambda: checked(verify_pack(where, self.plan.trusted, self.plan.key_folder, now), now),
            wait_seconds,
        )

    def _pack_key(self, folder: str) -> Hashable:
        """Another one when a file of the pack came, went or was written to, and on another day: certificates expire."""
        where = pack_folder(self.plan.archive, folder)
        state = tuple(sorted((str(path), path.lstat().st_mtime_ns) for path in where.rglob("*")))
        return "pack", folder, hash(state), self.now().date()

    # -- the watch

    def look(self, wait_seconds: float = _PATIENT_SECONDS) -> None:
        """Analyse each cluster's newest snapshot and check each pack that is new since the last look; a thread of its own calls this."""
        with self.store() as store:
            newest = [store.newest(name, 1)[0] for name in store.clusters()]
            keys = {info.cluster: _key(store, info) for info in newest}
        self._forget_others(keys)
        for info in newest:
            key = keys[info.cluster]
            if self._looked.get(info.cluster) == key:
                continue
            try:
                outcome = outcome_of(self.assessed(info.id, wait_seconds), self.plan.frameworks)
            except EvidenceError as error:
                outcome = no_outcome(info.id, str(error))
            self.outcomes = {**self.outcomes, info.cluster: outcome}  # shown as soon as it is there
            self._looked[info.cluster] = key
        self._check_packs(wait_seconds)

    def _forget_others(self, clusters: Collection[str]) -> None:
        self.outcomes = {name: outcome for name, outcome in self.outcomes.items() if name in clusters}
        self._looked = {name: key for name, key in self._looked.items() if name in clusters}

    def _check_packs(self, wait_seconds: float) -> None:
        folders = [entry.folder for entry in read_archive(self.plan.archive).entries] if self.plan.archive else []
        self.checks = {folder: found for folder, found in self.checks.items() if folder in folders}
        for folder in folders:
            try:
                key = self._pack_key(folder)
                if self._checked.get(folder) != key:
                    self.checks = {**self.checks, folder: self.check_pack(folder, wait_seconds)}
                    self._checked[folder] = key
            except (EvidenceError, OSError):  # its own page says why
                self.checks = {name: found for name, found in self.checks.items() if name != folder}


def _key(store: Store, info: SnapshotInfo) -> Hashable:
    """The same as long as the analysis of a snapshot says the same: later records of its time change it."""
    return "assessed", info.root_digest, len(store.records(info.cluster, *ALL_TIME))
