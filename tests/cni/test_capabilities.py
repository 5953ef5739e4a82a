"""capabilities.yaml is as reviewed as code: its schema holds, every line of it is read, every pattern and source is used."""

import json
import re
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
import yaml

from evidence.cluster.plugins import ANOTHER, CONFIG_MAPS, ENVIRONMENT, FELIX_FIELDS, INSTALLATION_FIELDS
from evidence.cni.capabilities import Condition, PluginSpec, plugin_specs
from evidence.cni.model import Support
from evidence.cni.versions import parse_version, split_image
from evidence.collect.keep import PLUGIN_FLAGS
from evidence.collect.kinds import BY_GROUP_KIND
from evidence.collect.pluginsettings import PLUGIN_NAMESPACES
from evidence.resources import package_file

SPECS = {spec.id: spec for spec in plugin_specs()}


@pytest.fixture(scope="module")
def data() -> Any:
    return yaml.safe_load(package_file("cni", "capabilities.yaml").read_bytes())


def test_file_is_as_its_schema_says(data: Any) -> None:
    schema = json.loads(package_file("cni", "capabilities.schema.json").read_bytes())
    errors = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).iter_errors(data)
    assert [f"{'/'.join(str(part) for part in error.path)}: {error.message}" for error in errors] == []


def test_every_source_is_named_once_and_used(data: Any) -> None:
    used = {
        name
        for plugin in data["plugins"]
        for part in (plugin, *plugin["features"].values())
        for name in part.get("src", ())
    }
    assert used == set(data["sources"])


def test_plugin_ids_names_and_agents_are_unique() -> None:
    assert len(SPECS) == len(plugin_specs())
    assert len({spec.name for spec in SPECS.values()}) == len(SPECS)
    homes = [
        (namespace, name)
        for spec in SPECS.values()
        if spec.agent.with_image is None  # which tells it apart
        for namespace in spec.agent.namespaces
        for name in spec.agent.names
    ]
    assert len(homes) == len(set(homes))


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.id)
def test_every_plugin_has_a_strong_sign_or_can_have_two(spec: PluginSpec) -> None:
    assert spec.agent.names or any(signal.weight == "strong" for signal in spec.signals)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.id)
def test_what_may_enforce_is_bounded_by_versions(spec: PluginSpec) -> None:
    """Data without an upper bound would speak of releases that nobody has looked at."""
    may_enforce = any(step.support is not Support.NONE for steps in spec.features.values() for step in steps)
    assert not may_enforce or (spec.first is not None and spec.before is not None)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.id)
def test_steps_ascend_from_the_beginning(spec: PluginSpec) -> None:
    for steps in spec.features.values():
        since = [step.since for step in steps]
        assert since == sorted(set(since))
        assert since[0] in ((), (0,))
        assert all(a.support is not b.support for a, b in pairwise(steps))


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.id)
def test_outside_its_versions_every_feature_is_unknown(spec: PluginSpec) -> None:
    if spec.first is None or spec.before is None:
        return
    for outside in (None, spec.before, (spec.before[0] + 1,)):
        assert {spec.support(feature, outside) for feature in spec.features} == {Support.UNKNOWN}
    if spec.first < spec.before:
        assert Support.UNKNOWN is not spec.support("ingress", spec.first)


# one image for each pattern, as it stands in the plugin's own manifests or in a mirror of them
IMAGES = {
    "calico": ("docker.io/calico/node:v3.29.3", "quay.io/calico/node:v3.30.0", "rancher/mirrored-calico-node:v3.27.0",
               "rancher/hardened-calico:v3.28.1-build20240806", "mirror.example:5000/k8s/calico/node:v3.29.3"),
    "cilium": ("quay.io/cilium/cilium:v1.16.5@sha256:2e61", "rancher/mirrored-cilium-cilium:v1.15.5"),
    "flannel": ("ghcr.io/flannel-io/flannel:v0.26.1", "docker.io/flannel/flannel:v0.24.2", "quay.io/coreos/flannel:v0.14.0",
                "rancher/hardened-flannel:v0.25.5-build20240801", "rancher/mirrored-flannel-flannel:v0.24.2"),
    "kube-network-policies": ("registry.k8s.io/networking/kube-network-policies:v0.7.0",),
    "weave": ("weaveworks/weave-kube:2.8.1", "docker.io/weaveworks/weave-npc:2.8.1"),
    "kube-router": ("docker.io/cloudnativelabs/kube-router:v2.4.1", "quay.io/k0sproject/kube-router:v2.1.0-iptables1.8.9-0"),
    "antrea": ("antrea/antrea-agent-ubuntu:v2.2.0", "antrea/antrea-ubuntu:v1.14.0", "projects.registry.vmware.com/antrea/antrea-ubuntu:v1.3.0"),
    "ovn-kubernetes": ("ghcr.io/ovn-org/ovn-kubernetes/ovn-kube-ubuntu:master", "ghcr.io/ovn-org/ovn-kubernetes/ovn-kube-fedora:v1.0.0"),
    "aws-vpc-cni": ("602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.19.2",
                    "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon/aws-network-policy-agent:v1.1.6-eksbuild.2"),
    "multus": ("ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.4-thick",),
    "calico-enterprise": ("gcr.io/unique-caldron-775/cnx/tigera/cnx-node:v3.20.1", "registry.example/tigera/cnx-node:v3.19.4"),
    "azure-npm": ("mcr.microsoft.com/containernetworking/azure-npm:v1.5.45", "mcr.microsoft.com/oss/azure/azure-npm:v1.4.1"),
    "azure-cni": ("mcr.microsoft.com/containernetworking/azure-cns:v1.6.21",),
    "kindnet": ("docker.io/kindest/kindnetd:v20241212-9f82dd49",),
    "kube-ovn": ("docker.io/kubeovn/kube-ovn:v1.12.4",),
}  # fmt: skip
OTHERS = ("registry.example/my-calico/node-tools:1", "quay.io/cilium/operator-generic:v1.16.5", "quay.io/cilium/cilium-envoy:v1.30",
          "antrea/antrea-controller-ubuntu:v2.2.0", "calico/kube-controllers:v3.29.3", "registry.example/weave-npc:1", "nginx:1")  # fmt: skip


def test_every_image_pattern_has_an_example() -> None:
    assert set(IMAGES) == {spec.id for spec in SPECS.values() if spec.agent.images}


@pytest.mark.parametrize(
    ("plugin", "image"), [(plugin, image) for plugin, images in IMAGES.items() for image in images]
)
def test_image_is_of_its_plugin_and_of_no_other(plugin: str, image: str) -> None:
    repository = split_image(image)[0]
    assert [s.id for s in SPECS.values() if s.agent.images and s.agent.images.search(repository)] == [plugin]


@pytest.mark.parametrize("image", OTHERS)
def test_image_beside_the_agents_is_no_sign(image: str) -> None:
    repository = split_image(image)[0]
    assert [s.id for s in SPECS.values() if s.agent.images and s.agent.images.search(repository)] == []


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.id)
def test_the_version_comes_from_an_image_of_the_agent_or_from_the_kubelet(spec: PluginSpec) -> None:
    examples = [split_image(image)[0] for image in IMAGES.get(spec.id, ())]
    for pattern in spec.version_images:
        assert any(pattern.search(repository) for repository in examples)


def test_patterns_say_where_they_end(data: Any) -> None:
    """An open end would take calico/node-driver for calico/node. Prefixes of annotations and provider ids are meant as such."""
    for plugin in data["plugins"]:
        patterns = [plugin["agent"].get("images", "$"), *plugin["versions"].get("images", ())]
        patterns += [
            s["match"] for s in plugin.get("signals", ()) if s["look"] in ("workload", "crd", "kubelet-version")
        ]
        assert [pattern for pattern in patterns if not pattern.endswith("$")] == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.16.3-eksbuild.1", (1, 16, 3)),
        ("v20240813-c6f155d6", (20240813,)),
        ("v20251212-v0.29.0-alpha-105-g20ccfc88", (20251212,)),
        ("2.8.1", (2, 8, 1)),
        ("v1.31.4+k3s1", (1, 31, 4)),
        ("v2.1.0-iptables1.8.9-0", (2, 1, 0)),
        ("v3.30.0-0.dev-118-gd3e6", None),
        ("v1.17.0-rc.1", None),
        ("latest", None),
        ("", None),
        ("sha-1234567", None),
    ],
)
def test_versions_are_the_numbers_of_finished_releases(text: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("docker.io/calico/node:v3.29.3", ("docker.io/calico/node", "v3.29.3")),
        ("registry.example:5000/calico/node", ("registry.example:5000/calico/node", "")),
        ("calico/node@sha256:0f", ("calico/node", "")),
        ("calico/node:v3.29.3@sha256:0f", ("calico/node", "v3.29.3")),
        ("", ("", "")),
    ],
)
def test_image_reference_splits_into_repository_and_tag(image: str, parts: tuple[str, str]) -> None:
    assert split_image(image) == parts


@pytest.mark.parametrize(
    ("plugin", "feature", "by_version"),
    [
        ("calico", "AdminNetworkPolicy", {"3.28.2": "none", "3.29.0": "partial", "3.31.4": "partial", "3.32.0": "none"}),
        ("calico", "BaselineAdminNetworkPolicy", {"3.29.3": "none", "3.30.0": "partial", "3.32.0": "none"}),
        ("calico", "ClusterNetworkPolicy", {"3.31.4": "none", "3.32.0": "partial"}),
        ("cilium", "endPort", {"1.15.9": "none", "1.16.0": "unknown", "1.16.9": "unknown", "1.17.0": "full"}),
        ("cilium", "ClusterNetworkPolicy", {"1.19.5": "none", "1.20.0": "optional"}),
        ("cilium", "ipBlockPods", {"1.11.0": "none", "1.20.0": "none"}),
        ("antrea", "AdminNetworkPolicy", {"1.12.3": "none", "1.13.0": "optional", "2.7.0": "optional"}),
        ("antrea", "ClusterNetworkPolicy", {"2.6.9": "none", "2.7.0": "optional"}),
        ("kube-router", "ipv6", {"1.6.0": "none", "2.0.0": "full"}),
        ("kindnet", "egress", {"20240202": "none", "20240719": "full"}),
        ("weave", "namedPorts", {"2.8.1": "none"}),
        ("azure-npm", "ipv6", {"1.5.45": "none"}),
    ],
)  # fmt: skip
def test_support_by_version_is_as_its_sources_say(plugin: str, feature: str, by_version: dict[str, str]) -> None:
    found = {text: SPECS[plugin].support(feature, parse_version(text)).value for text in by_version}
    assert found == by_version


def test_features_are_those_that_policies_are_checked_against() -> None:
    names = {feature for spec in SPECS.values() for feature in spec.features}
    assert all(set(spec.features) == names for spec in SPECS.values())
    source = package_file("cni", "support.py").read_text(encoding="utf-8")
    checked = set(re.findall(r'yield .*, "([a-zA-Z0-9]+)"$', source, re.MULTILINE))
    assert {"endPort", "sctp", "namedPorts", "ipBlockExcept"} <= checked <= names


def conditions(spec: PluginSpec) -> list[Condition]:
    found = [rule.condition for rule in spec.mode.rules]
    return [*found, *(rule.condition for rule in spec.softened), *(trait.condition for trait in spec.traits)]


def test_every_flag_and_namespace_that_the_data_looks_at_is_kept_when_collecting() -> None:
    flags = {condition.flag for spec in SPECS.values() for condition in conditions(spec) if condition.flag}
    assert flags | {"enable-k8s-networkpolicy", "enable-policy", "policy-audit-mode"} == set(PLUGIN_FLAGS)
    assert {n for s in SPECS.values() if s.mode.rules or s.traits for n in s.agent.namespaces} <= PLUGIN_NAMESPACES


def test_every_setting_that_the_data_looks_at_is_read_with_the_words_it_is_compared_with() -> None:
    for spec in SPECS.values():
        words = dict(CONFIG_MAPS.get(spec.settings.config_map, {}))
        words |= FELIX_FIELDS if "FelixConfiguration" in spec.settings.kinds else {}
        words |= INSTALLATION_FIELDS if "Installation" in spec.settings.also else {}
        words |= {name: found for name, found in ENVIRONMENT.items() if not spec.settings.environment}
        for condition in conditions(spec):
            if condition.setting:
                assert condition.equals | condition.unless <= words[condition.setting] | {ANOTHER}


def test_every_kind_of_a_plugins_maker_is_a_policy_kind_that_is_collected_or_staged() -> None:
    for spec in SPECS.values():
        for group, kind in spec.own_kinds | spec.optional_kinds:
            found = BY_GROUP_KIND.get((group, kind))
            assert kind.startswith("Staged") or (found is not None and found.is_policy), (group, kind)


def test_a_trait_changes_features_that_there_are() -> None:
    for spec in SPECS.values():
        for trait in spec.traits:
            assert trait.features.keys() <= spec.features.keys()
