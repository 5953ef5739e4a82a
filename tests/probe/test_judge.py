"""What the packets mean: a connection that passed has passed, one that did not says something only beside its controls."""

from dataclasses import replace

import pytest

from evidence.probe.judge import Expected, judge
from evidence.probe.model import Judgement, Outcome, Planned, Result, Seen, Tried
from evidence.probe.ran import EPHEMERAL, STAND_IN, Ran, SourceRan, StandInRan
from tests.probe.shop import planned, tried

ICMP = "ICMP type 3 code 13 from 10.0.0.254"
SOURCE = SourceRan(STAND_IN, "evidence-probe-1-0s", "10.0.0.9", reached_from="10.0.0.254")
STARTED = StandInRan("evidence-probe-1-0d", "10.0.0.8", started=True, alive=True, failed={})
DENIED = planned(1)
HEARD = planned(2, source="shop/web-1", allowed=True)  # shows that somebody listens at the database


def ran(
    seen: dict[int, Tried], probes: list[Planned], source: SourceRan = SOURCE, stand_in: StandInRan | None = STARTED
) -> Ran:
    """Every source as `source` is, having met with `seen`."""
    sources = {
        probe.source.name: replace(
            source, tried={p.number: seen[p.number] for p in probes if p.source == probe.source and p.number in seen}
        )
        for probe in probes
    }
    stand_ins = {p.destination.name: stand_in for p in probes if p.stand_in and stand_in}
    return Ran(sources, stand_ins, {"vault/db-1": "10.0.0.2"})


def judged(
    seen: Tried | None,
    probe: Planned = DENIED,
    *,
    source: SourceRan = SOURCE,
    stand_in: StandInRan | None = STARTED,
    heard: bool = True,
    unsure: str = "",
    doubt: str = "",
) -> Result:
    """The judgement of one probe, beside one that shows (or not) that somebody listens at the real port."""
    probes = [probe, HEARD]
    met = {2: tried(Seen.OPEN if heard else Seen.SILENT), **({1: seen} if seen else {})}
    expected = {p.number: Expected(p.allowed, p.egress, p.ingress, unsure, doubt) for p in probes}
    return judge(probes, expected, ran(met, probes, source, stand_in))[0]


@pytest.mark.parametrize("seen", [Seen.OPEN, Seen.RESET])
def test_what_passes_although_policy_denies_it_contradicts_with_no_control_at_all(seen: Seen) -> None:
    alone = replace(SOURCE, reached_from="")
    assert judged(tried(seen), source=alone, heard=False).judgement is Judgement.CONTRADICTS


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [(Seen.SILENT, Outcome.FILTERED), (Seen.REJECTED, Outcome.FILTERED), (Seen.REFUSED, Outcome.REFUSED)],
)
def test_what_is_stopped_agrees_when_the_source_works_and_somebody_listens(seen: Seen, outcome: Outcome) -> None:
    found = judged(tried(seen))
    assert (found.judgement, found.outcome) == (Judgement.AGREES, outcome)
    assert found.source_control == "its node reached it from 10.0.0.254"
    assert found.listener_control == "shop/web-1 got through to it"


@pytest.mark.parametrize("seen", [Seen.SILENT, Seen.REJECTED])
def test_silence_decides_nothing_when_nobody_is_known_to_listen(seen: Seen) -> None:
    found = judged(tried(seen), heard=False)
    assert (found.judgement, found.reason) == (
        Judgement.NOT_DETERMINED,
        "no answer, and nothing shows that anybody listens there",
    )


def test_refused_where_nobody_is_known_to_listen_is_no_listener() -> None:
    found = judged(tried(Seen.REFUSED), heard=False)
    assert (found.judgement, found.outcome) == (Judgement.NOT_DETERMINED, Outcome.NO_LISTENER)


def test_silence_decides_nothing_when_nothing_shows_that_the_source_works() -> None:
    found = judged(tried(Seen.SILENT), source=replace(SOURCE, reached_from=""))
    assert found.judgement is Judgement.NOT_DETERMINED
    assert "source's network" in found.reason


def test_a_source_that_got_an_error_back_from_the_way_works() -> None:
    found = judged(tried(Seen.REJECTED, icmp=ICMP), source=replace(SOURCE, by=EPHEMERAL, reached_from=""))
    assert (found.judgement, found.source_control) == (Judgement.AGREES, "another of its connections was answered")


def test_a_source_that_another_pod_answered_works() -> None:
    probes = [
        planned(1),
        planned(2, destination="shop/web-1", allowed=True),
        planned(3, source="shop/web-1", allowed=True),
    ]
    met = {1: tried(Seen.SILENT), 2: tried(Seen.OPEN), 3: tried(Seen.OPEN)}
    expected = {p.number: Expected(p.allowed, p.egress, p.ingress) for p in probes}
    quiet = replace(SOURCE, reached_from="")
    assert judge(probes, expected, ran(met, probes, quiet))[0].judgement is Judgement.AGREES


@pytest.mark.parametrize("seen", [Seen.SILENT, Seen.REJECTED, Seen.REFUSED])
def test_what_is_stopped_although_policy_allows_it_contradicts(seen: Seen) -> None:
    found = judged(tried(seen), planned(1, allowed=True))
    assert found.judgement is Judgement.CONTRADICTS


def test_what_passes_as_policy_allows_agrees() -> None:
    assert judged(tried(Seen.OPEN), planned(1, allowed=True)).judgement is Judgement.AGREES


def test_what_passed_at_first_and_was_stopped_later_agrees_and_keeps_how_long() -> None:
    found = judged(tried(Seen.REJECTED, first=Seen.OPEN, at_ms=350))
    assert (found.judgement, found.passed_ms) == (Judgement.AGREES, 350)
    assert found.reason == "passed for 350 ms after the probe's start, before it was stopped"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen.FAILED, "the source could not send"),
        (Seen.CANNOT, "does not do TCP"),
        (Seen.FOREIGN, "something other than the stand-in answered"),
    ],
)
def test_a_packet_that_was_never_ours_on_the_way_decides_nothing(seen: Seen, reason: str) -> None:
    found = judged(tried(seen), planned(1, stand_in=True))
    assert found.judgement is Judgement.NOT_DETERMINED
    assert reason in found.reason


def test_a_source_that_did_not_run_is_a_source_failure_with_its_reason() -> None:
    probes = [DENIED]
    failed = Ran({DENIED.source.name: SourceRan(STAND_IN, "x", "", "exceeded quota")}, {}, {"vault/db-1": "10.0.0.2"})
    expected = {1: Expected(False, "", "")}
    found = judge(probes, expected, failed)[0]
    assert (found.outcome, found.judgement, found.reason) == (
        Outcome.SOURCE_FAILED,
        Judgement.NOT_DETERMINED,
        "exceeded quota",
    )


@pytest.mark.parametrize(
    ("stand_in", "reason"),
    [
        (None, "none was made"),
        (replace(STARTED, error="ErrImagePull"), "ErrImagePull"),
        (replace(STARTED, started=False), "nothing shows that anybody listens"),
        (replace(STARTED, alive=False), "nothing shows that anybody listens"),
        (replace(STARTED, failed={"TCP/5432": "permission denied"}), "nothing shows that anybody listens"),
    ],
)
def test_silence_towards_a_stand_in_that_did_not_listen_decides_nothing(
    stand_in: StandInRan | None, reason: str
) -> None:
    found = judged(tried(Seen.SILENT), planned(1, stand_in=True), stand_in=stand_in)
    assert found.judgement is Judgement.NOT_DETERMINED
    assert reason in found.reason


def test_silence_towards_a_stand_in_that_listened_to_the_end_agrees() -> None:
    found = judged(tried(Seen.SILENT), planned(1, stand_in=True), heard=False)
    assert found.judgement is Judgement.AGREES


@pytest.mark.parametrize("seen", [Seen.OPEN, Seen.SILENT])
def test_nothing_is_decided_where_the_computation_changed_meanwhile(seen: Seen) -> None:
    found = judged(tried(seen), unsure="what policies say of it changed while the probes ran")
    assert (found.judgement, found.reason) == (
        Judgement.NOT_DETERMINED,
        "what policies say of it changed while the probes ran",
    )


def test_a_policy_that_was_not_evaluated_may_explain_a_contradiction_and_never_an_agreement() -> None:
    doubt = "policies that are not evaluated (AuthorizationPolicy)"
    against, with_it = judged(tried(Seen.OPEN), doubt=doubt), judged(tried(Seen.SILENT), doubt=doubt)
    assert (against.judgement, with_it.judgement) == (Judgement.NOT_DETERMINED, Judgement.AGREES)
    assert doubt in against.reason
