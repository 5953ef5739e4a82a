"""Family plumbing, redundancy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import NetworkPolicy
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.findings.redundancy import follows
from tests.builders import block, cluster, peer, pod, policy, port, rule
from tests.findings.looking import clean, finding, findings, hit, near_miss

WEB = pod("web-1", "shop", {"app": "web", "tier": "front"})


def web(name: str, *rules: object, pods: dict[str, str] | None = None) -> NetworkPolicy:
    return policy(name, "shop", {"app": "web"} if pods is None else pods, ingress=list(rules))  # type: ignore[arg-type]


NARROW = rule([peer({"app": "api", "tier": "mid"})], [port(443)])
WIDE = rule([peer({"app": "api"})], [port(400, end_port=500)])


@hit("NET-017")
def test_a_rule_that_a_wider_one_of_the_same_pods_covers_is_redundant() -> None:
    found = finding("NET-017", cluster([WEB], [web("both", NARROW, WIDE)]))
    assert found.message == "spec.ingress[0] allows nothing that NetworkPolicy shop/both spec.ingress[1] does not allow"


@hit("NET-017")
def test_a_policy_of_which_every_rule_is_covered_is_redundant_as_a_whole() -> None:
    found = finding("NET-017", cluster([WEB], [web("all", WIDE, pods={}), web("web", NARROW)]))
    assert str(found.subject) == "NetworkPolicy shop/web"
    assert found.message.startswith("the whole policy is redundant: NetworkPolicy shop/all")


@near_miss("NET-017")
@pytest.mark.parametrize(
    "other",
    [
        rule([peer({"app": "api"})], [port(443, "UDP")]),
        rule([peer({"app": "api", "zone": "b"})], [port(443)]),
        rule([peer({"app": "api", "tier": "mid"})], [port("https")]),
        rule([peer({"app": "api", "tier": "mid"}, namespaces={"team": "x"})], [port(443)]),
        rule([block("10.0.0.0/8")], [port(443)]),
    ],
    ids=["another protocol", "other pods", "a name may be another number", "another namespace", "addresses"],
)
def test_rules_that_differ_anywhere_are_both_needed(other: object) -> None:
    assert clean("NET-017", cluster([WEB], [web("both", NARROW, other)]))


@near_miss("NET-017")
def test_a_wider_rule_for_other_pods_covers_nothing() -> None:
    assert clean("NET-017", cluster([WEB], [web("web", NARROW), web("db", WIDE, pods={"app": "db"})]))


def test_of_two_equal_rules_the_second_is_the_redundant_one() -> None:
    found = finding("NET-017", cluster([WEB], [web("one", NARROW, NARROW)]))
    assert found.evidence[0].detail == "spec.ingress[0]"
    assert "spec.ingress[1] allows nothing that" in found.message


def test_a_default_deny_has_no_rules_and_is_never_redundant() -> None:
    assert findings("NET-017", cluster([WEB], [web("deny"), web("deny-too"), web("web", NARROW)])) == []


def test_a_block_that_excepts_what_another_holds_whole_is_covered() -> None:
    parts = web("both", rule([block("10.0.0.0/8", "10.1.0.0/16")]), rule([block("10.0.0.0/7")]))
    assert "spec.ingress[0] allows nothing" in finding("NET-017", cluster([WEB], [parts])).message
    parts = web("both", rule([block("10.0.0.0/8")]), rule([block("10.0.0.0/8", "10.1.0.0/16"), block("10.1.0.0/16")]))
    assert len(findings("NET-017", cluster([WEB], [parts]))) == 1


REQUIREMENTS = st.builds(
    Requirement,
    st.sampled_from(["a", "b"]),
    st.sampled_from(Operator),
    st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=2, unique=True).map(lambda v: tuple(sorted(v))),
)
SELECTORS = st.lists(REQUIREMENTS, max_size=3).map(lambda needs: LabelSelector(tuple(sorted(needs))))
LABELS = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "z", ""]), max_size=2)


@given(SELECTORS, SELECTORS, LABELS)
def test_what_follows_from_a_selector_holds_wherever_the_selector_does(
    narrow: LabelSelector, wide: LabelSelector, labels: dict[str, str]
) -> None:
    if follows(narrow, wide) and narrow.matches(labels):
        assert wide.matches(labels)
