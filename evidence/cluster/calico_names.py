"""Names of Calico's kinds and labels, apart from its values: a start without any of its objects need not read those."""

GROUPS = ("crd.projectcalico.org", "projectcalico.org")
POLICY_KINDS = ("GlobalNetworkPolicy", "NetworkPolicy")
SET_KINDS = ("GlobalNetworkSet", "HostEndpoint", "NetworkSet")
STAGED_KINDS = ("StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy", "StagedNetworkPolicy")
TIER_KIND = "Tier"

# Labels that Calico puts on pods itself, and what it puts before those that they have from their namespace and service account
# (libcalico-go/lib/backend/k8s/conversion).
NAMESPACE = "projectcalico.org/namespace"
ORCHESTRATOR = "projectcalico.org/orchestrator"
ACCOUNT = "projectcalico.org/serviceaccount"
OF_NAMESPACE = "pcns."
OF_ACCOUNT = "pcsa."
NAME = "projectcalico.org/name"  # behind either prefix the name of the namespace or account itself
