"""Assertions about flows: what the file may say, what passes, and what is not determined."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.cluster.model import Cluster, Pod, Protocol
from evidence.errors import InputError, ManyInputsError
from evidence.reach.checks import Outcome, Result, check
from evidence.reach.engine import analyse
from evidence.reach.flowfile import FlowFile, Must, Selected, parse_flows
from evidence.reach.groups import Names
from evidence.sample import intent_path, sample_dumps
from tests.builders import block, cluster, peer, pod, policy, port, rule, selector
from tests.cli.run import Ran, evidence
from tests.findings.test_bypass import CALICO
from tests.oracle.naive import may_connect
from tests.oracle.strategies import clusters, completions

WEB, DB, BATCH = (
    pod("web", "shop", {"app": "web"}, ip="10.0.0.1"),
    pod("db", "shop", {"app": "db"}, ip="10.0.0.2"),
    pod("batch", "jobs", {"app": "batch"}, ip="10.0.0.3"),
)
TO_DB = policy("db", "shop", {"app": "db"}, ingress=[rule([peer({"app": "web"})], [port(5432)])])
SHOP = cluster([WEB, DB, BATCH], [TO_DB])


def file(text: str) -> FlowFile:
    return parse_flows(text.encode(), "flows.yaml")


def results(known: Cluster, text: str, zones: Mapping[str, list[Pod]] | None = None) -> list[Result]:
    found = file(text)
    reach = analyse(known, found.networks)
    names = Names(reach, {name: (pods, lambda outside: False) for name, pods in (zones or {}).items()})
    return list(check(reach, names, found))


def result(known: Cluster, must: str, source: str, destination: str, *more: str, **zones: list[Pod]) -> Result:
    lines = [f"must_{must}:", "  - id: asked", f"    from: {source}", f"    to: {destination}"]
    (found,) = results(known, "\n".join([*lines, *(f"    {line}" for line in more)]), zones)
    return found


PORT = "ports: [{port: 5432}]"


# -- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_in_its_order_with_lines() -> None:
    found = file(
        "must_deny:\n  - id: b\n    from: [jobs, {namespaces: [x]}]\n    to: 203.0.113.0/24\n"
        "must_allow:\n  - id: a\n    from: shop/web\n    to: {podSelector: {matchLabels: {app: db}}}\n"
        "    ports: [{port: 80, endPort: 81}, {protocol: UDP, port: 53}]\n    why: orders\n"
    )
    deny, allow = found.assertions
    assert (deny.id, deny.must, deny.line, deny.source) == ("b", Must.DENY, 2, ("jobs", Selected(("x",))))
    assert (allow.id, allow.must, allow.line, allow.why) == ("a", Must.ALLOW, 6, "orders")
    assert allow.destination == (Selected((), None, selector({"app": "db"})),)
    assert str(allow.ports) == "TCP 80-81, UDP 53"
    assert deny.ports.is_all
    assert [str(network) for network in found.networks] == ["203.0.113.0/24"]


ALLOW = "must_allow:\n  - {id: a, from: shop/web, to: shop/db, ports: %s}\n"
DENY = "must_deny:\n  - {id: a, from: %s, to: shop/db}\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("{}", 1, "must not be empty: must_allow and must_deny"),
        ("must_deni: []", 1, "did you mean 'must_deny'?"),
        ("must_allow:\n  - {id: a, from: shop/web, to: shop/db}", 2, "'ports' is missing"),
        (ALLOW % "[{port: 0}]", 2, "must_allow[0].ports[0].port: 0 is out of range"),
        (ALLOW % "[{port: 9, endPort: 8}]", 2, "8 is less than port 9"),
        (ALLOW % "[{port: 9, protocol: ICMP}]", 2, "'ICMP' is not one of TCP, UDP, SCTP"),
        (ALLOW % "some", 2, "'some' is not one of all"),
        (DENY % "[]", 2, "from: must not be empty"),
        (DENY % "{pods: x}", 2, "from.pods: is not known here"),
        (DENY % "{podSelector: {matchLabels: {app: 1}}}", 2, "podSelector"),
        (DENY % "{podSelector: {matchExpressions: [{key: a, operator: Is}]}}", 2, "podSelector"),
        (DENY % "{namespaces: [x], namespaceSelector: {}}", 2, "has both namespaces and namespaceSelector"),
        ("must_deny:\n  - {id: a, from: x, to: y, indirectly: true, ports: [{port: 1}]}", 2, "a chain of connections"),
        (
            "must_deny:\n  - {id: a, from: x, to: y}\n  - {id: a, from: x, to: y}",
            3,
            "'a' is used twice, first on line 2",
        ),
    ],
)
def test_mistakes_in_the_file_are_told_with_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises((InputError, ManyInputsError)) as raised:
        file(text)
    assert f"flows.yaml:{line}" in str(raised.value)
    assert message in str(raised.value)


# -- outcomes ---------------------------------------------------------------------------------------------------------


def test_an_allowed_flow_passes_and_a_port_that_is_not_open_fails() -> None:
    assert result(SHOP, "allow", "shop/web", "shop/db", PORT).outcome is Outcome.PASSED
    found = result(SHOP, "allow", "shop/web", "shop/db", "ports: [{port: 5432, endPort: 5433}]")
    assert found.outcome is Outcome.FAILED
    (violation,) = found.violations
    assert str(violation) == "shop/Pod/web → shop/Pod/db TCP 5433"
    assert violation.because == (
        "egress: not isolated",
        "ingress: isolated by NetworkPolicy shop/db, which does not allow it",
    )


def test_every_pod_of_the_source_must_be_allowed() -> None:
    assert result(SHOP, "allow", "[shop/web, jobs/batch]", "shop/db", PORT).outcome is Outcome.FAILED
    assert result(SHOP, "allow", "namespace:shop", "shop/web", PORT).outcome is Outcome.PASSED


def test_a_denied_flow_passes_and_one_open_port_fails() -> None:
    assert result(SHOP, "deny", "jobs/batch", "shop/db").outcome is Outcome.PASSED
    found = result(SHOP, "deny", "shop/web", "shop/db")
    assert [str(violation) for violation in found.violations] == ["shop/Pod/web → shop/Pod/db TCP 5432"]
    assert "ingress: allowed by NetworkPolicy shop/db spec.ingress[0]" in found.violations[0].because
    assert result(SHOP, "deny", "shop/web", "shop/db", "ports: [{port: 80}]").outcome is Outcome.PASSED


def test_selectors_and_zones_name_pods() -> None:
    pods = "{podSelector: {matchLabels: {app: batch}}}"
    assert result(SHOP, "deny", pods, "zone:data", data=[DB]).outcome is Outcome.PASSED
    assert result(SHOP, "deny", "{namespaces: [shop]}", "zone:data", data=[DB]).outcome is Outcome.FAILED


def test_networks_are_cut_out_of_the_outside() -> None:
    admits = policy("db", "shop", {"app": "db"}, ingress=[rule([block("203.0.113.0/24")])])
    known = cluster([DB], [admits])
    assert result(known, "deny", "203.0.113.7", "shop/db").outcome is Outcome.FAILED
    assert result(known, "deny", "203.0.112.0/24", "shop/db").outcome is Outcome.PASSED
    assert result(known, "allow", "203.0.112.0/23", "shop/db", PORT).outcome is Outcome.FAILED


def test_a_chain_is_denied_only_when_asked_for() -> None:
    relay = policy("web", "shop", {"app": "web"}, ingress=[rule([peer(namespaces={})])])
    known = cluster([WEB, DB, BATCH], [TO_DB, relay])
    assert result(known, "deny", "jobs", "shop/db").outcome is Outcome.PASSED
    found = result(known, "deny", "jobs", "shop/db", "indirectly: true")
    assert found.outcome is Outcome.FAILED
    assert found.violations[0].because == (
        "jobs/Pod/batch → shop/Pod/web all ports",
        "shop/Pod/web → shop/Pod/db TCP 5432",
    )
    shut = cluster([WEB, DB, BATCH], [TO_DB, policy("none", "jobs", egress=[])])
    assert result(shut, "deny", "jobs", "shop/db", "indirectly: true").outcome is Outcome.PASSED


def test_ends_that_match_nothing_are_not_determined() -> None:
    for end in ("shop/gone", "namespace:gone", "{podSelector: {matchLabels: {app: gone}}}"):
        found = result(SHOP, "deny", end, "shop/db")
        assert found.outcome is Outcome.UNDETERMINED
        assert found.reasons[0].startswith("from: ")
    assert result(SHOP, "deny", "[jobs/batch, shop/gone]", "shop/db").outcome is Outcome.UNDETERMINED


def test_a_pod_against_itself_alone_is_not_determined() -> None:
    found = result(SHOP, "deny", "shop/db", "shop/db")
    assert (found.outcome, found.reasons) == (
        Outcome.UNDETERMINED,
        ("there are no two different ends to ask about",),
    )


def test_a_zone_that_is_not_declared_is_a_mistake_with_its_line() -> None:
    with pytest.raises(InputError, match=r"^flows\.yaml:2: to: there is no zone cde; the zones are data"):
        result(SHOP, "deny", "shop/web", "zone:cde", data=[DB])


def test_a_denial_that_hangs_on_an_unknown_address_is_not_determined() -> None:
    admits = policy("db", "shop", {"app": "db"}, ingress=[rule([block("10.0.0.0/24")], [port(5432)])])
    nowhere = replace(BATCH, addresses=())
    known = cluster([DB, nowhere], [admits])
    found = result(known, "deny", "jobs/batch", "shop/db")
    assert found.outcome is Outcome.UNDETERMINED
    assert "the address of pod jobs/batch is not known" in found.reasons[0]
    assert result(known, "deny", "jobs/batch", "shop/db", "ports: [{port: 80}]").outcome is Outcome.PASSED
    assert result(known, "allow", "jobs/batch", "shop/db", PORT).outcome is Outcome.UNDETERMINED


def test_policies_that_are_not_evaluated_leave_nothing_shown_but_failures() -> None:
    blind = replace(SHOP, other_policies=(CALICO,))
    assert result(blind, "deny", "jobs/batch", "shop/db").outcome is Outcome.UNDETERMINED
    assert result(blind, "allow", "shop/web", "shop/db", PORT).outcome is Outcome.UNDETERMINED
    assert result(blind, "deny", "shop/web", "shop/db").outcome is Outcome.FAILED


# -- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters(), st.sampled_from(list(Protocol)), st.sampled_from([53, 80, 81, 8080]), st.data())
def test_outcomes_are_those_of_an_evaluation_pod_by_pod(
    known: Cluster, protocol: Protocol, number: int, data: st.DataObject
) -> None:
    live = [one for one in known.pods if not one.finished]
    if len(live) < 2:
        return
    sources, destinations = (data.draw(st.lists(st.sampled_from(live), min_size=1, unique_by=id)) for _ in range(2))
    zones = {"one": sources, "two": destinations}
    asked = f"{{id: %s, from: 'zone:one', to: 'zone:two', ports: [{{protocol: {protocol}, port: {number}}}]}}"
    text = f"must_allow:\n  - {asked % 'a'}\nmust_deny:\n  - {asked % 'd'}\n"
    pairs = [(one, other) for one in sources for other in destinations if one is not other]
    allow, deny = results(known, text, zones)
    passing = [may_connect(known, one, other, protocol, number, own_node=False) for one, other in pairs]
    if not pairs:
        assert allow.outcome is deny.outcome is Outcome.UNDETERMINED
        return
    assert (deny.outcome is Outcome.FAILED) == any(passing)
    assert (allow.outcome is Outcome.PASSED) == all(passing)
    if deny.outcome is Outcome.PASSED:
        completed = data.draw(completions(known))
        then = {one.key: one for one in completed.pods}
        for one, other in pairs:
            assert not may_connect(completed, then[one.key], then[other.key], protocol, number, own_node=False)


# -- the command ------------------------------------------------------------------------------------------------------

SAMPLE = """\
must_allow:
  - {id: scrape, from: monitoring/prometheus, to: production/app, ports: [{port: 8080}]}
must_deny:
  - {id: batch, from: "zone:batch", to: "zone:card-data"}
  - {id: gone, from: shop/gone, to: "zone:card-data"}
"""


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    path = tmp_path / "flows.yaml"
    path.write_text(SAMPLE)
    return path


def checked(path: Path, dump: int, *more: object) -> Ran:
    return evidence("reach", "check", path, "--from", sample_dumps()[dump].path, "--intent", intent_path(), *more)


def test_the_table_names_what_decides(flows: Path) -> None:
    ran = checked(flows, 3)
    assert ran.code == 1
    assert "failed          batch   must-deny   zone:batch → zone:card-data all ports" in ran.out
    assert "  ingress: allowed by NetworkPolicy payments/debug-allow spec.ingress[0]" in ran.out
    assert "2 failed, 1 not determined" in ran.out


def test_what_is_not_determined_fails_unless_that_is_accepted(flows: Path) -> None:
    ran = checked(flows, 4)
    assert (ran.code, "1 not determined, 2 passed" in ran.out) == (1, True)
    assert checked(flows, 4, "--allow-undetermined").code == 0
    assert checked(flows, 3, "--allow-undetermined").code == 1


def test_junit_has_a_case_for_each_assertion(flows: Path) -> None:
    suites = ET.fromstring(checked(flows, 3, "--format", "junit").out)
    cases = suites.findall("testsuite/testcase")
    assert [(case.get("classname"), len(case.findall("failure"))) for case in cases] == [
        ("evidence.must-allow", 1),
        ("evidence.must-deny", 1),
        ("evidence.must-deny", 1),
    ]
    suites = ET.fromstring(checked(flows, 4, "--format", "junit", "--allow-undetermined").out)
    assert (suites.get("failures"), suites.get("skipped")) == ("0", "1")


def test_sarif_points_to_the_line_of_the_file(flows: Path) -> None:
    (run,) = json.loads(checked(flows, 3, "--format", "sarif").out)["runs"]
    assert [(r["ruleId"], r["level"], line_of(r)) for r in run["results"]] == [
        ("must-allow", "error", 2),
        ("must-deny", "error", 4),
        ("must-deny", "warning", 5),
    ]
    (run,) = json.loads(checked(flows, 4, "--format", "sarif").out)["runs"]
    assert len(run["results"]) == 1


def line_of(found: dict[str, list[dict[str, dict[str, dict[str, int]]]]]) -> int:
    return found["locations"][0]["physicalLocation"]["region"]["startLine"]


def test_json_has_every_assertion(flows: Path) -> None:
    body = json.loads(checked(flows, 3, "--format", "json").out)
    assert [found["outcome"] for found in body["results"]] == ["failed", "failed", "not determined"]
    assert body["results"][1]["violations"][0]["from"] == "batch/Deployment/report-runner"
    assert body["results"][1]["where"] == f"{flows}:4"


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    ran = checked(tmp_path / "none.yaml", 3)
    assert (ran.code, "cannot be read" in ran.err) == (3, True)
    broken = tmp_path / "broken.yaml"
    broken.write_text("must_allow: {")
    assert checked(broken, 3).code == 3


def test_the_example_of_the_documentation_is_read() -> None:
    text = (Path(__file__).parents[2] / "docs" / "flows.md").read_text()
    example = text.partition("## An example\n\n")[2].partition("\n## ")[0]
    lines = [line.removeprefix("    ") for line in example.splitlines()]
    assert len(file("\n".join(lines)).assertions) == 5
