"""The intent file: what it says becomes values, what is wrong in it is said with file, line and field."""

import hashlib
from datetime import date
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evidence.cluster.model import Protocol
from evidence.cluster.selectors import Operator, Requirement
from evidence.errors import InputError, ManyInputsError
from evidence.intent.model import REVIEW_KINDS, Classification, FlowPort, Intent, Review, Waiver
from evidence.intent.parse import intent_schema, parse_intent
from evidence.sample import intent_path
from tests.conftest import ROOT

WHOLE = """\
system: {organisation: Shop Ltd, system: Shop, service_provider: true, baseline: Moderate}
zones:
  - name: cde
    classification: cde
    description: Card data
    members:
      - namespaces: [payments]
        podSelector: {matchLabels: {tier: card}}
      - namespaceSelector: {matchExpressions: [{key: pci, operator: In, values: [b, a]}]}
  - name: bank
    classification: third-party
    cidrs: [203.0.113.0/28, "2001:db8::/32"]
flows:
  - id: F-1
    from: cde
    to: bank
    ports: [{port: 443}, {protocol: UDP, port: 5000, endPort: 5010}]
    justification: Authorisations
    owner: Payments
    review_by: 2026-12-31
  - {id: F-2, from: bank, to: cde, ports: all, justification: Call-backs, owner: Payments}
waivers:
  - id: W-1
    rule: SEG-001
    subject: ZonePair bank -> cde
    approver: CISO
    reason: Migration
    compensating_control: Firewall
    expires: 2026-09-30
reviews:
  - {id: R-1, kind: rule-set, performed_on: 2026-06-01, performed_by: Team lead, covers: Everything, reference: T-1}
"""


def parse(text: str) -> Intent:
    return parse_intent(text.encode(), "seg.yaml")


def test_the_whole_file_becomes_values() -> None:
    intent = parse(WHOLE)
    cde, bank = intent.zones
    assert (intent.system.organisation, intent.system.service_provider, intent.system.multi_tenant) == (
        "Shop Ltd",
        True,
        None,
    )
    assert cde.classification is Classification.CDE
    assert cde.members[0].namespaces == ("payments",)
    assert str(cde.members[0].pod_selector) == "tier=card"
    selector = cde.members[1].namespace_selector
    assert selector is not None
    assert selector.requirements == (Requirement("pci", Operator.IN, ("a", "b")),)
    assert bank.cidrs == (ip_network("203.0.113.0/28"), ip_network("2001:db8::/32"))
    first, second = intent.flows
    assert (first.source, first.destination, first.review_by) == ("cde", "bank", date(2026, 12, 31))
    assert first.ports == (FlowPort(Protocol.TCP, 443, 443), FlowPort(Protocol.UDP, 5000, 5010))
    assert second.ports == ()
    assert intent.waivers == (
        Waiver("W-1", "SEG-001", "ZonePair bank -> cde", "CISO", "Migration", "Firewall", date(2026, 9, 30)),
    )
    assert intent.reviews == (Review("R-1", "rule-set", date(2026, 6, 1), "Team lead", "Everything", "T-1"),)


def test_the_digest_is_that_of_the_bytes_and_the_source_is_kept() -> None:
    intent = parse("zones: []\n")
    assert intent.digest == hashlib.sha256(b"zones: []\n").hexdigest()
    assert intent.source == "seg.yaml"


ZONE = {"name": "a", "classification": "cde", "members": [{"namespaces": ["n"]}]}
FLOW = {"id": "F", "from": "a", "to": "a", "ports": "all", "justification": "j", "owner": "o"}
WAIVER = {
    "id": "W", "rule": "SEG-001", "subject": "s", "approver": "a", "reason": "r", "compensating_control": "c", "expires": "2026-01-01",
}  # fmt: skip
REVIEW = {"id": "R", "kind": "rule-set", "performed_on": "2026-01-01", "performed_by": "p"}


def with_zone(**parts: Any) -> dict[str, Any]:
    return {"zones": [{**ZONE, **parts}]}


def with_flow(**parts: Any) -> dict[str, Any]:
    return {"zones": [ZONE], "flows": [{**FLOW, **parts}]}


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ({}, "", "'zones' is missing"),
        ({"zones": 3}, "zones", "must be a list"),
        ({"zones": [], "zone": []}, "zone", "did you mean 'zones'?"),
        (with_zone(classification="ced"), "zones[0].classification", "did you mean 'cde'?"),
        (with_zone(name="Card Data"), "zones[0].name", "lower-case letters"),
        (with_zone(members=[]), "zones[0].members", "must not be empty"),
        ({"zones": [{"name": "a", "classification": "cde"}]}, "zones[0]", "neither members nor cidrs"),
        ({"zones": [ZONE, ZONE]}, "zones[1].name", "'a' is used twice"),
        (with_zone(cidrs=["10.0.0.1/8"]), "zones[0].cidrs[0]", "did you mean 10.0.0.0/8?"),
        (with_zone(cidrs=["10.0.0"]), "zones[0].cidrs[0]", "write one such as"),
        (with_zone(members=[{}]), "zones[0].members[0]", "must not be empty"),
        (
            with_zone(members=[{"namespaces": ["n"], "namespaceSelector": {}}]),
            "zones[0].members[0]",
            "both namespaces and namespaceSelector",
        ),
        (
            with_zone(members=[{"podSelector": {"matchLabels": {"a": 1}}}]),
            "zones[0].members[0].podSelector.matchLabels.a",
            "in quotes",
        ),
        (
            with_zone(members=[{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}]),
            "zones[0].members[0].podSelector.matchExpressions[0].operator",
            "In, NotIn, Exists, DoesNotExist",
        ),
        (
            with_zone(members=[{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]),
            "zones[0].members[0].podSelector.matchExpressions[0]",
            "operator In needs values",
        ),
        (
            with_zone(members=[{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}}]),
            "zones[0].members[0].podSelector.matchExpressions[0]",
            "operator Exists takes no values",
        ),
        (with_flow(to="b"), "flows[0].to", "there is no zone 'b'"),
        ({"zones": [], "flows": [FLOW]}, "flows[0].from", "no zone is declared"),
        (with_flow(ports=[]), "flows[0].ports", "must not be empty"),
        (with_flow(ports="any"), "flows[0].ports", "'any' is not one of all"),
        (with_flow(ports=[{"port": 0}]), "flows[0].ports[0].port", "from 1 to 65535"),
        (with_flow(ports=[{"port": "http"}]), "flows[0].ports[0].port", "must be a whole number"),
        (with_flow(ports=[{"port": 80, "endPort": 70}]), "flows[0].ports[0].endPort", "70 is less than port 80"),
        (with_flow(ports=[{"port": 80, "protocol": "tcp"}]), "flows[0].ports[0].protocol", "TCP, UDP, SCTP"),
        (with_flow(review_by="2026-02-30"), "flows[0].review_by", "no day of the calendar"),
        (with_flow(review_by="next year"), "flows[0].review_by", "a date such as 2026-12-31"),
        (with_flow(justification=" "), "flows[0].justification", "write some text"),
        ({"zones": [ZONE], "flows": [FLOW, FLOW]}, "flows[1].id", "'F' is used twice"),
        ({"zones": [], "waivers": [{**WAIVER, "rule": "seg1"}]}, "waivers[0].rule", "SEG-001"),
        ({"zones": [], "waivers": [{**WAIVER, "expires": "2026-13-01"}]}, "waivers[0].expires", "no day of the calendar"),
        ({"zones": [], "waivers": [WAIVER, WAIVER]}, "waivers[1].id", "used twice"),
        ({"zones": [], "reviews": [{**REVIEW, "kind": "ruleset"}]}, "reviews[0].kind", "did you mean 'rule-set'?"),
        ({"zones": [], "reviews": [REVIEW, REVIEW]}, "reviews[1].id", "used twice"),
        ({"zones": [], "system": {"service_provider": "yes"}}, "system.service_provider", "true or false"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(content: dict[str, Any], place: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        parse(yaml.safe_dump(content))
    lines = str(error.value).splitlines()
    assert any(f": {place}: " in f"{line}: " and said in line for line in lines if place) or (
        not place and said in lines[0]
    )
    assert all(line.startswith("seg.yaml:") for line in lines)


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(ManyInputsError) as error:
        parse(yaml.safe_dump({"zones": [{**ZONE, "name": "A"}, {**ZONE, "classification": "x"}]}))
    assert len(error.value.errors) == 2


def test_an_expired_waiver_and_a_past_review_date_are_no_errors() -> None:
    assert parse(WHOLE.replace("2026-09-30", "2020-01-01")).waivers[0].expires == date(2020, 1, 1)


def test_the_schema_lists_what_the_model_knows() -> None:
    definitions = intent_schema()["$defs"]
    assert definitions["zone"]["properties"]["classification"]["enum"] == [one.value for one in Classification]
    assert definitions["review"]["properties"]["kind"]["enum"] == list(REVIEW_KINDS)


@pytest.mark.parametrize(
    "path", [intent_path(), ROOT / "deploy" / "segmentation.yaml"], ids=lambda path: path.parent.name
)
def test_the_files_that_are_shipped_are_right(path: Any) -> None:
    assert parse_intent(path.read_bytes(), str(path)).digest


@given(st.data())
def test_a_mutated_file_is_an_intent_or_an_input_error(data: st.DataObject) -> None:
    lines = WHOLE.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    what = data.draw(st.sampled_from(["drop", "double", "cut", "swap", "noise"]))
    match what:
        case "drop":
            del lines[at]
        case "double":
            lines.insert(at, lines[at])
        case "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        case "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] += data.draw(st.text(max_size=5))
    assert said_of("\n".join(lines))[:8] in ("", "seg.yaml")


def said_of(text: str) -> str:
    """The error that parsing ends in, "" for none."""
    try:
        parse(text)
    except InputError as error:
        return str(error)
    return ""
