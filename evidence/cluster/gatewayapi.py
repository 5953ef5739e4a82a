"""Names of the Gateway API, apart from its values: a start without any of its objects need not read those."""

GATEWAY_GROUP = "gateway.networking.k8s.io"
ROUTE_KINDS = ("GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute")
GATEWAY_KINDS = ("Gateway", "GatewayClass", "ReferenceGrant", *ROUTE_KINDS)
