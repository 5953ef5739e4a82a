"""A real kube-apiserver for tests: the cluster that KUBECONFIG names, or one started here and ended afterwards.

A cluster that is not on this machine is only used when EVIDENCE_TEST_ANY_CLUSTER is set: tests make namespaces, policies and roles in it.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PORTS_IN_A_ROW = 5


def cluster_by_kubeconfig() -> Path | None:
    """The user's own test cluster, if there is one that may be written to."""
    path = Path(os.environ.get("KUBECONFIG") or "/nonexistent")
    if not path.is_file():
        return None
    clusters = yaml.safe_load(path.read_text())["clusters"]
    local = all(
        urlsplit(entry["cluster"]["server"]).hostname in ("127.0.0.1", "localhost", "::1") for entry in clusters
    )
    return path if local or os.environ.get("EVIDENCE_TEST_ANY_CLUSTER") else None


@contextmanager
def control_plane() -> Iterator[Path]:
    """Path of an administrator's kubeconfig; skips the test where no control plane can be had."""
    own = cluster_by_kubeconfig()
    if own is not None:
        yield own
        return
    folder = ROOT.parent / "shared" / "controlplane"
    if not (folder / "up.sh").is_file():
        pytest.skip("no control plane: set KUBECONFIG to a test cluster (kind, say)")
    missing = [name for name in ("etcd", "xz", "curl", "setsid") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no control plane: {', '.join(missing)} not installed")
    run = Path(tempfile.mkdtemp(prefix="evidence-control-plane-"))
    environment = {
        **os.environ,
        "RUN": str(run),
        "PORT": str(free_ports()),
        "KUBEONE": str(_with_expiring_pages(run, server_binary(folder / "kubeone.xz"))),
        "PYTHON": sys.executable,
        "SKIP": "controllers scheduler",
    }
    try:
        subprocess.run([folder / "up.sh"], env=environment, check=True, capture_output=True, timeout=120)
        yield run / "admin.kubeconfig"
    finally:
        subprocess.run([folder / "down.sh", "--purge"], env=environment, check=False, timeout=60)


def _with_expiring_pages(run: Path, binary: Path) -> Path:
    """The server, made to read ReplicationControllers from its database alone: a page's token then expires with a compaction, and at once."""
    script = run / "kubeone"
    script.write_text(
        '#!/bin/sh\n[ "$1" = kube-apiserver ] && set -- "$@" --watch-cache-sizes=replicationcontrollers#0\n'
        f'exec {binary} "$@"\n'
    )
    script.chmod(0o700)
    return script


def server_binary(packed: Path) -> Path:
    """The unpacked server, kept between runs beside other temporary files."""
    folder = Path(tempfile.gettempdir()) / f"evidence-kubeone-{packed.stat().st_size}-{os.getuid()}"
    binary = folder / "kubeone"
    if not binary.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        partial = folder / f"kubeone.{os.getpid()}"
        with partial.open("wb") as target:
            subprocess.run(["xz", "-dc", packed], stdout=target, check=True)
        partial.chmod(0o700)
        partial.rename(binary)
    return binary


def free_ports() -> int:
    """The first of five neighbouring ports that nobody listens on just now."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        if first + PORTS_IN_A_ROW < 65535 and all(is_free(first + offset) for offset in range(PORTS_IN_A_ROW)):
            return first
    pytest.skip("no control plane: no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
