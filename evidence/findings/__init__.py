"""Rules that turn a cluster's computed reachability into findings. Importing the package registers every rule."""

from evidence.findings import (  # noqa: F401  (imported for their rules)
    access,
    breadth,
    bypass,
    cadence,
    coverage,
    crossing,
    dns,
    enforcement,
    exposure,
    hygiene,
    logs,
    observation,
    onesided,
    outside,
    priorities,
    redundancy,
    scraping,
    selection,
    staged,
    stepping,
)
