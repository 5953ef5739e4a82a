"""Policies of all kinds but NetworkPolicy in the engine's form of rules."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from evidence.cluster.calico import Calico, CalicoPolicy
from evidence.cluster.model import Cluster
from evidence.cluster.policies import ClusterPolicy
from evidence.reach import clusterpolicy
from evidence.reach.rules import OtherKind, PolicyForm


def translated(policies: Iterable[OtherKind], cluster: Cluster) -> Iterator[PolicyForm]:
    """Some of a cluster's policies in the engine's form: none, one or several for each."""
    of_calico, of_cilium = [], []
    for policy in policies:
        if isinstance(policy, ClusterPolicy):
            form = clusterpolicy.translate(policy)
            if form is not None:
                yield form
        elif isinstance(policy, CalicoPolicy):
            of_calico.append(policy)
        else:
            of_cilium.append(policy)
    if of_cilium:
        from evidence.reach import cilium

        yield from cilium.translate(of_cilium, cluster)
    if of_calico:
        from evidence.reach import calico

        found = replace(cluster.calico or Calico(), policies=tuple(of_calico))
        yield from calico.translate(replace(cluster, calico=found))
