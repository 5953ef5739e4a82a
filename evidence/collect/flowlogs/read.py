"""Flow logs as streams of bytes: files, folders' worth of files, standard input; gzip is recognised by its first bytes.

A log is read once, line by line, in bounded memory. Each file is kept by name, size and SHA-256 of its bytes as they lie there, so that the log
can be laid beside the record later. A line that cannot be read is counted and, of the first few, named; without `keep_going` it is an error.
"""

import gzip
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from evidence.errors import CollectError, InputError

T = TypeVar("T")

LONGEST_LINE = 1 << 20
NAMED_BAD_LINES = 10
_GZIP = b"\x1f\x8b"
_AT_ONCE = 1 << 18


@dataclass(slots=True)
class LogFile:
    """One file as it was read. `lines` counts those that are not empty; `bad` those that could not be read, `named` the first few of them."""

    name: str
    size: int = 0
    sha256: str = ""
    lines: int = 0
    bad: int = 0
    named: list[str] = field(default_factory=list)


class _Counted(io.RawIOBase):
    """Bytes on their way, counted and hashed."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self.size = 0
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        self.hash.update(data)
        return len(data)


def read_logs(
    paths: Sequence[str],
    read: Callable[[bytes], T],
    *,
    stdin: BinaryIO,
    keep_going: bool,
    files: list[LogFile],
) -> Iterator[T]:
    """What each line says. `files` gets one entry a file, filled in while it is read. "-" among `paths` is `stdin`.

    Raises CollectError for a file that cannot be read; InputError for lines that cannot, unless `keep_going`, and for a log without any line.
    """
    for path in paths:
        found = LogFile("standard input" if path == "-" else path)
        files.append(found)
        try:
            if path == "-":
                yield from _lines(stdin, found, read, keep_going=keep_going)
            else:
                with Path(path).open("rb") as raw:
                    yield from _lines(raw, found, read, keep_going=keep_going)
        except (OSError, EOFError, gzip.BadGzipFile) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CollectError(f"{found.name}: cannot be read: {why}; nothing was stored") from error
        if found.bad and not keep_going:
            raise _unread(found)


def _lines(raw: BinaryIO, found: LogFile, read: Callable[[bytes], T], *, keep_going: bool) -> Iterator[T]:
    counted = _Counted(raw)
    plain = io.BufferedReader(counted, _AT_ONCE)
    stream: BinaryIO = plain
    if plain.peek(2)[:2] == _GZIP:
        stream = io.BufferedReader(gzip.GzipFile(fileobj=plain), _AT_ONCE)
    for number, line in enumerate(_bounded(stream), 1):
        if not line or line.isspace():
            continue
        found.lines += 1
        try:
            if len(line) > LONGEST_LINE:
                raise ValueError(f"is longer than {LONGEST_LINE} bytes")
            yield read(line)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            found.bad += 1
            if len(found.named) < NAMED_BAD_LINES:
                found.named.append(f"{found.name}:{number}: {_why(error)}")
            elif not keep_going:
                raise _unread(found) from error
    found.size, found.sha256 = counted.size, counted.hash.hexdigest()


def _bounded(stream: BinaryIO) -> Iterator[bytes]:
    """Lines; of one that is too long its beginning, one byte more than may be, and the rest is skipped."""
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        yield line


def _why(error: Exception) -> str:
    import orjson

    if isinstance(error, orjson.JSONDecodeError):
        return f"is not JSON: {error.msg}"
    if isinstance(error, ValueError):
        return str(error)
    return f"does not have the fields of this format ({type(error).__name__}: {error})"


def _unread(found: LogFile) -> InputError:
    shown = "\n".join(found.named)
    more = f"\nand {found.bad - len(found.named)} more" if found.bad > len(found.named) else ""
    return InputError(
        f"{shown}{more}\nnothing was stored; give a log of this form, or leave such lines out (counted and named) with --keep-going"
    )


def total(files: Iterable[LogFile]) -> int:
    """Lines over all files."""
    return sum(file.lines for file in files)
