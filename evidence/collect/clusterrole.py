"""The collector's ClusterRole: get and list, on what is collected and nothing else.

`python -m evidence.collect.clusterrole > deploy/clusterrole.yaml` writes it again; a test holds the two together.
"""

import sys
from collections import defaultdict

from evidence.collect.kinds import KINDS

_HEAD = """\
# Made from the list of kinds in evidence/collect/kinds.py: python -m evidence.collect.clusterrole > deploy/clusterrole.yaml
# Get and list only what is collected: no Secret, no ConfigMap, no write. Groups that a cluster does not serve do no harm here.
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
    return _HEAD + "".join(rules)


if __name__ == "__main__":
    sys.stdout.write(cluster_role())
