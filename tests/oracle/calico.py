"""A naive evaluator of one connection under Calico, straight from the objects as they are written, sharing nothing with the program.

It reads the raw specs: its own reading of selectors, its own ports, its own sets. Where versions of Calico order two policies otherwise
(equal orders of different kinds), it tries every order and takes the most permissive.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from evidence.cluster.calico import CalicoPolicy, NetworkSet
from evidence.cluster.model import Cluster, Direction, IPAddress, NetworkPolicy, Pod
from evidence.cluster.policies import ClusterPolicy, Tier
from tests.oracle import naive
from tests.oracle.naive import Connection, Word

Policy = NetworkPolicy | ClusterPolicy | CalicoPolicy
_ATOM = re.compile(
    r"has\(\s*(?P<has>[\w./-]+)\s*\)|(?P<all>all\(\s*\))|(?P<outside>global\(\s*\))"
    r"|(?P<key>[\w./-]+)\s*(?P<test>==|!=|contains|starts\s*with|ends\s*with|not\s*in|in)\s*"
    r"""(?P<value>'[^']*'|"[^"]*"|\{[^}]*\})"""
)


def selects(selector: str, labels: Mapping[str, str], prefix: str = "", everything: bool = True) -> bool:
    """`everything` is what all() says."""
    return not selector.strip() or _truth(selector, tuple(sorted(labels.items())), prefix, everything)


@lru_cache(maxsize=1 << 14)
def _truth(selector: str, pairs: tuple[tuple[str, str], ...], prefix: str, everything: bool) -> bool:
    """Python's own `and`, `or`, `not` over one truth for each test."""
    labels = dict(pairs)

    def truth(found: re.Match[str]) -> str:
        return f" {_holds(found, labels, prefix, everything)} "

    words = _ATOM.sub(truth, selector).replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    return bool(eval(words.strip(), {"__builtins__": {}}))


def _holds(found: re.Match[str], labels: Mapping[str, str], prefix: str, everything: bool) -> bool:
    if found["all"]:
        return everything
    if found["outside"]:
        return "projectcalico.org/namespace" not in labels
    if found["has"]:
        return prefix + found["has"] in labels
    have = labels.get(prefix + found["key"])
    values = re.findall(r"'([^']*)'|\"([^\"]*)\"", found["value"])
    texts = [single or double for single, double in values]
    test = re.sub(r"\s", "", found["test"])
    if test in ("!=", "notin"):
        return have not in texts
    if have is None:
        return False
    return {
        "==": have in texts,
        "in": have in texts,
        "contains": texts[:1] != [] and texts[0] in have,
        "startswith": texts[:1] != [] and have.startswith(texts[0]),
        "endswith": texts[:1] != [] and have.endswith(texts[0]),
    }[test]


@dataclass(frozen=True)
class Stage:
    """A tier: its policies that select the pod, and what becomes of what none of them decides."""

    order: float
    name: str
    policies: tuple[Policy, ...]
    last_word: Word


def passes(cluster: Cluster, attempt: Connection, direction: Direction) -> bool:
    """One side of the connection."""
    subject = attempt.source if direction is Direction.EGRESS else attempt.destination
    if subject is None or subject.host_network:
        return True
    for stage in sorted(stages(cluster, subject, direction), key=lambda stage: (stage.order, stage.name)):
        said = {id(policy): says(cluster, attempt, direction, policy) for policy in stage.policies}
        words = {
            next((word for policy in order if (word := said[id(policy)])), stage.last_word)
            for order in orders(stage.policies)
        }
        word = next(word for word in (Word.YES, Word.GO_ON, Word.NO) if word in words)
        if word is not Word.GO_ON:
            return word is Word.YES
    return True


def stages(cluster: Cluster, subject: Pod, direction: Direction) -> Iterator[Stage]:
    calico = cluster.calico
    assert calico is not None
    mine: dict[str, list[Policy]] = {}
    for policy in calico.policies:
        if direction.value in types_of(spec_of(policy)) and is_about(cluster, policy, subject):
            mine.setdefault(policy.tier, []).append(policy)
    kubernetes = [
        policy
        for policy in cluster.policies
        if policy.namespace == subject.namespace
        and direction in policy.policy_types
        and naive.holds(policy.pod_selector, subject.labels)
    ]
    default = [*mine.pop("default", []), *kubernetes]
    yield Stage(1e6, "default", tuple(default), Word.NO if default else Word.GO_ON)
    for shared, order in ((Tier.ADMIN, 1e3), (Tier.BASELINE, 1e7)):
        wide = [p for p in cluster.cluster_policies if p.tier is shared and naive.about(cluster, p, subject)]
        yield Stage(order, "", tuple(wide), Word.GO_ON)
    for tier in calico.tiers:
        found = mine.get(tier.name, [])
        last = Word.NO if found and not tier.passes else Word.GO_ON
        yield Stage(float("inf") if tier.order is None else tier.order, tier.name, tuple(found), last)


def orders(policies: Sequence[Policy]) -> Iterator[Sequence[Policy]]:
    """Every order that is possible: by order, then by name in a lane (of one kind, and with the tier's name or without); lanes mix in any way."""
    groups = [list(equals) for _, equals in groupby(sorted(policies, key=order_of), key=order_of)]

    def after(number: int) -> Iterator[tuple[Policy, ...]]:
        if number == len(groups):
            yield ()
            return
        lanes: dict[str, list[Policy]] = {}
        for policy in groups[number]:
            lane = str(policy.key) if isinstance(policy, ClusterPolicy) else type(policy).__name__ + policy.key.kind
            if isinstance(policy, CalicoPolicy):
                lane += str(policy.key.name.startswith(spec_of(policy).get("tier", "default") + "."))
            lanes.setdefault(lane, []).append(policy)
        for listed in lanes.values():
            listed.sort(key=lambda policy: policy.key.name)
        for head in mixed(list(lanes.values())):
            for tail in after(number + 1):
                yield (*head, *tail)

    yield from after(0)


def mixed(lanes: list[list[Policy]]) -> Iterator[tuple[Policy, ...]]:
    left = [lane for lane in lanes if lane]
    if not left:
        yield ()
    for lane in left:
        for rest in mixed([other[1:] if other is lane else other for other in left]):
            yield (lane[0], *rest)


def order_of(policy: Policy) -> float:
    if isinstance(policy, NetworkPolicy):
        return 1000.0
    if isinstance(policy, ClusterPolicy):
        return float(policy.priority)
    order = spec_of(policy).get("order")
    return float("inf") if order is None else float(order)


def says(cluster: Cluster, attempt: Connection, direction: Direction, policy: Policy) -> Word | None:
    """What the first rule of a policy that matches says; None when none does."""
    if isinstance(policy, NetworkPolicy):
        rules = range(len(policy.rules(direction)))
        return Word.YES if any(naive.admits(cluster, attempt, direction, policy, n) for n in rules) else None
    if isinstance(policy, ClusterPolicy):
        if not any(naive.matches(cluster, attempt, direction, rule) for rule in policy.rules(direction)):
            return None
        return naive.first_word(cluster, attempt, direction, [policy])
    for rule in spec_of(policy).get(direction.value.lower()) or ():
        if rule["action"] != "Log" and rule_matches(cluster, policy, attempt, direction, rule):
            return {"Allow": Word.YES, "Deny": Word.NO, "Pass": Word.GO_ON}[rule["action"]]
    return None


def spec_of(policy: CalicoPolicy) -> Mapping[str, Any]:
    assert policy.origin is not None
    spec: Mapping[str, Any] = policy.origin.body["spec"]
    return spec


def types_of(spec: Mapping[str, Any]) -> Sequence[str]:
    if spec.get("types"):
        return list(spec["types"])
    if spec.get("egress"):
        return ["Ingress", "Egress"] if spec.get("ingress") else ["Egress"]
    return ["Ingress"]


def labels_of_pod(cluster: Cluster, pod: Pod) -> dict[str, str]:
    found = {f"pcns.{key}": value for key, value in cluster.namespaces[pod.namespace].labels.items()}
    found["pcns.projectcalico.org/name"] = pod.namespace
    found |= {f"pcsa.{key}": value for key, value in (pod.account_labels or {}).items()}
    found["pcsa.projectcalico.org/name"] = pod.service_account
    found.update(pod.labels)
    found["projectcalico.org/namespace"] = pod.namespace
    found["projectcalico.org/orchestrator"] = "k8s"
    found["projectcalico.org/serviceaccount"] = pod.service_account
    return found


def labels_of_set(cluster: Cluster, found: NetworkSet) -> dict[str, str]:
    home = found.key.namespace
    if not home:
        return dict(found.labels)
    inherited = {f"pcns.{key}": value for key, value in cluster.namespaces[home].labels.items()}
    return {
        **inherited,
        "pcns.projectcalico.org/name": home,
        **found.labels,
        "projectcalico.org/namespace": home,
    }


def is_about(cluster: Cluster, policy: CalicoPolicy, pod: Pod) -> bool:
    spec = spec_of(policy)
    if spec.get("doNotTrack") or spec.get("preDNAT"):
        return False
    labels = labels_of_pod(cluster, pod)
    if policy.key.namespace and policy.key.namespace != pod.namespace:
        return False
    return (
        selects(spec.get("selector", ""), labels)
        and selects(spec.get("namespaceSelector", ""), labels, "pcns.")
        and selects(spec.get("serviceAccountSelector", ""), labels, "pcsa.")
    )


def rule_matches(
    cluster: Cluster, policy: CalicoPolicy, attempt: Connection, direction: Direction, rule: Mapping[str, Any]
) -> bool:
    other = attempt.destination_address if direction is Direction.EGRESS else attempt.source_address
    version = rule.get("ipVersion")
    if version and (other is None or other.version != version):
        return False
    if "protocol" in rule and not is_protocol(rule["protocol"], attempt):
        return False
    if "notProtocol" in rule and is_protocol(rule["notProtocol"], attempt):
        return False
    home = policy.key.namespace
    source, destination = rule.get("source") or {}, rule.get("destination") or {}
    if not end_matches(cluster, home, source, attempt.source, attempt.source_address):
        return False
    if not end_matches(cluster, home, destination, attempt.destination, attempt.destination_address):
        return False
    if not behind(cluster, home, source.get("services"), attempt.source_address, None):
        return False
    if not behind(cluster, home, destination.get("services"), attempt.destination_address, attempt):
        return False
    if destination.get("ports") and not any(is_port(port, attempt) for port in destination["ports"]):
        return False
    return not any(is_port(port, attempt) for port in destination.get("notPorts") or ())


def behind(
    cluster: Cluster,
    home: str,
    services: Mapping[str, str] | None,
    address: IPAddress | None,
    attempt: Connection | None,
) -> bool:
    """True when the address is in a slice of the Service, and the port of the attempt is a port of that slice."""
    if not services:
        return True
    name = (services.get("namespace") or home, services["name"])
    return any(
        address in endpoint.addresses
        and (attempt is None or any((p.protocol, p.number) == (attempt.protocol, attempt.port) for p in found.ports))
        for found in cluster.endpoint_slices
        if (found.namespace, found.service) == name
        for endpoint in found.endpoints
    )


def is_protocol(given: str | int, attempt: Connection) -> bool:
    return str(given).upper() in (
        attempt.protocol.value,
        {"TCP": "6", "UDP": "17", "SCTP": "132"}[attempt.protocol.value],
    )


def is_port(given: str | int, attempt: Connection) -> bool:
    if isinstance(given, str) and not given[0].isdigit():
        pod = attempt.destination
        return pod is not None and any(
            (port.name, port.protocol, port.number) == (given, attempt.protocol, attempt.port) for port in pod.ports
        )
    first, _, last = str(given).partition(":")
    return int(first) <= attempt.port <= int(last or first)


def end_matches(
    cluster: Cluster, home: str, entity: Mapping[str, Any], pod: Pod | None, address: IPAddress | None
) -> bool:
    nets, without = entity.get("nets") or (), entity.get("notNets") or ()
    if nets and not any(naive.within(address, net) for net in nets):
        return False
    if without:
        if len({":" in net for net in without}) == 1 and (
            address is None or (address.version == 6) != (":" in without[0])
        ):
            return False
        if any(naive.within(address, net) for net in without):
            return False
    if entity.get("selector") or entity.get("namespaceSelector") or entity.get("serviceAccounts"):
        return is_selected(cluster, home, entity, pod, address)
    if entity.get("notSelector"):
        if home:
            return is_selected(cluster, home, entity, pod, address)
        return not is_selected(cluster, home, {"selector": entity["notSelector"]}, pod, address)
    return True


def is_selected(
    cluster: Cluster, home: str, entity: Mapping[str, Any], pod: Pod | None, address: IPAddress | None
) -> bool:
    """True when something that the selectors select is the pod, or holds the address."""
    candidates = []
    if pod is not None and not pod.host_network:
        candidates.append(labels_of_pod(cluster, pod))
    assert cluster.calico is not None
    holding = [found for found in cluster.calico.sets if any(naive.within(address, net) for net in found.nets)]
    candidates += [labels_of_set(cluster, found) for found in holding]
    return any(satisfies(home, entity, labels) for labels in candidates)


def satisfies(home: str, entity: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    here = labels.get("projectcalico.org/namespace")
    if entity.get("namespaceSelector"):
        if not selects(entity["namespaceSelector"], labels, "pcns.", everything=here is not None):
            return False
    elif home and here != home:
        return False
    accounts = entity.get("serviceAccounts") or {}
    if accounts.get("names") and labels.get("projectcalico.org/serviceaccount") not in accounts["names"]:
        return False
    if accounts.get("selector") and not selects(accounts["selector"], labels, "pcsa."):
        return False
    if not selects(entity.get("selector", ""), labels):
        return False
    return not (entity.get("notSelector") and selects(entity["notSelector"], labels))
