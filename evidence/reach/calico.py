"""Calico's NetworkPolicy and GlobalNetworkPolicy in the engine's form of rules.

1. Tiers by order, then name; without an order last. `default` is at 1,000,000 and denies, the tiers of AdminNetworkPolicy and
   BaselineAdminNetworkPolicy are at 1,000 and 10,000,000 and pass (tier.go; felix/calc/policy_sorter.go). A tier whose default action is Deny
   denies what its policies that select the pod in a direction do not decide; with Pass, or no such policy, the next tier is asked
   (felix/rules/endpoints.go). After the last tier the pod's profile, which a namespace makes, allows (libcalico-go conversion).
2. Policies by order, without one last; equal orders by name (GlobalNetworkPolicySpec.Order). Kubernetes NetworkPolicies stand in the tier
   `default` at order 1,000. How a namespaced policy's name compares with a global one's, or a Kubernetes policy's, and a name that
   begins with the tier's with one that does not, differs between versions (PolKVLess in policy_sorter.go): those are asked side by side.
3. `types` decides in which directions a policy counts; rules of another direction mean nothing. A rule that logs decides nothing.
4. A selector of a rule means pods on the pod network and the addresses of network sets and host endpoints that it matches, and nothing else
   (felix IP sets). A namespaced policy's selectors stay in its namespace unless namespaceSelector says otherwise; there `all()` is what is in any
   namespace, `global()` what is in none (updateprocessors/rules.go). notSelector by itself leaves everything else, the outside too.
5. Labels of pods are their own, those of their namespace behind `pcns.`, `projectcalico.org/namespace`, `…/orchestrator`, `…/serviceaccount`.
   and those of their service account behind `pcsa.`. Where the account of some pod was not read, a selector over such labels is not known.
6. A rule with nets, or with notNets, none of which is of a family matches nothing of that family (FilterRuleToIPVersion in felix/rules/policy.go).
7. Ports of the destination by number, range or name; a name means the port of that name and protocol of the pod, or host endpoint, that is the
   destination. A Deny or Pass rule with a name among its notPorts leaves a host endpoint's port of that name out wherever it is. Protocols
   without ports are not looked at here: a rule that matches no other is left out.
8. `services` means the addresses in the EndpointSlices of the Service, ready or not; as a destination with the ports there and no others
   (felix/serviceindex). Where no slice of it was read they are not known: only a slice tells a Service without endpoints from one that is not there.
9. doNotTrack and preDNAT policies are about host endpoints, never about pods (event_sequencer.go); applyOnForward changes nothing for pods.

Read in favour of "reachable", where something is not looked at or not known:

10. Ports of the source: an Allow rule ignores them, a Deny rule with them denies nothing. `http`: Allow, as if there were no such limit.
11. A limit that is not known is left out of an Allow rule; a Deny or Pass rule with one does nothing. The policy is named as not
    evaluated. One whose subject or tier is not known is left out and named.

Source: projectcalico/calico, files as named, and docs.tigera.io/calico, reference of NetworkPolicy, GlobalNetworkPolicy and Tier.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from evidence.cluster.calico import (
    DEFAULT_TIER,
    Accounts,
    Calico,
    CalicoPolicy,
    CalicoPort,
    CalicoRule,
    Entity,
)
from evidence.cluster.calico import Action as PolicyAction
from evidence.cluster.calico_names import ACCOUNT, NAMESPACE, OF_ACCOUNT, OF_NAMESPACE
from evidence.cluster.calico_selectors import (
    Both,
    Expression,
    Global,
    LabelTest,
    Not,
    Test,
    both,
    rewritten,
)
from evidence.cluster.calico_selectors import (
    Everything as All,
)
from evidence.cluster.model import Cluster, Direction, IpBlock, IPNetwork
from evidence.cluster.policies import Unknown
from evidence.reach.addresses import joined
from evidence.reach.calicopeers import Beside, known_beside
from evidence.reach.rules import (
    ADMIN,
    BASELINE,
    NETWORK_POLICY,
    Action,
    Addresses,
    Domains,
    Endpoints,
    Everything,
    Matcher,
    PolicyForm,
    PortMatch,
    RuleForm,
    Tier,
    Within,
)

_LAST = float("inf")
_ACTIONS = {PolicyAction.ALLOW: Action.ACCEPT, PolicyAction.DENY: Action.DENY, PolicyAction.PASS: Action.PASS}
_WHOLE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_IN_A_NAMESPACE = LabelTest(NAMESPACE, Test.HAS)
_WITH_AN_ACCOUNT = LabelTest(ACCOUNT, Test.HAS)
_OF_SHARED_TIERS: Mapping[str, Tier] = {
    "adminnetworkpolicy": ADMIN,
    "kube-admin": ADMIN,
    "baselineadminnetworkpolicy": BASELINE,
    "kube-baseline": BASELINE,
}


@dataclass(frozen=True, slots=True)
class _Place:
    tier: Tier
    closes: bool  # whether what its policies do not decide is denied


def translate(cluster: Cluster) -> Iterator[PolicyForm]:
    """Every Calico policy of a cluster that is about pods and can be placed, in the engine's form."""
    if not cluster.calico:
        return
    places = _places(cluster)
    beside = Beside(cluster, cluster.calico)
    for policy in cluster.calico.policies:
        if policy.tier in places and not policy.hosts_only and not any(policy.subject_unknown(beside.known)):
            yield _Translation(policy, places[policy.tier], beside).form()


def unevaluated(cluster: Cluster) -> Iterator[CalicoPolicy]:
    """Policies that are not evaluated, or not whole."""
    calico = cluster.calico or Calico()
    places = _places(cluster)
    known = known_beside(cluster, calico)
    for policy in calico.policies:
        if not policy.hosts_only and (policy.tier not in places or any(policy.unknown(known))):
            yield policy


def in_shared_tiers(cluster: Cluster) -> bool:
    """Whether policies stand in the tiers that AdminNetworkPolicies are in: such policies, or Calico's."""
    calico = cluster.calico or Calico()
    return bool(cluster.cluster_policies) or any(policy.tier in _OF_SHARED_TIERS for policy in calico.policies)


def _places(cluster: Cluster) -> Mapping[str, _Place]:
    """The tiers whose place is known. One of the very order of a tier that AdminNetworkPolicies are in is before or after it by version, which
    matters where that has policies; the API refuses to have those of the API's own names elsewhere or otherwise, so that nothing is known of one
    that says so."""
    calico = cluster.calico or Calico()
    shared = in_shared_tiers(cluster)
    found = {name: _Place(tier, closes=False) for name, tier in _OF_SHARED_TIERS.items()}
    found[DEFAULT_TIER] = _Place(NETWORK_POLICY, closes=True)
    for tier in calico.tiers:
        order = _LAST if tier.order is None else tier.order
        tied = shared and order in (ADMIN.order, BASELINE.order)
        fixed = found.get(tier.name)
        if fixed is None and not tied:
            found[tier.name] = _Place(Tier(order, tier.name), closes=not tier.passes)
        elif fixed and (tier.order not in (None, fixed.tier.order) or tier.passes is fixed.closes):
            del found[tier.name]
    return found


@dataclass(frozen=True, slots=True)
class _Translation:
    """One policy on its way into the engine's form."""

    policy: CalicoPolicy
    place: _Place
    beside: Beside

    def form(self) -> PolicyForm:
        policy = self.policy
        return PolicyForm(
            policy=policy,
            tier=self.place.tier,
            priority=_LAST if policy.order is None else policy.order,
            subject=self._endpoints(self._subject()),
            rules={
                direction: tuple(
                    form
                    for number, rule in enumerate(policy.rules(direction))
                    for form in self._rule(rule, direction, f"spec.{direction.value.lower()}[{number}]")
                )
                for direction in policy.types
            },
            isolates=policy.types if self.place.closes else frozenset(),
            lane=f"Calico {policy.key.kind}{' by its full name' if policy.key.name.startswith(f'{policy.tier}.') else ''}",
            position=policy.key.name,
        )

    def _subject(self) -> Expression:
        policy = self.policy
        found = [policy.selector] if policy.selector else []
        if policy.key.namespace:
            found.append(_in_namespace(policy.key.namespace))
            if policy.account_selector:
                found.append(_prefixed(policy.account_selector, OF_ACCOUNT))
            return both(*found)
        if policy.namespace_selector:
            found.append(_prefixed(policy.namespace_selector, OF_NAMESPACE))
            found = [_replaced(part, _IN_A_NAMESPACE) for part in found]
        if policy.account_selector:
            found.append(_prefixed(policy.account_selector, OF_ACCOUNT))
            found = [_replaced(part, _WITH_AN_ACCOUNT) for part in found]
        return both(*found)

    def _endpoints(self, selector: Expression) -> Endpoints:
        """Pods by a selector; one that is bound to the policy's namespace need not be asked elsewhere."""
        home = self.policy.key.namespace
        parts = selector.operands if isinstance(selector, Both) else (selector,)
        return Endpoints(home if home and _in_namespace(home) in parts else None, selector)

    def _rule(self, rule: CalicoRule, direction: Direction, where: str) -> Iterator[RuleForm]:
        if isinstance(rule.action, Unknown) or rule.action is PolicyAction.LOG or not rule.protocols:
            return
        action = _ACTIONS[rule.action]
        if action is not Action.ACCEPT and (
            any(rule.unknown(self.beside.known)) or rule.source.ports or rule.source.not_ports
        ):
            return
        inward = direction is Direction.INGRESS
        but_ports = _matches(rule, rule.destination.not_ports)
        if action is not Action.ACCEPT and not inward:
            left_out = self.beside.host_ports(rule.destination.not_ports, rule.protocols)
            but_ports += tuple(PortMatch(protocol, number) for _, protocol, number in left_out)
        for endpoints, ports in self._destinations(rule, inward=inward):
            source = self._limits(rule.source, self._service(rule.source), rule.ip_version if inward else None)
            destination = self._limits(rule.destination, endpoints, None if inward else rule.ip_version)
            subjects, peers = (destination, source) if inward else (source, destination)
            yield RuleForm(
                action,
                (Everything(),) if peers is None else peers,
                ports,
                where,
                subjects=subjects,
                but_ports=but_ports,
                limits=("http",) if rule.http else (),
            )

    def _destinations(
        self, rule: CalicoRule, *, inward: bool
    ) -> Iterator[tuple[Addresses | None, tuple[PortMatch, ...] | None]]:
        """A rule's ports; one with a Service, for each set of ports the endpoints that have it. Names may be ports of host endpoints, too."""
        service = rule.destination.service
        if service is None or service not in self.beside.known.services:
            yield None, _ports(rule)
            for addresses, protocol, number in (
                () if inward else self.beside.host_ports(rule.destination.ports, rule.protocols)
            ):
                yield addresses, (PortMatch(protocol, number),)
            return
        for endpoints, ports in self.beside.by_ports(service):
            here = tuple(PortMatch(protocol, number) for protocol, number in ports if protocol in rule.protocols)
            if here:
                yield endpoints, here

    def _service(self, entity: Entity) -> Addresses | None:
        known = entity.service if entity.service in self.beside.known.services else None
        return self.beside.endpoints(known) if known else None

    def _limits(
        self, entity: Entity, endpoints: Addresses | None, ip_version: int | None
    ) -> tuple[Matcher, ...] | None:
        """What an end of a rule may be; None: anything. `endpoints` are those of the Service that it names."""
        every: list[tuple[Matcher, ...]] = []
        none: list[Matcher] = []
        if ip_version is not None:
            every.append((IpBlock(_WHOLE[ip_version]),))
        if entity.nets:
            every.append((Addresses(joined(entity.nets)),))
        if endpoints is not None:
            every.append((endpoints,))
        if entity.domains:
            every.append((Domains(entity.domains),))
        selector = self._selector(entity)
        if any(entity.unread_labels(self.beside.known)):
            pass  # an Allow rule without what it says of labels that are not known
        elif selector is not None:
            every.append(self._selected(selector))
        elif entity.not_selector is not None:
            none += self._selected(entity.not_selector)
        if entity.not_nets:
            every += _families(entity.not_nets)
            none.append(Addresses(joined(entity.not_nets)))
        if len(every) == 1 and not none:
            return every[0]
        return (Within(tuple(every), tuple(none)),) if every or none else None

    def _selector(self, entity: Entity) -> Expression | None:
        """All that selects in an end of a rule, as one expression; None when only notSelector, or nothing, does."""
        home = self.policy.key.namespace
        parts = []
        if entity.namespace_selector is not None:
            parts.append(rewritten(_prefixed(entity.namespace_selector, OF_NAMESPACE), _by_namespace))
        elif home and any(x is not None for x in (entity.accounts, entity.selector, entity.not_selector)):
            parts.append(_in_namespace(home))
        if entity.accounts:
            parts += _accounts(entity.accounts)
        if entity.selector is not None:
            parts.append(entity.selector)
        if not parts:
            return None
        return both(*parts, *([Not(entity.not_selector)] if entity.not_selector is not None else ()))

    def _selected(self, selector: Expression) -> tuple[Matcher, ...]:
        return (self._endpoints(selector), *self.beside.sets(selector))


def _in_namespace(name: str) -> LabelTest:
    return LabelTest(NAMESPACE, Test.IN, (name,))


def _prefixed(selector: Expression, prefix: str) -> Expression:
    """The selector over labels of namespaces or service accounts, as pods have them."""
    return rewritten(
        selector,
        lambda part: LabelTest(prefix + part.key, part.test, part.values) if isinstance(part, LabelTest) else part,
    )


def _replaced(selector: Expression, everything: Expression) -> Expression:
    """The selector with something else for all()."""
    return rewritten(selector, lambda part: everything if isinstance(part, All) else part)


def _by_namespace(part: Expression) -> Expression:
    match part:
        case All():
            return _IN_A_NAMESPACE
        case Global():
            return Not(_IN_A_NAMESPACE)
        case _:
            return part


def _accounts(accounts: Accounts) -> Iterator[Expression]:
    if accounts.selector is not None:
        yield _prefixed(accounts.selector, OF_ACCOUNT)
    if accounts.names:
        yield LabelTest(ACCOUNT, Test.IN, tuple(sorted(set(accounts.names))))


def _families(networks: Iterable[IPNetwork]) -> list[tuple[Matcher, ...]]:
    """What limits an end to the families of some networks; nothing when both are there."""
    versions = {network.version for network in networks}
    return [] if len(versions) == 2 else [tuple(IpBlock(_WHOLE[version]) for version in versions)]


def _ports(rule: CalicoRule) -> tuple[PortMatch, ...] | None:
    if rule.destination.ports:
        return _matches(rule, rule.destination.ports)
    return None if len(rule.protocols) == 3 else tuple(PortMatch(protocol) for protocol in rule.protocols)


def _matches(rule: CalicoRule, ports: Iterable[CalicoPort]) -> tuple[PortMatch, ...]:
    return tuple(PortMatch(protocol, port.port, port.end_port) for port in ports for protocol in rule.protocols)
