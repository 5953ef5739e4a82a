"""Lines become flows between workloads; memory is bounded, and what was thrown together is said."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence.observe.document import FlowLog, LogFile, TakenLog, covered, flow_log_json, flow_log_of
from evidence.observe.gather import OTHER_ADDRESSES, Gathering
from evidence.observe.model import Began, End, Outcome, Side
from evidence.observe.places import Places
from evidence.observe.sighting import LeftOut, Line, Lost, SeenEnd, Sighting

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def line(source: str = "203.0.113.1", port: int = 443, *, minutes: int = 0, times: int = 1) -> Sighting:
    return Sighting(
        NOON + timedelta(minutes=minutes),
        SeenEnd(source),
        SeenEnd("", "shop", "web"),
        "TCP",
        port,
        Outcome.ALLOWED,
        Side.DESTINATION,
        Began.HERE,
        ("p",),
        times,
    )


def gathered(*lines: Line, most: int = 10) -> Gathering:
    found = Gathering(Places([]), most)
    for each in lines:
        found.take(each)
    return found


def test_connections_between_the_same_ends_are_one_flow_with_its_times_and_count() -> None:
    found = gathered(line(minutes=5), line(times=3), line(minutes=2), line(port=80))
    http, https = found.flows("hubble")
    assert (https.port, https.count, https.first, https.last) == (443, 5, NOON, NOON + timedelta(minutes=5))
    assert (http.port, http.count, http.source_kind, http.policies) == (80, 1, "hubble", ("p",))
    assert (found.sightings, found.first, found.last) == (4, NOON, NOON + timedelta(minutes=5))


def test_a_line_that_covers_a_span_ends_with_it() -> None:
    found = gathered(line()._replace(until=NOON + timedelta(minutes=9)))
    assert found.last == next(found.flows("calico")).last == NOON + timedelta(minutes=9)


def test_what_is_left_out_and_lost_is_counted_by_why() -> None:
    found = gathered(LeftOut("replies"), LeftOut("replies"), Lost("events", 7), Lost("events"))
    assert (dict(found.left_out), dict(found.lost), found.sightings) == ({"replies": 2}, {"events": 8}, 0)


def test_beyond_the_bound_connections_are_counted_without_their_addresses() -> None:
    found = gathered(*(line(f"203.0.113.{number}") for number in range(50)), most=10)
    flows = list(found.flows("hubble"))
    assert (len(flows), found.merged) == (11, 40)
    (together,) = (flow for flow in flows if flow.source == End(name=OTHER_ADDRESSES))
    assert (together.count, together.port, str(together.destination)) == (40, 0, "other pods of shop")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40), st.integers(1, 5)), max_size=60), st.integers(1, 12))
def test_no_connection_is_lost_or_counted_twice_whatever_the_bound(seen: list[tuple[int, int, int]], most: int) -> None:
    lines = [line(f"203.0.113.{end}", port, times=times) for end, port, times in seen]
    found = gathered(*lines, most=most)
    assert sum(flow.count for flow in found.flows("hubble")) == sum(each.times for each in lines)
    assert len(list(found.flows("hubble"))) <= most + 1


@given(st.permutations([line(minutes=n, port=n % 3 + 1) for n in range(8)]))
def test_the_order_of_lines_changes_nothing(lines: list[Sighting]) -> None:
    assert list(gathered(*lines).flows("x")) == list(gathered(*sorted(lines)).flows("x"))


def test_a_log_is_read_back_from_its_document() -> None:
    found = gathered(line(), line("10.0.0.1", minutes=1), LeftOut("replies"), Lost("events", 7))
    file = LogFile("flows.log", 100, "ab" * 32, 5, 1, ("flows.log:3: is not JSON",))
    log = FlowLog(
        "hubble", "Hubble", (file,), 2, {"replies": 1}, {"events": 7}, 3, ("n",), tuple(found.flows("hubble"))
    )
    assert flow_log_of(json.loads(json.dumps(flow_log_json(log)))) == log
    assert log.losses == (
        "7 events lost by the source",
        "1 of 5 lines could not be read",
        "3 connections were of too many kinds and are counted without their addresses and ports",
    )
    assert (log.connections(Outcome.ALLOWED), log.connections(Outcome.DENIED)) == (2, 0)


def test_logs_that_overlap_cover_one_stretch() -> None:
    def taken(start: int, end: int) -> TakenLog:
        log = FlowLog("hubble", "Hubble", (), 0, {}, {}, 0, (), ())
        return TakenLog(1, "", NOON + timedelta(hours=start), NOON + timedelta(hours=end), NOON, log)

    found = covered([taken(5, 6), taken(0, 2), taken(1, 3), taken(1, 2)])
    assert [(start - NOON, end - NOON) for start, end in found] == [
        (timedelta(0), timedelta(hours=3)),
        (timedelta(hours=5), timedelta(hours=6)),
    ]
