"""Pausing Python's search for reference cycles while many values are built.

Raw objects and the model have no cycles; looking for them again and again doubles the time of reading a large cluster.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_cycle_search() -> Iterator[None]:
    """Pause the search; it goes on afterwards only if it was on before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
