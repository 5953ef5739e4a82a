"""Calico policies for a cluster of `clusters.py`: three tiers, network sets, and selectors as people write them. Same arguments, same bytes.

1. Tier `security` (order 100, passes): global policies that keep known bad addresses out and card data in, the rest passes.
2. Tier `platform` (order 500, passes): global policies of the platform's owners: name resolution, scraping, stages apart.
3. Tier `default`: namespaced policies of the products, as many as are left.

One policy in eight is global, half of these in each of the first two tiers. A network set has 40 networks, one for 20 policies.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

Object = dict[str, Any]

API = "projectcalico.org/v3"
GLOBAL_SHARE = 8
POLICIES_A_SET = 20
NETS_IN_SET = 40


def calico(spaces: Sequence[tuple[str, Sequence[str]]], policies: int, seed: int) -> Iterator[Object]:
    """Calico's objects for namespaces, each with the names of its components."""
    draw = random.Random(seed)
    for name, order in (("security", 100), ("platform", 500)):
        yield _object("Tier", name, None, {"order": order, "defaultAction": "Pass"})
    sets = max(1, policies // POLICIES_A_SET)
    for number in range(sets):
        nets = sorted(
            {f"198.{18 + draw.randrange(2)}.{draw.randrange(256)}.{draw.randrange(256)}/32" for _ in range(NETS_IN_SET)}
        )
        labels = {"feed": draw.choice(("bad", "partner", "office")), "list": f"list-{number}"}
        yield _object("GlobalNetworkSet", f"list-{number}", None, {"nets": nets}, labels)
    for number in range(policies // (2 * GLOBAL_SHARE)):
        yield _security(draw, number, sets)
        yield _platform(draw, number)
    left = policies - 2 * (policies // (2 * GLOBAL_SHARE))
    for number in range(left):
        space, components = spaces[number % len(spaces)]
        yield _product(draw, space, components, number)


def _security(draw: random.Random, number: int, sets: int) -> Object:
    spec: Object = {"tier": "security", "order": 10 * (number % 40), "types": ["Ingress", "Egress"]}
    chosen = {"selector": f"list == 'list-{draw.randrange(sets)}'"}
    match number % 3:
        case 0:
            spec["namespaceSelector"] = f"owner == 'team-{draw.randrange(12)}'"
            spec["ingress"] = [
                {"action": "Log", "source": chosen},
                {"action": "Deny", "source": chosen},
                {"action": "Pass"},
            ]
            spec["egress"] = [{"action": "Deny", "destination": chosen}, {"action": "Pass"}]
        case 1:
            spec["selector"] = (
                f"pcns.scope == 'card-data' && app in {{'payments', 'ledger', '{draw.choice(('cache', 'queue'))}'}}"
            )
            stranger = {"selector": "pcns.scope != 'card-data' && pcns.scope != 'connected'"}
            spec["ingress"] = [{"action": "Deny", "source": stranger}, {"action": "Pass"}]
            spec["egress"] = [{"action": "Pass"}]
        case _:
            spec["selector"] = f"tier == 'data' && release != '{draw.choice(('blue', 'green'))}'"
            spec["ingress"] = [
                {"action": "Deny", "source": {"notNets": ["10.0.0.0/8", "172.16.0.0/12"]}},
                {"action": "Pass"},
            ]
            spec["egress"] = [{"action": "Pass"}]
    return _object("GlobalNetworkPolicy", f"security.guard-{number}", None, spec)


def _platform(draw: random.Random, number: int) -> Object:
    spec: Object = {"tier": "platform", "order": 10 * (number % 40)}
    resolver = {
        "namespaceSelector": "projectcalico.org/name == 'kube-system'",
        "selector": "k8s-app == 'kube-dns'",
        "ports": [53],
    }
    match number % 3:
        case 0:
            spec["selector"] = f"app starts with '{draw.choice(('order', 'pay', 'data', 'ca'))}' && has(release)"
            spec["egress"] = [{"action": "Allow", "protocol": "UDP", "destination": resolver}, {"action": "Pass"}]
        case 1:
            stage = draw.choice(("production", "staging", "test"))
            spec["namespaceSelector"] = (
                f"stage == '{stage}' && owner in {{'team-{draw.randrange(12)}', 'team-{draw.randrange(12)}'}}"
            )
            other = {"namespaceSelector": f"has(stage) && stage != '{stage}'"}
            spec["ingress"] = [{"action": "Deny", "source": other}, {"action": "Pass"}]
        case _:
            spec["selector"] = f"app == '{draw.choice(('mailer', 'batch', 'gateway', 'orders'))}'"
            scraper = {"namespaceSelector": "projectcalico.org/name == 'monitoring'", "selector": "app == 'prometheus'"}
            rule = {
                "action": "Allow",
                "protocol": "TCP",
                "source": scraper,
                "destination": {"ports": [9102, "8080:8090"]},
            }
            spec["ingress"] = [rule, {"action": "Pass"}]
    return _object("GlobalNetworkPolicy", f"platform.common-{number}", None, spec)


def _product(draw: random.Random, space: str, components: Sequence[str], number: int) -> Object:
    app = draw.choice(list(components))
    spec: Object = {"order": draw.choice((100, 500, 900, 2000)), "selector": f"app == '{app}'"}
    port = draw.choice((8080, 8443, 50051, 5432, "http", "20000:20100"))
    match draw.randrange(5):
        case 0:
            peers = {"selector": f"app in {{'{draw.choice(list(components))}', '{draw.choice(list(components))}'}}"}
            spec["ingress"] = [
                {"action": "Allow", "protocol": "TCP", "source": peers, "destination": {"ports": [port]}}
            ]
        case 1:
            peers = {"namespaceSelector": f"owner == 'team-{draw.randrange(12)}'", "selector": "tier == 'edge'"}
            spec["ingress"] = [
                {"action": "Allow", "protocol": "TCP", "source": peers, "destination": {"ports": [port]}}
            ]
        case 2:
            spec["egress"] = [
                {"action": "Deny", "destination": {"nets": [f"203.0.{draw.randrange(114)}.0/24"]}},
                {"action": "Allow", "protocol": "TCP", "destination": {"ports": [port], "notNets": ["169.254.0.0/16"]}},
            ]
        case 3:
            partner = {"namespaceSelector": "global()", "selector": f"list == 'list-{draw.randrange(20)}'"}
            spec["ingress"] = [
                {"action": "Allow", "protocol": "TCP", "source": partner, "destination": {"ports": [443]}}
            ]
        case _:
            spec["selector"] = f"app == '{app}' && release == 'green'"
            spec["ingress"] = [{"action": "Allow", "source": {"notSelector": "tier == 'edge'"}}]
    return _object("NetworkPolicy", f"product-{number}", space, spec)


def _object(kind: str, name: str, space: str | None, spec: Object, labels: dict[str, str] | None = None) -> Object:
    metadata: Object = {
        "name": name,
        **({"namespace": space} if space else {}),
        **({"labels": labels} if labels else {}),
    }
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}
