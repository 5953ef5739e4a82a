"""An address becomes a pod only where nobody else can have had it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from evidence.cluster.model import Pod
from evidence.cluster.objects import ObjectKey
from evidence.observe.model import End
from evidence.observe.places import Places
from evidence.observe.sighting import SeenEnd
from tests.builders import pod

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
OLD = "2026-06-01T00:00:00Z"


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def made(name: str, ip: str = "10.0.0.1", *, created: str = OLD, workload: str = "", **given: bool) -> Pod:
    key = ObjectKey("apps", "Deployment", "shop", workload) if workload else ObjectKey("", "Pod", "shop", name)
    return replace(pod(name, "shop", ip=ip, **given), created=created, workload=key)  # type: ignore[arg-type]


def places(*snapshots: Iterable[Pod]) -> Places:
    """One snapshot an hour from noon on."""
    return Places([(at(hour), lambda pods=pods: pods) for hour, pods in enumerate(snapshots)])  # type: ignore[misc]


def who(found: Places, hours: float, address: str = "10.0.0.1") -> str:
    return str(found.end(SeenEnd(address), at(hours)))


WEB, API = made("web"), made("api")


def test_an_address_is_the_pods_that_had_it_before_and_after() -> None:
    assert who(places([WEB], [WEB]), 0.5) == "Pod shop/web"


@pytest.mark.parametrize("later", [[API], [], [made("web", created="2026-07-01T12:20:00Z")]])
def test_an_address_that_another_pod_or_none_has_later_stays_an_address(later: list[Pod]) -> None:
    assert who(places([WEB], later), 0.5) == "10.0.0.1"


def test_a_pod_made_since_has_its_address_from_a_minute_after_that_on() -> None:
    found = places([], [made("web", created="2026-07-01T12:20:00Z")])
    assert who(found, 0.5) == "Pod shop/web"
    assert who(found, 20.5 / 60) == "10.0.0.1"
    assert who(found, 0.1) == "10.0.0.1"


def test_a_snapshot_on_one_side_alone_speaks_for_a_day() -> None:
    found = places([WEB])
    assert (who(found, 23), who(found, 25)) == ("Pod shop/web", "10.0.0.1")
    assert (who(found, -23), who(found, -25)) == ("Pod shop/web", "10.0.0.1")
    assert who(Places([]), 0) == "10.0.0.1"


def test_an_address_that_two_pods_claim_is_nobodys() -> None:
    assert who(places([WEB, API], [WEB, API]), 0.5) == "10.0.0.1"
    assert who(places([WEB, API], [WEB]), 0.5) == "10.0.0.1"


@pytest.mark.parametrize("given", [{"host_network": True}, {"phase": "Succeeded"}])
def test_pods_on_the_host_and_finished_ones_have_no_address_of_their_own(given: dict[str, bool]) -> None:
    gone = made("job", **given)  # type: ignore[arg-type]
    assert who(places([gone], [gone]), 0.5) == "10.0.0.1"
    assert who(places([gone, WEB], [gone, WEB]), 0.5) == "Pod shop/web"


def test_a_named_pod_belongs_to_its_workload_by_a_snapshot_near_that_time() -> None:
    found = places([made("web-1", workload="web")], [], [], [made("web-2", workload="web")])
    assert found.end(SeenEnd(namespace="shop", pod="web-1"), at(0.5)) == End("shop", "Deployment/web")
    assert found.end(SeenEnd(namespace="shop", pod="web-2"), at(0.5)) == End("shop", pod="web-2")
    assert found.end(SeenEnd(namespace="shop", pod="web-2"), at(2.5)) == End("shop", "Deployment/web")


def test_what_the_source_says_of_the_workload_counts_where_no_snapshot_knows_the_pod() -> None:
    seen = SeenEnd("", "shop", "job-x", "CronJob/report")
    assert places([]).end(seen, NOON) == End("shop", "CronJob/report")


def test_the_beginning_of_names_is_the_workload_of_all_pods_that_begin_so() -> None:
    found = places(
        [made("web-1", workload="web"), made("web-2", "10.0.0.2", workload="web"), made("webx-1", "10.0.0.3")]
    )
    assert found.end(SeenEnd(namespace="shop", pod="web-*"), NOON) == End("shop", "Deployment/web")
    assert found.end(SeenEnd(namespace="shop", pod="web*"), NOON) == End("shop", pod="web*")


def test_what_is_neither_pod_nor_address_keeps_its_name() -> None:
    assert str(places([WEB]).end(SeenEnd(name="reserved:world"), NOON)) == "reserved:world"
    assert str(places([WEB]).end(SeenEnd(), NOON)) == "unknown"


def test_snapshots_are_read_only_when_a_line_of_their_time_comes() -> None:
    asked: list[int] = []

    def pods(number: int) -> list[Pod]:
        asked.append(number)
        return [WEB]

    found = Places([(at(number), lambda number=number: pods(number)) for number in range(100)])  # type: ignore[misc]
    assert who(found, 50.5) == "Pod shop/web"
    assert who(found, 50.7) == "Pod shop/web"
    assert asked == [50, 51]
