"""Which network plugin a cluster runs, what it enforces, and whether that may be claimed.

1. A plugin is named on one strong sign or two medium ones (signals.py); all that are named are reported.
2. Its features come from its agent's version; a version that the data does not speak of leaves every feature unknown.
3. "Enforced" takes exactly one running enforcer, a known version, no sign that it is switched off, and a ready agent on
   every node that carries pods. Anything less is partial or not shown.
4. "Not enforced" takes plugins that are known not to enforce and nothing else. Nothing recognised is "not shown".
"""

from collections.abc import Iterable, Sequence

from evidence.cluster.model import Cluster
from evidence.cni import nodes
from evidence.cni.capabilities import PluginSpec, plugin_specs
from evidence.cni.conditions import seen
from evidence.cni.model import CniReport, DetectedPlugin, Enforcement, Signal, Support, Weight
from evidence.cni.modes import mode, softened, traits
from evidence.cni.signals import Agent, agents, daemon_sets, images_by_repository, is_named, signals
from evidence.cni.versions import Version, parse_version

__all__ = ["CniReport", "DetectedPlugin", "Enforcement", "Signal", "Support", "Weight", "detect"]

_WEAKEST_FIRST = (Support.NONE, Support.UNKNOWN, Support.OPTIONAL, Support.PARTIAL, Support.FULL)


def detect(cluster: Cluster) -> CniReport:
    """The report for one cluster at one time; a pure function of it."""
    all_daemon_sets = daemon_sets(cluster)
    plugins = tuple(p for spec in plugin_specs() if (p := _recognised(spec, cluster, all_daemon_sets)) is not None)
    enforcement, reasons = _verdict(plugins, cluster)
    running = [plugin for plugin in plugins if plugin.found and plugin.enforces is not False]
    unhealthy = {name for plugin in running for name in plugin.unready_nodes}
    return CniReport(
        plugins=plugins,
        enforcement=enforcement,
        reasons=(*reasons, *(f"{plugin.name}: {caveat}" for plugin in plugins for caveat in plugin.caveats)),
        unhealthy_nodes=tuple(sorted(unhealthy)),
        uncovered=nodes.uncovered(cluster),
        pod_networks=tuple(
            sorted({n for node in cluster.nodes for n in node.pod_cidrs}, key=lambda n: (n.version, n.network_address))
        ),
    )


def _recognised(spec: PluginSpec, cluster: Cluster, all_daemon_sets: Sequence[Agent]) -> DetectedPlugin | None:
    own = agents(spec.agent, all_daemon_sets)
    signs = tuple(
        sorted({signal for _, signal in own} | set(signals(spec, cluster)), key=lambda s: (-_rank(s), s.text))
    )
    if not is_named(signs):
        return None
    found = bool(own) or spec.agent.embedded
    running = tuple(agent for agent, _ in own)
    texts = _versions(spec, cluster, running)
    versions = {parse_version(text) for text in texts} or {None}
    features = {feature: _weakest(spec, feature, versions) for feature in spec.features}
    what = seen(spec, cluster, running)
    effect, shown_by = mode(spec, what) if found else ("unknown", "")
    set_up = tuple(traits(spec, what)) if found else ()
    for trait in set_up:
        features |= {name: level for name, level in trait.features.items() if features[name] is not Support.UNKNOWN}
    cover = _coverage(spec, cluster, running)
    return DetectedPlugin(
        id=spec.id,
        name=spec.name,
        version=_version_text(texts),
        mode=shown_by,
        enforces=_enforces(features, effect, found),
        signals=signs,
        features=features,
        agent=running[0].key if running else None,
        agent_desired=len(cover.needed) if cover.shown and found else None,
        agent_ready=len(cover.ready) if cover.shown and found else None,
        unready_nodes=cover.unready if cover.shown and found else (),
        traits=tuple(trait.text for trait in set_up),
        softened=softened(spec, what) if found and effect != "off" else (),
        ignored_kinds=frozenset(kind for trait in set_up for kind in trait.ignores),
        delegates=spec.delegates,
        found=found,
        caveats=spec.caveats if found else (),
    )


def _coverage(spec: PluginSpec, cluster: Cluster, running: Iterable[Agent]) -> nodes.Coverage:
    if spec.agent.embedded:
        return nodes.embedded_coverage(cluster)
    return nodes.coverage(cluster, [agent.key for agent in running])


def _rank(signal: Signal) -> int:
    return 1 if signal.weight is Weight.STRONG else 0


def _versions(spec: PluginSpec, cluster: Cluster, running: Iterable[Agent]) -> frozenset[str]:
    """Version texts as images or kubelets give them; several while an upgrade rolls, "" for one that names none (a digest)."""
    if spec.version_from_kubelet:
        return frozenset(node.kubelet_version for node in cluster.nodes)
    tags = images_by_repository(running)
    for pattern in spec.version_images:
        found = [tags[repository] for repository in tags if pattern.search(repository)]
        if found:
            return frozenset().union(*found)
    return frozenset()


def _version_text(texts: frozenset[str]) -> str:
    return ", ".join(text or "one not visible" for text in sorted(texts)) if texts - {""} else ""


def _weakest(spec: PluginSpec, feature: str, versions: Iterable[Version | None]) -> Support:
    """What may be claimed when several versions run side by side."""
    return min((spec.support(feature, version) for version in versions), key=_WEAKEST_FIRST.index)


def _enforces(features: dict[str, Support], effect: str, found: bool) -> bool | None:
    """Both directions fully and switched on: True. Off, or neither direction: False. Anything else cannot be said."""
    if not found:
        return None
    both = (features["ingress"], features["egress"])
    if effect == "off" or both == (Support.NONE, Support.NONE):
        return False
    if effect == "on" and both == (Support.FULL, Support.FULL):
        return True
    return None


def _verdict(plugins: Sequence[DetectedPlugin], cluster: Cluster) -> tuple[Enforcement, tuple[str, ...]]:
    running = [plugin for plugin in plugins if plugin.found and not plugin.delegates]
    candidates = [plugin for plugin in running if plugin.enforces is not False]
    traces = tuple(f"traces of {p.name} without a running agent: {_signs(p)}" for p in plugins if not p.found)
    match candidates:
        case []:
            return _without_enforcer(running, traces, plugins, cluster)
        case [one]:
            verdict, reasons = _one_enforcer(one, cluster)
            wires = tuple(f"{p.title} is there too and enforces nothing" for p in running if p is not one)
            return verdict, (*reasons, *wires, *traces)
        case several:
            names = " and ".join(plugin.title for plugin in several)
            return Enforcement.NOT_SHOWN, (
                f"{names} are both there: which of them decides is not visible, and such a pair is not supported",
                *traces,
            )


def _without_enforcer(
    running: Sequence[DetectedPlugin], traces: tuple[str, ...], plugins: Sequence[DetectedPlugin], cluster: Cluster
) -> tuple[Enforcement, tuple[str, ...]]:
    if not running:
        nothing = "no network plugin was recognised in the collected objects" if not traces else "no agent is running"
        if calling := [plugin.name for plugin in plugins if plugin.found and plugin.delegates]:
            nothing = f"{' and '.join(calling)} calls another network plugin, and none was recognised"
        return Enforcement.NOT_SHOWN, (nothing, *traces, *_unread(cluster))
    reasons = tuple(f"{p.title} does not enforce policies: {p.mode or _signs(p)}" for p in running)
    if traces or _unread(cluster):
        return Enforcement.NOT_SHOWN, (*reasons, *traces, *_unread(cluster))
    return Enforcement.NOT_ENFORCED, reasons


def _one_enforcer(plugin: DetectedPlugin, cluster: Cluster) -> tuple[Enforcement, tuple[str, ...]]:
    if plugin.enforces is None:
        if plugin.features["ingress"] is Support.UNKNOWN:
            what = (
                f"version {plugin.version} is not one that is known here" if plugin.version else "no version is visible"
            )
        else:
            what = plugin.mode or "its support of policies is not known"
        return Enforcement.NOT_SHOWN, (f"{plugin.name} is there ({_signs(plugin)}), but {what}",)
    if plugin.agent_desired is None:
        return Enforcement.NOT_SHOWN, (
            f"{plugin.title} is there, but nodes or pods were not read, so its agents' state is not visible",
        )
    beyond = nodes.beyond_agents(cluster)
    reasons = [f"{plugin.title} enforces policies: agent ready on {plugin.agent_ready} of {plugin.agent_desired} nodes"]
    if plugin.mode:
        reasons.append(f"{plugin.name}: {plugin.mode}")
    reasons += [f"{plugin.name}: {weaker}" for weaker in plugin.softened]
    if plugin.unready_nodes:
        reasons.append(f"no ready agent on {', '.join(plugin.unready_nodes)}")
    if beyond:
        reasons.append(f"pods run where no agent can be shown: {', '.join(beyond)}")
    if plugin.features["ipv6"] is not Support.FULL and _has_ipv6_pods(cluster):
        reasons.append(f"pods have IPv6 addresses, and {plugin.title} is not known to enforce policies on IPv6")
        return Enforcement.NOT_SHOWN, tuple(reasons)
    if plugin.agent_ready == 0:
        return Enforcement.NOT_SHOWN, tuple(reasons)
    whole = not plugin.unready_nodes and not beyond
    return (Enforcement.ENFORCED if whole else Enforcement.PARTIAL), tuple(reasons)


def _has_ipv6_pods(cluster: Cluster) -> bool:
    return any(a.version == 6 for pod in cluster.pods if not pod.host_network for a in pod.addresses)


def _signs(plugin: DetectedPlugin) -> str:
    return "; ".join(signal.text for signal in plugin.signals)


def _unread(cluster: Cluster) -> tuple[str, ...]:
    """Kinds whose absence could hide an enforcer."""
    missing = [kind for kind in ("DaemonSet", "Pod") if kind in cluster.unread_kinds]
    return (f"not read whole: {', '.join(missing)}; an enforcer may be among them",) if missing else ()
