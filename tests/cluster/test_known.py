"""Objects that are still there are not parsed again, and say the same."""

from dataclasses import replace

from evidence.cluster.known import Known
from evidence.cluster.objects import CollectedObject
from evidence.cluster.parse import parse
from tests.manifests import Body, body, collected, owned_by, pod_body, policy_body, workload_body

DEPLOYMENT = collected(workload_body("Deployment", "web", {"app": "web"}))
POLICY = collected(policy_body({"podSelector": {}}))
POD = collected(pod_body("web-1", metadata={"labels": {"app": "web"}, **owned_by("ReplicaSet", "web-7")}))
SERVICE = collected(body("v1", "Service", "web", spec={"selector": {"app": "web"}}))


def replica_set(owner: Body) -> CollectedObject:
    return collected(workload_body("ReplicaSet", "web-7", {"app": "web"}, metadata=owner))


def test_what_stayed_is_the_same_value_and_the_whole_is_what_parsing_alone_gives() -> None:
    known = Known()
    first = parse((DEPLOYMENT, POLICY, POD, SERVICE), known).cluster()
    changed = collected(policy_body({"podSelector": {}, "policyTypes": ["Egress"]}))
    objects = (DEPLOYMENT, changed, POD)
    second = parse(objects, known).cluster()
    assert second.pods[0] is first.pods[0]
    assert second.workloads[0] is first.workloads[0]
    assert second.policies[0] is not first.policies[0]
    assert second == parse(objects).cluster()


def test_a_pod_is_parsed_again_when_the_controller_above_it_changed() -> None:
    known = Known()
    for above in ("web", "api", "web"):
        objects = (DEPLOYMENT, replica_set(owned_by("Deployment", above)), POD)
        found = parse(objects, known).cluster()
        assert [pod.workload.name for pod in found.pods if pod.name == "web-1"] == [above]
        assert found == parse(objects).cluster()


def test_an_equal_object_that_was_read_anew_is_parsed_for_its_own_place() -> None:
    known = Known()
    parse((POLICY,), known)
    moved = replace(POLICY, source="other.yaml:7")
    (found,) = parse((moved,), known).policies
    assert found.source == "other.yaml:7"


def test_what_is_wrong_is_said_every_time() -> None:
    known = Known()
    wrong = collected(policy_body({"podSelector": {}, "policyTypes": ["Sideways"]}))
    assert [str(each.error) for each in parse((wrong, POD), known).errors] == [
        str(each.error) for each in parse((wrong, POD), known).errors
    ]
