"""The process of a command that reads a large cluster, answers once and ends.

1. Python looks for garbage again and again while values are made; here they are all needed until the end (half of the time).
2. At the end every value would be taken apart one by one (a tenth of the time); the process ends without that. Type checkers and version
   control systems written in Python do the same.
3. numpy's library for linear algebra starts a thread for each core when it is loaded, and nothing here multiplies matrices.
"""

import gc
import os
import sys
from typing import NoReturn, TypeVar

T = TypeVar("T")

_KEPT: list[object] = []


def expect_one_answer() -> None:
    """Say, before anything is read, that this process lives for one answer."""
    gc.disable()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def keep(value: T) -> T:
    """Hold a value until the process ends."""
    _KEPT.append(value)
    return value


def end(code: int) -> NoReturn:
    """End the process: at once when something large is kept, in good order otherwise."""
    if _KEPT:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
