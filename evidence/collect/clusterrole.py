"""The collector's ClusterRole: get and list, on what is collected and nothing else; of ConfigMaps a get of the few that are named.

`python -m evidence.collect.clusterrole > deploy/clusterrole.yaml` writes it again; a test holds the two together.
"""

import sys
from collections import defaultdict

from evidence.cluster.plugins import CONFIG_MAPS
from evidence.collect.kinds import KINDS

_HEAD = """\
# Made from the list of kinds in evidence/collect/kinds.py: python -m evidence.collect.clusterrole > deploy/clusterrole.yaml
# Get and list only what is collected: no Secret, no write; of ConfigMaps only those named, which say whether the network plugin enforces
# policies. Groups that a cluster does not serve do no harm here.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: evidence-collector
rules:
"""


def cluster_role() -> str:
    """The role as YAML, one rule an API group."""
    by_group: dict[str, list[str]] = defaultdict(list)
    for kind in KINDS:
        by_group[kind.group].append(kind.plural)
    rules = (
        f'  - apiGroups: ["{group}"]\n    resources: [{", ".join(sorted(plurals))}]\n    verbs: [get, list]\n'
        for group, plurals in sorted(by_group.items())
    )
    return _HEAD + _of_config_maps() + "".join(rules)


def _of_config_maps() -> str:
    names = ", ".join(sorted(CONFIG_MAPS))
    return f'  - apiGroups: [""]\n    resources: [configmaps]\n    resourceNames: [{names}]\n    verbs: [get]\n'


if __name__ == "__main__":
    sys.stdout.write(cluster_role())
