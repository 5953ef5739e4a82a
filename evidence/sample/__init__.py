"""The sample cluster of `evidence demo`: a shop over one quarter, as five dumps, with the owner's intent file.

Nothing here was read from a real cluster. tests/data/make_sample.py makes the dumps.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evidence.resources import package_file

CLUSTER_NAME = "sample-shop"

TAKEN_AT = (
    datetime(2026, 7, 1, 6, 0, tzinfo=UTC),  # before any policy
    datetime(2026, 7, 15, 6, 0, tzinfo=UTC),  # default deny
    datetime(2026, 8, 1, 6, 0, tzinfo=UTC),  # the guide's policies as written, the card data environment segmented
    datetime(2026, 8, 20, 6, 0, tzinfo=UTC),  # drift: somebody opened the card vault
    datetime(2026, 9, 15, 6, 0, tzinfo=UTC),  # drift removed, several policies mended, the health plan segmented
)


@dataclass(frozen=True, slots=True)
class SampleDump:
    """One dump, as `kubectl get … -o json` would have written it at `taken_at`."""

    path: Path
    taken_at: datetime


def sample_dumps() -> tuple[SampleDump, ...]:
    """All dumps, oldest first."""
    return tuple(SampleDump(package_file("sample", f"cluster-{taken:%Y-%m-%d}.json"), taken) for taken in TAKEN_AT)


def intent_path() -> Path:
    """The owner's segmentation.yaml."""
    return package_file("sample", "segmentation.yaml")
