"""Units evaluated in this process, one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evidence.errors import EvidenceError
from evidence.pipeline.fleet.evaluation import evaluate_unit
from evidence.pipeline.fleet.units import Rulebook, Unit
from evidence.store import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit: its result, or why there is none."""

    unit: Unit
    result: bytes
    failure: str = ""


def run_here(store: Store, rulebook: Rulebook, units: Sequence[Unit]) -> Iterator[Outcome]:
    """One outcome a unit, in their order. Raises StoreError when the store is gone, and not when one unit of it cannot be read."""
    for unit in units:
        outcome = outcome_of(store, rulebook, unit)
        if outcome.failure:
            store.clusters()  # raises when it is no matter of this unit
        yield outcome


def outcome_of(store: Store, rulebook: Rulebook, unit: Unit) -> Outcome:
    """Evaluate a unit; whatever goes wrong is its own."""
    try:
        return Outcome(unit, evaluate_unit(store, rulebook, unit))
    except EvidenceError as error:
        return Outcome(unit, b"", str(error))
    except Exception as error:  # noqa: BLE001  (a fault of one unit must not cost the others; it is named, and the command fails)
        what = str(error).partition("\n")[0]
        return Outcome(unit, b"", f"a fault of evidence itself ({type(error).__name__}: {what}); report it")
