"""How fast requests may be sent: a token bucket that all requests of a connection share.

A server that is busy (429 with Retry-After, as API priority and fairness answers) holds all of them back, not only the one that it refused.
"""

import threading
import time
from collections.abc import Callable


class Pace:
    """At most `burst` requests at once, and `per_second` in the long run. May be shared by threads."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / per_second
        self._credit = (burst - 1) * self._interval
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._due = clock() - self._credit

    def wait(self) -> None:
        """Return when the next request may be sent."""
        with self._lock:
            now = self._clock()
            due = max(self._due, now - self._credit)
            self._due = due + self._interval
        if due > now:
            self._sleep(due - now)

    def hold(self, seconds: float) -> None:
        """Let nobody send for so long; what is saved up for a burst is gone."""
        with self._lock:
            self._due = max(self._due, self._clock() + seconds)
