"""Cost of importing a flow log, and of assessing a snapshot beside it.

    python benchmarks/flowlogs.py [--megabytes 100] [--pods 1000] [--pairs 20000] [--seed 1]

A cluster is made (`clusters.py`) and collected; a log of Hubble's JSON lines is written between `--pairs` pairs of its pods, two in a hundred of them
denied, one in twenty with an end outside; and both commands run in processes of their own. Figures are for comparing runs on one machine.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters
from benchmarks.measure import run, table
from evidence.cluster.model import Pod
from evidence.collect.files import read_cluster

HEADER = ("step", "MB", "lines", "flows", "cpu s", "wall s", "MB a second", "peak MiB")
START = datetime(2026, 7, 1, 6, tzinfo=UTC)
PORTS = (80, 443, 5432, 8080)


def end(pod: Pod) -> dict[str, Any]:
    return {
        "ID": 1001,
        "identity": 40123,
        "cluster_name": "default",
        "namespace": pod.namespace,
        "labels": [f"k8s:{key}={value}" for key, value in pod.labels.items()]
        + [f"k8s:io.kubernetes.pod.namespace={pod.namespace}", "k8s:io.cilium.k8s.policy.cluster=default"],
        "pod_name": pod.name,
    }


def lines(pods: list[Pod], pairs: int, chance: random.Random) -> Iterator[bytes]:
    """Without end; the same arguments give the same lines."""
    chosen = [(chance.choice(pods), chance.choice(pods), chance.choice(PORTS)) for _ in range(pairs)]
    time = START
    while True:
        time += timedelta(milliseconds=chance.randrange(20))
        source, destination, port = chance.choice(chosen)
        outside, dropped = chance.random() < 0.05, chance.random() < 0.02
        address = f"198.51.{chance.randrange(4)}.{chance.randrange(256)}" if outside else str(source.addresses[0])
        flow = {
            "time": time.isoformat(),
            "uuid": f"{chance.getrandbits(128):032x}",
            "verdict": "DROPPED" if dropped else "FORWARDED",
            "ethernet": {"source": "aa:bb:cc:dd:ee:ff", "destination": "aa:bb:cc:dd:ee:00"},
            "IP": {"source": address, "destination": str(destination.addresses[0]), "ipVersion": "IPv4"},
            "l4": {
                "TCP": {"source_port": chance.randrange(32768, 60999), "destination_port": port, "flags": {"SYN": True}}
            },
            "source": {"identity": 2, "labels": ["reserved:world"]} if outside else end(source),
            "destination": end(destination),
            "Type": "L3_L4",
            "node_name": "node-1",
            "event_type": {"type": 4},
            "traffic_direction": "INGRESS",
            "Summary": "TCP Flags: SYN",
        }
        flow |= {"drop_reason_desc": "POLICY_DENIED"} if dropped else {"is_reply": chance.random() < 0.4}
        yield (
            json.dumps({"flow": flow, "node_name": "node-1", "time": time.isoformat()}, separators=(",", ":")).encode()
            + b"\n"
        )


def write_log(path: Path, size: int, pods: list[Pod], pairs: int, seed: int) -> int:
    """Lines up to `size` bytes; gives how many."""
    written = number = 0
    with path.open("wb") as log:
        for line in lines(pods, pairs, random.Random(seed)):
            written += log.write(line)
            number += 1
            if written >= size:
                return number
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = clusters.write(Path(temporary, "cluster"), arguments.pods)
        pods = [pod for pod in read_cluster([str(folder)], stdin=None, keep_going=False).pods if pod.addresses]
        db, log = str(Path(temporary, "evidence.db")), Path(temporary, "hubble.log")
        number = write_log(log, arguments.megabytes * 1_000_000, pods, arguments.pairs, arguments.seed)
        command = [sys.executable, "-m", "evidence"]
        run(
            [
                *command,
                "collect",
                "--from",
                str(folder),
                "--cluster",
                "bench",
                "--taken-at",
                START.isoformat(),
                "--db",
                db,
                "--allow-partial",
            ]
        )
        taken_in = run([*command, "import", "flows", "--format", "hubble", str(log), "--db", db])
        flows = kept(db)
        beside = run([*command, "assess", "--db", db, "--format", "json"])
        size = log.stat().st_size / 1_000_000
    rows = [
        (
            "import flows",
            f"{size:.0f}",
            number,
            flows,
            f"{taken_in.cpu:.1f}",
            f"{taken_in.wall:.1f}",
            f"{size / taken_in.cpu:.0f}",
            f"{taken_in.memory:.0f}",
        ),
        ("assess beside them", "", "", flows, f"{beside.cpu:.1f}", f"{beside.wall:.1f}", "", f"{beside.memory:.0f}"),
    ]
    print(table(HEADER, rows))


def kept(db: str) -> int:
    """How many flows the record holds."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        (info,) = store.records("bench", START, START + timedelta(days=365))
        return len(store.read_record(info.id).document["flows"])


if __name__ == "__main__":
    main()
