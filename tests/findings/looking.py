"""How tests look at rules: a context from a few builders, one rule run on it, and marks that say which rule a test shows."""

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import yaml

import evidence.findings  # noqa: F401  (registers the rules)
from evidence.cluster.model import Cluster, Direction, NetworkPolicy, Pod
from evidence.cluster.objects import CollectedObject, Collection, ObjectKey, SourceInfo
from evidence.cluster.parse import build_cluster
from evidence.cluster.policies import GROUP, Action, ClusterPolicy, ClusterRule, Tier
from evidence.cni.model import CniReport, Enforcement
from evidence.findings.finding import Finding
from evidence.findings.registry import RULES, Context, RuleRun, RunStatus, run_rule
from evidence.intent.model import Classification, Intent, Zone, ZoneMember
from evidence.intent.zones import assign
from evidence.observe.seen import Observations
from evidence.probe.standing import Standing
from evidence.reach.engine import Reachability, analyse
from tests import builders

NOON = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
NOT_RECOGNISED = CniReport((), Enforcement.NOT_SHOWN, ("no plugin was recognised",))

Test = TypeVar("Test", bound=Callable[..., None])


def hit(*rules: str) -> Callable[[Test], Test]:
    """Marks a test in which the rules find something."""
    return _mark("hit", rules)


def near_miss(*rules: str) -> Callable[[Test], Test]:
    """Marks a test in which the rules look at nearly the same and find nothing."""
    return _mark("near miss", rules)


def _mark(what: str, rules: tuple[str, ...]) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        shown = getattr(test, "shows", ())
        test.shows = (*shown, *((what, rule) for rule in rules))  # type: ignore[attr-defined]
        return test

    return mark


def shown() -> Mapping[str, frozenset[str]]:
    """Rules by what the tests of this folder show of them: "hit" and "near miss"."""
    found: dict[str, set[str]] = defaultdict(set)
    package = importlib.import_module("tests.findings")
    for module in pkgutil.iter_modules(package.__path__, "tests.findings."):
        if module.name.rpartition(".")[2].startswith("test_"):
            for test in vars(importlib.import_module(module.name)).values():
                for what, rule in getattr(test, "shows", ()):
                    found[what].add(rule)
    return {what: frozenset(rules) for what, rules in found.items()}


def context(
    cluster: Cluster,
    intent: Intent | None = None,
    *,
    cni: CniReport = NOT_RECOGNISED,
    at: datetime = NOON,
    taken_at: datetime | None = None,
    unseen: tuple[str, ...] = (),
    observed: Callable[[Reachability], Observations] | None = None,
    probed: Standing | None = None,
) -> Context:
    networks = [network for zone in (intent.zones if intent else ()) for network in zone.cidrs]
    reach = analyse(cluster, extra_networks=networks)
    seen = observed(reach) if observed else None
    return Context(cluster, reach, cni, intent, assign(intent, cluster), at, taken_at or at, unseen, seen, probed)


def look(rule: str, cluster: Cluster, intent: Intent | None = None, **given: Any) -> tuple[RuleRun, list[Finding]]:
    """One rule on one cluster."""
    return run_rule(RULES[rule], context(cluster, intent, **given))


def findings(rule: str, cluster: Cluster, intent: Intent | None = None, **given: Any) -> list[Finding]:
    return look(rule, cluster, intent, **given)[1]


def finding(rule: str, cluster: Cluster, intent: Intent | None = None, **given: Any) -> Finding:
    """The one finding of a rule."""
    found = findings(rule, cluster, intent, **given)
    assert len(found) == 1, [str(f.subject) + ": " + f.message for f in found]
    return found[0]


def clean(rule: str, cluster: Cluster, intent: Intent | None = None, **given: Any) -> bool:
    """True when the rule looked at everything, at something in fact, and found nothing."""
    run, found = look(rule, cluster, intent, **given)
    assert not found, [str(f.subject) + ": " + f.message for f in found]
    assert run.status is RunStatus.RAN, run.reason
    assert run.population > 0
    return True


def suggested(found: Finding) -> NetworkPolicy:
    """The suggested policy as the cluster would read it."""
    body = yaml.safe_load(found.suggestion)
    key = ObjectKey("networking.k8s.io", "NetworkPolicy", body["metadata"]["namespace"], body["metadata"]["name"])
    collection = Collection(SourceInfo("files", "suggestion"), (CollectedObject.of(key, body, "suggestion:1"),), ())
    (policy,) = build_cluster(collection).policies
    return policy


def mended(cluster: Cluster, found: Finding) -> Cluster:
    """The cluster with the suggestion applied beside what is there."""
    return with_policies(cluster, suggested(found))


def with_policies(cluster: Cluster, *policies: NetworkPolicy) -> Cluster:
    kept = {policy.key: policy for policy in (*cluster.policies, *policies)}
    return replace(cluster, policies=tuple(kept[key] for key in sorted(kept)))


def of(kind: str, name: str, *pods: Pod) -> tuple[Pod, ...]:
    """The pods as those of one workload."""
    return tuple(replace(pod, workload=ObjectKey("apps", kind, pod.namespace, name)) for pod in pods)


def baseline_deny(direction: Direction) -> ClusterPolicy:
    """A BaselineAdminNetworkPolicy that denies everything between pods, in one direction."""
    everyone = builders.peer(namespaces={})
    rules = (ClusterRule("deny", Action.DENY, (everyone,)),)
    ingress, egress = (rules, ()) if direction is Direction.INGRESS else ((), rules)
    key = ObjectKey(GROUP, "BaselineAdminNetworkPolicy", "", "default")
    return ClusterPolicy(key, f"{GROUP}/v1alpha1", Tier.BASELINE, 0, everyone, ingress, egress)


def zone(
    name: str,
    classification: Classification,
    *namespaces: str,
    pods: Mapping[str, str] | None = None,
    cidrs: Iterable[str] = (),
) -> Zone:
    selector = None if pods is None else builders.selector(pods)
    members = (ZoneMember(namespaces=namespaces, pod_selector=selector),) if namespaces or pods else ()
    return Zone(name, classification, members=members, cidrs=tuple(builders.block(cidr).cidr for cidr in cidrs))
