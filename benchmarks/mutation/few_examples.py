"""A pytest plugin: property tests get few examples, the same in each run, and are not shrunk when they fail. EXAMPLES says how many."""

import os

import pytest
from hypothesis import Phase, settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    most = int(os.environ.get("EXAMPLES", "8"))
    for item in items:
        test = getattr(item, "obj", None)
        given = getattr(test, "_hypothesis_internal_use_settings", None)
        if given is not None:
            test._hypothesis_internal_use_settings = settings(  # noqa: SLF001  (explicit settings cannot be changed otherwise)
                given,
                max_examples=min(given.max_examples, most),
                phases=(Phase.explicit, Phase.generate),
                derandomize=True,
                database=None,
            )
