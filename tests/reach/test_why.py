"""Why flows are in a report: the rules that let each port pass, and the flows behind a finding."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from evidence import pipeline, resources
from evidence.cli.reach import command
from evidence.cluster.model import Cluster, Pod
from evidence.errors import EvidenceError
from evidence.findings.behind import behind, named
from evidence.findings.registry import Context
from evidence.reach.engine import analyse
from evidence.reach.ports import PortSet
from evidence.reach.why import why
from tests.oracle.strategies import clusters

SAMPLE = resources.package_file("sample", "cluster-2026-09-15.json")
INTENT = resources.package_file("sample", "segmentation.yaml")
AT = datetime(2026, 9, 15, tzinfo=UTC)
RELAXED = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@RELAXED
@given(clusters())
def test_the_reasons_of_a_flow_cover_its_ports_once_and_both_sides_allow(cluster: Cluster) -> None:
    reach = analyse(cluster)
    if any(len(found.ways) > 1 for found in reach.classes):
        return  # then a flow joins what several addresses may do
    for found in why(reach, reach.flows()):
        covered = PortSet.none()
        for reason in found.reasons:
            assert not covered & reason.ports
            covered = covered | reason.ports
            assert reason.egress.allowed
            assert reason.ingress.allowed
        assert covered == found.flow.ports


@pytest.fixture(scope="module")
def assessed() -> pipeline.Assessed:
    state = pipeline.load_state((str(SAMPLE),), db=None, cluster=None, at=None, intent_path=INTENT)
    return pipeline.assess(state, at=AT)


@pytest.fixture(scope="module")
def context(assessed: pipeline.Assessed) -> Context:
    found = assessed
    return Context(found.reach.cluster, found.reach, found.cni, found.state.intent, found.zones, AT, AT)


def test_the_flows_behind_a_zone_pair_are_those_that_its_finding_lists(
    assessed: pipeline.Assessed, context: Context
) -> None:
    pairs = [found for found in assessed.assessment.findings if found.rule_id == "PRT-002"]
    assert pairs
    for finding in pairs:
        flows = behind(context, finding).flows
        assert flows
        for flow in flows:
            assert any(str(flow.ports) in line for line in finding.details)
        assert named(assessed.assessment, finding.fingerprint) is finding


def test_every_finding_says_which_flows_stand_behind_it_or_that_none_can(
    assessed: pipeline.Assessed, context: Context
) -> None:
    for finding in assessed.assessment.findings:
        found = behind(context, finding)
        assert found.about
        if finding.subject.kind in ("Cluster", "Waiver"):
            assert found.flows == ()
        if finding.rule_id == "SEG-006":
            told = " ".join(finding.details)
            assert found.flows
            assert all(str(flow.ports) in told for flow in found.flows)
        if finding.subject.kind == "Workload":
            names = {pod.workload.name for flow in found.flows[:1] for end in flow[:2] for pod in pods(context, end)}
            assert not found.flows or finding.subject.name in names


def pods(context: Context, number: int) -> tuple[Pod, ...]:
    return context.reach.classes[number].pods if number < len(context.reach.classes) else ()


def run(*arguments: str) -> str:
    done = CliRunner().invoke(command, ["why", *arguments, "--from", str(SAMPLE), "--intent", str(INTENT)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_pair_is_explained_by_the_names_that_tables_give() -> None:
    text = run("analytics", "production/StatefulSet/kafka").splitlines()
    assert text[:2] == [
        "analytics/Deployment/data-pipeline → production/StatefulSet/kafka TCP 9092",
        "  egress not isolated; ingress allowed by NetworkPolicy production/kafka-access spec.ingress[1]",
    ]
    assert text[2].startswith("1: flows from zone:analytics to production/StatefulSet/kafka; computed on")


def test_json_is_as_its_schema_says(assessed: pipeline.Assessed) -> None:
    schema = json.loads(resources.package_file("reach", "why.schema.json").read_text())
    finding = next(found for found in assessed.assessment.findings if found.rule_id == "PRT-002")
    for arguments in ((finding.fingerprint,), ("analytics", "production")):
        body = json.loads(run(*arguments, "--format", "json"))
        Draft202012Validator(schema).validate(body)
        assert body["flows"]
        assert (body["finding"] is None) is (len(arguments) == 2)


@pytest.mark.parametrize("what", ["bogus", "0123456789abcdef"])
def test_what_is_no_finding_here_is_named(what: str) -> None:
    done = CliRunner().invoke(command, ["why", what, "--from", str(SAMPLE)])
    assert isinstance(done.exception, EvidenceError)
    assert what in str(done.exception)
