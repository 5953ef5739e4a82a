"""Where analyses are made, so that no page can exhaust the server.

1. At most WORKERS computations run at once, and at most WAITING more are accepted; beyond these the answer is "busy".
2. A request waits WAIT_SECONDS for its result at most. The computation goes on, and whoever asks again later finds it done.
3. Who asks for what is being computed already waits for the same result.
4. Results are kept, those not asked for longest go first, until they weigh no more than MOST_WEIGHT (an analysed snapshot weighs its objects).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import Any, TypeVar, cast

WORKERS = 2
WAITING = 8
WAIT_SECONDS = 30.0
MOST_WEIGHT = 60_000

T = TypeVar("T")


class Busy(Exception):  # noqa: N818  (no fault: an answer)
    """Not now; `str()` says why, for a person."""


class Desk:
    """Computes and keeps. Safe to use from several threads."""

    def __init__(
        self,
        *,
        workers: int = WORKERS,
        waiting: int = WAITING,
        wait_seconds: float = WAIT_SECONDS,
        most_weight: int = MOST_WEIGHT,
    ) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="evidence-desk")
        self._most_pending = workers + waiting
        self._wait_seconds = wait_seconds
        self._most_weight = most_weight
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[int, Future[Any]]] = OrderedDict()

    def get(self, key: Hashable, weight: int, compute: Callable[[], T], wait_seconds: float | None = None) -> T:
        """The result of `compute`, from before if it was asked for under this key. What it raises is raised, and not kept. Raises Busy."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                future = self._kept[key][1]
            else:
                pending = sum(not kept.done() for _, kept in self._kept.values())
                if pending >= self._most_pending:
                    raise Busy("the server is computing as much as it may; ask again in a moment")
                future = self._executor.submit(compute)
                self._kept[key] = weight, future
                self._drop()
        future.add_done_callback(lambda done: self._forget_failure(key, done))
        try:
            return cast("T", future.result(self._wait_seconds if wait_seconds is None else wait_seconds))
        except WaitedTooLong:
            if future.done():  # it is the computation's own
                raise
            raise Busy("this is still being computed; ask again in a moment") from None

    def _drop(self) -> None:
        """Rule 4; what is still being computed stays, and so does the newest."""
        total = sum(weight for weight, _ in self._kept.values())
        for key in list(self._kept)[:-1]:
            if total <= self._most_weight:
                return
            weight, future = self._kept[key]
            if future.done():
                del self._kept[key]
                total -= weight

    def _forget_failure(self, key: Hashable, done: "Future[Any]") -> None:
        if done.cancelled() or done.exception() is not None:
            with self._lock:
                if key in self._kept and self._kept[key][1] is done:
                    del self._kept[key]

    def close(self) -> None:
        """Accept nothing more, and wait for nothing."""
        self._executor.shutdown(wait=False, cancel_futures=True)
