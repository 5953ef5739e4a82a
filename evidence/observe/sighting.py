"""One line of a flow log, read but not yet placed: what a format's reader gives and `evidence/observe/gather.py` takes.

Named tuples, because a log has millions of them.
"""

from datetime import datetime
from typing import NamedTuple

from evidence.observe.model import Began, Outcome, Side


class SeenEnd(NamedTuple):
    """An end as the line names it; what it leaves out is "". `workload` is "Deployment/web", `pod` may end in "*" (the beginning of names).

    `name` is for what is neither a pod nor an address ("reserved:world").
    """

    address: str = ""
    namespace: str = ""
    pod: str = ""
    workload: str = ""
    name: str = ""


class Sighting(NamedTuple):
    """One line about connections, `times` of them. The other fields are those of `ObservedFlow`."""

    time: datetime
    source: SeenEnd
    destination: SeenEnd
    protocol: str
    port: int
    outcome: Outcome
    side: Side
    began: Began
    policies: tuple[str, ...] = ()
    times: int = 1
    until: datetime | None = None  # end of the time that the line covers, None: a moment


class LeftOut(NamedTuple):
    """A line that is whole and says nothing of a connection's beginning; `why` in a few words, counted by them."""

    why: str


class Lost(NamedTuple):
    """What the source itself admits not to have recorded, `number` of them as far as it says (at least 1)."""

    what: str
    number: int = 1


Line = Sighting | LeftOut | Lost
