"""How far a long command is: a bar on a terminal, a plain line now and then in a log. On standard error, so that what is written can be piped."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

LINE_EVERY = 10.0  # seconds between two lines of a log
MANY = 200  # steps; fewer are over before anybody looks

Advance = Callable[[int, int, str], None]  # done, total, what else there is to say


@contextmanager
def progress(label: str, noun: str) -> Iterator[Advance]:
    """Gives a function to call at each step. A log gets the first and the last step, and between them one line in LINE_EVERY seconds."""
    if sys.stderr.isatty():
        with _bar(label) as advance:
            yield advance
        return
    last: float | None = None

    def write(done: int, total: int, note: str) -> None:
        nonlocal last
        moment = time.monotonic()
        if last is None or done >= total or moment - last >= LINE_EVERY:
            last = moment
            share = f" ({done * 100 // total} %)" if total else ""
            click.echo(f"{label}: {done} of {total} {noun}{share}{f', {note}' if note else ''}", err=True)

    yield write


@contextmanager
def progress_of_many(label: str, noun: str) -> Iterator[Callable[[int, int], None]]:
    """The same for a command that is mostly quick: nothing is shown for fewer than MANY steps."""
    with ExitStack() as stack:
        advance: Advance | None = None

        def show(done: int, total: int) -> None:
            nonlocal advance
            if total >= MANY:
                advance = advance or stack.enter_context(progress(label, noun))
                advance(done, total, "")

        yield show


@contextmanager
def _bar(label: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None, note="")

        def show(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield show
