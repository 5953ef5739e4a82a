"""The report as JSON, in the stable shape that `report.schema.json` beside this file describes."""

import orjson

from evidence.cni.model import CniReport, DetectedPlugin


def as_json(report: CniReport) -> bytes:
    """UTF-8, indented, keys in the schema's order; the same report gives the same bytes."""
    content = {
        "enforcement": report.enforcement.value,
        "reasons": list(report.reasons),
        "plugins": [_plugin(plugin) for plugin in report.plugins],
        "unhealthy_nodes": list(report.unhealthy_nodes),
        "uncovered": list(report.uncovered),
        "pod_networks": [str(network) for network in report.pod_networks],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _plugin(plugin: DetectedPlugin) -> dict[str, object]:
    return {
        "id": plugin.id,
        "name": plugin.name,
        "version": plugin.version,
        "running": plugin.found,
        "enforces": plugin.enforces,
        "mode": plugin.mode,
        "set_up": list(plugin.traits),
        "softened": list(plugin.softened),
        "agent": None if plugin.agent is None else str(plugin.agent),
        "nodes_needed": plugin.agent_desired,
        "nodes_ready": plugin.agent_ready,
        "unready_nodes": list(plugin.unready_nodes),
        "signals": [{"weight": signal.weight.value, "text": signal.text} for signal in plugin.signals],
        "features": {name: support.value for name, support in plugin.features.items()},
        "caveats": list(plugin.caveats),
    }
