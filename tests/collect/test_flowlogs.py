"""Every format of flow log: what a line says, what is left out and why, what the source admits to lose, what is no line of it."""

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.canonical import canonical_json
from evidence.collect import auditlog
from evidence.collect.flowlogs.formats import formats
from evidence.collect.flowlogs.read import LogFile, read_logs
from evidence.observe.audit import AuditedChange, AuditLog, audit_log_json
from evidence.observe.gather import Gathering
from evidence.observe.model import Began, Outcome, Side, flow_json
from evidence.observe.places import Places
from evidence.observe.sighting import LeftOut, Line, Lost, SeenEnd, Sighting

NOW = datetime(2026, 7, 2, 12, tzinfo=UTC)
NOON = datetime(2026, 7, 1, 12, 0, 1, tzinfo=UTC)
WEB, DB = SeenEnd("10.0.0.1"), SeenEnd("10.0.0.2")


def read(name: str, line: str, **prefixes: Any) -> Line:
    return formats(NOW, **prefixes)[name].read(line.encode())


def seen(name: str, line: str, **prefixes: Any) -> Sighting:
    found = read(name, line, **prefixes)
    assert isinstance(found, Sighting)
    return found


# -- Hubble


def hubble(verdict: str = "FORWARDED", *, framed: bool = True, **changed: Any) -> str:
    flow = {
        "time": "2026-07-01T12:00:01.000000999Z",
        "verdict": verdict,
        "IP": {"source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 5432, "flags": {"SYN": True}}},
        "source": {
            "ID": 1,
            "namespace": "shop",
            "pod_name": "web-6d4c-x1",
            "workloads": [{"name": "web", "kind": "Deployment"}],
        },
        "destination": {"namespace": "shop", "pod_name": "db-0"},
        "Type": "L3_L4",
        "traffic_direction": "INGRESS",
        "is_reply": False,
    }
    flow = {name: value for name, value in {**flow, **changed}.items() if value is not None}
    return json.dumps({"flow": flow, "node_name": "n1", "time": flow["time"]} if framed else flow)


def test_hubble_names_pods_ports_side_and_who_began() -> None:
    found = seen("hubble", hubble())
    assert (found.time, found.protocol, found.port) == (NOON, "TCP", 5432)
    assert found.source == SeenEnd("", "shop", "web-6d4c-x1", "Deployment/web")
    assert found.destination == SeenEnd("", "shop", "db-0")
    assert (found.outcome, found.side, found.began) == (Outcome.ALLOWED, Side.DESTINATION, Began.HERE)


def test_hubble_in_the_older_form_without_a_frame_and_in_a_container_runtimes_frame_says_the_same() -> None:
    assert seen("hubble", hubble(framed=False)) == seen("hubble", hubble())
    assert seen("hubble", f"2026-07-01T12:00:02.5Z stdout F {hubble()}") == seen("hubble", hubble())


@pytest.mark.parametrize(
    ("verdict", "reason", "outcome"),
    [
        ("REDIRECTED", None, Outcome.ALLOWED),
        ("AUDIT", None, Outcome.AUDITED),
        ("DROPPED", "POLICY_DENIED", Outcome.DENIED),
        ("DROPPED", "POLICY_DENY", Outcome.DENIED),
        ("DROPPED", "CT_MAP_INSERTION_FAILED", Outcome.LOST),
    ],
)
def test_hubbles_verdicts_tell_policy_from_other_drops(verdict: str, reason: str | None, outcome: Outcome) -> None:
    assert seen("hubble", hubble(verdict, drop_reason_desc=reason)).outcome is outcome


def test_a_drop_of_hubbles_is_a_beginning_when_its_packet_opens_a_connection() -> None:
    assert seen("hubble", hubble("DROPPED", drop_reason_desc="POLICY_DENIED", is_reply=None)).began is Began.HERE
    ack = {"TCP": {"destination_port": 40000, "flags": {"SYN": True, "ACK": True}}}
    assert read("hubble", hubble("DROPPED", is_reply=None, l4=ack)) == LeftOut("packets of connections that had begun")
    udp = {"UDP": {"source_port": 53, "destination_port": 40000}}
    assert seen("hubble", hubble("DROPPED", is_reply=None, l4=udp)).began is Began.UNKNOWN


@pytest.mark.parametrize(
    "changed",
    [
        {"trace_reason": "ESTABLISHED"},
        {"l4": {"TCP": {"destination_port": 5432, "flags": {"ACK": True}}}},
        {"l4": {"TCP": {"destination_port": 5432, "flags": {"FIN": True, "ACK": True}}}},
    ],
)
def test_a_packet_of_hubbles_within_a_connection_tells_that_it_had_begun_earlier(changed: dict[str, Any]) -> None:
    assert seen("hubble", hubble(**changed)).began is Began.EARLIER
    assert seen("hubble", hubble(trace_reason="NEW")).began is Began.HERE


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"is_reply": True}, "replies"),
        ({"is_reply": {"value": True}}, "replies"),
        ({"l7": {"http": {}}}, "requests of layer 7, and sockets"),
        ({"l4": None}, "packets without a protocol above IP"),
        ({"verdict": "TRANSLATED"}, "events with the verdict TRANSLATED"),
    ],
)
def test_what_hubble_shows_beside_the_beginning_of_connections_is_left_out_and_said(
    changed: dict[str, Any], why: str
) -> None:
    assert read("hubble", hubble(**changed)) == LeftOut(why)


def test_hubble_names_the_host_as_such_and_the_world_by_its_address() -> None:
    found = seen(
        "hubble",
        hubble(source={"labels": ["reserved:host"]}, destination={"labels": ["cidr:10.0.0.2/32", "reserved:world"]}),
    )
    assert (found.source, found.destination) == (SeenEnd(name="reserved:host 10.0.0.1"), DB)


def test_hubble_names_the_policies_that_decided_where_it_knows_them() -> None:
    by = [{"kind": "CiliumNetworkPolicy", "namespace": "shop", "name": "db"}, {"name": "base"}]
    assert seen("hubble", hubble(ingress_allowed_by=by)).policies == ("CiliumNetworkPolicy shop/db", "policy base")


def test_hubble_admits_lost_events_and_nodes_that_did_not_answer() -> None:
    lost = '{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"12"},"node_name":"n1"}'
    assert read("hubble", lost) == Lost("events (HUBBLE_RING_BUFFER)", 12)
    assert read("hubble", '{"lost_events":{}}') == Lost("events (source not said)", 1)
    away = '{"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["n2","n3"]}}'
    assert read("hubble", away) == Lost("nodes that were node_unavailable (n2, n3)")


# -- Calico

GOLDMANE = {
    "Key": {
        "source_name": "web-6d4c-*",
        "source_namespace": "shop",
        "source_type": 1,
        "dest_name": "pub",
        "dest_type": 4,
        "dest_port": 443,
        "proto": "tcp",
        "reporter": 1,
        "action": 2,
        "policies": {
            "enforced_policies": [
                {"kind": 2, "name": "tenants", "tier": "security", "action": 3},
                {"kind": 6, "namespace": "shop", "name": "web", "tier": "default", "action": 2},
            ]
        },
    },
    "start_time": 1782907201,
    "end_time": 1782907216,
    "num_connections_started": 3,
}
FLOWS_LOG = {
    "start_time": 1782907201,
    "end_time": 1782907501,
    "source_ip": "10.0.0.9",
    "source_name": "tool",
    "source_name_aggr": "tool",
    "source_namespace": "shop",
    "source_type": "wep",
    "dest_ip": None,
    "dest_name": "-",
    "dest_name_aggr": "db-*",
    "dest_namespace": "shop",
    "dest_type": "wep",
    "dest_port": 5432,
    "proto": "tcp",
    "action": "deny",
    "reporter": "dst",
    "policies": {"all_policies": ["0|security|security.tenants|pass|0", "1|app|shop/app.db|deny|-1"]},
    "num_flows_started": 1,
}


def test_goldmane_gathers_pods_by_the_beginning_of_their_names() -> None:
    found = seen("calico", json.dumps(GOLDMANE))
    assert found.source == SeenEnd("", "shop", "web-6d4c-*")
    assert found.destination == SeenEnd(name="addresses outside (pub)")
    assert (found.outcome, found.side, found.port, found.times) == (Outcome.DENIED, Side.SOURCE, 443, 3)
    assert (found.time, found.until) == (NOON, NOON.replace(second=16))
    assert found.policies == ("NetworkPolicy shop/web",)  # the one that passed on decided nothing


def test_goldmane_as_protobufs_own_json_says_the_same() -> None:
    camel = json.loads(
        json.dumps(GOLDMANE)
        .replace("source_name", "sourceName")
        .replace("source_type", "sourceType")
        .replace("dest_name", "destName")
        .replace("dest_type", "destType")
        .replace("dest_port", "destPort")
        .replace("start_time", "startTime")
        .replace("end_time", "endTime")
        .replace("num_connections_started", "numConnectionsStarted")
        .replace("enforced_policies", "enforcedPolicies")
        .replace("sourceNamespace", "sourceNamespace")
    )
    camel["Key"] |= {"sourceType": "WorkloadEndpoint", "destType": "Network", "reporter": "Src", "action": "Deny"}
    camel["Key"]["policies"]["enforcedPolicies"][0]["action"] = "Pass"
    camel["Key"]["policies"]["enforcedPolicies"][1]["kind"] = "NetworkPolicy"
    assert seen("calico", json.dumps({"id": "7", "flow": camel})) == seen("calico", json.dumps(GOLDMANE))


def test_calicos_file_names_a_pod_where_it_can_and_its_beginning_where_not() -> None:
    found = seen("calico", json.dumps(FLOWS_LOG))
    assert (found.source, found.destination) == (SeenEnd("", "shop", "tool"), SeenEnd("", "shop", "db-*"))
    assert (found.outcome, found.side, found.policies) == (Outcome.DENIED, Side.DESTINATION, ("shop/app.db",))


def test_calicos_count_of_connections_that_go_on_tells_that_they_had_begun_earlier() -> None:
    assert seen("calico", json.dumps(FLOWS_LOG)).began is Began.HERE
    going_on = seen("calico", json.dumps({**FLOWS_LOG, "num_flows_started": 0, "num_flows": 4}))
    assert (going_on.began, going_on.times) == (Began.EARLIER, 4)


def test_calicos_host_endpoints_and_networks_are_no_pods() -> None:
    line = {**FLOWS_LOG, "source_type": "hep", "dest_type": "net", "dest_ip": "10.0.0.2"}
    found = seen("calico", json.dumps(line))
    assert (found.source, found.destination) == (SeenEnd(name="host tool"), DB)


# -- netfilter

PACKET = (
    "IN=cali1 OUT=eth0 MAC=ee:ee SRC=10.0.0.1 DST=10.0.0.2 LEN=60 TOS=0x00 TTL=63 ID=1 DF PROTO=TCP SPT=40000 DPT=5432 "
    "WINDOW=64240 RES=0x00 SYN URGP=0"
)


def kernel(prefix: str = "DROP: ", packet: str = PACKET, time: str = "2026-07-01T12:00:01+00:00") -> str:
    return f"{time} node-1 kernel: [  12.345678] {prefix}{packet}"


def test_netfilters_prefix_says_what_became_of_the_packet() -> None:
    found = seen("netfilter", kernel())
    assert (found.time, found.source, found.destination, found.port) == (NOON, WEB, DB, 5432)
    assert (found.outcome, found.side, found.began, found.policies) == (
        Outcome.DENIED,
        Side.UNKNOWN,
        Began.HERE,
        ("DROP",),
    )
    assert seen("netfilter", kernel("policy ACCEPT ")).outcome is Outcome.ALLOWED


def test_a_prefix_that_says_nothing_or_both_is_left_out_unless_it_is_given() -> None:
    for prefix in ("calico-packet: ", "accept-or-drop: "):
        assert read("netfilter", kernel(prefix)) == LeftOut("lines whose prefix says neither allowed nor denied")
        assert seen("netfilter", kernel(prefix), denied_prefixes=[prefix]).outcome is Outcome.DENIED
        assert seen("netfilter", kernel(prefix), allowed_prefixes=[prefix]).outcome is Outcome.ALLOWED


def test_a_time_without_year_is_the_last_one_that_is_not_ahead() -> None:
    assert seen("netfilter", kernel(time="Jul  1 12:00:01")).time == NOON
    assert seen("netfilter", kernel(time="Dec 31 12:00:01")).time == datetime(2025, 12, 31, 12, 0, 1, tzinfo=UTC)


def test_netfilter_leaves_out_other_lines_and_packets_within_a_connection() -> None:
    assert read("netfilter", kernel(packet=PACKET.replace("SYN", "ACK PSH"))) == LeftOut(
        "packets of connections that had begun"
    )
    assert read("netfilter", "2026-07-01T12:00:01Z n1 kernel: usb 1-1: new device") == LeftOut(
        "other lines of the kernel"
    )
    assert read("netfilter", "2026-07-01T12:00:01Z n1 sshd[1]: hello") == LeftOut("lines that are not the kernel's")


def test_the_kernel_admits_suppressed_messages() -> None:
    line = "2026-07-01T12:00:01Z n1 kernel: net_ratelimit: 17 callbacks suppressed"
    assert read("netfilter", line) == Lost("messages of the kernel", 17)


def test_an_icmp_error_counts_by_itself_and_not_by_the_packet_it_repeats() -> None:
    packet = "IN=a OUT= SRC=10.0.0.1 DST=10.0.0.2 PROTO=ICMP TYPE=3 CODE=3 [SRC=10.0.0.2 DST=10.0.0.1 PROTO=UDP SPT=1 DPT=2 ]"
    found = seen("netfilter", kernel(packet=packet))
    assert (found.protocol, found.port, found.source) == ("ICMP", 0, WEB)


# -- OVN

OVN = (
    '2026-07-01T12:00:01.000Z|00004|acl_log(ovn_pinctrl0)|INFO|name="NP:shop:db:Ingress", verdict=drop, severity=alert, '
    "direction=to-lport: tcp,vlan_tci=0x0000,dl_src=0a:58:0a:81:02:01,dl_dst=0a:58:0a:81:02:23,nw_src=10.0.0.1,nw_dst=10.0.0.2,"
    "nw_tos=0,nw_ecn=0,nw_ttl=62,nw_frag=no,tp_src=40000,tp_dst=5432,tcp_flags=syn"
)


def test_ovn_names_the_acl_its_side_and_addresses() -> None:
    found = seen("ovn", OVN)
    assert (found.time, found.source, found.destination, found.port) == (NOON, WEB, DB, 5432)
    assert (found.outcome, found.side, found.began) == (Outcome.DENIED, Side.DESTINATION, Began.HERE)
    assert found.policies == ("NP:shop:db:Ingress",)


def test_kube_ovn_and_ipv6_read_alike() -> None:
    line = (
        OVN.replace('"NP:shop:db:Ingress"', '"np/db.shop/IPv6/0"')
        .replace("tcp,", "udp6,", 1)
        .replace("nw_src=10.0.0.1,nw_dst=10.0.0.2", "ipv6_src=fd00::0001,ipv6_dst=fd00::2")
        .replace("verdict=drop", "verdict=allow")
        .replace(",tcp_flags=syn", "")
    )
    found = seen("ovn", line)
    assert (found.source.address, found.destination.address, found.protocol) == ("fd00::1", "fd00::2", "UDP")
    assert (found.outcome, found.began) == (Outcome.ALLOWED, Began.UNKNOWN)


def test_ovn_leaves_out_what_decides_nothing_and_admits_what_it_held_back() -> None:
    assert read("ovn", OVN.replace("verdict=drop", "verdict=pass")) == LeftOut("lines with the verdict pass")
    assert read("ovn", OVN.replace("tcp_flags=syn", "tcp_flags=psh|ack")) == LeftOut(
        "packets of connections that had begun"
    )
    assert read("ovn", "2026-07-01T12:00:01Z|1|binding|INFO|Claiming lport") == LeftOut("other lines of ovn-controller")
    held = "2026-07-01T12:00:01.000Z|9|acl_log(ovn_pinctrl0)|WARN|Dropped 31 log messages in last 5 seconds due to excessive rate"
    assert read("ovn", held) == Lost("messages of ovn-controller", 31)


# -- AWS VPC CNI

OLD_AWS = {
    "level": "info",
    "ts": "2026-07-01T12:00:01Z",
    "logger": "ebpf-client",
    "msg": "Flow Info:  ",
    "Src IP": "10.0.0.1",
    "Src Port": 40000,
    "Dest IP": "10.0.0.2",
    "Dest Port": 5432,
    "Proto": "TCP",
    "Verdict": "DENY",
}
SENTENCE = "Flow Info: Src IP: 10.0.0.1 Src Port: 40000 Dest IP: 10.0.0.2 Dest Port: 5432 Proto TCP Verdict DENY Direction ingress"


def test_the_aws_agent_reads_alike_in_all_its_forms() -> None:
    found = seen("aws-vpc-cni", json.dumps(OLD_AWS))
    assert (found.time, found.source, found.destination, found.port) == (NOON, WEB, DB, 5432)
    assert (found.outcome, found.side, found.began) == (Outcome.DENIED, Side.UNKNOWN, Began.UNKNOWN)
    cloudwatch = "2026-07-01T12:00:01Z Node: ip-1;SIP: 10.0.0.1;SPORT: 40000;DIP: 10.0.0.2;DPORT: 5432;PROTOCOL: TCP;PolicyVerdict: DENY"
    assert seen("aws-vpc-cni", cloudwatch) == found
    for sentence in (
        SENTENCE,
        f"{SENTENCE}, Tier NETWORK_POLICY",
        SENTENCE.replace("Proto ", "Proto: ").replace("Verdict ", "Verdict: ").replace("Direction ", "Direction: "),
    ):
        line = json.dumps({"level": "info", "ts": "2026-07-01T12:00:01Z", "msg": sentence})
        assert seen("aws-vpc-cni", line) == found._replace(side=Side.DESTINATION)


def test_the_aws_agents_other_lines_are_left_out() -> None:
    assert read("aws-vpc-cni", json.dumps({**OLD_AWS, "msg": "Pod reconcile"})) == LeftOut("other lines of the agent")
    assert read("aws-vpc-cni", json.dumps({**OLD_AWS, "Verdict": "EXPIRED/DELETED"})) == LeftOut(
        "lines with the verdict EXPIRED/DELETED"
    )


# -- Antrea

AUDIT = (
    "2026/07/01 12:00:01.802442 IngressRule K8sNetworkPolicy:shop/db <nil> Ingress Allow 190 shop/db-0 10.0.0.1 40000 10.0.0.2 "
    "5432 TCP 60 <nil>"
)
RECORD = "1782907201,1782907205,10.0.0.1,10.0.0.2,40000,5432,TCP,web-1,shop,n1,db-0,shop,n2,,0,,db,shop,,Drop,K8sNetworkPolicy,,,,,,,,,,"


def test_antreas_audit_log_names_the_policy_and_the_side() -> None:
    found = seen("antrea", AUDIT)
    assert (found.time, found.source, found.destination, found.port) == (NOON, WEB, DB, 5432)
    assert (found.outcome, found.side, found.policies) == (
        Outcome.ALLOWED,
        Side.DESTINATION,
        ("K8sNetworkPolicy:shop/db",),
    )


def test_a_line_of_antreas_may_stand_for_several_packets_and_be_of_an_older_form() -> None:
    line = (
        "2026/07/01 12:00:01.4 AntreaPolicyEgressRule AntreaNetworkPolicy:shop/no-ping NoPing Egress Reject 14500 shop/web-1 10.0.0.1 <nil> "
        "10.0.0.2 <nil> ICMP 84 ping [3 packets in 1.0s]"
    )
    found = seen("antrea", line)
    assert (found.protocol, found.port, found.times, found.outcome) == ("ICMP", 0, 3, Outcome.DENIED)
    assert (found.side, found.policies) == (Side.SOURCE, ("AntreaNetworkPolicy:shop/no-ping NoPing",))
    old = "2026/07/01 12:00:01.1 AntreaPolicyIngressRule AntreaNetworkPolicy:shop/p Drop 44900 10.0.0.1 40000 10.0.0.2 5432 TCP 60"
    assert seen("antrea", old)._replace(policies=()) == seen("antrea", AUDIT)._replace(
        policies=(), outcome=Outcome.DENIED
    )


def test_antreas_flow_aggregator_names_pods_and_both_policies() -> None:
    found = seen("antrea", RECORD)
    assert (found.source, found.destination) == (SeenEnd("", "shop", "web-1"), SeenEnd("", "shop", "db-0"))
    assert (found.outcome, found.side) == (Outcome.DENIED, Side.DESTINATION)
    assert (found.time, found.until, found.policies) == (NOON, NOON.replace(second=5), ("K8sNetworkPolicy:shop/db",))
    numbers = RECORD.replace(",TCP,", ",6,").replace(",Drop,K8sNetworkPolicy,", ",2,1,")
    assert seen("antrea", numbers) == found


# -- all of them

SAMPLES = {
    "hubble": hubble(),
    "calico": json.dumps(FLOWS_LOG),
    "netfilter": kernel(),
    "ovn": OVN,
    "aws-vpc-cni": json.dumps(OLD_AWS),
    "antrea": AUDIT,
}
STRICT = ("hubble", "calico", "antrea")  # their files hold nothing else


def test_every_format_has_a_sample_and_says_what_its_logs_lack() -> None:
    assert set(SAMPLES) == set(formats(NOW))
    assert all(found.title and found.notes for found in formats(NOW).values())


@pytest.mark.parametrize("name", SAMPLES)
def test_another_formats_line_is_never_read_as_a_connection(name: str) -> None:
    for other, line in SAMPLES.items():
        if other == name:
            continue
        try:
            found = read(name, line)
        except (ValueError, KeyError, TypeError):
            continue
        assert isinstance(found, LeftOut), other
        assert name not in STRICT


@pytest.mark.parametrize("name", SAMPLES)
def test_a_line_that_is_cut_off_is_no_connection(name: str) -> None:
    line = SAMPLES[name]
    for end in range(1, len(line) * 2 // 3, 7):
        try:
            assert not isinstance(read(name, line[:end]), Sighting)
        except (ValueError, KeyError, TypeError, IndexError):
            continue


# -- whatever a line holds


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, part in items for place in places_in(part, (*path, key))]


def with_part(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    changed = json.loads(json.dumps(value))
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = part
    return changed


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["-", "0", "1e9"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
WHOLE = {
    "hubble": json.loads(hubble(ingress_denied_by=[{"name": "p", "kind": "k"}])),
    "calico": GOLDMANE,
    "aws-vpc-cni": OLD_AWS,
}
AUDITED = {
    "auditID": "a",
    "verb": "patch",
    "stage": "ResponseComplete",
    "stageTimestamp": "2026-07-01T12:00:00Z",
    "requestURI": "/x",
    "user": {"username": "u", "groups": ["g"]},
    "objectRef": {"resource": "networkpolicies", "apiGroup": "networking.k8s.io", "namespace": "n", "name": "p"},
    "responseStatus": {"code": 200},
    "sourceIPs": ["10.0.0.1"],
    "userAgent": "k",
}


@pytest.mark.parametrize("name", [*WHOLE, "audit"])
@given(data=st.data())
def test_a_line_with_anything_in_any_place_is_read_or_named_and_never_more(name: str, data: st.DataObject) -> None:
    whole = AUDITED if name == "audit" else WHOLE[name]
    part = with_part(whole, data.draw(st.sampled_from(places_in(whole))), data.draw(ANYTHING))
    line = json.dumps(part).encode() + b"\n"
    reader = auditlog.read if name == "audit" else formats(NOW)[name].read
    files: list[LogFile] = []
    gathering = Gathering(Places([]))
    for found in read_logs(["-"], reader, stdin=BytesIO(line), keep_going=True, files=files):
        if not isinstance(found, tuple) or isinstance(found, (Sighting, LeftOut, Lost)):
            gathering.take(found)
        else:
            changes = [change for _, change in found if isinstance(change, AuditedChange)]
            canonical_json(audit_log_json(AuditLog((), 1, {}, tuple(changes))))
    assert files[0].lines == 1
    canonical_json([flow_json(flow) for flow in gathering.flows(name)])


def test_an_audit_line_whose_group_is_a_number_is_kept_as_text() -> None:
    """Canonical JSON has no number beyond 2**53."""
    odd = AUDITED | {"objectRef": {"resource": "networkpolicies", "apiGroup": 2**53, "namespace": "n", "name": "p"}}
    line = json.dumps(odd).encode()
    [found] = read_logs(["-"], auditlog.read, stdin=BytesIO(line), keep_going=True, files=[])
    [(_, change)] = found
    assert isinstance(change, AuditedChange)
    assert change.object.group == str(2**53)
