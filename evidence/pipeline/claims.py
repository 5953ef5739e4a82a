"""What a dump itself says against the time that is claimed for it.

An object that was made or changed later than a dump was taken cannot be in it, so the claim is wrong, and with it every statement about the
period. The times are the cluster's own (creationTimestamp, the time of each entry of managedFields that is kept); clocks may differ by ALLOWED.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from evidence.cluster.objects import CollectedObject
from evidence.errors import InputError

ALLOWED = timedelta(minutes=5)


def refuse_backdating(objects: Iterable[CollectedObject], taken_at: datetime) -> None:
    """Raises InputError that names the object with the latest time after `taken_at`."""
    later = [(moment, what, obj) for obj in objects for moment, what in _times(obj) if moment > taken_at + ALLOWED]
    if later:
        moment, what, obj = max(later, key=lambda found: (found[0], str(found[2].key)))
        raise InputError(
            f"{obj.source}: {obj.key} was {what} at {_text(moment)}, after the claimed time {_text(taken_at)}: the dump was not taken "
            f"then; give the time at which it was with --taken-at"
        )


def _times(obj: CollectedObject) -> Iterator[tuple[datetime, str]]:
    metadata = obj.body.get("metadata")
    if not isinstance(metadata, Mapping):
        return
    if (created := _moment(metadata.get("creationTimestamp"))) is not None:
        yield created, "created"
    managers = metadata.get("managedFields")
    for entry in managers if isinstance(managers, list) else ():
        if isinstance(entry, Mapping) and (changed := _moment(entry.get("time"))) is not None:
            yield changed, "changed"


def _moment(value: object) -> datetime | None:
    """None for what is no time: nothing can be said from it."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
