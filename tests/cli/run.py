"""The `evidence` command inside this process, with its exit code and what it wrote. Anything but an exit is the test's failure."""

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from evidence.cli.main import FAULT, main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@contextlib.contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = before


def evidence(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run the command line. Fails on what would be a traceback with --debug."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), standard_input(stdin):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int), f"the command ended with {code!r} rather than with a code"
    texts = (stream.buffer.getvalue().decode() for stream in (out, err))
    ran = Ran(code, *texts)
    assert FAULT not in ran.err, ran.err
    return ran
