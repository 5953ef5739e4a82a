"""Which labels Calico and Cilium give to pods beside their own, and what a selector asks of them.

1. A pod has the labels of its namespace behind `pcns.`, unless it has one of the very name, and the namespace's name.
2. It has the name of its service account, and behind `pcsa.` the account's labels, unless it has one of the very name.
3. Cilium's label for the service account has a key here that no label can have (`SERVICE_ACCOUNT`).

Source: libcalico-go/lib/backend/k8s/conversion (namespaces and service accounts as profiles, pods as workload endpoints) and
felix/labelindex (inheritance) of projectcalico/calico.
"""

from typing import TYPE_CHECKING

from evidence.cluster.calico_names import ACCOUNT, NAME, NAMESPACE, OF_ACCOUNT, OF_NAMESPACE, ORCHESTRATOR
from evidence.cluster.model import Labels, Namespace, Pod
from evidence.cluster.selectors import SERVICE_ACCOUNT

if TYPE_CHECKING:
    from evidence.cluster.calico_selectors import Expression

FORCED = frozenset((NAMESPACE, ORCHESTRATOR))  # which no pod has otherwise than Calico gives them
_NAMES = frozenset((OF_NAMESPACE + NAME, OF_NAMESPACE + "kubernetes.io/metadata.name"))
_LABEL_LIMIT = 63


def own_labels(pod: Pod) -> Labels:
    """A pod's labels with those of its service account, as far as they are known; a name of 63 letters or more makes no label."""
    account = pod.service_account
    found = {OF_ACCOUNT + key: value for key, value in (pod.account_labels or {}).items()}
    found |= {OF_ACCOUNT + NAME: account, **pod.labels, SERVICE_ACCOUNT: account}
    if len(account) < _LABEL_LIMIT:
        found[ACCOUNT] = account
    return found


def of_account(key: str) -> bool:
    """True for labels that a pod may have from its service account."""
    return key in (ACCOUNT, SERVICE_ACCOUNT) or key.startswith(OF_ACCOUNT)


def given_labels(space: Namespace) -> Labels:
    """What everything in a namespace has from it."""
    return {
        **{OF_NAMESPACE + key: value for key, value in space.labels.items()},
        OF_NAMESPACE + NAME: space.name,
        NAMESPACE: space.name,
        ORCHESTRATOR: "k8s",
    }


def looks_beyond_names(selector: "Expression") -> bool:
    """True when a selector asks for labels of a namespace, its name apart."""
    from evidence.cluster.calico_selectors import tests

    return any(test.key.startswith(OF_NAMESPACE) and test.key not in _NAMES for test in tests(selector))
