"""Suggested policies parse back into what was meant."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Direction, Protocol
from evidence.cluster.selectors import LabelSelector, Operator, Requirement
from evidence.reach.manifests import policy_yaml, port_bodies, rule_body, selector_body
from evidence.reach.ports import PortSet

KEYS, VALUES = st.sampled_from(["app", "tier", "no", "8"]), st.sampled_from(["a", "true", "1", "no", ""])


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    with_values = operator in (Operator.IN, Operator.NOT_IN)
    values = draw(st.lists(VALUES, min_size=1, max_size=3, unique=True)) if with_values else []
    return Requirement(draw(KEYS), operator, tuple(sorted(values)))


@given(st.lists(requirements(), max_size=4).map(lambda needs: LabelSelector(tuple(sorted(needs)))))
def test_a_selector_survives_being_written_and_read(selector: LabelSelector) -> None:
    body = yaml.safe_load(policy_yaml("p", "ns", selector, ingress=()))["spec"]["podSelector"]
    needs = [Requirement(key, Operator.IN, (value,)) for key, value in body.get("matchLabels", {}).items()]
    needs += [
        Requirement(need["key"], Operator(need["operator"]), tuple(need.get("values", ())))
        for need in body.get("matchExpressions", ())
    ]
    assert sorted(needs) == sorted(selector.requirements)


def test_a_direction_without_rules_is_a_default_deny_and_an_absent_one_is_left_alone() -> None:
    spec = yaml.safe_load(policy_yaml("p", "ns", LabelSelector(), egress=()))["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Egress"]}


def test_every_port_is_written_as_no_ports_and_a_protocol_as_no_number() -> None:
    assert port_bodies(PortSet.all()) == []
    assert port_bodies(PortSet.of(Protocol.UDP, 1, 65535)) == [{"protocol": "UDP"}]
    assert port_bodies(PortSet.of(Protocol.TCP, 80, 90)) == [{"protocol": "TCP", "port": 80, "endPort": 90}]
    assert "ports" not in rule_body(Direction.INGRESS, [selector_body(LabelSelector())], [])


def test_a_long_name_is_cut_to_a_valid_one() -> None:
    name = yaml.safe_load(policy_yaml("a" * 62 + "-b", "ns", LabelSelector(), ingress=()))["metadata"]["name"]
    assert name == "a" * 62
