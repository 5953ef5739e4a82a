"""What policies say of the pods that really took part: a stand-in has an address of its own, which an ipBlock may treat otherwise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from evidence.cluster.model import Cluster, Pod
from evidence.cluster.objects import ObjectKey
from evidence.errors import InputError
from evidence.probe.judge import Expected
from evidence.probe.model import Planned
from evidence.probe.plan import explained
from evidence.probe.ran import STAND_IN, Ran
from evidence.reach.engine import Reachability
from evidence.reach.explain import Point
from evidence.reach.query import address_point, pod_point

_POLICY_ENDS = "Policy"


def with_stand_ins(cluster: Cluster, ran: Ran) -> Cluster:
    """The cluster with the stand-ins of a run as pods of their own; one whose model is gone or that never had an address is left out."""
    pods = {pod.key: pod for pod in cluster.pods}
    made = [(real, source.pod, source.address) for real, source in ran.sources.items() if source.by == STAND_IN]
    made += [(real, found.pod, found.address) for real, found in ran.stand_ins.items()]
    twins = [_twin(pods[real], name, address) for real, name, address in made if real in pods and address]
    return replace(cluster, pods=tuple(sorted((*cluster.pods, *twins), key=lambda pod: (pod.namespace, pod.name))))


def _twin(pod: Pod, name: str, address: str) -> Pod:
    own = ObjectKey("", "Pod", pod.namespace, name)
    return replace(pod, name=name, workload=own, addresses=(ip_address(address),), ready=False, origin=None)


def expect(probes: Sequence[Planned], before: Reachability, after: Reachability, ran: Ran) -> Mapping[int, Expected]:
    """What is computed for each probe, by its number. `before` and `after` are the cluster around the run, stand-ins included."""
    doubt = _doubt(before)
    return {probe.number: _expected(probe, before, after, ran, doubt) for probe in probes}


def _expected(probe: Planned, before: Reachability, after: Reachability, ran: Ran, doubt: str) -> Expected:
    said = []
    for reach in (before, after):
        try:
            source, destination = _source(reach, probe, ran), _destination(reach, probe, ran)
        except InputError:
            return Expected(probe.allowed, probe.egress, probe.ingress, "a pod of it went while the probes ran")
        said.append(explained(reach, source, destination, probe.protocol, probe.port))
    first, last = said
    unsure = "; ".join(first.uncertain)
    if first.allowed is not last.allowed:
        unsure = "what policies say of it changed while the probes ran"
    return Expected(first.allowed, first.egress.reason, first.ingress.reason, unsure, doubt)


def _source(reach: Reachability, probe: Planned, ran: Ran) -> Point:
    source = ran.sources[probe.source.name]
    return _point(reach, probe.source.name, source.pod if source.by == STAND_IN and source.address else "")


def _destination(reach: Reachability, probe: Planned, ran: Ran) -> Point:
    name = probe.destination.name
    if "/" not in name:
        return address_point(reach, ip_address(name))
    stand_in = ran.stand_ins.get(name) if probe.stand_in else None
    return _point(reach, name, stand_in.pod if stand_in and stand_in.address else "")


def _point(reach: Reachability, real: str, twin: str) -> Point:
    """The twin of a pod where there is one, the pod itself otherwise. Raises InputError when it is not in the cluster."""
    key = f"{real.partition('/')[0]}/{twin}" if twin else real
    found = _pod(reach.cluster.pods, key)
    return pod_point(reach, found)


def _pod(pods: Iterable[Pod], key: str) -> Pod:
    found = next((pod for pod in pods if pod.key == key and not pod.finished), None)
    if found is None:
        raise InputError(f"pod {key}: it is not in the cluster any more")
    return found


def _doubt(reach: Reachability) -> str:
    """What the computation could not read or evaluate and could explain a contradiction; "" when there is nothing."""
    kinds = sorted({policy.key.kind for policy in reach.unevaluated})
    unread = sorted(kind for kind in reach.cluster.unread_kinds if kind.endswith(_POLICY_ENDS))
    parts = [f"policies that are not evaluated ({', '.join(kinds)})"] if kinds else []
    parts += [f"policies that could not be listed ({', '.join(unread)})"] if unread else []
    return " or ".join(parts)
