"""Options that several commands share, and the value types that click lacks: a time, a period, an interval, a snapshot."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_DATABASE = "evidence.db"
NEWEST = "newest"


def now() -> datetime:
    """The one clock of the command line (UTC)."""
    return datetime.now(UTC)


class Time(click.ParamType[datetime]):
    """A time in ISO 8601; without a zone it is UTC, a date alone is its midnight."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2026-08-01 or 2026-08-01T12:00Z", param, ctx)


class EndTime(Time):
    """A time at which something ends, exclusive: a date alone counts whole, so it is the midnight after it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return datetime.combine(date.fromisoformat(str(value)) + timedelta(days=1), time(), UTC)
        except ValueError:
            return super().convert(value, param, ctx)
        except OverflowError:
            self.fail(f"{value!r} ends beyond the calendar", param, ctx)


class Snapshot(click.ParamType[int | datetime | None]):
    """A snapshot of the store: its number, or a time (the newest snapshot at that time), or `newest`, which gives None."""

    name = "snapshot"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | datetime | None:
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # click converts twice, and has done it already
        asked = value.removeprefix("@")
        if asked == NEWEST:
            return None
        if asked.isdecimal():
            return int(asked)
        try:
            return Time().convert(asked, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message}, {NEWEST} or a snapshot's number such as 12", param, ctx)


class Period(click.ParamType[tuple[datetime, datetime]]):
    """`A..B`, two dates (both days included) or two times; gives (start, end) in UTC, the end exclusive."""

    name = "period"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[datetime, datetime]:
        if isinstance(value, tuple):
            return value
        first, separator, last = str(value).partition("..")
        if not separator:
            self.fail(f"{value!r} is not a period such as 2026-07-01..2026-09-30", param, ctx)
        start = Time().convert(first, param, ctx)
        end = EndTime().convert(last, param, ctx)
        if end <= start:
            self.fail(f"{value!r} ends before it starts", param, ctx)
        return start, end


class Interval(click.ParamType[timedelta]):
    """A duration such as 30s, 15m, 1h or 7d."""

    name = "interval"
    units: ClassVar = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        number, unit = str(value)[:-1], str(value)[-1:]
        if unit not in self.units or not number.isdecimal() or int(number) == 0:
            self.fail(f"{value!r} is not an interval such as 30s, 15m, 1h or 7d", param, ctx)
        try:
            return timedelta(**{self.units[unit]: int(number)})
        except OverflowError:
            self.fail(f"{value!r} is longer than any calendar", param, ctx)


def key_folder() -> Path:
    """Where this user's own keys and trusted certificates lie (`evidence/keys` in the configuration folder)."""
    return Path(click.get_app_dir("evidence")) / "keys"


def state_folder() -> Path:
    """Where this user's programs keep what has to outlive them (XDG Base Directory Specification, XDG_STATE_HOME).

    A user that a container made up has no home: then it is the working folder.
    """
    given = os.environ.get("XDG_STATE_HOME")
    try:
        return Path(given or "~/.local/state").expanduser() / "evidence"
    except RuntimeError:
        return Path("evidence-state")


def spool_option(command: F) -> F:
    """`--spool FOLDER`; None for the store's own."""
    return click.option(
        "--spool",
        "spool_folder",
        metavar="FOLDER",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="EVIDENCE_SPOOL",
        help="Where snapshots wait that the store does not take now; default beside an SQLite file, or in your state folder (EVIDENCE_SPOOL).",
    )(command)


def options_of(command: click.Command, *names: str) -> Callable[[F], F]:
    """Options of another command, declared there and meant here too."""

    def decorate(function: F) -> F:
        for param in reversed([param for param in command.params if param.name in names]):
            function.__dict__.setdefault("__click_params__", []).append(param)
        return function

    return decorate


MOST_PROCESSES = 4  # unless more are asked for: of a cluster of ten thousand pods each takes half a gigabyte


def processes_option(command: F) -> F:
    """`--processes N`, of which each evaluates snapshots."""
    return click.option(
        "--processes",
        type=click.IntRange(min=1),
        default=lambda: min(os.cpu_count() or 1, MOST_PROCESSES),
        show_default=f"one for each core, up to {MOST_PROCESSES}",
        help="How many processes evaluate at most, where it is much.",
    )(command)


def database_option(command: F) -> F:
    """`--db URL`; a bare file name is a SQLite file."""
    return click.option(
        "--db",
        metavar="URL",
        envvar="EVIDENCE_DATABASE_URL",
        default=DEFAULT_DATABASE,
        show_default=True,
        help="Store: an SQLite file, or a database URL (EVIDENCE_DATABASE_URL).",
    )(command)


def source_options(command: F) -> F:
    """Where a command that reads a cluster gets it: `--from PATH…`, or the store with `--cluster` and `--at`."""
    for option in (
        click.option("--keep-going", is_flag=True, help="Leave out objects that are wrong, name them, and go on."),
        click.option(
            "--at",
            type=Time(),
            help="Time of the snapshot in the store, default the newest. With --from: as of when `evidence assess` judges, default now.",
        ),
        click.option("--cluster", help="Cluster in the store; needed when there are several."),
        database_option,
        click.option(
            "--from",
            "from_paths",
            multiple=True,
            metavar="PATH",
            help="Read manifests or dumps (file, folder, or - for standard input) instead of the store.",
        ),
    ):
        command = option(command)
    return command
