"""What the outside can reach: every door that policy leaves open."""

from evidence.reach.engine import Reachability
from evidence.reach.exposed import doubts, rows
from evidence.reach.exposure import Exposures
from evidence.report.view.model import Exposure, OpenDoor


def exposure(reach: Reachability) -> Exposure:
    """Open doors by workload, in the engine's order."""
    found = Exposures(reach)
    listed = tuple(
        OpenDoor(
            workload=row.name,
            pods=len(row.exposure.behind.pods),
            door=row.exposure.behind.door.text,
            origin=row.exposure.origin_text,
            ports=str(row.exposure.ports),
            admitted_by=row.admitted_by,
        )
        for row in rows(found)
    )
    return Exposure(listed, len(found.shut), doubts(found))
