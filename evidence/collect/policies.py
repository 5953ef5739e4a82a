"""Policies of Kubernetes and of other makers, with what these hang on (tiers, sets), as they are kept."""

from dataclasses import replace

from evidence.collect.fields import METADATA, OTHER_POLICY, POLICY, Kind, scalars

_POLICY_GROUP = "policy.networking.k8s.io"


def _other(group: str, kind: str, plural: str, *, namespaced: bool = True) -> Kind:
    return Kind(group, kind, plural, (), namespaced, OTHER_POLICY)


_CALICO = (
    "NetworkPolicy",
    "GlobalNetworkPolicy",
    "NetworkSet",
    "GlobalNetworkSet",
    "Tier",
    "HostEndpoint",
    "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "StagedNetworkPolicy",
)


def _calico(kind: str) -> Kind:
    """A kind of crd.projectcalico.org. What its policies mean hangs on its tiers and sets, kept like them."""
    plural = f"{kind.lower()[:-1]}ies" if kind.endswith("Policy") else f"{kind.lower()}s"
    namespaced = kind.endswith(("NetworkPolicy", "NetworkSet")) and "Global" not in kind
    return Kind("crd.projectcalico.org", kind, plural, (), namespaced, OTHER_POLICY)


POLICY_KINDS: tuple[Kind, ...] = (
    Kind("networking.k8s.io", "NetworkPolicy", "networkpolicies", ("v1",), True, POLICY),
    Kind(_POLICY_GROUP, "AdminNetworkPolicy", "adminnetworkpolicies", ("v1alpha1",), False, POLICY),
    Kind(_POLICY_GROUP, "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", ("v1alpha1",), False, POLICY),
    Kind(_POLICY_GROUP, "ClusterNetworkPolicy", "clusternetworkpolicies", ("v1alpha2",), False, POLICY),
    Kind(
        "cilium.io",
        "CiliumCIDRGroup",
        "ciliumcidrgroups",
        (),
        False,
        {"metadata": METADATA, "spec": scalars("externalCIDRs")},
    ),
    *(_calico(kind) for kind in _CALICO),
    *(replace(_calico(kind), group="projectcalico.org") for kind in _CALICO),
    # Policies of other makers: kept as they are and named wherever they could change a verdict.
    _other("cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies"),
    _other("cilium.io", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", namespaced=False),
    _other("crd.antrea.io", "NetworkPolicy", "networkpolicies"),
    _other("crd.antrea.io", "ClusterNetworkPolicy", "clusternetworkpolicies", namespaced=False),
    _other("networking.k8s.aws", "ClusterNetworkPolicy", "clusternetworkpolicies", namespaced=False),
    _other("networking.k8s.aws", "ApplicationNetworkPolicy", "applicationnetworkpolicies"),
    _other("security.istio.io", "AuthorizationPolicy", "authorizationpolicies"),
    _other("policy.linkerd.io", "AuthorizationPolicy", "authorizationpolicies"),
    _other("policy.linkerd.io", "ServerAuthorization", "serverauthorizations"),
    _other("k8s.ovn.org", "EgressFirewall", "egressfirewalls"),
    _other("network.openshift.io", "EgressNetworkPolicy", "egressnetworkpolicies"),
    _other("network.openshift.io", "NetNamespace", "netnamespaces", namespaced=False),
    _other("kubeovn.io", "SecurityGroup", "security-groups", namespaced=False),
    _other("k8s.cni.cncf.io", "MultiNetworkPolicy", "multi-networkpolicies"),
    _other("networking.gke.io", "FQDNNetworkPolicy", "fqdnnetworkpolicies"),
    _other("crd.nsx.vmware.com", "SecurityPolicy", "securitypolicies"),
)
