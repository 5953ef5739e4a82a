"""Names of RBAC's API group and kinds, apart from their model so that clusters without them need not load it."""

GROUP = "rbac.authorization.k8s.io"
ROLE_KINDS = ("ClusterRole", "Role")
BINDING_KINDS = ("ClusterRoleBinding", "RoleBinding")
KINDS = (*ROLE_KINDS, *BINDING_KINDS)
