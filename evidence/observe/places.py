"""Who had an address, and which workload a pod belonged to, by the snapshots around a time.

1. An address is a pod's when the snapshots before and after the time both give it to this pod; or when only a later one does and the pod was made
   at least SETTLED before the time, while the earlier one gives it to nobody; or when there is a snapshot on one side only, at most ALONE away.
   Pods on the host's network and finished pods have no address of their own. Everything else stays an address: addresses are used again.
2. A pod that is named belongs to the workload that any snapshot says, if all that know it agree. The beginning of a name ("web-6d4cf56db6-*") belongs
   to the workload of all pods whose names begin so, if it is one.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from evidence.cluster.model import Pod
from evidence.cluster.objects import ObjectKey
from evidence.observe.model import End
from evidence.observe.sighting import SeenEnd

ALONE = timedelta(hours=24)
SETTLED = timedelta(minutes=1)
_REMEMBERED = 200_000  # names
_SNAPSHOTS_KEPT = 64  # maps of addresses; some 2 MB for 10,000 pods

_Holder = tuple[str, str, str]  # namespace, name, creation time


class Places:
    """Look-ups over the pods of several snapshots, oldest first. The pods of each are asked for when a time near it comes up."""

    def __init__(self, snapshots: Sequence[tuple[datetime, Callable[[], Iterable[Pod]]]]) -> None:
        self._times = [taken_at for taken_at, _ in snapshots]
        self._pods = [pods for _, pods in snapshots]
        self._holders: OrderedDict[int, dict[str, _Holder | None]] = OrderedDict()
        self._workloads: dict[tuple[str, str], ObjectKey | None] = {}
        self._read: set[int] = set()
        self._named = lru_cache(maxsize=_REMEMBERED)(self._end_of_pod)

    def _at(self, snapshot: int) -> dict[str, _Holder | None]:
        """Holder by address in one snapshot; None where two pods claim it."""
        if snapshot in self._holders:
            return self._holders[snapshot]
        found: dict[str, _Holder | None] = {}
        for pod in self._pods[snapshot]():
            if pod.template:
                continue
            if self._workloads.setdefault((pod.namespace, pod.name), pod.workload) != pod.workload:
                self._workloads[pod.namespace, pod.name] = None
            if pod.host_network or pod.finished:
                continue
            holder = (pod.namespace, pod.name, pod.created)
            for address in map(str, pod.addresses):
                found[address] = holder if found.get(address, holder) == holder else None
        if snapshot not in self._read:
            self._read.add(snapshot)
            self._named.cache_clear()  # there are names now that were not known
        if len(self._holders) >= _SNAPSHOTS_KEPT:
            self._holders.popitem(last=False)
        self._holders[snapshot] = found
        return found

    def _look_around(self, at: datetime) -> int:
        """The number of the first snapshot after the time; it and the one before are read."""
        after = bisect_right(self._times, at)
        for near in (after - 1, after):
            if 0 <= near < len(self._times) and near not in self._read:
                self._at(near)
        return after

    def end(self, seen: SeenEnd, at: datetime) -> End:
        """The end as well as it is known."""
        if seen.pod:
            self._look_around(at)
            return self._named(seen.namespace, seen.pod, seen.workload)
        if not seen.address:
            return End(name=seen.name)
        holder = self._holder(seen.address, at)
        return self._named(holder[0], holder[1], "") if holder else End(address=seen.address)

    def _holder(self, address: str, at: datetime) -> _Holder | None:
        after = self._look_around(at)
        if not self._times:
            return None
        nobody = ("", "", "")
        earlier = self._at(after - 1).get(address, nobody) if after else None
        if after == len(self._times):
            near = at - self._times[-1] <= ALONE
            return earlier if near and earlier != nobody else None
        later = self._at(after).get(address, nobody)
        if later is None or later == nobody:
            return None
        if after == 0:
            return later if self._times[0] - at <= ALONE and _settled(later[2], at) else None
        if earlier == later:
            return later
        return later if earlier == nobody and _settled(later[2], at) else None

    def _end_of_pod(self, namespace: str, pod: str, workload: str) -> End:
        many = pod.endswith("*")
        known = self._of_prefix(namespace, pod[:-1]) if many else self._workloads.get((namespace, pod))
        if known is not None:
            return End.of_workload(known)
        return End(namespace=namespace, workload=workload) if workload.strip("/") else End(namespace=namespace, pod=pod)

    def _of_prefix(self, namespace: str, prefix: str) -> ObjectKey | None:
        found = {
            workload
            for (home, name), workload in self._workloads.items()
            if home == namespace and name.startswith(prefix)
        }
        return found.pop() if len(found) == 1 else None


def _settled(created: str, at: datetime) -> bool:
    try:
        made = datetime.fromisoformat(created)
    except ValueError:
        return False
    return made + SETTLED <= at
