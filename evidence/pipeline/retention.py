"""Retention by framework: until when a store's content has to be kept, and dropping what is older.

1. Each framework says how many calendar months it wants evidence kept; of several the longest counts. One that says nothing asks for nothing.
2. A snapshot asks for records of some time before its own (evidence/observe, evidence/probe), so records stay that much longer.
3. An earlier time may be given than the policy's, never a later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.errors import UsageError
from evidence.pipeline.sources import run_info

if TYPE_CHECKING:
    from evidence.frameworks.model import Framework
    from evidence.store import Hold, NewHold, Prune, PrunePlan, Store, Term


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept: everything from `before` on. `terms`: what each framework asks for, the longest first; `silent`: those that ask for nothing."""

    before: datetime
    terms: "tuple[Term, ...]"
    silent: tuple[str, ...]


def retention_policy(
    frameworks: Sequence[str], controls_folders: Sequence[Path], now: datetime, before: datetime | None
) -> Policy:
    """What the named frameworks ask for ("all" for every one). Raises UsageError when none asks for anything, or `before` is too late."""
    from evidence.frameworks.load import load_frameworks
    from evidence.pipeline.reports import chosen_frameworks
    from evidence.store.retention import months_before

    chosen = chosen_frameworks(load_frameworks(controls_folders), frameworks)
    terms = sorted((_term(one) for one in chosen if one.retention), key=lambda term: (-term.months, term.framework))
    silent = tuple(one.short for one in chosen if one.retention is None)
    if not terms:
        raise UsageError(
            f"{', '.join(silent)} does not say how long evidence is kept: say it under `retention` in a file of --controls"
        )
    kept_from = months_before(now, terms[0].months)
    if before is not None and before > kept_from:
        raise UsageError(
            f"--before {before:%Y-%m-%d %H:%M} UTC is later than retention allows: {terms[0].framework} keeps {terms[0].months} months, "
            f"which is since {kept_from:%Y-%m-%d %H:%M} UTC; leave out --before, or name with --framework those that you report"
        )
    return Policy(kept_from if before is None else before, tuple(terms), silent)


def _term(framework: "Framework") -> "Term":
    from evidence.store import Term

    assert framework.retention is not None  # noqa: S101  (only such are asked)
    by = f" ({framework.retention.changed_by})" if framework.retention.changed_by else ""
    return Term(framework.short, framework.retention.months, f"{framework.retention.source}{by}")


def plan_prune(db: str, policy: Policy) -> "PrunePlan":
    """What a prune by this policy would drop now."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        return store.retention.plan(policy.before, _look_back())


def prune(db: str, policy: Policy, now: datetime) -> "Prune | None":
    """Drop it; None when there was nothing to drop."""
    from evidence.store import Store

    with Store.open(db) as store:
        run = run_info("db prune", store.url)
        return store.retention.prune(policy.before, _look_back(), policy.terms, now, run)


@dataclass(frozen=True, slots=True)
class Gone:
    """Snapshots of a period whose content a prune dropped: their numbers, when they were taken, and when the last of these prunes was."""

    numbers: frozenset[int]
    first_taken_at: datetime
    last_taken_at: datetime
    pruned_at: datetime

    def __str__(self) -> str:
        number = len(self.numbers)
        first, last, pruned = (
            f"{at:%Y-%m-%d %H:%M} UTC" for at in (self.first_taken_at, self.last_taken_at, self.pruned_at)
        )
        if number == 1:
            return f"1 snapshot, taken {first}, is no longer available: it was pruned on {pruned}, and its digest kept"
        return f"{number} snapshots, taken {first} to {last}, are no longer available: they were pruned on {pruned}, and their digests kept"


def gone_in(store: "Store", cluster: str, period: tuple[datetime, datetime]) -> Gone | None:
    """Those snapshots taken in a period, its end exclusive, whose content a prune dropped; None when it dropped none."""
    found = store.retention.pruned(cluster, *period)
    if not found:
        return None
    return Gone(
        frozenset(one.id for one in found), found[0].taken_at, found[-1].taken_at, max(one.pruned_at for one in found)
    )


def _look_back() -> timedelta:
    from evidence.observe.seen import LOOK_BACK as LOGGED_BEFORE
    from evidence.probe.standing import LOOK_BACK as PROBED_BEFORE

    return max(LOGGED_BEFORE, PROBED_BEFORE)


def add_hold(db: str, new: "NewHold", now: datetime) -> "Hold":
    """Set a legal hold."""
    from evidence.store import Store

    with Store.open(db) as store:
        return store.retention.add_hold(new, now, run_info("db hold add", store.url))


def release_hold(db: str, number: int, reason: str, now: datetime) -> "Hold":
    """End a legal hold."""
    from evidence.store import Store

    with Store.open(db) as store:
        return store.retention.release_hold(number, reason, now, run_info("db hold release", store.url))
