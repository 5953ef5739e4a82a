"""The pace of requests: a burst, then evenly, and nobody at all while the server asks for patience."""

from evidence.collect.pace import Pace


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pace(time: Time, per_second: float = 2, burst: int = 3) -> Pace:
    return Pace(per_second, burst, clock=lambda: time.now, sleep=time.sleep)


def sent_at(time: Time, pace: Pace, count: int) -> list[float]:
    found = []
    for _ in range(count):
        pace.wait()
        found.append(time.now)
    return found


def test_a_burst_goes_out_at_once_and_the_rest_evenly() -> None:
    time = Time()
    assert sent_at(time, pace(time), 6) == [100, 100, 100, 100.5, 101, 101.5]


def test_idle_time_saves_up_no_more_than_a_burst() -> None:
    time = Time()
    ours = pace(time)
    sent_at(time, ours, 5)
    time.now = 1000
    assert sent_at(time, ours, 5) == [1000, 1000, 1000, 1000.5, 1001]


def test_a_server_that_asks_for_patience_holds_back_everybody_and_the_burst_is_gone() -> None:
    time = Time()
    ours = pace(time)
    ours.wait()
    ours.hold(30)
    assert sent_at(time, ours, 3) == [130, 130.5, 131]
