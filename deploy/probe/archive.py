"""Packs the probe's static program as a container image in one file (docker-archive), without Docker and without a registry.

    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o evidence-probe .
    python archive.py evidence-probe localhost/evidence-probe:0.1.0 evidence-probe.tar

Then `ctr -n k8s.io images import evidence-probe.tar` on a node, or `kind load image-archive evidence-probe.tar`. The same program gives
the same bytes.
"""

import hashlib
import io
import json
import platform
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NOBODY = "65532:65532"


def packed(files: Iterable[tuple[str, bytes, int]]) -> bytes:
    """A tar of (name, content, mode)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content, mode in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return target.getvalue()


def image(program: bytes, name: str, architecture: str) -> bytes:
    """An image of one layer with one file, run as a user without rights."""
    layer = packed([("evidence-probe", program, 0o755)])
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/evidence-probe"], "User": NOBODY},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    described = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}.tar"]}]
    return packed(
        [
            (config_name, described, 0o644),
            (f"{digest}.tar", layer, 0o644),
            ("manifest.json", json.dumps(manifest).encode(), 0o644),
        ]
    )


if __name__ == "__main__":
    program, name, target = sys.argv[1:]
    Path(target).write_bytes(image(Path(program).read_bytes(), name, ARCHITECTURES[platform.machine()]))
