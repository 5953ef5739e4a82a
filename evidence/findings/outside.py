"""Family plumbing, the outside: `namespaceSelector: {}` read as "anywhere" or "external"."""

from collections.abc import Iterator

from evidence.cluster.model import Direction, IpBlock, Pod, Protocol, Service
from evidence.findings.finding import Severity, count, shortened
from evidence.findings.index import (
    RuleAt,
    is_every_namespace,
    names_port,
    pods_of,
    port_set,
    rule_ports,
)
from evidence.findings.registry import Context, Hit, Looked, rule
from evidence.findings.services import service_evidence
from evidence.reach.classes import PodClass
from evidence.reach.manifests import policy_port_bodies, policy_yaml, rule_body
from evidence.reach.services import behind, target_ports

WEB_PORTS = (80, 443)
# What an outside peer is not: private, shared and link-local ranges, where pods, nodes and metadata services live.
INSIDE = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")


@rule(
    "NET-015",
    title="Every namespace meant as the outside",
    severity=Severity.MEDIUM,
    family="plumbing",
    why="`namespaceSelector: {}` is every pod of every namespace and never an address outside the cluster. A rule that is meant for the internet "
    "admits the whole cluster instead, and the outside stays shut.",
    mend="Use an ipBlock for addresses outside the cluster, with private ranges under `except` where they are not meant, and drop the "
    "namespaceSelector unless other pods are meant, too.",
    needs=("NetworkPolicy", "Pod"),
    hangs_on_policies=True,
)
def every_namespace_meant_as_outside(context: Context) -> Looked:
    """Rules for every namespace on web ports, or for pods behind a public Service, where no policy lets any outside address through.

    Near miss: another rule of the pods opens the same ports for an ipBlock, so the author knows the difference.
    """
    rules = [
        at
        for at in context.index.rules(Direction.INGRESS, Direction.EGRESS)
        if any(is_every_namespace(peer) for peer in at.rule.peers)
        and not any(isinstance(peer, IpBlock) for peer in at.rule.peers)
    ]
    hits = []
    for at in rules:
        web = any(names_port(at.rule, port, Protocol.TCP) for port in WEB_PORTS)
        fronted = list(_public_services(context, at))
        if not web and not fronted:
            continue
        shut = [found for found in context.index.selected(at.policy) if not _outside_passes(context, at, found)]
        if shut:
            hits.append(_hit(context, at, shut, fronted))
    return Looked(len(rules), tuple(hits))


def _public_services(context: Context, at: RuleAt) -> Iterator[Service]:
    """LoadBalancer and NodePort Services in front of the rule's pods, on a port that the rule opens for ingress."""
    if at.direction is Direction.EGRESS:
        return
    pods = pods_of(context.index.selected(at.policy))
    for service in context.cluster.services:
        if service.namespace != at.policy.namespace or service.type not in ("LoadBalancer", "NodePort"):
            continue
        if any(behind(service, pod) and _opens_target(at, service, pod) for pod in pods):
            yield service


def _opens_target(at: RuleAt, service: Service, pod: Pod) -> bool:
    return bool(rule_ports(at.rule, pod) & target_ports(service.ports, pod))


def _outside_passes(context: Context, at: RuleAt, found: PodClass) -> bool:
    """True when some outside address may use a port of the rule (as far as the pods' own side goes)."""
    for outside in context.reach.external:
        if at.direction is Direction.INGRESS:
            if context.reach.ingress_ports(outside.id, found.id) & rule_ports(at.rule, found.pods[0]):
                return True
        elif any(context.reach.egress_ports(found.id, outside.id) & port_set(p, found.pods[0]) for p in at.rule.ports):
            return True
    return False


def _hit(context: Context, at: RuleAt, shut: list[PodClass], fronted: list[Service]) -> Hit:
    names = context.index.names(shut)
    front = f" (behind {shortened([f'Service {s.namespace}/{s.name}' for s in fronted])})" if fronted else ""
    spaces = count(len(context.cluster.namespaces), "namespace")
    if at.direction is Direction.INGRESS:
        text = f"{at.where} admits every pod of all {spaces} to {shortened(names)}{front} and no address outside the cluster"
    else:
        text = f"{at.where} lets {shortened(names)} connect to every pod of all {spaces} and to no address outside the cluster"
    return Hit(
        subject=at.subject,
        message=f"{text}: namespaceSelector {{}} never matches the outside",
        evidence=(at.evidence, *(service_evidence(service) for service in fronted)),
        pods=pods_of(shut),
        suggestion=_for_the_outside(at),
        discriminator=at.content,
        details=names,
    )


def _for_the_outside(at: RuleAt) -> str:
    ports = policy_port_bodies(at.rule.ports)
    name = f"{at.policy.name}-outside"
    if at.direction is Direction.INGRESS:
        body = rule_body(at.direction, [{"ipBlock": {"cidr": "0.0.0.0/0"}}], ports)
        return policy_yaml(name, at.policy.namespace, at.policy.pod_selector, ingress=[body])
    body = rule_body(at.direction, [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(INSIDE)}}], ports)
    return policy_yaml(name, at.policy.namespace, at.policy.pod_selector, egress=[body])
