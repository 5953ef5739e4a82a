"""The collector's rights: get and list, on what is collected and nothing else; of ConfigMaps a get of the few that are named.

`python -m evidence.collect.clusterrole deploy` writes the files that hold them in that folder again; tests hold them together.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from evidence.cluster.plugins import CONFIG_MAPS
from evidence.collect.kinds import KINDS

_MADE = "# Made from the list of kinds in evidence/collect/kinds.py: python -m evidence.collect.clusterrole deploy\n"
_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {name}
rules:
"""
_READS = """\
# Get and list only what is collected: no Secret, no write; of ConfigMaps only those named, which say whether the network plugin enforces
# policies. Groups that a cluster does not serve do no harm here.
"""
_FOLLOWS = "# What evidence collect --watch needs beside the collector's own rights.\n"


def cluster_role() -> str:
    """The role as YAML, one rule an API group."""
    return _MADE + _READS + _ROLE.format(name="evidence-collector") + _indented(rules())


def watcher_role() -> str:
    """The right to watch the same kinds, for those who follow a cluster."""
    return _MADE + _FOLLOWS + _ROLE.format(name="evidence-watcher") + _indented(_rules("watch"))


def rules() -> str:
    """The collector's rules as a YAML list."""
    names = ", ".join(sorted(CONFIG_MAPS))
    of_config_maps = f'- apiGroups: [""]\n  resources: [configmaps]\n  resourceNames: [{names}]\n  verbs: [get]\n'
    return of_config_maps + _rules("get, list")


def _rules(verbs: str) -> str:
    by_group: dict[str, list[str]] = defaultdict(list)
    for kind in KINDS:
        by_group[kind.group].append(kind.plural)
    return "".join(
        f'- apiGroups: ["{group}"]\n  resources: [{", ".join(sorted(plurals))}]\n  verbs: [{verbs}]\n'
        for group, plurals in sorted(by_group.items())
    )


def _indented(rules: str) -> str:
    return "".join(f"  {line}" for line in rules.splitlines(keepends=True))


def files() -> Mapping[str, str]:
    """Path below the folder deploy -> text."""
    return {
        "clusterrole.yaml": cluster_role(),
        "components/watch/clusterrole.yaml": watcher_role(),
        "helm/evidence/files/rules.yaml": _MADE + rules(),
    }


if __name__ == "__main__":
    for name, text in files().items():
        Path(sys.argv[1], name).write_text(text, encoding="utf-8")
