"""Policies of a kind that only one plugin heeds count only where that plugin may be what enforces."""

from typing import Any

import pytest

from evidence.cluster.model import Cluster
from evidence.cni.detect import detect
from evidence.cni.support import heeded
from tests.cni.clusters import application, calico, cilium, nodes, read
from tests.manifests import body

POLICY = body("cilium.io/v2", "CiliumNetworkPolicy", "guard", "shop", spec={"endpointSelector": {}, "ingress": [{}]})


def seen(*objects: Any) -> Cluster:
    found = read(nodes(), application(), POLICY, *objects)
    return heeded(detect(found), found)


@pytest.mark.parametrize("plugin", [[cilium()], [cilium(), calico()], []])
def test_cilium_policies_count_where_cilium_or_nobody_was_recognised(plugin: Any) -> None:
    found = seen(*plugin)
    assert [str(policy.key) for policy in found.cilium_policies] == ["CiliumNetworkPolicy shop/guard"]
    assert found.other_policies == ()


def test_cilium_policies_are_named_as_not_evaluated_under_another_plugin() -> None:
    found = seen(calico())
    assert found.cilium_policies == ()
    assert [str(policy.key) for policy in found.other_policies] == ["CiliumNetworkPolicy shop/guard"]
