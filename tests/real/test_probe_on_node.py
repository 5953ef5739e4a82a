"""Probes on a real node: the guide's shop with its policies as written, and packets that either pass or do not.

The last test leaves the node without its enforcer.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.real.controlplane import ROOT
from tests.real.node import IMAGE, Node, real_node

pytestmark = [pytest.mark.real, pytest.mark.slow]

POLICIES = ROOT.parent / "shared" / "seed" / "policies.yaml"
PROBER = "system:serviceaccount:evidence:evidence-prober"
PARTNER = "203.0.113.7"  # outside the cluster: it answers on TCP 443 and UDP 53
SHOP = [  # namespace, pod, labels, ports that it declares, ports on which it listens
    ("production", "app", {"app": "app"}, "TCP/8080,TCP/9100", "TCP/8080,TCP/9100"),
    ("production", "postgres", {"app": "postgres"}, "TCP/5432", "TCP/5432"),
    ("production", "redis", {"app": "redis"}, "TCP/6379", "TCP/6379"),
    ("ingress-nginx", "ingress", {"app.kubernetes.io/name": "ingress-nginx"}, "TCP/443", "TCP/443"),
    ("monitoring", "prometheus", {"app": "prometheus"}, "TCP/9090", "TCP/9090"),
    ("shared-services", "logging", {"app": "logging"}, "TCP/24224", "TCP/24224"),
    ("kube-system", "dns", {"k8s-app": "kube-dns"}, "TCP/53,UDP/53", "TCP/53,UDP/53"),
    ("batch", "report", {"app": "report"}, "TCP/8000", "TCP/8001"),  # it declares a port at which nobody listens
]
INTENT = """
zones:
  - {name: shop, classification: cde, members: [{namespaces: [production]}]}
  - {name: edge, classification: connected-to, members: [{namespaces: [ingress-nginx, monitoring, shared-services, kube-system]}]}
  - {name: batch, classification: out-of-scope, members: [{namespaces: [batch]}]}
  - {name: internet, classification: internet, cidrs: [0.0.0.0/0]}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with real_node() as found:
        found.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(shop()))
        found.kubectl("apply", "-f", str(POLICIES), "-f", str(ROOT / "deploy" / "clusterrole.yaml"))
        for name in ("clusterrole.yaml", "clusterrolebinding.yaml"):
            found.kubectl("apply", "-f", str(ROOT / "deploy" / "probe" / name))
        wait_for(lambda: len(running(found)) == len(SHOP))
        found.kubectl("label", "namespace", "production", "batch", "pod-security.kubernetes.io/enforce=restricted")
        with partner(found):
            yield found


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probes") / "evidence.db"


@pytest.fixture(scope="module")
def run(node: Node, db: Path) -> dict[str, Any]:
    """One run with everything enforced, as the prober's own service account."""
    return probed(node, db, "--as", PROBER, "--target", f"{PARTNER}:443", "--target", f"{PARTNER}:53/UDP")


def shop() -> list[dict[str, Any]]:
    spaces = {space: {"name": space} for space, *_ in SHOP} | {
        name: {"name": name} for name in ("evidence", "batch-new")
    }
    spaces["shared-services"]["purpose"] = "shared-services"
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in spaces.items()
    ]
    objects += [pod(*entry) for entry in SHOP]
    selector = {"selector": {"app": "app"}, "ports": [{"port": 8080}]}
    metadata = {"name": "app", "namespace": "production"}
    return [*objects, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": selector}]


def pod(space: str, name: str, labels: dict[str, str], declared: str, serves: str) -> dict[str, Any]:
    ports = [
        {"protocol": p, "containerPort": int(n)} for p, _, n in (port.partition("/") for port in declared.split(","))
    ]
    low_ports = {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": {
            "nodeName": "node-a",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "dnsPolicy": "Default",
            "securityContext": low_ports,
            "containers": [{"name": "main", "image": IMAGE, "args": ["serve", "shop", serves], "ports": ports}],
        },
    }


def partner(node: Node) -> "subprocess.Popen[bytes]":
    """A host outside the cluster that answers."""
    node.inside("ip", "netns", "exec", "outside", "ip", "addr", "add", f"{PARTNER}/32", "dev", "lo")
    command = ["ip", "netns", "exec", "outside", str(node.folder / "bin" / "probe"), "serve", "443,53"]
    anchor = (node.folder / "node" / "anchor").read_text().strip()
    return Killed(["nsenter", "-t", anchor, "-m", "-n", "-p", *command], stdout=subprocess.DEVNULL)


class Killed(subprocess.Popen[bytes]):
    """A process that does not outlive its `with`."""

    def __exit__(self, *problem: object) -> None:
        self.kill()
        super().__exit__(*problem)  # type: ignore[arg-type]


def command(node: Node, db: Path, *arguments: str) -> list[str]:
    intent = node.folder / "segmentation.yaml"
    intent.write_text(INTENT)
    place = ("--kubeconfig", str(node.kubeconfig), "--db", str(db), "--cluster", "lab", "--intent", str(intent))
    return node.evidence("probe", "run", *place, "--image", IMAGE, "--seed", "1", "--format", "json", *arguments)


def probed(node: Node, db: Path, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    ran = subprocess.run(command(node, db, *arguments), capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == exit_code, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return {**found, "said": ran.stderr}


def running(node: Node) -> list[str]:
    pods = node.get("pods", "-A", "--field-selector=status.phase=Running")["items"]
    return [one["metadata"]["name"] for one in pods]


def of_runs(node: Node) -> list[dict[str, Any]]:
    pods: list[dict[str, Any]] = node.get("pods", "-A", "-l", "evidence-probe/run")["items"]
    return pods


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.3)


def outcomes(run: dict[str, Any], judgement: str) -> dict[str, str]:
    """Outcome by connection, of the results of one judgement."""
    return {
        f"{p['source']['name']} {p['destination']['name']} {p['protocol']} {p['port']}": result["outcome"]
        for result in run["results"]
        for p in [result["probe"]]
        if result["judgement"] == judgement
    }


# -- everything enforced ----------------------------------------------------------------------------------------------


def test_every_planned_connection_does_what_was_computed(run: dict[str, Any]) -> None:
    assert outcomes(run, "contradicts") == {}
    undetermined = {r["reason"]: name for r in run["results"] for name in outcomes({"results": [r]}, "not determined")}
    assert all(" batch/report TCP 8000" in name for name in undetermined.values()), undetermined
    assert {result["judgement"] for result in run["results"]} == {"agrees", "not determined"}


def test_reach_says_the_same_of_the_snapshot_that_was_probed(node: Node, db: Path, run: dict[str, Any]) -> None:
    agreed = [
        r for r in run["results"] if r["judgement"] == "agrees" and r["probe"]["source"] != r["probe"]["destination"]
    ]
    queries = [
        {"from": p["source"]["name"], "to": p["destination"]["name"], "protocol": p["protocol"], "port": p["port"]}
        for p in (result["probe"] for result in agreed)
    ]
    asked = node.evidence("reach", "query", "--db", str(db), "--cluster", "lab", "--queries", "-")
    answers = json.loads(
        subprocess.run(asked, input=json.dumps(queries), capture_output=True, text=True, check=True).stdout
    )
    assert [answer["verdict"] for answer in answers] == [
        "allow" if result["outcome"] == "open" else "deny" for result in agreed
    ]
    assert {answer["verdict"] for answer in answers} == {"allow", "deny"}


def test_open_filtered_and_no_listener_are_told_apart(run: dict[str, Any]) -> None:
    agrees = outcomes(run, "agrees")
    assert agrees["production/app production/postgres TCP 5432"] == "open"
    assert agrees["batch/report production/postgres TCP 5432"] == "filtered"
    assert agrees["kube-system/dns 203.0.113.7 UDP 53"] == "open"
    assert agrees["production/postgres 203.0.113.7 TCP 443"] == "filtered"
    assert outcomes(run, "not determined")["batch/report batch/report TCP 8000"] == "no listener"


def test_a_filtered_connection_names_who_rejected_it_and_both_controls(run: dict[str, Any]) -> None:
    found = next(
        result
        for result in run["results"]
        if (result["probe"]["source"]["name"], result["probe"]["destination"]["name"])
        == ("batch/report", "production/postgres")
        and result["probe"]["port"] == 5432
    )
    assert found["tried"]["last"]["icmp"].startswith("ICMP type 3 code 13 from ")
    assert found["source_control"].startswith("its node reached it from ")
    assert found["listener_control"].endswith(" got through to it")
    assert found["by"] == "stand-in pod"


def test_pods_made_moments_ago_are_tried_from_their_first_packet_on(run: dict[str, Any]) -> None:
    assert any(result["tried"]["first"]["at_ms"] < 1000 for result in run["results"])
    assert all(result["passed_ms"] < 10_000 for result in run["results"])


def test_the_plan_came_before_anything_ran_and_nothing_is_left(node: Node, run: dict[str, Any]) -> None:
    said = run["said"]
    assert said.index("seed         1") < said.index("stand-ins to answer") < said.index("every pod of the run is gone")
    assert of_runs(node) == []


# -- killed in the middle ---------------------------------------------------------------------------------------------


def test_what_a_killed_run_leaves_is_never_ready_and_goes_with_the_next_run(node: Node, db: Path) -> None:
    with subprocess.Popen(
        command(node, db, "--with", "pods", "--connections", "60"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as killed:
        wait_for(lambda: any(one["status"].get("phase") == "Running" for one in of_runs(node)))
        os.kill(killed.pid, signal.SIGKILL)
    left = of_runs(node)
    assert left
    for one in left:
        ready = {c["type"]: c["status"] for c in one["status"].get("conditions", ())}.get("Ready")
        assert ready != "True"
        assert one["spec"]["activeDeadlineSeconds"] > 0
    slices = node.get("endpointslices", "-n", "production", "-l", "kubernetes.io/service-name=app")["items"]
    serving = [e["targetRef"]["name"] for one in slices for e in one.get("endpoints") or () if e["conditions"]["ready"]]
    assert serving == ["app"]

    node.kubectl(
        "apply", "-f", "-", text=yaml.safe_dump(pod("batch-new", "moments-old", {"app": "new"}, "TCP/7000", "TCP/7000"))
    )
    wait_for(lambda: "moments-old" in running(node))
    found = probed(node, db, "--connections", "60")
    assert "removed what an earlier run left: " in found["said"]
    assert of_runs(node) == []
    assert outcomes(found, "contradicts") == {}
    assert any(name.startswith("batch-new/moments-old ") for name in outcomes(found, "agrees"))
    assert {result["by"] for result in found["results"]} == {"stand-in pod", "ephemeral container"}


# -- the enforcer stopped ---------------------------------------------------------------------------------------------


def test_without_an_enforcer_contradictions_are_critical_findings(node: Node, db: Path) -> None:
    node.script("enforcer-down.sh")
    refuse = "add rule ip lab forward tcp dport != 5432 ct state new reject with tcp reset"
    chain = "add chain ip lab forward { type filter hook forward priority 0; }"
    node.inside("nft", "-f", "-", text=f"add table ip lab\n{chain}\n{refuse}\n")
    found = probed(node, db, "--with", "pods", "--connections", "60", "--seed", "2", exit_code=1)
    assert set(outcomes(found, "contradicts").values()) == {"open", "refused"}

    assessed = node.evidence("assess", "--db", str(db), "--cluster", "lab", "--format", "json")
    said = json.loads(subprocess.run(assessed, capture_output=True, text=True, check=True).stdout)
    findings = [finding for finding in said["findings"] if finding["rule"] in ("ENF-003", "ENF-004")]
    assert {finding["severity"] for finding in findings if finding["rule"] == "ENF-003"} == {"critical"}
    assert {finding["rule"] for finding in findings} == {"ENF-003", "ENF-004"}
