"""Which rules have to be asked again of a cluster that stayed as it was."""

from datetime import UTC, datetime
from typing import Any

import pytest

from evidence.findings.registry import RULES, Context, evaluate
from evidence.intent.zones import assign
from evidence.pipeline.states import load_state, reach_of
from evidence.sample import intent_path, sample_dumps

MOMENT = datetime(2026, 8, 20, tzinfo=UTC)


class Still(Context):
    """A context that nobody may ask for the time or for records."""

    def __getattribute__(self, name: str) -> Any:
        assert name not in {"at", "taken_at", "observed", "probed"}, f"asked for {name}"
        return super().__getattribute__(name)


@pytest.fixture(scope="module")
def still() -> Still:
    state = load_state([str(sample_dumps()[3].path)], db=None, cluster=None, at=None, intent_path=intent_path())
    cni, reach = reach_of(state)
    return Still(reach.cluster, reach, cni, state.intent, assign(state.intent, state.cluster), MOMENT, MOMENT)


def test_rules_that_do_not_move_ask_neither_for_the_time_nor_for_records(still: Still) -> None:
    rules = [rule for rule in RULES.values() if not rule.moves]
    assert len(evaluate(still, rules).runs) == len(rules) > 40


@pytest.mark.parametrize("rule_id", ["EVD-001", "PRT-004", "REV-001", "TST-001", "ENF-003", "LOG-004"])
def test_rules_that_move_do(still: Still, rule_id: str) -> None:
    assert RULES[rule_id].moves
    with pytest.raises(AssertionError, match="asked for"):
        evaluate(still, [RULES[rule_id]])
