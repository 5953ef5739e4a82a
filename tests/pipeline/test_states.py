"""Assessments of states: that they leave no garbage behind which only a search would find."""

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from weakref import ref

import pytest

from evidence.pipeline.states import Assessed, assess, load_state
from evidence.sample import intent_path, sample_dumps

AT = datetime(2026, 9, 20, tzinfo=UTC)


@pytest.fixture
def unsearched() -> Iterator[None]:
    """A process that never looks for values that refer to each other in a circle."""
    gc.disable()
    yield
    gc.enable()


def assessed(number: int, before: Assessed | None = None) -> Assessed:
    dump = str(sample_dumps()[number].path)
    state = load_state([dump], db=None, cluster=None, at=None, intent_path=intent_path())
    return assess(state, AT, before)


@pytest.mark.usefixtures("unsearched")
def test_an_analysis_goes_as_soon_as_nobody_holds_its_assessment() -> None:
    first = assessed(0)
    reach = ref(first.reach)
    second = assessed(1, first)
    del first
    assert reach() is None
    assert second.assessment.findings


def test_an_assessment_leaves_the_search_for_garbage_as_it_was() -> None:
    assessed(0)
    assert gc.isenabled()
    gc.disable()
    try:
        assessed(0)
        assert not gc.isenabled()
    finally:
        gc.enable()
