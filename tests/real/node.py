"""A real node for tests: kubelet, containerd and containers in one network namespace, whose packets obey NetworkPolicies when asked to.

One at a time on a machine: a lock keeps a second worker waiting. Everything that talks to its API server runs in the node's network namespace.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.real.controlplane import ROOT, server_binary

NODE = ROOT.parent / "shared" / "controlplane" / "node"
IMAGE = "localhost/evidence-probe:test"
_LOCK = Path(tempfile.gettempdir()) / "evidence-test-node.lock"
_PROGRAMS = (
    "etcd", "containerd", "runc", "ctr", "ip", "nft", "iptables", "ipset", "conntrack", "nsenter", "unshare", "xz", "curl", "go", "kubectl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """A running node. `folder` is its state; `environment` what its scripts read."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "admin.kubeconfig"

    def script(self, name: str, *arguments: str, text: str | None = None) -> str:
        """Run one of the node's scripts; gives its output, fails with its errors."""
        ran = subprocess.run(
            [NODE / name, *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ran.returncode == 0, f"{name} {' '.join(arguments)}: {ran.stderr}"
        return ran.stdout

    def inside(self, *command: str, text: str | None = None) -> str:
        """Run a command in the node's namespaces."""
        return self.script("node-exec.sh", *command, text=text)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.inside("kubectl", *arguments, text=text)

    def get(self, *arguments: str) -> Any:
        return orjson.loads(self.kubectl("get", *arguments, "-o", "json"))

    def evidence(self, *arguments: str) -> list[str]:
        """The command line of `evidence`, where the API server can be reached."""
        network = f"--net=/run/netns/{self.environment['NETNS']}"
        return ["nsenter", network, sys.executable, "-m", "evidence", *arguments]

    def load(self, archive: Path) -> None:
        """Take an image archive into the node's store."""
        self.inside("ctr", "-n", "k8s.io", "images", "import", str(archive))


@contextmanager
def real_node() -> Iterator[Node]:
    """A node with a policy enforcer, Ready, with the probe's image; skips the test where none can be had."""
    if not (NODE / "node-up.sh").is_file():
        pytest.skip("no node: the control plane for tests is not beside this checkout")
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no node beside the control plane: {', '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("no node beside the control plane: it takes root")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(tempfile.mkdtemp(prefix="evn-"))
        environment = {
            **os.environ,
            "RUN": str(folder),
            "NETNS": folder.name,
            "PYTHON": sys.executable,
            "PATIENCE": "5",
            "KUBEONE": str(server_binary(NODE.parent / "kubeone.xz")),
        }
        node = Node(folder, environment)
        try:
            node.script("node-up.sh")
            node.load(probe_archive(folder))
            node.script("enforcer-up.sh")
            yield node
        finally:
            subprocess.run([NODE / "node-down.sh", "--purge"], env=environment, check=False, timeout=120)


def probe_archive(folder: Path) -> Path:
    """The probe's image as a file, built from deploy/probe as its Dockerfile does."""
    source, program, archive = ROOT / "deploy" / "probe", folder / "evidence-probe", folder / "evidence-probe.tar"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    build = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "."]
    subprocess.run(build, cwd=source, env=environment, check=True, capture_output=True, timeout=180)
    subprocess.run([sys.executable, source / "archive.py", program, IMAGE, archive], check=True, timeout=30)
    return archive
